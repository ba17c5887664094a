/* conformal.h: thresholds that keep a promise on studies to come, whatever the model.
 *
 * The promise rests on one thing only: that the studies to come are like those of the validation set
 * (exchangeable with them). A score ≥ threshold is called positive; the threshold is one of the scores.
 *
 * Calls: distributions. Called by: calibrate, tests.
 */
#ifndef ICH_INFER_CONFORMAL_H
#define ICH_INFER_CONFORMAL_H

#include <stddef.h>

typedef struct ich_promise {
    double threshold; /* NaN: the cases are too few for the promise; infinite: memory is out */
    size_t missed;    /* at most so many of the n cases lie below it */
    size_t needed;    /* cases that the promise takes at least */
} ich_promise;

/* The highest threshold below which a new positive's score falls with a probability of at most `most`, on
 * average over validation sets: split conformal prediction (Vovk et al. 2005) of one class; the same as
 * conformal risk control (below) of the loss "missed". */
ich_promise ich_promise_on_average(const double *positive, size_t n, double most);

/* The highest threshold that misses more than `most` of the positives to come in at most 1 - confidence of
 * all validation sets. The share below the k-th smallest of n scores is Beta(k, n + 1 - k), or less with
 * ties, so k is the largest for which P(Binomial(n, most) < k) ≤ 1 - confidence (Wilks 1941; what Bates et
 * al. 2021, arXiv 2101.02703, bound for any risk is exact for this one). */
ich_promise ich_promise_sure(const double *positive, size_t n, double most, double confidence);

/* Conformal risk control (Angelopoulos et al. 2022, arXiv 2208.02814, theorem 1): of n cases each loses
 * weight[i] where score[i] < threshold; a case may have several scores, whose weights sum to at most 1. The
 * highest threshold with (sum of what is lost + 1) / (cases + 1) ≤ most; a new case then loses at most `most`
 * on average. NaN if there is none, infinite when memory is out. */
double ich_risk_control(const double *score, const double *weight, size_t n, size_t cases, double most);

#endif
