/* A CSV, and the tables of labels that imports read: each is tried on the same bytes. */
#include "data/csv.h"
#include "data/import_internal.h"
#include "fuzz.h"
#include <string.h>

/* What is written of a table is read as it was. The copy has a column in front, so that a line of one empty
 * cell is no empty line. */
static void check_copy(const ich_csv *csv) {
    static const char own[] = "row of the copy";
    const char *copy = fuzz_path("copy.csv");
    const size_t n = csv->n_columns;
    ich_csv again;
    ich_error err = {""};
    if (ich_csv_column(csv, own) >= 0) return; /* libFuzzer does find out */
    FILE *stream = fopen(copy, "wb");
    fuzz_hold(stream != NULL, "a copy can be written");
    ich_csv_put(stream, own, ',');
    for (size_t i = 0; i < n; i++) ich_csv_put(stream, csv->header[i], i + 1 < n ? ',' : '\n');
    for (size_t cell = 0; cell < csv->n_rows * n; cell++) {
        if (cell % n == 0) ich_csv_put(stream, "x", ',');
        ich_csv_put(stream, csv->cells[cell], (cell + 1) % n ? ',' : '\n');
    }
    fuzz_hold(fclose(stream) == 0, "a copy can be written");
    if (!ich_csv_read(&again, copy, &err)) fuzz_hold(false, err.text);
    fuzz_hold(again.n_rows == csv->n_rows && again.n_columns == n + 1, "a copy is as large");
    for (size_t cell = 0; cell < csv->n_rows * n; cell++)
        fuzz_hold(!strcmp(ich_csv_cell(&again, cell / n, (int)(cell % n) + 1), csv->cells[cell]),
                  "a copy has the same cells");
    ich_csv_free(&again);
}

static void read_csv(const char *path) {
    ich_csv csv;
    ich_error err = {""};
    if (!ich_csv_read(&csv, path, &err)) {
        fuzz_refused(&err, path);
        return;
    }
    for (size_t row = 0; row < csv.n_rows; row++)
        for (size_t i = 0; i < csv.n_columns; i++) {
            double value;
            if (!ich_csv_number(&csv, row, (int)i, &value, &err)) fuzz_refused(&err, path);
        }
    check_copy(&csv);
    ich_csv_free(&csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const char *path = fuzz_write("t.csv", bytes, count);
    ich_error err = {""};
    ich_image_labels images;
    ich_label_table studies;
    read_csv(path);
    if (!ich_image_labels_read_rsna(&images, path, &err)) fuzz_refused(&err, path);
    ich_image_labels_free(&images);
    if (!ich_label_table_read(&studies, path, &err)) fuzz_refused(&err, path);
    ich_label_table_free(&studies);
    if (!ich_label_table_read_cq500(&studies, path, &err)) fuzz_refused(&err, path);
    ich_label_table_free(&studies);
    return 0;
}
