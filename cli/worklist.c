#include "worklist.h"

#include "data/csv.h"
#include "data/file.h"
#include <stdlib.h>
#include <string.h>

enum { TOP = 3 }; /* slices to look at */
static const double threshold = 0.5;

/* Columns by name, in the order of these lists. */
enum { STUDY_ID, ANY, SECONDS, STUDY_COLUMNS };
static const char *const study_columns[STUDY_COLUMNS] = {"study_id", "any", "seconds"};
enum { OWNER, SLICE, ATTENTION, SLICE_COLUMNS };
static const char *const slice_columns[SLICE_COLUMNS] = {"study_id", "slice_index", "attention"};

static bool open_table(ich_csv *csv, const char *folder, const char *name, int n, const char *const *names,
                       int *columns, ich_error *err) {
    char *path = ich_path_join(folder, name);
    bool done = path ? ich_csv_read(csv, path, err) : ich_fail(err, "%s: out of memory", folder);
    for (int i = 0; done && i < n; i++) done = ich_csv_require(csv, names[i], &columns[i], err);
    free(path);
    return done;
}

/* Rows [*row, end) of slices.csv that belong to `study`, the TOP of most attention first. Leaves *row at the
 * end. */
static int top_slices(const ich_csv *csv, const int *columns, const char *study, size_t *row,
                      size_t top[TOP]) {
    double most[TOP] = {0};
    int n = 0;
    for (; *row < csv->n_rows && !strcmp(ich_csv_cell(csv, *row, columns[OWNER]), study); ++*row) {
        double attention = 0;
        ich_csv_number(csv, *row, columns[ATTENTION], &attention, NULL);
        int at = n;
        while (at > 0 && attention > most[at - 1]) at--;
        if (at == TOP) continue;
        if (n < TOP) n++;
        memmove(most + at + 1, most + at, (size_t)(n - at - 1) * sizeof *most);
        memmove(top + at + 1, top + at, (size_t)(n - at - 1) * sizeof *top);
        most[at] = attention;
        top[at] = *row;
    }
    return n;
}

static int widest_id(const ich_csv *csv, int column) {
    size_t widest = strlen("study");
    for (size_t r = 0; r < csv->n_rows; r++) {
        const size_t length = strlen(ich_csv_cell(csv, r, column));
        if (length > widest) widest = length;
    }
    return widest < 48 ? (int)widest : 48;
}

static void print_rows(const ich_csv *studies, const int *column, const ich_csv *slices,
                       const int *slice_column, FILE *stream) {
    const int width = widest_id(studies, column[STUDY_ID]);
    size_t row = 0;
    fprintf(stream, "%-*s  probability  verdict   seconds  slices to look at\n", width, "study");
    for (size_t r = 0; r < studies->n_rows; r++) {
        const char *id = ich_csv_cell(studies, r, column[STUDY_ID]);
        double any = 0;
        size_t top[TOP];
        ich_csv_number(studies, r, column[ANY], &any, NULL);
        fprintf(stream, "%-*s  %11.3f  %-8s %8s ", width, id, any, any >= threshold ? "positive" : "negative",
                ich_csv_cell(studies, r, column[SECONDS]));
        const int n = top_slices(slices, slice_column, id, &row, top);
        for (int i = 0; i < n; i++) fprintf(stream, " %s", ich_csv_cell(slices, top[i], slice_column[SLICE]));
        fputc('\n', stream);
    }
}

bool ich_worklist_print(const char *predictions, FILE *stream, ich_error *err) {
    ich_csv studies = {0}, slices = {0};
    int column[STUDY_COLUMNS], slice_column[SLICE_COLUMNS];
    const bool done =
        open_table(&studies, predictions, "studies.csv", STUDY_COLUMNS, study_columns, column, err) &&
        open_table(&slices, predictions, "slices.csv", SLICE_COLUMNS, slice_columns, slice_column, err);
    if (done) print_rows(&studies, column, &slices, slice_column, stream);
    ich_csv_free(&studies);
    ich_csv_free(&slices);
    return done;
}
