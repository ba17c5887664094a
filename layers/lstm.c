/* lstm.c: long short-term memory, one layer, one or two directions.
 *
 * Forward, for the slices t = 1 … T of each study, from h_0 = c_0 = 0 (⊙ multiplies element by element):
 *
 *   i_t = σ(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)          how much to write
 *   f_t = σ(W_if x_t + b_if + W_hf h_{t-1} + b_hf)          how much to keep
 *   g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)       what to write
 *   o_t = σ(W_io x_t + b_io + W_ho h_{t-1} + b_ho)          how much to show
 *   c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
 *   h_t = o_t ⊙ tanh(c_t)
 *
 * The reverse direction does the same from T to 1 with weights of its own; y_t = (h_t forward, h_t reverse).
 * Weights, names and order of gates are torch.nn.LSTM's: weight_ih_l0 stacks W_ii, W_if, W_ig, W_io.
 * attr: hidden, bidirectional, depth (the 0 of _l0).
 *
 * Backward through time. Write a_i … a_o for the sums inside σ and tanh, and d… for dL/d…; going from T to 1:
 *
 *   dh_t = dy_t + W_hᵀ da_{t+1}                             y_t shows h_t, and step t+1 reads it
 *   do_t = dh_t ⊙ tanh(c_t)                                 from h_t = o_t ⊙ tanh(c_t)
 *   dc_t = dh_t ⊙ o_t ⊙ (1 - tanh²(c_t)) + dc_{t+1} ⊙ f_{t+1}
 *   di_t = dc_t ⊙ g_t,  df_t = dc_t ⊙ c_{t-1},  dg_t = dc_t ⊙ i_t        from c_t's own line
 *   da_i = di_t ⊙ i_t ⊙ (1 - i_t), f and o likewise;  da_g = dg_t ⊙ (1 - g_t²)
 *
 * and, since a_t = W_i x_t + b_i + W_h h_{t-1} + b_h is linear, all slices of all studies at once:
 *
 *   dW_i = Σ_t da_t x_tᵀ,  dW_h = Σ_t da_t h_{t-1}ᵀ,  db_i = db_h = Σ_t da_t,  dx_t = W_iᵀ da_t
 *
 * Only W_h h_{t-1} must wait for the slice before: everything else is one matrix product over all rows.
 * Studies lie one after another and are told apart by offsets, so different lengths need no padding.
 *
 * Hochreiter and Schmidhuber 1997, Neural Computation 9(8); forget gate: Gers, Schmidhuber and Cummins 2000;
 * two directions: Schuster and Paliwal 1997.
 */
#include "affine.h"
#include <stdio.h>

/* -- one slice: the formulas above, line by line; H units ------------------------------------------- */

/* gates: a on entry; i, f, g, o on return */
static void cell_forward(int H, real *gates, const real *c_before, real *c, real *h) {
    real *i = gates, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        i[u] = logistic(i[u]);
        f[u] = logistic(f[u]);
        g[u] = tanh(g[u]);
        o[u] = logistic(o[u]);
        c[u] = f[u] * c_before[u] + i[u] * g[u];
        h[u] = o[u] * tanh(c[u]);
    }
}

/* dc: dc_{t+1} ⊙ f_{t+1} on entry; dc_t ⊙ f_t on return */
static void cell_backward(int H, const real *gates, const real *c_before, const real *c, const real *dh,
                          real *dc, real *da) {
    const real *i = gates, *f = i + H, *g = f + H, *o = g + H;
    real *da_i = da, *da_f = da_i + H, *da_g = da_f + H, *da_o = da_g + H;
    for (int u = 0; u < H; u++) {
        real shown = tanh(c[u]);
        real d_o = dh[u] * shown;
        dc[u] += dh[u] * o[u] * (1 - shown * shown);
        da_i[u] = dc[u] * g[u] * i[u] * (1 - i[u]);
        da_f[u] = dc[u] * c_before[u] * f[u] * (1 - f[u]);
        da_g[u] = dc[u] * i[u] * (1 - g[u] * g[u]);
        da_o[u] = d_o * o[u] * (1 - o[u]);
        dc[u] *= f[u];
    }
}

/* -- shapes, parameters, memory --------------------------------------------------------------------- */

typedef struct sizes {
    int N, F, H, D; /* slices of all studies; features; units; directions */
} sizes;

static sizes sizes_of(const ich_call *call) {
    return (sizes){rows_of(call, 0), (int)size_of(call->in_shape[0]), call->attr->hidden,
                   1 + call->attr->bidirectional};
}

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->hidden < 1 || attr->hidden > INT32_MAX / 8)
        return ich_fail(err, "an lstm needs at least one hidden unit");
    if (size_of(*in) > INT32_MAX) return ich_fail(err, "an lstm's input is too large");
    *out = (ich_shape){1, 1, attr->hidden * (1 + attr->bidirectional)};
    return true;
}

/* What a direction reads, in the order of params(). */
enum { W_IH, W_HH, B_IH, B_HH, PER_DIRECTION };

static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const int columns[] = {(int)size_of(*in), attr->hidden};
    int n = (1 + attr->bidirectional) * PER_DIRECTION;
    for (int p = 0; p < n; p++) {
        int kind = p % PER_DIRECTION;
        bool weight = kind <= W_HH;
        specs[p] = (ich_param_spec){.rank = weight ? 2 : 1,
                                    .dims = {4 * attr->hidden, weight ? columns[kind] : 0},
                                    .init = ICH_INIT_UNIFORM,
                                    .scale = 1 / sqrtf((float)attr->hidden),
                                    .trainable = true,
                                    .decay = weight};
        snprintf(specs[p].suffix, sizeof specs[p].suffix, "%s_l%d%s", names[kind], attr->depth,
                 p < PER_DIRECTION ? "" : "_reverse");
    }
    return n;
}

/* Kept from forward to backward, for each direction: gates [N, 4H] and cells [N, H]. */
static size_t kept(sizes s) { return padded((size_t)s.N * 4 * s.H) + padded((size_t)s.N * s.H); }

static real *gates_of(const ich_call *call, sizes s, int d) {
    real *memory = call->gradient ? call->saved : (real *)call->scratch + padded((size_t)s.H);
    return memory + (size_t)d * kept(s);
}

static real *cells_of(const ich_call *call, sizes s, int d) {
    return gates_of(call, s, d) + padded((size_t)s.N * 4 * s.H);
}

static size_t saved(const ich_call *call) {
    sizes s = sizes_of(call);
    return (size_t)s.D * kept(s) * sizeof(real);
}

/* Scratch of forward: h_0 = c_0 = 0 [H], then what is kept if nothing saves it. Of backward: 0 [H], then
 * da [D, N, 4H], h_{t-1} [N, H] of one direction, dh and dc [studies, D, 2, H], the kernels' own. */
typedef struct workspace {
    real *zero, *da[2], *h_before, *state, *work;
    size_t elements;
} workspace;

static workspace workspace_of(const ich_call *call, sizes s) {
    const ich_kernels *k = call->kernels;
    size_t da = padded((size_t)s.N * 4 * s.H), h = padded((size_t)s.N * s.H), zero = padded((size_t)s.H);
    size_t state = padded((size_t)call->studies * s.D * 2 * s.H);
    size_t all = zero + s.D * da + h + state + k->channel_scratch(s.N, 4 * s.H);
    real *base = call->scratch;
    if (!base) return (workspace){.elements = all};
    real *h_before = base + zero + s.D * da;
    return (workspace){.zero = base,
                       .da = {base + zero, base + zero + da},
                       .h_before = h_before,
                       .state = h_before + h,
                       .work = h_before + h + state,
                       .elements = all};
}

static size_t scratch(const ich_call *call) {
    sizes s = sizes_of(call);
    size_t forward = padded((size_t)s.H) + (call->gradient ? 0 : (size_t)s.D * kept(s));
    size_t backward = call->gradient ? workspace_of(call, s).elements : 0;
    return larger(forward, backward) * sizeof(real);
}

/* -- a study's slices in the order of a direction --------------------------------------------------- */

/* The row that is read `step`-th, and in *before the one read just before it (-1 at the start). */
static int row_at(const ich_call *call, int study, int d, int step, int *before) {
    int first = call->offsets[study], last = call->offsets[study + 1] - 1;
    int row = d == 0 ? first + step : last - step;
    *before = step == 0 ? -1 : d == 0 ? row - 1 : row + 1;
    return row;
}

static int length_of(const ich_call *call, int study) {
    return call->offsets[study + 1] - call->offsets[study];
}

static const real *or_zero(const real *rows, int row, int stride, const real *zero) {
    return row < 0 ? zero : rows + (size_t)row * stride;
}

/* -- forward ---------------------------------------------------------------------------------------- */

/* a = W_i x + b_i + b_h for every slice of every study */
static void project(const ich_call *call, sizes s, int d) {
    const ich_kernels *k = call->kernels;
    real *const *p = (real *const *)call->param + d * PER_DIRECTION;
    real *a = gates_of(call, s, d);
    affine_forward(k, s.N, s.F, 4 * s.H, call->in[0], p[W_IH], p[B_IH], a);
    for (int t = 0; t < s.N; t++)
        for (int u = 0; u < 4 * s.H; u++) a[(size_t)t * 4 * s.H + u] += p[B_HH][u];
}

static void recur_forward(const ich_call *call, sizes s, int study, int d) {
    const ich_kernels *k = call->kernels;
    const real *w_hh = call->param[d * PER_DIRECTION + W_HH], *zero = call->scratch;
    real *gates = gates_of(call, s, d), *cells = cells_of(call, s, d), *y = (real *)call->out + d * s.H;
    for (int step = 0; step < length_of(call, study); step++) {
        int before, t = row_at(call, study, d, step, &before);
        real *a = gates + (size_t)t * 4 * s.H, *c = cells + (size_t)t * s.H;
        real *h = y + (size_t)t * s.D * s.H;
        const real *h_before = or_zero(y, before, s.D * s.H, zero);
        k->gemm(false, true, 1, 4 * s.H, s.H, h_before, s.H, w_hh, s.H, true, a, 4 * s.H);
        cell_forward(s.H, a, or_zero(cells, before, s.H, zero), c, h);
    }
}

static void forward(const ich_call *call) {
    sizes s = sizes_of(call);
    memset(call->scratch, 0, (size_t)s.H * sizeof(real)); /* h_0 and c_0 */
    for (int d = 0; d < s.D; d++) project(call, s, d);
#pragma omp parallel for schedule(dynamic)
    for (int piece = 0; piece < call->studies * s.D; piece++)
        recur_forward(call, s, piece / s.D, piece % s.D);
}

/* -- backward --------------------------------------------------------------------------------------- */

static void recur_backward(const ich_call *call, sizes s, const workspace *space, int study, int d) {
    const ich_kernels *k = call->kernels;
    const real *w_hh = call->param[d * PER_DIRECTION + W_HH], *dy = (const real *)call->d_out + d * s.H;
    const real *gates = gates_of(call, s, d), *cells = cells_of(call, s, d), *da_next = NULL;
    real *dh = space->state + (size_t)(study * s.D + d) * 2 * s.H, *dc = dh + s.H;
    memset(dc, 0, (size_t)s.H * sizeof *dc);
    for (int step = length_of(call, study) - 1; step >= 0; step--) {
        int before, t = row_at(call, study, d, step, &before);
        real *da = space->da[d] + (size_t)t * 4 * s.H;
        memcpy(dh, dy + (size_t)t * s.D * s.H, (size_t)s.H * sizeof *dh);
        if (da_next) k->gemm(false, false, 1, s.H, 4 * s.H, da_next, 4 * s.H, w_hh, s.H, true, dh, s.H);
        cell_backward(s.H, gates + (size_t)t * 4 * s.H, or_zero(cells, before, s.H, space->zero),
                      cells + (size_t)t * s.H, dh, dc, da);
        da_next = da;
    }
}

/* h_{t-1} beside h_t: what each slice's gates read */
static void gather_before(const ich_call *call, sizes s, const workspace *space, int d) {
    const real *y = (const real *)call->out + d * s.H;
    for (int study = 0; study < call->studies; study++)
        for (int step = 0; step < length_of(call, study); step++) {
            int before, t = row_at(call, study, d, step, &before);
            memcpy(space->h_before + (size_t)t * s.H, or_zero(y, before, s.D * s.H, space->zero),
                   (size_t)s.H * sizeof(real));
        }
}

static void gradients(const ich_call *call, sizes s, const workspace *space, int d) {
    const ich_kernels *k = call->kernels;
    void *const *p = call->param + d * PER_DIRECTION, *const *dp = call->d_param + d * PER_DIRECTION;
    bool accumulate = d > 0 || call->accumulate[0]; /* the second direction adds to the first's dx */
    affine_backward(k, s.N, s.F, 4 * s.H, call->in[0], p[W_IH], space->da[d], accumulate, call->d_in[0],
                    dp[W_IH], dp[B_IH], space->work);
    gather_before(call, s, space, d);
    affine_backward(k, s.N, s.H, 4 * s.H, space->h_before, p[W_HH], space->da[d], false, NULL, dp[W_HH],
                    dp[B_HH], space->work);
}

static void backward(const ich_call *call) {
    sizes s = sizes_of(call);
    workspace space = workspace_of(call, s);
    memset(space.zero, 0, (size_t)s.H * sizeof(real));
#pragma omp parallel for schedule(dynamic)
    for (int piece = 0; piece < call->studies * s.D; piece++)
        recur_backward(call, s, &space, piece / s.D, piece % s.D);
    for (int d = 0; d < s.D; d++) gradients(call, s, &space, d);
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    return (int64_t)out->c * 4 * ((int64_t)size_of(*in) + attr->hidden);
}

const ich_layer ICH_NAME(ich_layer_lstm) = {
    .op = "lstm",
    .formula = "i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b), c = f c + i g, h = o tanh(c)",
    .source = "Hochreiter and Schmidhuber 1997, Neural Computation 9(8); Gers et al. 2000; weights as "
              "torch.nn.LSTM",
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
