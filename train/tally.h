/* tally.h: loss and AUC of an epoch, gathered batch by batch.
 *
 * Calls: infer/stats, data (labels). Called by: loop, pretrain, finetune, checkpoint.
 */
#ifndef ICH_TRAIN_TALLY_H
#define ICH_TRAIN_TALLY_H

#include "data/labels.h"
#include "tensor/error.h"

typedef struct ich_tally {
    double loss;          /* sum over rows */
    size_t rows;          /* slices (pretrain) or studies (finetune) */
    size_t images;        /* slices that went through the network */
    float *score, *label; /* [room]: logit and label of `any` where it is known … */
    size_t known, room;   /* … so many of them so far */
} ich_tally;

bool ich_tally_init(ich_tally *tally, size_t rows, ich_error *err); /* room for an epoch's rows */
void ich_tally_free(ich_tally *tally);
void ich_tally_clear(ich_tally *tally);

/* A batch: its mean loss, logits and labels [rows][ICH_LABELS]. */
void ich_tally_add(ich_tally *tally, int rows, double mean_loss, const float *logits, const float *labels);
double ich_tally_loss(const ich_tally *tally); /* mean over rows; NaN for none */
/* NaN where one class is missing; false when memory is out. */
bool ich_tally_auc(const ich_tally *tally, double *auc, ich_error *err);

#endif
