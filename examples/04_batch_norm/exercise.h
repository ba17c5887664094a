#ifndef EXAMPLES_04_EXERCISE_H
#define EXAMPLES_04_EXERCISE_H

/* x [m,c], and dy = dL/dy likewise; of each channel mean, invstd = 1 / sqrt(variance + eps),
 * and gamma [c]. Mean and variance are those of this batch. Set dx [m,c]; add to dgamma [c]
 * and dbeta [c]. */
void batch_norm_backward(int m, int c, const double *x, const double *mean,
                         const double *invstd, const double *gamma, const double *dy,
                         double *dx, double *dgamma, double *dbeta);

/* For inference: w [k,n] and b [k] of a linear layer (or of a convolution, n = c·r·s)
 * followed by batch norm with running statistics, into w and b of one layer that does both.
 */
void fold(int k, int n, const double *gamma, const double *beta, const double *mean,
          const double *variance, double eps, double *w, double *b);

#endif
