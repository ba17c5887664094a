/* Lesson 4: the gradient of batch norm three ways: as if mean and variance were constants, as
 * it is, and numerically.
 *
 *   04_batch_norm [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/tensor/kernels.h>
#include <ichor/tensor/rng.h>

#include <math.h>
#include <stdio.h>

enum { M = 24 }; /* values of one channel, all images and pixels together */

static const double gamma_ = 1.5, beta_ = 0.2, eps = 1e-5;

/* y = γ x̂ + β, x̂ = (x - μ) / sqrt(σ² + ε) */
static void batch_norm(const double *x, double *mean, double *invstd, double *y) {
    double sum = 0, squares = 0;
    for (int i = 0; i < M; i++) sum += x[i];
    *mean = sum / M;
    for (int i = 0; i < M; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *invstd = 1 / sqrt(squares / M + eps);
    for (int i = 0; i < M; i++) y[i] = gamma_ * (x[i] - *mean) * *invstd + beta_;
}

/* Half the squared distance to some targets. */
static double loss(const double *x, const double *target) {
    double mean, invstd, y[M], sum = 0;
    batch_norm(x, &mean, &invstd, y);
    for (int i = 0; i < M; i++) sum += (y[i] - target[i]) * (y[i] - target[i]) / 2;
    return sum;
}

/* The tempting gradient: y = γ s x + …, so dL/dx = γ s dL/dy. */
static void naive(double invstd, const double *dy, double *dx) {
    for (int i = 0; i < M; i++) dx[i] = gamma_ * invstd * dy[i];
}

/* The right one: less its mean, less its part along x̂. */
static void right(const double *x, double mean, double invstd, const double *dy, double *dx) {
    double mean_dy = 0, mean_dy_xhat = 0;
    for (int i = 0; i < M; i++) {
        mean_dy += dy[i] / M;
        mean_dy_xhat += dy[i] * (x[i] - mean) * invstd / M;
    }
    for (int i = 0; i < M; i++)
        dx[i] = gamma_ * invstd * (dy[i] - mean_dy - (x[i] - mean) * invstd * mean_dy_xhat);
}

static void numerical(double *x, const double *target, double *dx) {
    const double h = 1e-5;
    for (int i = 0; i < M; i++) {
        const double v = x[i];
        x[i] = v + h;
        const double above = loss(x, target);
        x[i] = v - h;
        dx[i] = (above - loss(x, target)) / (2 * h);
        x[i] = v;
    }
}

static void print_row(const char *name, const double *dx, const double *truth,
                      const double *x, double mean, double invstd) {
    double sum = 0, along = 0, worst = 0;
    for (int i = 0; i < M; i++) {
        sum += dx[i];
        along += dx[i] * (x[i] - mean) * invstd;
        worst = fmax(worst, fabs(dx[i] - truth[i]));
    }
    printf("%-22s %14.2e %16.2e %18.1e\n", name, sum, along, worst);
}

int main(int argc, char **argv) {
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 4);
    double index[M], x[M], target[M], y[M], dy[M], mean, invstd;
    for (int i = 0; i < M; i++) {
        index[i] = i;
        x[i] = 3 + 2 * (double)ich_rng_normal(&rng);
        target[i] = 1 + (double)ich_rng_normal(&rng);
    }
    batch_norm(x, &mean, &invstd, y);
    for (int i = 0; i < M; i++) dy[i] = y[i] - target[i];

    double truth[M], tempting[M], derived[M], ichor[M], sums[2];
    numerical(x, target, truth);
    naive(invstd, dy, tempting);
    right(x, mean, invstd, dy, derived);
    const ich_kernels_f64 *kernels = ich_kernels_f64_active();
    kernels->batch_norm_sums(M, 1, x, 1, NULL, dy, &mean, &invstd, sums, NULL);
    const double means[2] = {sums[0] / M, sums[1] / M};
    kernels->batch_norm_backward(M, 1, x, 1, NULL, dy, &mean, &invstd, &gamma_, means, ichor,
                                 false, NULL, false, NULL);

    printf("%-22s %14s %16s %18s\n", "gradient", "sum of dx", "sum of dx * xhat",
           "from the numerical");
    print_row("mean, variance fixed", tempting, truth, x, mean, invstd);
    print_row("right()", derived, truth, x, mean, invstd);
    print_row("Ichor's kernel", ichor, truth, x, mean, invstd);

    plot picture = {.title = "dL/dx through batch norm, 24 values of a channel",
                    .x_label = "value of the batch",
                    .y_label = "dL/dx"};
    plot_add(&picture, PLOT_DASHED, "mean and variance taken as constants", M, index,
             tempting);
    plot_add(&picture, PLOT_LINE, "the whole derivative", M, index, derived);
    plot_add(&picture, PLOT_DOTS, "numerical gradient", M, index, truth);
    return plot_write(&picture, argc > 1 ? argv[1] : ".", "04-gradient.svg") ? 0 : 1;
}
