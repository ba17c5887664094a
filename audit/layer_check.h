/* layer_check.h: is a layer's backward, which was written by hand, the derivative of its forward? And does
 * the layer in float, on each kernel table, compute what it computes in double with the plain loops?
 *
 * In double precision every number v that goes in is moved by ±h and ±2h. That gives the numerical gradient,
 *   f'(v) = (8 (f(v+h) - f(v-h)) - (f(v+2h) - f(v-2h))) / 12h + O(h⁴),
 * f = Σ probe · out, the differences taken output by output, so that what did not move cancels exactly; and
 * how sensitive each result r (output or gradient) is: κ(r) = |r| + Σ |∂r/∂v · v|.
 *
 * Bounds. n roundings between the numbers and r act as relative changes of at most γ(n) (sum_length.h), so in
 * float (with tables of bfloat16: plus the rounding of factors) |r - exact| ≤ γ(n) κ(r) to first order
 * (Higham 2002, section 1.6). For the numerical gradient the same in double for each difference, 9/12h of
 * them, and, for the series, the distance between the formula above and its shorter form (f(v+h) - f(v-h)) /
 * 2h, which is what the terms it drops are smaller than.
 *
 * Calls: layer_run, sum_length. Called by: ops, tests.
 */
#ifndef ICH_AUDIT_LAYER_CHECK_H
#define ICH_AUDIT_LAYER_CHECK_H

#include "audit/layer_run.h"

typedef struct ich_layer_finding {
    const ich_layer_case *c;
    const char *kernels; /* a table's name; "double" for the numerical gradient */
    const char *check;   /* "gradient", "forward", "backward" */
    size_t checked, wrong;
    double error, bound;  /* where their ratio is largest */
    double got, expected; /* there */
    char where[100];      /* "d weight[17]" */
} ich_layer_finding;

/* One result: counts it, and keeps it if its error is the largest part of its bound so far. */
void ich_layer_judge(ich_layer_finding *f, double got, double expected, double bound, const char *what,
                     size_t i);

typedef void ich_layer_visit(void *self, const ich_layer_finding *finding);

/* All of it for a small case. Fails when memory is out, or the op has no row in sum_length.c. */
bool ich_layer_check(const ich_layer_case *c, ich_layer_visit *visit, void *self, ich_error *err);

/* The numerical gradient alone, of a run in double that was made already. */
bool ich_gradient_check(ich_layer_run *run, ich_layer_finding *finding, ich_error *err);

#endif
