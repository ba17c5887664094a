/* evaluate.h: predictions against the truth: metrics.csv, roc.csv, calibration.csv and two pictures.
 *
 * Both folders hold studies.csv (study_id and label columns) and perhaps slices.csv (… slice_index …): a
 * dataset, or a predictions folder. They are joined by study_id and slice_index; unknown labels take no part.
 * A figure that does not exist is an empty field, and `method` says why.
 *
 * Calls: tables, stats, bootstrap, plot, data (csv, file, skipped). Called by: cli.
 */
#ifndef ICH_INFER_EVALUATE_H
#define ICH_INFER_EVALUATE_H

#include "stats.h"
#include "tables.h"
#include <stdint.h>

typedef struct ich_evaluate_options {
    const char *predictions, *truth, *out;
    const char *split;     /* only studies of this split of the truth; NULL: all */
    const char *choose_on; /* choose the threshold on the studies of this split, which then take no part in
                            * the figures unless `split` asks for them; NULL */
    double threshold;      /* a score ≥ threshold is called positive; NaN: the model's own, or else 0.5 */
    double target_ppv;     /* NaN, or choose the study threshold of *any* that reaches it */
    double target_sensitivity; /* likewise. With choose_on and none of the three: Youden's */
    int bootstrap;             /* draws of patients for intervals; 0: none */
    uint64_t seed;             /* of the draws */
} ich_evaluate_options;

/* What a person wants to see first. */
typedef struct ich_evaluation {
    double threshold;
    size_t n[ICH_LEVELS], positives[ICH_LEVELS]; /* known *any* labels with a prediction */
    ich_figure auc[ICH_LEVELS], ppv[ICH_LEVELS], sensitivity[ICH_LEVELS], specificity[ICH_LEVELS];
    size_t not_predicted[ICH_LEVELS]; /* studies and slices of the truth without a prediction */
} ich_evaluation;

/* Predicted studies that the truth does not know go to `skipped` (and skipped.csv). Fails if nothing can be
 * joined. */
bool ich_evaluate(const ich_evaluate_options *options, ich_evaluation *result, ich_skipped *skipped,
                  ich_error *err);
void ich_evaluation_print(const ich_evaluation *evaluation, FILE *stream);

#endif
