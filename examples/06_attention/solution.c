#include "exercise.h"

#include <math.h>

void attention_backward(int T, int C, const double *h, const double *a, const double *dz,
                        double *dh, double *ds) {
    double mean = 0;
    for (int t = 0; t < T; t++) {
        double da = 0;
        for (int c = 0; c < C; c++) {
            da += dz[c] * h[t * C + c];
            dh[t * C + c] = a[t] * dz[c];
        }
        ds[t] = da;
        mean += a[t] * da;
    }
    for (int t = 0; t < T; t++) ds[t] = a[t] * (ds[t] - mean);
}

/* S = Σ log(1 + exp(x_t)) = -log(1 - P), so the losses are S for label 0 and -log(1 -
 * exp(-S)) for label 1, whose derivative by S is -1 / (exp(S) - 1); and dS/dx_t = σ(x_t). For
 * small S, S / (exp(S) - 1) tends to 1, but σ(x_t) / S need not be small: the quotient is
 * taken as it stands, and stays at most 1. */
double noisy_or(int T, const double *x, int label, double *dx) {
    double S = 0;
    for (int t = 0; t < T; t++) S += fmax(x[t], 0) + log1p(exp(-fabs(x[t])));
    for (int t = 0; t < T; t++) {
        const double sigma = x[t] > 0 ? 1 / (1 + exp(-x[t])) : exp(x[t]) / (1 + exp(x[t]));
        dx[t] = label ? -sigma / expm1(S) : sigma;
    }
    return label ? -log(-expm1(-S)) : S;
}
