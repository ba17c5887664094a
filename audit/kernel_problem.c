#include "audit/kernel_problem.h"

#include "tensor/rng.h"
#include "tensor/team.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64 };                           /* floats on either side; keeps the alignment to 64 bytes */
static const uint32_t guard_bits = 0x7fc0dead; /* a NaN: a kernel that reads it shows, too */

static bool short_of_memory, guards_broken; /* since the check began: scratch has no other way to tell */

static float *guarded(size_t count) {
    float *block = aligned_alloc(64, (count + 2 * GUARD + 15) / 16 * 16 * sizeof *block);
    short_of_memory |= !block;
    for (size_t i = 0; block && i < count + 2 * GUARD; i++) memcpy(block + i, &guard_bits, sizeof guard_bits);
    return block ? block + GUARD : NULL;
}

static bool guards_hold(const float *data, size_t count) {
    for (size_t i = 1; i <= GUARD; i++)
        if (memcmp(data - i, &guard_bits, 4) != 0 || memcmp(data + count + i - 1, &guard_bits, 4) != 0)
            return false;
    return true;
}

static void release(float *data, size_t count) {
    if (!data) return;
    guards_broken |= !guards_hold(data, count);
    free(data - GUARD);
}

float *ich_scratch_new(size_t count) { return guarded(count); }
void ich_scratch_free(float *scratch, size_t count) { release(scratch, count); }

double ich_sum_bound(double n) { return 8 * (sqrt(n) + 4) * 0x1p-24 * (n / 4 + 1); }

/* -- arrays -------------------------------------------------------------------------------------------- */

typedef struct arrays {
    const ich_kernel_problem *problem;
    float *in[ICH_KERNEL_ARRAYS], *out[ICH_KERNEL_ARRAYS];
} arrays;

static float *random_numbers(size_t count, uint64_t stream) {
    float *data = guarded(count);
    ich_rng rng = ich_rng_make(11, ICH_RNG_TEST, stream);
    for (size_t i = 0; data && i < count; i++) data[i] = ich_rng_range(&rng, -1, 1);
    return data;
}

static arrays fresh(const ich_kernel_problem *problem) {
    arrays a = {.problem = problem};
    for (int i = 0; i < ICH_KERNEL_ARRAYS && problem->in[i]; i++)
        a.in[i] = random_numbers(problem->in[i], (uint64_t)i);
    for (int i = 0; i < ICH_KERNEL_ARRAYS && problem->out[i]; i++)
        a.out[i] = random_numbers(problem->out[i], (uint64_t)i + ICH_KERNEL_ARRAYS);
    return a;
}

static float *copy_of(const float *data, size_t count) {
    float *copy = data ? guarded(count) : NULL;
    if (copy) memcpy(copy, data, count * sizeof *copy);
    return copy;
}

/* Runs on a copy of the fresh arrays. */
static arrays run(const arrays *start, const ich_kernels_f32 *kernels, int threads) {
    const ich_kernel_problem *p = start->problem;
    arrays a = {.problem = p};
    for (int i = 0; i < ICH_KERNEL_ARRAYS && p->in[i]; i++) a.in[i] = copy_of(start->in[i], p->in[i]);
    for (int i = 0; i < ICH_KERNEL_ARRAYS && p->out[i]; i++) a.out[i] = copy_of(start->out[i], p->out[i]);
    ich_team_set(threads);
    if (!short_of_memory) p->run(kernels, p->shape, a.in, a.out);
    return a;
}

static void release_all(arrays *a) {
    for (int i = 0; i < ICH_KERNEL_ARRAYS && a->problem->in[i]; i++) release(a->in[i], a->problem->in[i]);
    for (int i = 0; i < ICH_KERNEL_ARRAYS && a->problem->out[i]; i++) release(a->out[i], a->problem->out[i]);
}

/* -- comparing ----------------------------------------------------------------------------------------- */

static void compare(const arrays *want, const arrays *got, ich_kernel_finding *f) {
    const ich_kernel_problem *p = want->problem;
    double worst = -1;
    for (int a = 0; a < ICH_KERNEL_ARRAYS && p->out[a]; a++)
        for (size_t i = 0; i < p->out[a]; i++) {
            const double expected = (double)want->out[a][i], value = (double)got->out[a][i];
            const double error = fabs(value - expected) / (1 + fabs(expected)), bound = p->bound[a];
            const double share = error == 0 ? 0 : error <= bound ? error / bound : INFINITY; /* NaN, too */
            f->checked++;
            if (share <= worst) continue;
            worst = share;
            f->error = error;
            f->bound = bound;
            snprintf(f->where, sizeof f->where, "output %d [%zu]", a, i);
            if (isinf(share)) f->mistake = "differs from the reference";
        }
    for (int a = 0; a < ICH_KERNEL_ARRAYS && p->in[a]; a++)
        if (memcmp(want->in[a], got->in[a], p->in[a] * sizeof(float)) != 0) f->mistake = "changes an input";
}

static void compare_bytes(const arrays *one, const arrays *team, ich_kernel_finding *f) {
    const ich_kernel_problem *p = one->problem;
    for (int a = 0; a < ICH_KERNEL_ARRAYS && p->out[a]; a++)
        if (memcmp(one->out[a], team->out[a], p->out[a] * sizeof(float)) != 0)
            f->mistake = "gives other bytes on more threads";
}

static ich_kernel_finding try_table(const arrays *start, const arrays *want, const char *name) {
    const ich_kernels_f32 *kernels = ich_kernels_f32_named(name);
    ich_kernel_finding f = {.problem = start->problem, .kernels = name};
    arrays one = run(start, kernels, 1);
    if (!short_of_memory) compare(want, &one, &f);
    for (int threads = 2; threads <= 3; threads++) {
        arrays team = run(start, kernels, threads);
        if (!short_of_memory) compare_bytes(&one, &team, &f);
        release_all(&team);
    }
    release_all(&one);
    if (guards_broken) f.mistake = "writes outside of its arrays";
    return f;
}

bool ich_kernel_check(const ich_kernel_problem *problem, ich_kernel_visit *visit, void *self,
                      ich_error *err) {
    const int threads = ich_team_size();
    short_of_memory = guards_broken = false;
    arrays start = fresh(problem), want = run(&start, ich_kernels_f32_named("reference"), 1);
    for (const char *const *name = ich_kernels_available(); *name && !short_of_memory; name++) {
        const ich_kernel_finding f = try_table(&start, &want, *name);
        guards_broken = false;
        if (strcmp(*name, "reference") != 0 || f.mistake) visit(self, &f);
    }
    release_all(&want);
    release_all(&start);
    ich_team_set(threads);
    return !short_of_memory || ich_fail(err, "no memory to try %s, %s", problem->kernel, problem->what);
}
