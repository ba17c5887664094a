/* reference.c: every kernel but convolution as plain loops that read like the formula (compiled for float and
 * double). What the fast kernels are checked against; `--kernels reference` runs the whole system on them.
 *
 * Sums over rows, of which a batch of images has a million, are taken in double even in the float version:
 * summed one by one in float they would be less exact than the kernels that they judge.
 */
#include "reference.h"

#include <tgmath.h>

/* -- matrix product ------------------------------------------------------------------------------------ */

static void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const real *a, int lda,
                 const real *b, int ldb, bool accumulate, real *c, int ldc) {
#pragma omp parallel for
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            real sum = 0;
            for (int l = 0; l < k; l++) {
                real x = transpose_a ? a[(size_t)l * (size_t)lda + (size_t)i]
                                     : a[(size_t)i * (size_t)lda + (size_t)l];
                real y = transpose_b ? b[(size_t)j * (size_t)ldb + (size_t)l]
                                     : b[(size_t)l * (size_t)ldb + (size_t)j];
                sum += x * y;
            }
            real *to = &c[(size_t)i * (size_t)ldc + (size_t)j];
            *to = accumulate ? *to + sum : sum;
        }
}

/* -- per channel --------------------------------------------------------------------------------------- */

static size_t channel_scratch(int64_t rows, int c) {
    (void)rows, (void)c;
    return 0;
}

static void channel_moments(int64_t rows, int c, const real *x, int ldx, real *mean, real *variance,
                            real *scratch) {
    (void)scratch;
#pragma omp parallel for
    for (int j = 0; j < c; j++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < rows; i++) sum += (double)x[i * ldx + j];
        double center = sum / (double)rows;
        for (int64_t i = 0; i < rows; i++)
            squares += ((double)x[i * ldx + j] - center) * ((double)x[i * ldx + j] - center);
        mean[j] = (real)center;
        variance[j] = (real)(squares / (double)rows);
    }
}

static void channel_affine(int64_t rows, int c, const real *x, int ldx, const real *scale, const real *shift,
                           const real *add, bool relu, real *y) {
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < c; j++) {
            real z = x[i * ldx + j] * scale[j] + shift[j];
            if (add) z += add[i * c + j];
            y[i * c + j] = relu && z < 0 ? 0 : z;
        }
}

static void channel_sum(int64_t rows, int c, const real *x, real *sum, real *scratch) {
    (void)scratch;
#pragma omp parallel for
    for (int j = 0; j < c; j++) {
        double total = 0;
        for (int64_t i = 0; i < rows; i++) total += (double)x[i * c + j];
        sum[j] += (real)total;
    }
}

static void batch_norm_sums(int64_t rows, int c, const real *x, int ldx, const real *y, const real *dy,
                            const real *mean, const real *invstd, double *sums, real *scratch) {
    (void)scratch;
#pragma omp parallel for
    for (int j = 0; j < c; j++) {
        sums[j] = sums[c + j] = 0;
        for (int64_t i = 0; i < rows; i++) {
            double dz = y && !(y[i * c + j] > 0) ? 0 : (double)dy[i * c + j];
            sums[j] += dz;
            sums[c + j] += dz * ((double)x[i * ldx + j] - (double)mean[j]) * (double)invstd[j];
        }
    }
}

static void batch_norm_backward(int64_t rows, int c, const real *x, int ldx, const real *y, const real *dy,
                                const real *mean, const real *invstd, const real *gamma, const double *means,
                                real *dx, bool accumulate, real *d_add, bool accumulate_add, real *scratch) {
    (void)scratch;
#pragma omp parallel for
    for (int j = 0; j < c; j++) {
        double mean_dz = means[j], mean_dz_xhat = means[c + j];
        for (int64_t i = 0; i < rows; i++) {
            const int64_t at = i * c + j, in = i * ldx + j;
            double dz = y && !(y[at] > 0) ? 0 : (double)dy[at];
            double xhat = ((double)x[in] - (double)mean[j]) * (double)invstd[j];
            double back = (double)gamma[j] * (double)invstd[j] * (dz - mean_dz - xhat * mean_dz_xhat);
            if (d_add) d_add[at] = accumulate_add ? d_add[at] + (real)dz : (real)dz;
            if (dx) dx[in] = accumulate ? dx[in] + (real)back : (real)back;
        }
    }
}

/* -- element by element -------------------------------------------------------------------------------- */

static void relu_forward(size_t n, const real *x, real *y) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i]; /* a NaN stays one */
}

static void relu_backward(size_t n, const real *y, const real *dy, bool accumulate, real *dx) {
    for (size_t i = 0; i < n; i++) {
        real dz = y[i] > 0 ? dy[i] : 0;
        dx[i] = accumulate ? dx[i] + dz : dz;
    }
}

static void sigmoid(size_t n, const real *x, real *y) {
    for (size_t i = 0; i < n; i++) y[i] = 1 / (1 + exp(-x[i]));
}

static void tanh_forward(size_t n, const real *x, real *y) {
    for (size_t i = 0; i < n; i++) y[i] = tanh(x[i]);
}

static void add(size_t n, const real *a, const real *b, bool relu, real *y) {
    for (size_t i = 0; i < n; i++) {
        real sum = a[i] + b[i];
        y[i] = relu && sum < 0 ? 0 : sum;
    }
}

static void copy(size_t n, const real *x, bool accumulate, real *y) {
    for (size_t i = 0; i < n; i++) y[i] = accumulate ? y[i] + x[i] : x[i];
}

/* -- pooling ------------------------------------------------------------------------------------------- */

static size_t pool_at(int h, int w, int c, int n, int i, int j, int channel) {
    return (((size_t)n * (size_t)h + (size_t)i) * (size_t)w + (size_t)j) * (size_t)c + (size_t)channel;
}

static void max_pool(const ich_pool_shape *p, const real *x, real *y, uint8_t *argmax) {
    for (int n = 0; n < p->n; n++)
        for (int i = 0; i < p->oh; i++)
            for (int j = 0; j < p->ow; j++)
                for (int c = 0; c < p->c; c++) {
                    real best = -INFINITY;
                    int winner = -1;
                    for (int r = 0; r < p->r * p->r; r++) {
                        int row = i * p->stride + r / p->r - p->pad,
                            column = j * p->stride + r % p->r - p->pad;
                        if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
                        real value = x[pool_at(p->h, p->w, p->c, n, row, column, c)];
                        if (winner >= 0 && !(value > best || isnan(value))) continue;
                        best = value;
                        winner = r;
                    }
                    size_t to = pool_at(p->oh, p->ow, p->c, n, i, j, c);
                    y[to] = best;
                    if (argmax) argmax[to] = (uint8_t)winner;
                }
}

static void max_pool_backward(const ich_pool_shape *p, const real *dy, const uint8_t *argmax, bool accumulate,
                              real *dx) {
    size_t count = (size_t)p->n * (size_t)p->h * (size_t)p->w * (size_t)p->c;
    for (size_t i = 0; i < count && !accumulate; i++) dx[i] = 0;
    for (int n = 0; n < p->n; n++)
        for (int i = 0; i < p->oh; i++)
            for (int j = 0; j < p->ow; j++)
                for (int c = 0; c < p->c; c++) {
                    size_t from = pool_at(p->oh, p->ow, p->c, n, i, j, c);
                    int row = i * p->stride + argmax[from] / p->r - p->pad;
                    int column = j * p->stride + argmax[from] % p->r - p->pad;
                    dx[pool_at(p->h, p->w, p->c, n, row, column, c)] += dy[from];
                }
}

static void global_average(int n, int pixels, int c, const real *x, real *y) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < c; j++) {
            double sum = 0;
            for (int p = 0; p < pixels; p++)
                sum += (double)x[((size_t)i * (size_t)pixels + (size_t)p) * (size_t)c + (size_t)j];
            y[(size_t)i * (size_t)c + (size_t)j] = (real)(sum / pixels);
        }
}

static void global_average_backward(int n, int pixels, int c, const real *dy, bool accumulate, real *dx) {
    for (int i = 0; i < n; i++)
        for (int p = 0; p < pixels; p++)
            for (int j = 0; j < c; j++) {
                real *to = &dx[((size_t)i * (size_t)pixels + (size_t)p) * (size_t)c + (size_t)j];
                real share = dy[(size_t)i * (size_t)c + (size_t)j] / pixels;
                *to = accumulate ? *to + share : share;
            }
}

/* -- optimizers ---------------------------------------------------------------------------------------- */

static void sgd(size_t n, const ich_update *u, const real *gradient, real *velocity, real *value) {
    for (size_t i = 0; i < n; i++) {
        real g = (real)u->gradient_scale * gradient[i] + (real)u->weight_decay * value[i];
        velocity[i] = (real)u->momentum * velocity[i] + g;
        value[i] -= (real)u->lr * velocity[i];
    }
}

static void adamw(size_t n, const ich_update *u, const real *gradient, real *m, real *v, real *value) {
    for (size_t i = 0; i < n; i++) {
        real g = (real)u->gradient_scale * gradient[i];
        m[i] = (real)u->beta1 * m[i] + (real)(1 - u->beta1) * g;
        v[i] = (real)u->beta2 * v[i] + (real)(1 - u->beta2) * g * g;
        real step = (m[i] / (real)u->bias1) / (sqrt(v[i] / (real)u->bias2) + (real)u->eps);
        value[i] -= (real)(u->lr * u->weight_decay) * value[i] + (real)u->lr * step;
    }
}

static double sum_squares(size_t n, const real *x) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static double multiply_add_peak(int64_t rounds, real *sink) {
    real sum = 0, factor = (real)0.5 + sink[0], term = (real)0.25 + sink[0];
    for (int64_t r = 0; r < rounds; r++) sum = sum * factor + term;
    sink[1] = sum;
    return (double)rounds;
}

const ich_kernels ICH_NAME(ich_reference_kernels) = {
    .name = "reference",
    .gemm = gemm,
    .conv2d_packed = ICH_NAME(ich_reference_conv_packed),
    .conv2d_scratch = ICH_NAME(ich_reference_conv_scratch),
    .conv2d_pack = ICH_NAME(ich_reference_conv_pack),
    .conv2d_forward = ICH_NAME(ich_reference_conv_forward),
    .conv2d_backward_data = ICH_NAME(ich_reference_conv_backward_data),
    .conv2d_backward_weights = ICH_NAME(ich_reference_conv_backward_weights),
    .channel_scratch = channel_scratch,
    .channel_moments = channel_moments,
    .channel_affine = channel_affine,
    .channel_sum = channel_sum,
    .batch_norm_sums = batch_norm_sums,
    .batch_norm_backward = batch_norm_backward,
    .relu = relu_forward,
    .relu_backward = relu_backward,
    .sigmoid = sigmoid,
    .tanh = tanh_forward,
    .add = add,
    .copy = copy,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .global_average = global_average,
    .global_average_backward = global_average_backward,
    .sgd = sgd,
    .adamw = adamw,
    .sum_squares = sum_squares,
    .multiply_add_peak = multiply_add_peak,
};
