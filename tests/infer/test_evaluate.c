/* evaluate joins small folders, leaves out what it must, says why a figure is missing, and refuses what it
 * cannot read. The figures themselves are test_stats.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/file.h"
#include "infer/evaluate.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- folders ------------------------------------------------------------------------------------------- */

typedef struct bench { /* one evaluation in a folder of its own */
    char predictions[300], truth[300], out[300];
    ich_evaluate_options options;
    ich_evaluation result;
    ich_skipped skipped;
    ich_error err;
} bench;

static bench make_bench(void **state) {
    static int number;
    bench b = {.options = {.threshold = 0.5, .target_ppv = NAN, .target_sensitivity = NAN}};
    number++;
    snprintf(b.predictions, sizeof b.predictions, "%s/%d-p", (char *)*state, number);
    snprintf(b.truth, sizeof b.truth, "%s/%d-t", (char *)*state, number);
    snprintf(b.out, sizeof b.out, "%s/%d-out/deeper", (char *)*state, number);
    assert_true(ich_folder_make(b.predictions, &b.err) && ich_folder_make(b.truth, &b.err));
    return b;
}

static void put(const char *folder, const char *name, const char *text) {
    test_write_text(test_path(folder, name), text);
}

static bool run(bench *b) {
    b->options.predictions = b->predictions;
    b->options.truth = b->truth;
    b->options.out = b->out;
    return ich_evaluate(&b->options, &b->result, &b->skipped, &b->err);
}

static void run_well(bench *b) {
    if (!run(b)) fail_msg("%s", b->err.text);
}

/* Fails with one line that holds `file` and `word`; nothing is written. */
static void expect_refusal(bench *b, const char *file, const char *word) {
    assert_false(run(b));
    if (!strstr(b->err.text, file) || !strstr(b->err.text, word))
        fail_msg("'%s' does not name '%s' and '%s'", b->err.text, file, word);
    assert_false(ich_path_exists(test_path(b->out, "metrics.csv")));
    ich_skipped_free(&b->skipped);
}

/* A row of metrics.csv. */
typedef struct metric {
    char value[40], low[40], high[40], method[80], n[20], positives[20];
} metric;

static metric find(const bench *b, const char *level, const char *label, const char *name) {
    ich_error err = {0};
    ich_csv csv;
    metric m;
    memset(&m, 0, sizeof m);
    size_t found = 0;
    if (!ich_csv_read(&csv, test_path(b->out, "metrics.csv"), &err)) fail_msg("%s", err.text);
    static const char *const header[] = {"level",   "label",  "metric", "value",     "ci_low",
                                         "ci_high", "method", "n",      "n_positive"};
    assert_int_equal(csv.n_columns, 9);
    for (int c = 0; c < 9; c++) assert_string_equal(csv.header[c], header[c]);
    for (size_t r = 0; r < csv.n_rows; r++) {
        if (strcmp(ich_csv_cell(&csv, r, 0), level) || strcmp(ich_csv_cell(&csv, r, 1), label) ||
            strcmp(ich_csv_cell(&csv, r, 2), name))
            continue;
        char *const fields[] = {m.value, m.low, m.high, NULL, m.n, m.positives};
        for (int c = 0; c < 6; c++)
            if (fields[c]) snprintf(fields[c], 20, "%s", ich_csv_cell(&csv, r, 3 + c));
        snprintf(m.method, sizeof m.method, "%s", ich_csv_cell(&csv, r, 6));
        found++;
    }
    if (found != 1) fail_msg("%zu rows of %s,%s,%s", found, level, label, name);
    ich_csv_free(&csv);
    return m;
}

static void expect_metric(const bench *b, const char *level, const char *label, const char *name,
                          const char *value, const char *n, const char *positives) {
    const metric m = find(b, level, label, name);
    if (strcmp(m.value, value) || strcmp(m.n, n) || strcmp(m.positives, positives))
        fail_msg("%s,%s,%s is '%s' of %s, %s positive", level, label, name, m.value, m.n, m.positives);
}

static size_t lines_of(const char *folder, const char *name) {
    char *text = test_read(test_path(folder, name), NULL);
    size_t lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    free(text);
    return lines;
}

/* -- what is joined ------------------------------------------------------------------------------------ */

#define PREDICTIONS                                                                                          \
    "study_id,n_slices,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,seconds\n"       \
    "\"a, b\",3,0.9,0.1,0.2,0.3,0.4,0.5,1.0\n"                                                               \
    "\"say \"\"c\"\"\",3,0.7,0.1,0.2,0.3,0.4,0.5,1.0\n"                                                      \
    "d,3,0.2,0.1,0.2,0.3,0.4,0.5,1.0\n"                                                                      \
    "e,3,0.6,0.1,0.2,0.3,0.4,0.5,1.0\n"                                                                      \
    "f,3,0.95,0.1,0.2,0.3,0.4,0.5,1.0\n"
#define TRUTH                                                                                                \
    "any,study_id,patient_id,path,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"        \
    "0,e,p,x,0,0,,0,0\n"                                                                                     \
    "1,\"say \"\"c\"\"\",p,x,0,1,,0,0\n"                                                                     \
    "1,\"a, b\",p,x,0,0,,1,0\n"                                                                              \
    "0,d,p,x,0,0,,0,0\n"                                                                                     \
    ",f,p,x,,,,,\n"

static void studies_are_joined_by_name_whatever_their_order(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", PREDICTIONS);
    put(b.truth, "studies.csv", TRUTH);
    run_well(&b);
    assert_int_equal(b.result.n[ICH_LEVEL_STUDY], 4); /* f's label is unknown */
    assert_int_equal(b.result.positives[ICH_LEVEL_STUDY], 2);
    assert_int_equal(b.skipped.n_rows, 0);
    assert_false(ich_path_exists(test_path(b.out, "skipped.csv")));
    expect_metric(&b, "study", "any", "auc", "1", "4", "2"); /* 0.9 0.7 | 0.6 0.2 */
    expect_metric(&b, "study", "any", "ppv", "0.6666666667", "4", "2");
    expect_metric(&b, "study", "any", "npv", "1", "4", "2");
    expect_metric(&b, "study", "any", "sensitivity", "1", "4", "2");
    expect_metric(&b, "study", "any", "specificity", "0.5", "4", "2");
    expect_metric(&b, "study", "any", "accuracy", "0.75", "4", "2");
    expect_metric(&b, "study", "any", "threshold", "0.5", "4", "2");
    expect_metric(&b, "study", "any", "average_precision", "1", "4", "2");
    expect_metric(&b, "study", "any", "brier", "0.125", "4", "2"); /* (0.1² + 0.3² + 0.6² + 0.2²) / 4 */
    expect_metric(&b, "study", "any", "ece", "0.3", "4", "2");     /* four bins of one: their mean error */
    assert_string_equal(find(&b, "study", "any", "ppv").method, "Wilson 1927");
    assert_string_equal(find(&b, "study", "any", "auc").method, "DeLong 1988; plain interval");
}

static void the_rsna_loss_counts_any_twice_and_unknown_labels_never(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv",
        "study_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "a,0.8,0.5,0.25,0.1,0.2,0.3\nb,0.4,0.1,0.1,0.1,0.1,0.1\n");
    put(b.truth, "studies.csv",
        "study_id,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"
        "a,1,,1,0,0,0\nb,,,,,,0\n");
    run_well(&b);
    const double sum = 2 * log(0.8) + log(0.25) + log(0.9) + log(0.8) + log(0.7) + log(0.9);
    const metric m = find(&b, "study", "all", "rsna_weighted_log_loss");
    assert_true(fabs(strtod(m.value, NULL) + sum / 7) < 1e-9);
    assert_string_equal(m.n, "6");
    assert_string_equal(m.positives, "2");
}

static void a_study_that_the_truth_lacks_is_skipped_and_named(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\nx,0.9\ny,0.1\nz,0.3\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\nz,0\nw,1\nv,0\n");
    run_well(&b);
    assert_int_equal(b.result.n[ICH_LEVEL_STUDY], 2);
    assert_int_equal(b.result.not_predicted[ICH_LEVEL_STUDY], 2);
    assert_int_equal(b.skipped.n_rows, 1);
    assert_string_equal(b.skipped.rows[0].study_id, "y");
    char *text = test_read(test_path(b.out, "skipped.csv"), NULL);
    assert_non_null(strstr(text, ",y,the truth has no such study\n"));
    free(text);
    ich_skipped_free(&b.skipped);
}

static void figures_beside_the_predictions_leave_their_skipped_csv(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\nx,0.9\n");
    put(b.predictions, "skipped.csv", "path,study_id,reason\na.nii,a,truncated\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\n");
    assert_true(snprintf(b.out, sizeof b.out, "%s/.", b.predictions) < (int)sizeof b.out);
    run_well(&b);
    assert_int_equal(lines_of(b.predictions, "skipped.csv"), 2);
    assert_string_equal(find(&b, "study", "any", "auc").method, "no negative case");
}

static void slices_are_joined_by_study_and_index(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\nx,0.9\ny,0.1\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\ny,0\n");
    put(b.predictions, "slices.csv",
        "study_id,slice_index,image_id,any,attention\n"
        "x,0,,0.1,0.1\nx,1,,0.8,0.8\nx,2,,0.2,0.1\ny,0,,0.3,1\ny,7,,0.9,0\n");
    put(b.truth, "slices.csv",
        "study_id,slice_index,image_id,any\n"
        "y,0,i,0\nx,2,i,1\nx,1,i,1\nx,0,i,0\nx,3,i,1\n");
    run_well(&b);
    assert_int_equal(b.result.n[ICH_LEVEL_SLICE], 4);
    assert_int_equal(b.result.not_predicted[ICH_LEVEL_SLICE], 1);
    expect_metric(&b, "slice", "any", "auc", "0.75", "4", "2"); /* 0.8 0.2 | 0.1 0.3 */
    expect_metric(&b, "slice", "any", "sensitivity", "0.5", "4", "2");
}

static void without_slices_there_are_only_study_figures(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\nx,0.9\ny,0.1\n");
    put(b.predictions, "slices.csv", "study_id,slice_index,any\nx,0,0.5\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\ny,0\n");
    run_well(&b);
    char *text = test_read(test_path(b.out, "metrics.csv"), NULL);
    assert_null(strstr(text, "slice,"));
    free(text);
    assert_int_equal(b.result.n[ICH_LEVEL_SLICE], 0);
    assert_int_equal(b.result.not_predicted[ICH_LEVEL_SLICE], 0);
}

/* -- figures that are not ------------------------------------------------------------------------------ */

static void a_missing_figure_is_an_empty_field_and_a_word(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any,epidural,subdural\nx,0.9,0.1,0.2\ny,0.1,0.3,0.2\n");
    put(b.truth, "studies.csv", "study_id,any,epidural,subdural\nx,1,0,\ny,0,0,\n");
    run_well(&b);
    metric m = find(&b, "study", "epidural", "auc"); /* negatives only */
    assert_string_equal(m.value, "");
    assert_string_equal(m.low, "");
    assert_string_equal(m.method, "no positive case");
    assert_string_equal(find(&b, "study", "epidural", "sensitivity").method, "no case to count");
    assert_string_equal(find(&b, "study", "epidural", "ppv").method, "no case to count");
    m = find(&b, "study", "epidural", "specificity");
    assert_string_equal(m.value, "1");
    assert_string_equal(m.method, "Wilson 1927");
    m = find(&b, "study", "subdural", "brier"); /* all labels empty */
    assert_string_equal(m.value, "");
    assert_string_equal(m.method, "no labelled case");
    assert_string_equal(m.n, "0");
    assert_string_equal(find(&b, "study", "subarachnoid", "auc").method, "no labelled case"); /* no column */
    m = find(&b, "study", "any", "auc"); /* one of each class: a value, but no interval */
    assert_string_equal(m.value, "1");
    assert_string_equal(m.low, "");
    assert_string_equal(m.method, "no interval: one positive case only");
    static const char *const files[] = {"metrics.csv", "roc.csv", "roc.svg", "calibration.csv",
                                        "calibration.svg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *text = test_read(test_path(b.out, files[i]), NULL);
        if (strstr(text, "nan")) fail_msg("%s: holds a nan", files[i]);
        free(text);
    }
}

static void one_class_alone_still_gives_what_there_is(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\nx,0.9\ny,0.1\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\ny,1\n");
    run_well(&b);
    assert_string_equal(find(&b, "study", "any", "auc").method, "no negative case");
    expect_metric(&b, "study", "any", "sensitivity", "0.5", "2", "2");
    assert_int_equal(lines_of(b.out, "roc.csv"), 1); /* the header */
    assert_int_equal(lines_of(b.out, "calibration.csv"), 1 + 15);
    char *memory = NULL;
    size_t size;
    FILE *stream = open_memstream(&memory, &size);
    assert_non_null(stream);
    ich_evaluation_print(&b.result, stream);
    fclose(stream);
    assert_non_null(strstr(memory, "(no negative case)"));
    assert_null(strstr(memory, "nan"));
    free(memory);
}

/* -- thresholds ---------------------------------------------------------------------------------------- */

static void a_score_equal_to_the_threshold_is_positive(void **state) {
    bench b = make_bench(state);
    b.options.threshold = 0.7; /* no float */
    put(b.predictions, "studies.csv", "study_id,any\nx,0.7\ny,0.69999999999\n");
    put(b.truth, "studies.csv", "study_id,any\nx,1\ny,0\n");
    run_well(&b);
    expect_metric(&b, "study", "any", "accuracy", "1", "2", "1");
}

static void a_target_chooses_the_threshold_and_the_file_says_so(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\na,0.9\nb,0.81234567890123\nc,0.7\nd,0.6\ne,0.5\n");
    put(b.truth, "studies.csv", "study_id,any\na,1\nb,1\nc,0\nd,1\ne,0\n");
    b.options.target_ppv = 0.75;
    run_well(&b);
    assert_true(b.result.threshold == 0.6);
    expect_metric(&b, "study", "any", "ppv", "0.75", "5", "3");
    assert_string_equal(find(&b, "study", "any", "threshold").method, "for the target PPV on these data");
    b.options.target_ppv = NAN;
    b.options.target_sensitivity = 0.6;
    run_well(&b);
    expect_metric(&b, "study", "any", "threshold", "0.81234567890123", "5", "3"); /* not rounded past b */
    expect_metric(&b, "study", "any", "sensitivity", "0.6666666667", "5", "3");
    b.options.target_sensitivity = NAN;
    b.options.target_ppv = 1.01;
    assert_false(run(&b));
    assert_non_null(strstr(b.err.text, "no threshold reaches the target"));
}

static void a_threshold_chosen_on_one_split_is_judged_on_the_others(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\na,0.9\nb,0.8\nc,0.3\nd,0.2\ne,0.75\nf,0.85\ng,0.1\n");
    put(b.truth, "studies.csv",
        "study_id,any,split\na,1,val\nb,1,val\nc,0,val\nd,0,val\ne,1,test\nf,0,test\ng,0,train\n");
    b.options.threshold = NAN;
    b.options.choose_on = "val";
    run_well(&b);
    assert_true(b.result.threshold == 0.8); /* parts val's classes */
    assert_int_equal(b.result.n[ICH_LEVEL_STUDY], 3);
    assert_string_equal(find(&b, "study", "any", "threshold").method,
                        "highest sensitivity + specificity (Youden 1950) on split val");
    expect_metric(&b, "study", "any", "sensitivity", "0", "3", "1");
    b.options.target_sensitivity = 0.5;
    b.options.split = "test";
    run_well(&b);
    assert_true(b.result.threshold == 0.9);
    assert_int_equal(b.result.n[ICH_LEVEL_STUDY], 2);
    assert_string_equal(find(&b, "study", "any", "threshold").method,
                        "for the target sensitivity on split val");
    b.options.choose_on = "vla";
    assert_false(run(&b));
    assert_non_null(strstr(b.err.text, "'vla'"));
    b.options.split = "nowhere";
    assert_false(run(&b));
    assert_non_null(strstr(b.err.text, "split nowhere"));
}

static void the_models_own_threshold_serves_where_none_is_given(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\na,0.3\nb,0.1\n");
    put(b.truth, "studies.csv", "study_id,any\na,1\nb,0\n");
    b.options.threshold = NAN;
    run_well(&b);
    assert_true(b.result.threshold == 0.5);
    put(b.predictions, "about.csv", "key,value\narch,resnet18\nthreshold,0.25\n");
    run_well(&b);
    assert_true(b.result.threshold == 0.25);
    assert_string_equal(find(&b, "study", "any", "threshold").method, "the model's own");
    put(b.predictions, "about.csv", "key,value\nthreshold,7\n");
    run_well(&b);
    assert_true(b.result.threshold == 0.5);
}

static void draws_of_patients_give_intervals_to_what_has_none(void **state) {
    bench b = make_bench(state);
    b.options.bootstrap = 200;
    put(b.predictions, "studies.csv", "study_id,any,subdural\na,0.9,0.8\nb,0.2,0.3\nc,0.6,0.5\nd,0.4,0.1\n");
    put(b.truth, "studies.csv", "study_id,patient_id,any,subdural\na,p,1,1\nb,q,0,0\nc,r,1,0\nd,s,0,0\n");
    run_well(&b);
    const metric m = find(&b, "study", "any", "brier");
    assert_true(strtod(m.low, NULL) < strtod(m.value, NULL) && strtod(m.high, NULL) > strtod(m.value, NULL));
    assert_string_equal(m.method, "Brier 1950; bootstrap of patients, percentile");
    assert_string_equal(find(&b, "study", "any", "ppv").method, "Wilson 1927");
    assert_string_equal(find(&b, "study", "any", "accuracy_bootstrap").value, "1");
    assert_string_equal(find(&b, "study", "macro", "auc").value, "1"); /* of the one type there is */
    assert_string_equal(find(&b, "study", "macro", "auc").method, "no interval: too few cases to draw from");
    assert_string_equal(find(&b, "study", "all", "rsna_weighted_log_loss").method,
                        "RSNA 2019; bootstrap of patients, percentile");
    put(b.truth, "studies.csv", "study_id,patient_id,any\na,p,1\nb,p,0\nc,p,1\nd,p,0\n");
    run_well(&b); /* one patient cannot be drawn */
    assert_string_equal(find(&b, "study", "any", "brier").low, "");
}

/* -- curves -------------------------------------------------------------------------------------------- */

static void curves_have_a_point_a_score_and_a_row_a_bin(void **state) {
    bench b = make_bench(state);
    put(b.predictions, "studies.csv", "study_id,any\na,0.9\nb,0.9\nc,0.4\nd,0.2\n");
    put(b.truth, "studies.csv", "study_id,any\na,1\nb,0\nc,1\nd,0\n");
    run_well(&b);
    char *roc = test_read(test_path(b.out, "roc.csv"), NULL);
    assert_string_equal(roc, "level,label,threshold,fpr,tpr\n"
                             "study,any,inf,0,0\n"
                             "study,any,0.9,0.5,0.5\n"
                             "study,any,0.4,0.5,1\n"
                             "study,any,0.2,1,1\n");
    free(roc);
    char *bins = test_read(test_path(b.out, "calibration.csv"), NULL);
    assert_non_null(strstr(bins, "\nstudy,any,0,0.06666666667,0,,\n"));
    assert_non_null(strstr(bins, "\nstudy,any,0.8666666667,0.9333333333,2,0.9,0.5\n"));
    assert_int_equal(lines_of(b.out, "calibration.csv"), 1 + 15);
    free(bins);
    char *svg = test_read(test_path(b.out, "roc.svg"), NULL);
    assert_non_null(strstr(svg, "AUC 0.625"));
    assert_non_null(strstr(svg, "points=\"60.0,476.0 260.0,276.0 260.0,76.0 460.0,76.0\""));
    assert_non_null(strstr(svg, "</svg>\n"));
    free(svg);
}

/* -- what is refused ----------------------------------------------------------------------------------- */

static void folders_that_cannot_be_joined_are_refused(void **state) {
    bench b = make_bench(state);
    expect_refusal(&b, "-p/studies.csv", "");
    put(b.predictions, "studies.csv", "study_id,any\nx,0.5\n");
    expect_refusal(&b, "-t/studies.csv", "");
    put(b.truth, "studies.csv", "study_id,any\ny,1\n");
    expect_refusal(&b, "-p", "check that the study_ids are the same");
    put(b.truth, "studies.csv", "study_id,any\nx,\n");
    expect_refusal(&b, "-p", "none of its studies has an 'any' label");
    put(b.truth, "studies.csv", "study_id,any\n");
    expect_refusal(&b, "-p", "none of its studies");
    put(b.truth, "studies.csv", "study_id,any\nx,1\n");
    put(b.predictions, "studies.csv", "study_id,any\n");
    expect_refusal(&b, "-p", "none of its studies");
}

static void wrong_cells_are_named_with_file_and_line(void **state) {
    static const struct {
        const char *predictions, *truth, *slices, *file, *word;
    } table[] = {
        {"study_id,any\nx,1.5\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv: line 2", "'1.5'"},
        {"study_id,any\nx,-0.1\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv: line 2", "'-0.1'"},
        {"study_id,any\nx,nan\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv: line 2", "'nan'"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,0.3\n", NULL, "-t/studies.csv: line 2", "0, 1 or empty"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,yes\n", NULL, "-t/studies.csv: line 2", "'yes'"},
        {"study_id,any\nx,0.5\ny,0.1\nx,0.2\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv: lines 2 and 4",
         "'x'"},
        {"study_id,all\nx,0.5\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv", "'any'"},
        {"id,any\nx,0.5\n", "study_id,any\nx,1\n", NULL, "-p/studies.csv", "'study_id'"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,1\n", "study_id,any\nx,0.5\n", "-p/slices.csv",
         "'slice_index'"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,1\n", "study_id,slice_index,any\nx,-1,0.5\n",
         "-p/slices.csv: line 2", "'-1'"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,1\n", "study_id,slice_index,any\nx,1e300,0.5\n",
         "-p/slices.csv: line 2", "'1e300'"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,1\n", "study_id,slice_index,any\nx,,0.5\n",
         "-p/slices.csv: line 2", "slice_index"},
        {"study_id,any\nx,0.5\n", "study_id,any\nx,1\n", "study_id,slice_index,any\nx,4,0.5\nx,4,0.5\n",
         "-p/slices.csv: lines 2 and 3", "slice of study 'x'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bench b = make_bench(state);
        put(b.predictions, "studies.csv", table[i].predictions);
        put(b.truth, "studies.csv", table[i].truth);
        if (table[i].slices) put(b.predictions, "slices.csv", table[i].slices);
        expect_refusal(&b, table[i].file, table[i].word);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(studies_are_joined_by_name_whatever_their_order),
        cmocka_unit_test(the_rsna_loss_counts_any_twice_and_unknown_labels_never),
        cmocka_unit_test(a_study_that_the_truth_lacks_is_skipped_and_named),
        cmocka_unit_test(figures_beside_the_predictions_leave_their_skipped_csv),
        cmocka_unit_test(slices_are_joined_by_study_and_index),
        cmocka_unit_test(without_slices_there_are_only_study_figures),
        cmocka_unit_test(a_missing_figure_is_an_empty_field_and_a_word),
        cmocka_unit_test(one_class_alone_still_gives_what_there_is),
        cmocka_unit_test(a_score_equal_to_the_threshold_is_positive),
        cmocka_unit_test(a_target_chooses_the_threshold_and_the_file_says_so),
        cmocka_unit_test(a_threshold_chosen_on_one_split_is_judged_on_the_others),
        cmocka_unit_test(the_models_own_threshold_serves_where_none_is_given),
        cmocka_unit_test(draws_of_patients_give_intervals_to_what_has_none),
        cmocka_unit_test(curves_have_a_point_a_score_and_a_row_a_bin),
        cmocka_unit_test(folders_that_cannot_be_joined_are_refused),
        cmocka_unit_test(wrong_cells_are_named_with_file_and_line),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
