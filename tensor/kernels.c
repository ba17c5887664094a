/* kernels.c: which tables there are, which of them this processor runs, and which one is active. */
#include "kernels.h"

#include "blas.h"
#include "reference.h"
#include "vector_kernels.h"

#include <pthread.h>
#include <string.h>

static bool always(void) { return true; }

#ifdef __x86_64__
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx512_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif

static bool never(void) { return false; }

/* Best first; "auto" takes the first that runs. The reference is last: it is never chosen by itself. */
static const struct version {
    const ich_kernels_f32 *table, *bf16;
    bool (*runs_here)(void), (*bf16_runs_here)(void);
} versions[] = {
#define VECTOR(isa, runs_here, bf16_runs_here)                                                               \
    { &ich_vector_kernels_##isa, &ich_vector_kernels_##isa##_bf16, runs_here, bf16_runs_here }
#ifdef __x86_64__
    VECTOR(avx512, has_avx512, has_avx512_bf16),
    VECTOR(avx2, has_avx2, has_avx2),
#endif
    VECTOR(baseline, always, always),
#ifdef __x86_64__
    VECTOR(direct_avx512, has_avx512, has_avx512_bf16),
    VECTOR(direct_avx2, has_avx2, has_avx2),
#endif
    VECTOR(direct_baseline, always, always),
    {&ich_reference_kernels_f32, NULL, always, never},
};
enum { VERSIONS = sizeof versions / sizeof *versions };

static const ich_kernels_f32 *active;

static const char *available[VERSIONS + 1], *available_bf16[VERSIONS + 1];

static void list_available(void) {
    int count = 0, count_bf16 = 0;
    for (int v = 0; v < VERSIONS; v++) {
        if (versions[v].runs_here()) available[count++] = versions[v].table->name;
        if (versions[v].bf16_runs_here()) available_bf16[count_bf16++] = versions[v].bf16->name;
    }
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *const *ich_kernels_available(void) {
    pthread_once(&once, list_available);
    return available;
}

const char *const *ich_kernels_available_bf16(void) {
    pthread_once(&once, list_available);
    return available_bf16;
}

const ich_kernels_f32 *ich_kernels_f32_named(const char *name) {
    for (int v = 0; v < VERSIONS; v++) {
        const struct version *it = &versions[v];
        if (it->runs_here() && !strcmp(it->table->name, name)) return it->table;
        if (it->bf16_runs_here() && !strcmp(it->bf16->name, name)) return it->bf16;
    }
    return NULL;
}

/* "auto" or the name of a float table -> the table of that precision; NULL if there is none here. */
static const ich_kernels_f32 *find(const char *name, bool bf16) {
    const bool any = !strcmp(name, "auto");
    for (int v = 0; v < VERSIONS; v++) {
        const struct version *it = &versions[v];
        if (!any && strcmp(it->table->name, name) != 0) continue;
        if (bf16 ? it->bf16_runs_here() : it->runs_here()) return bf16 ? it->bf16 : it->table;
    }
    return NULL;
}

bool ich_kernels_select(const char *name, bool bf16, ich_error *err) {
    const ich_kernels_f32 *table = find(name, bf16);
    if (!table && bf16 && ich_kernels_f32_named(name))
        return ich_fail(
            err, "--kernels %s: has no bf16 on this processor; leave --kernels or --precision out", name);
    if (!table) {
        char list[160] = "auto";
        for (const char *const *names = ich_kernels_available(); *names; names++) {
            strncat(list, ", ", sizeof list - strlen(list) - 1);
            strncat(list, *names, sizeof list - strlen(list) - 1);
        }
        return ich_fail(err, "--kernels %s: unknown, or not for this processor; here there are %s", name,
                        list);
    }
    ich_blas_trusted();
    active = table;
    return true;
}

const ich_kernels_f32 *ich_kernels_f32_active(void) {
    return active ? active : ich_kernels_f32_named(ich_kernels_available()[0]);
}

const ich_kernels_f64 *ich_kernels_f64_active(void) { return &ich_reference_kernels_f64; }
