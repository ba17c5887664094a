/* affine.h: y = x Wᵀ + b on rows, and its gradient; the part that linear, lstm and attention share.
 *
 *   y [n,out] = x [n,in] · W [out,in]ᵀ + b [out]
 *
 * With δ = dL/dy, dL = tr(δᵀ dy) and dy = dx Wᵀ + x dWᵀ + 1 dbᵀ give
 *   dL/dx = δ W        dL/dW = δᵀ x        dL/db = sum over rows of δ
 *
 * Calls: tensor. Called by: the layer files of this room; not for other rooms.
 */
#ifndef ICH_LAYERS_AFFINE_H
#define ICH_LAYERS_AFFINE_H

#include "call.h"
#include <string.h>

/* b may be NULL */
static inline void affine_forward(const ich_kernels *k, int n, int in, int out, const real *x, const real *w,
                                  const real *b, real *y) {
    for (int row = 0; b && row < n; row++) memcpy(y + (size_t)row * out, b, (size_t)out * sizeof *b);
    k->gemm(false, true, n, out, in, x, in, w, in, b != NULL, y, out);
}

/* dx, dw, db may each be NULL; dx may be x, which is read first; scratch: channel_scratch(n, out) */
static inline void affine_backward(const ich_kernels *k, int n, int in, int out, const real *x, const real *w,
                                   const real *dy, bool accumulate, real *dx, real *dw, real *db,
                                   real *scratch) {
    if (dw) k->gemm(true, false, out, in, n, dy, out, x, in, true, dw, in);
    if (db) k->channel_sum(n, out, dy, db, scratch);
    if (dx) k->gemm(false, false, n, in, out, dy, out, w, in, accumulate, dx, in);
}

#endif
