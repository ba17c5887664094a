/* sigmoid.c: y = 1 / (1 + exp(-x)).
 *
 * Backward: dy/dx = exp(-x) / (1 + exp(-x))² = y (1 - y), so dL/dx = δ y (1 - y). Verhulst 1838.
 */
#include "call.h"

static void forward(const ich_call *call) {
    ((const ich_kernels *)call->kernels)->sigmoid(count_of(call, 0), call->in[0], call->out);
}

static void backward(const ich_call *call) {
    const real *y = call->out, *dy = call->d_out;
    real *dx = call->d_in[0];
    if (!dx) return;
    bool accumulate = call->accumulate[0];
    size_t n = count_of(call, 0);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        real d = dy[i] * y[i] * (1 - y[i]);
        dx[i] = accumulate ? dx[i] + d : d;
    }
}

const ich_layer ICH_NAME(ich_layer_sigmoid) = {
    .op = "sigmoid",
    .formula = "y = 1 / (1 + exp(-x))",
    .source = "Verhulst 1838, Corresp. math. et phys. 10",
    .inputs = 1,
    .needs = ICH_NEEDS_OUTPUT,
    .in_place = true,
    .cheap = true,
    .shape = same_shape,
    .forward = forward,
    .backward = backward,
};
