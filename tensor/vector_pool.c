/* vector_pool.c: pooling, a vector of channels at a time (compiled once per instruction set). */
#include "vector.h"

#include "vector_kernels.h"

#include <string.h>

typedef unsigned char byte_vec __attribute__((vector_size(ICH_LANES)));

static size_t pixel(int h, int w, int c, int n, int i, int j) {
    return (((size_t)n * (size_t)h + (size_t)i) * (size_t)w + (size_t)j) * (size_t)c;
}

/* Input row of window row r for output row i, or -1 in the padding. */
static int source(int i, int r, int stride, int pad, int side) {
    int at = i * stride + r - pad;
    return at < side ? at : -1; /* negative stays negative */
}

ICH_INLINE ich_vec load(const float *p, int lanes) {
    return lanes == ICH_LANES ? ich_load(p) : ich_load_part(p, lanes);
}

/* By its bits: above infinity's, whatever the sign. */
ICH_INLINE ich_mask is_nan(ich_vec v) { return ((ich_mask)v & 0x7fffffff) > 0x7f800000; }

static void max_pool_pixel(const ich_pool_shape *p, const float *x, int n, int i, int j, float *y,
                           uint8_t *argmax) {
    for (int c = 0; c < p->c; c += ICH_LANES) {
        int count = p->c - c < ICH_LANES ? p->c - c : ICH_LANES;
        ich_vec best = {0};
        ich_mask winner = {0};
        bool first = true;
        for (int r = 0; r < p->r; r++)
            for (int s = 0; s < p->r; s++) {
                int row = source(i, r, p->stride, p->pad, p->h),
                    column = source(j, s, p->stride, p->pad, p->w);
                if (row < 0 || column < 0) continue;
                ich_vec value = load(x + pixel(p->h, p->w, p->c, n, row, column) + c, count);
                ich_mask wins = (value > best) | is_nan(value); /* which wins */
                if (first) wins = ~(ich_mask){0};
                best = ich_select(wins, value, best);
                winner = (wins & (r * p->r + s)) | (~wins & winner);
                first = false;
            }
        if (count == ICH_LANES)
            ich_store(y + c, best);
        else
            ich_store_part(y + c, best, count);
        byte_vec bytes = __builtin_convertvector(winner, byte_vec);
        if (argmax) memcpy(argmax + c, &bytes, (size_t)count);
    }
}

void ICH_ISA(ich_max_pool)(const ich_pool_shape *p, const float *x, float *y, uint8_t *argmax) {
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < p->n; n++)
        for (int i = 0; i < p->oh; i++)
            for (int j = 0; j < p->ow; j++) {
                size_t at = pixel(p->oh, p->ow, p->c, n, i, j);
                max_pool_pixel(p, x, n, i, j, y + at, argmax ? argmax + at : NULL);
            }
}

/* Each window's gradient goes to its winner; windows overlap, so an image is one piece. */
static void max_pool_backward_pixel(const ich_pool_shape *p, const float *dy, const uint8_t *argmax, int n,
                                    int i, int j, float *dx) {
    for (int r = 0; r < p->r; r++)
        for (int s = 0; s < p->r; s++) {
            int row = source(i, r, p->stride, p->pad, p->h), column = source(j, s, p->stride, p->pad, p->w);
            if (row < 0 || column < 0) continue;
            float *to = dx + pixel(p->h, p->w, p->c, n, row, column);
            int place = r * p->r + s;
            ICH_NO_OVERLAP for (int c = 0; c < p->c; c++) to[c] += argmax[c] == place ? dy[c] : 0;
        }
}

void ICH_ISA(ich_max_pool_backward)(const ich_pool_shape *p, const float *dy, const uint8_t *argmax,
                                    bool accumulate, float *dx) {
    size_t image = (size_t)p->h * (size_t)p->w * (size_t)p->c;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < p->n; n++) {
        if (!accumulate) memset(dx + (size_t)n * image, 0, image * sizeof *dx);
        for (int i = 0; i < p->oh; i++)
            for (int j = 0; j < p->ow; j++) {
                size_t at = pixel(p->oh, p->ow, p->c, n, i, j);
                max_pool_backward_pixel(p, dy + at, argmax + at, n, i, j, dx);
            }
    }
}

void ICH_ISA(ich_global_average)(int n, int pixels, int c, const float *x, float *y) {
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        float *mean = y + (size_t)i * (size_t)c;
        const float *image = x + (size_t)i * (size_t)pixels * (size_t)c;
        memset(mean, 0, (size_t)c * sizeof *mean);
        for (int p = 0; p < pixels; p++)
            ICH_NO_OVERLAP for (int j = 0; j < c; j++) mean[j] += image[(size_t)p * (size_t)c + (size_t)j];
        for (int j = 0; j < c; j++) mean[j] /= (float)pixels;
    }
}

void ICH_ISA(ich_global_average_backward)(int n, int pixels, int c, const float *dy, bool accumulate,
                                          float *dx) {
    const float share = 1 / (float)pixels;
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++)
        for (int p = 0; p < pixels; p++) {
            const float *from = dy + (size_t)i * (size_t)c;
            float *to = dx + ((size_t)i * (size_t)pixels + (size_t)p) * (size_t)c;
            ICH_NO_OVERLAP for (int j = 0; j < c; j++) {
                to[j] = accumulate ? to[j] + from[j] * share : from[j] * share;
            }
        }
}
