/* batch_norm.c: batch normalization, with the addition and ReLU that may follow it.
 *
 *   x̂ = (x - μ) / sqrt(σ² + eps)        y = γ x̂ + β        [out = max(0, y + add)]
 *
 * per channel. μ and σ² are this batch's (call->batch_statistics), or the running ones, which move towards
 * the batch's by `momentum` (with the unbiased variance, as torch). attr: eps, momentum. Ioffe and Szegedy
 * 2015.
 *
 * Backward, with δ = dL/dy and m values per channel. Write s = 1 / sqrt(σ² + eps).
 *   dL/dβ = Σ δ        dL/dγ = Σ δ x̂
 *   running statistics: x̂ depends on x only through s, so dL/dx = γ s δ.
 *   batch statistics:   dx̂_j/dx_i = s ([i = j] - 1/m - x̂_i x̂_j / m), from dμ/dx_i = 1/m and
 *                       dσ²/dx_i = 2 (x_i - μ) / m. Summed against γ δ_j:
 *                       dL/dx_i = γ s (δ_i - mean(δ) - x̂_i mean(δ x̂)).
 * Kernels batch_norm_sums and batch_norm_backward are these lines.
 *
 * With call->across the batch is spread over processes (tensor/ranks.h), and m, μ, σ² and both means are over
 * all of it: Σ 1, Σ x and Σ x² of each process are added up, as are Σ δ and Σ δ x̂ in backward. (Synchronized
 * batch norm: Peng et al. 2018, MegDet, CVPR, section 3.4.) With call->parts one process adds as many would.
 */
#include "call.h"
#include <string.h>

static int params(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs) {
    (void)attr;
    specs[0] = (ich_param_spec){.suffix = "weight", .init = ICH_INIT_CONSTANT, .scale = 1, .trainable = true};
    specs[1] = (ich_param_spec){.suffix = "bias", .init = ICH_INIT_ZERO, .trainable = true};
    specs[2] = (ich_param_spec){.suffix = "running_mean", .init = ICH_INIT_ZERO};
    specs[3] = (ich_param_spec){.suffix = "running_var", .init = ICH_INIT_CONSTANT, .scale = 1};
    for (int p = 0; p < 4; p++) {
        specs[p].rank = 1;
        specs[p].dims[0] = in->c;
    }
    return 4;
}

static int64_t pixels_of(const ich_call *call) {
    return (int64_t)rows_of(call, 0) * call->in_shape[0].h * call->in_shape[0].w;
}

/* saved: mean, then 1 / sqrt(variance + eps) */
static size_t saved(const ich_call *call) { return 2 * padded((size_t)call->in_shape[0].c) * sizeof(real); }

/* scratch: mean, invstd, scale, shift; sums; the kernels' own */
static size_t sum_space(int channels) {
    return padded((4 * (size_t)channels + 1) * sizeof(double) / sizeof(real) + 1);
}

static size_t scratch(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    const int channels = call->in_shape[0].c;
    return (4 * padded((size_t)channels) + sum_space(channels) +
            k->channel_scratch(pixels_of(call), channels)) *
           sizeof(real);
}

/* A part of the rows as the kernels want it: how many pixels, and where they begin. */
static int64_t pixels_of_part(const ich_call *call, int part, size_t *first) {
    const int64_t pixels = (int64_t)call->in_shape[0].h * call->in_shape[0].w;
    const row_part rows = part_of(call, 0, part);
    *first = (size_t)(rows.first * pixels);
    return rows.count * pixels;
}

/* Moments of the batch: each part's, put together by Σ 1, Σ x and Σ x². sums: 2 c + 1. Returns how many
 * values a channel has. */
static int64_t batch_moments(const ich_call *call, real *mean, real *variance, double *sums, real *work) {
    const ich_kernels *k = call->kernels;
    const int c = call->in_shape[0].c;
    double *squares = sums + c, *all = squares + c;
    memset(sums, 0, (2 * (size_t)c + 1) * sizeof *sums);
    for (int p = 0; p < call->parts; p++) {
        size_t first;
        const int64_t m = pixels_of_part(call, p, &first);
        if (m == 0) continue;
        k->channel_moments(m, c, (const real *)call->in[0] + first * (size_t)call->in_stride[0],
                           call->in_stride[0], mean, variance, work);
        for (int j = 0; j < c; j++) {
            const double center = (double)mean[j];
            sums[j] += (double)m * center;
            squares[j] += (double)m * ((double)variance[j] + center * center);
        }
        *all += (double)m;
    }
    if (call->across) call->across->sum(call->across->self, sums, 2 * (size_t)c + 1);
    if (!call->across && call->parts == 1) return (int64_t)*all; /* as they are: without a rounding */
    for (int j = 0; j < c; j++) {
        const double center = sums[j] / *all, spread = squares[j] / *all - center * center;
        mean[j] = (real)center;
        variance[j] = (real)(spread > 0 ? spread : 0);
    }
    return (int64_t)*all;
}

/* This batch's moments, and the running ones a step closer to them. */
static void measure(const ich_call *call, real *mean, real *variance, double *sums, real *work) {
    const int64_t m = batch_moments(call, mean, variance, sums, work);
    real *running_mean = call->param[2], *running_var = call->param[3];
    const real momentum = call->attr->momentum, unbiased = m > 1 ? (real)m / (real)(m - 1) : 1;
    for (int c = 0; c < call->in_shape[0].c; c++) {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_var[c] += momentum * (variance[c] * unbiased - running_var[c]);
    }
}

static void moments(const ich_call *call, real *mean, real *variance, double *sums, real *work) {
    size_t bytes = (size_t)call->in_shape[0].c * sizeof(real);
    if (call->batch_statistics) {
        measure(call, mean, variance, sums, work);
    } else {
        memcpy(mean, call->param[2], bytes);
        memcpy(variance, call->param[3], bytes);
    }
}

static void forward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    size_t channels = (size_t)call->in_shape[0].c, part = padded(channels), bytes = channels * sizeof(real);
    const real *gamma = call->param[0], *beta = call->param[1];
    real *mean = call->scratch, *invstd = mean + part, *scale = invstd + part, *shift = scale + part;
    double *sums = (double *)(shift + part);
    if (call->again) {
        memcpy(mean, call->saved, bytes);
        memcpy(invstd, (real *)call->saved + part, bytes);
    } else {
        moments(call, mean, invstd, sums, shift + part + sum_space((int)channels));
        for (size_t c = 0; c < channels; c++) invstd[c] = 1 / sqrt(invstd[c] + (real)call->attr->eps);
    }
    for (size_t c = 0; c < channels; c++) {
        scale[c] = gamma[c] * invstd[c];
        shift[c] = beta[c] - mean[c] * scale[c];
    }
    k->channel_affine(pixels_of(call), (int)channels, call->in[0], call->in_stride[0], scale, shift,
                      call->add, call->relu, call->out);
    if (call->gradient && !call->again) {
        memcpy(call->saved, mean, bytes);
        memcpy((real *)call->saved + part, invstd, bytes);
    }
}

/* Σ δ and Σ δ x̂ over the batch, divided by m, into means [2][c]; this rank's part of them is dL/dβ and dL/dγ.
 * sums: 2 c + 1 more. */
static void gradient_means(const ich_call *call, double *means, double *sums, real *work) {
    const ich_kernels *k = call->kernels;
    const int c = call->in_shape[0].c, ldx = call->in_stride[0];
    const real *x = call->in[0], *y = call->relu ? call->out : NULL, *dy = call->d_out;
    const real *mean = call->saved, *invstd = mean + padded((size_t)c);
    real *d_gamma = call->d_param[0], *d_beta = call->d_param[1];
    double *all = means + 2 * c;
    memset(means, 0, (2 * (size_t)c + 1) * sizeof *means);
    for (int p = 0; p < call->parts; p++) {
        size_t first;
        const int64_t m = pixels_of_part(call, p, &first);
        const size_t at = first * (size_t)c;
        k->batch_norm_sums(m, c, x + first * (size_t)ldx, ldx, y ? y + at : NULL, dy + at, mean, invstd, sums,
                           work);
        for (int j = 0; j < c; j++) {
            if (d_beta) d_beta[j] += (real)sums[j];
            if (d_gamma) d_gamma[j] += (real)sums[c + j];
        }
        for (int j = 0; j < 2 * c; j++) means[j] += sums[j];
        *all += (double)m;
    }
    if (call->across) call->across->sum(call->across->self, means, 2 * (size_t)c + 1);
    for (int j = 0; j < 2 * c; j++) means[j] = call->batch_statistics ? means[j] / *all : 0;
}

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    int channels = call->in_shape[0].c;
    const real *mean = call->saved, *invstd = mean + padded((size_t)channels);
    double *means = call->scratch, *sums = means + 2 * channels + 1;
    real *work = (real *)call->scratch + 4 * padded((size_t)channels) + sum_space(channels);
    gradient_means(call, means, sums, work);
    if (!call->d_in[0] && !call->d_add) return;
    k->batch_norm_backward(pixels_of(call), channels, call->in[0], call->in_stride[0],
                           call->relu ? call->out : NULL, call->d_out, mean, invstd, call->param[0], means,
                           call->d_in[0], call->accumulate[0], call->d_add, call->accumulate_add, work);
}

const ich_layer ICH_NAME(ich_layer_batch_norm) = {
    .op = "batch_norm",
    .formula = "y = gamma (x - mean) / sqrt(variance + eps) + beta, per channel",
    .source = "Ioffe and Szegedy 2015, arXiv 1502.03167",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .fuses = ICH_FUSES_RELU | ICH_FUSES_ADD,
    .in_place_backward = true,
    .strided = true,
    .cheap = true,
    .shape = same_shape,
    .params = params,
    .saved = saved,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
};
