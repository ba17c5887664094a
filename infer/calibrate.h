/* calibrate.h: a model whose probabilities are honest and whose threshold keeps a promise, from its answers
 * to a validation set.
 *
 * The line of each label (calibration.h) is folded into the weights and biases of the last linear layer, so
 * that every reader of the model file, and the slices, get the same answers; the order of the answers stays.
 * What was done stands in the file's metadata: calibration       "platt" or "temperature", with slope and
 * offset of each label threshold         of *any*: called positive from here threshold_sure    of *any*: from
 * here not even in doubt; absent without max_false threshold_types   of the types promise           a
 * sentence predict writes them into about.csv, where evaluate finds the threshold.
 *
 * Calls: calibration, conformal, model, tables, stats. Called by: cli.
 */
#ifndef ICH_INFER_CALIBRATE_H
#define ICH_INFER_CALIBRATE_H

#include "data/labels.h"
#include "infer/model.h"
#include <stdio.h>

typedef struct ich_calibrate_options {
    const char *predictions, *truth; /* folders: the model's answers, their labels */
    const char *split;               /* of the truth; NULL: all */
    const char *out;                 /* folder: model.safetensors, calibration.csv */
    const char *method;              /* "platt", "temperature" or "none" */
    double max_missed;               /* share of positive studies that may be called negative */
    double max_false;  /* share of negative studies that may be called positive for sure; NaN: no
                        * such threshold */
    double confidence; /* of both promises; 0: on average */
} ich_calibrate_options;

typedef struct ich_calibration_row { /* a label */
    double slope, offset;
    const char *why; /* NULL, or why the line is 1, 0 */
    size_t n, positives;
    double log_loss[2], brier[2], ece[2]; /* before, after; on the data that it was fitted to */
} ich_calibration_row;

typedef struct ich_calibration {
    ich_calibration_row rows[ICH_LABELS];
    double threshold, sure, types; /* NaN: none */
    char promise[300];
} ich_calibration;

/* Changes `model` and writes it. Fails if the answers are not this model's, or the cases too few for the
 * promise.
 */
bool ich_calibrate(ich_model *model, const ich_calibrate_options *options, ich_calibration *result,
                   ich_error *err);
void ich_calibration_print(const ich_calibration *calibration, FILE *stream);

#endif
