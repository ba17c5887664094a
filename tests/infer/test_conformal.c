/* The promises are kept: over random splits the share of missed cases exceeds its bound in no more of them
 * than promised, and no more cautiously than need be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/conformal.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdlib.h>

enum { SPLITS = 200, MOST = 1000 };

/* Of a standard normal score: the share of all to come that lies below. */
static double truly_missed(double threshold) { return 0.5 * erfc(-threshold / sqrt(2)); }

static void draw(double *score, size_t n, uint64_t index) {
    ich_rng rng = ich_rng_make(2022, ICH_RNG_TEST, index);
    for (size_t i = 0; i < n; i++) score[i] = (double)ich_rng_normal(&rng);
}

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Splits of 200 whose threshold, or the next one above it, misses more than `most` of what is to come. */
static int broken(size_t n, double most, double confidence, size_t above, int splits) {
    double score[MOST];
    int count = 0;
    for (int s = 0; s < splits; s++) {
        draw(score, n, (uint64_t)s * MOST + n);
        const ich_promise p = ich_promise_sure(score, n, most, confidence);
        assert_false(isnan(p.threshold));
        qsort(score, n, sizeof *score, rising);
        assert_true(score[p.missed] == p.threshold);
        count += truly_missed(score[p.missed + above]) > most;
    }
    return count;
}

static void five_percent_missed_with_ninety_percent_confidence(void **state) {
    (void)state;
    static const size_t sizes[] = {60, 100, 150, 300, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int count = broken(sizes[i], 0.05, 0.9, 0, SPLITS);
        if (count > SPLITS / 10)
            fail_msg("%zu positives: broken in %d of %d splits", sizes[i], count, SPLITS);
    }
    /* As few as can promise it at all: 9.94 % are expected, so look at more splits; six standard errors. */
    assert_in_range(broken(45, 0.05, 0.9, 0, 10000), 994 - 180, 994 + 180);
}

static void a_higher_threshold_would_break_the_promise(void **state) {
    (void)state;
    assert_true(broken(45, 0.05, 0.9, 1, SPLITS) > SPLITS / 10);
    assert_true(broken(300, 0.05, 0.9, 1, SPLITS) > SPLITS / 10);
}

/* A pool of cases, split over and over into validation and test, as a study would be. */
static void the_promise_holds_on_random_splits_of_one_set(void **state) {
    (void)state;
    double pool[MOST], validation[200];
    int exceeded = 0;
    draw(pool, MOST, 7);
    for (size_t i = 0; i < MOST; i++) pool[i] = floor(20 * pool[i]) / 20; /* ties */
    for (int s = 0; s < SPLITS; s++) {
        uint32_t order[MOST];
        for (uint32_t i = 0; i < MOST; i++) order[i] = i;
        ich_rng rng = ich_rng_make(5, ICH_RNG_TEST, (uint64_t)s);
        ich_rng_shuffle(&rng, order, MOST);
        for (size_t i = 0; i < 200; i++) validation[i] = pool[order[i]];
        const ich_promise p = ich_promise_sure(validation, 200, 0.05, 0.9);
        int missed = 0;
        for (size_t i = 200; i < MOST; i++) missed += pool[order[i]] < p.threshold;
        exceeded += missed > 0.05 * (MOST - 200);
    }
    assert_in_range(exceeded, 1, SPLITS / 10);
}

static void on_average_so_many_are_missed_and_hardly_fewer(void **state) {
    (void)state;
    static const size_t sizes[] = {19, 50, 99, 400};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double score[MOST], sum = 0;
        for (int s = 0; s < 4000; s++) {
            draw(score, sizes[i], (uint64_t)s * MOST + sizes[i]);
            sum += truly_missed(ich_promise_on_average(score, sizes[i], 0.05).threshold) / 4000;
        }
        const double error = 5 * 0.05 / sqrt(4000); /* one case's share has a standard deviation below 0.05 */
        assert_true(sum <= 0.05 + error);
        assert_true(sum >= 0.05 - 1 / ((double)sizes[i] + 1) - error);
    }
}

static void too_few_cases_promise_nothing_and_say_how_many_it_takes(void **state) {
    (void)state;
    double score[MOST];
    draw(score, MOST, 1);
    const ich_promise few = ich_promise_sure(score, 44, 0.05, 0.9),
                      enough = ich_promise_sure(score, 45, 0.05, 0.9);
    assert_true(isnan(few.threshold) && !isnan(enough.threshold));
    assert_int_equal(few.needed, 45); /* 0.95^45 < 0.1 */
    assert_int_equal(enough.missed, 0);
    assert_true(isnan(ich_promise_on_average(score, 18, 0.05).threshold));
    assert_int_equal(ich_promise_on_average(score, 18, 0.05).needed, 19);
    assert_false(isnan(ich_promise_on_average(score, 19, 0.05).threshold));
    assert_true(isnan(ich_promise_sure(score, 0, 0.05, 0.9).threshold));
    assert_true(isnan(ich_promise_on_average(score, 0, 0.5).threshold));
    assert_true(isnan(ich_risk_control(NULL, NULL, 0, 0, 0.5)));
}

static void risk_control_of_one_score_each_is_split_conformal(void **state) {
    (void)state;
    double score[MOST], weight[MOST];
    draw(score, 120, 3);
    for (int i = 0; i < 120; i++) weight[i] = 1;
    for (int percent = 1; percent < 100; percent += 7) {
        const double most = percent / 100.0, average = ich_promise_on_average(score, 120, most).threshold;
        assert_true(ich_risk_control(score, weight, 120, 120, most) == average);
    }
}

/* Two types a case, each half of the loss; scores of a case resemble each other. */
static void a_case_loses_at_most_so_much_on_average(void **state) {
    (void)state;
    enum { CASES = 60, DRAWS = 4000 };
    double score[2 * CASES], weight[2 * CASES], next[3], sum = 0;
    for (int s = 0; s < DRAWS; s++) {
        double shared[CASES];
        draw(shared, CASES, (uint64_t)s);
        draw(score, (size_t)2 * CASES, (uint64_t)s + 100000);
        for (int i = 0; i < 2 * CASES; i++) {
            score[i] += shared[i / 2];
            weight[i] = 0.5;
        }
        const double threshold = ich_risk_control(score, weight, (size_t)2 * CASES, CASES, 0.1);
        draw(next, 3, (uint64_t)s + 200000);
        sum += 0.5 * (next[0] + next[2] < threshold) + 0.5 * (next[1] + next[2] < threshold);
    }
    const double error = 4 * 0.3 / sqrt(DRAWS); /* of a loss with mean 0.1 between 0 and 1 */
    assert_true(sum / DRAWS <= 0.1 + error);
    assert_true(sum / DRAWS >= 0.1 - 1.0 / CASES - error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_percent_missed_with_ninety_percent_confidence),
        cmocka_unit_test(a_higher_threshold_would_break_the_promise),
        cmocka_unit_test(the_promise_holds_on_random_splits_of_one_set),
        cmocka_unit_test(on_average_so_many_are_missed_and_hardly_fewer),
        cmocka_unit_test(too_few_cases_promise_nothing_and_say_how_many_it_takes),
        cmocka_unit_test(risk_control_of_one_score_each_is_split_conformal),
        cmocka_unit_test(a_case_loses_at_most_so_much_on_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
