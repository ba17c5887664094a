/* silu.c: y = x σ(x), σ the sigmoid.
 *
 * Backward: dy/dx = σ + x σ (1 - σ) = σ (1 + x (1 - σ)). y falls, then rises: it does not tell x, so x is
 * kept. Elfwing et al. 2017; Ramachandran et al. 2017 (swish).
 */
#include "call.h"

static void forward(const ich_call *call) {
    const real *x = call->in[0];
    real *y = call->out;
    size_t n = count_of(call, 0);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) y[i] = x[i] * logistic(x[i]);
}

static void backward(const ich_call *call) {
    const real *x = call->in[0], *dy = call->d_out;
    real *dx = call->d_in[0];
    if (!dx) return;
    bool accumulate = call->accumulate[0];
    size_t n = count_of(call, 0);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        real s = logistic(x[i]), d = dy[i] * s * (1 + x[i] * (1 - s));
        dx[i] = accumulate ? dx[i] + d : d;
    }
}

const ich_layer ICH_NAME(ich_layer_silu) = {
    .op = "silu",
    .formula = "y = x / (1 + exp(-x))",
    .source = "Elfwing et al. 2017, arXiv 1702.03118; Ramachandran et al. 2017, arXiv 1710.05941",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .in_place = true, /* the plan does so only where backward will not ask for x */
    .cheap = true,
    .shape = same_shape,
    .forward = forward,
    .backward = backward,
};
