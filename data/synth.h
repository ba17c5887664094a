/* synth.h: head-CT phantoms, for the demo, the tests and teaching. No patient was ever scanned for them.
 *
 * Calls: volume, csv, rng. Called by: cli.
 */
#ifndef ICH_DATA_SYNTH_H
#define ICH_DATA_SYNTH_H

#include "tensor/error.h"
#include "tensor/progress.h"
#include <stdint.h>

typedef struct ich_synth {
    int studies;
    uint64_t seed;
    int size;          /* pixels a side */
    double prevalence; /* of any hemorrhage, 0 … 1; NaN: the population's own */
    char population;   /* 'a' or 'b': two hospitals */
    bool masks;        /* also masks/<study_id>.nii.gz: 0 none, else the label's index (1 … 5) */
} ich_synth;

/* Writes a dataset folder (studies.csv, slices.csv, volumes/). Parallel over studies; same bytes for any
 * thread count. */
bool ich_synth_write(const ich_synth *options, const char *folder, const ich_progress *progress,
                     const volatile int *stop, ich_error *err);

#endif
