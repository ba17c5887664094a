/* repeat.h: a model trained once more from its own record, to the same bytes.
 *
 * The record is in the model's file: verb, recipe, seed, kernels, fingerprint of the dataset, hash of the
 * model it started from (infer/provenance.h). What it cannot hold, dataset and parent themselves, the caller
 * gives; a RUN folder also remembers its parent's path.
 *
 * Calls: pretrain, finetune, run, infer (model, provenance), data (file). Called by: cli (audit --repeat).
 */
#ifndef ICH_TRAIN_REPEAT_H
#define ICH_TRAIN_REPEAT_H

#include "job.h"

typedef struct ich_repeat {
    const char *model;   /* file or RUN folder, in which model.safetensors is meant */
    const char *dataset; /* folder: the one that it was trained on, wherever it is now */
    const char *init;    /* the model it started from; NULL: what RUN remembers */
    const ich_progress *progress;
    const volatile int *stop;
} ich_repeat;

/* Trains in a temporary folder, which is removed again. *same: the two files have the same bytes; else
 * *differs says where first: a tensor's name, a key of the metadata, or their order. Fails when the record
 * says that it cannot be repeated with what is given: another dataset, another parent, kernels that this
 * processor lacks. */
bool ich_repeat_training(const ich_repeat *what, bool *same, char differs[160], ich_error *err);

#endif
