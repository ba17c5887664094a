#include "infer/slices.h"

#include <stdlib.h>
#include <string.h>

bool ich_slices_open(ich_slices *slices, const ich_recipe *recipe, int rows, ich_error *err) {
    memset(slices, 0, sizeof *slices);
    if (!ich_recipe_preprocess(recipe, &slices->preprocess, err)) return false;
    const size_t size = (size_t)slices->preprocess.size;
    slices->count = size * size * (size_t)slices->preprocess.channels;
    slices->rows = rows;
    slices->bytes = ich_new((size_t)rows, slices->count, "a chunk of slices", err);
    return slices->bytes != NULL;
}

void ich_slices_close(ich_slices *slices) {
    free(slices->bytes);
    memset(slices, 0, sizeof *slices);
}

bool ich_slices_one(const ich_slices *slices, const ich_volume *volume, int slice, int row, float *out) {
    uint8_t *bytes = slices->bytes + (size_t)row * slices->count;
    if (!ich_preprocess_slice(&slices->preprocess, volume, slice, bytes, NULL)) return false;
    const ich_rng unused = ich_rng_make(0, ICH_RNG_AUGMENT, 0); /* no augmentation in prediction */
    ich_preprocess_finish(&slices->preprocess, bytes, NULL, unused, out);
    return true;
}

bool ich_slices_read(const ich_slices *slices, const ich_volume *volume, int first, int rows, float *out,
                     ich_error *err) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : failed)
    for (int i = 0; i < rows; i++)
        if (!ich_slices_one(slices, volume, first + i, i, out + (size_t)i * slices->count)) failed++;
    return failed == 0 ||
           ich_fail(err, "no memory to resample a slice of %d × %d pixels", volume->width, volume->height);
}
