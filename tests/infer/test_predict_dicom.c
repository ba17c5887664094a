/* A folder of DICOM is answered like the dataset that import makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../data/dicom_maker.h"
#include "data/csv.h"
#include "data/file.h"
#include "data/import.h"
#include "infer/predict.h"
#include "support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static ich_model model;

static void predict(const char *input, const char *out, bool keep_ids, ich_skipped *skipped) {
    const ich_predict_options options = {.keep_ids = keep_ids};
    ich_error err = {""};
    if (!ich_predict(&model, input, out, &options, NULL, NULL, skipped, &err)) fail_msg("%s", err.text);
}

static void put_study(const char *folder) {
    made_slice s = made_default();
    s.rows = s.columns = 8;
    made_series(folder, &s, 5);
    s.image_type = "ORIGINAL\\PRIMARY\\LOCALIZER";
    s.pixel_bytes = 24, s.rows = 3, s.columns = 4;
    made_write(test_path(folder, "scout.dcm"), &s);
}

static void a_folder_of_dicom_is_answered(void **state) {
    const char *folder = *state, *source = test_path(folder, "study"), *out = test_path(folder, "out");
    ich_skipped skipped = {0}, none = {0};
    put_study(source);
    predict(source, out, false, &skipped);
    assert_int_equal(skipped.n_rows, 1);
    assert_string_equal(skipped.rows[0].path, "scout.dcm");
    predict(test_path(out, "scans"), test_path(folder, "again"), false, &none);
    test_assert_same_file(test_path(out, "slices.csv"), test_path(test_path(folder, "again"), "slices.csv"));
    ich_skipped_free(&skipped);
    ich_skipped_free(&none);
}

static void studies_keep_their_ids_when_asked(void **state) {
    const char *folder = *state, *out = test_path(folder, "kept");
    ich_skipped skipped = {0};
    ich_csv csv;
    put_study(test_path(folder, "study"));
    predict(test_path(folder, "study"), out, true, &skipped);
    assert_true(ich_csv_read(&csv, test_path(out, "studies.csv"), NULL));
    assert_string_equal(ich_csv_cell(&csv, 0, ich_csv_column(&csv, "study_id")), "1.2.3");
    ich_csv_free(&csv);
    ich_skipped_free(&skipped);
}

static void a_folder_of_nothing_is_told_so(void **state) {
    const char *folder = *state, *source = test_path(folder, "nothing");
    const ich_predict_options options = {0};
    ich_skipped skipped = {0};
    ich_error err = {""};
    mkdir(source, 0777);
    assert_false(
        ich_predict(&model, source, test_path(folder, "out3"), &options, NULL, NULL, &skipped, &err));
    assert_non_null(strstr(err.text, "holds no file"));
    assert_non_null(strstr(err.text, "studies.csv"));
    ich_skipped_free(&skipped);
}

static int setup(void **state) {
    test_model(&model, true, true, 5);
    return test_folder_make(state);
}

static int teardown(void **state) {
    ich_model_free(&model);
    return test_folder_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_of_dicom_is_answered),
        cmocka_unit_test(studies_keep_their_ids_when_asked),
        cmocka_unit_test(a_folder_of_nothing_is_told_so),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
