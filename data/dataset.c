/* Both tables are read whole; the studies' ids are sorted once, so that a study named twice is a pair of
 * neighbours and a slice finds its study by bisection.
 */
#include "dataset.h"
#include "csv.h"
#include "file.h"
#include "tensor/hash.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MOST_ID = 200,           /* bytes: leaves room for the endings of files named after a study */
    MOST_SLICES = 1 << 14,   /* of a study, as cache.c has it */
    MOST_LABELLED = 1 << 26, /* slices of all studies: 90 times RSNA's, 2 GiB */
};

const char *const ich_split_names[ICH_SPLITS] = {"", "train", "val", "test"};

/* -- cells ----------------------------------------------------------------------------------------------- */

/* The start of every message about a row: file and line. */
#define AT "%s: line %zu: "

static bool read_labels(const ich_csv *csv, size_t row, const int columns[ICH_LABELS],
                        float label[ICH_LABELS], ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++) {
        const char *cell = ich_csv_cell(csv, row, columns[l]);
        if (!ich_label_parse(cell, &label[l]))
            return ich_fail(err, AT "%s is '%s': write 0, 1 or, where unknown, nothing", csv->path,
                            csv->lines[row], ich_label_names[l], cell);
    }
    return true;
}

static bool read_split(const ich_csv *csv, size_t row, int column, ich_split *split, ich_error *err) {
    const char *cell = column < 0 ? "" : ich_csv_cell(csv, row, column);
    for (*split = ICH_SPLIT_NONE; *split < ICH_SPLITS; ++*split)
        if (!strcmp(cell, ich_split_names[*split])) return true;
    return ich_fail(err, AT "split is '%s': write train, val, test or nothing", csv->path, csv->lines[row],
                    cell);
}

static bool is_printable(const char *text) {
    for (; *text; text++)
        if (iscntrl((unsigned char)*text)) return false;
    return true;
}

/* Files are named after a study, so its id must be a file's name, and no other folder's. */
static bool check_id(const ich_csv *csv, size_t row, const char *id, ich_error *err) {
    if (*id && strlen(id) <= MOST_ID && !strchr(id, '/') && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 &&
        is_printable(id))
        return true;
    return ich_fail(err, AT "study_id '%.*s' cannot name a file: use 1 to %d characters without '/'",
                    csv->path, csv->lines[row], MOST_ID, id, MOST_ID);
}

static bool leaves_folder(const char *path) {
    if (*path == '/') return true;
    for (;;) {
        const size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') return true;
        if (!path[n]) return false;
        path += n + 1;
    }
}

static bool check_path(const ich_csv *csv, size_t row, const char *path, ich_error *err) {
    if (*path && is_printable(path) && !leaves_folder(path)) return true;
    return ich_fail(err,
                    AT "path '%.*s' must name a file inside the dataset's folder: no leading '/', no '..'",
                    csv->path, csv->lines[row], MOST_ID, path);
}

/* -- studies.csv ----------------------------------------------------------------------------------------- */

typedef struct columns {
    int study_id, patient_id, path, split, slice_index, image_id, label[ICH_LABELS];
} columns;

static bool find_labels(const ich_csv *csv, columns *at, ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++)
        if (!ich_csv_require(csv, ich_label_names[l], &at->label[l], err)) return false;
    return true;
}

static bool read_study(ich_study *study, const ich_csv *csv, size_t row, const columns *at,
                       const char *folder, ich_error *err) {
    const char *id = ich_csv_cell(csv, row, at->study_id), *path = ich_csv_cell(csv, row, at->path);
    const char *patient = ich_csv_cell(csv, row, at->patient_id);
    if (!check_id(csv, row, id, err) || !check_path(csv, row, path, err)) return false;
    if (!*patient)
        return ich_fail(err, AT "patient_id is empty, and a split keeps patients whole by it: fill it in",
                        csv->path, csv->lines[row]);
    study->study_id = strdup(id);
    study->patient_id = strdup(patient);
    study->path = ich_path_join(folder, path);
    if (!study->study_id || !study->patient_id || !study->path)
        return ich_fail(err, "%s: out of memory: its studies", csv->path);
    return read_labels(csv, row, at->label, study->label, err) &&
           read_split(csv, row, at->split, &study->split, err);
}

static int by_id(const void *a, const void *b) {
    return strcmp((*(ich_study *const *)a)->study_id, (*(ich_study *const *)b)->study_id);
}

/* The studies by id in fresh memory; fails where two have the same. Study i is row i of `csv`. */
static ich_study **sort_studies(const ich_dataset *d, const ich_csv *csv, ich_error *err) {
    ich_study **sorted = ich_new(d->n_studies, sizeof *sorted, csv->path, err);
    if (!sorted) return NULL;
    for (size_t i = 0; i < d->n_studies; i++) sorted[i] = &d->studies[i];
    qsort(sorted, d->n_studies, sizeof *sorted, by_id);
    for (size_t i = 1; i < d->n_studies; i++) {
        if (strcmp(sorted[i - 1]->study_id, sorted[i]->study_id) != 0) continue;
        const size_t a = csv->lines[sorted[i - 1] - d->studies], b = csv->lines[sorted[i] - d->studies];
        ich_fail(err, AT "study '%s' is on line %zu already: remove or rename one", csv->path, a > b ? a : b,
                 sorted[i]->study_id, a > b ? b : a);
        free(sorted);
        return NULL;
    }
    return sorted;
}

static ich_study **read_studies(ich_dataset *d, const ich_csv *csv, ich_error *err) {
    columns at;
    if (!ich_csv_require(csv, "study_id", &at.study_id, err) ||
        !ich_csv_require(csv, "patient_id", &at.patient_id, err) ||
        !ich_csv_require(csv, "path", &at.path, err) || !find_labels(csv, &at, err))
        return NULL;
    at.split = ich_csv_column(csv, "split");
    d->has_split = at.split >= 0;
    d->studies = ich_new(csv->n_rows, sizeof *d->studies, csv->path, err);
    if (!d->studies) return NULL;
    for (size_t row = 0; row < csv->n_rows; row++) {
        d->n_studies++;
        if (!read_study(&d->studies[row], csv, row, &at, d->folder, err)) return NULL;
    }
    return sort_studies(d, csv, err);
}

/* -- slices.csv ------------------------------------------------------------------------------------------ */

typedef struct slice_row { /* what a row is about */
    ich_study *study;      /* NULL: none of studies.csv */
    int slice;
    size_t row;
} slice_row;

static bool find_slice(slice_row *r, const ich_csv *csv, const columns *at, const ich_dataset *d,
                       ich_study *const *sorted, ich_error *err) {
    ich_study key = {.study_id = (char *)ich_csv_cell(csv, r->row, at->study_id)}, *key_pointer = &key;
    ich_study *const *found = bsearch(&key_pointer, sorted, d->n_studies, sizeof *sorted, by_id);
    if (!found) return true;
    double slice;
    if (!ich_csv_number(csv, r->row, at->slice_index, &slice, err)) return false;
    if (!(slice >= 0 && slice < MOST_SLICES && slice == floor(slice)))
        return ich_fail(err, AT "slice_index is '%s': write a whole number from 0 to %d", csv->path,
                        csv->lines[r->row], ich_csv_cell(csv, r->row, at->slice_index), MOST_SLICES - 1);
    r->study = *found;
    r->slice = (int)slice;
    if (r->slice >= r->study->n_slice_labels) r->study->n_slice_labels = r->slice + 1;
    return true;
}

/* Room for every study's slices, as unknown as they are until their rows are read. */
static bool make_slices(ich_dataset *d, const char *path, ich_error *err) {
    size_t total = 0;
    for (size_t i = 0; i < d->n_studies; i++) total += (size_t)d->studies[i].n_slice_labels;
    if (total > MOST_LABELLED)
        return ich_fail(err, "%s: its slice_index ask for %zu slices, limit %d: correct them", path, total,
                        MOST_LABELLED);
    for (size_t i = 0; i < d->n_studies; i++) {
        ich_study *s = &d->studies[i];
        const size_t n = (size_t)s->n_slice_labels;
        if (!n) continue;
        s->image_id = ich_new(n, sizeof *s->image_id, path, err);
        s->slice_label = ich_new(n, sizeof *s->slice_label, path, err);
        if (!s->image_id || !s->slice_label) return false;
        for (size_t z = 0; z < n; z++)
            for (int l = 0; l < ICH_LABELS; l++) s->slice_label[z][l] = NAN;
    }
    return true;
}

/* Rows of unknown studies come first, in the order of the file. */
static int by_slice(const void *a, const void *b) {
    const slice_row *x = a, *y = b;
    if (x->study != y->study) return x->study < y->study ? -1 : 1;
    if (x->slice != y->slice) return x->slice < y->slice ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Before the cells are read: a slice's second row would replace its first. */
static bool check_twice(const ich_csv *csv, const slice_row *rows, size_t n, ich_error *err) {
    for (size_t i = 1; i < n; i++) {
        const slice_row *a = &rows[i - 1], *b = &rows[i];
        if (a->study == b->study && a->slice == b->slice)
            return ich_fail(err, AT "slice %d of study '%s' is on line %zu already: remove one", csv->path,
                            csv->lines[b->row], b->slice, b->study->study_id, csv->lines[a->row]);
    }
    return true;
}

static bool fill_slice(const slice_row *r, const ich_csv *csv, const columns *at, ich_error *err) {
    const char *image_id = ich_csv_cell(csv, r->row, at->image_id);
    if (*image_id) {
        char *copy = r->study->image_id[r->slice] = strdup(image_id);
        if (!copy) return ich_fail(err, "%s: out of memory: its image ids", csv->path);
    }
    return read_labels(csv, r->row, at->label, r->study->slice_label[r->slice], err);
}

typedef struct stranger { /* a row of an unknown study */
    const char *study_id;
    size_t row;
} stranger;

static int by_stranger(const void *a, const void *b) {
    const stranger *x = a, *y = b;
    const int order = strcmp(x->study_id, y->study_id);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static bool skip_stranger(ich_skipped *skipped, const ich_csv *csv, const stranger *first) {
    ich_error why;
    ich_fail(&why, AT "study '%.*s' is not in studies.csv: add it there or remove its slices", csv->path,
             csv->lines[first->row], MOST_ID, first->study_id);
    return ich_skipped_add(skipped, csv->path, first->study_id, why.text);
}

/* Names each study of the first n rows once. */
static bool skip_strangers(ich_skipped *skipped, const ich_csv *csv, int column, const slice_row *rows,
                           size_t n, ich_error *err) {
    stranger *list = ich_new(n, sizeof *list, csv->path, err);
    if (!list) return false;
    for (size_t i = 0; i < n; i++) list[i] = (stranger){ich_csv_cell(csv, rows[i].row, column), rows[i].row};
    qsort(list, n, sizeof *list, by_stranger);
    bool done = true;
    for (size_t i = 0; done && i < n; i++)
        if (i == 0 || strcmp(list[i - 1].study_id, list[i].study_id) != 0)
            done = skip_stranger(skipped, csv, &list[i]) ||
                   ich_fail(err, "%s: out of memory: the list of unknown studies", csv->path);
    free(list);
    return done;
}

static bool read_rows(ich_dataset *d, const ich_csv *csv, const columns *at, ich_study *const *sorted,
                      slice_row *rows, ich_skipped *skipped, ich_error *err) {
    for (size_t row = 0; row < csv->n_rows; row++) {
        rows[row].row = row;
        if (!find_slice(&rows[row], csv, at, d, sorted, err)) return false;
    }
    qsort(rows, csv->n_rows, sizeof *rows, by_slice);
    size_t unknown = 0;
    while (unknown < csv->n_rows && !rows[unknown].study) unknown++;
    bool done = make_slices(d, csv->path, err) &&
                check_twice(csv, rows + unknown, csv->n_rows - unknown, err) &&
                skip_strangers(skipped, csv, at->study_id, rows, unknown, err);
    for (size_t i = unknown; done && i < csv->n_rows; i++) done = fill_slice(&rows[i], csv, at, err);
    return done;
}

static bool read_slices(ich_dataset *d, const ich_csv *csv, ich_study *const *sorted, ich_skipped *skipped,
                        ich_error *err) {
    columns at;
    if (!ich_csv_require(csv, "study_id", &at.study_id, err) ||
        !ich_csv_require(csv, "slice_index", &at.slice_index, err) ||
        !ich_csv_require(csv, "image_id", &at.image_id, err) || !find_labels(csv, &at, err))
        return false;
    slice_row *rows = ich_new(csv->n_rows, sizeof *rows, csv->path, err);
    const bool done = rows && read_rows(d, csv, &at, sorted, rows, skipped, err);
    free(rows);
    d->has_slice_labels = done;
    return done;
}

/* -- the folder ------------------------------------------------------------------------------------------ */

static bool add_slices(ich_dataset *d, ich_study *const *sorted, ich_skipped *skipped, ich_error *err) {
    char *path = ich_path_join(d->folder, "slices.csv");
    if (!path) return ich_fail(err, "%s: out of memory: a path", d->folder);
    bool done = true;
    if (ich_path_exists(path)) {
        ich_csv csv;
        done = ich_csv_read(&csv, path, err);
        if (done) {
            done = read_slices(d, &csv, sorted, skipped, err);
            ich_csv_free(&csv);
        }
    }
    free(path);
    return done;
}

bool ich_dataset_read(ich_dataset *dataset, const char *folder, bool slices, ich_skipped *skipped,
                      ich_error *err) {
    *dataset = (ich_dataset){.folder = strdup(folder)};
    char *path = ich_path_join(folder, "studies.csv");
    ich_csv csv = {0};
    ich_study **sorted = NULL;
    if (!dataset->folder || !path)
        ich_fail(err, "%s: out of memory: a path", folder);
    else if (ich_csv_read(&csv, path, err))
        sorted = read_studies(dataset, &csv, err);
    const bool done = sorted && (!slices || add_slices(dataset, sorted, skipped, err));
    free(sorted);
    ich_csv_free(&csv);
    free(path);
    if (!done) ich_dataset_free(dataset);
    return done;
}

void ich_dataset_free(ich_dataset *dataset) {
    for (size_t i = 0; i < dataset->n_studies; i++) {
        ich_study *s = &dataset->studies[i];
        for (int z = 0; s->image_id && z < s->n_slice_labels; z++) free(s->image_id[z]);
        free(s->image_id);
        free(s->slice_label);
        free(s->study_id);
        free(s->patient_id);
        free(s->path);
    }
    free(dataset->studies);
    free(dataset->folder);
    *dataset = (ich_dataset){0};
}

/* -- identity -------------------------------------------------------------------------------------------- */

static uint64_t hash_text(uint64_t hash, const char *text) { return ich_fnv(hash, text, strlen(text) + 1); }

/* Byte by byte, so that all machines agree. */
static uint64_t hash_number(uint64_t hash, uint64_t value) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(value >> 8 * i);
    return ich_fnv(hash, bytes, sizeof bytes);
}

static uint64_t hash_labels(uint64_t hash, const float label[ICH_LABELS]) {
    unsigned char bytes[ICH_LABELS];
    for (int l = 0; l < ICH_LABELS; l++) bytes[l] = isnan(label[l]) ? 2 : label[l] > 0;
    return ich_fnv(hash, bytes, sizeof bytes);
}

/* A volume that is not there, or not to be read, has a size of its own; a disk that does not answer has none.
 */
static bool size_of(const char *path, uint64_t *size, ich_error *err) {
    struct stat info;
    const int why = stat(path, &info) == 0 ? 0 : errno;
    *size = why ? UINT64_MAX : (uint64_t)info.st_size;
    return !why || why == ENOENT || why == ENOTDIR || why == EACCES || why == ELOOP || why == ENAMETOOLONG ||
           ich_fail(err, "%s: its size cannot be read (%s): try again", path, strerror(why));
}

bool ich_dataset_fingerprint(const ich_dataset *dataset, char hex[17], ich_error *err) {
    uint64_t hash = hash_number(ich_fnv_start, dataset->n_studies);
    for (size_t i = 0; i < dataset->n_studies; i++) {
        const ich_study *s = &dataset->studies[i];
        uint64_t size;
        if (!size_of(s->path, &size, err)) return false;
        hash = hash_text(hash_text(hash, s->study_id), s->patient_id);
        hash = hash_number(hash_labels(hash, s->label), s->split);
        hash = hash_number(hash, size);
        hash = hash_number(hash, (uint64_t)s->n_slice_labels);
        for (int z = 0; z < s->n_slice_labels; z++) hash = hash_labels(hash, s->slice_label[z]);
    }
    snprintf(hex, 17, "%016llx", (unsigned long long)hash);
    return true;
}
