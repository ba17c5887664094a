/* report.h: a predictions folder as one page that opens from disk: worklist, slices, attention, heatmaps.
 *
 * The page is report.html with the data in its place; it loads nothing. It first holds the tables and the
 * program that shows them, then each study's pictures, so that a browser shows the worklist while it still
 * reads.
 *
 * Calls: report_pictures, script_json, scans, picture (colours), data (csv, file). Called by: cli.
 */
#ifndef ICH_INFER_REPORT_H
#define ICH_INFER_REPORT_H

#include "data/skipped.h"
#include "tensor/error.h"
#include "tensor/progress.h"
#include <stddef.h>

typedef struct ich_report_options {
    const char *predictions;
    const char *out;   /* folder of index.html; NULL: <predictions>/report */
    const char *scans; /* what was predicted, dataset or file; NULL: where predict found it (about.csv) */
    const char *evaluation; /* folder that evaluate wrote, for ROC and calibration; NULL: none */
    double threshold;       /* from which a study is called positive; NaN: the evaluation's, the
                             * model's, or else 0.5 */
    size_t picture_budget;  /* bytes of pictures in the page before base64; each study has the same share */
    const ich_progress *progress; /* may be NULL */
    ich_skipped *left_out;        /* gets the scans that are there and could not be shown; may be NULL */
} ich_report_options;

/* Scans that are not where they were are no failure: the page then has predict's overlays, or no pictures.
 * Those that are there and cannot be shown are named in the page, in skipped.csv beside it and in `left_out`.
 */
bool ich_report_write(const ich_report_options *options, ich_error *err);

#endif
