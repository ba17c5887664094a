#include "merge.h"

#include "tensor/ranks.h"
#include <stdlib.h>
#include <string.h>

static const char no_memory[] = "no memory for the rows of %d ranks";

bool ich_rows_open(ich_rows *rows, FILE *table, ich_error *err) {
    *rows = (ich_rows){.stream = table, .table = table};
    if (ich_ranks() == 1) return true;
    if (!ich_text_open(&rows->text, "a rank's rows", err)) return false;
    rows->stream = rows->text.stream;
    return true;
}

void ich_rows_close(ich_rows *rows) {
    if (rows->text.stream) free(ich_text_close(&rows->text, NULL));
    *rows = (ich_rows){0};
}

/* Calls take(self, text, size) with each rank's text, in order, on every rank. */
static bool each_text(const char *mine, size_t size, bool (*take)(void *, const char *, size_t), void *self,
                      ich_error *err) {
    for (int r = 0; r < ich_ranks(); r++) {
        size_t count = size;
        ich_ranks_share(&count, sizeof count, r);
        char *text = ich_new(count + 1, 1, "the rows of another rank", err);
        if (!text) return false;
        if (r == ich_rank()) memcpy(text, mine, count);
        ich_ranks_share(text, count, r);
        const bool done = take(self, text, count) || ich_fail(err, no_memory, ich_ranks());
        free(text);
        if (!done) return false;
    }
    return true;
}

static bool put_text(void *self, const char *text, size_t size) {
    if (self) fwrite(text, 1, size, self); /* whoever commits the table looks at the stream's state */
    return true;
}

bool ich_rows_merge(ich_rows *rows, ich_error *err) {
    if (ich_ranks() == 1) return true;
    char *text = ich_text_close(&rows->text, err);
    rows->text.stream = rows->stream = NULL;
    const bool done = text && each_text(text, rows->text.count, put_text, rows->table, err);
    free(text);
    return done;
}

/* Rows as three texts each, with their NULs. */
static bool add_rows(void *self, const char *text, size_t size) {
    for (const char *end = text + size; text < end;) {
        const char *path = text, *study = path + strlen(path) + 1, *reason = study + strlen(study) + 1;
        if (!ich_skipped_add(self, path, study, reason)) return false;
        text = reason + strlen(reason) + 1;
    }
    return true;
}

bool ich_skipped_merge(ich_skipped *skipped, ich_error *err) {
    if (ich_ranks() == 1) return true;
    ich_text text;
    if (!ich_text_open(&text, "the studies left out", err)) return false;
    for (size_t i = 0; i < skipped->n_rows; i++) {
        const struct ich_skip *row = &skipped->rows[i];
        const char *const parts[] = {row->path, row->study_id, row->reason};
        for (int p = 0; p < 3; p++) fwrite(parts[p], 1, strlen(parts[p]) + 1, text.stream);
    }
    char *bytes = ich_text_close(&text, err);
    ich_skipped_free(skipped);
    *skipped = (ich_skipped){0};
    const bool done = bytes && each_text(bytes, text.count, add_rows, skipped, err);
    free(bytes);
    return done;
}
