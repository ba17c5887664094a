/* dataset.h: the dataset folder of the contract: studies.csv, slices.csv, volumes/.
 *
 * Calls: csv, file, skipped, rng, hash. Called by: train, infer, cli.
 */
#ifndef ICH_DATA_DATASET_H
#define ICH_DATA_DATASET_H

#include "labels.h"
#include "skipped.h"
#include "tensor/error.h"
#include <stddef.h>

typedef enum ich_split {
    ICH_SPLIT_NONE,
    ICH_SPLIT_TRAIN,
    ICH_SPLIT_VAL,
    ICH_SPLIT_TEST,
    ICH_SPLITS
} ich_split;
extern const char *const ich_split_names[ICH_SPLITS]; /* as in the table: "", "train", "val", "test" */

typedef struct ich_study {
    char *study_id, *patient_id;
    char *path;              /* of the volume, joined with the folder */
    float label[ICH_LABELS]; /* 0, 1 or NaN: unknown */
    ich_split split;         /* ICH_SPLIT_NONE where the table has no such column or an empty field */
    int n_slice_labels;      /* rows of slice_label: highest slice_index + 1; 0 without slices.csv */
    float (*slice_label)[ICH_LABELS]; /* [stored slice_index][label], NaN where unknown */
    char **image_id;                  /* [stored slice_index], NULL where none */
} ich_study;

typedef struct ich_dataset {
    char *folder;
    ich_study *studies;
    size_t n_studies;
    bool has_split, has_slice_labels;
} ich_dataset;

/* Reads studies.csv, and slices.csv only if `slices` (fine-tuning must not open it) and it exists. Fails on a
 * missing column, a study twice, a label that is not 0, 1 or empty, a study_id or path that would leave the
 * folder (absolute, or with ".."). Slices of a study that studies.csv does not have are left out, and the
 * study goes to `skipped` (which may be NULL without `slices`). */
bool ich_dataset_read(ich_dataset *dataset, const char *folder, bool slices, ich_skipped *skipped,
                      ich_error *err);
void ich_dataset_free(ich_dataset *dataset);

/* Writes the split column of folder/studies.csv (other columns kept as they are): patients, not studies, are
 * drawn, stratified by whether any of their studies is positive. fractions: train, val, test; they sum to 1.
 * Each that is not 0 gets a patient, and a positive one, if there are enough. The draw depends on the seed
 * and the patients, not on the order of rows. counts: studies in each. */
bool ich_dataset_split(const char *folder, const double fractions[3], unsigned long long seed,
                       size_t counts[3], ich_error *err);

/* Hex FNV-1a of what a model learned from: ids, labels, split, and each volume's size. */
bool ich_dataset_fingerprint(const ich_dataset *dataset, char hex[17], ich_error *err);

#endif
