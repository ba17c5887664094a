/* One pass over the text, in place: quotes are taken out and each field's end becomes a NUL, so that cells
 * point into the text and a row costs no memory of its own.
 */
#include "csv.h"
#include "file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t most_bytes = (size_t)1 << 30;

/* -- fields and rows ------------------------------------------------------------------------------------- */

typedef struct reader {
    const char *path;
    char *next;  /* the first character not yet read */
    size_t line; /* … and its line */
} reader;

/* Ends a field whose text stops at `end` and whose delimiter is at `at`: ',', LF, CR LF or the text's NUL.
 * Returns ',' or '\n'; 0 where something else stands there. */
static char end_field(reader *r, char *end, char *at) {
    if (at[0] == '\r' && (at[1] == '\n' || at[1] == '\0')) at++;
    const char found = *at;
    if (found != ',' && found != '\n' && found != '\0') return 0;
    r->next = found ? at + 1 : at;
    r->line += found == '\n';
    *end = '\0';
    return found == ',' ? ',' : '\n';
}

/* A quoted field, from behind its opening quote: a doubled quote is one, anything else stays. */
static bool read_quoted(reader *r, char *end, ich_error *err) {
    const size_t opened = r->line;
    char *from = r->next + 1, *to = r->next;
    for (; *from && (*from != '"' || from[1] == '"'); from++) {
        from += *from == '"';
        r->line += *from == '\n';
        *to++ = *from;
    }
    if (!*from)
        return ich_fail(err, "%s: line %zu: a quote is opened and never closed: close it, or double it",
                        r->path, opened);
    *end = end_field(r, to, from + 1);
    return *end ||
           ich_fail(err, "%s: line %zu: text follows a closing quote: double the quotes inside a field",
                    r->path, r->line);
}

static bool read_field(reader *r, char **field, char *end, ich_error *err) {
    *field = r->next;
    if (*r->next == '"') return read_quoted(r, end, err);
    char *stop = r->next + strcspn(r->next, ",\n");
    if (*stop != ',' && stop > r->next && stop[-1] == '\r') stop--;
    *end = end_field(r, stop, stop);
    return true;
}

static void skip_empty_lines(reader *r) {
    for (;;) {
        const size_t end = strspn(r->next, "\r");
        if (r->next[end] != '\n') {
            if (!r->next[end]) r->next += end;
            return;
        }
        r->next += end + 1;
        r->line++;
    }
}

typedef struct cell_list {
    char **cells;
    size_t n, room;
} cell_list;

static bool add_cell(cell_list *list, char *cell) {
    if (list->n == list->room) {
        const size_t room = list->room ? 2 * list->room : 64;
        char **cells = realloc(list->cells, room * sizeof *cells);
        if (!cells) return false;
        list->cells = cells;
        list->room = room;
    }
    list->cells[list->n++] = cell;
    return true;
}

/* Appends the fields of one row. */
static bool read_row(reader *r, cell_list *list, ich_error *err) {
    for (char end = ','; end == ',';) {
        char *cell;
        if (!read_field(r, &cell, &end, err)) return false;
        if (!add_cell(list, cell)) return ich_fail(err, "%s: out of memory: its cells", r->path);
    }
    return true;
}

/* -- the table ------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Two columns of one name would leave open which is meant. Those without a name (a spreadsheet's trailing
 * commas) are never asked for. */
static bool check_header(const ich_csv *csv, size_t line, ich_error *err) {
    char **sorted = ich_new(csv->n_columns, sizeof *sorted, csv->path, err);
    if (!sorted) return false;
    memcpy(sorted, csv->header, csv->n_columns * sizeof *sorted);
    qsort(sorted, csv->n_columns, sizeof *sorted, by_text);
    bool done = true;
    for (size_t i = 1; done && i < csv->n_columns; i++)
        if (*sorted[i] && !strcmp(sorted[i - 1], sorted[i]))
            done = ich_fail(err, "%s: line %zu: two columns are named '%s': rename or remove one", csv->path,
                            line, sorted[i]);
    free(sorted);
    return done;
}

static bool read_header(ich_csv *csv, reader *r, ich_error *err) {
    skip_empty_lines(r);
    if (!*r->next) return ich_fail(err, "%s: is empty: its first row must name the columns", csv->path);
    const size_t line = r->line;
    cell_list list = {0};
    const bool done = read_row(r, &list, err);
    csv->header = list.cells;
    csv->n_columns = list.n;
    return done && check_header(csv, line, err);
}

/* Room for the line number of one more row. */
static bool grow_lines(ich_csv *csv, ich_error *err) {
    const size_t n = csv->n_rows;
    if (n & (n - 1)) return true; /* neither 0 nor a power of two: room is left */
    size_t *lines = realloc(csv->lines, (n ? 2 * n : 1) * sizeof *lines);
    if (!lines) return ich_fail(err, "%s: out of memory: its lines", csv->path);
    csv->lines = lines;
    return true;
}

static bool read_rows(ich_csv *csv, reader *r, ich_error *err) {
    cell_list list = {0};
    bool done = true;
    for (skip_empty_lines(r); done && *r->next; skip_empty_lines(r)) {
        const size_t line = r->line, before = list.n;
        done = grow_lines(csv, err) && read_row(r, &list, err);
        if (done && list.n - before != csv->n_columns)
            done = ich_fail(err,
                            "%s: line %zu: has %zu fields and the header %zu: quote fields that hold commas",
                            csv->path, line, list.n - before, csv->n_columns);
        if (done) csv->lines[csv->n_rows++] = line;
    }
    csv->cells = list.cells;
    return done;
}

static bool check_text(const char *path, const char *text, size_t count, ich_error *err) {
    const char *nul = memchr(text, '\0', count);
    if (!nul) return true;
    size_t line = 1;
    for (const char *c = text; c < nul; c++) line += *c == '\n';
    return ich_fail(err, "%s: line %zu: holds a NUL byte: it is no text, or UTF-16: save it as UTF-8", path,
                    line);
}

bool ich_csv_read(ich_csv *csv, const char *path, ich_error *err) {
    static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's byte order mark */
    size_t count;
    *csv = (ich_csv){.path = strdup(path)};
    if (!csv->path) return ich_fail(err, "%s: out of memory: its name", path);
    csv->text = ich_file_read(path, most_bytes, &count, err);
    bool done = csv->text && check_text(path, csv->text, count, err);
    if (done) {
        const bool marked = !strncmp(csv->text, mark, sizeof mark - 1);
        reader r = {csv->path, csv->text + (marked ? sizeof mark - 1 : 0), 1};
        done = read_header(csv, &r, err) && read_rows(csv, &r, err);
    }
    if (!done) ich_csv_free(csv);
    return done;
}

void ich_csv_free(ich_csv *csv) {
    free(csv->path);
    free(csv->header);
    free(csv->cells);
    free(csv->lines);
    free(csv->text);
    *csv = (ich_csv){0};
}

int ich_csv_column(const ich_csv *csv, const char *name) {
    for (size_t i = 0; i < csv->n_columns; i++)
        if (!strcmp(csv->header[i], name)) return (int)i;
    return -1;
}

bool ich_csv_require(const ich_csv *csv, const char *name, int *column, ich_error *err) {
    *column = ich_csv_column(csv, name);
    if (*column >= 0) return true;
    char header[300] = "";
    for (size_t i = 0, n = 0; i < csv->n_columns && n < sizeof header; i++)
        n += (size_t)snprintf(header + n, sizeof header - n, "%s%s", i ? "," : "", csv->header[i]);
    return ich_fail(err, "%s: has no column '%s': add it to the header, which is now %s", csv->path, name,
                    header);
}

/* -- cells ----------------------------------------------------------------------------------------------- */

const char *ich_csv_cell(const ich_csv *csv, size_t row, int column) {
    return csv->cells[row * csv->n_columns + (size_t)column];
}

bool ich_csv_number(const ich_csv *csv, size_t row, int column, double *value, ich_error *err) {
    const char *cell = ich_csv_cell(csv, row, column);
    *value = NAN;
    if (!*cell) return true;
    char *end;
    const bool decimal = !cell[strspn(cell, "+-.0123456789eE")]; /* not strtod's inf, nan, 0x10 and spaces */
    *value = strtod(cell, &end);
    return (decimal && !*end && isfinite(*value)) ||
           ich_fail(err, "%s: line %zu: %s is '%s': it must be a number", csv->path, csv->lines[row],
                    csv->header[column], cell);
}

void ich_csv_put(FILE *stream, const char *field, char end) {
    if (field[strcspn(field, ",\"\r\n")]) {
        fputc('"', stream);
        for (; *field; field++) {
            if (*field == '"') fputc('"', stream);
            fputc(*field, stream);
        }
        fputc('"', stream);
    } else {
        fputs(field, stream);
    }
    fputc(end, stream);
}
