#ifndef EXAMPLES_03_EXERCISE_H
#define EXAMPLES_03_EXERCISE_H

/* y [n,out] = x [n,in] · wᵀ + b, w [out,in], as in affine.h. Given dy = dL/dy, set dx = dL/dx
 * [n,in], and add dL/dw [out,in] and dL/db [out] to what dw and db hold. */
void linear_backward(int n, int in, int out, const double *x, const double *w,
                     const double *dy, double *dx, double *dw, double *db);

/* y = x · σ(x), element by element, σ(x) = 1 / (1 + exp(-x)). Given dy, set dx. */
void silu_backward(int n, const double *x, const double *dy, double *dx);

#endif
