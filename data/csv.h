/* csv.h: tables as text (RFC 4180): header row, quoted fields, LF or CRLF, UTF-8 with or without BOM.
 *
 * Calls: file. Called by: data, infer, train.
 */
#ifndef ICH_DATA_CSV_H
#define ICH_DATA_CSV_H

#include "tensor/error.h"
#include <stdio.h>

typedef struct ich_csv {
    char *path;
    size_t n_rows, n_columns; /* without the header */
    char **header;            /* [n_columns] */
    char **cells;             /* [n_rows * n_columns] */
    size_t *lines;            /* [n_rows] the line of the file each row starts on, for messages */
    char *text;               /* owns the characters */
} ich_csv;

/* Fails on: no header, a row with another number of fields (naming the line), an unclosed quote, a NUL byte,
 * a column named twice, a file above 1 GiB. Empty lines are skipped. */
bool ich_csv_read(ich_csv *csv, const char *path, ich_error *err);
void ich_csv_free(ich_csv *csv);
int ich_csv_column(const ich_csv *csv, const char *name); /* -1 if absent */
bool ich_csv_require(const ich_csv *csv, const char *name, int *column,
                     ich_error *err); /* fails naming file, column, header */
const char *ich_csv_cell(const ich_csv *csv, size_t row, int column);
/* A number; an empty cell gives NaN; anything else fails naming file, line, column and text. */
bool ich_csv_number(const ich_csv *csv, size_t row, int column, double *value, ich_error *err);

void ich_csv_put(FILE *stream, const char *field, char end); /* quotes where needed; end is ',' or '\n' */

#endif
