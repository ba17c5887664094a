#include "../check.h"
#include "exercise.h"

#include <ichor/infer/cam.h>
#include <stdio.h>

/* Four studies; slices by attention, those that bleed in brackets:
 *   0  [.5] .3 .2              hit at once
 *   1  .4 .3 [.2] .1           hit by three
 *   2  .6 .4                   does not bleed: does not count
 *   3  .35 .25 .2 .15 [.05]    hit by five */
static bool check_ranking(void) {
    static const int offsets[] = {0, 3, 7, 9, 14};
    static const double attention[] = {.3, .5, .2,  .2,  .1,  .4, .3,
                                       .6, .4, .15, .35, .05, .2, .25};
    static const int bleeds[] = {0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
    static const double expected[] = {1.0 / 3, 1.0 / 3, 2.0 / 3, 2.0 / 3, 1};
    bool all = true;
    for (int k = 1; k <= 5; k++) {
        char what[40];
        snprintf(what, sizeof what, "share found in %d slices", k);
        const double got = hit_rate(4, offsets, attention, bleeds, k);
        all &= check_numbers("hit_rate", what, 1, &got, &expected[k - 1], 1e-12);
    }
    return all;
}

static bool check_map(void) {
    enum { CELLS = 20, CHANNELS = 6, ALL = CELLS * CHANNELS };
    double draw[2 * ALL], got[CELLS], expected[CELLS];
    float maps[ALL], gradient[ALL], weights[CHANNELS] = {0}, heat[CELLS] = {0}, ichor[CELLS];
    check_draw(14, 2 * ALL, draw, -1, 1);
    for (int i = 0; i < ALL; i++)
        maps[i] = (float)draw[i], gradient[i] = (float)draw[ALL + i];
    grad_cam(CELLS, CHANNELS, maps, gradient, heat);
    ich_cam_grad(CELLS, CHANNELS, maps, gradient, weights, ichor);
    for (int i = 0; i < CELLS; i++) got[i] = (double)heat[i], expected[i] = (double)ichor[i];
    return check_numbers("grad_cam", "heat", CELLS, got, expected, 1e-5);
}

int main(void) {
    bool all = check_ranking();
    all &= check_map();
    return check_end(all);
}
