#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel_problem.h"
#include "tensor/rng.h"
#include "tensor/team.h"
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 };                           /* floats on either side; keeps the alignment to 64 bytes */
static const uint32_t guard_bits = 0x7fc0dead; /* a NaN: a kernel that reads it shows, too */

static float *guarded(size_t count) {
    float *block = aligned_alloc(64, (count + 2 * GUARD + 15) / 16 * 16 * sizeof *block);
    assert_non_null(block);
    for (size_t i = 0; i < count + 2 * GUARD; i++) memcpy(block + i, &guard_bits, sizeof guard_bits);
    return block + GUARD;
}

static bool guards_hold(const float *data, size_t count) {
    for (size_t i = 1; i <= GUARD; i++)
        if (memcmp(data - i, &guard_bits, 4) || memcmp(data + count + i - 1, &guard_bits, 4)) return false;
    return true;
}

float *scratch_new(size_t count) { return guarded(count); }

void scratch_free(float *scratch, size_t count) {
    assert_true(guards_hold(scratch, count));
    free(scratch - GUARD);
}

double sum_bound(double n) { return 8 * (sqrt(n) + 4) * 0x1p-24 * (n / 4 + 1); }

static void random_numbers(float *data, size_t count, uint64_t stream) {
    ich_rng rng = ich_rng_make(11, ICH_RNG_TEST, stream);
    for (size_t i = 0; i < count; i++) data[i] = ich_rng_range(&rng, -1, 1);
}

typedef struct arrays {
    const kernel_problem *problem;
    float *in[MOST_ARRAYS], *out[MOST_ARRAYS];
} arrays;

static arrays fresh(const kernel_problem *problem) {
    arrays a = {.problem = problem};
    for (int i = 0; i < MOST_ARRAYS && problem->in[i]; i++)
        random_numbers(a.in[i] = guarded(problem->in[i]), problem->in[i], (uint64_t)i);
    for (int i = 0; i < MOST_ARRAYS && problem->out[i]; i++)
        random_numbers(a.out[i] = guarded(problem->out[i]), problem->out[i], (uint64_t)i + MOST_ARRAYS);
    return a;
}

/* Runs on a copy of the fresh arrays. */
static arrays run(const arrays *start, const ich_kernels_f32 *kernels, int threads) {
    const kernel_problem *p = start->problem;
    arrays a = {.problem = p};
    for (int i = 0; i < MOST_ARRAYS && p->in[i]; i++)
        memcpy(a.in[i] = guarded(p->in[i]), start->in[i], p->in[i] * sizeof(float));
    for (int i = 0; i < MOST_ARRAYS && p->out[i]; i++)
        memcpy(a.out[i] = guarded(p->out[i]), start->out[i], p->out[i] * sizeof(float));
    ich_team_set(threads);
    assert_int_equal(ich_team_size(), threads);
    p->run(kernels, p->shape, a.in, a.out);
    return a;
}

static void release(arrays *a, const char *table) {
    const size_t *counts[] = {a->problem->in, a->problem->out};
    float **data[] = {a->in, a->out};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < MOST_ARRAYS && counts[side][i]; i++) {
            if (!guards_hold(data[side][i], counts[side][i]))
                fail_msg("%s, %s: wrote outside of %s %d", a->problem->what, table, side ? "output" : "input",
                         i);
            free(data[side][i] - GUARD);
        }
}

static void compare(const arrays *want, const arrays *got, const char *table) {
    const kernel_problem *p = want->problem;
    for (int a = 0; a < MOST_ARRAYS && p->out[a]; a++)
        for (size_t i = 0; i < p->out[a]; i++) {
            const double expected = (double)want->out[a][i], value = (double)got->out[a][i];
            if (!(fabs(value - expected) <= p->bound[a] * (1 + fabs(expected))))
                fail_msg("%s, %s: output %d [%zu] is %.9g, the reference has %.9g (bound %.3g)", p->what,
                         table, a, i, value, expected, p->bound[a]);
        }
    for (int a = 0; a < MOST_ARRAYS && p->in[a]; a++)
        if (memcmp(want->in[a], got->in[a], p->in[a] * sizeof(float)))
            fail_msg("%s, %s: input %d was changed", p->what, table, a);
}

static void compare_bytes(const arrays *one, const arrays *team, const char *table, int threads) {
    const kernel_problem *p = one->problem;
    for (int a = 0; a < MOST_ARRAYS && p->out[a]; a++)
        if (memcmp(one->out[a], team->out[a], p->out[a] * sizeof(float)))
            fail_msg("%s, %s: output %d differs between 1 and %d threads", p->what, table, a, threads);
}

void check_problem(const kernel_problem *problem) {
    arrays start = fresh(problem), want = run(&start, ich_kernels_f32_named("reference"), 1);
    for (const char *const *name = ich_kernels_available(); *name; name++) {
        const ich_kernels_f32 *kernels = ich_kernels_f32_named(*name);
        arrays one = run(&start, kernels, 1);
        compare(&want, &one, *name);
        for (int threads = 2; threads <= 3; threads++) {
            arrays team = run(&start, kernels, threads);
            compare_bytes(&one, &team, *name, threads);
            release(&team, *name);
        }
        release(&one, *name);
    }
    release(&want, "reference");
    release(&start, "none");
}
