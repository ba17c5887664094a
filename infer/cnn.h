/* cnn.h: slices of a volume through the CNN, at most a chunk at a time.
 *
 * What the last run made stays readable, and is not made again while it holds the slices that are asked for:
 * a study no longer than a chunk passes the CNN once, however often it is looked at.
 *
 * Calls: model, slices, taps, likeness, layers (exec), data (volume). Called by: study, explain.
 */
#ifndef ICH_INFER_CNN_H
#define ICH_INFER_CNN_H

#include "data/volume.h"
#include "infer/likeness.h"
#include "infer/model.h"
#include "infer/slices.h"
#include "infer/taps.h"
#include "layers/exec.h"

typedef struct ich_cnn {
    const ich_model *model;
    ich_slices slices;
    int chunk;      /* most slices in a run */
    float presence; /* of the picture over air, 0 … 1: 1, but on an integral's path (explain.c) */
    ich_exec *exec; /* input -> features, taps */
    int *held;      /* [chunk] network slices that the exec holds */
    int n_held;
} ich_cnn;

/* `taps`: whose values will be read beside the features; NULL: none. The model must outlive the cnn. */
bool ich_cnn_open(ich_cnn *cnn, const ich_model *model, const ich_taps *taps, ich_error *err);
void ich_cnn_close(ich_cnn *cnn);

/* Before another volume, or another presence. */
void ich_cnn_forget(ich_cnn *cnn);
/* Sees to it that these network slices, at most a chunk, are in the exec. */
bool ich_cnn_hold(ich_cnn *cnn, const ich_volume *volume, const int *slices, int rows, ich_error *err);
/* The same for slices first … first + rows - 1. */
bool ich_cnn_hold_range(ich_cnn *cnn, const ich_volume *volume, int first, int rows, ich_error *err);
/* A held slice's value of `node`: input, features, or a tap. */
const float *ich_cnn_value(ich_cnn *cnn, int node, int slice);

/* Adds the slices that the last run took in. */
void ich_cnn_look(const ich_cnn *cnn, ich_look *look);

/* What the input is where there is only air below every window. */
float ich_cnn_air(void);

#endif
