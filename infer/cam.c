#include "infer/cam.h"

#include <string.h>

static float relu(float x) { return x > 0 ? x : 0; }

/* sum over c of a_c · b_c, in LANES sums side by side, which compilers make one vector of. */
static float dot(int n, const float *a, const float *b) {
    enum { LANES = 16 };
    float part[LANES] = {0}, sum = 0;
    int c = 0;
    for (; c + LANES <= n; c += LANES) {
        for (int l = 0; l < LANES; l++) part[l] += a[c + l] * b[c + l];
    }
    for (; c < n; c++) sum += a[c] * b[c];
    for (int l = 0; l < LANES; l++) sum += part[l];
    return sum;
}

void ich_cam_add_mean(int cells, int channels, const float *gradient, float *weights) {
    const float share = 1 / (float)cells;
    for (int i = 0; i < cells; i++, gradient += channels) {
        for (int c = 0; c < channels; c++) weights[c] += share * gradient[c];
    }
}

void ich_cam_weigh(int cells, int channels, const float *maps, const float *weights, float *heat) {
    for (int i = 0; i < cells; i++, maps += channels) heat[i] = relu(dot(channels, maps, weights));
}

void ich_cam_grad(int cells, int channels, const float *maps, const float *gradient, float *weights,
                  float *heat) {
    memset(weights, 0, (size_t)channels * sizeof *weights);
    ich_cam_add_mean(cells, channels, gradient, weights);
    ich_cam_weigh(cells, channels, maps, weights, heat);
}

/* One channel's alpha. Where G is 0 so is its part of the sum, and a is not needed. */
static float plus_weight(int cells, int channels, const float *map, const float *gradient) {
    float total = 0, weight = 0;
    for (int i = 0; i < cells; i++) total += map[i * channels];
    for (int i = 0; i < cells; i++) {
        const float g = gradient[i * channels], divisor = 2 + g * total; /* both sides over G² */
        if (g > 0 && divisor != 0) weight += g / divisor;
    }
    return weight;
}

void ich_cam_grad_plus(int cells, int channels, const float *maps, const float *gradient, float *weights,
                       float *heat) {
    for (int c = 0; c < channels; c++) weights[c] = plus_weight(cells, channels, maps + c, gradient + c);
    ich_cam_weigh(cells, channels, maps, weights, heat);
}

void ich_cam_layer(int cells, int channels, const float *maps, const float *gradient, float *weights,
                   float *heat) {
    for (int i = 0; i < cells; i++, maps += channels, gradient += channels) {
        for (int c = 0; c < channels; c++) weights[c] = relu(gradient[c]);
        heat[i] = relu(dot(channels, maps, weights));
    }
}
