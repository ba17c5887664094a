/* loop.h: what pretraining and fine-tuning have in common: epochs, steps, learning rates, log, best and last
 * model, checkpoints, and a clean end when asked to stop.
 *
 * Several ranks (tensor/ranks.h) hold the same weights and take the same steps: each computes its part of a
 * step's gradient, the buckets add them up, and each moves its own copy. Rank 0 alone writes.
 *
 * A verb fills in an ich_learner and calls, in this order, ich_loop_open, ich_loop_decode, ich_loop_position,
 * ich_loop_run, ich_loop_close. The weights after step k depend on recipe, dataset and k alone; never on
 * threads, on time, or on how often the run was stopped and resumed.
 *
 * Calls: run, source, checkpoint, log, tally, optim, infer/model, data. Called by: pretrain, finetune.
 */
#ifndef ICH_TRAIN_LOOP_H
#define ICH_TRAIN_LOOP_H

#include "buckets.h"
#include "checkpoint.h"
#include "data/lock.h"
#include "guard.h"
#include "job.h"
#include "optim/schedule.h"
#include "source.h"

typedef struct ich_loop {
    const ich_train_job *job;
    const char *verb;
    ich_source source;
    ich_model model;
    float *gradients; /* [graph.n_values], cleared before each step */
    ich_optimizer optimizer;
    ich_schedule schedule;
    double lr[ICH_GROUPS]; /* peaks; 0: frozen */
    ich_tally tally;       /* of the epoch that is being learned from */
    ich_log log;
    ich_position at;
    size_t steps, rows; /* of an epoch */
    ich_guard guard;
    ich_lock lock;   /* on the folder */
    int from;        /* which checkpoint the run went on from: ich_keep_save */
    double saved_at; /* ich_seconds() of the last checkpoint */
    ich_buckets buckets;
    ich_timeline timeline;
    ich_train_job own_job; /* with several ranks: the job, whose stop is `agreed` */
    int agreed;            /* what some rank was told; the same on all at every step */
    const volatile int *told;
} ich_loop;

/* What a verb does that others don't. Functions return false on failure. */
typedef struct ich_learner {
    void *self;
    size_t bytes;      /* that its execs and loaders will fill … */
    const char *lower; /* … and which options lower that; NULL: not known */
    size_t images;     /* of an epoch, for the progress bar */
    /* Plans the epoch from `batch` on. */
    bool (*begin)(void *self, int epoch, size_t batch, ich_error *err);
    /* Adds one step's gradients (of several ranks: of this rank's part) to loop->gradients and the loss of
     * all of it to loop->tally; *loss is the step's, *who the study_id of its first study. */
    bool (*step)(void *self, size_t batch, double *loss, const char **who, ich_error *err);
    void (*changed)(void *self); /* the weights have changed */
    /* Goes forward through the step that was just made once more, with an ich_search to *node. May be NULL.
     */
    void (*locate)(void *self, size_t batch, int *node);
    /* Judges `values` on the validation split; NULL: there is none. Returns early, true, when *stop is
     * raised. */
    bool (*validate)(void *self, float *values, ich_tally *tally, ich_error *err);
    size_t rows_val;
    double (*waited)(void *self); /* seconds that the loader has been waited for, ever */
} ich_learner;

/* Reads the tables, claims the folder, makes the model (from job->init, if given). */
bool ich_loop_open(ich_loop *loop, const ich_train_job *job, const char *verb, bool image_head,
                   ich_error *err);
/* How many parts of a step this rank makes, each with sums of its own (the recipe's `parts`). */
int ich_loop_parts(const ich_loop *loop);
/* Fails if the machine has not got `bytes`, besides what the loop itself takes; `lower` as in ich_learner. */
bool ich_loop_foresee(const ich_loop *loop, size_t bytes, const char *lower, ich_error *err);
/* Decodes, and makes the optimizer. */
bool ich_loop_decode(ich_loop *loop, ich_error *err);
/* Tells the length of an epoch; a resumed run then stands where its checkpoint left off. */
bool ich_loop_position(ich_loop *loop, size_t steps, size_t rows, ich_error *err);
bool ich_loop_run(ich_loop *loop, const ich_learner *learner, ich_train_result *result, ich_error *err);
void ich_loop_close(ich_loop *loop);

#endif
