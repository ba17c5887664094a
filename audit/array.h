/* array.h: an array that passes by in pieces, in C order: its digest; its .npy file, if it is dumped; and how
 * far it is from the same array in an earlier dump.
 *
 * Calls: npy, data (file, hash). Called by: trace, trace_table.
 */
#ifndef ICH_AUDIT_ARRAY_H
#define ICH_AUDIT_ARRAY_H

#include "audit/npy.h"
#include "data/file.h"

typedef struct ich_array {
    int rank;
    int64_t dims[ICH_NPY_RANK];
    size_t count, seen;
    /* digest, complete after ich_array_close; sums are taken in double, in the array's order */
    double min, max, mean, l2;
    uint64_t fnv1a; /* of its bytes (tensor/hash.h) */
    /* against an earlier dump */
    bool compared;
    double difference; /* largest |it - the other| over the largest |other|; 0 only if they are equal */

    double sum, squares, worst, largest;
    ich_output file; /* its stream is NULL without a dump */
    FILE *other;     /* NULL: not compared */
} ich_array;

/* `dump`: path that it is written to, or NULL. `against`: path of a .npy file to compare with, or NULL; it is
 * left out where there is no such file, and fails where that holds another shape. */
bool ich_array_open(ich_array *array, int rank, const int64_t *dims, const char *dump, const char *against,
                    ich_error *err);
/* The next `count` numbers. */
bool ich_array_add(ich_array *array, const float *values, size_t count, ich_error *err);
/* After the last one. */
bool ich_array_close(ich_array *array, ich_error *err);
void ich_array_abandon(ich_array *array); /* removes the unfinished file; harmless after closing */

/* "35x112x112x64" */
void ich_array_shape(const ich_array *array, char text[80]);

#endif
