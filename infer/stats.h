/* stats.h: figures of merit with their intervals.
 *
 * Inputs are parallel arrays of n scores and labels (0 or 1); callers leave unknown labels out. Doubles,
 * because a table's probabilities near 1 would tie in float. A figure that cannot be computed (one class
 * only, nothing called positive) is NaN, and `why` says so in a few words.
 *
 * Calls: libc. Called by: infer/evaluate, train (validation), tests.
 */
#ifndef ICH_INFER_STATS_H
#define ICH_INFER_STATS_H

#include "tensor/error.h"
#include <stddef.h>

typedef struct ich_figure {
    double value, low, high; /* 95 % interval; NaN where none */
    const char *method;      /* "Wilson 1927" */
    const char *why;         /* NULL, or why the value, or an interval that the method has, is NaN */
} ich_figure;

/* The `why` of a figure that memory did not suffice for, for callers to compare the pointer with: not a
 * figure that does not exist, but a run that fails. */
extern const char ich_no_memory[];

/* Counts at a threshold; a score ≥ threshold is called positive. */
typedef struct ich_confusion {
    size_t tp, fp, tn, fn;
} ich_confusion;

/* AUC: P(score of a positive > score of a negative), ties counted half (Mann-Whitney), with DeLong's 1988
 * variance in the fast form of Sun and Xu 2014; plain (Wald) interval clipped to [0, 1]. */
ich_figure ich_auc_delong(const double *score, const double *label, size_t n);
/* The same of what training holds: logits do as well as probabilities. */
ich_figure ich_auc(const float *score, const float *label, size_t n);

/* k of n with Wilson's 1927 score interval. */
ich_figure ich_proportion(size_t k, size_t n);

ich_confusion ich_confusion_at(const double *score, const double *label, size_t n, double threshold);

/* Average precision: sum over distinct scores of (recall step) · precision, as sklearn's. */
ich_figure ich_average_precision(const double *score, const double *label, size_t n);
ich_figure ich_brier(const double *score, const double *label, size_t n); /* mean (p - y)² (Brier 1950) */
/* Mean of -log of the probability given to what is true, clipped to DBL_EPSILON … 1 - DBL_EPSILON, as
 * sklearn's. */
ich_figure ich_log_loss(const double *score, const double *label, size_t n);

/* Cases whose score lies in bin b of `count` equal-width bins: b / count ≤ score < (b + 1) / count, the last
 * with its end. */
typedef struct ich_bin {
    size_t cases;
    double scores, labels; /* sums */
} ich_bin;
void ich_bins(const double *score, const double *label, size_t n, int count, ich_bin *bins);
/* Expected calibration error over such bins (Naeini 2015): mean over cases of |mean score - frequency|. */
ich_figure ich_calibration_error(const ich_bin *bins, int count);

/* One point of the ROC curve per distinct score, highest first, beginning with (+inf, 0, 0). Arrays of n + 1;
 * returns the number of points, 0 if one class only, SIZE_MAX when memory is out. */
size_t ich_roc(const double *score, const double *label, size_t n, double *threshold, double *fpr,
               double *tpr);

/* Highest-sensitivity threshold whose PPV is at least `target`, or highest-specificity threshold whose
 * sensitivity is at least `target`; a score that occurs. NaN when there is none. */
double ich_threshold_for_ppv(const double *score, const double *label, size_t n, double target);
double ich_threshold_for_sensitivity(const double *score, const double *label, size_t n, double target);
/* The highest score with the greatest sensitivity + specificity (Youden 1950). NaN when a class is missing.
 */
double ich_threshold_youden(const double *score, const double *label, size_t n);

#endif
