/* layer_norm.c: each row by its own mean and variance. attr: eps.
 *
 *   x̂ = s (x - μ),  s = 1 / sqrt(σ² + eps),  y = γ ⊙ x̂ + β        μ, σ² over the row's c numbers
 *
 * Backward, with g = δ ⊙ γ: as in batch_norm.c, with a row's numbers in place of a channel's,
 *   dL/dx = s (g - mean(g) - x̂ mean(g x̂)),  dγ = Σ δ x̂,  dβ = Σ δ over the rows
 * Ba, Kiros and Hinton 2016, arXiv 1607.06450.
 */
#include "call.h"

static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    (void)attr;
    int c = (int)size_of(*in);
    specs[0] = (ich_param_spec){
        .suffix = "weight", .rank = 1, .dims = {c}, .init = ICH_INIT_CONSTANT, .scale = 1, .trainable = true};
    specs[1] =
        (ich_param_spec){.suffix = "bias", .rank = 1, .dims = {c}, .init = ICH_INIT_ZERO, .trainable = true};
    return 2;
}

static real mean_of(size_t c, const real *x) {
    real sum = 0;
    for (size_t i = 0; i < c; i++) sum += x[i];
    return sum / (real)c;
}

/* s of a row */
static real inverse_deviation(size_t c, const real *x, real mean, float eps) {
    real sum = 0;
    for (size_t i = 0; i < c; i++) sum += (x[i] - mean) * (x[i] - mean);
    return 1 / sqrt(sum / (real)c + eps);
}

static void forward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    const real *gamma = call->param[0], *beta = call->param[1];
    for (int row = 0; row < rows_of(call, 0); row++) {
        const real *x = (const real *)call->in[0] + row * c;
        real *y = (real *)call->out + row * c, mean = mean_of(c, x);
        real s = inverse_deviation(c, x, mean, call->attr->eps);
        for (size_t i = 0; i < c; i++) y[i] = gamma[i] * s * (x[i] - mean) + beta[i];
    }
}

static void backward_row(const ich_call *call, size_t c, const real *x, const real *dy, real *dx) {
    const real *gamma = call->param[0];
    real *dgamma = call->d_param[0], *dbeta = call->d_param[1], mean = mean_of(c, x);
    real s = inverse_deviation(c, x, mean, call->attr->eps), mean_g = 0, mean_gx = 0;
    for (size_t i = 0; i < c; i++) {
        real normal = s * (x[i] - mean), g = dy[i] * gamma[i];
        mean_g += g / (real)c;
        mean_gx += g * normal / (real)c;
        if (dgamma) dgamma[i] += dy[i] * normal;
        if (dbeta) dbeta[i] += dy[i];
    }
    for (size_t i = 0; dx && i < c; i++) {
        real d = s * (dy[i] * gamma[i] - mean_g - s * (x[i] - mean) * mean_gx);
        dx[i] = call->accumulate[0] ? dx[i] + d : d;
    }
}

static void backward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    real *dx = call->d_in[0];
    for (int row = 0; row < rows_of(call, 0); row++)
        backward_row(call, c, (const real *)call->in[0] + row * c, (const real *)call->d_out + row * c,
                     dx ? dx + row * c : NULL);
}

const ich_layer ICH_NAME(ich_layer_layer_norm) = {
    .op = "layer_norm",
    .formula = "y = gamma (x - mean) / sqrt(variance + eps) + beta, over each row",
    .source = "Ba, Kiros and Hinton 2016, arXiv 1607.06450",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .shape = same_shape,
    .params = params,
    .forward = forward,
    .backward = backward,
};
