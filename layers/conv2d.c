/* conv2d.c: two-dimensional convolution.
 *
 *   y[n,i,j,k] = b[k] + Σ_{r,s,c} W[k,c,r,s] · x[n, i·stride + r·dilation - pad, j·stride + s·dilation - pad,
 * c]
 *
 * x is 0 outside the picture; with groups, output channel k sees only its group's input channels.
 * attr: out, kernel, stride, pad, dilation, groups, bias. LeCun et al. 1998, "Gradient-based learning".
 *
 * Backward. y is linear in x and in W, so each factor of a product receives δ = dL/dy times the other one:
 *   dL/dW[k,c,r,s] = Σ_{n,i,j} δ[n,i,j,k] · x[n, i·stride + r·dilation - pad, …, c]
 *   dL/dx[n,p,q,c] = Σ_{k,r,s} W[k,c,r,s] · δ[n,i,j,k]   over the i, j with p = i·stride + r·dilation - pad,
 * … dL/db[k]       = Σ_{n,i,j} δ[n,i,j,k] The loops are kernels (tensor/), each with a reference that reads
 * as above. The weights are repacked for them once per change, in prepare.
 */
#include "call.h"
#include <string.h>

static int or_one(int setting) { return setting ? setting : 1; }

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    int groups = or_one(attr->groups);
    if (attr->out < 1 || attr->kernel < 1 || attr->stride < 0 || attr->pad < 0 || attr->dilation < 0 ||
        groups < 1)
        return ich_fail(err, "a convolution needs out and kernel of at least 1, and no negative setting");
    if (in->c % groups || attr->out % groups)
        return ich_fail(err, "%d input and %d output channels do not divide into %d groups", in->c, attr->out,
                        groups);
    *out =
        (ich_shape){window_places(in->h, attr->kernel, attr->stride, attr->pad, attr->dilation),
                    window_places(in->w, attr->kernel, attr->stride, attr->pad, attr->dilation), attr->out};
    if (out->h < 1 || out->w < 1)
        return ich_fail(err, "a %d × %d input is too small for a kernel of %d", in->h, in->w, attr->kernel);
    return true;
}

/* He et al. 2015 (arXiv 1502.01852), normal, by fan-out: torchvision's choice for its resnets. */
static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    int c = in->c / or_one(attr->groups), side = attr->kernel;
    specs[0] = (ich_param_spec){.suffix = "weight",
                                .rank = 4,
                                .dims = {attr->out, c, side, side},
                                .init = ICH_INIT_NORMAL,
                                .scale = sqrtf(2 / ((float)attr->out * (float)(side * side))),
                                .trainable = true,
                                .decay = true};
    if (!attr->bias) return 1;
    specs[1] = (ich_param_spec){.suffix = "bias",
                                .rank = 1,
                                .dims = {attr->out},
                                .init = ICH_INIT_UNIFORM,
                                .scale = 1 / sqrtf((float)c * (float)(side * side)),
                                .trainable = true};
    return 2;
}

static ich_conv_shape shape_of(const ich_call *call) {
    const ich_attr *a = call->attr;
    ich_shape in = call->in_shape[0], out = call->out_shape;
    return (ich_conv_shape){.n = rows_of(call, 0),
                            .h = in.h,
                            .w = in.w,
                            .c = in.c,
                            .k = a->out,
                            .r = a->kernel,
                            .s = a->kernel,
                            .stride = or_one(a->stride),
                            .pad = a->pad,
                            .dilation = or_one(a->dilation),
                            .groups = or_one(a->groups),
                            .oh = out.h,
                            .ow = out.w};
}

static int64_t pixels_of(const ich_conv_shape *s) { return (int64_t)s->n * s->oh * s->ow; }

/* prepared: the weights for forward, then those for backward data */
static size_t packed_elements(const ich_call *call, const ich_conv_shape *s, ich_direction direction) {
    return padded(((const ich_kernels *)call->kernels)->conv2d_packed(s, direction));
}

static size_t prepared(const ich_call *call) {
    ich_conv_shape s = shape_of(call);
    if (call->pack_on_use) return 0;
    size_t backward = call->gradient ? packed_elements(call, &s, ICH_BACKWARD_DATA) : 0;
    return (packed_elements(call, &s, ICH_FORWARD) + backward) * sizeof(real);
}

static void prepare(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    ich_conv_shape s = shape_of(call);
    real *packed = call->prepared;
    k->conv2d_pack(&s, ICH_FORWARD, call->param[0], packed);
    if (call->gradient && call->d_in[0])
        k->conv2d_pack(&s, ICH_BACKWARD_DATA, call->param[0],
                       packed + packed_elements(call, &s, ICH_FORWARD));
}

static size_t weights_of(const ich_conv_shape *s) {
    return (size_t)s->k * (size_t)(s->c / s->groups) * (size_t)s->r * (size_t)s->s;
}

/* Scratch: the kernel's own; behind it, with pack_on_use, the packed weights, or a part's gradient. */
static size_t kernel_scratch(const ich_call *call, const ich_conv_shape *s) {
    const ich_kernels *k = call->kernels;
    size_t most = k->conv2d_scratch(s, ICH_FORWARD);
    if (call->gradient) {
        most = larger(most, k->conv2d_scratch(s, ICH_BACKWARD_DATA));
        most = larger(most, k->conv2d_scratch(s, ICH_BACKWARD_WEIGHTS));
        most = larger(most, k->channel_scratch(pixels_of(s), s->k));
    }
    return padded(most);
}

static size_t scratch(const ich_call *call) {
    ich_conv_shape s = shape_of(call);
    size_t packed = 0;
    if (call->pack_on_use) packed = packed_elements(call, &s, ICH_FORWARD);
    if (call->pack_on_use && call->gradient)
        packed = larger(packed, packed_elements(call, &s, ICH_BACKWARD_DATA));
    if (call->parts > 1 && call->gradient) packed = larger(packed, weights_of(&s));
    return (kernel_scratch(call, &s) + packed) * sizeof(real);
}

/* The weights as the kernels of a direction want them. */
static const real *packed_weights(const ich_call *call, const ich_conv_shape *s, ich_direction direction) {
    const ich_kernels *k = call->kernels;
    if (!call->pack_on_use)
        return (const real *)call->prepared +
               (direction == ICH_FORWARD ? 0 : packed_elements(call, s, ICH_FORWARD));
    real *packed = (real *)call->scratch + kernel_scratch(call, s);
    k->conv2d_pack(s, direction, call->param[0], packed);
    return packed;
}

/* A bias is there by attr.bias, or because a batch norm was folded into this layer (exec.c). */
static void forward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    ich_conv_shape s = shape_of(call);
    k->conv2d_forward(&s, call->in[0], packed_weights(call, &s, ICH_FORWARD), call->param[1], call->add,
                      call->relu, call->out, call->scratch);
}

/* A part of the rows: x and dy begin there, and s has as many images. */
static ich_conv_shape part_shape(const ich_call *call, int part, const real **x, const real **dy) {
    const row_part rows = part_of(call, 0, part);
    ich_conv_shape s = shape_of(call);
    s.n = rows.count;
    *x = (const real *)call->in[0] + (size_t)rows.first * (size_t)(s.h * s.w * s.c);
    *dy = (const real *)call->d_out + (size_t)rows.first * (size_t)(s.oh * s.ow * s.k);
    return s;
}

/* The parameters' gradient of each part by itself, then added: as so many processes would. */
static void backward_params(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    const ich_conv_shape whole = shape_of(call);
    real *dw = call->d_param[0], *db = call->d_param[1];
    real *part = (real *)call->scratch + kernel_scratch(call, &whole);
    for (int p = 0; p < call->parts; p++) {
        const real *x, *dy;
        const ich_conv_shape s = part_shape(call, p, &x, &dy);
        if (s.n == 0) continue;
        if (dw && call->parts == 1) {
            k->conv2d_backward_weights(&s, x, dy, dw, call->scratch);
        } else if (dw) {
            memset(part, 0, weights_of(&s) * sizeof *part);
            k->conv2d_backward_weights(&s, x, dy, part, call->scratch);
            k->add(weights_of(&s), dw, part, false, dw);
        }
        if (db) k->channel_sum(pixels_of(&s), s.k, dy, db, call->scratch);
    }
}

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    const ich_conv_shape s = shape_of(call);
    backward_params(call);
    if (call->d_in[0])
        k->conv2d_backward_data(&s, call->d_out, packed_weights(call, &s, ICH_BACKWARD_DATA),
                                call->accumulate[0], call->d_in[0], call->scratch);
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    int64_t per_output = (int64_t)attr->kernel * attr->kernel * (in->c / or_one(attr->groups));
    return (int64_t)out->h * out->w * out->c * per_output;
}

const ich_layer ICH_NAME(ich_layer_conv2d) = {
    .op = "conv2d",
    .formula = "y[i,j,k] = b[k] + sum over r,s,c of W[k,c,r,s] x[i stride + r - pad, j stride + s - pad, c]",
    .source = "LeCun et al. 1998, Proc. IEEE 86(11); initial weights He et al. 2015, arXiv 1502.01852",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .fuses = ICH_FUSES_RELU | ICH_FUSES_ADD | ICH_FUSES_NORM_INFERENCE | ICH_FUSES_INFERENCE_ONLY,
    .shape = shape,
    .params = params,
    .prepared = prepared,
    .scratch = scratch,
    .cheap = true,
    .prepare = prepare,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
