/* scans.h: what a prediction is asked for: the studies of a dataset folder, or one volume, or DICOM: a folder
 * or a file.
 *
 * Of a dataset, studies.csv gives identity and place, and slices.csv, where there is one, gives only the
 * image identifiers that the answers carry: labels play no part here.
 *
 * Calls: data (dataset, import, csv, file). Called by: predict, report.
 */
#ifndef ICH_INFER_SCANS_H
#define ICH_INFER_SCANS_H

#include "data/skipped.h"
#include "tensor/progress.h"

typedef struct ich_scan {
    char *study_id, *path;
    char **image_id; /* [n_images] by stored slice_index; NULL where none */
    int n_images;
} ich_scan;

typedef struct ich_scans {
    ich_scan *scans;
    size_t count;
} ich_scans;

/* `input`: a dataset folder, or a .nii, .nii.gz, .hdr or .img file, whose name without that ending becomes
 * the study_id. */
bool ich_scans_list(ich_scans *scans, const char *input, ich_error *err);

/* A folder that is no dataset, or a file that is no NIfTI by its name, is taken for DICOM and made a dataset
 * (data/import.h), at folder/scans; its path goes to *dataset, in fresh memory, and what was left out to
 * `skipped`. *dataset stays NULL for any other input.
 */
bool ich_scans_import(const char *input, const char *folder, bool keep_ids, char **dataset,
                      const ich_progress *progress, const volatile int *stop, ich_skipped *skipped,
                      ich_error *err);
void ich_scans_free(ich_scans *scans);

#endif
