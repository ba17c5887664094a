/* relu.c: y = max(0, x).
 *
 * Backward: dL/dx = δ where y > 0, else 0 (at the kink x = 0, where any slope from 0 to 1 would do, 0 as
 * torch). Only y is read, so y may take x's place. Nair and Hinton 2010.
 */
#include "call.h"

static void forward(const ich_call *call) {
    ((const ich_kernels *)call->kernels)->relu(count_of(call, 0), call->in[0], call->out);
}

static void backward(const ich_call *call) {
    if (!call->d_in[0]) return;
    ((const ich_kernels *)call->kernels)
        ->relu_backward(count_of(call, 0), call->out, call->d_out, call->accumulate[0], call->d_in[0]);
}

const ich_layer ICH_NAME(ich_layer_relu) = {
    .op = "relu",
    .formula = "y = max(0, x)",
    .source = "Nair and Hinton 2010, ICML",
    .inputs = 1,
    .needs = ICH_NEEDS_OUTPUT,
    .in_place = true,
    .cheap = true,
    .shape = same_shape,
    .forward = forward,
    .backward = backward,
};
