/* noisy_or.c: a study is positive if at least one of its slices is, the slices being independent.
 *
 *   P = 1 - Π_t (1 - p_t),  p_t = σ(x_t)                              over the study's slices t
 *
 * In and out are logits. With -log(1 - σ(x)) = softplus(x) = log(1 + exp(x)) and S = Σ_t softplus(x_t),
 * P = 1 - exp(-S), whose logit is
 *
 *   y = log(P / (1 - P)) = log(exp(S) - 1) = S + log(1 - exp(-S))
 *
 * where S is held above the smallest normal number, at which y is -87 in float.
 *
 * Backward: dy/dS = 1 / (1 - exp(-S)) = 1 / P and dS/dx_t = σ(x_t), so dL/dx_t = δ σ(x_t) / P: slices share
 * the study's gradient by their own probability. Maron and Lozano-Pérez 1998, A framework for multiple-
 * instance learning, NIPS 10, section 2; Pearl 1988 (noisy-or).
 */
#include "call.h"
#include <float.h>

static ich_domain domain(ich_domain in) {
    (void)in;
    return ICH_PER_STUDY;
}

/* Without overflow for large x, and without loss for small exp(x). */
static real softplus(real x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }

/* S of a study and channel. */
static real evidence(const ich_call *call, int study, size_t channel) {
    size_t c = size_of(call->in_shape[0]);
    const real *x = call->in[0];
    real sum = 0;
    for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++)
        sum += softplus(x[(size_t)t * c + channel]);
    return fmax(sum, FLT_MIN);
}

static void forward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    real *y = call->out;
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) {
            real s = evidence(call, study, i);
            y[study * c + i] = s + log(-expm1(-s));
        }
}

static void backward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    const real *x = call->in[0], *dy = call->d_out;
    real *dx = call->d_in[0];
    if (!dx) return;
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) {
            real share = dy[study * c + i] / -expm1(-evidence(call, study, i));
            for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++) {
                size_t at = (size_t)t * c + i;
                dx[at] = (call->accumulate[0] ? dx[at] : 0) + share * logistic(x[at]);
            }
        }
}

const ich_layer ICH_NAME(ich_layer_noisy_or) = {
    .op = "noisy_or",
    .formula = "y = logit of 1 - product over the study's slices of (1 - sigmoid(x))",
    .source = "Maron and Lozano-Perez 1998, NIPS 10, section 2",
    .inputs = 1,
    .needs = ICH_NEEDS_INPUT,
    .shape = same_shape,
    .domain = domain,
    .forward = forward,
    .backward = backward,
};
