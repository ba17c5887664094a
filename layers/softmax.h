/* softmax.h: what compares with what by softmax: attention, self-attention.
 *
 *   a_t = exp(s_t) / Σ_τ exp(s_τ)        da_t/ds_τ = a_t ([t = τ] - a_τ), so ds_t = a_t (da_t - Σ_τ a_τ da_τ)
 *
 * over the numbers first, first + 1, … last - 1, `stride` apart.
 *
 * Calls: tensor. Called by: the layer files of this room; not for other rooms.
 */
#ifndef ICH_LAYERS_SOFTMAX_H
#define ICH_LAYERS_SOFTMAX_H

#include "call.h"

/* In place; less the greatest, so that exp stays finite. */
static inline void softmax(int first, int last, int stride, real *a) {
    real greatest = a[first * stride], sum = 0;
    for (int t = first + 1; t < last; t++) greatest = fmax(greatest, a[t * stride]);
    for (int t = first; t < last; t++) sum += a[t * stride] = exp(a[t * stride] - greatest);
    for (int t = first; t < last; t++) a[t * stride] /= sum;
}

/* ds may be da */
static inline void softmax_backward(int first, int last, int stride, const real *a, const real *da,
                                    real *ds) {
    real mean = 0;
    for (int t = first; t < last; t++) mean += a[t * stride] * da[t * stride];
    for (int t = first; t < last; t++) ds[t * stride] = a[t * stride] * (da[t * stride] - mean);
}

#endif
