/* PhysioNet's CT-ICH (Hssayeni et al. 2020, Data 5(1):14): a volume a patient, and a table with a row a
 * slice. In a dataset made from it, slices.csv says which slice of the original is where.
 */
#include "csv.h"
#include "file.h"
#include "import_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row of hemorrhage_diagnosis_raw_ct.csv. */
typedef struct diagnosis {
    int patient, slice; /* counted from 1 */
    float label[ICH_LABELS];
    bool used;
} diagnosis;

/* Which slice of which volume an image is, where a slices.csv says it: not every slice of the original is
 * there. */
typedef struct placed {
    char *study_id;
    int slice_index, patient, slice;
} placed;

typedef struct ct_ich {
    ich_job *job;
    diagnosis *rows; /* by patient and slice */
    placed *places;  /* NULL: slice k of a patient is k - 1 of the volume */
    size_t n, n_places, beyond;
} ct_ich;

static int by_slice(const void *a, const void *b) {
    const diagnosis *x = a, *y = b;
    if (x->patient != y->patient) return x->patient < y->patient ? -1 : 1;
    return (x->slice > y->slice) - (x->slice < y->slice);
}

static diagnosis *find_row(const ct_ich *ct, int patient, int slice) {
    const diagnosis wanted = {.patient = patient, .slice = slice};
    return ct->n ? bsearch(&wanted, ct->rows, ct->n, sizeof *ct->rows, by_slice) : NULL;
}

static bool whole_number(const ich_csv *csv, size_t row, int column, int *to, ich_error *err) {
    double value;
    if (!ich_csv_number(csv, row, column, &value, err)) return false;
    *to = value >= 0 && value <= 1e6 && value == floor(value) ? (int)value : -1;
    return *to >= 0 || ich_fail(err, "%s: line %zu: %s is '%s': it must be a whole number", csv->path,
                                csv->lines[row], csv->header[column], ich_csv_cell(csv, row, column));
}

static bool read_row(diagnosis *to, const ich_csv *csv, size_t row, const int columns[2],
                     const int labels[ICH_LABELS], ich_error *err) {
    if (!whole_number(csv, row, columns[0], &to->patient, err) ||
        !whole_number(csv, row, columns[1], &to->slice, err))
        return false;
    for (int l = 0; l < ICH_LABELS; l++)
        if (!ich_label_parse(ich_csv_cell(csv, row, labels[l]), &to->label[l]))
            return ich_fail(err, "%s: line %zu: %s is '%s': it must be 0 or 1", csv->path, csv->lines[row],
                            csv->header[labels[l]], ich_csv_cell(csv, row, labels[l]));
    to->label[ICH_ANY] = 1 - to->label[ICH_ANY]; /* the column is No_Hemorrhage */
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++)
        if (to->label[l] > 0) to->label[ICH_ANY] = 1;
    return true;
}

static bool read_rows(ct_ich *ct, const ich_csv *csv, ich_error *err) {
    static const char *const names[ICH_LABELS] = {"No_Hemorrhage",    "Epidural",     "Intraparenchymal",
                                                  "Intraventricular", "Subarachnoid", "Subdural"};
    int columns[2], labels[ICH_LABELS];
    if (!ich_csv_require(csv, "PatientNumber", &columns[0], err) ||
        !ich_csv_require(csv, "SliceNumber", &columns[1], err))
        return false;
    for (int l = 0; l < ICH_LABELS; l++)
        if (!ich_csv_require(csv, names[l], &labels[l], err)) return false;
    ct->rows = ich_new(csv->n_rows, sizeof *ct->rows, csv->path, err);
    if (!ct->rows) return false;
    for (ct->n = 0; ct->n < csv->n_rows; ct->n++)
        if (!read_row(&ct->rows[ct->n], csv, ct->n, columns, labels, err)) return false;
    qsort(ct->rows, ct->n, sizeof *ct->rows, by_slice);
    for (size_t i = 1; i < ct->n; i++)
        if (by_slice(&ct->rows[i - 1], &ct->rows[i]) == 0)
            return ich_fail(err, "%s: slice %d of patient %d is in it twice: remove one", csv->path,
                            ct->rows[i].slice, ct->rows[i].patient);
    return true;
}

static int by_place(const void *a, const void *b) {
    const placed *x = a, *y = b;
    const int order = strcmp(x->study_id, y->study_id);
    return order ? order : (x->slice_index > y->slice_index) - (x->slice_index < y->slice_index);
}

/* The columns study_id, slice_index and image_id ("50-3": patient, slice). */
static bool read_places(ct_ich *ct, const ich_csv *csv, ich_error *err) {
    int study, index, image;
    if (!ich_csv_require(csv, "study_id", &study, err) || !ich_csv_require(csv, "slice_index", &index, err) ||
        !ich_csv_require(csv, "image_id", &image, err))
        return false;
    ct->places = ich_new(csv->n_rows, sizeof *ct->places, csv->path, err);
    if (!ct->places) return false;
    for (size_t row = 0; row < csv->n_rows; row++) {
        placed *p = &ct->places[ct->n_places++];
        const char *id = ich_csv_cell(csv, row, image);
        int end = 0;
        p->study_id = strdup(ich_csv_cell(csv, row, study));
        if (!p->study_id) return ich_fail(err, "%s: out of memory: its studies", csv->path);
        if (!whole_number(csv, row, index, &p->slice_index, err)) return false;
        if (sscanf(id, "%9d-%9d%n", &p->patient, &p->slice, &end) != 2 || id[end] != '\0')
            return ich_fail(err, "%s: line %zu: image_id is '%s': it must be patient-slice, as 50-3",
                            csv->path, csv->lines[row], id);
    }
    qsort(ct->places, ct->n_places, sizeof *ct->places, by_place);
    return true;
}

static bool read_with(ct_ich *ct, const char *path, bool (*read)(ct_ich *, const ich_csv *, ich_error *),
                      ich_error *err) {
    ich_csv csv;
    if (!ich_csv_read(&csv, path, err)) return false;
    const bool done = read(ct, &csv, err);
    ich_csv_free(&csv);
    return done;
}

static bool read_tables(ct_ich *ct, ich_error *err) {
    char *path = ich_path_join(ct->job->options->source, "slices.csv");
    if (!path) return ich_fail(err, "%s: out of memory: a path", ct->job->options->source);
    const bool done = read_with(ct, ct->job->table, read_rows, err) &&
                      (!ich_path_exists(path) || read_with(ct, path, read_places, err));
    free(path);
    return done;
}

static bool label_slice(ct_ich *ct, ich_study *to, int z, int patient, int slice, ich_error *err) {
    diagnosis *row = find_row(ct, patient, slice);
    if (row) {
        row->used = true;
        memcpy(to->slice_label[z], row->label, sizeof row->label);
    }
    free(to->image_id[z]);
    if (asprintf(&to->image_id[z], "%d-%d", patient, slice) >= 0) return true;
    to->image_id[z] = NULL;
    return ich_fail(err, "out of memory: image ids");
}

static bool label_placed(ct_ich *ct, ich_study *to, int slices, ich_error *err) {
    for (size_t i = 0; i < ct->n_places; i++) {
        const placed *p = &ct->places[i];
        if (strcmp(p->study_id, to->study_id) != 0) continue;
        if (p->slice_index >= slices)
            ct->beyond++;
        else if (!label_slice(ct, to, p->slice_index, p->patient, p->slice, err))
            return false;
    }
    return true;
}

static bool label_from_rows(void *self, ich_study *to, int slices, ich_error *err) {
    ct_ich *ct = self;
    char *end;
    const long patient = strtol(to->study_id, &end, 10);
    if (!ich_job_add_slices(to, slices, err)) return false;
    if (ct->places) {
        if (!label_placed(ct, to, slices, err)) return false;
    } else if (end > to->study_id && *end == '\0' && patient >= 0 && patient <= 1000000) {
        for (int z = 0; z < slices; z++)
            if (!label_slice(ct, to, z, (int)patient, z + 1, err)) return false;
    }
    ich_labels_of_slices(to);
    return true;
}

static void tell_unused(const ct_ich *ct) {
    size_t unused = 0;
    for (size_t i = 0; i < ct->n; i++) unused += !ct->rows[i].used;
    if (unused > 0)
        ich_progress_line(ct->job->progress, "%s: %zu of its %zu rows are about no slice that was imported",
                          ct->job->table, unused, ct->n);
    if (ct->beyond > 0)
        ich_progress_line(ct->job->progress, "slices.csv: %zu of its rows are beyond the end of their volume",
                          ct->beyond);
}

bool ich_import_ct_ich(ich_job *job, ich_error *err) {
    ct_ich ct = {.job = job};
    const bool done = read_tables(&ct, err) && ich_import_volumes(job, label_from_rows, &ct, err);
    if (done) tell_unused(&ct);
    for (size_t i = 0; i < ct.n_places; i++) free(ct.places[i].study_id);
    free(ct.places);
    free(ct.rows);
    return done;
}
