/* Slices become a volume by where they lie, whatever their order and number; what does not belong is left
 * out, what cannot be a volume is refused.
 */
#include "data/dicom_series.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 64 };

static ich_frame frame_at(double x, double y, double z) {
    return (ich_frame){
        .rows = 4,
        .columns = 3,
        .thickness = 5,
        .plane = {
            .position = {x, y, z}, .along = {{1, 0, 0}, {0, 1, 0}}, .spacing = {0.5, 0.75}, .slope = 1}};
}

/* Axial slices at these heights. */
static size_t stack_at(ich_frame *frames, const double *z, size_t n) {
    for (size_t i = 0; i < n; i++) {
        frames[i] = frame_at(-10, -20, z[i]);
        frames[i].file = i;
        frames[i].instance = (int)i + 1;
    }
    return n;
}
#define STACK(frames, ...)                                                                                   \
    stack_at(frames, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static ich_stack arrange(const ich_frame *frames, size_t n) {
    ich_stack stack;
    ich_error err = {""};
    if (!ich_stack_arrange(&stack, frames, n, &err)) fail_msg("%s", err.text);
    return stack;
}

static void refuse(const ich_frame *frames, size_t n, const char *word) {
    ich_stack stack;
    ich_error err = {""};
    assert_false(ich_stack_arrange(&stack, frames, n, &err));
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
    assert_null(stack.source);
}

/* Where voxel (i, j, k) lies: mm, right, front, up. */
static void place(const ich_stack *s, double i, double j, double k, double out[3]) {
    for (int r = 0; r < 3; r++)
        out[r] = s->affine[r][0] * i + s->affine[r][1] * j + s->affine[r][2] * k + s->affine[r][3];
}

/* The affine puts every source's corners where its header has them. */
static void check_places(const ich_stack *s, const ich_frame *frames, double tolerance) {
    for (int z = 0; z < s->n_levels; z++) {
        if (s->level[z].own < 0) continue;
        const ich_dicom_plane *p = &frames[s->source[s->level[z].own]].plane;
        for (int corner = 0; corner < 4; corner++) {
            const int column = corner % 2 * (s->columns - 1), row = corner / 2 * (s->rows - 1);
            double at[3];
            place(s, column, s->rows - 1 - row, z, at);
            for (int r = 0; r < 3; r++) {
                const double lps = p->position[r] + p->along[0][r] * p->spacing[0] * column +
                                   p->along[1][r] * p->spacing[1] * row;
                assert_float_equal(at[r], r < 2 ? -lps : lps, tolerance);
            }
        }
    }
}

/* -- order and place ------------------------------------------------------------------------------------- */

static void slices_are_sorted_by_position_not_by_number(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 10, -5, 5, 0, 15);
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_sources, 5);
    assert_int_equal(s.n_levels, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(s.source[i], ((size_t[]){1, 3, 2, 0, 4})[i]);
    for (int z = 0; z < 5; z++) assert_int_equal(s.level[z].own, z);
    assert_float_equal(s.step, 5, 1e-9);
    assert_float_equal(s.tilt, 0, 1e-9);
    check_places(&s, frames, 1e-9);
    ich_stack_free(&s);
}

static void axes_are_stored_as_dcm2niix_stores_them(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5);
    ich_stack s = arrange(frames, n);
    const double expected[3][4] = {{-0.5, 0, 0, 10}, {0, 0.75, 0, 20 - 3 * 0.75}, {0, 0, 5, 0}};
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++) assert_float_equal(s.affine[r][c], expected[r][c], 1e-9);
    ich_stack_free(&s);
}

/* Head and feet, back and belly, and askew: the affine follows. */
static void any_orientation_has_its_affine(void **state) {
    (void)state;
    const double c = cos(0.3), d = sin(0.3);
    const double along[][2][3] = {{{-1, 0, 0}, {0, -1, 0}}, {{-1, 0, 0}, {0, 1, 0}}, {{1, 0, 0}, {0, 0, -1}},
                                  {{0, 1, 0}, {0, 0, -1}},  {{c, d, 0}, {-d, c, 0}}, {{1, 0, 0}, {0, c, -d}}};
    for (size_t o = 0; o < sizeof along / sizeof *along; o++) {
        ich_frame frames[MOST];
        const double *a = along[o][0], *b = along[o][1];
        for (int i = 0; i < 7; i++) {
            const int k = i * 3 % 7;
            frames[i] = frame_at(0, 0, 0);
            memcpy(frames[i].plane.along, along[o], sizeof along[o]);
            for (int r = 0; r < 3; r++)
                frames[i].plane.position[r] =
                    3.25 * k * (a[(r + 1) % 3] * b[(r + 2) % 3] - a[(r + 2) % 3] * b[(r + 1) % 3]);
        }
        ich_stack s = arrange(frames, 7);
        assert_float_equal(s.step, 3.25, 1e-9);
        check_places(&s, frames, 1e-9);
        ich_stack_free(&s);
    }
}

static void a_tilted_gantry_gives_a_sheared_affine(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 10, 15);
    for (size_t i = 0; i < n; i++) {
        frames[i].plane.along[1][1] = cos(0.25);
        frames[i].plane.along[1][2] = -sin(0.25);
    }
    ich_stack s = arrange(frames, n);
    assert_float_equal(s.tilt, 0.25 * 180 / 3.14159265358979, 1e-6);
    assert_float_equal(s.affine[2][2], 5, 1e-9);
    assert_float_equal(s.affine[1][2], 0, 1e-9);
    check_places(&s, frames, 1e-9);
    ich_stack_free(&s);
}

static void one_slice_is_a_volume_as_thick_as_it_says(void **state) {
    (void)state;
    ich_frame frames[MOST];
    STACK(frames, 7);
    ich_stack s = arrange(frames, 1);
    assert_int_equal(s.n_levels, 1);
    assert_float_equal(s.affine[2][2], 5, 0);
    assert_float_equal(s.affine[2][3], 7, 0);
    ich_stack_free(&s);
    frames[0].thickness = 0;
    s = arrange(frames, 1);
    assert_float_equal(s.affine[2][2], 1, 0);
    ich_stack_free(&s);
}

static void rounded_positions_are_even(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 4.81, 9.58, 14.41, 19.2, 24.01);
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 6);
    assert_int_equal(s.n_filled, 0);
    for (int z = 0; z < 6; z++) assert_true(s.level[z].weight == 0 && s.level[z].below == z);
    check_places(&s, frames, 0.05);
    ich_stack_free(&s);
}

/* -- what does not belong -------------------------------------------------------------------------------- */

static void unlike_slices_are_left_out_with_a_reason(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 10, 15, 20, 2, 3, 5);
    frames[5].rows = 8;
    frames[6].plane.along[0][0] = 0, frames[6].plane.along[0][2] = 1;
    frames[7].plane.spacing[1] = 0.8;
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 5);
    const ich_fate expected[] = {ICH_KEPT, ICH_KEPT,       ICH_KEPT,        ICH_KEPT,
                                 ICH_KEPT, ICH_OTHER_SIZE, ICH_OTHER_ANGLE, ICH_OTHER_SPACING};
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(s.fate[i], expected[i]);
        assert_int_equal(strlen(ich_fate_reasons[s.fate[i]]) > 0, expected[i] != ICH_KEPT);
    }
    ich_stack_free(&s);
}

static void of_two_slices_at_one_place_the_first_taken_is_kept(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 5.001, 10, 10);
    frames[1].instance = 9;
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 3);
    assert_int_equal(s.source[1], 2);
    assert_int_equal(s.source[2], 3);
    assert_int_equal(s.fate[1], ICH_DUPLICATE);
    assert_int_equal(s.fate[4], ICH_DUPLICATE);
    ich_stack_free(&s);
}

static void acquisitions_that_follow_each_other_are_joined(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 10, 10, 15, 20);
    for (size_t i = 0; i < n; i++) frames[i].acquisition = 1 + (i > 2);
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 5);
    assert_int_equal(s.fate[3], ICH_DUPLICATE);
    ich_stack_free(&s);
}

static void of_repeated_acquisitions_the_largest_is_kept(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 10, 0.5, 5.5, 10.5, 15.5, 1, 6);
    for (size_t i = 0; i < n; i++) frames[i].acquisition = i < 3 ? 1 : i < 7 ? 2 : 3;
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 4);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(s.fate[i], frames[i].acquisition == 2 ? ICH_KEPT : ICH_OTHER_ACQUISITION);
    ich_stack_free(&s);
}

static void a_slice_far_away_is_left_out(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, -200, 0, 1.25, 2.5, 3.75);
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 4);
    assert_int_equal(s.fate[0], ICH_BEYOND_HOLE);
    check_places(&s, frames, 1e-9);
    ich_stack_free(&s);
}

/* -- gaps ------------------------------------------------------------------------------------------------ */

static void a_missing_slice_is_filled_in_and_told(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 5, 15, 20, 25);
    ich_stack s = arrange(frames, n);
    assert_int_equal(s.n_levels, 6);
    assert_int_equal(s.n_filled, 1);
    assert_int_equal(s.level[2].own, -1);
    assert_int_equal(s.level[2].below, 1);
    assert_int_equal(s.level[2].above, 2);
    assert_float_equal(s.level[2].weight, 0.5, 1e-6);
    assert_float_equal(s.gap[0], 5, 0);
    assert_float_equal(s.gap[1], 10, 0);
    const int own[] = {0, 1, -1, 2, 3, 4};
    for (int z = 0; z < 6; z++) {
        assert_int_equal(s.level[z].own, own[z]);
        if (own[z] >= 0) assert_true(s.level[z].weight == 0 && s.level[z].below == own[z]);
    }
    check_places(&s, frames, 1e-9);
    ich_stack_free(&s);
}

static void finer_slices_in_one_part_set_the_grid(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 2.5, 5, 7.5, 12.5, 17.5);
    ich_stack s = arrange(frames, n);
    assert_float_equal(s.step, 2.5, 1e-9);
    assert_int_equal(s.n_levels, 8);
    assert_int_equal(s.n_filled, 2);
    check_places(&s, frames, 1e-9);
    ich_stack_free(&s);
}

static void uneven_slices_are_resampled_and_each_stands_for_one(void **state) {
    (void)state;
    ich_frame frames[MOST];
    const size_t n = STACK(frames, 0, 3, 6, 9, 16, 23);
    ich_stack s = arrange(frames, n);
    assert_true(s.step <= 3 && s.step > 2.5);
    assert_float_equal(s.step * (s.n_levels - 1), 23, 1e-9);
    int seen = 0;
    for (int z = 0; z < s.n_levels; z++) {
        const ich_level *level = &s.level[z];
        const double below = frames[s.source[level->below]].plane.position[2];
        const double above = frames[s.source[level->above]].plane.position[2];
        assert_float_equal(below + level->weight * (above - below), z * s.step, 0.31);
        if (level->own >= 0) assert_int_equal(level->own, seen++);
    }
    assert_int_equal(seen, 6);
    check_places(&s, frames, s.step / 2);
    ich_stack_free(&s);
}

static void what_is_no_volume_is_refused(void **state) {
    (void)state;
    ich_frame frames[MOST] = {{0}};
    refuse(frames, 0, "no slice");
    refuse(frames, STACK(frames, 0, 5, 50, 55), "hole of 45 mm");
    refuse(frames, STACK(frames, 0, 0.1, 5, 10, 15), "too unevenly");
    const size_t n = STACK(frames, 0, 5, 10, 15);
    frames[2].plane.position[0] += 3;
    refuse(frames, n, "sideways");
}

/* -- voxels ---------------------------------------------------------------------------------------------- */

static void levels_are_blended_upside_down(void **state) {
    (void)state;
    ich_frame frames[MOST];
    int16_t below[12], above[12], level[12];
    for (int i = 0; i < 12; i++) below[i] = (int16_t)(10 * i), above[i] = (int16_t)(10 * i + 5);
    const size_t n = STACK(frames, 0, 5, 15);
    ich_stack s = arrange(frames, n);
    ich_stack_blend(&s, 1, below, above, level);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 3; x++) assert_int_equal(level[3 * y + x], below[3 * (3 - y) + x]);
    ich_stack_blend(&s, 2, below, above, level);
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 3; x++) assert_int_equal(level[3 * y + x], below[3 * (3 - y) + x] + 2);
    ich_stack_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_sorted_by_position_not_by_number),
        cmocka_unit_test(axes_are_stored_as_dcm2niix_stores_them),
        cmocka_unit_test(any_orientation_has_its_affine),
        cmocka_unit_test(a_tilted_gantry_gives_a_sheared_affine),
        cmocka_unit_test(one_slice_is_a_volume_as_thick_as_it_says),
        cmocka_unit_test(rounded_positions_are_even),
        cmocka_unit_test(unlike_slices_are_left_out_with_a_reason),
        cmocka_unit_test(of_two_slices_at_one_place_the_first_taken_is_kept),
        cmocka_unit_test(acquisitions_that_follow_each_other_are_joined),
        cmocka_unit_test(of_repeated_acquisitions_the_largest_is_kept),
        cmocka_unit_test(a_slice_far_away_is_left_out),
        cmocka_unit_test(a_missing_slice_is_filled_in_and_told),
        cmocka_unit_test(finer_slices_in_one_part_set_the_grid),
        cmocka_unit_test(uneven_slices_are_resampled_and_each_stands_for_one),
        cmocka_unit_test(what_is_no_volume_is_refused),
        cmocka_unit_test(levels_are_blended_upside_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
