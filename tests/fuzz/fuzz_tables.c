/* A CSV, and the tables of labels that imports read: each is tried on the same bytes. */
#include "data/csv.h"
#include "data/import_internal.h"
#include "fuzz.h"
#include <stdlib.h>

/* All numbers of the table; and what is written of it is read as it was. */
static void read_csv(const char *path) {
    ich_csv csv, again;
    ich_error err = {""};
    if (!ich_csv_read(&csv, path, &err)) {
        fuzz_refused(&err, path);
        return;
    }
    const char *copy = fuzz_path("copy.csv");
    FILE *stream = fopen(copy, "wb");
    fuzz_hold(stream != NULL, "a copy can be written");
    for (size_t i = 0; i < csv.n_columns; i++)
        ich_csv_put(stream, csv.header[i], i + 1 < csv.n_columns ? ',' : '\n');
    for (size_t row = 0; row < csv.n_rows; row++)
        for (size_t i = 0; i < csv.n_columns; i++) {
            double value;
            const char *cell = ich_csv_cell(&csv, row, (int)i);
            if (!ich_csv_number(&csv, row, (int)i, &value, &err)) fuzz_refused(&err, path);
            ich_csv_put(stream, cell, i + 1 < csv.n_columns ? ',' : '\n');
        }
    fuzz_hold(fclose(stream) == 0 && ich_csv_read(&again, copy, &err), "what is written can be read");
    fuzz_hold(again.n_rows <= csv.n_rows && again.n_columns == csv.n_columns, "… with the same columns");
    ich_csv_free(&again);
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
