/* Exercise 4: batch norm backward, and batch norm gone. */
#include "exercise.h"

void batch_norm_backward(int m, int c, const double *x, const double *mean,
                         const double *invstd, const double *gamma, const double *dy,
                         double *dx, double *dgamma, double *dbeta) {
    /* your code here: two sums over the batch first, then dx */
}

void fold(int k, int n, const double *gamma, const double *beta, const double *mean,
          const double *variance, double eps, double *w, double *b) {
    /* your code here */
}
