#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/skull.h"
#include <math.h>
#include <string.h>

enum { SIDE = 64, BRAIN = 20, BONE_TO = 24, SCALP_TO = 28 };
static int16_t hu[2][SIDE][SIDE];
static const ich_heatmap_grid pixels = {SIDE, SIDE, 1, 0};

/* Slice 0: a head of brain, skull and scalp in air; slice 1: soft tissue alone. */
static ich_volume make_head(void) {
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            const double r = hypot(x - 31.5, y - 31.5);
            hu[0][y][x] = (int16_t)(r <= BRAIN ? 35 : r <= BONE_TO ? 900 : r <= SCALP_TO ? 40 : -1000);
            hu[1][y][x] = 40;
        }
    }
    return (ich_volume){.width = SIDE, .height = SIDE, .slices = 2, .spacing = {1, 1, 5}, .hu = &hu[0][0][0]};
}

static void weigh(const ich_volume *volume, int z, const ich_heatmap_grid *grid, float *weight) {
    const ich_preprocess p = ich_preprocess_default(SIDE);
    ich_error err = {0};
    if (!ich_skull_weigh(&p, volume, z, grid, weight, &err)) fail_msg("%s", err.text);
}

static void only_what_bone_encloses_is_inside(void **state) {
    (void)state;
    static float weight[SIDE][SIDE];
    const ich_volume volume = make_head();
    weigh(&volume, 0, &pixels, &weight[0][0]);
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++)
            assert_true(weight[y][x] == (hypot(x - 31.5, y - 31.5) <= BRAIN ? 1.0f : 0.0f));
    }
}

static void air_and_bone_within_the_skull_are_no_place_for_blood(void **state) {
    (void)state;
    static float weight[SIDE][SIDE];
    const ich_volume volume = make_head();
    hu[0][20][30] = -900;
    hu[0][40][30] = 700;
    hu[0][32][40] = 85; /* clotted blood is */
    weigh(&volume, 0, &pixels, &weight[0][0]);
    assert_true(weight[20][30] == 0 && weight[40][30] == 0 && weight[32][40] == 1);
}

static void a_hole_in_the_skull_does_not_empty_it(void **state) {
    (void)state;
    static float weight[SIDE][SIDE];
    const ich_volume volume = make_head();
    for (int y = 30; y < 34; y++) {
        for (int x = 0; x < 16; x++) hu[0][y][x] = 40;
    }
    weigh(&volume, 0, &pixels, &weight[0][0]);
    assert_true(weight[31][31] == 1 && weight[31][13] == 1);
    assert_true(weight[31][5] == 0);
}

static void a_slice_without_a_skull_counts_whole(void **state) {
    (void)state;
    static float weight[SIDE][SIDE];
    const ich_volume volume = make_head();
    weigh(&volume, 1, &pixels, &weight[0][0]);
    for (int i = 0; i < SIDE * SIDE; i++) assert_true(weight[i / SIDE][i % SIDE] == 1);
}

static void cells_weigh_their_share_whatever_their_size(void **state) {
    (void)state;
    static float fine[2 * SIDE][2 * SIDE], coarse[SIDE / 8][SIDE / 8];
    const ich_volume volume = make_head();
    const ich_heatmap_grid large = {SIDE / 8, SIDE / 8, 8, 3.5f}, small = {2 * SIDE, 2 * SIDE, 0.5f, -0.25f};
    weigh(&volume, 0, &large, &coarse[0][0]);
    assert_true(coarse[0][0] == 0 && coarse[3][3] == 1);
    assert_true(coarse[2][1] > 0 && coarse[2][1] < 1); /* the edge of the brain runs through it */
    weigh(&volume, 0, &small, &fine[0][0]);
    for (int v = 50; v < 78; v++) assert_true(fine[v][64] == 1); /* no cell falls between two pixels */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_bone_encloses_is_inside),
        cmocka_unit_test(air_and_bone_within_the_skull_are_no_place_for_blood),
        cmocka_unit_test(a_hole_in_the_skull_does_not_empty_it),
        cmocka_unit_test(a_slice_without_a_skull_counts_whole),
        cmocka_unit_test(cells_weigh_their_share_whatever_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
