/* kernel_problem.h: one call of a kernel as data: how large its arrays are and how exact it must be. The
 * harness runs it on the reference and on every table of this machine, with 1, 2 and 3 threads, between guard
 * zones that nobody may touch.
 *
 * Calls: tensor. Called by: ops, tests.
 */
#ifndef ICH_AUDIT_KERNEL_PROBLEM_H
#define ICH_AUDIT_KERNEL_PROBLEM_H

#include "tensor/kernels.h"

enum { ICH_KERNEL_ARRAYS = 8 };

typedef struct ich_kernel_problem {
    const char *kernel; /* or the family that it tries: "gemm", "conv2d forward" */
    const char *what;   /* its shape and flags */
    /* Calls the kernel. `in` are random numbers in [-1, 1), the same for every table; `out` hold random
     * numbers on entry, too, so that accumulating shows. */
    void (*run)(const ich_kernels_f32 *kernels, const void *shape, float *const *in, float *const *out);
    const void *shape;
    size_t in[ICH_KERNEL_ARRAYS], out[ICH_KERNEL_ARRAYS]; /* numbers of each array; 0 ends the list */
    double bound[ICH_KERNEL_ARRAYS]; /* |got - reference| ≤ bound · (1 + |reference|) */
} ich_kernel_problem;

/* What one table made of it. */
typedef struct ich_kernel_finding {
    const ich_kernel_problem *problem;
    const char *kernels; /* the table's name */
    size_t checked;      /* numbers compared */
    double error, bound; /* where error / bound is largest: |got - reference| / (1 + |reference|) */
    char where[80];      /* "output 1 [17]" */
    const char *mistake; /* NULL: none; else what is wrong, beyond error ≤ bound too */
} ich_kernel_finding;

typedef void ich_kernel_visit(void *self, const ich_kernel_finding *finding);

/* Calls `visit` for every table but the reference. Fails when memory is out. */
bool ich_kernel_check(const ich_kernel_problem *problem, ich_kernel_visit *visit, void *self, ich_error *err);

/* Bound for a sum of n products of numbers in [-1, 1), worked out twice in different orders: n roundings,
 * which do not all go the same way but grow as sqrt(n) (Higham and Mary 2019, SIAM J. Sci. Comput. 41(5)), of
 * partial sums no larger than n / 4. Small enough that a forgotten or doubled product shows. */
double ich_sum_bound(double n);

/* A scratch array of a kernel, filled with NaNs and freed by ich_scratch_free, which checks its guard zones.
 * NULL when memory is out: the harness then fails. */
float *ich_scratch_new(size_t count);
void ich_scratch_free(float *scratch, size_t count);

/* kernel_cases.c: every kernel over odd shapes. `op`: only problems of kernels whose first word it is;
 * `what`: only those whose shape contains it; NULL: all. Fails when memory is out. */
bool ich_kernel_cases(const char *op, const char *what, ich_kernel_visit *visit, void *self, ich_error *err);
/* The kernels of `op`, if it has any, in the shape that somebody typed; fails on one that is too large, too.
 */
struct ich_typed_shape;
bool ich_kernel_typed(const char *op, const struct ich_typed_shape *typed, ich_kernel_visit *visit,
                      void *self, ich_error *err);

#endif
