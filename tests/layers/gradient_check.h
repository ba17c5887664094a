/* gradient_check.h: is the backward that was written by hand the derivative of the forward?
 *
 * Every element of every input and parameter is moved, in double precision, by ±h and ±2h, and
 *   f'(x) = (8 (f(x+h) - f(x-h)) - (f(x+2h) - f(x-2h))) / 12h + O(h⁴)
 * is compared with what backward says. f is Σ probe · out; the differences are taken output by output, so
 * that what did not move cancels exactly.
 */
#ifndef ICH_TESTS_GRADIENT_CHECK_H
#define ICH_TESTS_GRADIENT_CHECK_H

#include "layer_run.h"

enum { GRADIENT_REPORTS = 3 }; /* wrong elements that are named for each tensor */

typedef struct gradient_result {
    size_t checked, wrong;
    double worst; /* relative error: |a - n| / max(|a|, |n|, 1e-4 of the tensor's largest) */
} gradient_result;

/* Prints layer, tensor, element, both values and the error of what is wrong by more than `bound`. */
gradient_result gradient_check(const layer_case *c, double bound);
gradient_result gradient_check_run(layer_run *run, double bound); /* of a run that was made already */

#endif
