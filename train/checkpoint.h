/* checkpoint.h: everything that the rest of a run depends on, in one file that is whole or not there.
 *
 * state.safetensors: flat arrays `values`, `state.0`, `state.1`, `average` (what the optimizer keeps),
 * `score` and `label` (this epoch's, for its AUC); counters as metadata text, so that 64-bit numbers and
 * doubles (hexadecimal) survive exactly. Random numbers need no state: they are counted, not drawn
 * (tensor/rng.h). The file is sealed (data/safetensors.h): one that is torn or has a flipped bit is not
 * believed. How many are kept, and which is taken when the newest is damaged: keep.h.
 *
 * Calls: data (safetensors), infer/model, optim, tally, log. Called by: keep, loop.
 */
#ifndef ICH_TRAIN_CHECKPOINT_H
#define ICH_TRAIN_CHECKPOINT_H

#include "infer/model.h"
#include "log.h"
#include "optim/optimizer.h"
#include "tally.h"

/* Where a run stands. */
typedef struct ich_position {
    int epoch;      /* that is being worked on, from 0 */
    size_t batch;   /* steps of it that are done; all of them: only validation is left */
    double best;    /* validation loss so far; NaN: none yet */
    int bad_steps;  /* of this epoch: left out by guard.h */
    int best_epoch; /* its epoch, from 1; 0: none yet */
    double seconds; /* spent on this epoch … */
    double waited;  /* … and waited for data */
} ich_position;

/* What is saved and loaded; all owned by the loop. */
typedef struct ich_checkpoint {
    const char *verb, *fingerprint; /* of the dataset */
    size_t steps, rows;             /* of an epoch: a resumed run must find the same */
    int epochs;
    ich_model *model;
    ich_optimizer *optimizer;
    ich_tally *tally;
    ich_log *log;
    ich_position *position;
} ich_checkpoint;

bool ich_checkpoint_save(const ich_checkpoint *checkpoint, const char *path, ich_error *err);
/* Fails, changing nothing, on a file that is *damaged, one of another run or dataset, or without memory. */
bool ich_checkpoint_load(const ich_checkpoint *checkpoint, const char *path, bool *damaged, ich_error *err);

#endif
