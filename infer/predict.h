/* predict.h: from a model and scans to the predictions folder of the contract.
 *
 * Studies are taken in the order of studies.csv; the next one's file is read in the background while one is
 * computed, so that at most two volumes are in memory. The files are the same for any number of threads,
 * but for the column `seconds`.
 *
 * Calls: study, scans, heatmap, data (volume, csv, file, skipped). Called by: cli.
 */
#ifndef ICH_INFER_PREDICT_H
#define ICH_INFER_PREDICT_H

#include "data/skipped.h"
#include "infer/explain.h"
#include "infer/model.h"
#include "tensor/progress.h"

typedef struct ich_predict_options {
    bool heatmaps;               /* heatmaps/<study_id>.nii.gz and heatmaps/<study_id>/<slice_index>.png */
    ich_explain_options explain; /* what they show; zeros: evidence for `any`, by the default method */
    bool keep_ids;               /* name studies of a folder of DICOM by StudyInstanceUID, not by its hash */
    ich_skipped *flagged; /* gets the studies that were answered, but are unlike training's; may be NULL */
} ich_predict_options;

/* `input`: dataset folder, volume, or DICOM (scans.h), which is made a dataset in folder/scans.
 * Writes folder/studies.csv and slices.csv, about.csv
 * (`key,value`: where the answers come from, which report shows and follows to the scans), and skipped.csv if
 * a study could not be read or answered: such a study is added to `skipped` and the rest goes on;
 * flagged.csv, of the same columns, if a study is unlike those that the model learned from (likeness.h).
 * Fails if no study is left, the folder cannot be written, or *stop (may be NULL) becomes nonzero; the tables
 * are then as they were before.
 *
 * A model with a Gaussian process adds a column `uncertainty` to studies.csv: the standard deviation of the
 * logit of `any`.
 *
 * A study's `seconds` run from opening its file to its last output, the wait for the study before it
 * included. */
bool ich_predict(const ich_model *model, const char *input, const char *folder,
                 const ich_predict_options *options, const ich_progress *progress, const volatile int *stop,
                 ich_skipped *skipped, ich_error *err);

#endif
