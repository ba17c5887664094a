#include "infer/skull.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BONE = 100, FAT = -20 /* HU */, ENOUGH = 7 /* of eight directions */ };

/* Adds, for each pixel, in how many of four directions bone was met on the way: along its row, straight from
 * the first row, and slanting from either side. `step` 1: rows and pixels in their order; -1: from the ends.
 * met [3][width]: what each column has met so far, by direction. */
static void sweep(const int16_t *hu, int width, int height, int step, uint8_t *met, uint8_t *count) {
    uint8_t *straight = met, *rising = met + width, *falling = met + 2 * (size_t)width;
    memset(met, 0, 3 * (size_t)width);
    for (int i = 0; i < height; i++) {
        const size_t row = (size_t)(step > 0 ? i : height - 1 - i) * (size_t)width;
        uint8_t along = 0;
        memmove(rising + 1, rising, (size_t)width - 1);
        memmove(falling, falling + 1, (size_t)width - 1);
        rising[0] = falling[width - 1] = 0;
        for (int j = 0; j < width; j++) {
            const int x = step > 0 ? j : width - 1 - j;
            const uint8_t bone = hu[row + (size_t)x] > BONE;
            along |= bone;
            straight[x] |= bone;
            rising[x] |= bone;
            falling[x] |= bone;
            count[row + (size_t)x] += (uint8_t)(along + straight[x] + rising[x] + falling[x]);
        }
    }
}

/* The pixels of a volume's axis that belong to cell i: first … end - 1; the nearest one, where cells are
 * finer than pixels. */
static void span(float start, float step, float stride, float offset, int i, int pixels, int *first,
                 int *end) {
    const float middle = start + step * (offset + stride * (float)i), half = 0.5f * step * stride;
    const float low = fminf(middle - half, middle + half), high = fmaxf(middle - half, middle + half);
    *first = (int)fminf(fmaxf(ceilf(low), 0), (float)pixels);
    *end = (int)fminf(fmaxf(ceilf(high), (float)*first), (float)pixels);
    const float nearest = floorf(middle + 0.5f);
    if (*end > *first || nearest < 0 || nearest >= (float)pixels) return;
    *first = (int)nearest;
    *end = *first + 1;
}

static float share_inside(const int16_t *hu, const uint8_t *count, int width, const int x[2],
                          const int y[2]) {
    int inside = 0;
    for (int v = y[0]; v < y[1]; v++) {
        for (int u = x[0]; u < x[1]; u++) {
            const size_t i = (size_t)v * (size_t)width + (size_t)u;
            inside += count[i] >= ENOUGH && hu[i] <= BONE && hu[i] >= FAT;
        }
    }
    const int pixels = (x[1] - x[0]) * (y[1] - y[0]);
    return pixels > 0 ? (float)inside / (float)pixels : 0;
}

bool ich_skull_weigh(const ich_preprocess *preprocess, const ich_volume *volume, int z,
                     const ich_heatmap_grid *grid, float *weight, ich_error *err) {
    const int width = volume->width, height = volume->height, cells = grid->width * grid->height;
    const size_t pixels = (size_t)width * (size_t)height;
    uint8_t *count = ich_new(pixels + 3 * (size_t)width, 1, "the inside of a skull", err);
    if (count == NULL) return false;
    const int16_t *hu = volume->hu + (size_t)z * pixels;
    sweep(hu, width, height, 1, count + pixels, count);
    sweep(hu, width, height, -1, count + pixels, count);
    float x0, y0, x1, y1, mm;
    ich_preprocess_place(preprocess, volume, 0, 0, &x0, &y0, &mm);
    ich_preprocess_place(preprocess, volume, 1, 1, &x1, &y1, &mm);
    float sum = 0;
    for (int i = 0; i < cells; i++) {
        int x[2], y[2];
        span(x0, x1 - x0, grid->stride, grid->offset, i % grid->width, width, &x[0], &x[1]);
        span(y0, y1 - y0, grid->stride, grid->offset, i / grid->width, height, &y[0], &y[1]);
        weight[i] = share_inside(hu, count, width, x, y);
        sum += weight[i];
    }
    for (int i = 0; sum == 0 && i < cells; i++) weight[i] = 1;
    free(count);
    return true;
}
