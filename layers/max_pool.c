/* max_pool.c: the greatest value of each window.
 *
 *   y[i,j,c] = max over r,s of x[i·stride + r - pad, j·stride + s - pad, c]        attr: kernel, stride, pad
 *
 * Backward: y moves with the winner alone, so δ goes to its place; where windows overlap, the parts add up.
 * Only the winner's place in its window is kept, one byte. Weng et al. 1992 (Cresceptron).
 */
#include "call.h"

enum { LARGEST = 16 }; /* the places of a 16 × 16 window fit a byte */

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->kernel < 1 || attr->kernel > LARGEST || attr->stride < 1 || attr->pad < 0 ||
        2 * attr->pad > attr->kernel)
        return ich_fail(err,
                        "pooling needs a kernel from 1 to 16, a stride, and padding up to half the kernel");
    *out = (ich_shape){window_places(in->h, attr->kernel, attr->stride, attr->pad, 1),
                       window_places(in->w, attr->kernel, attr->stride, attr->pad, 1), in->c};
    if (out->h < 1 || out->w < 1)
        return ich_fail(err, "a %d × %d input is too small for a window of %d", in->h, in->w, attr->kernel);
    return true;
}

static ich_pool_shape shape_of(const ich_call *call) {
    ich_shape in = call->in_shape[0], out = call->out_shape;
    return (ich_pool_shape){.n = rows_of(call, 0),
                            .h = in.h,
                            .w = in.w,
                            .c = in.c,
                            .r = call->attr->kernel,
                            .stride = call->attr->stride,
                            .pad = call->attr->pad,
                            .oh = out.h,
                            .ow = out.w};
}

static size_t saved(const ich_call *call) { return (size_t)rows_of(call, 0) * size_of(call->out_shape); }

static void forward(const ich_call *call) {
    ich_pool_shape s = shape_of(call);
    ((const ich_kernels *)call->kernels)
        ->max_pool(&s, call->in[0], call->out, call->gradient ? call->saved : NULL);
}

static void backward(const ich_call *call) {
    ich_pool_shape s = shape_of(call);
    if (!call->d_in[0]) return;
    ((const ich_kernels *)call->kernels)
        ->max_pool_backward(&s, call->d_out, call->saved, call->accumulate[0], call->d_in[0]);
}

const ich_layer ICH_NAME(ich_layer_max_pool) = {
    .op = "max_pool",
    .formula = "y[i,j] = max over r,s of x[i stride + r - pad, j stride + s - pad]",
    .source = "Weng et al. 1992, IJCNN",
    .inputs = 1,
    .shape = shape,
    .saved = saved,
    .forward = forward,
    .backward = backward,
};
