/* Lesson 2: one convolution, three algorithms: loops, a matrix product, Winograd's minimal
 * filtering.
 *
 *   02_convolution [FOLDER for the picture]
 */
#include "../plot.h"
#include "lesson_head.h"

#include <ichor/tensor/kernels.h>
#include <ichor/tensor/rng.h>
#include <ichor/tensor/team.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 56, W = 56, C = 64, K = 64, R = 3 }; /* one image, 3 x 3, stride 1, padding 1 */

/* -- 1: the definition ----------------------------------------------------------------- */

/* A pixel's channel, 0 outside of the image. */
static float at(const float *x, int i, int j, int c) {
    return i < 0 || i >= H || j < 0 || j >= W ? 0 : x[(i * W + j) * C + c];
}

static void by_loops(const float *x, const float *w, float *y) {
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++)
            for (int k = 0; k < K; k++) {
                double sum = 0; /* the yardstick of the others: in double */
                for (int c = 0; c < C; c++)
                    for (int r = 0; r < R; r++)
                        for (int s = 0; s < R; s++)
                            sum += (double)at(x, i + r - 1, j + s - 1, c) *
                                   (double)w[((k * C + c) * R + r) * R + s];
                y[(i * W + j) * K + k] = (float)sum;
            }
}

/* -- 2: one big matrix product --------------------------------------------------------- */

/* Each row holds what one output pixel reads. */
static void im2col(const float *x, float *columns) {
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++)
            for (int c = 0; c < C; c++)
                for (int r = 0; r < R; r++)
                    for (int s = 0; s < R; s++) *columns++ = at(x, i + r - 1, j + s - 1, c);
}

static float columns[H * W * C * R * R];

static void by_gemm(const float *x, const float *w, float *y) {
    const ich_kernels_f32 *kernels = ich_kernels_f32_active();
    im2col(x, columns);
    /* y [pixels, K] = columns [pixels, C·R·R] · w [K, C·R·R]ᵀ */
    kernels->gemm(false, true, H * W, K, C * R * R, columns, C * R * R, w, C * R * R, false,
                  y, K);
}

/* -- 3: Winograd F(2 x 2, 3 x 3) ------------------------------------------------------- */

/* Lavin and Gray 2016, equation 8 and section 4.1 */
static const float Bt[16] = {1, 0, -1, 0, 0, 1, 1, 0, 0, -1, 1, 0, 0, 1, 0, -1};
static const float G[12] = {1, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f, -0.5f, 0.5f, 0, 0, 1};
static const float At[8] = {1, 1, 1, 0, 0, 1, -1, -1};

/* y [m,m] = l [m,n] · x [n,n] · lᵀ */
static void both_sides(int m, int n, const float *l, const float *x, float *y) {
    float left[16] = {0};
    memset(y, 0, (size_t)(m * m) * sizeof *y);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int p = 0; p < n; p++) left[i * n + j] += l[i * n + p] * x[p * n + j];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++)
            for (int p = 0; p < n; p++) y[i * m + j] += left[i * n + p] * l[j * n + p];
}

static void by_winograd(const float *x, const float *w, float *y) {
    static float u[K][C][16], v[C][16];
    for (int k = 0; k < K; k++)
        for (int c = 0; c < C; c++) both_sides(4, 3, G, w + (k * C + c) * 9, u[k][c]);
    for (int i = 0; i < H; i += 2)
        for (int j = 0; j < W; j += 2) { /* a tile of 2 x 2 outputs reads 4 x 4 inputs */
            for (int c = 0; c < C; c++) {
                float d[16];
                for (int p = 0; p < 16; p++) d[p] = at(x, i + p / 4 - 1, j + p % 4 - 1, c);
                both_sides(4, 4, Bt, d, v[c]);
            }
            for (int k = 0; k < K; k++) {
                float m[16] = {0}, tile[4];
                for (int c = 0; c < C; c++)
                    for (int p = 0; p < 16; p++)
                        m[p] += u[k][c][p] * v[c][p]; /* 16, not 36 */
                both_sides(2, 4, At, m, tile);
                for (int p = 0; p < 4; p++)
                    y[((i + p / 2) * W + j + p % 2) * K + k] = tile[p];
            }
        }
}

/* -- Ichor's own, through its table of kernels ----------------------------------------- */

static ich_conv_shape shape_of(int h, int w, int c, int k) {
    return (ich_conv_shape){.n = 1,
                            .h = h,
                            .w = w,
                            .c = c,
                            .k = k,
                            .r = R,
                            .s = R,
                            .stride = 1,
                            .pad = 1,
                            .dilation = 1,
                            .groups = 1,
                            .oh = h,
                            .ow = w};
}

static void convolve(const ich_kernels_f32 *kernels, ich_conv_shape s, const float *x,
                     const float *w, float *y) {
    float *packed =
        aligned_alloc(64, (kernels->conv2d_packed(&s, ICH_FORWARD) + 16) / 16 * 64);
    float *scratch =
        aligned_alloc(64, (kernels->conv2d_scratch(&s, ICH_FORWARD) + 16) / 16 * 64);
    if (!packed || !scratch) exit(1);
    kernels->conv2d_pack(&s, ICH_FORWARD, w, packed);
    kernels->conv2d_forward(&s, x, packed, NULL, NULL, false, y, scratch);
    free(packed);
    free(scratch);
}

static void by_ichor(const float *x, const float *w, float *y) {
    convolve(ich_kernels_f32_active(), shape_of(H, W, C, K), x, w, y);
}

/* -- compared -------------------------------------------------------------------------- */

static void compare(void) {
    static _Alignas(64) float x[H * W * C], w[K * C * R * R], right[H * W * K], y[H * W * K];
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 2);
    for (int i = 0; i < H * W * C; i++) x[i] = ich_rng_normal(&rng);
    for (int i = 0; i < K * C * R * R; i++) w[i] = ich_rng_normal(&rng);
    by_loops(x, w, right);
    const struct {
        const char *name;
        void (*run)(const float *, const float *, float *);
        int products; /* for each output and input channel; 0: its own affair */
    } ways[] = {{"loops, in double", by_loops, 9},
                {"im2col and gemm", by_gemm, 9},
                {"Winograd F(2,3)", by_winograd, 4},
                {"Ichor's kernel", by_ichor, 0}};
    double norm = 0;
    for (int i = 0; i < H * W * K; i++) norm = fmax(norm, fabs((double)right[i]));
    printf("%-18s %14s %10s %12s\n", "way", "products", "ms", "worst error");
    for (int i = 0; i < 4; i++) {
        double seconds = INFINITY;
        for (int repeat = 0; repeat < 5;
             repeat++) { /* the best of five: others use this machine, too */
            const double start = ich_seconds();
            ways[i].run(x, w, y);
            seconds = fmin(seconds, ich_seconds() - start);
        }
        double worst = 0;
        for (int p = 0; p < H * W * K; p++)
            worst = fmax(worst, fabs((double)y[p] - (double)right[p]));
        printf("%-18s %14d %10.2f %12.1e\n", ways[i].name, H * W * C * K * ways[i].products,
               1e3 * seconds, worst / norm);
    }
}

/* -- what a convolution sees ----------------------------------------------------------- */

static bool draw_picture(const char *folder) {
    static _Alignas(64) float x[SIDE * SIDE], y[SIDE * SIDE * 3];
    static float planes[3][SIDE * SIDE];
    static const float filters[3 * 9] = {
        1, 2,  1,  2,  4, 2,  1, 2,  1,  /* blur */
        1, 0,  -1, 2,  0, -2, 1, 0,  -1, /* edges from left to right */
        0, -1, 0,  -1, 4, -1, 0, -1, 0}; /* what differs from its neighbours */
    static const float scale[3] = {1 / 16.0f, 1 / 4.0f, 1}, shift[3] = {0, 0.5f, 0.5f};
    head(x);
    convolve(ich_kernels_f32_active(), shape_of(SIDE, SIDE, 1, 3), x, filters, y);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        planes[i % 3][i / 3] = y[i] * scale[i % 3] + shift[i % 3];
    const plot_image images[] = {{SIDE, SIDE, x, false},
                                 {SIDE, SIDE, planes[0], false},
                                 {SIDE, SIDE, planes[1], false},
                                 {SIDE, SIDE, planes[2], false}};
    return plot_images(folder, "02-filters.png", 4, images, 1);
}

int main(int argc, char **argv) {
    compare();
    return draw_picture(argc > 1 ? argv[1] : ".") ? 0 : 1;
}
