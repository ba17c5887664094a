#include "team.h"

#include "blas.h"
#include "cgroup.h"

#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

/* The numbers at the start of folder/name; how many there are, at most 2. */
static int read_numbers(const char *folder, const char *name, double numbers[2]) {
    char path[ICH_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const int count = fscanf(file, "%lf %lf", &numbers[0], &numbers[1]);
    fclose(file);
    return count < 0 ? 0 : count;
}

/* CPUs that a cgroup's folder grants; infinity where it says nothing. Version 2 has "150000 100000" or "max
 * 100000" in one file, version 1 two files and -1 for no limit. */
static double quota_of(const char *folder) {
    double quota[2], period[2];
    if (read_numbers(folder, "cpu.max", quota) == 2) {
        period[0] = quota[1];
    } else if (read_numbers(folder, "cpu.cfs_quota_us", quota) < 1 ||
               read_numbers(folder, "cpu.cfs_period_us", period) < 1) {
        return INFINITY;
    }
    return quota[0] > 0 && period[0] > 0 ? quota[0] / period[0] : INFINITY;
}

static void find_least(void *self, const char *folder, bool version_2) {
    double *least = self;
    (void)version_2; /* their files have other names */
    *least = fmin(*least, quota_of(folder));
}

int ich_team_quota(const char *root) {
    double least = INFINITY;
    ich_cgroup_visit(root, "cpu", find_least, &least);
    return least < 1 ? 1 : least < 1e6 ? (int)ceil(least) : 0;
}

int ich_team_cores(void) {
    cpu_set_t set;
    const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
    const int quota = ich_team_quota("");
    return quota && quota < cores ? quota : cores;
}

void ich_team_set(int threads) {
    omp_set_dynamic(0);
    omp_set_num_threads(threads > 0 ? threads : ich_team_cores());
    ich_blas_single_thread(); /* one level of parallelism: ours */
}

int ich_team_size(void) { return omp_get_max_threads(); }

double ich_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
