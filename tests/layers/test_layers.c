/* Every layer in float, with every kernel table that this processor runs: the same numbers as in double with
 * the reference loops, and the same bytes for any number of threads. */
#include "audit/layer_cases.h"
#include "tensor/team.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Of a tensor's largest value. Winograd's transforms lose the most, about 3e-5 (Lavin and Gray 2015). */
static const double bound = 1e-4;

static void run_case(ich_layer_run *run, const ich_layer_case *c, ich_precision precision,
                     const void *kernels) {
    assert_true(ich_layer_run_init(run, c, precision, kernels, ich_layer_run_smooth_seed(c), NULL));
    ich_layer_run_forward(run);
    if (!c->inference) ich_layer_run_backward(run);
}

static double largest(size_t n, const double *x) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

/* How many of the n numbers are off by more than the bound; names the worst. */
static size_t compare(const ich_layer_run *run, const char *tensor, size_t n, const double *got,
                      const double *expected) {
    const ich_kernels_f32 *kernels = run->call.kernels;
    double scale = largest(n, expected), worst = 0;
    size_t wrong = 0, where = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs(got[i] - expected[i]) / (scale > 0 ? scale : 1);
        if (!(error <= bound)) wrong++;
        if (!(error <= worst)) worst = error, where = i;
    }
    if (wrong)
        print_error("%s (%s), %s kernels: %s[%zu] is %.9g, expected %.9g; %zu of %zu are off\n", run->c->op,
                    run->c->what, kernels->name, tensor, where, got[where], expected[where], wrong, n);
    return wrong;
}

static size_t compare_runs(const ich_layer_run *got, const ich_layer_run *expected) {
    size_t wrong = compare(got, "out", got->out_count, got->out, expected->out);
    for (int i = 0; i < got->n_tensors && !got->c->inference; i++)
        wrong += compare(got, got->tensors[i].name, got->tensors[i].count, got->tensors[i].gradient,
                         expected->tensors[i].gradient);
    return wrong;
}

static size_t check_precision(const ich_layer_case *c) {
    ich_layer_run exact;
    size_t wrong = 0;
    run_case(&exact, c, ICH_F64, ich_kernels_f64_active());
    for (const char *const *name = ich_kernels_available(); *name; name++) {
        ich_layer_run run;
        run_case(&run, c, ICH_F32, ich_kernels_f32_named(*name));
        wrong += compare_runs(&run, &exact);
        ich_layer_run_free(&run);
    }
    ich_layer_run_free(&exact);
    return wrong;
}

static void float_layers_agree_with_double(void **state) {
    (void)state;
    size_t wrong = 0;
    for (const ich_layer_case *c = ich_small_cases; c->op; c++) wrong += check_precision(c);
    for (const ich_layer_case *c = ich_large_cases; c->op; c++) wrong += check_precision(c);
    assert_int_equal(wrong, 0);
}

static bool same_bytes(const ich_layer_run *a, const ich_layer_run *b) {
    bool same = !memcmp(a->out, b->out, a->out_count * sizeof *a->out);
    for (int i = 0; i < a->n_tensors && !a->c->inference; i++)
        same = same &&
               !memcmp(a->tensors[i].gradient, b->tensors[i].gradient, a->tensors[i].count * sizeof(double));
    return same;
}

static size_t check_threads(const ich_layer_case *c, const char *kernels) {
    ich_layer_run alone;
    size_t wrong = 0;
    ich_team_set(1);
    run_case(&alone, c, ICH_F32, ich_kernels_f32_named(kernels));
    for (int threads = 2; threads <= 3; threads++) {
        ich_layer_run run;
        ich_team_set(threads);
        run_case(&run, c, ICH_F32, ich_kernels_f32_named(kernels));
        if (!same_bytes(&run, &alone)) {
            print_error("%s (%s), %s kernels: %d threads give other bytes than one\n", c->op, c->what,
                        kernels, threads);
            wrong++;
        }
        ich_layer_run_free(&run);
    }
    ich_layer_run_free(&alone);
    return wrong;
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    size_t wrong = 0;
    for (const char *const *name = ich_kernels_available(); *name; name++) {
        for (const ich_layer_case *c = ich_small_cases; c->op; c++) wrong += check_threads(c, *name);
        for (const ich_layer_case *c = ich_large_cases; c->op; c++) wrong += check_threads(c, *name);
    }
    ich_team_set(0);
    assert_int_equal(wrong, 0);
}

/* Dropout: about `rate` of the numbers vanish, the rest grow by 1 / (1 - rate); another step, another mask.
 */
static void dropout_keeps_the_expected_share(void **state) {
    (void)state;
    const ich_layer_case c = {"dropout", "share", {.rate = 0.25f}, {{1, 1, 4000}}, {3}, .training = true};
    ich_layer_run run;
    assert_true(ich_layer_run_init(&run, &c, ICH_F64, ich_kernels_f64_active(), 1, NULL));
    ich_layer_run_forward(&run);
    size_t kept = 0, moved = 0;
    for (size_t i = 0; i < run.out_count; i++) {
        if (run.out[i] == 0) continue;
        kept++;
        assert_true(fabs(run.out[i] - run.tensors[0].value[i] / 0.75) < 1e-12);
    }
    assert_true(fabs((double)kept / (double)run.out_count - 0.75) < 0.02);
    memcpy(run.probe, run.out, run.out_count * sizeof *run.out);
    run.call.step++;
    ich_layer_run_forward(&run);
    for (size_t i = 0; i < run.out_count; i++) moved += (run.out[i] == 0) != (run.probe[i] == 0);
    assert_true(moved > run.out_count / 4);
    ich_layer_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_layers_agree_with_double),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(dropout_keeps_the_expected_share),
    };
    return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
