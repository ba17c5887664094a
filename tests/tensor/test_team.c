/* The thread team: as many threads as were asked for really run, BLAS does not change that, and the cores
 * that a process may use follow its affinity and its cgroups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/blas.h"
#include "tensor/kernels.h"
#include "tensor/progress.h"
#include "tensor/team.h"
#include <cmocka.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Threads that a parallel region gets. */
static int running(void) {
    int threads = 0;
#pragma omp parallel reduction(+ : threads)
    threads += 1;
    return threads;
}

static void runs_as_many_threads_as_were_set(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        ich_team_set(threads);
        assert_int_equal(ich_team_size(), threads);
        assert_int_equal(running(), threads);
    }
    ich_team_set(0);
    assert_int_equal(running(), ich_team_cores());
}

/* OpenBLAS's call for its own threads changes everybody's. */
static void blas_leaves_the_team_as_it_is(void **state) {
    (void)state;
    enum { N = 96 };
    static float a[N * N], b[N * N], c[N * N];
    omp_set_num_threads(3);
    ich_blas_trusted(); /* the first call runs its check */
    assert_int_equal(running(), 3);
    ich_blas_single_thread();
    assert_int_equal(running(), 3);
    assert_true(ich_kernels_select("auto", false, NULL));
    for (const char *const *name = ich_kernels_available(); *name; name++)
        for (int transposes = 0; transposes < 4; transposes++)
            ich_kernels_f32_named(*name)->gemm(transposes & 1, transposes & 2, N, N, N, a, N, b, N, false, c,
                                               N);
    assert_int_equal(running(), 3);
    ich_team_set(0);
}

static void uses_no_more_cores_than_its_affinity_allows(void **state) {
    (void)state;
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    const int cores = ich_team_cores();
    assert_true(cores >= 1 && cores <= CPU_COUNT(&all));
    int first = 0;
    while (!CPU_ISSET(first, &all)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(ich_team_cores(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(ich_team_cores(), cores);
}

/* -- quotas, on a tree of our own ----------------------------------------------------------------------- */

static void write_file(const char *root, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_tree(const char *root) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
}

static void follows_the_least_cgroup_quota(void **state) {
    (void)state;
    const struct {
        const char *group, *files[4][2];
        int cores;
    } cases[] = {
        {"0::/\n", {{NULL}}, 0},
        {"0::/\n", {{"/sys/fs/cgroup/cpu.max", "max 100000\n"}}, 0},
        {"0::/\n", {{"/sys/fs/cgroup/cpu.max", "400000 100000\n"}}, 4},
        {"0::/\n", {{"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}, 2}, /* rounded up */
        {"0::/\n", {{"/sys/fs/cgroup/cpu.max", "5000 100000\n"}}, 1},
        {"0::/\n", {{"/sys/fs/cgroup/cpu.max", "nonsense\n"}}, 0},
        {"0::/a/b\n", /* the group above is stricter */
         {{"/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n"}, {"/sys/fs/cgroup/a/cpu.max", "300000 100000\n"}},
         3},
        {"0::/not/seen\n", {{"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}, 2},
        {"5:memory:/m\n4:cpu,cpuacct:/docker/x\n0::/\n",
         {{"/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "250000\n"},
          {"/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n"},
          {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
          {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}},
         3},
        {"2:cpuacct:/x\n", {{"/sys/fs/cgroup/cpu/x/cpu.max", "100000 100000\n"}}, 0}, /* not the controller */
        {"garbage\n:\n", {{"/sys/fs/cgroup/cpu.max", "100000 100000\n"}}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char root[] = "team-XXXXXX";
        assert_non_null(mkdtemp(root));
        write_file(root, "/proc/self/cgroup", cases[i].group);
        for (int f = 0; f < 4 && cases[i].files[f][0]; f++)
            write_file(root, cases[i].files[f][0], cases[i].files[f][1]);
        const int cores = ich_team_quota(root);
        remove_tree(root);
        if (cores != cases[i].cores) fail_msg("case %zu: %d cores, not %d", i, cores, cases[i].cores);
    }
    assert_int_equal(ich_team_quota("/nonexistent"), 0);
}

/* -- telling of work ------------------------------------------------------------------------------------ */

static void keep_line(void *self, const char *text) { snprintf(self, 64, "%s", text); }

static void progress_needs_no_listener(void **state) {
    (void)state;
    char heard[64] = "";
    const ich_progress listener = {.line = keep_line, .self = heard},
                       careful = {.warn = keep_line, .self = heard};
    ich_progress_line(NULL, "nobody hears %d", 1);
    ich_progress_warn(NULL, "nobody hears %d", 1);
    ich_progress_warn(&listener, "does not listen to %d", 1);
    ich_progress_update(NULL, "epoch", 1, 2, "images", NULL);
    ich_progress_update(&listener, "epoch", 1, 2, "images", NULL); /* hears lines only */
    assert_string_equal(heard, "");
    ich_progress_line(&listener, "%d of %s", 3, "four");
    assert_string_equal(heard, "3 of four");
    ich_progress_warn(&careful, "%s 5", "beware of");
    assert_string_equal(heard, "beware of 5");
}

static void the_clock_does_not_go_back(void **state) {
    (void)state;
    const double start = ich_seconds();
    usleep(2000);
    const double elapsed = ich_seconds() - start;
    assert_true(elapsed >= 0.002 && elapsed < 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_as_many_threads_as_were_set),
        cmocka_unit_test(blas_leaves_the_team_as_it_is),
        cmocka_unit_test(uses_no_more_cores_than_its_affinity_allows),
        cmocka_unit_test(follows_the_least_cgroup_quota),
        cmocka_unit_test(progress_needs_no_listener),
        cmocka_unit_test(the_clock_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
