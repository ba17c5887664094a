/* Every kernel of every table that this machine runs, against the reference, over odd shapes; the same bytes
 * for 1, 2 and 3 threads; nothing written elsewhere. The problems are those of `ichor audit`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/kernel_problem.h"
#include <cmocka.h>
#include <string.h>

typedef struct tally {
    size_t checked, wrong;
} tally;

static void count(void *self, const ich_kernel_finding *f) {
    tally *sum = self;
    sum->checked += f->checked;
    if (!f->mistake) return;
    sum->wrong++;
    print_error("%s, %s, %s kernels: %s: %s is off by %.3g (bound %.3g)\n", f->problem->kernel,
                f->problem->what, f->kernels, f->mistake, f->where, f->error, f->bound);
}

static void every_kernel_agrees_with_the_reference(void **state) {
    (void)state;
    tally sum = {0};
    ich_error err = {0};
    if (!ich_kernel_cases(NULL, NULL, count, &sum, &err)) fail_msg("%s", err.text);
    assert_true(sum.checked > 1000000);
    assert_int_equal(sum.wrong, 0);
}

/* The check itself must be able to fail: a product too many, a store outside, a sum that depends on threads.
 */
static void gemm_with_a_mistake(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                                float *const *out) {
    const int mistake = *(const int *)shape;
    kernels->gemm(false, false, 5, 7, 11, in[0], 11, in[1], 7, false, out[0], 7);
    if (!strcmp(kernels->name, "reference")) return;
    if (mistake == 1) out[0][17] += in[0][3] * in[1][5];
    if (mistake == 2) out[0][35] = 1;
    if (mistake == 3) in[1][4] = -in[1][4];
    if (mistake == 4) out[0][0] *= 1 + 0x1p-20f;
}

static void keep_last(void *self, const ich_kernel_finding *f) { *(ich_kernel_finding *)self = *f; }

static void mistakes_are_found(void **state) {
    (void)state;
    static const char *const said[] = {NULL, "differs from the reference", "writes outside of its arrays",
                                       "changes an input", NULL};
    for (int mistake = 0; mistake < 5; mistake++) {
        const ich_kernel_problem problem = {"gemm",   "5 x 7 x 11", gemm_with_a_mistake, &mistake,
                                            {55, 77}, {35},         {ich_sum_bound(11)}};
        ich_kernel_finding found = {0};
        ich_error err = {0};
        if (!ich_kernel_check(&problem, keep_last, &found, &err)) fail_msg("%s", err.text);
        if (said[mistake])
            assert_string_equal(found.mistake, said[mistake]);
        else
            assert_null(found.mistake); /* … and rounding is none */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_agrees_with_the_reference),
        cmocka_unit_test(mistakes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
