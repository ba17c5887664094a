/* global_average.c: the mean of each channel over the whole picture.
 *
 *   y[c] = 1/(h w) Σ_{i,j} x[i,j,c]
 *
 * Backward: every pixel receives δ / (h w). Lin, Chen and Yan 2013 (arXiv 1312.4400).
 */
#include "call.h"

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr, (void)err;
    *out = (ich_shape){1, 1, in->c};
    return true;
}

static int pixels_of(const ich_call *call) { return call->in_shape[0].h * call->in_shape[0].w; }

static void forward(const ich_call *call) {
    ((const ich_kernels *)call->kernels)
        ->global_average(rows_of(call, 0), pixels_of(call), call->in_shape[0].c, call->in[0], call->out);
}

static void backward(const ich_call *call) {
    if (!call->d_in[0]) return;
    ((const ich_kernels *)call->kernels)
        ->global_average_backward(rows_of(call, 0), pixels_of(call), call->in_shape[0].c, call->d_out,
                                  call->accumulate[0], call->d_in[0]);
}

const ich_layer ICH_NAME(ich_layer_global_average) = {
    .op = "global_average",
    .formula = "y[c] = 1/(h w) sum over i,j of x[i,j,c]",
    .source = "Lin, Chen and Yan 2013, arXiv 1312.4400",
    .inputs = 1,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
