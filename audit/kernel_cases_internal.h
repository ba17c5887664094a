/* kernel_cases_internal.h: what the files of kernel cases share; nobody else includes it.
 *
 *   kernel_cases.c           which cases are tried; matrix product, convolution
 *   kernel_cases_channels.c  per channel, element by element, optimizers, pooling
 */
#ifndef ICH_AUDIT_KERNEL_CASES_INTERNAL_H
#define ICH_AUDIT_KERNEL_CASES_INTERNAL_H

#include "audit/kernel_problem.h"
#include "audit/typed_shape.h"

#define ICH_COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct ich_sweep {
    const char *op, *what; /* which problems are tried; NULL: all */
    ich_kernel_visit *visit;
    void *self;
    ich_error *err;
    bool failed;
} ich_sweep;

/* One problem, if it is asked for. Fails on more numbers than the harness should take memory for. */
void ich_sweep_try(ich_sweep *sweep, const ich_kernel_problem *problem);

static const double ich_exact = 0, ich_rounding = 0x1p-22; /* a few roundings */

/* Sweeps over odd shapes, and one problem of the shape that somebody typed. */
void ich_try_channels(ich_sweep *sweep);
void ich_try_batch_norm(ich_sweep *sweep);
void ich_try_elementwise(ich_sweep *sweep);
void ich_try_optimizers(ich_sweep *sweep);
void ich_try_max_pooling(ich_sweep *sweep);
void ich_try_averages(ich_sweep *sweep);
void ich_try_typed_channels(ich_sweep *sweep, const ich_typed_shape *typed);
void ich_try_typed_batch_norm(ich_sweep *sweep, const ich_typed_shape *typed);
void ich_try_typed_elementwise(ich_sweep *sweep, const ich_typed_shape *typed);
void ich_try_typed_optimizers(ich_sweep *sweep, const ich_typed_shape *typed);
void ich_try_typed_max_pooling(ich_sweep *sweep, const ich_typed_shape *typed);
void ich_try_typed_averages(ich_sweep *sweep, const ich_typed_shape *typed);

#endif
