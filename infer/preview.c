#include "infer/preview.h"

#include "data/dataset.h"
#include "data/volume.h"
#include "infer/picture.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BAR = 8, EDGE = 1, LEAST_NUMBERED = 64 }; /* pixels; smaller slices carry no number */

typedef struct sheet {
    const ich_preview_options *options;
    ich_picture picture;
    uint8_t *pixels; /* of one slice */
    int rows, columns;
} sheet;

static bool sheet_open(sheet *s, size_t n_studies, ich_error *err) {
    const ich_preview_options *o = s->options;
    const int cell = o->preprocess.size + EDGE;
    s->rows = n_studies < (size_t)o->studies ? (int)n_studies : o->studies;
    s->columns = o->slices;
    s->pixels = ich_new((size_t)o->preprocess.size * (size_t)o->preprocess.size,
                        (size_t)o->preprocess.channels, "a slice", err);
    return s->pixels && ich_picture_init(&s->picture, BAR + s->columns * cell, s->rows * cell, err);
}

static void sheet_close(sheet *s) {
    ich_picture_free(&s->picture);
    free(s->pixels);
}

/* Red, green and blue are the first three channels; one alone is grey, and of two the second is also blue. */
static void put_slice(sheet *s, int row, int column, int stored) {
    const int side = s->options->preprocess.size, channels = s->options->preprocess.channels;
    const int last = channels < 3 ? channels - 1 : 2;
    const int x0 = BAR + column * (side + EDGE), y0 = row * (side + EDGE);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            const uint8_t *from = s->pixels + ((size_t)y * (size_t)side + (size_t)x) * (size_t)channels;
            uint8_t *to =
                s->picture.rgb + 3 * ((size_t)(y0 + y) * (size_t)s->picture.width + (size_t)(x0 + x));
            for (int c = 0; c < 3; c++) to[c] = from[c < last ? c : last];
        }
    char number[16];
    snprintf(number, sizeof number, "%d", stored);
    if (side >= LEAST_NUMBERED) ich_picture_text(&s->picture, x0 + 2, y0 + 2, 1, number);
}

/* The middle ones of `columns` equal parts of the volume; all of them where it has fewer. */
static bool put_volume(sheet *s, int row, const ich_volume *volume, ich_error *err) {
    const int n = volume->slices < s->columns ? volume->slices : s->columns;
    for (int i = 0; i < n; i++) {
        const int z = (int)(((int64_t)2 * i + 1) * volume->slices / (2 * n));
        if (!ich_preprocess_slice(&s->options->preprocess, volume, z, s->pixels, err)) return false;
        put_slice(s, row, i, ich_volume_stored_slice(volume, z));
    }
    return true;
}

static void put_bar(sheet *s, int row, float any) {
    static const uint8_t red[3] = {220, 50, 47}, green[3] = {70, 150, 60}, grey[3] = {90, 90, 90};
    const int side = s->options->preprocess.size;
    ich_picture_fill(&s->picture, 0, row * (side + EDGE), BAR - 2, side,
                     isnan(any)  ? grey
                     : any > 0.5 ? red
                                 : green);
}

/* "row 3: study_id: any, subdural, 34 slices of 512 × 512, 5 mm apart" */
static void tell(const ich_progress *progress, int row, const ich_study *study, const ich_volume *volume) {
    char labels[200] = "";
    for (int l = 0, n = 0; l < ICH_LABELS; l++)
        if (study->label[l] > 0.5)
            n += snprintf(labels + n, sizeof labels - (size_t)n, "%s, ", ich_label_names[l]);
    ich_progress_line(progress, "row %d: %s: %s%d slices of %d × %d, %.4g mm apart", row + 1, study->study_id,
                      isnan(study->label[ICH_ANY]) ? "not labelled, "
                      : *labels                    ? labels
                                                   : "no hemorrhage, ",
                      volume->slices, volume->width, volume->height, (double)volume->spacing[2]);
}

/* False: memory is out, or the list of what is left out cannot grow. */
static bool put_study(sheet *s, int row, const ich_study *study, const ich_progress *progress,
                      ich_skipped *skipped, ich_error *err) {
    ich_volume volume;
    ich_error why = {0};
    if (!ich_volume_read(&volume, study->path, &why))
        return ich_skipped_add(skipped, study->path, study->study_id, why.text) ||
               ich_fail(err, "no memory for the list of inputs left out");
    put_bar(s, row, study->label[ICH_ANY]);
    const bool done = put_volume(s, row, &volume, err);
    if (done) tell(progress, row, study, &volume);
    ich_volume_free(&volume);
    return done;
}

static bool put_studies(sheet *s, const ich_dataset *dataset, const ich_progress *progress,
                        const volatile int *stop, ich_skipped *skipped, ich_error *err) {
    bool done = true;
    for (int row = 0; done && row < s->rows; row++) {
        const size_t i = (size_t)row * dataset->n_studies / (size_t)s->rows;
        if (stop && *stop) return ich_fail(err, "stopped: nothing was written");
        done = put_study(s, row, &dataset->studies[i], progress, skipped, err);
    }
    if (!done || skipped->n_rows < (size_t)s->rows) return done;
    return ich_fail(err, "%s: none of its studies can be read, the first because: %s", dataset->folder,
                    skipped->rows[0].reason);
}

bool ich_preview_write(const char *dataset, const char *path, const ich_preview_options *options,
                       const ich_progress *progress, const volatile int *stop, ich_skipped *skipped,
                       ich_error *err) {
    ich_dataset data;
    sheet s = {.options = options};
    if (!ich_dataset_read(&data, dataset, false, NULL, err)) return false;
    bool done = data.n_studies > 0 ||
                ich_fail(err, "%s: studies.csv names no study: add a row for each scan", dataset);
    done = done && sheet_open(&s, data.n_studies, err) &&
           put_studies(&s, &data, progress, stop, skipped, err) && ich_picture_write(&s.picture, path, err);
    sheet_close(&s);
    ich_dataset_free(&data);
    return done;
}
