/* ops.h: every op, loss and kernel of the program, tried against its reference and its numerical gradient.
 *
 *   check            compares                                            within
 *   kernel …         each table's kernels with the reference's, and      a probabilistic bound on sums
 *                    1 thread's bytes with 2 and 3 threads'              (kernel_problem.h)
 *   gradient         backward, in double, with the numerical gradient    the bound of layer_check.h
 *   forward,         the layer in float on each table, the reference     γ(n) times the sensitivity
 *   backward         among them, with the layer in double                (layer_check.h)
 *
 * Calls: kernel_problem, layer_check, loss_check, typed_shape. Called by: cli.
 */
#ifndef ICH_AUDIT_OPS_H
#define ICH_AUDIT_OPS_H

#include "tensor/error.h"
#include <stdio.h>

typedef struct ich_ops_options {
    const char *op;    /* this one alone, a row for each of its cases; NULL: all, only the worst of each */
    const char *shape; /* of these, cases whose shape contains this text; NULL: all; or, with '=', a case of
                          its own (typed_shape.h) */
    const volatile int *stop; /* may be NULL */
} ich_ops_options;

typedef struct ich_ops_result {
    size_t rows, broken;
    char first[200];    /* the first broken row, in words */
    ich_error left_out; /* why a typed shape was not tried in full; "" if it was */
} ich_ops_result;

/* Prints op,check,kernels,cases,checked,worst_error,bound,share,shape,where, a row for each op, check and
 * table; `share` is worst_error / bound: above 1 the bound is broken. Fails when memory is out, nothing was
 * asked for, or *stop was raised. */
bool ich_ops_audit(const ich_ops_options *options, FILE *out, ich_ops_result *result, ich_error *err);

#endif
