/* calibrate folds its line into the model, so that the very next answers are calibrated, and refuses answers
 * that are not this model's, or too few for its promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/file.h"
#include "infer/calibrate.h"
#include "infer/calibration.h"
#include "infer/predict.h"
#include "support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STUDIES = 60 };

/* A folder of answers, as predict would leave it for a model with verb = finetune, and their truth. */
static void write_answers(const char *folder, const char *truth, int studies, const char *verb) {
    ich_error err = {0};
    if (!ich_folder_make(folder, &err) || !ich_folder_make(truth, &err)) fail_msg("%s", err.text);
    FILE *answers = fopen(test_path(folder, "studies.csv"), "w"),
         *labels = fopen(test_path(truth, "studies.csv"), "w");
    assert_non_null(answers);
    assert_non_null(labels);
    fputs("study_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n", answers);
    fputs("study_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,split\n", labels);
    for (int i = 0; i < studies; i++) {
        const bool bleeds = i % 2;
        const double logit = (bleeds ? 1 : -1) + 4 * sin(i); /* overconfident */
        fprintf(answers, "s%d,%.9g,0.01,%.9g,0.01,0.01,%.9g\n", i, ich_sigmoid(2 * logit), ich_sigmoid(logit),
                ich_sigmoid(logit - 1));
        fprintf(labels, "s%d,%d,0,%d,,0,%d,%s\n", i, bleeds, bleeds && i % 3, bleeds && i % 5, "val");
    }
    fclose(answers);
    fclose(labels);
    char about[60];
    snprintf(about, sizeof about, "key,value\nverb,%s\n", verb);
    test_write_text(test_path(folder, "about.csv"), about);
}

static ich_calibrate_options options_in(void **state, const char *name) {
    static char paths[3][300];
    static const char *const parts[3] = {"answers", "truth", "out"};
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s-%s", (char *)*state, name, parts[i]);
    return (ich_calibrate_options){.predictions = paths[0],
                                   .truth = paths[1],
                                   .out = paths[2],
                                   .split = "val",
                                   .method = "platt",
                                   .max_missed = 0.1,
                                   .max_false = 0.1,
                                   .confidence = 0.8};
}

static void make_model(ich_model *model, bool study_head) {
    ich_error err = {0};
    test_model(model, !study_head, study_head, 3);
    assert_true(ich_model_set_meta(model, "verb", "finetune", &err));
}

/* any and attention of each row of a predictions folder's table. */
static size_t read_any(const char *folder, const char *name, double *any) {
    ich_csv csv;
    ich_error err = {0};
    int column;
    if (!ich_csv_read(&csv, test_path(folder, name), &err) || !ich_csv_require(&csv, "any", &column, &err))
        fail_msg("%s", err.text);
    const size_t n = csv.n_rows;
    assert_true(n <= STUDIES);
    for (size_t r = 0; r < n; r++) assert_true(ich_csv_number(&csv, r, column, &any[r], &err));
    ich_csv_free(&csv);
    return n;
}

static void predict(const ich_model *model, const char *scan, const char *out) {
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!ich_predict(model, scan, out, &(ich_predict_options){0}, NULL, NULL, &skipped, &err))
        fail_msg("%s", err.text);
}

static void check_line_in_answers(void **state, bool study_head, const char *name) {
    ich_model model, read;
    ich_calibration c;
    ich_error err = {0};
    char scan[300], before[300], after[300];
    const ich_calibrate_options o = options_in(state, name);
    write_answers(o.predictions, o.truth, STUDIES, "finetune");
    snprintf(scan, sizeof scan, "%s/%s.nii.gz", (char *)*state, name);
    snprintf(before, sizeof before, "%s/%s-before", (char *)*state, name);
    snprintf(after, sizeof after, "%s/%s-after", (char *)*state, name);
    test_scan(scan, (int[]){24, 24, 5}, (double[]){1, 1, 5}, (int[]){1, 1, 1}, 9);
    make_model(&model, study_head);
    predict(&model, scan, before);
    if (!ich_calibrate(&model, &o, &c, &err) || !ich_model_load(&read, o.out, &err)) fail_msg("%s", err.text);
    predict(&read, scan, after);
    static const char *const tables[] = {"studies.csv", "slices.csv"};
    for (int t = 0; t < 2; t++) {
        double was[STUDIES], is[STUDIES];
        const size_t n = read_any(before, tables[t], was);
        assert_int_equal(read_any(after, tables[t], is), n);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs(ich_logit(is[i]) -
                             (c.rows[ICH_ANY].slope * ich_logit(was[i]) + c.rows[ICH_ANY].offset)) < 1e-4);
    }
    assert_true(c.rows[ICH_ANY].slope < 0.9); /* it was overconfident */
    assert_true(c.rows[ICH_ANY].log_loss[1] < c.rows[ICH_ANY].log_loss[0]);
    assert_string_equal(c.rows[ICH_INTRAVENTRICULAR].why, "no labelled case");
    assert_string_equal(c.rows[ICH_EPIDURAL].why, "no positive case");
    double threshold = 0;
    sscanf(ich_model_meta(&read, "threshold"), "%lf", &threshold);
    assert_true(threshold == c.threshold && c.threshold > 0 && c.sure > c.threshold && c.types > 0);
    assert_non_null(strstr(ich_model_meta(&read, "promise"), "at most 10 % of positive studies are missed"));
    ich_model_free(&model);
    ich_model_free(&read);
}

static void the_next_answers_are_calibrated(void **state) { check_line_in_answers(state, true, "study"); }
static void a_pretrained_model_is_calibrated_too(void **state) {
    check_line_in_answers(state, false, "image");
}

static void thresholds_keep_their_promise_on_the_studies_at_hand(void **state) {
    ich_model model;
    ich_calibration c;
    ich_error err = {0};
    ich_calibrate_options o = options_in(state, "kept");
    o.method = "none";
    o.confidence =
        0; /* on average: 30 positives, 3 may be below the threshold: floor(0.1 · 31) - 1 = 2 are */
    write_answers(o.predictions, o.truth, STUDIES, "finetune");
    make_model(&model, true);
    if (!ich_calibrate(&model, &o, &c, &err)) fail_msg("%s", err.text);
    int missed = 0, false_alarms = 0;
    for (int i = 0; i < STUDIES; i++) {
        const double any = ich_sigmoid(2 * ((i % 2 ? 1 : -1) + 4 * sin(i)));
        missed += i % 2 && any < c.threshold;
        false_alarms += i % 2 == 0 && any >= c.sure;
    }
    assert_int_equal(missed, 2);
    assert_int_equal(false_alarms, 2);
    for (int l = 0; l < ICH_LABELS; l++) assert_true(c.rows[l].slope == 1 && c.rows[l].offset == 0);
    ich_model_free(&model);
}

static void expect_refusal(ich_model *model, const ich_calibrate_options *o, const char *word) {
    ich_calibration c;
    ich_error err = {0};
    assert_false(ich_calibrate(model, o, &c, &err));
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
    assert_false(ich_path_exists(test_path(o->out, "model.safetensors")));
}

static void what_cannot_be_promised_is_refused(void **state) {
    ich_model model;
    ich_calibrate_options o = options_in(state, "refused");
    make_model(&model, true);
    expect_refusal(&model, &o, "about.csv");
    write_answers(o.predictions, o.truth, STUDIES, "pretrain");
    expect_refusal(&model, &o, "not this model's answers: its verb is 'finetune', here 'pretrain'");
    write_answers(o.predictions, o.truth, STUDIES, "finetune\ncalibration,platt");
    expect_refusal(&model, &o, "they are calibrated already");
    write_answers(o.predictions, o.truth, STUDIES, "finetune");
    o.max_missed = 0.05;
    o.confidence = 0.9;
    expect_refusal(&model, &o, "30 positive studies are too few");
    expect_refusal(&model, &o, "it takes 45 of them; so few can promise 7.39 %"); /* 1 - 0.1^(1/30) */
    o.split = "test";
    expect_refusal(&model, &o, "split test");
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_answers_are_calibrated),
        cmocka_unit_test(a_pretrained_model_is_calibrated_too),
        cmocka_unit_test(thresholds_keep_their_promise_on_the_studies_at_hand),
        cmocka_unit_test(what_cannot_be_promised_is_refused),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
