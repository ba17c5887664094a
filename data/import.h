/* import.h: other people's data as a dataset folder.
 *
 *   rsna     RSNA 2019: stage_2_train.csv and a folder of loose DICOM slices, with labels of images
 *   cq500    CQ500: DICOM and reads.csv, three readers: the majority decides
 *   ct-ich   PhysioNet's CT-ICH: NIfTI and hemorrhage_diagnosis_raw_ct.csv, with labels of images
 *   dicom    any folder of DICOM      } study labels from a CSV, if one is given
 *   nifti    any folder of NIfTI      }
 *
 * Hostile input is handled in worker processes; what cannot be used is named with its reason, and the rest
 * goes on. An import that was stopped or killed goes on where it was when it is started again, and ends with
 * the same bytes. Memory grows by some 500 bytes a file.
 *
 * Of a DICOM file's texts none is written: studies are named by a hash of their StudyInstanceUID, patients
 * by their first study. With keep_ids, StudyInstanceUID and PatientID are kept. Names of input files appear
 * in skipped.csv only.
 *
 * Calls: dicom, dicom_series, dicom_worker, volume, dataset, csv, skipped, file. Called by: cli.
 */
#ifndef ICH_DATA_IMPORT_H
#define ICH_DATA_IMPORT_H

#include "skipped.h"
#include "tensor/progress.h"
#include <stdint.h>

#define ICH_USUAL_SPACING 5.0 /* mm: what most of RSNA's slices are apart */

typedef struct ich_import {
    const char *kind, *source, *out;
    const char *labels; /* CSV; NULL: where the kind has one, at its usual place */
    bool keep_ids;
    double spacing; /* mm: of several series of a study the one whose slices are nearest to this apart */
    int processes;
    uint64_t seed; /* of the split */
} ich_import;

typedef struct ich_import_result {
    size_t studies, slices;
    ich_skipped skipped; /* the inputs left out; also written to skipped.csv */
} ich_import_result;

/* The i-th kind's name, NULL at the end. */
const char *ich_import_kind(const void *unused, int i);

/* Writes studies.csv, slices.csv (where there are labels of images), volumes/, skipped.csv and notes.csv
 * (where there is something to tell). Fails if no study could be imported. Free the result either way. */
bool ich_import_run(const ich_import *options, ich_import_result *result, const ich_progress *progress,
                    const volatile int *stop, ich_error *err);
void ich_import_result_free(ich_import_result *result);

#endif
