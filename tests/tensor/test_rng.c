/* Random numbers: Philox's published answers, streams that keep apart, distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/rng.h"
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* kat_vectors of the Random123 library, philox4x32, 10 rounds: counter, key, answer; the third are digits of
 * pi. */
static void gives_the_published_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ich_rng rng = {.left = 0};
        memcpy(rng.counter, known[i].counter, sizeof rng.counter);
        memcpy(rng.key, known[i].key, sizeof rng.key);
        for (int word = 0; word < 4; word++) assert_int_equal(ich_rng_u32(&rng), known[i].answer[word]);
    }
}

/* The n-th block of a stream is the n-th counter's: numbers 4, 5, … are not those of block 0 again. */
static void goes_on_with_the_next_counter(void **state) {
    (void)state;
    ich_rng rng = ich_rng_make(5, ICH_RNG_TEST, 9), later = rng;
    for (int i = 0; i < 12; i++) ich_rng_u32(&rng);
    later.counter[0] += 3;
    for (int i = 0; i < 4; i++) assert_int_equal(ich_rng_u32(&rng), ich_rng_u32(&later));
}

static void keeps_streams_apart(void **state) {
    (void)state;
    const struct {
        uint64_t seed;
        ich_purpose purpose;
        uint64_t index;
    } names[] = {{1, ICH_RNG_TEST, 1},  {2, ICH_RNG_TEST, 1}, {1 + (1ull << 32), ICH_RNG_TEST, 1},
                 {1, ICH_RNG_SYNTH, 1}, {1, ICH_RNG_TEST, 2}, {1, ICH_RNG_TEST, 1 + (1ull << 32)}};
    enum { NAMES = sizeof names / sizeof *names, LENGTH = 16 };
    uint32_t numbers[NAMES][LENGTH];
    for (int i = 0; i < NAMES; i++) {
        ich_rng rng = ich_rng_make(names[i].seed, names[i].purpose, names[i].index);
        for (int j = 0; j < LENGTH; j++) numbers[i][j] = ich_rng_u32(&rng);
        for (int other = 0; other < i; other++)
            for (int j = 0; j < LENGTH; j++) assert_int_not_equal(numbers[i][j], numbers[other][j]);
    }
    ich_rng again = ich_rng_make(1, ICH_RNG_TEST, 1);
    assert_int_equal(ich_rng_u32(&again), numbers[0][0]);
}

/* Mean and variance of n numbers within five standard errors. */
static void check_moments(const double *sample, int n, double mean, double variance, double fourth) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += sample[i];
    for (int i = 0; i < n; i++) squares += (sample[i] - mean) * (sample[i] - mean);
    assert_true(fabs(sum / n - mean) < 5 * sqrt(variance / n));
    assert_true(fabs(squares / n - variance) < 5 * sqrt((fourth - variance * variance) / n));
}

static void has_the_right_moments(void **state) {
    (void)state;
    enum { N = 100000 };
    static double sample[N];
    ich_rng rng = ich_rng_make(3, ICH_RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        sample[i] = (double)ich_rng_uniform(&rng);
        assert_true(sample[i] >= 0 && sample[i] < 1);
    }
    check_moments(sample, N, 0.5, 1 / 12., 1 / 80.);
    for (int i = 0; i < N; i++) sample[i] = (double)ich_rng_normal(&rng);
    check_moments(sample, N, 0, 1, 3);
    for (int i = 0; i < N; i++) {
        sample[i] = (double)ich_rng_range(&rng, -2, 4);
        assert_true(sample[i] >= -2 && sample[i] <= 4);
    }
    check_moments(sample, N, 1, 3, 81 / 5.);
}

static void draws_each_number_below_n_equally_often(void **state) {
    (void)state;
    enum { N = 7, DRAWS = 70000 };
    int counts[N] = {0};
    ich_rng rng = ich_rng_make(4, ICH_RNG_TEST, 0);
    for (int i = 0; i < DRAWS; i++) counts[ich_rng_below(&rng, N)]++; /* writes outside counts if it is not */
    for (int i = 0; i < N; i++) assert_true(abs(counts[i] - DRAWS / N) < 5 * sqrt(DRAWS / N));
    assert_int_equal(ich_rng_below(&rng, 1), 0);
    /* Without rejection 2^32 words would fall on 3 · 2^30 numbers so that every third gets two of them. */
    int thirds = 0;
    for (int i = 0; i < 30000; i++) thirds += ich_rng_below(&rng, 3u << 30) % 3 == 0;
    assert_true(abs(thirds - 10000) < 5 * 82);
}

static void shuffles_into_every_order(void **state) {
    (void)state;
    int seen[27] = {0}; /* order as a number to base 3 */
    for (uint64_t i = 0; i < 6000; i++) {
        uint32_t values[3] = {0, 1, 2};
        ich_rng rng = ich_rng_make(8, ICH_RNG_TEST, i);
        ich_rng_shuffle(&rng, values, 3);
        assert_int_equal(1 << values[0] | 1 << values[1] | 1 << values[2], 7);
        seen[values[0] * 9 + values[1] * 3 + values[2]]++;
    }
    int orders = 0;
    for (int i = 0; i < 27; i++) {
        orders += seen[i] > 0;
        if (seen[i]) assert_true(abs(seen[i] - 1000) < 5 * 29);
    }
    assert_int_equal(orders, 6);
    ich_rng rng = ich_rng_make(8, ICH_RNG_TEST, 0);
    ich_rng_shuffle(&rng, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_answers),
        cmocka_unit_test(goes_on_with_the_next_counter),
        cmocka_unit_test(keeps_streams_apart),
        cmocka_unit_test(has_the_right_moments),
        cmocka_unit_test(draws_each_number_below_n_equally_often),
        cmocka_unit_test(shuffles_into_every_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
