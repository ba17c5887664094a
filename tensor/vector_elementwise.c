/* vector_elementwise.c: one element at a time, and optimizers in one pass over memory (compiled once per
 * instruction set).
 *
 * Plain loops where the compiler makes good vectors of them. Work is cut into pieces of a fixed length. A NaN
 * stays one through every kernel, so that a network that diverged is seen.
 */
#include "vector.h"

#include "vector_kernels.h"

#include <math.h>

enum { PIECE = 16384 };

/* Runs the loop body over [begin, end) of each piece. Same index in and out, so arrays may be the same array.
 */
#define FOR_PIECES(n)                                                                                        \
    _Pragma("omp parallel for schedule(static) if ((n) > 4 * PIECE)") for (size_t begin = 0; begin < (n);    \
                                                                           begin += PIECE)
#define FOR_ELEMENTS(n, i)                                                                                   \
    const size_t end = (n)-begin < PIECE ? (n) : begin + PIECE;                                              \
    ICH_NO_OVERLAP for (size_t i = begin; i < end; i++)

void ICH_ISA(ich_relu)(size_t n, const float *x, float *y) {
    FOR_PIECES(n) { FOR_ELEMENTS(n, i) y[i] = x[i] < 0 ? 0 : x[i]; }
}

void ICH_ISA(ich_relu_backward)(size_t n, const float *y, const float *dy, bool accumulate, float *dx) {
    FOR_PIECES(n) {
        if (accumulate) {
            FOR_ELEMENTS(n, i) dx[i] += y[i] > 0 ? dy[i] : 0;
        } else {
            FOR_ELEMENTS(n, i) dx[i] = y[i] > 0 ? dy[i] : 0;
        }
    }
}

void ICH_ISA(ich_add)(size_t n, const float *a, const float *b, bool relu, float *y) {
    FOR_PIECES(n) {
        if (relu) {
            FOR_ELEMENTS(n, i) y[i] = a[i] + b[i] < 0 ? 0 : a[i] + b[i];
        } else {
            FOR_ELEMENTS(n, i) y[i] = a[i] + b[i];
        }
    }
}

void ICH_ISA(ich_copy)(size_t n, const float *x, bool accumulate, float *y) {
    FOR_PIECES(n) {
        if (accumulate) {
            FOR_ELEMENTS(n, i) y[i] += x[i];
        } else {
            FOR_ELEMENTS(n, i) y[i] = x[i];
        }
    }
}

/* -- exponentials: polynomials of S. Moshier's Cephes, expf and tanhf ------------------------------------ */

/* e^x = 2^n · e^r with |r| ≤ ln 2 / 2, within 2 units in the last place; overflows to infinity and underflows
 * to 0 as it should, because 2^n, which may exceed a float's exponent, is multiplied in by two halves. */
ICH_INLINE ich_vec vector_exp(ich_vec x) {
    x = ich_select(x > 89.0f, ich_splat(89.0f), x);
    x = ich_select(x < -104.0f, ich_splat(-104.0f), x); /* a NaN passes both */
    const ich_vec turns = x * 1.44269504088896341f;
    const ich_mask n =
        __builtin_convertvector(turns + ich_select(turns < 0, ich_splat(-0.5f), ich_splat(0.5f)), ich_mask);
    const ich_vec whole = __builtin_convertvector(n, ich_vec);
    const ich_vec r = x - whole * 0.693359375f + whole * 2.12194440e-4f; /* ln 2 in two parts */
    ich_vec p = ich_splat(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const ich_mask half = n >> 1;
    return p * (ich_vec)((half + 127) << 23) * (ich_vec)((n - half + 127) << 23);
}

ICH_INLINE ich_vec vector_sigmoid(ich_vec x) { return 1.0f / (1.0f + vector_exp(-x)); }

/* Of |x|: 1 - 2 / (e^2|x| + 1), and near zero, where that would cancel, an odd polynomial. Then x's sign. */
ICH_INLINE ich_vec vector_tanh(ich_vec x) {
    const ich_mask sign = (ich_mask)x & (ich_mask)ich_splat(-0.0f);
    const ich_vec size = (ich_vec)((ich_mask)x ^ sign), z = size * size;
    ich_vec p = ich_splat(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const ich_vec near = size + size * z * p, far = 1.0f - 2.0f / (vector_exp(2.0f * size) + 1.0f);
    return (ich_vec)((ich_mask)ich_select(z < 0.390625f, near, far) | sign);
}

#define VECTOR_MAP(function)                                                                                 \
    FOR_PIECES(n) {                                                                                          \
        const size_t end = n - begin < PIECE ? n : begin + PIECE;                                            \
        size_t i = begin;                                                                                    \
        for (; i + ICH_LANES <= end; i += ICH_LANES) ich_store(y + i, function(ich_load(x + i)));            \
        if (i < end) {                                                                                       \
            const int rest = (int)(end - i);                                                                 \
            ich_store_part(y + i, function(ich_load_part(x + i, rest)), rest);                               \
        }                                                                                                    \
    }

void ICH_ISA(ich_sigmoid)(size_t n, const float *x, float *y) { VECTOR_MAP(vector_sigmoid) }
void ICH_ISA(ich_tanh)(size_t n, const float *x, float *y) { VECTOR_MAP(vector_tanh) }

/* -- optimizers: formulas in optim/optimizer.h ---------------------------------------------------------- */

void ICH_ISA(ich_sgd)(size_t n, const ich_update *u, const float *gradient, float *velocity, float *value) {
    const float scale = (float)u->gradient_scale, decay = (float)u->weight_decay,
                momentum = (float)u->momentum;
    const float lr = (float)u->lr;
    FOR_PIECES(n) {
        FOR_ELEMENTS(n, i) {
            velocity[i] = momentum * velocity[i] + (scale * gradient[i] + decay * value[i]);
            value[i] -= lr * velocity[i];
        }
    }
}

void ICH_ISA(ich_adamw)(size_t n, const ich_update *u, const float *gradient, float *m, float *v,
                        float *value) {
    const float scale = (float)u->gradient_scale, shrink = (float)(u->lr * u->weight_decay),
                lr = (float)u->lr;
    const float beta1 = (float)u->beta1, beta2 = (float)u->beta2, eps = (float)u->eps;
    const float rest1 = (float)(1 - u->beta1), rest2 = (float)(1 - u->beta2);
    const float bias1 = (float)u->bias1, bias2 = (float)u->bias2;
    FOR_PIECES(n) {
        FOR_ELEMENTS(n, i) {
            float g = scale * gradient[i];
            m[i] = beta1 * m[i] + rest1 * g;
            v[i] = beta2 * v[i] + rest2 * g * g;
            value[i] -= shrink * value[i] + lr * ((m[i] / bias1) / (sqrtf(v[i] / bias2) + eps));
        }
    }
}

double ICH_ISA(ich_sum_squares)(size_t n, const float *x) {
    enum { PIECES = 512, SUMS = 8 };
    double part[PIECES] = {0}, total = 0;
    const size_t length =
        (n + PIECES - 1) / PIECES; /* pieces by n alone: the same sums for any number of threads */
#pragma omp parallel for schedule(static) if (n > 4 * PIECE)
    for (size_t p = 0; p < PIECES; p++) {
        double sum[SUMS] = {0};
        size_t begin = p * length, end = begin + length < n ? begin + length : n, i = begin;
        for (; i + SUMS <= end; i += SUMS)
            for (int s = 0; s < SUMS; s++) sum[s] += (double)x[i + (size_t)s] * (double)x[i + (size_t)s];
        for (; i < end; i++) sum[0] += (double)x[i] * (double)x[i];
        for (int s = 0; s < SUMS; s++) part[p] += sum[s];
    }
    for (int p = 0; p < PIECES; p++) total += part[p];
    return total;
}
