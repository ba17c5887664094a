#include "import_world.h"
#include "data/file.h"
#include "scratch.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

ich_import import_of(const char *kind, const char *source, const char *out) {
    return (ich_import){.kind = kind, .source = source, .out = out, .spacing = 5, .processes = 2};
}

void run_import(const ich_import *options) {
    ich_import_result result;
    ich_error err = {""};
    if (!ich_import_run(options, &result, NULL, NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(result.skipped.n_rows, rows_of(options->out, "skipped.csv"));
    assert_int_equal(result.studies, rows_of(options->out, "studies.csv"));
    ich_import_result_free(&result);
    char *work = ich_path_join(options->out, ".import");
    assert_false(ich_path_exists(work));
    free(work);
}

void refuse_import(const ich_import *options, const char *word) {
    ich_import_result result;
    ich_error err = {""};
    if (ich_import_run(options, &result, NULL, NULL, &err)) fail_msg("was imported, expected: %s", word);
    if (!strstr(err.text, word)) fail_msg("'%s' does not say '%s'", err.text, word);
    ich_import_result_free(&result);
}

ich_dataset dataset_of(const char *out) {
    ich_dataset d;
    ich_skipped skipped = {0};
    ich_error err = {""};
    if (!ich_dataset_read(&d, out, true, &skipped, &err)) fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 0);
    return d;
}

ich_volume volume_of(const ich_study *study) {
    ich_volume v;
    ich_error err = {""};
    if (!ich_volume_read(&v, study->path, &err)) fail_msg("%s", err.text);
    return v;
}

static bool open_table(ich_csv *csv, const char *out, const char *table) {
    ich_error err = {""};
    char *path = ich_path_join(out, table);
    const bool exists = ich_path_exists(path);
    if (exists && !ich_csv_read(csv, path, &err)) fail_msg("%s", err.text);
    free(path);
    return exists;
}

const char *cell_of(const char *out, const char *table, const char *key, const char *is, const char *value) {
    static char cells[4][400];
    static unsigned next;
    char *cell = cells[next++ % 4];
    ich_csv csv;
    *cell = '\0';
    if (!open_table(&csv, out, table)) return cell;
    const int k = ich_csv_column(&csv, key), v = ich_csv_column(&csv, value);
    assert_true(k >= 0 && v >= 0);
    for (size_t r = 0; r < csv.n_rows; r++)
        if (!strcmp(ich_csv_cell(&csv, r, k), is))
            snprintf(cell, sizeof cells[0], "%s", ich_csv_cell(&csv, r, v));
    ich_csv_free(&csv);
    return cell;
}

size_t rows_of(const char *out, const char *table) {
    ich_csv csv;
    if (!open_table(&csv, out, table)) return 0;
    const size_t n = csv.n_rows;
    ich_csv_free(&csv);
    return n;
}

/* -- files ----------------------------------------------------------------------------------------------- */

typedef bool (*visit)(const char *path, const char *name, const void *with);

/* True if `found` is true of any file below the folder. */
static bool search(const char *folder, visit found, const void *with) {
    bool any = false;
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    for (const struct dirent *entry; !any && (entry = readdir(stream));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char *path = ich_path_join(folder, entry->d_name);
        if (ich_path_is_folder(path)) {
            char *other = with ? ich_path_join(with, entry->d_name) : NULL;
            any = search(path, found, found(NULL, NULL, NULL) ? with : other);
            free(other);
        } else {
            any = found(path, entry->d_name, with);
        }
        free(path);
    }
    closedir(stream);
    return any;
}

static bool differs(const char *path, const char *name, const void *with) {
    if (!path) return false; /* `with` is a folder: go down in it too */
    char *other = ich_path_join(with, name);
    bool different = !ich_path_exists(other);
    if (!different) {
        size_t n, m;
        unsigned char *a = read_bytes(path, &n), *b = read_bytes(other, &m);
        different = n != m || memcmp(a, b, n) != 0;
        free(a);
        free(b);
    }
    if (different) print_message("%s differs\n", path);
    free(other);
    return different;
}

bool same_files(const char *a, const char *b) { return !search(a, differs, b) && !search(b, differs, a); }

static bool holds(const char *path, const char *name, const void *text) {
    (void)name;
    if (!path) return true; /* `with` stays as it is */
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    const int n = gzread(file, bytes, 1 << 20);
    const bool found = n > 0 && memmem(bytes, (size_t)n, text, strlen(text)) != NULL;
    gzclose(file);
    free(bytes);
    if (found) print_message("%s holds %s\n", path, (const char *)text);
    return found || strstr(path, text) != NULL;
}

bool any_file_holds(const char *folder, const char *text) { return search(folder, holds, text); }

void put_text(const char *path, const char *text) {
    ich_error err = {""};
    if (!ich_file_write(path, text, strlen(text), &err)) fail_msg("%s", err.text);
}
