#include "exercise.h"

#include <math.h>

void batch_norm_backward(int m, int c, const double *x, const double *mean,
                         const double *invstd, const double *gamma, const double *dy,
                         double *dx, double *dgamma, double *dbeta) {
    for (int j = 0; j < c; j++) {
        double sum = 0, sum_xhat = 0;
        for (int i = 0; i < m; i++) {
            sum += dy[i * c + j];
            sum_xhat += dy[i * c + j] * (x[i * c + j] - mean[j]) * invstd[j];
        }
        dbeta[j] += sum;
        dgamma[j] += sum_xhat;
        for (int i = 0; i < m; i++) {
            const double xhat = (x[i * c + j] - mean[j]) * invstd[j];
            dx[i * c + j] =
                gamma[j] * invstd[j] * (dy[i * c + j] - sum / m - xhat * sum_xhat / m);
        }
    }
}

void fold(int k, int n, const double *gamma, const double *beta, const double *mean,
          const double *variance, double eps, double *w, double *b) {
    for (int o = 0; o < k; o++) {
        const double scale = gamma[o] / sqrt(variance[o] + eps);
        for (int i = 0; i < n; i++) w[o * n + i] *= scale;
        b[o] = beta[o] + (b[o] - mean[o]) * scale;
    }
}
