/* team.h: how many threads work, and where that number comes from.
 *
 * Kernels are parallel through OpenMP (`#pragma omp parallel for`) over pieces cut by shape, never by
 * thread count; partial sums are added in a fixed order. So one thread and eight give the same bits.
 * BLAS runs single-threaded inside a piece.
 *
 * Calls: OpenMP, blas.h (thread count), cgroup.h, the affinity mask. Called by: every room.
 */
#ifndef ICH_TENSOR_TEAM_H
#define ICH_TENSOR_TEAM_H

/* Cores that this process may really use: the smaller of its affinity mask and its cgroup's CPU quota. At
 * least 1. */
int ich_team_cores(void);

/* Cores, rounded up, of the smallest CPU quota of this process's cgroups (v1 or v2) and those above them; 0
 * if there is none. `root` is put before every path: "", or a folder with a tree of a test's own. */
int ich_team_quota(const char *root);

/* Sets the number of threads for all later work; 0 means ich_team_cores(). */
void ich_team_set(int threads);
int ich_team_size(void);

/* Seconds since some fixed moment, monotonic. */
double ich_seconds(void);

#endif
