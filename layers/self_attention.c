/* self_attention.c: each slice of a study looks at all slices of it. attr: heads.
 *
 *   q_t, k_t, v_t = W_q x_t + b_q, W_k x_t + b_k, W_v x_t + b_v
 *   P_tτ = softmax over the slices τ of t's study of q_t · k_τ / √d          for each head, on its d = E /
 * heads o_t = Σ_τ P_tτ v_τ                                                       numbers of q, k and v y_t =
 * W_o o_t + b_o                                                      heads side by side in o_t
 *
 * Vaswani et al. 2017, arXiv 1706.03762, equation 1 and section 3.2.2; over the instances of a bag: Rymarczyk
 * et al. 2021, arXiv 2005.12991. Weights and names are torch.nn.MultiheadAttention's: in_proj_weight stacks
 * W_q, W_k, W_v. Nothing tells a slice's place in the stack.
 *
 * Backward: do = W_oᵀ δ, dW_o and db_o as in affine.h; then from o's line, softmax.h and the scores' line
 *   dP_tτ = do_t · v_τ,  ds_tτ = P_tτ (dP_tτ - Σ_u P_tu dP_tu)
 *   dv_τ = Σ_t P_tτ do_t,  dq_t = Σ_τ ds_tτ k_τ / √d,  dk_τ = Σ_t ds_tτ q_t / √d
 * and dx, dW_q … db_v as in affine.h. P is computed again, a row at a time: memory grows with the slices, not
 * with their square.
 */
#include "affine.h"
#include "softmax.h"

enum { IN_WEIGHT, IN_BIAS, OUT_WEIGHT, OUT_BIAS };

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->heads < 1 || size_of(*in) % (size_t)attr->heads)
        return ich_fail(err, "self-attention of %d heads cannot share %zu features equally", attr->heads,
                        size_of(*in));
    if (size_of(*in) > INT32_MAX / 3) return ich_fail(err, "a self-attention's input is too large");
    *out = (ich_shape){1, 1, (int)size_of(*in)};
    return true;
}

/* As torch begins: W_q, W_k, W_v by Glorot and Bengio 2010, no biases. */
static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    (void)attr;
    int e = (int)size_of(*in);
    specs[IN_WEIGHT] = (ich_param_spec){.suffix = "in_proj_weight", .rank = 2, .dims = {3 * e, e}};
    specs[IN_BIAS] = (ich_param_spec){.suffix = "in_proj_bias", .rank = 1, .dims = {3 * e}};
    specs[OUT_WEIGHT] = (ich_param_spec){.suffix = "out_proj.weight", .rank = 2, .dims = {e, e}};
    specs[OUT_BIAS] = (ich_param_spec){.suffix = "out_proj.bias", .rank = 1, .dims = {e}};
    for (int p = 0; p < 4; p++) {
        specs[p].trainable = true;
        specs[p].decay = specs[p].rank == 2;
        specs[p].init = specs[p].rank == 2 ? ICH_INIT_UNIFORM : ICH_INIT_ZERO;
    }
    specs[IN_WEIGHT].scale = sqrtf(6 / (4 * (float)e));
    specs[OUT_WEIGHT].scale = 1 / sqrtf((float)e);
    return 4;
}

typedef struct sizes {
    int n, e, heads, d;
    size_t qkv, o; /* elements of [n, 3e] and [n, e] */
} sizes;

static sizes sizes_of(const ich_call *call) {
    int n = rows_of(call, 0), e = (int)size_of(call->in_shape[0]), heads = call->attr->heads;
    return (sizes){n, e, heads, e / heads, padded((size_t)n * 3 * e), padded((size_t)n * e)};
}

/* saved: q, k and v of each row, [n][3e], then o */
static size_t saved(const ich_call *call) {
    sizes s = sizes_of(call);
    return (s.qkv + s.o) * sizeof(real);
}

/* scratch of forward: a row of P, then what nothing saves; of backward: a row of P and of dP, d_qkv, do, the
 * kernels' own */
static size_t scratch(const ich_call *call) {
    sizes s = sizes_of(call);
    const ich_kernels *k = call->kernels;
    return (2 * padded((size_t)s.n) + s.qkv + s.o + k->channel_scratch(s.n, 3 * s.e)) * sizeof(real);
}

static real *kept(const ich_call *call, sizes s) {
    return call->gradient ? call->saved : (real *)call->scratch + 2 * padded((size_t)s.n);
}

static real dot(int d, const real *x, const real *y) {
    real sum = 0;
    for (int i = 0; i < d; i++) sum += x[i] * y[i];
    return sum;
}

static void add_scaled(int d, real scale, const real *x, real *y) {
    for (int i = 0; i < d; i++) y[i] += scale * x[i];
}

/* A slice and a head at work: q_t; k and v of the study's first slice, 3e apart from slice to slice. */
typedef struct view {
    int slices, stride;
    const real *q, *k, *v;
} view;

static view look(const ich_call *call, sizes s, const real *qkv, int study, int t, int head) {
    int first = call->offsets[study], at = head * s.d;
    const real *begin = qkv + (size_t)first * 3 * s.e + at;
    return (view){call->offsets[study + 1] - first, 3 * s.e, qkv + (size_t)t * 3 * s.e + at, begin + s.e,
                  begin + 2 * s.e};
}

/* P_tτ over τ */
static void weigh(sizes s, view v, real *p) {
    for (int i = 0; i < v.slices; i++) p[i] = dot(s.d, v.q, v.k + (size_t)i * v.stride) / sqrt((real)s.d);
    softmax(0, v.slices, 1, p);
}

static void forward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    sizes s = sizes_of(call);
    real *p = call->scratch, *qkv = kept(call, s), *o = qkv + s.qkv;
    affine_forward(k, s.n, s.e, 3 * s.e, call->in[0], call->param[IN_WEIGHT], call->param[IN_BIAS], qkv);
    memset(o, 0, (size_t)s.n * s.e * sizeof *o);
    for (int study = 0; study < call->studies; study++)
        for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++)
            for (int head = 0; head < s.heads; head++) {
                view v = look(call, s, qkv, study, t, head);
                weigh(s, v, p);
                for (int i = 0; i < v.slices; i++)
                    add_scaled(s.d, p[i], v.v + (size_t)i * v.stride, o + (size_t)t * s.e + head * s.d);
            }
    affine_forward(k, s.n, s.e, s.e, o, call->param[OUT_WEIGHT], call->param[OUT_BIAS], call->out);
}

/* What one slice's o, of gradient d_o, makes of q, k and v; d_qkv: of the study's first slice and the head's
 * first number; p: two rows. */
static void backward_row(sizes s, view v, int t, const real *d_o, real *p, real *d_qkv) {
    real *ds = p + padded((size_t)s.n), scale = 1 / sqrt((real)s.d);
    weigh(s, v, p);
    for (int i = 0; i < v.slices; i++) ds[i] = dot(s.d, d_o, v.v + (size_t)i * v.stride);
    softmax_backward(0, v.slices, 1, p, ds, ds);
    for (int i = 0; i < v.slices; i++) {
        real *to = d_qkv + (size_t)i * v.stride;
        add_scaled(s.d, p[i], d_o, to + 2 * s.e);
        add_scaled(s.d, scale * ds[i], v.q, to + s.e);
        add_scaled(s.d, scale * ds[i], v.k + (size_t)i * v.stride, d_qkv + (size_t)t * v.stride);
    }
}

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    sizes s = sizes_of(call);
    void *const *dp = call->d_param;
    const real *qkv = call->saved, *o = qkv + s.qkv;
    real *p = call->scratch, *d_qkv = p + 2 * padded((size_t)s.n), *d_o = d_qkv + s.qkv, *work = d_o + s.o;
    affine_backward(k, s.n, s.e, s.e, o, call->param[OUT_WEIGHT], call->d_out, false, d_o, dp[OUT_WEIGHT],
                    dp[OUT_BIAS], work);
    memset(d_qkv, 0, (size_t)s.n * 3 * s.e * sizeof *d_qkv);
    for (int study = 0; study < call->studies; study++) {
        int first = call->offsets[study];
        for (int t = first; t < call->offsets[study + 1]; t++)
            for (int head = 0; head < s.heads; head++)
                backward_row(s, look(call, s, qkv, study, t, head), t - first,
                             d_o + (size_t)t * s.e + head * s.d, p,
                             d_qkv + (size_t)first * 3 * s.e + head * s.d);
    }
    affine_backward(k, s.n, s.e, 3 * s.e, call->in[0], call->param[IN_WEIGHT], d_qkv, call->accumulate[0],
                    call->d_in[0], dp[IN_WEIGHT], dp[IN_BIAS], work);
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    (void)attr; /* and for each slice of the study 2 E more */
    return 4 * (int64_t)size_of(*in) * out->c;
}

const ich_layer ICH_NAME(ich_layer_self_attention) = {
    .op = "self_attention",
    .formula = "y = W softmax over the study's slices of (q k' / sqrt(d)) v + b, head by head",
    .source = "Vaswani et al. 2017, arXiv 1706.03762, equation 1; Rymarczyk et al. 2021, arXiv 2005.12991",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .shape = shape,
    .params = params,
    .saved = saved,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
