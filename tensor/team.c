#include "team.h"

#include "blas.h"

#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH = 4096 };

/* The numbers at the start of folder/name; how many there are, at most 2. */
static int read_numbers(const char *folder, const char *name, double numbers[2]) {
    char path[PATH + 64];
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

/* The least quota of base/group and of the groups above it, up to base itself. A container may not see the
 * folder that it is told of; those above it that it does see still count. */
static double least_quota(const char *base, const char *group) {
    char folder[PATH];
    if (snprintf(folder, sizeof folder, "%s%s", base, group) >= (int)sizeof folder) return INFINITY;
    double least = INFINITY;
    for (char *end; (end = strrchr(folder, '/')) && strlen(folder) >= strlen(base); *end = 0)
        least = fmin(least, quota_of(folder));
    return least;
}

static bool lists_cpu(char *controllers) {
    char *rest = NULL;
    for (char *name = strtok_r(controllers, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        if (!strcmp(name, "cpu")) return true;
    return false;
}

/* One line of /proc/self/cgroup: "0::/user.slice" (version 2) or "4:cpu,cpuacct:/docker/…" (version 1). */
static double quota_of_line(const char *root, char *line) {
    char base[PATH], *rest = line;
    strsep(&rest, ":");
    char *controllers = strsep(&rest, ":"), *group = strsep(&rest, "\n");
    if (!controllers || !group) return INFINITY;
    const char *mount = *controllers ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
    if (*controllers && !lists_cpu(controllers)) return INFINITY;
    if (snprintf(base, sizeof base, "%s%s", root, mount) >= (int)sizeof base) return INFINITY;
    return least_quota(base, group);
}

int ich_team_quota(const char *root) {
    char line[PATH];
    double least = INFINITY;
    if (snprintf(line, sizeof line, "%s/proc/self/cgroup", root) >= (int)sizeof line) return 0;
    FILE *file = fopen(line, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) least = fmin(least, quota_of_line(root, line));
    fclose(file);
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
