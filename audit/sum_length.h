/* sum_length.h: how many roundings lie behind a number that a layer computes, and what they may add up to.
 *
 * A sum of n products, in any order, is off by at most γ(n) Σ |x y|, γ(n) = n u / (1 - n u), u the unit
 * roundoff (Higham 2002, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1, eq. 3.5).
 *
 * Calls: layer_run. Called by: layer_check.
 */
#ifndef ICH_AUDIT_SUM_LENGTH_H
#define ICH_AUDIT_SUM_LENGTH_H

#include "audit/layer_run.h"

#define ICH_ROUNDOFF_F32 0x1p-24
#define ICH_ROUNDOFF_F64 0x1p-53

static inline double ich_gamma(double n, double roundoff) { return n * roundoff / (1 - n * roundoff); }

/* Whether bfloat16 tables compute the op otherwise than float ones: its factors are rounded to 8 bits first,
 * by at most ICH_ROUNDOFF_BF16 of each. */
bool ich_has_bf16(const char *op);
#define ICH_ROUNDOFF_BF16 0x1p-8

/* Roundings on the longest way to one number of the output; to one of the gradients. 0: the op is unknown. */
double ich_forward_roundings(const ich_layer_run *run);
double ich_backward_roundings(const ich_layer_run *run);

#endif
