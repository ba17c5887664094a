/* distributions.h: the few probability distributions that tests and bounds need.
 *
 * Calls: libc. Called by: infer (paired, conformal), tests.
 */
#ifndef ICH_INFER_DISTRIBUTIONS_H
#define ICH_INFER_DISTRIBUTIONS_H

#include <stddef.h>

/* P(|Z| ≥ |z|), Z standard normal. */
double ich_normal_two_sided(double z);
/* P(|T| ≥ |t|), T Student's with `freedom` degrees of freedom; and the t at which P(T ≤ t) = p. */
double ich_student_two_sided(double t, double freedom);
double ich_student_quantile(double p, double freedom);
/* Regularised incomplete beta function I_x(a, b): P(B ≤ x), B Beta(a, b). a, b > 0. */
double ich_beta_cdf(double x, double a, double b);
/* P(X = k) and P(X ≤ k), X binomial of n trials, each p. */
double ich_binomial(size_t k, size_t n, double p);
double ich_binomial_cdf(size_t k, size_t n, double p);

#endif
