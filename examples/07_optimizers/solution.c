#include "exercise.h"

#include <math.h>

void adamw_step(int n, int t, double lr, double decay, const double *gradient, double *m,
                double *v, double *value) {
    const double bias1 = 1 - pow(0.9, t), bias2 = 1 - pow(0.999, t);
    for (int i = 0; i < n; i++) {
        m[i] = 0.9 * m[i] + 0.1 * gradient[i];
        v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
        value[i] -= lr * decay * value[i] + lr * (m[i] / bias1) / (sqrt(v[i] / bias2) + 1e-8);
    }
}

/* From `from` to `to` along half a cosine, at 0 … 1. */
static double half_cosine(double from, double to, double at) {
    return to + (from - to) * (1 + cos(acos(-1) * at)) / 2;
}

double one_cycle(int step, int steps) {
    const double peak = 0.3 * steps - 1;
    if (step <= peak) return half_cosine(1.0 / 25, 1, step / peak);
    return half_cosine(1, 1.0 / 250000, (step - peak) / (steps - 1 - peak));
}
