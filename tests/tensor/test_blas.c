/* The BLAS check: quick, and it names what it found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/blas.h"
#include <cmocka.h>
#include <omp.h>
#include <string.h>
#include <time.h>

/* Of this thread's own time, so that a busy machine does not fail it. */
static double own_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void is_checked_in_less_than_20_milliseconds(void **state) {
    (void)state;
#pragma omp parallel
    omp_get_thread_num(); /* waking the team is not the check's time */
    const double start = own_seconds();
    ich_blas_trusted();
    const double elapsed = own_seconds() - start;
#ifdef ICH_SANITIZED
    assert_true(elapsed < 1);
#else
    assert_true(elapsed < 0.02);
#endif
}

static void is_described_in_one_line_that_agrees_with_the_verdict(void **state) {
    (void)state;
    const char *text = ich_blas_description();
    assert_non_null(strstr(text, "BLAS"));
    assert_null(strchr(text, '\n'));
    assert_int_equal(ich_blas_trusted(), strstr(text, "wrong sgemm") == NULL);
    assert_int_equal(strstr(text, "(OpenMP") == NULL,
                     strstr(text, "libopenblas-openmp-dev") != NULL || strstr(text, "wrong sgemm") != NULL);
}

/* The library that the project links in its tests is a sound OpenMP build; if a distribution's is not, this
 * says so, and names why. */
static void the_linked_library_is_sound(void **state) {
    (void)state;
    bool sound = ich_blas_trusted();
#ifndef ICH_SANITIZED /* the thread sanitizer has another build */
    sound = sound && !strstr(ich_blas_description(), "not the OpenMP build");
#endif
    if (!sound) fail_msg("%s", ich_blas_description());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_checked_in_less_than_20_milliseconds),
        cmocka_unit_test(is_described_in_one_line_that_agrees_with_the_verdict),
        cmocka_unit_test(the_linked_library_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
