/* pretrain.h: a CNN learns from labels of single slices.
 *
 * Slices of split train in a new order every epoch, `batch` at a time; batch norm on the batch's statistics;
 * RSNA's weighted cross-entropy (layers/loss.h). Slices without a single known label are left out.
 *
 * Calls: loop, feed, layers (exec, loss). Called by: cli.
 */
#ifndef ICH_TRAIN_PRETRAIN_H
#define ICH_TRAIN_PRETRAIN_H

#include "job.h"

/* True when all epochs are done, or after a clean stop (result->stopped). */
bool ich_pretrain(const ich_train_job *job, ich_train_result *result, ich_error *err);

#endif
