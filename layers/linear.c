/* linear.c: y = W x + b on every row; a picture is read as one vector h·w·c. attr: out, bias, start.
 *
 *   y [n,out] = x [n,in] · W [out,in]ᵀ + b
 *
 * Backward (derivation: affine.h): dL/dx = δ W, dL/dW = δᵀ x, dL/db = Σ δ over the rows.
 */
#include "affine.h"

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->out < 1) return ich_fail(err, "a linear layer needs at least one output");
    if (size_of(*in) > INT32_MAX) return ich_fail(err, "a linear layer's input is too large");
    *out = (ich_shape){1, 1, attr->out};
    return true;
}

/* Both uniform ±1/sqrt(in), torch.nn.Linear's default, unless the bias has a start of its own. */
static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    float scale = 1 / sqrtf((float)size_of(*in));
    specs[0] = (ich_param_spec){.suffix = "weight",
                                .rank = 2,
                                .dims = {attr->out, (int)size_of(*in)},
                                .init = ICH_INIT_UNIFORM,
                                .scale = scale,
                                .trainable = true,
                                .decay = true};
    specs[1] = (ich_param_spec){.suffix = "bias",
                                .rank = 1,
                                .dims = {attr->out},
                                .init = attr->start != 0 ? ICH_INIT_CONSTANT : ICH_INIT_UNIFORM,
                                .scale = attr->start != 0 ? attr->start : scale,
                                .trainable = true};
    return attr->bias ? 2 : 1;
}

static size_t scratch(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    return call->gradient ? k->channel_scratch(rows_of(call, 0), call->attr->out) * sizeof(real) : 0;
}

static void forward(const ich_call *call) {
    affine_forward(call->kernels, rows_of(call, 0), (int)size_of(call->in_shape[0]), call->attr->out,
                   call->in[0], call->param[0], call->param[1], call->out);
}

static void backward(const ich_call *call) {
    affine_backward(call->kernels, rows_of(call, 0), (int)size_of(call->in_shape[0]), call->attr->out,
                    call->in[0], call->param[0], call->d_out, call->accumulate[0], call->d_in[0],
                    call->d_param[0], call->d_param[1], call->scratch);
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    (void)out;
    return (int64_t)size_of(*in) * attr->out;
}

const ich_layer ICH_NAME(ich_layer_linear) = {
    .op = "linear",
    .formula = "y = W x + b",
    .source = "Rosenblatt 1958; initial weights as torch.nn.Linear",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .shape = shape,
    .params = params,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
