#include "worklist.h"

#include "data/csv.h"
#include "data/file.h"
#include "data/labels.h"
#include "infer/script_json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 3 }; /* slices to look at */

/* Columns by name, in the order of these lists. */
enum { STUDY_ID, N_SLICES, SECONDS, STUDY_COLUMNS };
static const char *const study_columns[STUDY_COLUMNS] = {"study_id", "n_slices", "seconds"};
enum { OWNER, SLICE, SLICE_ANY, ATTENTION, SLICE_COLUMNS };
static const char *const slice_columns[SLICE_COLUMNS] = {"study_id", "slice_index", "any", "attention"};
enum { PATH, NAME, REASON, NOTE_COLUMNS };
static const char *const note_columns[NOTE_COLUMNS] = {"path", "study_id", "reason"};

typedef struct table {
    ich_csv csv;
    int column[4];
} table;

typedef struct entry {
    size_t row;            /* of studies */
    double p[ICH_LABELS];  /* probabilities */
    double uncertainty;    /* NaN: not told */
    size_t top[TOP], tops; /* rows of slices, most attention first */
    const char *flag;      /* NULL, or what is unusual */
} entry;

typedef struct worklist {
    table studies, slices, flagged, skipped;
    ich_csv about;
    double threshold, sure, types; /* sure: NaN: none */
    entry *entries;                /* most probable first */
} worklist;

/* -- reading ------------------------------------------------------------------------------------------- */

/* An optional table that is not there has no rows. */
static bool read_table(table *t, const char *folder, const char *name, int n, const char *const *names,
                       bool optional, ich_error *err) {
    char *path = ich_path_join(folder, name);
    if (!path) return ich_fail(err, "%s: out of memory", folder);
    const bool absent = optional && !ich_path_exists(path);
    bool done = absent || ich_csv_read(&t->csv, path, err);
    for (int i = 0; !absent && done && i < n; i++)
        done = ich_csv_require(&t->csv, names[i], &t->column[i], err);
    free(path);
    return done;
}

static const char *cell(const table *t, size_t row, int column) {
    return ich_csv_cell(&t->csv, row, t->column[column]);
}

static double number(const table *t, size_t row, int column) {
    double value;
    return ich_csv_number(&t->csv, row, t->column[column], &value, NULL) ? value : NAN;
}

/* A value of about.csv; NULL if there is none. */
static const char *about(const worklist *w, const char *key) {
    for (size_t r = 0; r < w->about.n_rows && w->about.n_columns == 2; r++)
        if (!strcmp(ich_csv_cell(&w->about, r, 0), key)) return ich_csv_cell(&w->about, r, 1);
    return NULL;
}

static double threshold_of(const worklist *w, const char *key, double otherwise) {
    const char *text = about(w, key);
    const double value = text ? strtod(text, NULL) : NAN;
    return value >= 0 && value <= 1 ? value : otherwise;
}

/* The rows of slices that belong to a study lie together, in the order of the studies. Leaves *row at their
 * end. */
static void find_slices(const worklist *w, entry *e, size_t *row) {
    const char *study = cell(&w->studies, e->row, STUDY_ID);
    double most[TOP] = {0};
    for (; *row < w->slices.csv.n_rows && !strcmp(cell(&w->slices, *row, OWNER), study); ++*row) {
        const double attention = number(&w->slices, *row, ATTENTION);
        size_t at = e->tops;
        while (at > 0 && attention > most[at - 1]) at--;
        if (at == TOP) continue;
        if (e->tops < TOP) e->tops++;
        memmove(most + at + 1, most + at, (e->tops - at - 1) * sizeof *most);
        memmove(e->top + at + 1, e->top + at, (e->tops - at - 1) * sizeof *e->top);
        most[at] = attention;
        e->top[at] = *row;
    }
}

static int more_probable(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->p[ICH_ANY] != y->p[ICH_ANY]) return x->p[ICH_ANY] < y->p[ICH_ANY] ? 1 : -1;
    return (x->row > y->row) - (x->row < y->row);
}

static bool fill_entries(worklist *w, ich_error *err) {
    size_t row = 0;
    int column[ICH_LABELS];
    const int uncertainty = ich_csv_column(&w->studies.csv, "uncertainty");
    w->entries = ich_new(w->studies.csv.n_rows, sizeof *w->entries, "the worklist", err);
    if (!w->entries) return false;
    for (int l = 0; l < ICH_LABELS; l++)
        if (!ich_csv_require(&w->studies.csv, ich_label_names[l], &column[l], err)) return false;
    for (size_t r = 0; r < w->studies.csv.n_rows; r++) {
        entry *e = &w->entries[r];
        e->row = r;
        for (int l = 0; l < ICH_LABELS; l++)
            if (!ich_csv_number(&w->studies.csv, r, column[l], &e->p[l], err)) return false;
        e->uncertainty = NAN;
        if (uncertainty >= 0 && !ich_csv_number(&w->studies.csv, r, uncertainty, &e->uncertainty, err))
            return false;
        find_slices(w, e, &row);
        for (size_t f = 0; f < w->flagged.csv.n_rows; f++)
            if (!strcmp(cell(&w->flagged, f, NAME), cell(&w->studies, r, STUDY_ID)))
                e->flag = cell(&w->flagged, f, REASON);
    }
    qsort(w->entries, w->studies.csv.n_rows, sizeof *w->entries, more_probable);
    return true;
}

static bool read_all(worklist *w, const char *folder, bool partly, ich_error *err) {
    char *path = ich_path_join(folder, "about.csv");
    if (path && ich_path_exists(path)) ich_csv_read(&w->about, path, NULL);
    free(path);
    w->threshold = threshold_of(w, "threshold", 0.5);
    w->sure = threshold_of(w, "threshold_sure", NAN);
    w->types = threshold_of(w, "threshold_types", 0.5);
    return read_table(&w->flagged, folder, "flagged.csv", NOTE_COLUMNS, note_columns, true, err) &&
           read_table(&w->skipped, folder, "skipped.csv", NOTE_COLUMNS, note_columns, true, err) &&
           read_table(&w->studies, folder, "studies.csv", STUDY_COLUMNS, study_columns, partly, err) &&
           read_table(&w->slices, folder, "slices.csv", SLICE_COLUMNS, slice_columns, partly, err) &&
           (w->studies.csv.n_rows == 0 || fill_entries(w, err));
}

static const char *verdict(const worklist *w, double any) {
    if (any < w->threshold) return "negative";
    return any < w->sure ? "unsure" : "positive"; /* never below NaN */
}

/* -- for people ---------------------------------------------------------------------------------------- */

static int widest_id(const worklist *w) {
    size_t widest = strlen("study");
    for (size_t r = 0; r < w->studies.csv.n_rows; r++) {
        const size_t length = strlen(cell(&w->studies, r, STUDY_ID));
        if (length > widest) widest = length;
    }
    return widest < 48 ? (int)widest : 48;
}

static void print_rows(const worklist *w, int width, FILE *stream) {
    for (size_t i = 0; i < w->studies.csv.n_rows; i++) {
        const entry *e = &w->entries[i];
        fprintf(stream, "%-*s  %11.3f  %-8s %8s ", width, cell(&w->studies, e->row, STUDY_ID), e->p[ICH_ANY],
                verdict(w, e->p[ICH_ANY]), cell(&w->studies, e->row, SECONDS));
        for (size_t s = 0; s < e->tops; s++) fprintf(stream, " %s", cell(&w->slices, e->top[s], SLICE));
        fprintf(stream, "%s%s\n", e->flag ? "  ! " : "", e->flag ? e->flag : "");
    }
}

static void print_skipped(const worklist *w, int width, FILE *stream) {
    for (size_t r = 0; r < w->skipped.csv.n_rows; r++)
        fprintf(stream, "%-*s  left out: %s\n", width, cell(&w->skipped, r, NAME),
                cell(&w->skipped, r, REASON));
}

static void print_table(const worklist *w, FILE *stream) {
    const int width = widest_id(w);
    const char *promise = about(w, "promise");
    fprintf(stream, "%-*s  probability  verdict   seconds  slices to look at\n", width, "study");
    print_rows(w, width, stream);
    fprintf(stream, "positive from %.3g", w->threshold);
    if (!isnan(w->sure)) fprintf(stream, ", unsure below %.3g", w->sure);
    fprintf(stream, "%s%s\n", promise ? ": " : "", promise ? promise : "");
}

/* -- for programs -------------------------------------------------------------------------------------- */

static void put_number(FILE *stream, const char *key, double value) {
    fprintf(stream, "\"%s\":", key);
    if (isfinite(value))
        fprintf(stream, "%.9g", value);
    else
        fputs("null", stream);
}

static void put_text(FILE *stream, const char *key, const char *text) {
    fprintf(stream, "\"%s\":", key);
    if (text)
        ich_json_text(stream, text);
    else
        fputs("null", stream);
}

static void put_top(const worklist *w, const entry *e, FILE *stream) {
    for (size_t s = 0; s < e->tops; s++) {
        fputs(s ? ",{" : "{", stream);
        put_number(stream, "slice_index", number(&w->slices, e->top[s], SLICE));
        fputc(',', stream);
        put_number(stream, "any", number(&w->slices, e->top[s], SLICE_ANY));
        fputc(',', stream);
        put_number(stream, "attention", number(&w->slices, e->top[s], ATTENTION));
        fputc('}', stream);
    }
}

static void put_study(const worklist *w, const entry *e, FILE *stream) {
    bool first = true;
    fputc('{', stream);
    put_text(stream, "study_id", cell(&w->studies, e->row, STUDY_ID));
    fputc(',', stream);
    put_number(stream, "n_slices", number(&w->studies, e->row, N_SLICES));
    for (int l = 0; l < ICH_LABELS; l++) {
        fputc(',', stream);
        put_number(stream, ich_label_names[l], e->p[l]);
    }
    fputc(',', stream);
    put_number(stream, "seconds", number(&w->studies, e->row, SECONDS));
    fputc(',', stream);
    put_number(stream, "uncertainty", e->uncertainty);
    fprintf(stream, ",\"verdict\":\"%s\",\"types\":[", verdict(w, e->p[ICH_ANY]));
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++) {
        if (e->p[l] < w->types) continue;
        fprintf(stream, "%s\"%s\"", first ? "" : ",", ich_label_names[l]);
        first = false;
    }
    fputs("],\"slices\":[", stream);
    put_top(w, e, stream);
    fputs("],", stream);
    put_text(stream, "flag", e->flag);
    fputc('}', stream);
}

static void put_skipped(const worklist *w, size_t row, FILE *stream) {
    static const char *const keys[NOTE_COLUMNS] = {"path", "study_id", "skipped"};
    for (int i = 0; i < NOTE_COLUMNS; i++) {
        fputc(i ? ',' : '{', stream);
        put_text(stream, keys[i], cell(&w->skipped, row, i));
    }
    fputc('}', stream);
}

static void put_all(const worklist *w, const char *separator, FILE *stream, bool skipped) {
    const size_t n = skipped ? w->skipped.csv.n_rows : w->studies.csv.n_rows;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) fputs(separator, stream);
        skipped ? put_skipped(w, i, stream) : put_study(w, &w->entries[i], stream);
    }
}

static void put_document(const worklist *w, const char *folder, FILE *stream) {
    fputc('{', stream);
    put_text(stream, "predictions", folder);
    fputc(',', stream);
    put_text(stream, "input", about(w, "input"));
    fputc(',', stream);
    put_number(stream, "threshold", w->threshold);
    fputc(',', stream);
    put_number(stream, "threshold_sure", w->sure);
    fputc(',', stream);
    put_number(stream, "threshold_types", w->types);
    fputc(',', stream);
    put_text(stream, "promise", about(w, "promise"));
    fputs(",\n\"studies\":[\n", stream);
    put_all(w, ",\n", stream, false);
    fputs("],\n\"skipped\":[", stream);
    put_all(w, ",\n", stream, true);
    fputs("]}\n", stream);
}

static void put_lines(const worklist *w, FILE *stream) {
    put_all(w, "\n", stream, false);
    if (w->studies.csv.n_rows) fputc('\n', stream);
    put_all(w, "\n", stream, true);
    if (w->skipped.csv.n_rows) fputc('\n', stream);
}

/* -- both ---------------------------------------------------------------------------------------------- */

bool ich_worklist_print(const char *predictions, ich_worklist_form form, FILE *stream, ich_error *err) {
    worklist w = {0};
    const bool partly = form == ICH_WORKLIST_ROWS || form == ICH_WORKLIST_LINES;
    const bool done = read_all(&w, predictions, partly, err);
    if (done && form == ICH_WORKLIST_TABLE) print_table(&w, stream);
    if (done && form == ICH_WORKLIST_ROWS) {
        print_rows(&w, 24, stream);
        print_skipped(&w, 24, stream);
    }
    if (done && form == ICH_WORKLIST_JSON) put_document(&w, predictions, stream);
    if (done && form == ICH_WORKLIST_LINES) put_lines(&w, stream);
    free(w.entries);
    ich_csv_free(&w.about);
    ich_csv_free(&w.studies.csv);
    ich_csv_free(&w.slices.csv);
    ich_csv_free(&w.flagged.csv);
    ich_csv_free(&w.skipped.csv);
    return done;
}
