/* calibration.h: a straight line on the logit that makes probabilities honest.
 *
 * p' = sigmoid(slope · logit + offset). With offset (Platt 1999) or without (temperature 1 / slope: Guo et
 * al. 2017, arXiv 1706.04599). Both minimise the log loss against Platt's targets, (n₊ + 1) / (n₊ + 2) and 1
 * / (n₋ + 2) in place of 1 and 0, so that classes that are parted perfectly don't ask for an infinite slope.
 *
 * Calls: libc. Called by: calibrate, tests.
 */
#ifndef ICH_INFER_CALIBRATION_H
#define ICH_INFER_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>

typedef struct ich_line {
    double slope, offset;
} ich_line;

/* NULL, or a few words on why there is no such line; then *line is slope 1, offset 0. */
const char *ich_line_fit(const double *logit, const double *label, size_t n, bool with_offset,
                         ich_line *line);

double ich_logit(double probability); /* finite: as if one probability in 2·10⁹ were the least that is told */
double ich_sigmoid(double logit);

#endif
