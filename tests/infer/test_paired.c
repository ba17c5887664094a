/* Paired tests against pROC's, statsmodels' and scipy's figures (make_comparison.py), on scores with ties, a
 * reader's 0 and 1, readers that are the same, and sets where a class is missing or empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fixtures.h"
#include "infer/distributions.h"
#include "infer/paired.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 512 };

/* -- fixtures ------------------------------------------------------------------------------------------ */

static int read_fixtures(void **state) {
    return fixtures_read(state, ICHOR_SOURCE "/tests/infer/fixtures/pairs.csv",
                         ICHOR_SOURCE "/tests/infer/fixtures/comparisons.csv");
}

typedef struct sample {
    double a[MOST], b[MOST], label[MOST];
    size_t n;
} sample;

static const sample *load(const fixtures *f, const char *name) {
    static sample s;
    s.n = 0;
    for (size_t row = 0; row < f->cases.n_rows; row++) {
        if (strcmp(ich_csv_cell(&f->cases, row, 0), name) != 0) continue;
        assert_true(s.n < MOST);
        s.a[s.n] = fixtures_number(&f->cases, row, 1);
        s.b[s.n] = fixtures_number(&f->cases, row, 2);
        s.label[s.n++] = fixtures_number(&f->cases, row, 3);
    }
    return &s;
}

/* -- comparing ----------------------------------------------------------------------------------------- */

static void expect(double got, double wanted, const char *where, const char *what) {
    if (isnan(wanted) ? isnan(got) : fabs(got - wanted) <= 1e-9 * fmax(1, fabs(wanted))) return;
    fail_msg("%s: %s is %.17g, not %.17g", where, what, got, wanted);
}

/* A test without p says why; where the reference has no estimate either, ours may still have one. */
static void expect_test(ich_test t, const fixtures *f, size_t row) {
    const char *where = ich_csv_cell(&f->figures, row, 0), *what = ich_csv_cell(&f->figures, row, 1);
    const double estimate = fixtures_number(&f->figures, row, 3), p = fixtures_number(&f->figures, row, 7);
    if (!isnan(estimate)) expect(t.estimate, estimate, where, what);
    expect(t.low, fixtures_number(&f->figures, row, 4), where, what);
    expect(t.high, fixtures_number(&f->figures, row, 5), where, what);
    expect(t.statistic, fixtures_number(&f->figures, row, 6), where, what);
    expect(t.p, p, where, what);
    assert_non_null(t.method);
    if (isnan(p) != (t.why != NULL)) fail_msg("%s: %s: '%s'", where, what, t.why ? t.why : "no word");
}

/* Whether a and b are right (class 0, 1, or all: -1), or what they say. */
static ich_pairs count(const sample *s, int class, bool right) {
    ich_pairs c = {0};
    for (size_t i = 0; i < s->n; i++) {
        if (class >= 0 && s->label[i] != class) continue;
        const bool a = right ? (s->a[i] >= 0.5) == (s->label[i] == 1) : s->a[i] >= 0.5;
        const bool b = right ? (s->b[i] >= 0.5) == (s->label[i] == 1) : s->b[i] >= 0.5;
        *(a ? b ? &c.both : &c.only_a : b ? &c.only_b : &c.neither) += 1;
    }
    return c;
}

static size_t check(void **state, const char *figure, const char *method, ich_test (*test)(const sample *s)) {
    const fixtures *f = *state;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++) {
        if (strcmp(ich_csv_cell(&f->figures, row, 1), figure) != 0 ||
            strcmp(ich_csv_cell(&f->figures, row, 2), method) != 0)
            continue;
        expect_test(test(load(f, ich_csv_cell(&f->figures, row, 0))), f, row);
        seen++;
    }
    return seen;
}

static ich_test auc(const sample *s) { return ich_delong_paired(s->a, s->b, s->label, s->n); }
static ich_test accuracy_exact(const sample *s) { return ich_mcnemar_exact(count(s, -1, true)); }
static ich_test sensitivity_exact(const sample *s) { return ich_mcnemar_exact(count(s, 1, true)); }
static ich_test specificity_exact(const sample *s) { return ich_mcnemar_exact(count(s, 0, true)); }
static ich_test accuracy_mid(const sample *s) { return ich_mcnemar_mid_p(count(s, -1, true)); }
static ich_test sensitivity_mid(const sample *s) { return ich_mcnemar_mid_p(count(s, 1, true)); }
static ich_test specificity_mid(const sample *s) { return ich_mcnemar_mid_p(count(s, 0, true)); }
static ich_test kappa(const sample *s) { return ich_kappa(count(s, -1, false)); }
static ich_test student(const sample *s) { return ich_paired_t(s->a, s->b, s->n); }
static ich_test signed_rank(const sample *s) { return ich_signed_rank(s->a, s->b, s->n); }

static void the_paired_delong_test_is_procs(void **state) {
    assert_int_equal(check(state, "auc", "", auc), 13);
}

static void mcnemars_tests_are_statsmodels(void **state) {
    assert_int_equal(check(state, "accuracy", "exact", accuracy_exact), 13);
    assert_int_equal(check(state, "sensitivity", "exact", sensitivity_exact), 13);
    assert_int_equal(check(state, "specificity", "exact", specificity_exact), 13);
    assert_int_equal(check(state, "accuracy", "mid-p", accuracy_mid), 13);
    assert_int_equal(check(state, "sensitivity", "mid-p", sensitivity_mid), 13);
    assert_int_equal(check(state, "specificity", "mid-p", specificity_mid), 13);
}

static void kappa_is_statsmodels(void **state) { assert_int_equal(check(state, "kappa", "", kappa), 13); }

static void tests_of_times_are_scipys(void **state) {
    assert_int_equal(check(state, "t", "", student), 10);
    assert_int_equal(check(state, "signed rank", "", signed_rank), 10);
}

static void a_missing_test_says_why(void **state) {
    const fixtures *f = *state;
    static const struct {
        const char *where;
        ich_test (*test)(const sample *s);
        const char *why;
    } table[] = {{"empty", auc, "no labelled case"},
                 {"positives only", auc, "no negative case"},
                 {"negatives only", auc, "no positive case"},
                 {"one positive", auc, "one positive case only"},
                 {"perfect and inverted", auc, "no p: the difference has no variance"},
                 {"empty", accuracy_exact, "no case to count"},
                 {"both say always", kappa, "both say the same of every case"},
                 {"one says always", kappa, "no p: one of them says the same of every case"},
                 {"times: empty", student, "no case has both times"},
                 {"times: one", student, "one case only"},
                 {"times: by a constant", student, "no p: all differences are equal"},
                 {"times: equal", signed_rank, "no p: all differences are 0"},
                 {"times: empty", signed_rank, "no case has both times"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const ich_test t = table[i].test(load(f, table[i].where));
        assert_non_null(t.why);
        assert_string_equal(t.why, table[i].why);
        assert_true(isnan(t.p));
    }
}

/* -- distributions ------------------------------------------------------------------------------------- */

static double of_row(const fixtures *f, size_t row, const char *what) {
    const char *x = ich_csv_cell(&f->figures, row, 0), *shape = ich_csv_cell(&f->figures, row, 2);
    char *rest;
    const double first = strtod(x, &rest), second = strtod(shape, NULL);
    if (!strcmp(what, "student")) return ich_student_two_sided(first, second);
    if (!strcmp(what, "student quantile")) return ich_student_quantile(first, second);
    if (!strcmp(what, "binomial")) return ich_binomial((size_t)first, (size_t)strtod(rest, NULL), second);
    if (!strcmp(what, "binomial cdf"))
        return ich_binomial_cdf((size_t)first, (size_t)strtod(rest, NULL), second);
    strtod(shape, &rest);
    return ich_beta_cdf(first, second, strtod(rest, NULL));
}

static void distributions_are_scipys(void **state) {
    static const char *const names[] = {"student", "student quantile", "beta", "binomial", "binomial cdf"};
    const fixtures *f = *state;
    size_t seen = 0;
    for (size_t row = 0; row < f->figures.n_rows; row++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strcmp(ich_csv_cell(&f->figures, row, 1), names[i]) != 0) continue;
            expect(of_row(f, row, names[i]), fixtures_number(&f->figures, row, 3),
                   ich_csv_cell(&f->figures, row, 0), names[i]);
            seen++;
        }
    assert_int_equal(seen, 6 + 5 + 6 + 2 * 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_paired_delong_test_is_procs),
        cmocka_unit_test(mcnemars_tests_are_statsmodels),
        cmocka_unit_test(kappa_is_statsmodels),
        cmocka_unit_test(tests_of_times_are_scipys),
        cmocka_unit_test(a_missing_test_says_why),
        cmocka_unit_test(distributions_are_scipys),
    };
    return cmocka_run_group_tests(tests, read_fixtures, fixtures_free);
}
