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
 * Kernel batch_norm_backward is these lines.
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

/* scratch: mean, invstd, scale, shift, the kernels' own */
static size_t scratch(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    const int channels = call->in_shape[0].c;
    return (4 * padded((size_t)channels) + k->channel_scratch(pixels_of(call), channels)) * sizeof(real);
}

/* This batch's moments, and the running ones a step closer to them. */
static void measure(const ich_call *call, real *mean, real *variance, real *work) {
    const ich_kernels *k = call->kernels;
    int64_t m = pixels_of(call);
    real *running_mean = call->param[2], *running_var = call->param[3];
    real momentum = call->attr->momentum, unbiased = m > 1 ? (real)m / (real)(m - 1) : 1;
    k->channel_moments(m, call->in_shape[0].c, call->in[0], call->in_stride[0], mean, variance, work);
    for (int c = 0; c < call->in_shape[0].c; c++) {
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_var[c] += momentum * (variance[c] * unbiased - running_var[c]);
    }
}

static void moments(const ich_call *call, real *mean, real *variance, real *work) {
    size_t bytes = (size_t)call->in_shape[0].c * sizeof(real);
    if (call->batch_statistics) {
        measure(call, mean, variance, work);
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
    if (call->again) {
        memcpy(mean, call->saved, bytes);
        memcpy(invstd, (real *)call->saved + part, bytes);
    } else {
        moments(call, mean, invstd, shift + part);
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

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    int channels = call->in_shape[0].c;
    size_t part = padded((size_t)channels);
    const real *mean = call->saved, *invstd = mean + part;
    real *unwanted = call->scratch; /* takes the gradients of frozen γ and β */
    real *d_gamma = call->d_param[0] ? call->d_param[0] : unwanted;
    real *d_beta = call->d_param[1] ? call->d_param[1] : unwanted + part;
    memset(unwanted, 0, 2 * part * sizeof(real));
    k->batch_norm_backward(pixels_of(call), channels, call->in[0], call->in_stride[0],
                           call->relu ? call->out : NULL, call->d_out, mean, invstd, call->param[0],
                           call->batch_statistics, call->d_in[0], call->accumulate[0], call->d_add,
                           call->accumulate_add, d_gamma, d_beta, unwanted + 4 * part);
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
