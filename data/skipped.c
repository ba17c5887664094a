#include "skipped.h"
#include "csv.h"
#include "file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ich_skipped_add(ich_skipped *skipped, const char *path, const char *study_id, const char *reason) {
    const size_t n = skipped->n_rows;
    if ((n & (n - 1)) == 0) { /* 0 or a power of two: the room is used up */
        struct ich_skip *rows = realloc(skipped->rows, (n ? 2 * n : 1) * sizeof *rows);
        if (!rows) return false;
        skipped->rows = rows;
    }
    struct ich_skip row = {strdup(path), strdup(study_id), strdup(reason)};
    if (!row.path || !row.study_id || !row.reason) {
        free(row.path);
        free(row.study_id);
        free(row.reason);
        return false;
    }
    skipped->rows[skipped->n_rows++] = row;
    return true;
}

static bool write_rows(const ich_skipped *skipped, const char *path, ich_error *err) {
    ich_output out;
    if (!ich_output_open(&out, path, err)) return false;
    fputs("path,study_id,reason\n", out.stream);
    for (size_t i = 0; i < skipped->n_rows; i++) {
        ich_csv_put(out.stream, skipped->rows[i].path, ',');
        ich_csv_put(out.stream, skipped->rows[i].study_id, ',');
        ich_csv_put(out.stream, skipped->rows[i].reason, '\n');
    }
    return ich_output_commit(&out, err);
}

bool ich_skipped_write_as(const ich_skipped *skipped, const char *folder, const char *name, ich_error *err) {
    char *path = ich_path_join(folder, name);
    if (!path) return ich_fail(err, "%s: out of memory: a path", folder);
    bool done = true;
    if (skipped->n_rows)
        done = write_rows(skipped, path, err);
    else if (ich_path_exists(path) && unlink(path) != 0)
        done = ich_fail(err, "%s: is of an earlier run and cannot be removed (%s): check its permissions",
                        path, strerror(errno));
    free(path);
    return done;
}

bool ich_skipped_write(const ich_skipped *skipped, const char *folder, ich_error *err) {
    return ich_skipped_write_as(skipped, folder, "skipped.csv", err);
}

void ich_skipped_free(ich_skipped *skipped) {
    for (size_t i = 0; i < skipped->n_rows; i++) {
        free(skipped->rows[i].path);
        free(skipped->rows[i].study_id);
        free(skipped->rows[i].reason);
    }
    free(skipped->rows);
    *skipped = (ich_skipped){0};
}
