/* moderate.c: the logit of an answer that is not sure: a Gaussian logit's mean, moved towards 0.
 *
 *   ∫ σ(f) N(f; μ, v) df ≈ σ(κ μ),  κ = 1 / sqrt(1 + π v / 8),  y = κ μ
 *
 * MacKay 1992, Neural Computation 4(5), The evidence framework applied to classification networks. Input:
 * {1, 3, c} of gp.c, of which μ and v, its first two rows, are read; output c logits. v counts from 0 on.
 *
 * Backward: dy/dμ = κ, and from dκ/dv = -π/16 κ³, dy/dv = -π/16 κ³ μ, 0 below v = 0.
 */
#include "call.h"

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr;
    if (in->h != 1 || in->w != 3)
        return ich_fail(err, "its input must be mean, variance and divergence of a Gaussian process");
    *out = (ich_shape){1, 1, in->c};
    return true;
}

static const real pi = (real)3.14159265358979323846;

static real moderation(real variance) { return 1 / sqrt(1 + pi / 8 * fmax(variance, 0)); }

static void forward(const ich_call *call) {
    int c = call->out_shape.c;
    for (int row = 0; row < rows_of(call, 0); row++) {
        const real *x = (const real *)call->in[0] + (size_t)row * 3 * c;
        real *y = (real *)call->out + (size_t)row * c;
        for (int i = 0; i < c; i++) y[i] = moderation(x[c + i]) * x[i];
    }
}

static void put(const ich_call *call, real *at, real value) {
    *at = call->accumulate[0] ? *at + value : value;
}

static void backward(const ich_call *call) {
    int c = call->out_shape.c;
    if (!call->d_in[0]) return;
    for (int row = 0; row < rows_of(call, 0); row++) {
        const real *x = (const real *)call->in[0] + (size_t)row * 3 * c;
        const real *dy = (const real *)call->d_out + (size_t)row * c;
        real *dx = (real *)call->d_in[0] + (size_t)row * 3 * c;
        for (int i = 0; i < c; i++) {
            real kappa = moderation(x[c + i]);
            put(call, dx + i, dy[i] * kappa);
            put(call, dx + c + i, x[c + i] > 0 ? -dy[i] * pi / 16 * kappa * kappa * kappa * x[i] : 0);
            put(call, dx + 2 * c + i, 0);
        }
    }
}

const ich_layer ICH_NAME(ich_layer_moderate) = {
    .op = "moderate",
    .formula = "y = mean / sqrt(1 + pi variance / 8)",
    .source = "MacKay 1992, Neural Computation 4(5)",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
