/* Learning rates move as torch's one-cycle and as the formulas say, and never leave (0, 1]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "optim/schedule.h"
#include "torch_steps.h"

static void assert_near(double got, double expected, int step, int steps) {
    if (!(fabs(got - expected) <= 1e-12))
        fail_msg("step %d of %d: %.17g is not %.17g", step, steps, got, expected);
}

static void onecycle_is_torchs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof onecycles / sizeof *onecycles; i++) {
        const int steps = onecycles[i].steps;
        for (int s = 0; s < steps; s++)
            assert_near(ich_schedule_factor(ICH_ONECYCLE, (uint64_t)s, (uint64_t)steps, onecycles[i].warmup),
                        onecycles[i].factor[s], s, steps);
    }
}

static void constant_and_cosine_warm_up_along_a_line(void **state) {
    (void)state;
    static const double up[] = {0.25, 0.5, 0.75, 1};
    for (int s = 0; s < 4; s++) {
        assert_near(ich_schedule_factor(ICH_CONSTANT, (uint64_t)s, 10, 0.4), up[s], s, 10);
        assert_near(ich_schedule_factor(ICH_COSINE, (uint64_t)s, 10, 0.4), up[s], s, 10);
    }
    for (int s = 0; s < 10; s++) {
        assert_near(ich_schedule_factor(ICH_CONSTANT, (uint64_t)s, 10, 0), 1, s, 10);
        if (s >= 4) assert_near(ich_schedule_factor(ICH_CONSTANT, (uint64_t)s, 10, 0.4), 1, s, 10);
    }
}

static void cosine_falls_along_half_a_cosine(void **state) {
    (void)state;
    for (int s = 0; s < 10; s++)
        assert_near(ich_schedule_factor(ICH_COSINE, (uint64_t)s, 10, 0), 0.5 + 0.5 * cos(acos(-1) * s / 10),
                    s, 10);
    assert_near(ich_schedule_factor(ICH_COSINE, 7, 10, 0.4), 0.5, 7, 10); /* half way between 4 and 10 */
    assert_near(ich_schedule_factor(ICH_COSINE, 4, 10, 0.4), 1, 4, 10);
}

static void factors_stay_above_0_and_up_to_1(void **state) {
    (void)state;
    static const double warmups[] = {0, 0.05, 0.1, 1.0 / 3, 0.5, 0.99, 1};
    for (int kind = ICH_CONSTANT; kind <= ICH_ONECYCLE; kind++)
        for (uint64_t steps = 1; steps < 60; steps++)
            for (size_t w = 0; w < sizeof warmups / sizeof *warmups; w++) {
                double most = 0;
                for (uint64_t s = 0; s < steps; s++) {
                    const double factor = ich_schedule_factor((ich_schedule)kind, s, steps, warmups[w]);
                    if (!(factor > 0 && factor <= 1))
                        fail_msg("schedule %d, step %d of %d: %g", kind, (int)s, (int)steps, factor);
                    most = fmax(most, factor);
                }
                if (steps > 20) assert_true(most > 0.98); /* each of them reaches its peak */
            }
}

static void long_runs_are_counted_exactly(void **state) {
    (void)state;
    const uint64_t steps = (uint64_t)1 << 40;
    assert_near(ich_schedule_factor(ICH_ONECYCLE, steps - 1, steps, 0.25), 1.0 / 250000, 0, 0);
    assert_near(ich_schedule_factor(ICH_ONECYCLE, steps / 4 - 1, steps, 0.25), 1, 0, 0);
    assert_near(ich_schedule_factor(ICH_ONECYCLE, 0, steps, 0.25), 1.0 / 25, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(onecycle_is_torchs),
        cmocka_unit_test(constant_and_cosine_warm_up_along_a_line),
        cmocka_unit_test(cosine_falls_along_half_a_cosine),
        cmocka_unit_test(factors_stay_above_0_and_up_to_1),
        cmocka_unit_test(long_runs_are_counted_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
