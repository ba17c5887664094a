#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/volume.h"
#include "infer/preview.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

enum { SIDE = 32, CELL = SIDE + 1, BAR = 8 };

static ich_preview_options options_of(int studies, int slices) {
    return (ich_preview_options){
        .preprocess = ich_preprocess_default(SIDE), .studies = studies, .slices = slices};
}

/* Four studies: bleeding, a file that is none, not bleeding, not labelled. */
static void make_dataset(const char *folder) {
    static const double spacing[3] = {1, 1, 5};
    static const int upright[3] = {-1, -1, 1}, size[3] = {24, 20, 9}, few[3] = {16, 16, 2};
    test_scan(test_path(folder, "a.nii"), size, spacing, upright, 1);
    test_scan(test_path(folder, "b.nii"), few, spacing, upright, 2);
    test_write_text(test_path(folder, "text.nii"), "no scan at all\n");
    test_write_text(test_path(folder, "studies.csv"),
                    "study_id,patient_id,path,any,epidural,intraparenchymal,intraventricular,subarachnoid,"
                    "subdural\na,p,a.nii,1,0,0,0,0,1\nt,p,text.nii,1,0,0,0,0,1\nb,q,b.nii,0,0,0,0,0,0\n"
                    "c,q,a.nii,,,,,,\n");
}

static const uint8_t *pixel(const uint8_t *rgb, int width, int x, int y) { return rgb + 3 * (y * width + x); }

/* The cell shows network slice z of the volume. */
static void check_cell(const uint8_t *rgb, int width, int row, int column, const char *path, int z) {
    const ich_preprocess p = ich_preprocess_default(SIDE);
    uint8_t slice[SIDE * SIDE * 3];
    ich_volume volume;
    ich_error err = {0};
    assert_true(ich_volume_read(&volume, path, &err));
    assert_true(ich_preprocess_slice(&p, &volume, z, slice, &err));
    for (int y = 0; y < SIDE; y++)
        assert_memory_equal(pixel(rgb, width, BAR + column * CELL, row * CELL + y), slice + y * SIDE * 3,
                            SIDE * 3);
    ich_volume_free(&volume);
}

static void each_row_shows_its_study_as_the_network_sees_it(void **state) {
    const ich_preview_options options = options_of(10, 3);
    const char *path = test_path(*state, "sheet.png");
    ich_skipped skipped = {0};
    ich_error err = {0};
    int width, height;
    make_dataset(*state);
    assert_true(ich_preview_write(*state, path, &options, NULL, NULL, &skipped, &err));
    uint8_t *rgb = test_png(path, &width, &height);
    assert_int_equal(width, BAR + 3 * CELL);
    assert_int_equal(height, 4 * CELL);
    for (int i = 0; i < 3; i++) check_cell(rgb, width, 0, i, test_path(*state, "a.nii"), 1 + 3 * i);
    for (int i = 0; i < 2; i++) check_cell(rgb, width, 2, i, test_path(*state, "b.nii"), i);
    const uint8_t *sick = pixel(rgb, width, 1, 5), *none = pixel(rgb, width, 1, CELL + 5);
    const uint8_t *well = pixel(rgb, width, 1, 2 * CELL + 5), *open = pixel(rgb, width, 1, 3 * CELL + 5);
    assert_true(sick[0] > 2 * sick[1] && well[1] > well[0] && open[0] == open[1] && open[0] > 0);
    assert_int_equal(none[0] + none[1] + none[2], 0);
    assert_int_equal(skipped.n_rows, 1);
    assert_string_equal(skipped.rows[0].study_id, "t");
    ich_skipped_free(&skipped);
    free(rgb);
}

static void fewer_rows_are_spread_over_the_table(void **state) {
    const ich_preview_options options = options_of(2, 1);
    const char *path = test_path(*state, "two.png");
    ich_skipped skipped = {0};
    ich_error err = {0};
    int width, height;
    make_dataset(*state);
    assert_true(ich_preview_write(*state, path, &options, NULL, NULL, &skipped, &err));
    uint8_t *rgb = test_png(path, &width, &height);
    assert_int_equal(height, 2 * CELL);
    check_cell(rgb, width, 0, 0, test_path(*state, "a.nii"), 4);
    check_cell(rgb, width, 1, 0, test_path(*state, "b.nii"), 1);
    assert_int_equal(skipped.n_rows, 0);
    free(rgb);
}

static void nothing_to_see_is_a_failure(void **state) {
    const ich_preview_options options = options_of(4, 4);
    const char *path = test_path(*state, "none.png");
    ich_skipped skipped = {0};
    ich_error err = {0};
    make_dataset(*state);
    assert_int_equal(remove(test_path(*state, "a.nii")), 0);
    assert_int_equal(remove(test_path(*state, "b.nii")), 0);
    assert_false(ich_preview_write(*state, path, &options, NULL, NULL, &skipped, &err));
    assert_non_null(strstr(err.text, "none of its studies can be read"));
    assert_false(ich_path_exists(path));
    ich_skipped_free(&skipped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_shows_its_study_as_the_network_sees_it),
        cmocka_unit_test(fewer_rows_are_spread_over_the_table),
        cmocka_unit_test(nothing_to_see_is_a_failure),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
