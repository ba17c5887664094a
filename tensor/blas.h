/* blas.h: the one place that knows which BLAS is linked, and whether to trust it.
 *
 * Calls: OpenBLAS. Called by: the kernel tables (gemm), cli (to show it).
 */
#ifndef ICH_TENSOR_BLAS_H
#define ICH_TENSOR_BLAS_H

#include <stdbool.h>

/* Runs once: compares sgemm on odd shapes, both transposes, with the reference loops, and looks at how the
 * library was built. Returns true if BLAS may be used; otherwise the vector tables use Ichor's own gemm. */
bool ich_blas_trusted(void);

/* Gives BLAS one thread, so that our pieces are the only level of parallelism. Leaves the size of our own
 * team as it is, which OpenBLAS's own call does not. */
void ich_blas_single_thread(void);

/* One line: the library's name and build, and, if it is not trusted or not the OpenMP build, why. */
const char *ich_blas_description(void);

#endif
