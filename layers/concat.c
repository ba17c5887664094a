/* concat.c: two inputs' channels side by side: y[i,j] = (a[i,j], b[i,j]).
 *
 * Backward: each input receives its own channels of δ. Huang et al. 2016 (DenseNet, arXiv 1608.06993).
 */
#include "call.h"
#include <string.h>

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr;
    if (in[0].h != in[1].h || in[0].w != in[1].w || in[0].c > INT32_MAX - in[1].c)
        return ich_fail(err, "cannot join the channels of a %d × %d and a %d × %d picture", in[0].h, in[0].w,
                        in[1].h, in[1].w);
    *out = (ich_shape){in[0].h, in[0].w, in[0].c + in[1].c};
    return true;
}

static int64_t pixels_of(const ich_call *call) {
    return (int64_t)rows_of(call, 0) * call->out_shape.h * call->out_shape.w;
}

/* The first input may lie where it belongs already: in a stack of concatenations only the new channels move.
 */
static bool in_its_place(const ich_call *call, int input) { return input == 0 && call->in[0] == call->out; }

static void put_channels(int64_t pixels, size_t c, const real *x, int ldx, real *y, int ldy) {
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++) memcpy(y + p * ldy, x + p * ldx, c * sizeof *y);
}

static void forward(const ich_call *call) {
    real *y = call->out;
    for (int i = 0; i < 2; i++) {
        const size_t c = (size_t)call->in_shape[i].c;
        if (!in_its_place(call, i))
            put_channels(pixels_of(call), c, call->in[i], call->in_stride[i], y, call->out_stride);
        y += c;
    }
}

/* One input's channels of dy. */
static void take_channels(int64_t pixels, size_t c, const real *dy, int ldy, bool accumulate, real *dx,
                          int ldx) {
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++) {
        const real *restrict from = dy + p * ldy;
        real *restrict to = dx + p * ldx;
        if (accumulate)
            for (size_t i = 0; i < c; i++) to[i] += from[i];
        else
            memcpy(to, from, c * sizeof *to);
    }
}

static void backward(const ich_call *call) {
    const real *dy = call->d_out;
    for (int i = 0; i < 2; i++) {
        const size_t c = (size_t)call->in_shape[i].c;
        if (call->d_in[i] && call->d_in[i] != dy)
            take_channels(pixels_of(call), c, dy, call->out_stride, call->accumulate[i], call->d_in[i],
                          call->in_stride[i]);
        dy += c;
    }
}

const ich_layer ICH_NAME(ich_layer_concat) = {
    .op = "concat",
    .formula = "y[i,j] = (a[i,j], b[i,j])",
    .source = "Huang et al. 2016, arXiv 1608.06993",
    .inputs = 2,
    .strided = true,
    .cheap = true,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
