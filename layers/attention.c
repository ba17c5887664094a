/* attention.c: how much each slice of a study matters; they compete by a softmax over the study.
 *
 *   m_t = tanh(V h_t + b_V)                             (Ilse 2018, equation 8)
 *   m_t = tanh(V h_t + b_V) ⊙ σ(U h_t + b_U)            (equation 9, attr.gated)
 *   s_t = w m_t        a_t = exp(s_t) / Σ_τ exp(s_τ)    over the slices τ of t's study, for each head
 *
 * attr: out (units), heads, gated. Output per slice: {1, 1, heads}. Ilse, Tomczak and Welling, arXiv
 * 1802.04712.
 *
 * Backward, with v = tanh(…), u = σ(…):
 *   ds_t = a_t (da_t - Σ_τ a_τ da_τ)                    (softmax.h)
 *   dw = Σ_t ds_t m_tᵀ        dm_t = wᵀ ds_t
 *   v and u share m = v ⊙ u: before their tanh and σ, d_v = dm ⊙ u ⊙ (1 - v²), d_u = dm ⊙ v ⊙ u ⊙ (1 - u)
 *   dV, db_V, dU, db_U as in affine.h;  dh = d_v V + d_u U
 */
#include "affine.h"
#include "softmax.h"

enum { V_WEIGHT, V_BIAS, U_WEIGHT, U_BIAS }; /* then w.weight; it follows V.bias if there is no gate */

static int w_weight(const ich_attr *attr) { return attr->gated ? U_BIAS + 1 : V_BIAS + 1; }

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->out < 1 || attr->heads < 1) return ich_fail(err, "attention needs units and at least one head");
    if (size_of(*in) > INT32_MAX) return ich_fail(err, "an attention's input is too large");
    *out = (ich_shape){1, 1, attr->heads};
    return true;
}

/* V, U: torch.nn.Linear's default; w has no bias, since a softmax would cancel it. */
static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    static const char *const names[] = {"V.weight", "V.bias", "U.weight", "U.bias"};
    int features = (int)size_of(*in), n = w_weight(attr);
    for (int p = 0; p < n; p++) {
        bool weight = p == V_WEIGHT || p == U_WEIGHT;
        specs[p] = (ich_param_spec){.rank = weight ? 2 : 1,
                                    .dims = {attr->out, weight ? features : 0},
                                    .init = ICH_INIT_UNIFORM,
                                    .scale = 1 / sqrtf((float)features),
                                    .trainable = true,
                                    .decay = weight};
        memcpy(specs[p].suffix, names[p], strlen(names[p]) + 1);
    }
    specs[n] = (ich_param_spec){.suffix = "w.weight",
                                .rank = 2,
                                .dims = {attr->heads, attr->out},
                                .init = ICH_INIT_UNIFORM,
                                .scale = 1 / sqrtf((float)attr->out),
                                .trainable = true,
                                .decay = true};
    return n + 1;
}

typedef struct sizes {
    int n, features, units, heads;
    size_t block; /* elements of one [n, units] array */
} sizes;

static sizes sizes_of(const ich_call *call) {
    sizes s = {rows_of(call, 0), (int)size_of(call->in_shape[0]), call->attr->out, call->attr->heads, 0};
    s.block = padded((size_t)s.n * s.units);
    return s;
}

/* saved: v, then u */
static size_t saved(const ich_call *call) {
    return (call->attr->gated ? 2 : 1) * sizes_of(call).block * sizeof(real);
}

/* scratch of forward: m, then v and u if nothing saves them; of backward: m and then dm, d_v, d_u, ds, the
 * kernels' own */
static size_t scratch(const ich_call *call) {
    sizes s = sizes_of(call);
    const ich_kernels *k = call->kernels;
    size_t scores = padded((size_t)s.n * s.heads);
    return (3 * s.block + scores + k->channel_scratch(s.n, s.units)) * sizeof(real);
}

static real *v_of(const ich_call *call, sizes s) {
    return call->gradient ? call->saved : (real *)call->scratch + s.block;
}

/* m = v ⊙ u */
static void gate(const ich_call *call, sizes s, real *m) {
    const real *v = v_of(call, s), *u = v + s.block;
    size_t n = (size_t)s.n * s.units;
    for (size_t i = 0; i < n; i++) m[i] = call->attr->gated ? v[i] * u[i] : v[i];
}

static void forward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    sizes s = sizes_of(call);
    void *const *p = call->param;
    size_t n = (size_t)s.n * s.units;
    real *m = call->scratch, *v = v_of(call, s), *u = v + s.block, *a = call->out;
    affine_forward(k, s.n, s.features, s.units, call->in[0], p[V_WEIGHT], p[V_BIAS], v);
    (k->tanh)(n, v, v); /* brackets: tgmath.h's tanh is a macro */
    if (call->attr->gated) {
        affine_forward(k, s.n, s.features, s.units, call->in[0], p[U_WEIGHT], p[U_BIAS], u);
        k->sigmoid(n, u, u);
    }
    gate(call, s, m);
    affine_forward(k, s.n, s.units, s.heads, m, p[w_weight(call->attr)], NULL, a);
    for (int study = 0; study < call->studies; study++)
        for (int head = 0; head < s.heads; head++)
            if (call->offsets[study] < call->offsets[study + 1])
                softmax(call->offsets[study], call->offsets[study + 1], s.heads, a + head);
}

/* Through ⊙, tanh and σ. d_v holds dm on entry. */
static void gate_backward(const ich_call *call, sizes s, real *d_v, real *d_u) {
    const real *v = v_of(call, s), *u = v + s.block;
    size_t n = (size_t)s.n * s.units;
    for (size_t i = 0; i < n; i++) {
        real dm = d_v[i];
        if (call->attr->gated) d_u[i] = dm * v[i] * u[i] * (1 - u[i]);
        d_v[i] = (call->attr->gated ? dm * u[i] : dm) * (1 - v[i] * v[i]);
    }
}

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    sizes s = sizes_of(call);
    void *const *p = call->param, *const *dp = call->d_param;
    int w = w_weight(call->attr);
    real *m = call->scratch, *d_v = m, *d_u = m + s.block, *ds = m + 2 * s.block;
    real *work = ds + padded((size_t)s.n * s.heads);
    const real *a = call->out, *da = call->d_out;
    for (int study = 0; study < call->studies; study++)
        for (int head = 0; head < s.heads; head++)
            softmax_backward(call->offsets[study], call->offsets[study + 1], s.heads, a + head, da + head,
                             ds + head);
    gate(call, s, m);
    affine_backward(k, s.n, s.units, s.heads, m, p[w], ds, false, d_v, dp[w], NULL, NULL);
    gate_backward(call, s, d_v, d_u);
    affine_backward(k, s.n, s.features, s.units, call->in[0], p[V_WEIGHT], d_v, call->accumulate[0],
                    call->d_in[0], dp[V_WEIGHT], dp[V_BIAS], work);
    if (call->attr->gated)
        affine_backward(k, s.n, s.features, s.units, call->in[0], p[U_WEIGHT], d_u, true, call->d_in[0],
                        dp[U_WEIGHT], dp[U_BIAS], work);
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    int64_t branches = attr->gated ? 2 : 1;
    return attr->out * (branches * (int64_t)size_of(*in) + out->c);
}

const ich_layer ICH_NAME(ich_layer_attention) = {
    .op = "attention",
    .formula = "a = softmax over the study's slices of w (tanh(V h + b) * sigmoid(U h + c))",
    .source = "Ilse, Tomczak and Welling 2018, arXiv 1802.04712, equations 8 and 9",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT | ICH_NEEDS_OUTPUT,
    .shape = shape,
    .params = params,
    .saved = saved,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
