/* fold.c: batch norm with fixed statistics is one multiply-add per channel, so at inference it disappears
 * into the convolution before it (compiled for float and double). */
#include "plan.h"

#include "tensor/real.h"
#include <tgmath.h>

void ICH_NAME(ich_fold_norm)(int k, size_t per_channel, const real *weight, const real *bias,
                             const real *const norm[4], float eps, real *weight_out, real *bias_out) {
    const real *gamma = norm[0], *beta = norm[1], *mean = norm[2], *variance = norm[3];
    for (int o = 0; o < k; o++) {
        real scale = gamma[o] / sqrt(variance[o] + (real)eps);
        for (size_t i = 0; i < per_channel; i++)
            weight_out[(size_t)o * per_channel + i] = weight[(size_t)o * per_channel + i] * scale;
        bias_out[o] = beta[o] + ((bias ? bias[o] : 0) - mean[o]) * scale;
    }
}
