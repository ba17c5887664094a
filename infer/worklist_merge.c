#include "infer/worklist_merge.h"

#include "data/csv.h"
#include "data/file.h"
#include "data/skipped.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- reading ------------------------------------------------------------------------------------------- */

enum { STUDIES, SLICES, ABOUT, FLAGGED, SKIPPED, TABLES };
static const char *const files[TABLES] = {"studies.csv", "slices.csv", "about.csv", "flagged.csv",
                                          "skipped.csv"};

typedef struct part { /* one arrival */
    char *name, *folder;
    ich_csv table[TABLES]; /* without a header where there is no such file */
} part;

typedef struct study {
    const part *from;
    size_t row;
    const char *id;
    double any;
} study;

typedef struct merge {
    part *parts;
    study *studies; /* most probable first */
    size_t n_parts, n_studies;
    ich_skipped skipped, flagged;
} merge;

static bool read_part(part *p, ich_error *err) {
    bool done = true;
    for (int t = 0; done && t < TABLES; t++) {
        char *path = ich_path_join(p->folder, files[t]);
        done = path || ich_fail(err, "%s: no memory for a path", p->folder);
        if (done && ich_path_exists(path)) done = ich_csv_read(&p->table[t], path, err);
        free(path);
        if (t == STUDIES && p->table[STUDIES].n_columns == 0) t = FLAGGED; /* nothing was answered here */
    }
    return done;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const part *)a)->name, ((const part *)b)->name);
}

static bool add_part(merge *m, const char *arrivals, const char *name, ich_error *err) {
    if ((m->n_parts & (m->n_parts - 1)) == 0) {
        part *bigger = realloc(m->parts, (m->n_parts ? 2 * m->n_parts : 1) * sizeof *bigger);
        if (!bigger) return ich_fail(err, "%s: no memory for the list of arrivals", arrivals);
        m->parts = bigger;
    }
    part *p = &m->parts[m->n_parts++];
    *p = (part){.name = strdup(name), .folder = ich_path_join(arrivals, name)};
    return (p->name && p->folder) || ich_fail(err, "%s: no memory for a path", arrivals);
}

static bool read_parts(merge *m, const char *arrivals, ich_error *err) {
    DIR *folder = opendir(arrivals);
    if (!folder) return ich_fail(err, "%s: cannot be opened (%s)", arrivals, strerror(errno));
    bool done = true;
    for (struct dirent *e; done && (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.') done = add_part(m, arrivals, e->d_name, err);
    closedir(folder);
    if (done && m->n_parts) qsort(m->parts, m->n_parts, sizeof *m->parts, by_name);
    for (size_t i = 0; done && i < m->n_parts; i++) done = read_part(&m->parts[i], err);
    return done;
}

static void free_merge(merge *m) {
    for (size_t i = 0; i < m->n_parts; i++) {
        for (int t = 0; t < TABLES; t++) ich_csv_free(&m->parts[i].table[t]);
        free(m->parts[i].name);
        free(m->parts[i].folder);
    }
    free(m->parts);
    free(m->studies);
    ich_skipped_free(&m->skipped);
    ich_skipped_free(&m->flagged);
}

/* -- sorting ------------------------------------------------------------------------------------------- */

/* Of one study_id, the first arrival's comes first. */
static int by_id(const void *a, const void *b) {
    const study *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order ? order : (x->from > y->from) - (x->from < y->from);
}

static int more_probable(const void *a, const void *b) {
    const study *x = a, *y = b;
    return x->any != y->any ? (x->any < y->any ? 1 : -1) : strcmp(x->id, y->id);
}

static bool same_header(const ich_csv *a, const ich_csv *b) {
    bool same = a->n_columns == b->n_columns;
    for (size_t c = 0; same && c < a->n_columns; c++) same = !strcmp(a->header[c], b->header[c]);
    return same;
}

static bool list_studies(merge *m, ich_error *err) {
    size_t n = 0;
    const ich_csv *first = NULL;
    for (size_t i = 0; i < m->n_parts; i++) n += m->parts[i].table[STUDIES].n_rows;
    m->studies = ich_new(n, sizeof *m->studies, "the worklist", err);
    if (!m->studies) return false;
    for (size_t i = 0; i < m->n_parts; i++) {
        const ich_csv *csv = &m->parts[i].table[STUDIES];
        int id, any;
        if (!csv->n_columns) continue;
        if (!first) first = csv;
        if (!ich_csv_require(csv, "study_id", &id, err) || !ich_csv_require(csv, "any", &any, err))
            return false;
        if (!same_header(first, csv))
            return ich_fail(err, "%s: has other columns than %s: use another output folder", csv->path,
                            first->path);
        for (size_t r = 0; r < csv->n_rows; r++) {
            study *s = &m->studies[m->n_studies++];
            *s = (study){.from = &m->parts[i], .row = r, .id = ich_csv_cell(csv, r, id)};
            if (!ich_csv_number(csv, r, any, &s->any, err)) return false;
        }
    }
    return true;
}

static bool drop_doubles(merge *m, ich_error *err) {
    size_t kept = 0;
    qsort(m->studies, m->n_studies, sizeof *m->studies, by_id);
    for (size_t i = 0; i < m->n_studies; i++) {
        const study *s = &m->studies[i];
        char reason[300];
        if (kept == 0 || strcmp(m->studies[kept - 1].id, s->id) != 0) {
            m->studies[kept++] = *s;
            continue;
        }
        snprintf(reason, sizeof reason, "a study of this name came with %.200s already",
                 m->studies[kept - 1].from->name);
        if (!ich_skipped_add(&m->skipped, s->from->name, s->id, reason))
            return ich_fail(err, "no memory for the list of inputs left out");
    }
    m->n_studies = kept;
    qsort(m->studies, m->n_studies, sizeof *m->studies, more_probable);
    return true;
}

static bool gather_notes(const part *p, int table, ich_skipped *to, ich_error *err) {
    static const char *const names[3] = {"path", "study_id", "reason"};
    const ich_csv *csv = &p->table[table];
    int column[3];
    for (int i = 0; i < 3; i++)
        if (csv->n_columns && !ich_csv_require(csv, names[i], &column[i], err)) return false;
    for (size_t r = 0; r < csv->n_rows; r++)
        if (!ich_skipped_add(to, ich_csv_cell(csv, r, column[0]), ich_csv_cell(csv, r, column[1]),
                             ich_csv_cell(csv, r, column[2])))
            return ich_fail(err, "%s: no memory for its rows", csv->path);
    return true;
}

/* -- writing ------------------------------------------------------------------------------------------- */

static void put_row(FILE *stream, const ich_csv *csv, size_t row) {
    for (size_t c = 0; c < csv->n_columns; c++)
        ich_csv_put(stream, ich_csv_cell(csv, row, (int)c), c + 1 < csv->n_columns ? ',' : '\n');
}

static void put_header(FILE *stream, const ich_csv *csv) {
    for (size_t c = 0; c < csv->n_columns; c++)
        ich_csv_put(stream, csv->header[c], c + 1 < csv->n_columns ? ',' : '\n');
}

/* The rows of one study: all of studies.csv's row, or those of slices.csv with its study_id. */
static void put_study(FILE *stream, const study *s, int table) {
    const ich_csv *csv = &s->from->table[table];
    const int id = ich_csv_column(csv, "study_id");
    if (table == STUDIES) put_row(stream, csv, s->row);
    for (size_t r = 0; table == SLICES && id >= 0 && r < csv->n_rows; r++)
        if (!strcmp(ich_csv_cell(csv, r, id), s->id)) put_row(stream, csv, r);
}

static void put_about(FILE *stream, const ich_csv *about, const char *input) {
    char *place = realpath(input, NULL);
    fputs("key,value\n", stream);
    for (size_t r = 0; r < about->n_rows && about->n_columns == 2; r++) {
        const char *key = ich_csv_cell(about, r, 0);
        ich_csv_put(stream, key, ',');
        ich_csv_put(stream, strcmp(key, "input") ? ich_csv_cell(about, r, 1) : place ? place : input, '\n');
    }
    free(place);
}

static bool write_table(const merge *m, const char *out, int table, const char *input, ich_error *err) {
    ich_output file;
    char *path = ich_path_join(out, files[table]);
    const bool opened =
        path ? ich_output_open(&file, path, err) : ich_fail(err, "%s: no memory for a path", out);
    free(path);
    if (!opened) return false;
    const ich_csv *first = &m->studies[0].from->table[table];
    if (table == ABOUT) {
        put_about(file.stream, first, input);
    } else {
        put_header(file.stream, first);
        for (size_t i = 0; i < m->n_studies; i++) put_study(file.stream, &m->studies[i], table);
    }
    return ich_output_commit(&file, err);
}

/* out/heatmaps/<name> -> ../arrivals/<arrival>/heatmaps/<name>, if that is there. */
static bool link_heatmap(const char *out, const part *from, const char *name, ich_error *err) {
    char *target = NULL, *place = NULL, *source = NULL;
    bool done = asprintf(&target, "../arrivals/%s/heatmaps/%s", from->name, name) >= 0;
    done = asprintf(&place, "%s/heatmaps/%s", out, name) >= 0 && done;
    done = asprintf(&source, "%s/heatmaps/%s", from->folder, name) >= 0 && done;
    if (!done) ich_fail(err, "%s: no memory for a path", out);
    if (done && ich_path_exists(source) && symlink(target, place) != 0 && errno != EEXIST)
        done = ich_fail(err, "%s: cannot be made (%s)", place, strerror(errno));
    free(target);
    free(place);
    free(source);
    return done;
}

static bool link_heatmaps(const merge *m, const char *out, ich_error *err) {
    bool made = false;
    for (size_t i = 0; i < m->n_studies; i++) {
        const study *s = &m->studies[i];
        char *file = NULL, *from = ich_path_join(s->from->folder, "heatmaps"),
             *to = ich_path_join(out, "heatmaps");
        bool done = asprintf(&file, "%s.nii.gz", s->id) >= 0 && from && to;
        if (!done) ich_fail(err, "%s: no memory for a path", out);
        if (done && ich_path_exists(from)) {
            done = (made || (made = ich_folder_make(to, err))) && link_heatmap(out, s->from, s->id, err) &&
                   link_heatmap(out, s->from, file, err);
        }
        free(file);
        free(from);
        free(to);
        if (!done) return false;
    }
    return true;
}

/* studies.csv last: who sees a new study finds all that belongs to it. */
static bool write_all(const merge *m, const char *input, const char *out, ich_error *err) {
    return ich_skipped_write(&m->skipped, out, err) &&
           ich_skipped_write_as(&m->flagged, out, "flagged.csv", err) &&
           (m->n_studies == 0 ||
            (link_heatmaps(m, out, err) && write_table(m, out, ABOUT, input, err) &&
             write_table(m, out, SLICES, input, err) && write_table(m, out, STUDIES, input, err)));
}

bool ich_worklist_merge(const char *arrivals, const char *input, const char *out, size_t *left_out,
                        ich_error *err) {
    merge m = {0};
    bool done = read_parts(&m, arrivals, err) && list_studies(&m, err) && drop_doubles(&m, err);
    for (size_t i = 0; done && i < m.n_parts; i++)
        done = gather_notes(&m.parts[i], SKIPPED, &m.skipped, err) &&
               gather_notes(&m.parts[i], FLAGGED, &m.flagged, err);
    done = done && write_all(&m, input, out, err);
    if (done && left_out) *left_out = m.skipped.n_rows;
    free_merge(&m);
    return done;
}
