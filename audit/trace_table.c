/* The trace's tables: printed, written into a dump, and read back from an earlier one. */
#include "audit/trace.h"
#include "data/csv.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Nine digits: what a float holds. */
static void put_digest(const ich_trace_row *row, FILE *out) {
    const ich_array *a = &row->array;
    char shape[80];
    ich_array_shape(a, shape);
    fprintf(out, "%s,%.9g,%.9g,%.9g,%.9g,%016" PRIx64, shape, a->min, a->max, a->mean, a->l2, a->fnv1a);
}

static void put_columns(const ich_trace_row *row, unsigned columns, FILE *out) {
    if (columns & ICH_TRACE_FILE) fprintf(out, ",%s", row->file);
    if (columns & ICH_TRACE_DIFFERENCE) {
        fputc(',', out);
        if (row->array.compared) fprintf(out, "%.3g", row->array.difference);
        fputs(row->differs ? ",no" : ",yes", out);
    }
    fputc('\n', out);
}

static void put_header(const char *header, unsigned columns, FILE *out) {
    fprintf(out, "%s%s%s\n", header, columns & ICH_TRACE_FILE ? ",file" : "",
            columns & ICH_TRACE_DIFFERENCE ? ",difference,same" : "");
}

void ich_trace_print_nodes(const ich_trace *trace, unsigned columns, FILE *out) {
    put_header("index,name,op,shape,min,max,mean,l2,fnv1a,milliseconds", columns, out);
    for (int n = 0; n < trace->n_nodes; n++) {
        const ich_trace_row *row = &trace->nodes[n];
        fprintf(out, "%d,%s,%s,", n, row->name, row->op);
        put_digest(row, out);
        fprintf(out, ",%.3f", row->milliseconds);
        put_columns(row, columns, out);
    }
}

void ich_trace_print_gradients(const ich_trace *trace, unsigned columns, FILE *out) {
    put_header("name,shape,min,max,mean,l2,fnv1a", columns, out);
    for (int g = 0; g < trace->n_gradients; g++) {
        const ich_trace_row *row = &trace->gradients[g];
        fprintf(out, "%s,", row->name);
        put_digest(row, out);
        put_columns(row, columns, out);
    }
}

static bool write_table(const ich_trace *trace, const char *folder, const char *name,
                        void (*print)(const ich_trace *, unsigned, FILE *), ich_error *err) {
    ich_output out;
    char *path = ich_path_join(folder, name);
    bool done = path || ich_fail(err, "%s: no memory for a path", folder);
    done = done && ich_output_open(&out, path, err);
    if (done) {
        print(trace, ICH_TRACE_FILE, out.stream);
        done = ich_output_commit(&out, err);
    }
    free(path);
    return done;
}

bool ich_trace_write_tables(const ich_trace *trace, const char *folder, ich_error *err) {
    return (trace->n_gradients == 0 ||
            write_table(trace, folder, "gradients.csv", ich_trace_print_gradients, err)) &&
           write_table(trace, folder, "nodes.csv", ich_trace_print_nodes, err);
}

/* -- against an earlier dump --------------------------------------------------------------------------- */

static bool compare_row(ich_trace_row *row, const ich_csv *csv, size_t line, const int column[3],
                        ich_error *err) {
    char shape[80], hash[20];
    ich_array_shape(&row->array, shape);
    snprintf(hash, sizeof hash, "%016" PRIx64, row->array.fnv1a);
    const char *name = ich_csv_cell(csv, line, column[0]), *size = ich_csv_cell(csv, line, column[1]);
    if (strcmp(name, row->name) != 0 || strcmp(size, shape) != 0)
        return ich_fail(err, "%s: line %zu is %.80s of %.40s, here it is %s of %s: another model or study",
                        csv->path, csv->lines[line], name, size, row->name, shape);
    row->differs = strcmp(ich_csv_cell(csv, line, column[2]), hash) != 0;
    return true;
}

static bool compare_rows(ich_trace_row *rows, int n, const ich_csv *csv, ich_error *err) {
    static const char *const names[3] = {"name", "shape", "fnv1a"};
    int column[3];
    for (int i = 0; i < 3; i++)
        if (!ich_csv_require(csv, names[i], &column[i], err)) return false;
    if (csv->n_rows != (size_t)n)
        return ich_fail(err, "%s: has %zu rows, here there are %d: another model", csv->path, csv->n_rows, n);
    for (int i = 0; i < n; i++)
        if (!compare_row(&rows[i], csv, (size_t)i, column, err)) return false;
    return true;
}

static bool compare_table(ich_trace_row *rows, int n, const char *folder, const char *name, ich_error *err) {
    ich_csv csv = {0};
    char *path = ich_path_join(folder, name);
    bool done = path || ich_fail(err, "%s: no memory for a path", folder);
    done = done && ich_csv_read(&csv, path, err);
    if (done) done = compare_rows(rows, n, &csv, err);
    ich_csv_free(&csv);
    free(path);
    return done;
}

bool ich_trace_compare_tables(ich_trace *trace, const char *folder, ich_error *err) {
    return compare_table(trace->nodes, trace->n_nodes, folder, "nodes.csv", err) &&
           (trace->n_gradients == 0 ||
            compare_table(trace->gradients, trace->n_gradients, folder, "gradients.csv", err));
}
