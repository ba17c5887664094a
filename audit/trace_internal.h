/* trace_internal.h: between trace.c and trace_gradient.c. Not for other files. */
#ifndef ICH_AUDIT_TRACE_INTERNAL_H
#define ICH_AUDIT_TRACE_INTERNAL_H

#include "audit/trace.h"
#include "data/labels.h"
#include "data/volume.h"
#include "infer/slices.h"

/* What backward starts from. */
typedef struct ich_trace_study {
    const ich_model *model;
    const ich_slices *slices;
    const ich_volume *volume;
    const float *features; /* [volume->slices][c], as forward made them */
    float label[ICH_LABELS];
} ich_trace_study;

/* Adds to gradients [graph.n_values] and sets *loss. */
bool ich_trace_gradient(const ich_trace_study *study, float *gradients, float *loss, ich_error *err);

/* <dump>/<file> or NULL with *done false when memory is out; both NULL and done where dump is NULL. */
bool ich_trace_open_array(ich_trace_row *row, int rank, const int64_t *dims, const ich_trace_options *options,
                          ich_error *err);

#endif
