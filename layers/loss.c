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
