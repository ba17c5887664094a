/* bench.h: how fast a CNN or the study head runs on this machine, in the terms of the contract.
 *
 * Numbers are made up: speed does not depend on what the pixels show. A training step is forward with batch
 * statistics, weighted BCE, backward and one AdamW step; an inference step is forward with folded batch norm.
 * The study head (arch ICH_BENCH_HEAD) is one study: `batch` is its slices, `size` the features of each, and
 * its training step is forward, loss and backward down to the features.
 *
 * Calls: layers (zoo, exec, loss), optim. Called by: cli.
 */
#ifndef ICH_TRAIN_BENCH_H
#define ICH_TRAIN_BENCH_H

#include "tensor/error.h"
#include <stdio.h>

#define ICH_BENCH_HEAD "bilstm_attention"

typedef struct ich_bench {
    const char *arch;
    bool train;
    int batch, size;
    double seconds; /* measured for at least so long, and at least three steps */
} ich_bench;

/* Writes the header and the row `arch,mode,batch,size,threads,images_per_second,rss_mib`; rss is the peak
 * less what the process held before the model was built. */
bool ich_bench_model(const ich_bench *bench, FILE *out, ich_error *err);

#endif
