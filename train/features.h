/* features.h: the CNN's features of every slice, computed once, for heads that train on a frozen CNN.
 *
 * They live in a file without a name in the run's cache folder, mapped into memory: the system keeps in RAM
 * what fits and gives the disk space back when the run ends, however it ends.
 *
 * Calls: mil, feed, data (cache). Called by: finetune.
 */
#ifndef ICH_TRAIN_FEATURES_H
#define ICH_TRAIN_FEATURES_H

#include "job.h"
#include "mil.h"
#include "source.h"

typedef struct ich_features {
    float *rows;   /* [slices][width] */
    size_t *first; /* [n_studies] row of each study's first slice */
    size_t bytes, width;
} ich_features;

/* Of all studies of train and val, without augmentation, by a bound `mil` that does not learn. */
bool ich_features_compute(ich_features *features, const ich_source *source, ich_mil *mil,
                          const ich_train_job *job, ich_error *err);
void ich_features_free(ich_features *features);

/* The slices of a group's studies, packed, into out. */
void ich_features_gather(const ich_features *features, const ich_mil_group *group, float *out);

#endif
