/* Train, val, test: patients are counted out to the three by largest remainder (Hamilton's method), first
 * all of them, then the positive ones within those numbers; who they are is drawn.
 */
#include "csv.h"
#include "dataset.h"
#include "file.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 3, STRATA = 2 }; /* train, val, test; negative, positive */

/* -- patients -------------------------------------------------------------------------------------------- */

typedef struct patients {
    uint32_t *of_row; /* [rows of the table] */
    bool *positive;   /* [n] */
    ich_split *split; /* [n] */
    uint32_t *drawn;  /* [n] scratch: a stratum in random order */
    size_t n, n_of[STRATA];
} patients;

typedef struct owned_row {
    const char *patient_id;
    size_t row;
} owned_row;

static int by_patient(const void *a, const void *b) {
    return strcmp(((const owned_row *)a)->patient_id, ((const owned_row *)b)->patient_id);
}

/* The rows sorted by patient, in fresh memory. */
static owned_row *sort_rows(const ich_csv *csv, ich_error *err) {
    int column;
    if (!ich_csv_require(csv, "patient_id", &column, err)) return NULL;
    owned_row *rows = ich_new(csv->n_rows, sizeof *rows, csv->path, err);
    if (!rows) return NULL;
    for (size_t i = 0; i < csv->n_rows; i++) {
        rows[i] = (owned_row){ich_csv_cell(csv, i, column), i};
        if (*rows[i].patient_id) continue;
        ich_fail(err, "%s: line %zu: patient_id is empty, and patients must stay whole: fill it in",
                 csv->path, csv->lines[i]);
        free(rows);
        return NULL;
    }
    qsort(rows, csv->n_rows, sizeof *rows, by_patient);
    return rows;
}

static bool read_positive(const ich_csv *csv, size_t row, const int columns[ICH_LABELS], bool *positive,
                          ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++) {
        float label;
        const char *cell = ich_csv_cell(csv, row, columns[l]);
        if (!ich_label_parse(cell, &label))
            return ich_fail(err, "%s: line %zu: %s is '%s': write 0, 1 or, where unknown, nothing", csv->path,
                            csv->lines[row], ich_label_names[l], cell);
        *positive = *positive || label > 0;
    }
    return true;
}

/* Numbers patients in the order of their ids. */
static bool number_patients(patients *p, const ich_csv *csv, const owned_row *rows, ich_error *err) {
    int columns[ICH_LABELS];
    for (int l = 0; l < ICH_LABELS; l++)
        if (!ich_csv_require(csv, ich_label_names[l], &columns[l], err)) return false;
    for (size_t i = 0; i < csv->n_rows; i++) {
        p->n += i == 0 || strcmp(rows[i - 1].patient_id, rows[i].patient_id) != 0;
        p->of_row[rows[i].row] = (uint32_t)(p->n - 1);
        if (!read_positive(csv, rows[i].row, columns, &p->positive[p->n - 1], err)) return false;
    }
    for (size_t i = 0; i < p->n; i++) p->n_of[p->positive[i]]++;
    return true;
}

static bool find_patients(patients *p, const ich_csv *csv, ich_error *err) {
    *p = (patients){.of_row = ich_new(csv->n_rows, sizeof *p->of_row, csv->path, err),
                    .positive = ich_new(csv->n_rows, sizeof *p->positive, csv->path, err),
                    .split = ich_new(csv->n_rows, sizeof *p->split, csv->path, err),
                    .drawn = ich_new(csv->n_rows, sizeof *p->drawn, csv->path, err)};
    if (!p->of_row || !p->positive || !p->split || !p->drawn) return false;
    owned_row *rows = sort_rows(csv, err);
    const bool done = rows && number_patients(p, csv, rows, err);
    free(rows);
    return done && (p->n > 0 || ich_fail(err, "%s: names no study: add a row for each scan", csv->path));
}

static void free_patients(patients *p) {
    free(p->of_row);
    free(p->positive);
    free(p->split);
    free(p->drawn);
}

/* -- drawing --------------------------------------------------------------------------------------------- */

static int largest(const double value[PARTS]) {
    int best = 0;
    for (int i = 1; i < PARTS; i++)
        if (value[i] > value[best]) best = i;
    return best;
}

/* Whole numbers that sum to n, in proportion to the parts; none is 0 whose part is not, unless n is too small
 * for that. */
static void apportion(size_t n, const double part[PARTS], size_t count[PARTS]) {
    const double sum = part[0] + part[1] + part[2];
    double owed[PARTS];
    size_t left = n;
    for (int i = 0; i < PARTS; i++) {
        const double share = (double)n * part[i] / sum;
        count[i] = (size_t)floor(share);
        owed[i] = part[i] > 0 ? share - (double)count[i] : -INFINITY;
        left -= count[i];
    }
    for (; left; left--) {
        const int i = largest(owed);
        count[i]++;
        owed[i]--;
    }
    for (int i = 0; i < PARTS; i++) {
        const int richest = largest((double[PARTS]){(double)count[0], (double)count[1], (double)count[2]});
        if (part[i] > 0 && !count[i] && count[richest] > 1) {
            count[richest]--;
            count[i]++;
        }
    }
}

static void draw_stratum(patients *p, bool positive, const size_t count[PARTS], uint64_t seed) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->positive[i] == positive) p->drawn[n++] = (uint32_t)i;
    ich_rng rng = ich_rng_make(seed, ICH_RNG_SPLIT, positive);
    ich_rng_shuffle(&rng, p->drawn, n);
    const uint32_t *next = p->drawn;
    for (int part = 0; part < PARTS; part++)
        for (size_t i = 0; i < count[part]; i++) p->split[*next++] = (ich_split)(ICH_SPLIT_TRAIN + part);
}

static void draw(patients *p, const double fractions[PARTS], uint64_t seed) {
    size_t all[PARTS], positive[PARTS], negative[PARTS];
    apportion(p->n, fractions, all);
    apportion(p->n_of[true], (double[PARTS]){(double)all[0], (double)all[1], (double)all[2]}, positive);
    for (int i = 0; i < PARTS; i++) negative[i] = all[i] - positive[i];
    draw_stratum(p, true, positive, seed);
    draw_stratum(p, false, negative, seed);
}

/* -- the table ------------------------------------------------------------------------------------------- */

static void put_row(FILE *stream, char *const *cells, size_t n, int column, const char *split) {
    for (size_t i = 0; i < n; i++) {
        const bool last = column >= 0 && i == n - 1;
        ich_csv_put(stream, (int)i == column ? split : cells[i], last ? '\n' : ',');
    }
    if (column < 0) ich_csv_put(stream, split, '\n');
}

static bool write_table(const ich_csv *csv, const patients *p, size_t counts[PARTS], ich_error *err) {
    const int column = ich_csv_column(csv, "split");
    ich_output out;
    if (!ich_output_open(&out, csv->path, err)) return false;
    put_row(out.stream, csv->header, csv->n_columns, column, "split");
    for (size_t row = 0; row < csv->n_rows; row++) {
        const ich_split split = p->split[p->of_row[row]];
        put_row(out.stream, csv->cells + row * csv->n_columns, csv->n_columns, column,
                ich_split_names[split]);
        counts[split - ICH_SPLIT_TRAIN]++;
    }
    return ich_output_commit(&out, err);
}

static bool check_fractions(const double f[PARTS], ich_error *err) {
    bool good = fabs(f[0] + f[1] + f[2] - 1) < 1e-6;
    for (int i = 0; i < PARTS; i++) good = good && f[i] >= 0;
    return good || ich_fail(err, "fractions %g,%g,%g: train, val and test must be 0 or more and sum to 1",
                            f[0], f[1], f[2]);
}

bool ich_dataset_split(const char *folder, const double fractions[3], unsigned long long seed,
                       size_t counts[3], ich_error *err) {
    memset(counts, 0, PARTS * sizeof *counts);
    if (!check_fractions(fractions, err)) return false;
    char *path = ich_path_join(folder, "studies.csv");
    if (!path) return ich_fail(err, "%s: out of memory: a path", folder);
    ich_csv csv;
    bool done = ich_csv_read(&csv, path, err);
    if (done) {
        patients p;
        done = find_patients(&p, &csv, err);
        if (done) {
            draw(&p, fractions, seed);
            done = write_table(&csv, &p, counts, err);
        }
        free_patients(&p);
        ich_csv_free(&csv);
    }
    free(path);
    return done;
}
