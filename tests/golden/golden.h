/* golden.h: what the golden tests share with make_golden.py: numbers drawn from a hash, and digests of
 * tensors.
 */
#ifndef ICH_TESTS_GOLDEN_H
#define ICH_TESTS_GOLDEN_H

#include "data/csv.h"
#include "layers/graph.h"

uint32_t golden_hash(const char *text);
double golden_number(uint32_t name, size_t i); /* in [-1, 1) */

/* Every parameter, as fill() of make_golden.py does. */
void golden_fill(const char *arch, const ich_graph *graph, float *values);

/* Digest of `value` against the row (stage, name); `bound` is relative to the tensor's norm and element size.
 */
void golden_compare(const ich_csv *table, const char *stage, const char *name, const double *value,
                    size_t count, double bound);
void golden_compare_float(const ich_csv *table, const char *stage, const char *name, const float *value,
                          size_t count, double bound);

#endif
