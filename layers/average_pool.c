/* average_pool.c: the mean of each window.
 *
 *   y[i,j,c] = 1/k² Σ_{r,s} x[i·stride + r - pad, j·stride + s - pad, c]        attr: kernel k, stride, pad
 *
 * Padding counts as zeros (torch's default). Backward: every x of a window receives δ / k². LeCun et al.
 * 1998.
 */
#include "call.h"
#include <string.h>

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->kernel < 1 || attr->stride < 1 || attr->pad < 0 || 2 * (int64_t)attr->pad > attr->kernel)
        return ich_fail(err, "pooling needs a kernel, a stride, and padding up to half the kernel");
    *out = (ich_shape){window_places(in->h, attr->kernel, attr->stride, attr->pad, 1),
                       window_places(in->w, attr->kernel, attr->stride, attr->pad, 1), in->c};
    if (out->h < 1 || out->w < 1)
        return ich_fail(err, "a %d × %d input is too small for a window of %d", in->h, in->w, attr->kernel);
    return true;
}

/* The part of window (i, j) that lies on the picture: rows top … bottom-1, columns left … right-1. */
typedef struct window {
    int top, bottom, left, right;
} window;

static window window_at(const ich_call *call, int i, int j) {
    const ich_attr *a = call->attr;
    int y = i * a->stride - a->pad, x = j * a->stride - a->pad;
    int h = call->in_shape[0].h, w = call->in_shape[0].w;
    return (window){.top = y > 0 ? y : 0,
                    .bottom = y + a->kernel < h ? y + a->kernel : h,
                    .left = x > 0 ? x : 0,
                    .right = x + a->kernel < w ? x + a->kernel : w};
}

static void forward_row(const ich_call *call, const real *x, real *y) {
    int c = call->in_shape[0].c, w = call->in_shape[0].w;
    real share = 1 / (real)(call->attr->kernel * call->attr->kernel);
    for (int i = 0; i < call->out_shape.h; i++)
        for (int j = 0; j < call->out_shape.w; j++, y += c) {
            window at = window_at(call, i, j);
            memset(y, 0, (size_t)c * sizeof *y);
            for (int r = at.top; r < at.bottom; r++)
                for (int s = at.left; s < at.right; s++)
                    for (int channel = 0; channel < c; channel++)
                        y[channel] += share * x[((size_t)r * w + s) * c + channel];
        }
}

static void backward_row(const ich_call *call, const real *dy, real *dx) {
    int c = call->in_shape[0].c, w = call->in_shape[0].w;
    real share = 1 / (real)(call->attr->kernel * call->attr->kernel);
    for (int i = 0; i < call->out_shape.h; i++)
        for (int j = 0; j < call->out_shape.w; j++, dy += c) {
            window at = window_at(call, i, j);
            for (int r = at.top; r < at.bottom; r++)
                for (int s = at.left; s < at.right; s++)
                    for (int channel = 0; channel < c; channel++)
                        dx[((size_t)r * w + s) * c + channel] += share * dy[channel];
        }
}

static void forward(const ich_call *call) {
    const real *x = call->in[0];
    real *y = call->out;
    size_t in = size_of(call->in_shape[0]), out = size_of(call->out_shape);
    int rows = rows_of(call, 0);
#pragma omp parallel for
    for (int row = 0; row < rows; row++) forward_row(call, x + row * in, y + row * out);
}

static void backward(const ich_call *call) {
    const real *dy = call->d_out;
    real *dx = call->d_in[0];
    size_t in = size_of(call->in_shape[0]), out = size_of(call->out_shape);
    int rows = rows_of(call, 0);
    if (!dx) return;
#pragma omp parallel for
    for (int row = 0; row < rows; row++) {
        if (!call->accumulate[0]) memset(dx + row * in, 0, in * sizeof *dx);
        backward_row(call, dy + row * out, dx + row * in);
    }
}

const ich_layer ICH_NAME(ich_layer_average_pool) = {
    .op = "average_pool",
    .formula = "y[i,j] = 1/k^2 sum over r,s of x[i stride + r - pad, j stride + s - pad]",
    .source = "LeCun et al. 1998, Proc. IEEE 86(11)",
    .inputs = 1,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
