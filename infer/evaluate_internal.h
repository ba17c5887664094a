/* evaluate_internal.h: what the files of `evaluate` share.
 *
 * evaluate.c: the verb and metrics.csv   evaluate_curves.c: ROC and calibration
 */
#ifndef ICH_INFER_EVALUATE_INTERNAL_H
#define ICH_INFER_EVALUATE_INTERNAL_H

#include "bootstrap.h"
#include "stats.h"
#include "tables.h"

bool ich_write_roc(const char *folder, const ich_joined joined[ICH_LEVELS], double threshold, ich_error *err);
bool ich_write_calibration(const char *folder, const ich_joined joined[ICH_LEVELS], ich_error *err);

#endif
