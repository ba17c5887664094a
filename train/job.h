/* job.h: what a training run is asked for, and how it ended. The types that cli fills in and reads.
 *
 * Calls: data (recipe). Called by: run, loop, pretrain, finetune, cli.
 */
#ifndef ICH_TRAIN_JOB_H
#define ICH_TRAIN_JOB_H

#include "data/recipe.h"
#include "tensor/progress.h"

typedef struct ich_train_job {
    ich_recipe recipe;
    const char *dataset;       /* folder */
    const char *out;           /* RUN: the folder that everything is written to */
    const char *init;          /* model to start from, or NULL: random weights */
    const char *cache;         /* folder of decoded slices, or NULL: <out>/cache */
    bool resume;               /* go on where <out>/checkpoint left off */
    bool force;                /* replace a run that <out> holds */
    int timeline;              /* steps whose parts are timed for RUN/timeline.csv (timeline.h) */
    double checkpoint_minutes; /* between checkpoints inside an epoch; 0: only at its end */
    int keep_checkpoints;      /* of the newest, so many stay; 0: ICH_KEEP_USUAL */
    const ich_progress *progress;
    const volatile int *stop; /* nonzero: end after this step, with a checkpoint; may be NULL */
} ich_train_job;

typedef struct ich_train_result {
    bool stopped;     /* *stop was raised: the run can be resumed */
    size_t skipped;   /* studies left out; named in <out>/skipped.csv */
    int best_epoch;   /* from 1; whose weights model.safetensors holds */
    double best_loss; /* on validation; NaN without one */
} ich_train_result;

static inline bool ich_stopped(const ich_train_job *job) { return job->stop && *job->stop; }

#endif
