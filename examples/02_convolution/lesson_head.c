#include "lesson_head.h"

#include <math.h>

void head(float *x) {
    static const double e[10][6] = {
        /* contrast, half axes, centre, degrees */
        {1, .69, .92, 0, 0, 0},        {-.8, .6624, .874, 0, -.0184, 0},
        {-.2, .11, .31, .22, 0, -18},  {-.2, .16, .41, -.22, 0, 18},
        {.1, .21, .25, 0, .35, 0},     {.1, .046, .046, 0, .1, 0},
        {.1, .046, .046, 0, -.1, 0},   {.1, .046, .023, -.08, -.605, 0},
        {.1, .023, .023, 0, -.606, 0}, {.1, .023, .046, .06, -.605, 0}};
    for (int i = 0; i < SIDE * SIDE; i++) {
        const double column = 2.0 * (i % SIDE) / (SIDE - 1) - 1,
                     row = 1 - 2.0 * (i / SIDE) / (SIDE - 1);
        x[i] = 0;
        for (int n = 0; n < 10; n++) {
            const double t = e[n][5] * acos(-1) / 180, dx = column - e[n][3],
                         dy = row - e[n][4];
            const double u = (dx * cos(t) + dy * sin(t)) / e[n][1],
                         v = (dy * cos(t) - dx * sin(t)) / e[n][2];
            if (u * u + v * v <= 1) x[i] += (float)e[n][0];
        }
    }
}
