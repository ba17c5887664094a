#include "../check.h"
#include "exercise.h"

#include <math.h>

static void norm(const ich_call *call) {
    const ich_shape s = call->in_shape[0];
    const double *x = call->in[0], *gamma = call->param[0];
    const int m = call->rows * s.h * s.w;
    double mean[8], invstd[8];
    for (int j = 0; j < s.c; j++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < m; i++) sum += x[i * s.c + j];
        mean[j] = sum / m;
        for (int i = 0; i < m; i++)
            squares += (x[i * s.c + j] - mean[j]) * (x[i * s.c + j] - mean[j]);
        invstd[j] = 1 / sqrt(squares / m + (double)call->attr->eps);
    }
    batch_norm_backward(m, s.c, x, mean, invstd, gamma, call->d_out, call->d_in[0],
                        call->d_param[0], call->d_param[1]);
}

static bool check_fold(void) {
    enum { K = 3, N = 5 };
    double draw[K * N + N + K * 5], expected[K], got[K];
    check_draw(4, K * N + N + K * 5, draw, 0.5, 2);
    double *w = draw, *x = w + K * N, *b = x + N, *gamma = b + K, *beta = gamma + K,
           *mean = beta + K, *variance = mean + K;
    for (int o = 0; o < K; o++) {
        double y = b[o];
        for (int i = 0; i < N; i++) y += w[o * N + i] * x[i];
        expected[o] = gamma[o] * (y - mean[o]) / sqrt(variance[o] + 1e-3) + beta[o];
    }
    fold(K, N, gamma, beta, mean, variance, 1e-3, w, b);
    for (int o = 0; o < K; o++) {
        got[o] = b[o];
        for (int i = 0; i < N; i++) got[o] += w[o * N + i] * x[i];
    }
    return check_numbers("fold", "y", K, got, expected, 1e-12);
}

int main(void) {
    const ich_layer_case c = {.op = "batch_norm",
                              .what = "2 images of 3 x 2, 4 channels, batch statistics",
                              .attr = {.eps = 1e-3f, .momentum = 0.1f},
                              .in = {{3, 2, 4}},
                              .lengths = {2},
                              .batch_statistics = true};
    bool all = check_layer(&c, norm);
    all &= check_fold();
    return check_end(all);
}
