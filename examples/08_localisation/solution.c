#include "exercise.h"

double hit_rate(int studies, const int *offsets, const double *attention, const int *bleeds,
                int k) {
    int bleeding = 0, hit = 0;
    for (int s = 0; s < studies; s++) {
        int any = 0, found = 0;
        for (int t = offsets[s]; t < offsets[s + 1]; t++) {
            int before = 0;
            for (int other = offsets[s]; other < offsets[s + 1]; other++)
                before += attention[other] > attention[t];
            any |= bleeds[t];
            found |= bleeds[t] && before < k;
        }
        bleeding += any;
        hit += found;
    }
    return (double)hit / bleeding;
}

void grad_cam(int cells, int channels, const float *maps, const float *gradient,
              float *heat) {
    for (int i = 0; i < cells; i++) heat[i] = 0;
    for (int c = 0; c < channels; c++) {
        float alpha = 0;
        for (int i = 0; i < cells; i++) alpha += gradient[i * channels + c] / (float)cells;
        for (int i = 0; i < cells; i++) heat[i] += alpha * maps[i * channels + c];
    }
    for (int i = 0; i < cells; i++)
        if (heat[i] < 0) heat[i] = 0;
}
