/* kernel_problem.h: one call of a kernel as data: how large its arrays are and how exact it must be. The
 * harness runs it on the reference and on every table of this machine, with 1, 2 and 3 threads, between guard
 * zones that nobody may touch.
 */
#ifndef ICH_TESTS_KERNEL_PROBLEM_H
#define ICH_TESTS_KERNEL_PROBLEM_H

#include "tensor/kernels.h"

enum { MOST_ARRAYS = 8 };

typedef struct kernel_problem {
    const char *what;
    /* Calls the kernel. `in` are random numbers in [-1, 1), the same for every table; `out` hold random
     * numbers on entry, too, so that accumulating shows. */
    void (*run)(const ich_kernels_f32 *kernels, const void *shape, float *const *in, float *const *out);
    const void *shape;
    size_t in[MOST_ARRAYS], out[MOST_ARRAYS]; /* numbers of each array; 0 ends the list */
    double bound[MOST_ARRAYS];                /* |got - reference| ≤ bound · (1 + |reference|) */
} kernel_problem;

/* Fails the test with the problem, table, array and element that is off, and by how much. */
void check_problem(const kernel_problem *problem);

/* Bound for a sum of n products of numbers in [-1, 1), worked out twice in different orders: n roundings,
 * which do not all go the same way but grow as sqrt(n) (Higham and Mary 2019, SIAM J. Sci. Comput. 41(5)), of
 * partial sums no larger than n / 4. Small enough that a forgotten or doubled product shows. */
double sum_bound(double n);

/* A scratch array of a kernel, filled with NaNs and freed by scratch_free, which checks its guard zones. */
float *scratch_new(size_t count);
void scratch_free(float *scratch, size_t count);

#endif
