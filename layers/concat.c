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

static void forward(const ich_call *call) {
    const real *a = call->in[0], *b = call->in[1];
    real *y = call->out;
    size_t ca = (size_t)call->in_shape[0].c, cb = (size_t)call->in_shape[1].c;
    int64_t pixels = pixels_of(call);
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++) {
        real *to = y + (size_t)p * (ca + cb);
        memcpy(to, a + (size_t)p * ca, ca * sizeof *to);
        memcpy(to + ca, b + (size_t)p * cb, cb * sizeof *to);
    }
}

/* One input's channels: c of them, from `first` of `all`. */
static void take_channels(int64_t pixels, size_t first, size_t c, size_t all, const real *dy, bool accumulate,
                          real *dx) {
#pragma omp parallel for
    for (int64_t p = 0; p < pixels; p++) {
        const real *from = dy + (size_t)p * all + first;
        real *to = dx + (size_t)p * c;
        for (size_t i = 0; i < c; i++) to[i] = accumulate ? to[i] + from[i] : from[i];
    }
}

static void backward(const ich_call *call) {
    size_t first = 0, all = (size_t)call->out_shape.c;
    for (int i = 0; i < 2; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        if (call->d_in[i])
            take_channels(pixels_of(call), first, c, all, call->d_out, call->accumulate[i], call->d_in[i]);
        first += c;
    }
}

const ich_layer ICH_NAME(ich_layer_concat) = {
    .op = "concat",
    .formula = "y[i,j] = (a[i,j], b[i,j])",
    .source = "Huang et al. 2016, arXiv 1608.06993",
    .inputs = 2,
    .cheap = true,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
