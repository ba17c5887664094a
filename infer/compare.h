/* compare.h: two readers or models on the same studies.
 *
 * Each of the three inputs is a table with study_id, any and perhaps the types (and seconds, of a and b), or
 * a folder that holds one as studies.csv. Compared is what all three know, label by label.
 *
 * Calls: tables, paired, data. Called by: cli.
 */
#ifndef ICH_INFER_COMPARE_H
#define ICH_INFER_COMPARE_H

#include "paired.h"
#include "tables.h"

typedef struct ich_compare_options {
    const char *a, *b, *truth;
    double at; /* a score ≥ at is called positive */
} ich_compare_options;

typedef struct ich_comparison_row {
    const char *label, *metric; /* "any", "accuracy"; times: "all", "seconds" */
    double a, b;
    ich_test test;
    size_t n, positives;
} ich_comparison_row;

enum { ICH_COMPARISON_ROWS = 8 * ICH_LABELS + 2 };

typedef struct ich_comparison {
    double at;
    size_t n_rows;
    ich_comparison_row rows[ICH_COMPARISON_ROWS];
} ich_comparison;

/* Studies of a or b that the other or the truth lacks go to `skipped`. Fails if no study with a known *any*
 * label is in all three. */
bool ich_compare(const ich_compare_options *options, ich_comparison *result, ich_skipped *skipped,
                 ich_error *err);
/* label,metric,a,b,estimate,ci_low,ci_high,method,statistic,p_value,n,n_positive: estimate is a - b, or
 * kappa; a figure that does not exist is an empty field, and `method` says why. */
void ich_comparison_put(const ich_comparison *comparison, FILE *stream);
/* The same to read. */
void ich_comparison_print(const ich_comparison *comparison, FILE *stream);

#endif
