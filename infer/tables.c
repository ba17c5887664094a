#include "tables.h"

#include "data/file.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const char *const ich_level_names[ICH_LEVELS] = {"study", "slice"};
const char *const ich_level_plurals[ICH_LEVELS] = {"studies", "slices"};
const char *const ich_level_files[ICH_LEVELS] = {"studies.csv", "slices.csv"};
enum { MOST_SLICE_INDEX = 1 << 20 };

/* -- reading ------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    const ich_entry *x = a, *y = b;
    const int order = strcmp(x->study, y->study);
    return order ? order : (x->slice > y->slice) - (x->slice < y->slice);
}

static bool read_slice(const ich_csv *csv, size_t row, int column, int *slice, ich_error *err) {
    double value;
    if (!ich_csv_number(csv, row, column, &value, err)) return false;
    if (!(value >= 0 && value <= MOST_SLICE_INDEX && value == floor(value)))
        return ich_fail(err, "%s: line %zu: slice_index '%s' is not a whole number from 0 to %d: correct it",
                        csv->path, csv->lines[row], ich_csv_cell(csv, row, column), MOST_SLICE_INDEX);
    *slice = (int)value;
    return true;
}

static bool read_value(const ich_csv *csv, size_t row, int column, bool truth, double *value,
                       ich_error *err) {
    if (!ich_csv_number(csv, row, column, value, err)) return false;
    if (isnan(*value) || (truth ? *value == 0 || *value == 1 : *value >= 0 && *value <= 1)) return true;
    return ich_fail(err, "%s: line %zu: %s is '%s': %s", csv->path, csv->lines[row], csv->header[column],
                    ich_csv_cell(csv, row, column),
                    truth ? "the truth is 0, 1 or empty" : "a probability lies between 0 and 1");
}

typedef struct columns {
    int study, slice, patient, split, seconds, label[ICH_LABELS]; /* -1: there is none */
} columns;

static bool find_columns(const ich_csv *csv, ich_level level, bool truth, columns *at, ich_error *err) {
    at->slice = -1;
    at->patient = ich_csv_column(csv, "patient_id");
    at->split = ich_csv_column(csv, "split");
    at->seconds = truth ? -1 : ich_csv_column(csv, "seconds");
    for (int l = 0; l < ICH_LABELS; l++) at->label[l] = ich_csv_column(csv, ich_label_names[l]);
    return ich_csv_require(csv, "study_id", &at->study, err) &&
           ich_csv_require(csv, ich_label_names[ICH_ANY], &at->label[ICH_ANY], err) &&
           (level == ICH_LEVEL_STUDY || ich_csv_require(csv, "slice_index", &at->slice, err));
}

static const char *text_at(const ich_csv *csv, size_t row, int column) {
    return column < 0 ? NULL : ich_csv_cell(csv, row, column);
}

static bool read_entry(ich_table *t, const columns *at, size_t row, bool truth, ich_error *err) {
    const ich_csv *csv = &t->csv;
    ich_entry *e = &t->entries[row];
    *e = (ich_entry){.study = ich_csv_cell(csv, row, at->study),
                     .patient = text_at(csv, row, at->patient),
                     .split = text_at(csv, row, at->split),
                     .row = row,
                     .seconds = NAN};
    if (at->slice >= 0 && !read_slice(csv, row, at->slice, &e->slice, err)) return false;
    if (at->seconds >= 0 && !ich_csv_number(csv, row, at->seconds, &e->seconds, err)) return false;
    for (int l = 0; l < ICH_LABELS; l++) {
        e->value[l] = NAN;
        if (at->label[l] >= 0 && !read_value(csv, row, at->label[l], truth, &e->value[l], err)) return false;
    }
    return true;
}

static bool sort_entries(ich_table *t, ich_level level, ich_error *err) {
    qsort(t->entries, t->csv.n_rows, sizeof *t->entries, by_key);
    for (size_t r = 1; r < t->csv.n_rows; r++) {
        const ich_entry *a = &t->entries[r - 1], *b = &t->entries[r];
        if (by_key(a, b) != 0) continue;
        const size_t x = t->csv.lines[a->row], y = t->csv.lines[b->row];
        return ich_fail(err, "%s: lines %zu and %zu are about the same %s of study '%s': keep one",
                        t->csv.path, x < y ? x : y, x < y ? y : x, ich_level_names[level], a->study);
    }
    return true;
}

bool ich_table_read(ich_table *t, const char *path, ich_level level, bool truth, ich_error *err) {
    columns at;
    *t = (ich_table){0};
    if (!ich_csv_read(&t->csv, path, err) || !find_columns(&t->csv, level, truth, &at, err)) return false;
    t->entries = ich_new(t->csv.n_rows, sizeof *t->entries, t->csv.path, err);
    if (!t->entries) return false;
    for (size_t r = 0; r < t->csv.n_rows; r++)
        if (!read_entry(t, &at, r, truth, err)) return false;
    return sort_entries(t, level, err);
}

bool ich_table_read_folder(ich_table *t, const char *folder, ich_level level, bool truth, ich_error *err) {
    char *path = ich_path_join(folder, ich_level_files[level]);
    *t = (ich_table){0};
    if (!path) return ich_fail(err, "%s: no memory for a path", folder);
    const bool absent = level == ICH_LEVEL_SLICE && !ich_path_exists(path);
    const bool done = absent || ich_table_read(t, path, level, truth, err);
    free(path);
    return done;
}

void ich_table_free(ich_table *t) {
    free(t->entries);
    ich_csv_free(&t->csv);
    *t = (ich_table){0};
}

const ich_entry *ich_table_find(const ich_table *t, const ich_entry *key) {
    return bsearch(key, t->entries, t->csv.n_rows, sizeof *key, by_key);
}

/* -- patients ------------------------------------------------------------------------------------------ */

typedef struct person {
    const char *name;
    size_t entry;
} person;

static int by_name(const void *a, const void *b) {
    return strcmp(((const person *)a)->name, ((const person *)b)->name);
}

/* The first entry of each study's patient; without a name the study itself. */
static bool find_patients(const ich_table *studies, size_t *patient, ich_error *err) {
    const size_t n = studies->csv.n_rows;
    person *people = ich_new(n, sizeof *people, "the patients", err);
    size_t named = 0;
    if (!people) return false;
    for (size_t r = 0; r < n; r++) {
        const char *name = studies->entries[r].patient;
        patient[r] = r;
        if (name && *name) people[named++] = (person){name, r};
    }
    qsort(people, named, sizeof *people, by_name);
    for (size_t i = 1; i < named; i++)
        if (by_name(&people[i - 1], &people[i]) == 0) patient[people[i].entry] = patient[people[i - 1].entry];
    free(people);
    return true;
}

/* -- joining ------------------------------------------------------------------------------------------- */

void ich_joined_free(ich_joined *j) {
    for (int l = 0; l < ICH_LABELS; l++) {
        free(j->score[l]);
        free(j->label[l]);
        free(j->owner[l]);
        free(j->row[l]);
    }
    *j = (ich_joined){0};
}

static bool make_room(ich_joined *j, size_t rows, ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++) {
        j->score[l] = ich_new(rows, sizeof(double), "the scores", err);
        j->label[l] = ich_new(rows, sizeof(double), "the labels", err);
        j->owner[l] = ich_new(rows, sizeof(size_t), "the patients", err);
        j->row[l] = ich_new(rows, sizeof(size_t), "the rows", err);
        if (!j->score[l] || !j->label[l] || !j->owner[l] || !j->row[l]) return false;
    }
    return true;
}

static void join_row(ich_joined *j, const ich_entry *answer, const ich_entry *truth, size_t *owner) {
    for (int l = 0; l < ICH_LABELS; l++) {
        if (isnan(answer->value[l]) || isnan(truth->value[l])) continue;
        if (*owner == SIZE_MAX) *owner = j->patients++;
        j->score[l][j->n[l]] = answer->value[l];
        j->owner[l][j->n[l]] = *owner;
        j->row[l][j->n[l]] = j->rows;
        j->label[l][j->n[l]++] = truth->value[l];
        j->positives[l] += truth->value[l] == 1;
    }
    j->rows++;
}

bool ich_takes_part(const ich_table *studies, const char *id, ich_part part) {
    const ich_entry *study = ich_table_find(studies, &(ich_entry){.study = id});
    if (!study) return true;
    const char *split = study->split ? study->split : "";
    return (!part.only || !strcmp(split, part.only)) && (!part.except || strcmp(split, part.except) != 0);
}

/* What join_rows reads. */
typedef struct source {
    const ich_table *answers, *truth, *studies;
    const size_t *patient; /* of each study: an entry of `studies` */
    size_t *number;        /* of each such patient in the join; SIZE_MAX: not seen yet */
} source;

/* Slices without a counterpart are left out without a word where their study was named already. */
static bool join_rows(const source *from, ich_level level, ich_part part, ich_joined *j, ich_skipped *skipped,
                      ich_error *err) {
    for (size_t r = 0; r < from->answers->csv.n_rows; r++) {
        const ich_entry *a = &from->answers->entries[r], *t = ich_table_find(from->truth, a);
        const ich_entry *study = ich_table_find(from->studies, &(ich_entry){.study = a->study});
        if (!ich_takes_part(from->studies, a->study, part)) continue;
        if (t && study)
            join_row(j, a, t, &from->number[from->patient[study - from->studies->entries]]);
        else if (level == ICH_LEVEL_STUDY && skipped &&
                 !ich_skipped_add(skipped, from->answers->csv.path, a->study, "the truth has no such study"))
            return ich_fail(err, "%s: no memory for the list of skipped studies", from->answers->csv.path);
    }
    return true;
}

bool ich_join(const ich_table *answers, const ich_table *truth, const ich_table *studies, ich_level level,
              ich_part part, ich_joined *j, ich_skipped *skipped, ich_error *err) {
    *j = (ich_joined){0};
    if (!answers->entries || !truth->entries) return true;
    const size_t n = studies->csv.n_rows;
    size_t *patient = ich_new(n, sizeof *patient, "the patients", err);
    size_t *number = ich_new(n, sizeof *number, "the patients", err);
    bool done =
        patient && number && make_room(j, answers->csv.n_rows, err) && find_patients(studies, patient, err);
    for (size_t i = 0; done && i < n; i++) number[i] = SIZE_MAX;
    const source from = {answers, truth, studies, patient, number};
    done = done && join_rows(&from, level, part, j, skipped, err);
    free(patient);
    free(number);
    return done;
}

/* -- writing ------------------------------------------------------------------------------------------- */

void ich_put_exact(FILE *stream, double value, char end) {
    char text[40] = "";
    for (int digits = 6; !isnan(value) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fprintf(stream, "%s%c", text, end);
}

void ich_put_number(FILE *stream, double value, char end) {
    if (!isnan(value)) fprintf(stream, "%.10g", value);
    fputc(end, stream);
}
