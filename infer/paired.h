/* paired.h: two readers or models on the same cases: which is better, and may it be chance?
 *
 * Arrays are parallel over n cases; labels 0 or 1. A figure that does not exist is NaN, and `why` says so in
 * a few words. All tests are two-sided, all intervals 95 %.
 *
 * Calls: stats, distributions. Called by: compare, tests.
 */
#ifndef ICH_INFER_PAIRED_H
#define ICH_INFER_PAIRED_H

#include <stddef.h>

typedef struct ich_test {
    double estimate, low, high; /* of the difference a - b, or of what the test is about */
    double statistic, p;
    const char *method, *why; /* why: NULL, or why p is NaN */
} ich_test;

/* Cases by what a and b say, or by whether they are right. */
typedef struct ich_pairs {
    size_t both, only_a, only_b, neither;
} ich_pairs;

/* Difference of AUC with its variance from the covariance of the placement values (DeLong, DeLong and
 * Clarke-Pearson 1988); statistic z. Two curves that rank alike: z = 0, p = 1. */
ich_test ich_delong_paired(const double *a, const double *b, const double *label, size_t n);

/* Difference of the shares that a and b get right, with Newcombe's interval (Statistics in Medicine
 * 1998;17:2635, method 10). Under equal readers only_a is binomial(only_a + only_b, 1/2) (McNemar 1947):
 * exact, or with half the probability of the observed table (mid-p: Fagerland, Lydersen and Laake 2013),
 * which keeps its level and has more power. statistic: the smaller of the two counts. */
ich_test ich_mcnemar_exact(ich_pairs right);
ich_test ich_mcnemar_mid_p(ich_pairs right);

/* Agreement beyond chance (Cohen 1960), interval and test of kappa = 0 with the variances of Fleiss, Cohen
 * and Everitt 1969; statistic z. */
ich_test ich_kappa(ich_pairs said);

/* Mean of a - b with Student's interval and test; statistic t. */
ich_test ich_paired_t(const double *a, const double *b, size_t n);
/* Wilcoxon 1945, zero differences left out, ties at middle ranks: exact (given the ranks) up to 50
 * differences, then normal with the variance corrected for ties. estimate: median difference; statistic: the
 * smaller sum of ranks. */
ich_test ich_signed_rank(const double *a, const double *b, size_t n);

double ich_mean(const double *values, size_t n);   /* NaN for none */
double ich_median(const double *values, size_t n); /* NaN for none, or when memory is out */

#endif
