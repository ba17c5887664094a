/* bench_ops.h: each layer of the models by itself, against the processor's own peak.
 *
 * Every distinct piece of work of the zoo's models (same op, settings and shapes) is put into a graph of its
 * own and run by the active kernels; where those choose another algorithm than the "-direct" table, by that
 * one as well. The peak is that of multiply-adds in registers on all threads, measured before and after each
 * row: the larger counts. The error is that of one row against the reference kernels, relative to the
 * largest number of the result.
 *
 * Calls: layers (zoo, exec), tensor. Called by: cli.
 */
#ifndef ICH_TRAIN_BENCH_OPS_H
#define ICH_TRAIN_BENCH_OPS_H

#include "tensor/error.h"
#include <stdio.h>

typedef struct ich_bench_ops {
    int batch, size;    /* rows of the images' layers; pixels */
    int slices;         /* of the one study that the head's layers work on */
    double seconds;     /* measured for at least so long each, and at least three times */
    const char *filter; /* rows whose "op,shape,direction,kernels" contains it; NULL: all */
    const volatile int *stop;
} ich_bench_ops;

/* Writes op,shape,direction,milliseconds,gflops,percent_of_peak,max_error,gigabytes_per_second,kernels.
 * gflops counts two operations a multiply-add; an op that counts none (inspect) has one for each output.
 * gigabytes: what must be read and written once. milliseconds: the median. */
bool ich_bench_ops_run(const ich_bench_ops *bench, FILE *out, ich_error *err);

#endif
