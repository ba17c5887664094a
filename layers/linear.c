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

/* The kernels' own; behind it a part's gradient. */
static size_t kernel_scratch(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    return padded(k->channel_scratch(rows_of(call, 0), call->attr->out));
}

static size_t part_scratch(const ich_call *call) {
    const size_t out = (size_t)call->attr->out;
    return call->parts > 1 ? out * size_of(call->in_shape[0]) + out : 0;
}

static size_t scratch(const ich_call *call) {
    return call->gradient ? (kernel_scratch(call) + part_scratch(call)) * sizeof(real) : 0;
}

static void forward(const ich_call *call) {
    affine_forward(call->kernels, rows_of(call, 0), (int)size_of(call->in_shape[0]), call->attr->out,
                   call->in[0], call->param[0], call->param[1], call->out);
}

static void add_to(const ich_call *call, size_t n, const real *part, real *sum) {
    if (sum) ((const ich_kernels *)call->kernels)->add(n, sum, part, false, sum);
}

/* The parameters' gradient of each part by itself, then added: as so many processes would. */
static void backward_parts(const ich_call *call, int in, int out) {
    real *work = call->scratch, *dw = work + kernel_scratch(call), *db = dw + (size_t)in * (size_t)out;
    for (int p = 0; p < call->parts; p++) {
        const row_part rows = part_of(call, 0, p);
        const real *x = (const real *)call->in[0] + (size_t)rows.first * (size_t)in;
        const real *dy = (const real *)call->d_out + (size_t)rows.first * (size_t)out;
        memset(dw, 0, part_scratch(call) * sizeof *dw);
        if (rows.count > 0)
            affine_backward(call->kernels, rows.count, in, out, x, call->param[0], dy, false, NULL, dw, db,
                            work);
        add_to(call, (size_t)in * (size_t)out, dw, call->d_param[0]);
        add_to(call, (size_t)out, db, call->d_param[1]);
    }
}

static void backward(const ich_call *call) {
    const int in = (int)size_of(call->in_shape[0]), out = call->attr->out;
    const bool whole = call->parts == 1;
    if (!whole) backward_parts(call, in, out);
    affine_backward(call->kernels, rows_of(call, 0), in, out, call->in[0], call->param[0], call->d_out,
                    call->accumulate[0], call->d_in[0], whole ? call->d_param[0] : NULL,
                    whole ? call->d_param[1] : NULL, call->scratch);
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
