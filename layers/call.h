/* call.h: what several layer files do with their call, in the precision that they are compiled for.
 *
 * Calls: tensor. Called by: the layer files of this room; not for other rooms.
 */
#ifndef ICH_LAYERS_CALL_H
#define ICH_LAYERS_CALL_H

#include "layer.h"
#include "tensor/real.h"
#include <tgmath.h>

/* How many rows an input has: slices, or studies once they are pooled. */
static inline int rows_of(const ich_call *call, int input) {
    return call->in_domain[input] == ICH_PER_STUDY ? call->studies : call->rows;
}

static inline size_t size_of(ich_shape shape) { return (size_t)shape.h * (size_t)shape.w * (size_t)shape.c; }

/* Elements of an input, all rows together. */
static inline size_t count_of(const ich_call *call, int input) {
    return (size_t)rows_of(call, input) * size_of(call->in_shape[input]);
}

/* A part of an input's rows, cut as the ranks of a run cut a batch (tensor/ranks.h, ich_part_of). */
typedef struct row_part {
    int first, count;
} row_part;

static inline row_part part_of(const ich_call *call, int input, int part) {
    const int rows = rows_of(call, input), each = rows / call->parts, more = rows % call->parts;
    return (row_part){part * each + (part < more ? part : more), each + (part < more)};
}

/* Parts of one block of memory each start on a cache line: elements, rounded up. */
static inline size_t padded(size_t elements) { return (elements + 15) / 16 * 16; }

static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static inline real logistic(real x) { return 1 / (1 + exp(-x)); }

/* Places that a window takes along one side, or 0 where it does not fit. An attribute left at 0 means 1. */
static inline int window_places(int side, int kernel, int stride, int pad, int dilation) {
    int64_t room = (int64_t)side + 2 * (int64_t)pad - (int64_t)(dilation ? dilation : 1) * (kernel - 1) - 1;
    return room < 0 ? 0 : (int)(room / (stride ? stride : 1)) + 1;
}

static inline bool same_shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr, (void)err;
    *out = in[0];
    return true;
}

#endif
