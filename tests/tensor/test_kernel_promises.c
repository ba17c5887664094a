/* What kernel_table.h promises beyond agreeing with the reference: exactness where it is hard, not-a-number
 * kept, rows that do not depend on their company, tables by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/kernels.h"
#include "tensor/rng.h"
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void for_each_table(void (*check)(const ich_kernels_f32 *kernels)) {
    for (const char *const *name = ich_kernels_available(); *name; name++)
        check(ich_kernels_f32_named(*name));
}

/* -- exponentials --------------------------------------------------------------------------------------- */

static double true_sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* Relative error of function(x) against the truth, over [-range, range] and again close to zero. */
static void check_curve(const char *table, void (*function)(size_t, const float *, float *),
                        double (*truth)(double), double range) {
    enum { N = 40001 };
    static float x[N], y[N];
    for (int zoom = 0; zoom < 3; zoom++) {
        for (int i = 0; i < N; i++) x[i] = (float)(range * pow(1e-3, zoom) * (2.0 * i / (N - 1) - 1));
        function(N, x, y);
        for (int i = 0; i < N; i++) {
            const double want = truth((double)x[i]), error = fabs((double)y[i] - want);
            if (error > 5e-7 * fabs(want) + 0x1p-149) /* the second: float's smallest number */
                fail_msg("%s: f(%.9g) is %.9g, not %.9g", table, (double)x[i], (double)y[i], want);
        }
    }
}

static void check_curves(const ich_kernels_f32 *kernels) {
    check_curve(kernels->name, kernels->sigmoid, true_sigmoid, 88);
    check_curve(kernels->name, kernels->tanh, tanh, 20);
}

static void sigmoid_and_tanh_are_exact_to_5e_7(void **state) {
    (void)state;
    for_each_table(check_curves);
}

static void check_ends(const ich_kernels_f32 *kernels) {
    const float x[] = {INFINITY, -INFINITY, 1e30f, -1e30f, 95, -120, NAN, 0, -0.0f};
    enum { N = sizeof x / sizeof *x };
    const float sigmoid[N] = {1, 0, 1, 0, 1, 0, NAN, 0.5f, 0.5f};
    const float tangent[N] = {1, -1, 1, -1, 1, -1, NAN, 0, 0};
    float y[N];
    kernels->sigmoid(N, x, y);
    for (int i = 0; i < N; i++) assert_true(isnan(sigmoid[i]) ? isnan(y[i]) : y[i] == sigmoid[i]);
    kernels->tanh(N, x, y);
    for (int i = 0; i < N; i++) assert_true(isnan(tangent[i]) ? isnan(y[i]) : y[i] == tangent[i]);
    assert_true(signbit(y[8]));
}

static void sigmoid_and_tanh_keep_infinities_and_nans(void **state) {
    (void)state;
    for_each_table(check_ends);
}

/* -- variance ------------------------------------------------------------------------------------------- */

/* Channels of mean 0, 100, 1e4 and spread 1. Mean of squares less square of mean would lose the last
 * completely: 1e8 has no digits after the point in float. */
static void check_variance(const ich_kernels_f32 *kernels) {
    enum { ROWS = 50000, C = 3 };
    float *x = aligned_alloc(64, (ROWS * C + 15) / 16 * 64), mean[C], variance[C];
    float *scratch = malloc((kernels->channel_scratch(ROWS, C) + 1) * sizeof *scratch);
    const float offset[C] = {0, 100, 1e4f};
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, 0);
    for (int i = 0; i < ROWS * C; i++) x[i] = offset[i % C] + ich_rng_normal(&rng);
    kernels->channel_moments(ROWS, C, x, C, mean, variance, scratch);
    for (int c = 0; c < C; c++) {
        double center = 0, squares = 0;
        for (int i = 0; i < ROWS; i++) center += (double)x[i * C + c] / ROWS;
        for (int i = 0; i < ROWS; i++) squares += pow((double)x[i * C + c] - center, 2) / ROWS;
        assert_true(fabs((double)mean[c] - center) < 1e-6 * (1 + fabs(center)));
        assert_true(fabs((double)variance[c] - squares) < 1e-3 * squares);
    }
    free(x);
    free(scratch);
}

static void variance_survives_a_large_mean(void **state) {
    (void)state;
    for_each_table(check_variance);
}

/* -- not a number --------------------------------------------------------------------------------------- */

static void check_nan(const ich_kernels_f32 *kernels) {
    enum { N = 40, PIXEL = 27 };
    float x[N], zero[N] = {0}, one[N], y[N];
    for (int i = 0; i < N; i++) x[i] = one[i] = 1;
    x[PIXEL] = NAN;
    kernels->relu(N, x, y);
    assert_true(isnan(y[PIXEL]) && y[0] == 1);
    kernels->add(N, x, zero, true, y);
    assert_true(isnan(y[PIXEL]) && y[0] == 1);
    kernels->channel_affine(N / 10, 10, x, 10, one, zero, NULL, true, y);
    assert_true(isnan(y[PIXEL]) && y[0] == 1);
    assert_true(isnan(kernels->sum_squares(N, x)));
    const ich_pool_shape pool = {1, 2, 2, 10, 2, 2, 0, 1, 1};
    uint8_t winner[10];
    kernels->max_pool(&pool, x, y, winner);
    assert_true(isnan(y[PIXEL % 10]) && winner[PIXEL % 10] == PIXEL / 10 && y[0] == 1 && winner[0] == 0);
}

static void a_nan_that_goes_in_comes_out(void **state) {
    (void)state;
    for_each_table(check_nan);
}

/* -- company -------------------------------------------------------------------------------------------- */

/* Row i of a product is the same bytes whether it is computed alone, in a small batch or in a large one. */
static void check_rows(const ich_kernels_f32 *kernels) {
    enum { M = 103, N = 77, K = 300 };
    static float a[M * K], b[N * K], all[M * N], some[M * N];
    ich_rng rng = ich_rng_make(6, ICH_RNG_TEST, 0);
    for (int i = 0; i < M * K; i++) a[i] = ich_rng_range(&rng, -1, 1);
    for (int i = 0; i < N * K; i++) b[i] = ich_rng_range(&rng, -1, 1);
    for (int transposed = 0; transposed < 2; transposed++) {
        const int ldb = transposed ? K : N;
        kernels->gemm(false, transposed, M, N, K, a, K, b, ldb, false, all, N);
        for (int m = 1; m <= 7; m += 2)
            for (int i = 0; i + m <= M; i += 5) {
                kernels->gemm(false, transposed, m, N, K, a + i * K, K, b, ldb, false, some, N);
                assert_memory_equal(some, all + i * N, (size_t)m * N * sizeof *some);
            }
    }
}

static void a_row_of_a_product_does_not_depend_on_the_others(void **state) {
    (void)state;
    for_each_table(check_rows);
}

/* -- tables --------------------------------------------------------------------------------------------- */

static void check_complete(const ich_kernels_f32 *kernels) {
    const unsigned char *entry = (const unsigned char *)kernels;
    for (; entry < (const unsigned char *)(kernels + 1); entry += sizeof(void *)) {
        void *pointer;
        memcpy(&pointer, entry, sizeof pointer);
        assert_non_null(pointer);
    }
}

static void tables_are_chosen_by_name(void **state) {
    (void)state;
    ich_error err = {""};
    const char *const *names = ich_kernels_available();
    assert_ptr_equal(ich_kernels_f32_active(), ich_kernels_f32_named(names[0])); /* nothing selected yet */
    for_each_table(check_complete);
    int count = 0;
    for (; names[count]; count++) {
        assert_true(ich_kernels_select(names[count], false, &err));
        assert_string_equal(ich_kernels_f32_active()->name, names[count]);
    }
    assert_string_equal(names[count - 1], "reference");
    assert_non_null(ich_kernels_f32_named("baseline"));
    assert_null(strstr(names[0], "-direct")); /* those are for comparison */
    assert_string_equal(ich_kernels_f64_active()->name, "reference");
    assert_false(ich_kernels_select("mmx", false, &err));
    assert_non_null(strstr(err.text, "mmx"));
    for (int i = 0; i < count; i++) assert_non_null(strstr(err.text, names[i]));
    assert_string_equal(ich_kernels_f32_active()->name, "reference"); /* as it was */
    assert_null(ich_kernels_f32_named("mmx"));
    assert_true(ich_kernels_select("auto", false, &err));
    assert_string_equal(ich_kernels_f32_active()->name, names[0]);
}

static void each_table_has_its_bf16(void **state) {
    (void)state;
    ich_error err = {""};
    for (const char *const *name = ich_kernels_available_bf16(); *name; name++)
        check_complete(ich_kernels_f32_named(*name));
    assert_true(ich_kernels_select("auto", true, &err));
    assert_string_equal(ich_kernels_f32_active()->name, ich_kernels_available_bf16()[0]);
    assert_true(ich_kernels_select("baseline", true, &err));
    assert_string_equal(ich_kernels_f32_active()->name, "baseline-bf16");
    assert_true(ich_kernels_select("baseline-direct", true, &err));
    assert_string_equal(ich_kernels_f32_active()->name, "baseline-bf16-direct");
    assert_false(ich_kernels_select("reference", true, &err));
    assert_non_null(strstr(err.text, "bf16"));
    assert_false(ich_kernels_select("baseline-bf16", false, &err)); /* --precision says that */
    assert_true(ich_kernels_select("auto", false, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_chosen_by_name),
        cmocka_unit_test(each_table_has_its_bf16),
        cmocka_unit_test(sigmoid_and_tanh_are_exact_to_5e_7),
        cmocka_unit_test(sigmoid_and_tanh_keep_infinities_and_nans),
        cmocka_unit_test(variance_survives_a_large_mean),
        cmocka_unit_test(a_nan_that_goes_in_comes_out),
        cmocka_unit_test(a_row_of_a_product_does_not_depend_on_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
