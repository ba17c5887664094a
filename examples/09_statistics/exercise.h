#ifndef EXAMPLES_09_EXERCISE_H
#define EXAMPLES_09_EXERCISE_H

/* Wilson's 95 % interval for k of n (1927): all p with |k/n - p| ≤ 1.959963984540054 sqrt(p
 * (1 - p) / n). */
void wilson(int k, int n, double *low, double *high);

/* AUC of n cases, label 0 or 1, ties counted half, and its standard error by DeLong, DeLong
 * and Clarke-Pearson 1988: with V10(i) = share of negatives that positive i beats, V01(j) =
 * share of positives that beat negative j, and S10, S01 their sample variances, Var = S10 /
 * positives + S01 / negatives. */
void delong(int n, const double *score, const int *label, double *auc, double *error);

/* McNemar's exact two-sided p of two readers: one alone was right in b cases, the other alone
 * in c. Under equal readers b is binomial(b + c, 1/2); twice the smaller tail, at most 1. */
double mcnemar(int b, int c);

#endif
