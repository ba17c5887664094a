/* npy.h: arrays in NumPy's own file format (numpy.org/doc/stable/reference/generated/numpy.lib.format.html,
 * version 1.0): a header that is a Python literal, padded to 64 bytes, then the numbers; here always float32,
 * little-endian, C order.
 *
 * Calls: libc. Called by: array.
 */
#ifndef ICH_AUDIT_NPY_H
#define ICH_AUDIT_NPY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { ICH_NPY_RANK = 4 };

/* Writes the header; the numbers follow. A failure shows in the stream's state. */
void ich_npy_begin(FILE *stream, int rank, const int64_t *dims);

/* Reads a header; true if it is that of a float32 array in C order of exactly this shape. */
bool ich_npy_expect(FILE *stream, int rank, const int64_t *dims);

#endif
