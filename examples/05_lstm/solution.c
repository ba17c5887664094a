#include "exercise.h"

#include <math.h>

void lstm_cell_backward(int H, const double *gates, const double *c_before, const double *c,
                        const double *dh, double *dc, double *da) {
    const double *i = gates, *f = i + H, *g = f + H, *o = g + H;
    for (int u = 0; u < H; u++) {
        const double shown = tanh(c[u]);
        dc[u] += dh[u] * o[u] * (1 - shown * shown);
        da[u] = dc[u] * g[u] * i[u] * (1 - i[u]);
        da[H + u] = dc[u] * c_before[u] * f[u] * (1 - f[u]);
        da[2 * H + u] = dc[u] * i[u] * (1 - g[u] * g[u]);
        da[3 * H + u] = dh[u] * shown * o[u] * (1 - o[u]);
        dc[u] *= f[u];
    }
}

void lstm_recurrent_gradient(int H, int studies, const int *offsets, const double *da,
                             const double *h, double *dU) {
    for (int s = 0; s < studies; s++)
        for (int t = offsets[s] + 1; t < offsets[s + 1]; t++) /* before the first, h is 0 */
            for (int a = 0; a < 4 * H; a++)
                for (int u = 0; u < H; u++)
                    dU[a * H + u] += da[t * 4 * H + a] * h[(t - 1) * H + u];
}
