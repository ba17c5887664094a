/* finetune.h: CNN, BiLSTM and attention learn from one set of labels a study.
 *
 * End to end: groups of `studies` studies in a new order every epoch, one augmentation a study, batch norm on
 * its running statistics, learning rates of CNN and head apart (mil.h). With freeze_cnn the features are
 * computed once, without augmentation, and only the head learns. slices.csv is never opened.
 *
 * Calls: loop, mil, features, feed. Called by: cli.
 */
#ifndef ICH_TRAIN_FINETUNE_H
#define ICH_TRAIN_FINETUNE_H

#include "job.h"

/* True when all epochs are done, or after a clean stop (result->stopped). */
bool ich_finetune(const ich_train_job *job, ich_train_result *result, ich_error *err);

/* Takes over what a fine-tuned model must share with the one it starts from: arch, size, windows; and the
 * head's shape where it has such a head. */
bool ich_finetune_inherit(ich_recipe *recipe, const char *init, ich_error *err);

#endif
