/* bootstrap.h: intervals that know that one patient's cases belong together.
 *
 * As many patients as there are are drawn with replacement, with all their studies or slices, over and over;
 * an interval is what the middle 95 % of the figures span (percentile bootstrap of clusters: Efron and
 * Tibshirani 1993, chapter 13; Field and Welsh 2007). All labels share a draw, so that macro figures get
 * intervals too. The draws depend on the seed alone, not on the number of threads.
 *
 * Calls: tables, stats, tensor (rng). Called by: evaluate, tests.
 */
#ifndef ICH_INFER_BOOTSTRAP_H
#define ICH_INFER_BOOTSTRAP_H

#include "tables.h"
#include <stdint.h>

typedef enum ich_metric {
    ICH_AUC,
    ICH_PPV,
    ICH_NPV,
    ICH_SENSITIVITY,
    ICH_SPECIFICITY,
    ICH_ACCURACY,
    ICH_AVERAGE_PRECISION,
    ICH_BRIER,
    ICH_ECE,
    ICH_LOG_LOSS,
    ICH_METRICS
} ich_metric;
extern const char *const ich_metric_names[ICH_METRICS];

enum {
    ICH_CALIBRATION_BINS = 15,
    ICH_MACRO = ICH_LABELS, /* the types' mean, of those types that have the figure; without *any* */
    ICH_ROWS                /* labels and macro */
};

typedef struct ich_sample ich_sample; /* the cases of all labels, in the order of their scores */

/* `threshold`: a score ≥ it is called positive. */
ich_sample *ich_sample_make(const ich_joined *joined, double threshold, ich_error *err);
void ich_sample_free(ich_sample *sample);

/* All figures, each case counted as often as its patient; times NULL: once. NaN where there is none. */
typedef struct ich_figures {
    double value[ICH_ROWS][ICH_METRICS];
    double rsna_loss; /* log loss over all labels, *any* counted twice (RSNA 2019) */
} ich_figures;
void ich_sample_figures(const ich_sample *sample, const uint32_t *times, ich_figures *figures);

typedef struct ich_intervals {
    ich_figures low, high; /* NaN where fewer than 95 % of the draws have the figure */
} ich_intervals;
bool ich_bootstrap(const ich_sample *sample, int repeats, uint64_t seed, ich_intervals *intervals,
                   ich_error *err);

#endif
