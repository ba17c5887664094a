#include "cache_world.h"
#include "scratch.h"
#include "tensor/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *write_study(int index) {
    const int nx = 24, ny = 18 + index, nz = 3 + index;
    const double up = index % 2 ? -5 : 5,
                 affine[4][4] = {{-0.9, 0, 0, 1}, {0, 0.9, 0, 2}, {0, 0, up, 3}, {0, 0, 0, 1}};
    const size_t count = (size_t)(nx * ny * nz);
    int16_t *hu = malloc(count * sizeof *hu);
    assert_non_null(hu);
    ich_rng rng = ich_rng_make(3, ICH_RNG_TEST, (uint64_t)index);
    for (size_t i = 0; i < count; i++) hu[i] = (int16_t)ich_rng_range(&rng, -30, 110);
    char name[32];
    snprintf(name, sizeof name, "s%d.nii.gz", index);
    const char *path = scratch_path(name);
    ich_error err = {""};
    if (!ich_volume_write_hu(path, hu, nx, ny, nz, affine, &err)) fail_msg("%s", err.text);
    free(hu);
    return path;
}

ich_dataset world_make(void) {
    ich_dataset d = {.folder = strdup(scratch_path("")), .n_studies = WORLD_STUDIES};
    d.studies = calloc(WORLD_STUDIES, sizeof *d.studies);
    assert_true(d.folder && d.studies);
    for (int i = 0; i < WORLD_STUDIES; i++) {
        char id[8];
        snprintf(id, sizeof id, "s%d", i);
        d.studies[i].study_id = strdup(id);
        d.studies[i].path = strdup(write_study(i));
    }
    return d;
}

void world_free(ich_dataset *d) {
    for (size_t i = 0; i < d->n_studies; i++) {
        free(d->studies[i].study_id);
        free(d->studies[i].path);
    }
    free(d->studies);
    free(d->folder);
}

ich_preprocess world_preprocess(void) { return ich_preprocess_default(WORLD_SIZE); }

ich_cache world_cache(const ich_dataset *dataset, const char *folder) {
    ich_cache cache;
    ich_skipped skipped = {0};
    ich_error err = {""};
    const ich_preprocess p = world_preprocess();
    if (!ich_cache_open(&cache, dataset, NULL, scratch_path(folder), &p, &skipped, NULL, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 0);
    return cache;
}
