/* Clocks of ranks on one machine agree (CLOCK_MONOTONIC); between machines only the lengths mean something.
 */
#include "timeline.h"

#include "data/file.h"
#include "tensor/ranks.h"
#include <stdlib.h>
#include <string.h>

enum { ROWS_A_STEP = 256 };

bool ich_timeline_open(ich_timeline *t, int steps, ich_error *err) {
    *t = (ich_timeline){.steps = steps};
    if (steps == 0) return true;
    t->room = (size_t)steps * ROWS_A_STEP;
    t->rows = ich_new(t->room, sizeof *t->rows, "the timeline", err);
    return t->rows != NULL;
}

void ich_timeline_free(ich_timeline *t) {
    free(t->rows);
    *t = (ich_timeline){0};
}

void ich_timeline_add(ich_timeline *t, const char *what, double begin, double end) {
    if (!t || t->step >= t->steps || t->count == t->room) return;
    ich_timeline_row *row = &t->rows[t->count++];
    strncpy(row->what, what, sizeof row->what - 1);
    row->step = t->step;
    row->begin = begin;
    row->end = end;
}

/* Rank 0's clock begins at its own first row. */
static void put_rows(FILE *stream, int rank, const ich_timeline_row *rows, size_t n, double zero) {
    for (size_t i = 0; i < n && rows[i].what[0]; i++)
        fprintf(stream, "%d,%d,%s,%.6f,%.6f\n", rank, rows[i].step + 1, rows[i].what, rows[i].begin - zero,
                rows[i].end - zero);
}

static bool write_all(const ich_timeline_row *all, size_t room, const char *folder, ich_error *err) {
    char *path = ich_path_join(folder, "timeline.csv");
    ich_output out;
    bool done = path && ich_output_open(&out, path, err);
    if (done) {
        fputs("rank,step,what,begin,end\n", out.stream);
        for (int r = 0; r < ich_ranks(); r++)
            put_rows(out.stream, r, all + (size_t)r * room, room, all[0].begin);
        done = ich_output_commit(&out, err);
    }
    free(path);
    return done;
}

bool ich_timeline_step(ich_timeline *t, const char *folder, ich_error *err) {
    if (t->step >= t->steps || ++t->step < t->steps) return true;
    const size_t ranks = (size_t)ich_ranks();
    ich_timeline_row *all = ich_new(ranks * t->room, sizeof *all, "the timeline", err);
    if (!all) return false;
    memcpy(all + (size_t)ich_rank() * t->room, t->rows, t->room * sizeof *all);
    ich_ranks_gather(all, ranks, t->room * sizeof *all);
    const bool done = ich_rank() > 0 || write_all(all, t->room, folder, err);
    free(all);
    return done;
}
