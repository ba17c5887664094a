/* loss.c: binary cross-entropy on logits, with unknown labels (compiled for float and double).
 *
 *   L = scale Σ_{row,l known} weight[l] · (-t log σ(x) - (1 - t) log(1 - σ(x)))
 *
 * With -log σ(x) = log(1 + exp(-x)) and -log(1 - σ(x)) = x + log(1 + exp(-x)) one term is
 * x - x t + log(1 + exp(-x)), and for x < 0, where exp(-x) may overflow, -x t + log(1 + exp(x)): together
 *
 *   max(x, 0) - x t + log(1 + exp(-|x|))
 *
 * Backward: d/dx log(1 + exp(x)) = σ(x), so dL/dx = scale · weight[l] · (σ(x) - t).
 *
 * Labels with errors, at the rates n of false negatives and p of false positives: a label is 1 with
 * probability q = (1 - n) σ(x) + p (1 - σ(x)) = p + c σ(x), c = 1 - n - p, and 0 with 1 - q = n + c σ(-x), so
 *
 *   L = scale Σ weight[l] · (-t log q - (1 - t) log(1 - q))
 *
 * in logarithms, since σ(x) may be too small for its own: log q = log(exp(log p) + exp(log c + log σ(x))).
 * Backward: dq/dx = c σ(x) σ(-x), so dL/dx = scale · weight[l] · c σ(x) σ(-x) · ((1 - t) / (1 - q) - t / q).
 */
#include "loss.h"

#include "tensor/real.h"
#include <tgmath.h>

double ICH_NAME(ich_loss_bce)(int rows, int labels, const real *logit, const real *target, const real *weight,
                              double scale, real *d_logit) {
    double loss = 0;
    for (int row = 0; row < rows; row++)
        for (int l = 0; l < labels; l++) {
            size_t i = (size_t)row * (size_t)labels + (size_t)l;
            double x = logit[i], t = target[i], w = weight[l];
            bool known = !isnan(t);
            if (known) loss += w * (fmax(x, 0) - x * t + log1p(exp(-fabs(x))));
            if (d_logit) d_logit[i] = known ? (real)(scale * w * (1 / (1 + exp(-x)) - t)) : 0;
        }
    return scale * loss;
}

/* log(exp(a) + exp(b)); a may be -infinity */
static double log_add(double a, double b) { return fmax(a, b) + log1p(exp(-fabs(a - b))); }

static double log_sigmoid(double x) { return fmin(x, 0) - log1p(exp(-fabs(x))); }

double ICH_NAME(ich_loss_noisy_bce)(int rows, int labels, const real *logit, const real *target,
                                    const real *weight, ich_label_noise noise, double scale, real *d_logit) {
    const double p = log(noise.false_positives), n = log(noise.false_negatives),
                 c = log(1 - noise.false_positives - noise.false_negatives);
    double loss = 0;
    for (int row = 0; row < rows; row++)
        for (int l = 0; l < labels; l++) {
            size_t i = (size_t)row * (size_t)labels + (size_t)l;
            double t = target[i], w = weight[l], up = log_sigmoid(logit[i]), down = log_sigmoid(-logit[i]);
            double positive = log_add(p, c + up), negative = log_add(n, c + down); /* log q, log(1 - q) */
            bool known = !isnan(t);
            if (known) loss -= w * (t * positive + (1 - t) * negative);
            double slope = (1 - t) * exp(c + up + down - negative) - t * exp(c + up + down - positive);
            if (d_logit) d_logit[i] = known ? (real)(scale * w * slope) : 0;
        }
    return scale * loss;
}
