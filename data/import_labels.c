/* Tables of labels. Those of studies are small and read whole; RSNA's has four and a half million rows, so it
 * is read line by line and kept as 16 bytes an image.
 */
#include "csv.h"
#include "import_internal.h"
#include "sha256.h"
#include "tensor/hash.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- studies --------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    const struct ich_label_row *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

static bool sort_table(ich_label_table *table, const char *path, ich_error *err) {
    if (table->n > 1) qsort(table->rows, table->n, sizeof *table->rows, by_key);
    for (size_t i = 1; i < table->n; i++)
        if (table->rows[i].key == table->rows[i - 1].key)
            return ich_fail(err, "%s: lines %zu and %zu are about the same study: remove one", path,
                            table->rows[i - 1].line, table->rows[i].line);
    return true;
}

/* Where the table says nothing of *any*, the types say it: they are kinds of it. */
static void derive_any(float label[ICH_LABELS]) {
    bool known = true;
    label[ICH_ANY] = NAN;
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++) {
        if (label[l] > 0) label[ICH_ANY] = 1;
        known = known && !isnan(label[l]);
    }
    if (known && isnan(label[ICH_ANY])) label[ICH_ANY] = 0;
}

static bool read_row(struct ich_label_row *to, const ich_csv *csv, size_t row, int id, int patient,
                     const int columns[ICH_LABELS], ich_error *err) {
    *to = (struct ich_label_row){.key = ich_sha256_text(ich_csv_cell(csv, row, id)), .line = csv->lines[row]};
    for (int l = 0; l < ICH_LABELS; l++) {
        const char *cell = columns[l] < 0 ? "" : ich_csv_cell(csv, row, columns[l]);
        if (!ich_label_parse(cell, &to->label[l]))
            return ich_fail(err, "%s: line %zu: %s is '%s': write 0, 1 or, where unknown, nothing", csv->path,
                            csv->lines[row], ich_label_names[l], cell);
    }
    if (columns[ICH_ANY] < 0) derive_any(to->label);
    if (patient < 0 || !*ich_csv_cell(csv, row, patient)) return true;
    to->patient_id = strdup(ich_csv_cell(csv, row, patient));
    return to->patient_id || ich_fail(err, "%s: out of memory: its patients", csv->path);
}

static bool read_table(ich_label_table *table, const ich_csv *csv, ich_error *err) {
    int id, columns[ICH_LABELS], known = 0;
    const int patient = ich_csv_column(csv, "patient_id");
    for (int l = 0; l < ICH_LABELS; l++) known += (columns[l] = ich_csv_column(csv, ich_label_names[l])) >= 0;
    if (!ich_csv_require(csv, "study_id", &id, err)) return false;
    if (known == 0) return ich_csv_require(csv, ich_label_names[ICH_ANY], &columns[ICH_ANY], err);
    table->rows = ich_new(csv->n_rows, sizeof *table->rows, csv->path, err);
    if (!table->rows) return false;
    for (size_t row = 0; row < csv->n_rows; row++) {
        table->n++;
        if (!read_row(&table->rows[row], csv, row, id, patient, columns, err)) return false;
    }
    return sort_table(table, csv->path, err);
}

static bool read_csv_with(ich_label_table *table, const char *path,
                          bool (*read)(ich_label_table *, const ich_csv *, ich_error *), ich_error *err) {
    ich_csv csv;
    *table = (ich_label_table){0};
    if (!ich_csv_read(&csv, path, err)) return false;
    const bool done = read(table, &csv, err);
    ich_csv_free(&csv);
    if (!done) ich_label_table_free(table);
    return done;
}

bool ich_label_table_read(ich_label_table *table, const char *path, ich_error *err) {
    return read_csv_with(table, path, read_table, err);
}

void ich_label_table_free(ich_label_table *table) {
    for (size_t i = 0; i < table->n; i++) free(table->rows[i].patient_id);
    free(table->rows);
    *table = (ich_label_table){0};
}

struct ich_label_row *ich_label_table_find(const ich_label_table *table, uint64_t key) {
    size_t lo = 0, hi = table->n;
    while (lo < hi) {
        const size_t middle = lo + (hi - lo) / 2;
        if (table->rows[middle].key < key)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < table->n && table->rows[lo].key == key ? &table->rows[lo] : NULL;
}

void ich_job_tell_unused(const ich_job *job, const ich_label_table *table) {
    size_t unused = 0;
    for (size_t i = 0; i < table->n; i++) unused += !table->rows[i].used;
    if (unused > 0)
        ich_progress_line(job->progress, "%s: %zu of its %zu rows are about no study that was imported",
                          job->table, unused, table->n);
}

/* -- CQ500 ----------------------------------------------------------------------------------------------- */

uint64_t ich_cq500_key(const char *name, size_t length) {
    char plain[64]; /* "CQ500-CT-17", "CQ500CT17" and "cq500ct17" are one */
    size_t n = 0;
    for (size_t i = 0; i < length && n + 1 < sizeof plain; i++)
        if (isalnum((unsigned char)name[i])) plain[n++] = (char)toupper((unsigned char)name[i]);
    plain[n] = '\0';
    return ich_sha256_text(plain);
}

/* Three readers: what two of them say. */
static bool read_majority(const ich_csv *csv, size_t row, const int columns[3], float *label,
                          ich_error *err) {
    int votes[2] = {0};
    for (int r = 0; r < 3; r++) {
        float vote;
        if (!ich_label_parse(ich_csv_cell(csv, row, columns[r]), &vote))
            return ich_fail(err, "%s: line %zu: %s is '%s': it must be 0 or 1", csv->path, csv->lines[row],
                            csv->header[columns[r]], ich_csv_cell(csv, row, columns[r]));
        if (!isnan(vote)) votes[vote > 0]++;
    }
    *label = votes[1] >= 2 ? 1 : votes[0] >= 2 ? 0 : NAN;
    return true;
}

static bool read_cq500(ich_label_table *table, const ich_csv *csv, ich_error *err) {
    static const char *const columns_of[ICH_LABELS] = {"ICH", "EDH", "IPH", "IVH", "SAH", "SDH"};
    int name, columns[ICH_LABELS][3];
    if (!ich_csv_require(csv, "name", &name, err)) return false;
    for (int l = 0; l < ICH_LABELS; l++)
        for (int r = 0; r < 3; r++) {
            char column[16];
            snprintf(column, sizeof column, "R%d:%s", r + 1, columns_of[l]);
            if (!ich_csv_require(csv, column, &columns[l][r], err)) return false;
        }
    table->rows = ich_new(csv->n_rows, sizeof *table->rows, csv->path, err);
    if (!table->rows) return false;
    for (size_t row = 0; row < csv->n_rows; row++) {
        struct ich_label_row *to = &table->rows[table->n++];
        const char *id = ich_csv_cell(csv, row, name);
        *to = (struct ich_label_row){.key = ich_cq500_key(id, strlen(id)), .line = csv->lines[row]};
        to->patient_id = strdup(id);
        if (!to->patient_id) return ich_fail(err, "%s: out of memory: its names", csv->path);
        for (int l = 0; l < ICH_LABELS; l++)
            if (!read_majority(csv, row, columns[l], &to->label[l], err)) return false;
    }
    return sort_table(table, csv->path, err);
}

bool ich_label_table_read_cq500(ich_label_table *table, const char *path, ich_error *err) {
    return read_csv_with(table, path, read_cq500, err);
}

/* -- RSNA's images --------------------------------------------------------------------------------------- */

enum { UNKNOWN = -1, CONFLICT = -2, LONGEST_LINE = 256 };

static int8_t merge(int8_t a, int8_t b) { return a == UNKNOWN ? b : b == UNKNOWN || a == b ? a : CONFLICT; }

static int by_image(const void *a, const void *b) {
    const struct ich_image_row *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static bool add_label(ich_image_labels *labels, uint64_t key, int which, int8_t value) {
    struct ich_image_row *last = labels->n ? &labels->rows[labels->n - 1] : NULL;
    if (!last || last->key != key) { /* an image's rows nearly always follow each other */
        if ((labels->n & (labels->n - 1)) == 0) {
            struct ich_image_row *rows =
                realloc(labels->rows, (labels->n ? 2 * labels->n : 1) * sizeof *rows);
            if (!rows) return false;
            labels->rows = rows;
        }
        last = &labels->rows[labels->n++];
        *last = (struct ich_image_row){.key = key};
        memset(last->label, UNKNOWN, sizeof last->label);
    }
    last->label[which] = merge(last->label[which], value);
    return true;
}

/* "ID_12cadc6af_epidural,0", perhaps in quotes. False if it is nothing of the kind. */
static bool parse_line(char *line, uint64_t *key, int *which, int8_t *value) {
    char *comma = strrchr(line, ','), *id = line;
    if (!comma || (comma[1] != '0' && comma[1] != '1') || comma[2] != '\0') return false;
    *value = (int8_t)(comma[1] - '0');
    *comma = '\0';
    if (*id == '"' && comma > id + 1 && comma[-1] == '"') id++, comma[-1] = '\0';
    char *cut = strrchr(id, '_');
    if (!cut || cut == id) return false;
    *key = ich_fnv(ich_fnv_start, id, (size_t)(cut - id));
    for (*which = 0; *which < ICH_LABELS; ++*which)
        if (!strcmp(cut + 1, ich_label_names[*which])) return true;
    return false;
}

static bool read_lines(ich_image_labels *labels, FILE *stream, const char *path, ich_error *err) {
    char line[LONGEST_LINE];
    for (size_t number = 1; fgets(line, sizeof line, stream); number++) {
        uint64_t key;
        int which;
        int8_t value;
        const size_t n = strcspn(line, "\r\n");
        const bool whole = line[n] != '\0' || feof(stream);
        line[n] = '\0';
        const char *text = number == 1 && !strncmp(line, "\xef\xbb\xbf", 3) ? line + 3 : line;
        if (number == 1) {
            if (strcmp(text, "ID,Label") != 0)
                return ich_fail(err, "%s: line 1 is not 'ID,Label': give RSNA's stage_2_train.csv", path);
        } else if (n > 0 && (!whole || !parse_line(line, &key, &which, &value))) {
            return ich_fail(err, "%s: line %zu: '%.60s' is not of the form ID_12cadc6af_epidural,0", path,
                            number, line);
        } else if (n > 0 && !add_label(labels, key, which, value)) {
            return ich_fail(err, "%s: out of memory: labels of %zu images", path, labels->n);
        }
    }
    return !ferror(stream) || ich_fail(err, "%s: cannot be read (%s): check the disk", path, strerror(errno));
}

/* Sorts, and joins the rows of an image that stand apart from each other. */
static void join_images(ich_image_labels *labels) {
    size_t kept = 0;
    if (labels->n > 1) qsort(labels->rows, labels->n, sizeof *labels->rows, by_image);
    for (size_t i = 0; i < labels->n; i++) {
        const struct ich_image_row *row = &labels->rows[i];
        if (kept > 0 && labels->rows[kept - 1].key == row->key)
            for (int l = 0; l < ICH_LABELS; l++)
                labels->rows[kept - 1].label[l] = merge(labels->rows[kept - 1].label[l], row->label[l]);
        else
            labels->rows[kept++] = *row;
    }
    labels->n = kept;
    for (size_t i = 0; i < kept; i++)
        for (int l = 0; l < ICH_LABELS; l++) {
            if (labels->rows[i].label[l] != CONFLICT) continue;
            labels->rows[i].label[l] = UNKNOWN;
            labels->n_conflicts++;
        }
}

bool ich_image_labels_read_rsna(ich_image_labels *labels, const char *path, ich_error *err) {
    struct stat info;
    *labels = (ich_image_labels){0};
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0)
        return ich_fail(err, "%s: cannot be read (%s): name RSNA's stage_2_train.csv with --labels", path,
                        strerror(errno));
    FILE *stream = fstat(file, &info) == 0 && S_ISREG(info.st_mode) ? fdopen(file, "r") : NULL;
    if (!stream) {
        close(file);
        return ich_fail(err, "%s: is no regular file", path);
    }
    const bool done = read_lines(labels, stream, path, err);
    fclose(stream);
    if (done)
        join_images(labels);
    else
        ich_image_labels_free(labels);
    return done;
}

void ich_image_labels_free(ich_image_labels *labels) {
    free(labels->rows);
    *labels = (ich_image_labels){0};
}

struct ich_image_row *ich_image_labels_find(const ich_image_labels *labels, const char *id, size_t length) {
    const struct ich_image_row wanted = {.key = ich_fnv(ich_fnv_start, id, length)};
    if (labels->n == 0) return NULL;
    return bsearch(&wanted, labels->rows, labels->n, sizeof *labels->rows, by_image);
}

/* -- from slices to studies ------------------------------------------------------------------------------ */

void ich_labels_of_slices(ich_study *study) {
    for (int l = 0; l < ICH_LABELS; l++) {
        float label = study->n_slice_labels > 0 ? 0 : NAN;
        for (int z = 0; z < study->n_slice_labels; z++) {
            /* a slice that was filled in has no label of its own, and shows nothing that its neighbours do
             * not */
            if (!study->image_id[z]) continue;
            const float slice = study->slice_label[z][l];
            if (slice > 0) label = 1;
            if (isnan(slice) && label == 0) label = NAN;
        }
        study->label[l] = label;
    }
}
