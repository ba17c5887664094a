/* Every figure against sklearn's or an independent computation (make_statistics.py), on scores with ties,
 * without, saturated at 0 and 1, on bin edges, and on sets where a class is missing or a single case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixtures.h"
#include "infer/calibration.h"
#include "infer/stats.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 512, BINS = 15 };

/* -- fixtures ------------------------------------------------------------------------------------------ */

static int read_fixtures(void **state) {
    return fixtures_read(state, ICHOR_SOURCE "/tests/infer/fixtures/cases.csv",
                         ICHOR_SOURCE "/tests/infer/fixtures/figures.csv");
}

typedef struct sample {
    double score[MOST], label[MOST];
    size_t n;
} sample;

static void load(const fixtures *f, const char *name, sample *s) {
    s->n = 0;
    for (size_t row = 0; row < f->cases.n_rows; row++) {
        if (strcmp(ich_csv_cell(&f->cases, row, 0), name) != 0) continue;
        assert_true(s->n < MOST);
        s->score[s->n] = fixtures_number(&f->cases, row, 1);
        s->label[s->n++] = fixtures_number(&f->cases, row, 2);
    }
}

/* -- comparing ----------------------------------------------------------------------------------------- */

static void expect(double got, double wanted, const char *where, const char *what) {
    if (isnan(wanted) ? isnan(got) : fabs(got - wanted) <= 1e-9) return;
    fail_msg("%s: %s is %.17g, not %.17g", where, what, got, wanted);
}

static ich_figure calibration(const double *score, const double *label, size_t n) {
    ich_bin bins[BINS];
    ich_bins(score, label, n, BINS, bins);
    return ich_calibration_error(bins, BINS);
}

typedef ich_figure figure_of(const double *score, const double *label, size_t n);

static figure_of *function_of(const char *name) {
    static const struct {
        const char *name;
        figure_of *function;
    } table[] = {{"auc", ich_auc_delong},
                 {"average_precision", ich_average_precision},
                 {"brier", ich_brier},
                 {"log_loss", ich_log_loss},
                 {"ece", calibration}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name)) return table[i].function;
    return NULL;
}

/* A figure that is missing says why, one that is there gives no excuse. */
static void expect_figure(ich_figure f, double value, double low, double high, const char *where,
                          const char *what) {
    expect(f.value, value, where, what);
    expect(f.low, low, where, what);
    expect(f.high, high, where, what);
    assert_non_null(f.method);
    assert_true(strlen(f.method) > 0);
    if (isnan(f.value)) {
        if (f.why == NULL) fail_msg("%s: %s is missing without a word", where, what);
    } else if (!isnan(f.low)) {
        assert_null(f.why);
    }
}

static void figures_agree_with_the_references(void **state) {
    const fixtures *f = *state;
    static sample s;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
        figure_of *function = function_of(what);
        if (function == NULL) continue;
        load(f, where, &s);
        expect_figure(function(s.score, s.label, s.n), fixtures_number(&f->figures, row, 3),
                      fixtures_number(&f->figures, row, 4), fixtures_number(&f->figures, row, 5), where,
                      what);
        seen++;
    }
    assert_int_equal(seen, 5 * 13);
}

static void proportions_carry_wilsons_interval(void **state) {
    const fixtures *f = *state;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        if (strcmp(ich_csv_cell(&f->figures, row, 1), "proportion") != 0) continue;
        const char *where = ich_csv_cell(&f->figures, row, 0);
        size_t k, n;
        assert_int_equal(sscanf(where, "%zu of %zu", &k, &n), 2);
        expect_figure(ich_proportion(k, n), fixtures_number(&f->figures, row, 3),
                      fixtures_number(&f->figures, row, 4), fixtures_number(&f->figures, row, 5), where,
                      "proportion");
        seen++;
    }
    assert_int_equal(seen, 9);
    expect_figure(ich_proportion(0, 0), NAN, NAN, NAN, "0 of 0", "proportion");
    assert_true(ich_proportion(0, 10).low == 0 && ich_proportion(10, 10).high == 1);
}

static size_t count_of(const ich_confusion *c, const char *name) {
    return name[0] == 't' ? (name[1] == 'p' ? c->tp : c->tn) : (name[1] == 'p' ? c->fp : c->fn);
}

static void counts_at_a_threshold_agree_with_sklearn(void **state) {
    const fixtures *f = *state;
    static sample s;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
        if (strlen(what) != 2) continue; /* tp, fp, tn, fn */
        load(f, where, &s);
        const ich_confusion c = ich_confusion_at(s.score, s.label, s.n, fixtures_number(&f->figures, row, 2));
        expect((double)count_of(&c, what), fixtures_number(&f->figures, row, 3), where, what);
        seen++;
    }
    assert_int_equal(seen, 12 * 4 * 4);
}

static void thresholds_for_a_target_are_the_best_that_occur(void **state) {
    const fixtures *f = *state;
    static sample s;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
        if (strncmp(what, "threshold_for_", 14) != 0) continue;
        load(f, where, &s);
        const double target = fixtures_number(&f->figures, row, 2);
        expect((strstr(what, "ppv") ? ich_threshold_for_ppv : ich_threshold_for_sensitivity)(s.score, s.label,
                                                                                             s.n, target),
               fixtures_number(&f->figures, row, 3), where, what);
        seen++;
    }
    assert_int_equal(seen, 13 * 4 * 2);
}

static void youdens_threshold_is_where_sklearns_curve_is_highest(void **state) {
    const fixtures *f = *state;
    static sample s;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
        if (strcmp(what, "threshold_youden") != 0) continue;
        load(f, where, &s);
        expect(ich_threshold_youden(s.score, s.label, s.n), fixtures_number(&f->figures, row, 3), where,
               what);
        seen++;
    }
    assert_int_equal(seen, 10);
    load(f, "positives only", &s);
    assert_true(isnan(ich_threshold_youden(s.score, s.label, s.n)));
}

/* A line that the reference has not (a class missing, answers the wrong way round) is refused with a word. */
static void calibrating_lines_are_where_scipy_finds_them(void **state) {
    const fixtures *f = *state;
    static sample s;
    static double logit[MOST];
    size_t fitted = 0, refused = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
        if (strcmp(what, "platt") != 0 && strcmp(what, "temperature") != 0) continue;
        load(f, where, &s);
        for (size_t i = 0; i < s.n; i++) logit[i] = ich_logit(s.score[i]);
        ich_line line;
        const char *why = ich_line_fit(logit, s.label, s.n, !strcmp(what, "platt"), &line);
        if (isnan(fixtures_number(&f->figures, row, 3))) {
            refused += why != NULL && line.slope == 1 && line.offset == 0;
            continue;
        }
        assert_null(why);
        assert_true(fabs(line.slope - fixtures_number(&f->figures, row, 4)) < 1e-6);
        assert_true(fabs(line.offset - fixtures_number(&f->figures, row, 5)) < 1e-6);
        fitted++;
    }
    assert_int_equal(fitted, 12);
    assert_true(refused >= 6); /* three sets with a class missing, twice */
}

static void a_target_met_exactly_counts_as_met(void **state) {
    (void)state;
    double score[100], label[100]; /* 55 of 100, though 0.55 · 100 > 55 in binary */
    for (int i = 0; i < 100; i++) score[i] = 0.5, label[i] = i < 55;
    assert_true(ich_threshold_for_ppv(score, label, 100, 0.55) == 0.5);
    assert_true(isnan(ich_threshold_for_ppv(score, label, 100, 0.56)));
}

static void roc_points_agree_with_sklearn(void **state) {
    const fixtures *f = *state;
    static sample s;
    static double threshold[MOST + 1], fpr[MOST + 1], tpr[MOST + 1];
    const char *last = "";
    size_t points = 0, at = 0, seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        const char *where = ich_csv_cell(&f->figures, row, 0);
        if (strcmp(ich_csv_cell(&f->figures, row, 1), "roc") != 0) continue;
        if (strcmp(where, last) != 0) {
            assert_int_equal(at, points); /* the curve before had no more points than sklearn's */
            load(f, where, &s);
            points = ich_roc(s.score, s.label, s.n, threshold, fpr, tpr);
            assert_true(isinf(threshold[0]) && fpr[0] == 0 && tpr[0] == 0);
            at = 1;
            last = where;
        }
        assert_true(at < points);
        expect(threshold[at], fixtures_number(&f->figures, row, 3), where, "ROC threshold");
        expect(fpr[at], fixtures_number(&f->figures, row, 4), where, "false positive rate");
        expect(tpr[at++], fixtures_number(&f->figures, row, 5), where, "true positive rate");
        seen++;
    }
    assert_int_equal(at, points);
    assert_true(seen > 200);
    load(f, "positives only", &s);
    assert_int_equal(ich_roc(s.score, s.label, s.n, threshold, fpr, tpr), 0);
    assert_int_equal(ich_roc(s.score, s.label, 0, threshold, fpr, tpr), 0);
}

static void a_missing_figure_says_why(void **state) {
    const fixtures *f = *state;
    static sample s;
    static const struct {
        const char *where, *auc, *precision;
    } table[] = {{"positives only", "no negative case", NULL},
                 {"negatives only", "no positive case", "no positive case"},
                 {"empty", "no labelled case", "no labelled case"},
                 {"one positive", "no interval: one positive case only", NULL},
                 {"one negative", "no interval: one negative case only", NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        load(f, table[i].where, &s);
        assert_string_equal(ich_auc_delong(s.score, s.label, s.n).why, table[i].auc);
        const char *why = ich_average_precision(s.score, s.label, s.n).why;
        if (table[i].precision == NULL)
            assert_null(why);
        else
            assert_string_equal(why, table[i].precision);
    }
    assert_string_equal(ich_brier(NULL, NULL, 0).why, "no labelled case");
    assert_string_equal(ich_proportion(0, 0).why, "no case to count");
}

static void logits_give_the_auc_of_their_probabilities(void **state) {
    const fixtures *f = *state;
    static sample s;
    static float logit[MOST], label[MOST];
    load(f, "smooth", &s);
    for (size_t i = 0; i < s.n; i++) {
        logit[i] = (float)log(s.score[i] / (1 - s.score[i]));
        label[i] = (float)s.label[i];
    }
    expect(ich_auc(logit, label, s.n).value, ich_auc_delong(s.score, s.label, s.n).value, "smooth", "AUC");
    assert_true(isnan(ich_auc(logit, label, 0).value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_agree_with_the_references),
        cmocka_unit_test(proportions_carry_wilsons_interval),
        cmocka_unit_test(counts_at_a_threshold_agree_with_sklearn),
        cmocka_unit_test(thresholds_for_a_target_are_the_best_that_occur),
        cmocka_unit_test(youdens_threshold_is_where_sklearns_curve_is_highest),
        cmocka_unit_test(calibrating_lines_are_where_scipy_finds_them),
        cmocka_unit_test(a_target_met_exactly_counts_as_met),
        cmocka_unit_test(roc_points_agree_with_sklearn),
        cmocka_unit_test(a_missing_figure_says_why),
        cmocka_unit_test(logits_give_the_auc_of_their_probabilities),
    };
    return cmocka_run_group_tests(tests, read_fixtures, fixtures_free);
}
