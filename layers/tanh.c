/* tanh.c: y = tanh(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).
 *
 * Backward: dy/dx = 1 - y² by the quotient rule, so dL/dx = δ (1 - y²). LeCun et al. 1998, "Efficient
 * BackProp", says why a network prefers it to the sigmoid.
 */
#include "call.h"

static void forward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    (k->tanh)(count_of(call, 0), call->in[0], call->out); /* brackets: tgmath.h's tanh is a macro */
}

static void backward(const ich_call *call) {
    const real *y = call->out, *dy = call->d_out;
    real *dx = call->d_in[0];
    if (!dx) return;
    bool accumulate = call->accumulate[0];
    size_t n = count_of(call, 0);
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        real d = dy[i] * (1 - y[i] * y[i]);
        dx[i] = accumulate ? dx[i] + d : d;
    }
}

const ich_layer ICH_NAME(ich_layer_tanh) = {
    .op = "tanh",
    .formula = "y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))",
    .source = "LeCun et al. 1998, Efficient BackProp",
    .inputs = 1,
    .needs = ICH_NEEDS_OUTPUT,
    .in_place = true,
    .cheap = true,
    .shape = same_shape,
    .forward = forward,
    .backward = backward,
};
