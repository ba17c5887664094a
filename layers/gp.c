/* gp.c: a sparse variational Gaussian process: an answer for each label, and how sure it is. attr: out
 * (labels), hidden (inducing points, M).
 *
 * For each label l a function f_l = b_l + α_l g_l, g_l a GP of mean 0 and kernel
 *
 *   k(x, z) = exp(-|x - z|² / 2ℓ²)          x: the row's D numbers, from -1 to 1;  ℓ² = D / 3, which is half
 * the mean squared distance of such points, so that k spans its range
 *
 * known through its values u at M inducing points z_j. They are whitened: u = L v with L Lᵀ = K, K_ij =
 * k(z_i, z_j) + jitter [i = j], so that v's prior is N(0, 1), and q(v) = N(m, diag s), s = exp(2ρ). With A =
 * L⁻¹ k(Z, x), f_l(x) is then Gaussian, of
 *
 *   μ_l = b_l + α_l A · m_l          σ²_l = α_l² (1 - A · A + Σ_j s_lj A_j²),  α_l = exp(log_amplitude_l)
 *
 * and what q has learned is away from the prior by KL_l = ½ Σ_j (s_lj + m_lj² - 1 - 2ρ_lj). The output is
 * {1, 3, out}: μ, σ², KL, the last the same in each row (moderate.c reads the first two, gp_kl.c the third).
 * The points stay where they were drawn: the map in front of this layer, which learns, moves studies among
 * them. So K is a constant, and L⁻¹ is computed in double.
 *
 * Titsias 2009, AISTATS (inducing points); Hensman, Matthews and Ghahramani 2015, arXiv 1411.2005,
 * (classification, whitening: section 4); for hemorrhage on CT: Wu et al. 2021, MICCAI (attention, then a
 * variational GP); end to end: Pérez-Cano et al. 2024, Expert Systems with Applications 240.
 *
 * Backward, δμ, δσ, δκ for dL/dμ_l, dL/dσ²_l, dL/dKL_l, sums over rows where parameters are meant:
 *   dA_j = Σ_l α_l δμ m_lj - 2 α_l² δσ (1 - s_lj) A_j
 *   dm_lj = α_l δμ A_j + δκ m_lj          dρ_lj = 2 α_l² δσ A_j² s_lj + δκ (s_lj - 1)         from ds/dρ = 2s
 *   db_l = δμ          d log α_l = δμ (μ_l - b_l) + 2 δσ σ²_l
 *   dk = L⁻ᵀ dA,  dx = Σ_j dk_j k_j (z_j - x) / ℓ²                                from k's own derivative
 */
#include "gp.h"

#include "call.h"
#include <string.h>

enum { POINTS, MEAN, LOG_DEVIATION, LOG_AMPLITUDE, BIAS };
enum { MOST_POINTS = 1024 };

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->out < 1 || attr->hidden < 1 || attr->hidden > MOST_POINTS || size_of(*in) > INT32_MAX)
        return ich_fail(err, "a Gaussian process needs labels and 1 to %d inducing points", MOST_POINTS);
    *out = (ich_shape){1, 3, attr->out};
    return true;
}

/* q's means begin as a draw from the prior: with means of 0 nothing would flow back to x. */
static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    int l = attr->out, m = attr->hidden;
    specs[POINTS] = (ich_param_spec){.suffix = "inducing",
                                     .rank = 2,
                                     .dims = {m, (int)size_of(*in)},
                                     .init = ICH_INIT_UNIFORM,
                                     .scale = 1};
    specs[MEAN] = (ich_param_spec){
        .suffix = "mean", .rank = 2, .dims = {l, m}, .init = ICH_INIT_NORMAL, .scale = 1, .trainable = true};
    specs[LOG_DEVIATION] =
        (ich_param_spec){.suffix = "log_deviation", .rank = 2, .dims = {l, m}, .trainable = true};
    specs[LOG_AMPLITUDE] = (ich_param_spec){.suffix = "log_amplitude",
                                            .rank = 1,
                                            .dims = {l},
                                            .init = ICH_INIT_CONSTANT,
                                            .scale = 1,
                                            .trainable = true};
    specs[BIAS] = (ich_param_spec){.suffix = "bias", .rank = 1, .dims = {l}, .trainable = true};
    return 5;
}

/* -- L⁻¹ -------------------------------------------------------------------------------------------- */

#ifndef ICH_DOUBLE
double ich_gp_length(int features) { return sqrt(features / 3.0); }
#endif

static double kernel(int d, const real *x, const real *z) {
    double sum = 0, length = ich_gp_length(d);
    for (int i = 0; i < d; i++) sum += ((double)x[i] - (double)z[i]) * ((double)x[i] - (double)z[i]);
    return exp(-sum / (2 * length * length));
}

/* Cholesky's factor row by row in w's lower half; then its inverse in place, from the last column on: with W
 * = L⁻¹, W_jj = 1 / L_jj and W_ij = -Σ_{j < p ≤ i} W_ip L_pj / L_jj. */
void ICH_NAME(ich_gp_whiten)(int points, int features, const real *z, double *w) {
    const double jitter = 1e-3;
    const int m = points;
    memset(w, 0, (size_t)m * (size_t)m * sizeof *w);
    for (int i = 0; i < m; i++)
        for (int j = 0; j <= i; j++) {
            double sum = kernel(features, z + (size_t)i * features, z + (size_t)j * features);
            if (i == j) sum += jitter;
            for (int p = 0; p < j; p++) sum -= w[i * m + p] * w[j * m + p];
            w[i * m + j] = i == j ? sqrt(sum) : sum / w[j * m + j];
        }
    for (int j = m - 1; j >= 0; j--) {
        const double inverse = 1 / w[j * m + j];
        for (int i = m - 1; i > j; i--) {
            double sum = 0;
            for (int p = j + 1; p <= i; p++) sum += w[i * m + p] * w[p * m + j];
            w[i * m + j] = -sum * inverse;
        }
        w[j * m + j] = inverse;
    }
}

/* -- a row ------------------------------------------------------------------------------------------ */

typedef struct work { /* in scratch */
    int m, d, labels;
    double *w;   /* L⁻¹ */
    real *k, *a; /* k(Z, x); A */
    real *da;
} work;

static size_t scratch(const ich_call *call) {
    size_t m = (size_t)call->attr->hidden;
    return m * m * sizeof(double) + 3 * m * sizeof(real);
}

static work begin(const ich_call *call) {
    work w = {call->attr->hidden,
              (int)size_of(call->in_shape[0]),
              call->attr->out,
              call->scratch,
              NULL,
              NULL,
              NULL};
    w.k = (real *)(w.w + (size_t)w.m * w.m);
    w.a = w.k + w.m;
    w.da = w.a + w.m;
    ICH_NAME(ich_gp_whiten)(w.m, w.d, call->param[POINTS], w.w);
    return w;
}

static void look(const ich_call *call, work w, const real *x) {
    const real *z = call->param[POINTS];
    for (int j = 0; j < w.m; j++) w.k[j] = (real)kernel(w.d, x, z + (size_t)j * w.d);
    for (int i = 0; i < w.m; i++) {
        double sum = 0;
        for (int j = 0; j <= i; j++) sum += w.w[i * w.m + j] * w.k[j];
        w.a[i] = (real)sum;
    }
}

static real variance_of(const real *rho) { return exp(2 * *rho); }

static void answer(const ich_call *call, work w, int l, real *mean, real *variance, real *kl) {
    const real *m = (const real *)call->param[MEAN] + (size_t)l * w.m;
    const real *rho = (const real *)call->param[LOG_DEVIATION] + (size_t)l * w.m;
    real amplitude = exp(((const real *)call->param[LOG_AMPLITUDE])[l]), g = 0, v = 1, away = 0;
    for (int j = 0; j < w.m; j++) {
        real s = variance_of(rho + j);
        g += w.a[j] * m[j];
        v += w.a[j] * w.a[j] * (s - 1);
        away += s + m[j] * m[j] - 1 - 2 * rho[j];
    }
    *mean = ((const real *)call->param[BIAS])[l] + amplitude * g;
    *variance = amplitude * amplitude * v;
    *kl = away / 2;
}

static void forward(const ich_call *call) {
    work w = begin(call);
    for (int row = 0; row < rows_of(call, 0); row++) {
        real *y = (real *)call->out + (size_t)row * 3 * w.labels;
        look(call, w, (const real *)call->in[0] + (size_t)row * w.d);
        for (int l = 0; l < w.labels; l++) answer(call, w, l, y + l, y + w.labels + l, y + 2 * w.labels + l);
    }
}

/* Of one label; adds to da. */
static void backward_label(const ich_call *call, work w, int l, const real *y, const real *dy) {
    const real *m = (const real *)call->param[MEAN] + (size_t)l * w.m;
    const real *rho = (const real *)call->param[LOG_DEVIATION] + (size_t)l * w.m;
    real *const *d = (real *const *)call->d_param;
    real amplitude = exp(((const real *)call->param[LOG_AMPLITUDE])[l]);
    real d_mean = dy[l], d_variance = dy[w.labels + l], d_kl = dy[2 * w.labels + l];
    real d_g = amplitude * d_mean, d_v = amplitude * amplitude * d_variance;
    for (int j = 0; j < w.m; j++) {
        real s = variance_of(rho + j), a = w.a[j];
        size_t at = (size_t)l * w.m + j;
        w.da[j] += d_g * m[j] + 2 * d_v * (s - 1) * a;
        if (d[MEAN]) d[MEAN][at] += d_g * a + d_kl * m[j];
        if (d[LOG_DEVIATION]) d[LOG_DEVIATION][at] += 2 * d_v * a * a * s + d_kl * (s - 1);
    }
    if (d[BIAS]) d[BIAS][l] += d_mean;
    if (d[LOG_AMPLITUDE])
        d[LOG_AMPLITUDE][l] +=
            d_mean * (y[l] - ((const real *)call->param[BIAS])[l]) + 2 * d_variance * y[w.labels + l];
}

/* From dA to x. */
static void backward_point(const ich_call *call, work w, const real *x, real *dx) {
    const real *z = call->param[POINTS];
    const double length = ich_gp_length(w.d);
    for (int i = 0; i < w.d && !call->accumulate[0]; i++) dx[i] = 0;
    for (int j = 0; j < w.m; j++) {
        double dk = 0;
        for (int i = j; i < w.m; i++) dk += w.w[i * w.m + j] * w.da[i];
        real pull = (real)(dk * w.k[j] / (length * length));
        for (int i = 0; i < w.d; i++) dx[i] += pull * (z[(size_t)j * w.d + i] - x[i]);
    }
}

static void backward(const ich_call *call) {
    work w = begin(call);
    for (int row = 0; row < rows_of(call, 0); row++) {
        size_t at = (size_t)row * 3 * w.labels;
        const real *x = (const real *)call->in[0] + (size_t)row * w.d;
        look(call, w, x);
        memset(w.da, 0, (size_t)w.m * sizeof *w.da);
        for (int l = 0; l < w.labels; l++)
            backward_label(call, w, l, (const real *)call->out + at, (const real *)call->d_out + at);
        if (call->d_in[0]) backward_point(call, w, x, (real *)call->d_in[0] + (size_t)row * w.d);
    }
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    (void)out;
    return attr->hidden * ((int64_t)size_of(*in) + attr->hidden / 2 + 2 * attr->out);
}

const ich_layer ICH_NAME(ich_layer_gp) = {
    .op = "gp",
    .formula =
        "mean and variance of b + a g(x), g a Gaussian process known at M points by q(v); KL(q, prior)",
    .source = "Hensman, Matthews and Ghahramani 2015, arXiv 1411.2005; Wu et al. 2021, MICCAI",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT | ICH_NEEDS_OUTPUT,
    .shape = shape,
    .params = params,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
