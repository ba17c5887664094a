/* Figures by weight against sklearn's, and intervals against another bootstrap of the same patients
 * (make_bootstrap.py), which must agree within the chance of the draws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/bootstrap.h"
#include "infer/stats.h"
#include "tensor/team.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE(name) ICHOR_SOURCE "/tests/infer/fixtures/clusters-" name ".csv"
enum { DRAWS = 4000 };

typedef struct bench {
    ich_table answers, truth;
    ich_joined joined;
    ich_sample *sample;
    ich_csv figures;
} bench;

static int open_bench(void **state) {
    static bench b;
    ich_error err = {0};
    if (!ich_table_read(&b.answers, FIXTURE("answers"), ICH_LEVEL_STUDY, false, &err) ||
        !ich_table_read(&b.truth, FIXTURE("truth"), ICH_LEVEL_STUDY, true, &err) ||
        !ich_join(&b.answers, &b.truth, &b.truth, ICH_LEVEL_STUDY, (ich_part){0}, &b.joined, NULL, &err) ||
        !(b.sample = ich_sample_make(&b.joined, 0.5, &err)) ||
        !ich_csv_read(&b.figures, FIXTURE("figures"), &err))
        fail_msg("%s", err.text);
    *state = &b;
    return 0;
}

static int close_bench(void **state) {
    bench *b = *state;
    ich_sample_free(b->sample);
    ich_joined_free(&b->joined);
    ich_table_free(&b->answers);
    ich_table_free(&b->truth);
    ich_csv_free(&b->figures);
    return 0;
}

static double number(const bench *b, size_t row, int column) {
    double value;
    assert_true(ich_csv_number(&b->figures, row, column, &value, NULL));
    return value;
}

static int find(const char *name, const char *const *names, int n) {
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return i;
    return n;
}

/* The figure that a row of the fixture is about. */
static double figure_of(const bench *b, size_t row, const ich_figures *f) {
    const int metric = find(ich_csv_cell(&b->figures, row, 1), ich_metric_names, ICH_METRICS);
    if (metric == ICH_METRICS) return f->rsna_loss;
    return f->value[find(ich_csv_cell(&b->figures, row, 0), ich_label_names, ICH_LABELS)][metric];
}

static void weighted_figures_are_sklearns(void **state) {
    const bench *b = *state;
    ich_figures f;
    ich_sample_figures(b->sample, NULL, &f);
    assert_int_equal(b->joined.patients, 60);
    assert_int_equal(b->figures.n_rows, 51);
    for (size_t row = 0; row < b->figures.n_rows; row++) {
        const double wanted = number(b, row, 2), got = figure_of(b, row, &f);
        if (isnan(wanted) ? !isnan(got) : !(fabs(wanted - got) < 1e-9))
            fail_msg("%s %s: %.12g, not %.12g", ich_csv_cell(&b->figures, row, 0),
                     ich_csv_cell(&b->figures, row, 1), got, wanted);
    }
}

static void a_patient_drawn_twice_counts_twice(void **state) {
    const bench *b = *state;
    ich_figures twice, once;
    uint32_t times[60];
    for (int p = 0; p < 60; p++) times[p] = 2;
    ich_sample_figures(b->sample, times, &twice);
    ich_sample_figures(b->sample, NULL, &once);
    for (int m = 0; m < ICH_METRICS; m++)
        assert_true(fabs(once.value[ICH_ANY][m] - twice.value[ICH_ANY][m]) < 1e-12);
    /* One patient alone: his cases through stats.c. */
    memset(times, 0, sizeof times);
    times[7] = 3;
    double score[8], label[8];
    size_t n = 0;
    for (size_t i = 0; i < b->joined.n[ICH_ANY]; i++) {
        if (b->joined.owner[ICH_ANY][i] != 7) continue;
        score[n] = b->joined.score[ICH_ANY][i];
        label[n++] = b->joined.label[ICH_ANY][i];
    }
    assert_in_range(n, 1, 4);
    ich_sample_figures(b->sample, times, &once);
    assert_true(fabs(once.value[ICH_ANY][ICH_BRIER] - ich_brier(score, label, n).value) < 1e-12);
}

static void intervals_agree_with_another_bootstrap(void **state) {
    const bench *b = *state;
    ich_error err = {0};
    ich_intervals i;
    assert_true(ich_bootstrap(b->sample, DRAWS, 5, &i, &err));
    for (size_t row = 0; row < b->figures.n_rows; row++) {
        const double low = number(b, row, 3), high = number(b, row, 4);
        const double ours[2] = {figure_of(b, row, &i.low), figure_of(b, row, &i.high)};
        /* The 2.5 % quantile of 4000 draws has an error of about 1 % of the interval: 5 of them, twice. */
        const double error = 0.1 * (high - low) + 1e-9;
        if (isnan(low) ? !isnan(ours[0]) || !isnan(ours[1])
                       : !(fabs(ours[0] - low) < error && fabs(ours[1] - high) < error))
            fail_msg("%s %s: %.4f to %.4f, not %.4f to %.4f", ich_csv_cell(&b->figures, row, 0),
                     ich_csv_cell(&b->figures, row, 1), ours[0], ours[1], low, high);
    }
}

static void the_same_seed_draws_the_same_on_any_number_of_threads(void **state) {
    const bench *b = *state;
    ich_error err = {0};
    ich_intervals one, three, other;
    ich_team_set(1);
    assert_true(ich_bootstrap(b->sample, 200, 5, &one, &err));
    ich_team_set(3);
    assert_true(ich_bootstrap(b->sample, 200, 5, &three, &err));
    ich_team_set(0);
    assert_memory_equal(&one, &three, sizeof one);
    assert_true(ich_bootstrap(b->sample, 200, 6, &other, &err));
    assert_memory_not_equal(&one, &other, sizeof one);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weighted_figures_are_sklearns),
        cmocka_unit_test(a_patient_drawn_twice_counts_twice),
        cmocka_unit_test(intervals_agree_with_another_bootstrap),
        cmocka_unit_test(the_same_seed_draws_the_same_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
