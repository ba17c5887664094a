#include "lesson_data.h"

#include <ichor/data/dataset.h>
#include <ichor/data/preprocess.h>
#include <ichor/data/synth.h>
#include <ichor/data/volume.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Whether the mask's voxel under each pixel of the network's square is blood. */
static void place_mask(const ich_preprocess *p, const ich_volume *mask, int z, bool *out) {
    for (int i = 0; i < SIDE * SIDE; i++) {
        float x, y, mm;
        ich_preprocess_place(p, mask, (float)(i % SIDE), (float)(i / SIDE), &x, &y, &mm);
        const int column = (int)lroundf(x), row = (int)lroundf(y);
        const bool inside =
            column >= 0 && column < mask->width && row >= 0 && row < mask->height;
        out[i] =
            inside &&
            mask->hu[((size_t)z * (size_t)mask->height + (size_t)row) * (size_t)mask->width +
                     (size_t)column] > 0;
    }
}

static bool read_study(const ich_dataset *d, const ich_study *from, study *to,
                       ich_error *err) {
    const ich_preprocess p = ich_preprocess_default(SIDE);
    ich_volume volume = {0}, mask = {0};
    char path[1024];
    uint8_t bytes[PIXELS];
    snprintf(path, sizeof path, "%s/masks/%s.nii.gz", d->folder, from->study_id);
    bool done =
        ich_volume_read(&volume, from->path, err) && ich_volume_read(&mask, path, err);
    if (done) {
        const size_t n = (size_t)volume.slices;
        *to = (study){.slices = volume.slices,
                      .label = from->label[ICH_ANY],
                      .x = malloc(n * PIXELS * sizeof(float)),
                      .bleeds = malloc(n * sizeof(float)),
                      .mask = malloc(n * SIDE * SIDE * sizeof(bool))};
        done = to->x && to->bleeds && to->mask;
    }
    for (int z = 0; done && z < volume.slices; z++) {
        done = ich_preprocess_slice(&p, &volume, z, bytes, err);
        ich_preprocess_finish(&p, bytes, NULL, (ich_rng){0}, to->x + (size_t)z * PIXELS);
        to->bleeds[z] = from->slice_label[ich_volume_stored_slice(&volume, z)][ICH_ANY];
        place_mask(&p, &mask, z, to->mask + (size_t)z * SIDE * SIDE);
    }
    ich_volume_free(&volume);
    ich_volume_free(&mask);
    return done;
}

study *make_studies(const char *folder, int count, unsigned long long seed, ich_error *err) {
    const ich_synth options = {.studies = count,
                               .seed = seed,
                               .size = SIDE,
                               .prevalence = 0.5,
                               .population = 'a',
                               .masks = true};
    ich_dataset d = {0};
    study *studies = calloc((size_t)count, sizeof *studies);
    bool done = studies && ich_synth_write(&options, folder, NULL, NULL, err) &&
                ich_dataset_read(&d, folder, true, NULL, err);
    for (int i = 0; done && i < count; i++)
        done = read_study(&d, &d.studies[i], &studies[i], err);
    ich_dataset_free(&d);
    if (done) return studies;
    free_studies(studies, count);
    return NULL;
}

void free_studies(study *studies, int count) {
    for (int i = 0; studies && i < count; i++) {
        free(studies[i].x);
        free(studies[i].bleeds);
        free(studies[i].mask);
    }
    free(studies);
}
