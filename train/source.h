/* source.h: the studies that a run learns from and is validated on, decoded.
 *
 * Split train is learned from, split val validates, everything else stays unopened. A dataset without splits
 * is learned from as a whole, and nothing validates. Studies without a single known label are left out.
 *
 * Calls: data (dataset, cache, skipped). Called by: loop, pretrain, finetune.
 */
#ifndef ICH_TRAIN_SOURCE_H
#define ICH_TRAIN_SOURCE_H

#include "data/cache.h"
#include "job.h"

typedef struct ich_source {
    ich_dataset dataset;
    ich_cache cache;
    ich_skipped skipped;
    uint32_t *train, *val; /* indices of studies, in the dataset's order */
    size_t n_train, n_val;
    bool split;
    bool *lost; /* [n_studies] that the disk has lost while training: all ranks agree on them */
    char fingerprint[17];
} ich_source;

/* Reads the tables. `slices`: labels come from slices.csv, whose unknown studies go to source->skipped;
 * otherwise that file is not opened. */
bool ich_source_open(ich_source *source, const char *dataset, bool slices, ich_error *err);
/* Decodes the studies; those that cannot be read go to source->skipped, and all of that to <out>/skipped.csv.
 */
bool ich_source_decode(ich_source *source, const ich_train_job *job, ich_error *err);
void ich_source_free(ich_source *source);

/* Label of slice z (network order); NaN six times where slices.csv has no row, or the study is lost. */
void ich_source_slice_label(const ich_source *source, uint32_t study, int z, float label[ICH_LABELS]);

/* Did the disk lose another study? All ranks ask together, between steps; its labels are unknown from then
 * on. */
bool ich_source_lost_more(ich_source *source);
/* Label of a study; unknown six times for one that is lost. */
void ich_source_study_label(const ich_source *source, uint32_t study, float label[ICH_LABELS]);
/* Adds the lost studies to <out>/skipped.csv. */
bool ich_source_name_lost(ich_source *source, const char *out, ich_error *err);

bool ich_any_known(const float label[ICH_LABELS]);

#endif
