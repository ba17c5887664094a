/* buckets.h: the gradients of all ranks added up while backward still runs.
 *
 * Backward finishes the flat array of gradients from its end towards its beginning (layers/exec.h). As soon
 * as a bucket of a few MiB is final, its sum over all ranks begins in the background. Buckets and their order
 * depend on the model alone, so that all ranks, also those without work in a step, send the same ones. (Li et
 * al. 2020, PyTorch Distributed, VLDB 13(12), section 3.2.)
 *
 * Calls: tensor (ranks), timeline. Called by: loop, pretrain, finetune.
 */
#ifndef ICH_TRAIN_BUCKETS_H
#define ICH_TRAIN_BUCKETS_H

#include "tensor/ranks.h"
#include "timeline.h"

typedef struct ich_buckets {
    float *gradients;
    size_t first, end;      /* what is learned: elements first … end - 1 */
    size_t bucket;          /* elements of one */
    size_t sent;            /* from here on they are on their way */
    int count;              /* of buckets sent in this step */
    ich_timeline *timeline; /* of their sums */
    double begun[ICH_MAX_SUMS], ended[ICH_MAX_SUMS];
} ich_buckets;

void ich_buckets_open(ich_buckets *buckets, float *gradients, size_t first, size_t end,
                      ich_timeline *timeline);
void ich_buckets_begin(ich_buckets *buckets); /* a step */
/* Elements from `final` on are final; an ich_exec_gradient_watcher. */
void ich_buckets_ready(void *buckets, size_t final);
void ich_buckets_end(ich_buckets *buckets); /* afterwards all of them are the ranks' sums */

#endif
