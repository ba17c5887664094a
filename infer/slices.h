/* slices.h: a volume's slices as the network sees them: preprocessed without augmentation, one code path for
 * prediction and audit.
 *
 * Calls: data (preprocess, recipe, volume). Called by: cnn, audit.
 */
#ifndef ICH_INFER_SLICES_H
#define ICH_INFER_SLICES_H

#include "data/recipe.h"
#include "data/volume.h"

typedef struct ich_slices {
    ich_preprocess preprocess;
    size_t count;   /* numbers of a slice: size · size · channels */
    int rows;       /* at most at a time */
    uint8_t *bytes; /* [rows][count] */
} ich_slices;

bool ich_slices_open(ich_slices *slices, const ich_recipe *recipe, int rows, ich_error *err);
void ich_slices_close(ich_slices *slices);

/* One network slice -> out [size][size][channels]; its bytes stay in place `row`. May run for several rows at
 * once. False when memory is out. */
bool ich_slices_one(const ich_slices *slices, const ich_volume *volume, int slice, int row, float *out);

/* Network slices first … first + rows - 1 of the volume -> out [rows][size][size][channels]. */
bool ich_slices_read(const ich_slices *slices, const ich_volume *volume, int first, int rows, float *out,
                     ich_error *err);

#endif
