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
#endif

/* Best first; "auto" takes the first that runs. The reference is last: it is never chosen by itself. */
static const struct version {
    const ich_kernels_f32 *table;
    bool (*runs_here)(void);
} versions[] = {
#ifdef __x86_64__
    {&ich_vector_kernels_avx512, has_avx512},        {&ich_vector_kernels_avx2, has_avx2},
#endif
    {&ich_vector_kernels_baseline, always},
#ifdef __x86_64__
    {&ich_vector_kernels_direct_avx512, has_avx512}, {&ich_vector_kernels_direct_avx2, has_avx2},
#endif
    {&ich_vector_kernels_direct_baseline, always},   {&ich_reference_kernels_f32, always},
};
enum { VERSIONS = sizeof versions / sizeof *versions };

static const ich_kernels_f32 *active;

static const char *available[VERSIONS + 1];

static void list_available(void) {
    int count = 0;
    for (int v = 0; v < VERSIONS; v++)
        if (versions[v].runs_here()) available[count++] = versions[v].table->name;
}

const char *const *ich_kernels_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_available);
    return available;
}

const ich_kernels_f32 *ich_kernels_f32_named(const char *name) {
    for (int v = 0; v < VERSIONS; v++)
        if (!strcmp(versions[v].table->name, name) && versions[v].runs_here()) return versions[v].table;
    return NULL;
}

bool ich_kernels_select(const char *name, ich_error *err) {
    const char *const *names = ich_kernels_available();
    const ich_kernels_f32 *table = ich_kernels_f32_named(strcmp(name, "auto") ? name : names[0]);
    if (!table) {
        char list[160] = "auto";
        for (; *names; names++) {
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
