#include "exercise.h"

#include <stdbool.h>

void nchw_to_nhwc(int n, int c, int h, int w, const float *x, float *y) {
    for (int image = 0; image < n; image++)
        for (int channel = 0; channel < c; channel++)
            for (int i = 0; i < h; i++)
                for (int j = 0; j < w; j++)
                    y[((image * h + i) * w + j) * c + channel] =
                        x[((image * c + channel) * h + i) * w + j];
}

static bool in_the_way(const buffer *a, const buffer *b) {
    const bool together = a->birth <= b->death && b->birth <= a->death;
    return together && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/* The lowest offset: slide up past whatever is in the way, until nothing is. */
static void place_one(int n, const buffer *buffers, const bool *placed, buffer *b) {
    b->offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++)
            if (placed[i] && in_the_way(&buffers[i], b)) {
                b->offset = buffers[i].offset + buffers[i].bytes;
                moved = true;
            }
    }
}

size_t place_buffers(int n, buffer *buffers) {
    bool placed[1000] = {false};
    size_t end = 0;
    for (int round = 0; round < n; round++) {
        int largest = -1;
        for (int i = 0; i < n; i++)
            if (!placed[i] && (largest < 0 || buffers[i].bytes > buffers[largest].bytes))
                largest = i;
        place_one(n, buffers, placed, &buffers[largest]);
        placed[largest] = true;
        const size_t last = buffers[largest].offset + buffers[largest].bytes;
        if (last > end) end = last;
    }
    return end;
}
