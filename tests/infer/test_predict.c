#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/file.h"
#include "data/labels.h"
#include "infer/predict.h"
#include "support.h"
#include "tensor/team.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double spacing[3] = {1, 1, 5};
static const int upright[3] = {-1, -1, 1}, upside_down[3] = {-1, -1, -1};

static ich_model study_model, image_model;

/* Two patients, the first of them stored a second time from head to foot, and three files that are no scans.
 */
static void make_dataset(const char *folder) {
    ich_error err = {0};
    char volumes[1024];
    snprintf(volumes, sizeof volumes, "%s/volumes", folder);
    assert_true(ich_folder_make(volumes, &err));
    const int size[3] = {24, 20, 6}, other[3] = {16, 16, 9};
    test_scan(test_path(volumes, "a.nii.gz"), size, spacing, upright, 1);
    test_scan(test_path(volumes, "b.nii"), other, spacing, upright, 2);
    test_scan(test_path(volumes, "a2.nii"), size, spacing, upside_down, 1);
    test_write_text(test_path(volumes, "text.nii"), "no scan at all\n");
    test_write_text(test_path(volumes, "empty.nii.gz"), "");
    test_write_text(test_path(folder, "studies.csv"),
                    "study_id,patient_id,path,any,epidural,intraparenchymal,intraventricular,subarachnoid,"
                    "subdural\n"
                    "text,p1,volumes/text.nii,,,,,,\n"
                    "a,p1,volumes/a.nii.gz,1,0,0,0,0,1\n"
                    "gone,p2,volumes/gone.nii,,,,,,\n"
                    "b,p2,volumes/b.nii,,,,,,\n"
                    "a2,p1,volumes/a2.nii,,,,,,\n"
                    "empty,p3,volumes/empty.nii.gz,,,,,,\n");
    test_write_text(test_path(folder, "slices.csv"),
                    "study_id,slice_index,image_id,any,epidural,intraparenchymal,intraventricular,"
                    "subarachnoid,subdural\n"
                    "a,5,\"last, and quoted\",,,,,,\n"
                    "a,0,first,,,,,,\n"
                    "elsewhere,0,nobody,,,,,,\n"
                    "a2,0,top,,,,,,\n");
}

static bool predict(const ich_model *model, const char *input, const char *out, bool heatmaps,
                    ich_skipped *skipped, ich_error *err) {
    const ich_predict_options options = {.heatmaps = heatmaps};
    return ich_predict(model, input, out, &options, NULL, NULL, skipped, err);
}

static void read_table(ich_csv *csv, const char *folder, const char *name) {
    ich_error err = {0};
    if (!ich_csv_read(csv, test_path(folder, name), &err)) fail_msg("%s", err.text);
}

static double number(const ich_csv *csv, size_t row, const char *column) {
    ich_error err = {0};
    double value;
    if (!ich_csv_number(csv, row, ich_csv_column(csv, column), &value, &err)) fail_msg("%s", err.text);
    return value;
}

static const char *text(const ich_csv *csv, size_t row, const char *column) {
    return ich_csv_cell(csv, row, ich_csv_column(csv, column));
}

/* One dataset and its predictions serve most tests. */
static char *dataset, *answers;

/* -- the contract's tables ----------------------------------------------------------------------------- */

static void readable_studies_are_answered_in_order_and_the_rest_is_listed(void **state) {
    (void)state;
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!predict(&study_model, dataset, answers, false, &skipped, &err)) fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 3);
    ich_csv csv;
    read_table(&csv, answers, "studies.csv");
    const char *const header[] = {"study_id",     "n_slices",         "any",
                                  "epidural",     "intraparenchymal", "intraventricular",
                                  "subarachnoid", "subdural",         "seconds"};
    assert_int_equal(csv.n_columns, 9);
    for (size_t c = 0; c < 9; c++) assert_string_equal(csv.header[c], header[c]);
    assert_int_equal(csv.n_rows, 3);
    const char *const ids[] = {"a", "b", "a2"};
    const int slices[] = {6, 9, 6};
    for (size_t row = 0; row < 3; row++) {
        assert_string_equal(text(&csv, row, "study_id"), ids[row]);
        assert_true(number(&csv, row, "n_slices") == slices[row]);
        assert_true(number(&csv, row, "seconds") > 0);
        for (int l = 0; l < ICH_LABELS; l++) {
            const double p = number(&csv, row, ich_label_names[l]);
            assert_true(p > 0 && p < 1);
        }
    }
    ich_csv_free(&csv);
    read_table(&csv, answers, "skipped.csv");
    const char *const left_out[] = {"text", "gone", "empty"};
    assert_int_equal(csv.n_rows, 3);
    for (size_t row = 0; row < 3; row++) {
        assert_string_equal(text(&csv, row, "study_id"), left_out[row]);
        assert_non_null(strstr(text(&csv, row, "reason"), left_out[row]));
    }
    ich_csv_free(&csv);
    ich_skipped_free(&skipped);
}

static void slices_come_by_stored_index_with_their_image_ids(void **state) {
    (void)state;
    ich_csv csv;
    read_table(&csv, answers, "slices.csv");
    assert_int_equal(csv.n_columns, 10);
    assert_string_equal(csv.header[2], "image_id");
    assert_string_equal(csv.header[9], "attention");
    assert_int_equal(csv.n_rows, 6 + 9 + 6);
    double attention = 0;
    for (size_t row = 0; row < csv.n_rows; row++) {
        const size_t index = row < 6 ? row : row < 15 ? row - 6 : row - 15;
        assert_true(number(&csv, row, "slice_index") == (double)index);
        attention += number(&csv, row, "attention");
    }
    assert_true(fabs(attention - 3) < 1e-5);
    assert_string_equal(text(&csv, 0, "image_id"), "first");
    assert_string_equal(text(&csv, 1, "image_id"), "");
    assert_string_equal(text(&csv, 5, "image_id"), "last, and quoted");
    assert_string_equal(text(&csv, 15, "image_id"), "top");
    ich_csv_free(&csv);
}

static void about_says_which_scans_and_which_model(void **state) {
    const char *folder = test_path(*state, "about"), *scan = test_path(dataset, "volumes/b.nii");
    ich_skipped skipped = {0};
    ich_error err = {0};
    ich_csv csv;
    assert_true(ich_model_set_meta(&study_model, "seed", "1, quoted", &err));
    for (int heatmaps = 0; heatmaps < 2; heatmaps++) {
        if (!predict(&study_model, scan, folder, heatmaps, &skipped, &err)) fail_msg("%s", err.text);
        read_table(&csv, folder, "about.csv");
        char *place = realpath(scan, NULL);
        const char *const rows[][2] = {{"answered by", "Ichor " ICHOR_VERSION},
                                       {"input", place},
                                       {"heatmaps", heatmaps ? "any" : "none"},
                                       {"heatmap method", "scales"},
                                       {"heatmap layer", ""},
                                       {"arch", "resnet18"},
                                       {"study head", "attention"},
                                       {"seed", "1, quoted"}};
        assert_int_equal(csv.n_rows, sizeof rows / sizeof rows[0]);
        for (size_t r = 0; r < csv.n_rows; r++) {
            assert_string_equal(text(&csv, r, "key"), rows[r][0]);
            assert_string_equal(text(&csv, r, "value"), rows[r][1]);
        }
        free(place);
        ich_csv_free(&csv);
    }
}

static void a_scan_stored_head_first_gets_the_same_answer(void **state) {
    (void)state;
    ich_csv studies, slices;
    read_table(&studies, answers, "studies.csv");
    read_table(&slices, answers, "slices.csv");
    for (int l = 0; l < ICH_LABELS; l++) {
        assert_string_equal(text(&studies, 0, ich_label_names[l]), text(&studies, 2, ich_label_names[l]));
    }
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(text(&slices, i, "any"), text(&slices, 20 - i, "any"));
        assert_string_equal(text(&slices, i, "attention"), text(&slices, 20 - i, "attention"));
    }
    assert_string_not_equal(text(&slices, 0, "any"), text(&slices, 15, "any"));
    ich_csv_free(&studies);
    ich_csv_free(&slices);
}

static void chunks_and_threads_do_not_change_a_byte(void **state) {
    const char *reference = test_path(answers, "slices.csv"), *folder = test_path(*state, "again");
    const int chunks[] = {1, 5, 64}, threads[] = {2, 1, 3};
    const int chunk = study_model.recipe.chunk;
    for (int i = 0; i < 3; i++) {
        ich_skipped skipped = {0};
        ich_error err = {0};
        study_model.recipe.chunk = chunks[i];
        ich_team_set(threads[i]);
        assert_true(predict(&study_model, dataset, folder, false, &skipped, &err));
        test_assert_same_file(test_path(folder, "slices.csv"), reference);
        ich_skipped_free(&skipped);
    }
    ich_team_set(0);
    study_model.recipe.chunk = chunk;
}

/* -- other inputs and models --------------------------------------------------------------------------- */

static void one_file_is_a_study_named_after_it(void **state) {
    const char *input = test_path(dataset, "volumes/a.nii.gz"), *folder = test_path(*state, "single");
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!predict(&study_model, input, folder, false, &skipped, &err)) fail_msg("%s", err.text);
    ich_csv single, whole;
    read_table(&single, folder, "studies.csv");
    read_table(&whole, answers, "studies.csv");
    assert_int_equal(single.n_rows, 1);
    assert_string_equal(text(&single, 0, "study_id"), "a");
    assert_string_equal(text(&single, 0, "any"), text(&whole, 0, "any"));
    assert_false(ich_path_exists(test_path(folder, "skipped.csv")));
    ich_csv_free(&single);
    ich_csv_free(&whole);
}

static void a_study_longer_than_the_plan_makes_the_plan_grow(void **state) {
    const char *input = test_path(*state, "long.nii"), *folder = test_path(*state, "long");
    const int size[3] = {8, 8, 70};
    test_scan(input, size, spacing, upright, 9);
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!predict(&study_model, input, folder, false, &skipped, &err)) fail_msg("%s", err.text);
    ich_csv csv;
    read_table(&csv, folder, "slices.csv");
    assert_int_equal(csv.n_rows, 70);
    double attention = 0;
    for (size_t row = 0; row < 70; row++) attention += number(&csv, row, "attention");
    assert_true(fabs(attention - 1) < 1e-5);
    ich_csv_free(&csv);
}

static void the_image_head_alone_calls_a_study_by_its_most_positive_slice(void **state) {
    const char *input = test_path(dataset, "volumes/b.nii"), *folder = test_path(*state, "image");
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!predict(&image_model, input, folder, false, &skipped, &err)) fail_msg("%s", err.text);
    ich_csv studies, slices;
    read_table(&studies, folder, "studies.csv");
    read_table(&slices, folder, "slices.csv");
    double largest = 0, sum = 0, attention = 0;
    for (size_t row = 0; row < slices.n_rows; row++) {
        largest = fmax(largest, number(&slices, row, "any"));
        sum += number(&slices, row, "any");
    }
    for (size_t row = 0; row < slices.n_rows; row++) {
        attention += number(&slices, row, "attention");
        assert_true(fabs(number(&slices, row, "attention") - number(&slices, row, "any") / sum) < 1e-7);
    }
    assert_true(fabs(attention - 1) < 1e-6);
    assert_true(number(&studies, 0, "any") == largest);
    ich_csv_free(&studies);
    ich_csv_free(&slices);
}

static void check_heatmaps(const char *folder) {
    const char *heatmaps = test_path(folder, "heatmaps");
    for (int stored = 0; stored < 6; stored++) {
        char name[32];
        snprintf(name, sizeof name, "a/%03d.png", stored);
        int width, height;
        uint8_t *rgb = test_png(test_path(heatmaps, name), &width, &height);
        assert_true(width == 24 && height == 20);
        free(rgb);
    }
    assert_false(ich_path_exists(test_path(heatmaps, "a/006.png")));
    assert_true(ich_path_exists(test_path(heatmaps, "a.nii.gz")));
}

static void heatmaps_cover_every_slice_and_leave_the_answer_alone(void **state) {
    const ich_model *models[] = {&study_model, &image_model};
    const char *input = test_path(dataset, "volumes/a.nii.gz"), *plain = test_path(*state, "plain");
    const char *folder = test_path(*state, "hot");
    for (int m = 0; m < 2; m++) {
        ich_skipped skipped = {0};
        ich_error err = {0};
        if (!predict(models[m], input, plain, false, &skipped, &err)) fail_msg("%s", err.text);
        if (!predict(models[m], input, folder, true, &skipped, &err)) fail_msg("%s", err.text);
        test_assert_same_file(test_path(plain, "slices.csv"), test_path(folder, "slices.csv"));
        check_heatmaps(folder);
    }
}

/* -- what cannot be done ------------------------------------------------------------------------------- */

static void nothing_readable_is_a_failure_without_tables(void **state) {
    const char *input = test_path(dataset, "volumes/text.nii"), *folder = test_path(*state, "none");
    ich_skipped skipped = {0};
    ich_error err = {0};
    assert_false(predict(&study_model, input, folder, false, &skipped, &err));
    assert_non_null(strstr(err.text, "text.nii"));
    assert_int_equal(skipped.n_rows, 1);
    assert_false(ich_path_exists(test_path(folder, "studies.csv")));
    assert_false(ich_path_exists(test_path(folder, "slices.csv")));
    ich_skipped_free(&skipped);
}

static void inputs_that_are_no_scans_are_named(void **state) {
    const char *folder = test_path(*state, "refused"), *picture = test_path(*state, "a.jpeg");
    const char *bare = test_path(*state, "bare");
    test_write_text(picture, "x");
    ich_skipped skipped = {0};
    ich_error err = {0};
    assert_true(ich_folder_make(bare, &err));
    const char *const inputs[] = {test_path(*state, "nowhere"), picture, bare};
    const char *const says[] = {"nowhere", "a.jpeg", "studies.csv"};
    for (int i = 0; i < 3; i++) {
        err.text[0] = '\0';
        assert_false(predict(&study_model, inputs[i], folder, false, &skipped, &err));
        assert_non_null(strstr(err.text, says[i]));
    }
    assert_int_equal(skipped.n_rows, 0);
}

static void predictions_never_overwrite_the_dataset(void **state) {
    (void)state;
    ich_skipped skipped = {0};
    ich_error err = {0};
    size_t before, after;
    free(test_read(test_path(dataset, "studies.csv"), &before));
    char roundabout[2048];
    snprintf(roundabout, sizeof roundabout, "%s/volumes/..", dataset);
    assert_false(predict(&study_model, dataset, roundabout, false, &skipped, &err));
    assert_non_null(strstr(err.text, "output"));
    free(test_read(test_path(dataset, "studies.csv"), &after));
    assert_int_equal(before, after);
}

static void a_stopped_run_leaves_earlier_tables_as_they_were(void **state) {
    (void)state;
    const ich_predict_options options = {.heatmaps = false};
    const volatile int stop = 1;
    ich_skipped skipped = {0};
    ich_error err = {0};
    size_t before, after;
    char *old = test_read(test_path(answers, "studies.csv"), &before);
    assert_false(ich_predict(&study_model, dataset, answers, &options, NULL, &stop, &skipped, &err));
    assert_non_null(strstr(err.text, "stopped"));
    char *now = test_read(test_path(answers, "studies.csv"), &after);
    assert_int_equal(before, after);
    assert_memory_equal(old, now, before);
    free(old);
    free(now);
}

static void weights_that_overflow_give_no_answer(void **state) {
    ich_model model;
    test_model(&model, true, false, 1);
    for (int i = 0; i < model.graph.n_params; i++) {
        const ich_param *param = &model.graph.params[i];
        if (strstr(param->name, "conv") == NULL && strcmp(param->name, "fc.weight") != 0) continue;
        for (size_t k = 0; k < param->count; k++) model.values[param->offset + k] *= 1e18f;
    }
    const char *input = test_path(dataset, "volumes/a.nii.gz"), *folder = test_path(*state, "overflow");
    ich_skipped skipped = {0};
    ich_error err = {0};
    assert_false(predict(&model, input, folder, false, &skipped, &err));
    assert_non_null(strstr(err.text, "not a finite number"));
    ich_skipped_free(&skipped);
    ich_model_free(&model);
}

static int open_all(void **state) {
    if (test_folder_make(state) != 0) return -1;
    dataset = strdup(test_path(*state, "dataset"));
    answers = strdup(test_path(*state, "answers"));
    make_dataset(dataset);
    test_model(&study_model, false, true, 11);
    test_model(&image_model, true, false, 12);
    return 0;
}

static int close_all(void **state) {
    free(dataset);
    free(answers);
    ich_model_free(&study_model);
    ich_model_free(&image_model);
    return test_folder_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readable_studies_are_answered_in_order_and_the_rest_is_listed),
        cmocka_unit_test(slices_come_by_stored_index_with_their_image_ids),
        cmocka_unit_test(about_says_which_scans_and_which_model),
        cmocka_unit_test(a_scan_stored_head_first_gets_the_same_answer),
        cmocka_unit_test(chunks_and_threads_do_not_change_a_byte),
        cmocka_unit_test(one_file_is_a_study_named_after_it),
        cmocka_unit_test(a_study_longer_than_the_plan_makes_the_plan_grow),
        cmocka_unit_test(the_image_head_alone_calls_a_study_by_its_most_positive_slice),
        cmocka_unit_test(heatmaps_cover_every_slice_and_leave_the_answer_alone),
        cmocka_unit_test(nothing_readable_is_a_failure_without_tables),
        cmocka_unit_test(inputs_that_are_no_scans_are_named),
        cmocka_unit_test(predictions_never_overwrite_the_dataset),
        cmocka_unit_test(a_stopped_run_leaves_earlier_tables_as_they_were),
        cmocka_unit_test(weights_that_overflow_give_no_answer),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
