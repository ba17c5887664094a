#include "../check.h"
#include "exercise.h"

#include <stdio.h>

static bool check_layout(void) {
    enum { N = 2, C = 3, H = 4, W = 5, ALL = N * C * H * W };
    float x[ALL], y[ALL] = {0};
    double got[ALL], expected[ALL];
    for (int i = 0; i < ALL; i++) x[i] = (float)i; /* each number says where it was */
    nchw_to_nhwc(N, C, H, W, x, y);
    for (int i = 0; i < ALL; i++) {
        const int c = i % C, column = i / C % W, row = i / C / W % H, n = i / C / W / H;
        got[i] = y[i];
        expected[i] = ((n * C + c) * H + row) * W + column;
    }
    return check_numbers("nchw_to_nhwc", "y", ALL, got, expected, 0);
}

/* The most that is alive at one time: no plan can need less. */
static size_t peak(int n, const buffer *b) {
    size_t most = 0;
    for (int t = 0; t <= 2 * n; t++) {
        size_t now = 0;
        for (int i = 0; i < n; i++)
            now += b[i].birth <= t && t <= b[i].death ? b[i].bytes : 0;
        if (now > most) most = now;
    }
    return most;
}

static bool check_plan(const char *what, int n, buffer *b) {
    char text[200];
    const size_t end = place_buffers(n, b), least = peak(n, b);
    for (int i = 0; i < n; i++) {
        if (b[i].offset + b[i].bytes > end) {
            snprintf(text, sizeof text, "buffer %d ends at %zu, behind the block's %zu bytes",
                     i, b[i].offset + b[i].bytes, end);
            return check_that("place_buffers", what, false, text);
        }
        for (int j = 0; j < i; j++) {
            const bool together = b[i].birth <= b[j].death && b[j].birth <= b[i].death;
            if (together && b[i].offset < b[j].offset + b[j].bytes &&
                b[j].offset < b[i].offset + b[i].bytes) {
                snprintf(text, sizeof text,
                         "buffers %d and %d are alive together and overlap", j, i);
                return check_that("place_buffers", what, false, text);
            }
        }
    }
    snprintf(text, sizeof text,
             "%zu bytes, where %zu are alive at most: more than a tenth wasted", end, least);
    return check_that("place_buffers", what, (double)end <= 1.1 * (double)least, text);
}

int main(void) {
    enum { LAYERS = 40 };
    buffer inference[LAYERS], training[LAYERS];
    double draw[LAYERS];
    check_draw(1, LAYERS, draw, 1, 200);
    for (int i = 0; i < LAYERS; i++) {
        const size_t bytes = 64 * (size_t)draw[i];
        inference[i] = (buffer){.bytes = bytes, .birth = i, .death = i + 1 + i % 3 / 2};
        training[i] = (buffer){.bytes = bytes, .birth = i, .death = 2 * LAYERS - i};
    }
    bool all = check_layout();
    all &= check_plan("inference, values die young", LAYERS, inference);
    all &= check_plan("training, the first die last", LAYERS, training);
    return check_end(all);
}
