/* im2col is judged by the convolution that a matrix product makes of it, against Ichor's
 * loops. */
#include "../check.h"
#include "exercise.h"

#include <stdio.h>

static int products;
double times(double a, double b) { return products++, a * b; }

enum { H = 7, WIDE = 5, C = 3, K = 4, R = 3, PIXELS = 12, DEPTH = R * R * C };

static bool check_im2col(void) {
    const ich_conv_shape s = {.n = 1,
                              .h = H,
                              .w = WIDE,
                              .c = C,
                              .k = K,
                              .r = R,
                              .s = R,
                              .stride = 2,
                              .pad = 1,
                              .dilation = 1,
                              .groups = 1,
                              .oh = 4,
                              .ow = 3};
    const ich_kernels_f32 *reference = ich_kernels_f32_named("reference");
    double draws[H * WIDE * C + K * DEPTH], got[PIXELS * K], expected[PIXELS * K];
    static _Alignas(64) float x[H * WIDE * C], w[K * DEPTH], turned[K * DEPTH], y[PIXELS * K],
        z[PIXELS * K], columns[PIXELS * DEPTH];
    check_draw(2, H * WIDE * C + K * DEPTH, draws, -1, 1);
    for (int i = 0; i < H * WIDE * C; i++) x[i] = (float)draws[i];
    for (int i = 0; i < K * DEPTH; i++) w[i] = (float)draws[H * WIDE * C + i];
    reference->conv2d_forward(&s, x, w, NULL, NULL, false, y, NULL);

    im2col(H, WIDE, C, R, 2, 1, 4, 3, x, columns);
    for (int k = 0; k < K; k++) /* w is [k,c,r,s], the columns are [r,s,c] */
        for (int c = 0; c < C; c++)
            for (int p = 0; p < R * R; p++)
                turned[(k * R * R + p) * C + c] = w[(k * C + c) * R * R + p];
    reference->gemm(false, true, PIXELS, K, DEPTH, columns, DEPTH, turned, DEPTH, false, z,
                    K);
    for (int i = 0; i < PIXELS * K; i++) got[i] = (double)z[i], expected[i] = (double)y[i];
    return check_numbers("im2col", "convolution", PIXELS * K, got, expected, 1e-5);
}

static bool check_winograd(void) {
    enum { TRIES = 20 };
    double draws[TRIES * 7], got[TRIES * 2] = {0}, expected[TRIES * 2];
    check_draw(3, TRIES * 7, draws, -1, 1);
    for (int i = 0; i < TRIES; i++) {
        const double *d = draws + i * 7, *g = d + 4;
        winograd(d, g, got + i * 2);
        for (int k = 0; k < 2; k++)
            expected[i * 2 + k] = d[k] * g[0] + d[k + 1] * g[1] + d[k + 2] * g[2];
    }
    char text[80];
    snprintf(text, sizeof text,
             "%d products for %d pairs of outputs; four each are allowed, none is too few",
             products, TRIES);
    const bool right = check_numbers("winograd", "y", TRIES * 2, got, expected, 1e-12);
    return check_that("winograd", "number of products", products > 0 && products <= 4 * TRIES,
                      text) &&
           right;
}

int main(void) {
    bool all = check_im2col();
    all &= check_winograd();
    return check_end(all);
}
