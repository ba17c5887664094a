/* descent.h: the gradient of an answer on its way down the CNN: from the features to each tap.
 *
 * One exec for each stretch between two taps, so that each tap is an exec's input, whose value and gradient
 * stay readable; parameters are frozen, batch norm works on its running statistics. Values are computed again
 * from the first tap upwards: what backward needs is then kept for the few rows of one run only.
 *
 * Calls: model, taps, layers (exec). Called by: explain, tests.
 */
#ifndef ICH_INFER_DESCENT_H
#define ICH_INFER_DESCENT_H

#include "infer/model.h"
#include "infer/taps.h"
#include "layers/exec.h"

typedef struct ich_descent {
    const ich_model *model;
    ich_taps taps;
    ich_exec *stage[ICH_MAX_TAPS]; /* from tap i to tap i + 1, the last to the features */
} ich_descent;

/* `rows`: most slices in a run. The model must outlive the trace. */
bool ich_descent_open(ich_descent *trace, const ich_model *model, const ich_taps *taps, int rows,
                      ich_error *err);
void ich_descent_close(ich_descent *trace);

/* Value of tap i, [rows][h][w][c]: fill that of tap 0 before a run, read any after. */
float *ich_descent_value(ich_descent *trace, int i);
/* d_features [rows][c]. */
void ich_descent_run(ich_descent *trace, int rows, const float *d_features);
/* Gradient with respect to tap i, after a run. */
const float *ich_descent_gradient(ich_descent *trace, int i);

#endif
