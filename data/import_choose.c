/* From records to studies, and from a study's series to the one that becomes its volume. */
#include "file.h"
#include "import_dicom.h"
#include "tensor/hash.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double whole = 0.6; /* of the length of a study's longest series: as much a series must cover */

/* -- studies and series ---------------------------------------------------------------------------------- */

static int by_series(const void *a, const void *b, void *records) {
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;
    const ich_record *x = (const ich_record *)records + i, *y = (const ich_record *)records + j;
    const int order = strcmp(x->study_id, y->study_id);
    if (order != 0) return order;
    if (x->series_number != y->series_number) return x->series_number < y->series_number ? -1 : 1;
    if (x->series != y->series) return x->series < y->series ? -1 : 1;
    return (i > j) - (i < j);
}

const ich_record *ich_record_at(const ich_dicom_job *dj, size_t place) {
    return &dj->records[dj->order[place]];
}

static bool sort_records(ich_dicom_job *dj, ich_error *err) {
    const size_t n = dj->job->files.n;
    dj->order = ich_new(n, sizeof *dj->order, "the list of slices", err);
    if (!dj->order) return false;
    for (size_t i = 0; i < n; i++)
        if (dj->records[i].state == ICH_READ || dj->records[i].state == ICH_LEFT_OUT)
            dj->order[dj->n_order++] = i;
    if (dj->n_order > 1) qsort_r(dj->order, dj->n_order, sizeof *dj->order, by_series, dj->records);
    size_t studies = 0;
    for (size_t i = 0; i < dj->n_order; i++)
        studies += i == 0 || strcmp(ich_record_at(dj, i)->study_id, ich_record_at(dj, i - 1)->study_id) != 0;
    dj->studies = ich_new(studies, sizeof *dj->studies, "the list of studies", err);
    dj->todo = ich_new(studies, sizeof *dj->todo, "the list of studies", err);
    if (!dj->studies || !dj->todo) return false;
    for (size_t i = 0; i < dj->n_order; i++) {
        if (i == 0 || strcmp(ich_record_at(dj, i)->study_id, ich_record_at(dj, i - 1)->study_id) != 0)
            dj->studies[dj->n_studies++].first = i;
        dj->studies[dj->n_studies - 1].count++;
    }
    return true;
}

ich_frame ich_record_frame(const ich_dicom_job *dj, size_t place, int frame, const ich_dicom_plane *plane) {
    const ich_record *r = ich_record_at(dj, place);
    return (ich_frame){.file = dj->order[place],
                       .frame = frame,
                       .rows = r->rows,
                       .columns = r->columns,
                       .acquisition = r->acquisition,
                       .instance = r->frames > 1 ? frame : r->instance,
                       .thickness = r->thickness,
                       .plane = *plane};
}

/* A series as one could choose it. */
typedef struct candidate {
    size_t first, count;
    bool makes_volume, is_whole, is_axial, contrast, sharp;
    int64_t slices;
    size_t pixels;          /* of the largest slice */
    double spacing, length; /* mm: between slices, and from the first to the last with their thickness */
} candidate;

/* Files of many frames are not opened for this; their first header has to do. */
static bool weigh(const ich_dicom_job *dj, candidate *c, ich_error *err) {
    const ich_record *r = ich_record_at(dj, c->first);
    ich_frame *frames = ich_new(c->count, sizeof *frames, "a series' slices", err);
    if (!frames) return false;
    size_t n = 0;
    int64_t many = 0;
    for (size_t i = c->first; i < c->first + c->count; i++) {
        const size_t pixels = (size_t)ich_record_at(dj, i)->rows * (size_t)ich_record_at(dj, i)->columns;
        if (pixels > c->pixels) c->pixels = pixels;
        if (ich_record_at(dj, i)->frames > 1) many += ich_record_at(dj, i)->frames;
        frames[n++] = ich_record_frame(dj, i, 0, &ich_record_at(dj, i)->plane);
    }
    ich_stack stack;
    const double *a = r->plane.along[0], *b = r->plane.along[1];
    c->is_axial = fabs(a[0] * b[1] - a[1] * b[0]) > 0.7;
    c->contrast = r->contrast, c->sharp = r->sharp;
    c->makes_volume = many > 0;
    c->slices = many, c->spacing = r->thickness;
    if (many == 0 && ich_stack_arrange(&stack, frames, n, NULL)) {
        c->makes_volume = true;
        c->slices = stack.n_levels, c->spacing = stack.step;
        ich_stack_free(&stack);
    }
    c->length = (double)c->slices * c->spacing;
    free(frames);
    return true;
}

/* The rule, as the verb's help states it. */
static bool is_better(const candidate *a, const candidate *b, double spacing) {
    if (a->makes_volume != b->makes_volume) return a->makes_volume;
    if (a->is_whole != b->is_whole) return a->is_whole;
    if (a->is_axial != b->is_axial) return a->is_axial;
    if (a->contrast != b->contrast) return b->contrast;
    if (a->sharp != b->sharp) return b->sharp;
    const double x = fabs(a->spacing - spacing), y = fabs(b->spacing - spacing);
    if (fabs(x - y) > 0.01) return x < y;
    return a->slices > b->slices; /* then the one with the lower series number, which comes first */
}

static bool choose_series(ich_dicom_job *dj, ich_scan_study *s, ich_error *err) {
    candidate *list = ich_new(s->count, sizeof *list, "a study's series", err);
    if (!list) return false;
    size_t n = 0;
    double longest = 0;
    bool done = true;
    for (size_t i = s->first; i < s->first + s->count; i++) {
        if (i == s->first || ich_record_at(dj, i)->series != ich_record_at(dj, i - 1)->series)
            list[n++] = (candidate){.first = i};
        list[n - 1].count++;
    }
    for (size_t i = 0; done && i < n; i++) {
        done = weigh(dj, &list[i], err);
        if (list[i].makes_volume) longest = fmax(longest, list[i].length);
    }
    const candidate *best = &list[0];
    for (size_t i = 0; i < n; i++) list[i].is_whole = list[i].length >= whole * longest;
    for (size_t i = 1; i < n; i++)
        if (is_better(&list[i], best, dj->job->options->spacing)) best = &list[i];
    const ich_record *r = ich_record_at(dj, best->first);
    const size_t voxels = best->pixels * (size_t)best->slices;
    if (voxels <= ich_most_voxels && voxels > dj->most) dj->most = voxels;
    s->chosen = best->first, s->n_chosen = best->count;
    s->key = ich_fnv(ich_fnv_start, r->study_id, strlen(r->study_id) + 1);
    s->key = ich_fnv(s->key, &r->series, sizeof r->series);
    free(list);
    return done;
}

/* What the ledger knows of a study is taken over if its volume is there. */
bool ich_import_choose(ich_dicom_job *dj, ich_error *err) {
    if (!sort_records(dj, err)) return false;
    for (size_t i = 0; i < dj->n_studies; i++) {
        ich_scan_study *s = &dj->studies[i];
        if (!choose_series(dj, s, err)) return false;
        const ich_entry *entry = ich_ledger_find(&dj->job->ledger, s->key);
        char *path = ich_job_volume_path(dj->job, ich_record_at(dj, s->first)->study_id);
        const bool ended = entry && path && (entry->slices == 0 || ich_path_exists(path));
        free(path);
        if (!ended) {
            dj->todo[dj->n_todo++] = i;
            continue;
        }
        s->slices = entry->slices;
        s->text = strdup(entry->text);
        if (!s->text) return ich_fail(err, "out of memory: remarks");
    }
    return true;
}
