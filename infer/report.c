#include "report.h"

#include "data/csv.h"
#include "data/file.h"
#include "data/labels.h"
#include "data/text.h"
#include "infer/picture.h"
#include "infer/report_pictures.h"
#include "infer/scans.h"
#include "infer/script_json.h"
#include "tensor/team.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const char ich_report_page[]; /* report.html, embedded by the build */

enum {
    MOST_TEXT = 1 << 20,        /* bytes of a recipe or a plot */
    MOST_SLICE_INDEX = 1 << 20, /* keeps sums of indices sane */
    READERS = 4,                /* volumes in memory at once */
    COLOURS = 9                 /* of the heat scale, between which the page draws lines */
};

typedef struct slice {
    const char *study;
    size_t row;
    int index;
    double probability[ICH_LABELS], attention;
} slice;

typedef struct study {
    const char *id;
    size_t row, begin, end;                               /* its slices */
    double probability[ICH_LABELS], seconds, uncertainty; /* the latter two NaN: not told */
} study;

typedef struct page {
    const ich_report_options *options;
    ich_csv study_table, slice_table, about, skipped, metrics; /* the last three may be empty */
    char *recipe, *roc, *calibration;                          /* texts; NULL: there is none */
    study *studies;                                            /* by falling probability of *any* */
    slice *slices;                                             /* by study and index */
    ich_scans scans;
    ich_skipped left_out; /* scans that are there and could not be shown */
    char *heatmaps;       /* folder; NULL: there are none of these predictions */
    double threshold;
} page;

/* -- reading ------------------------------------------------------------------------------------------- */

/* folder/name, or nothing at all if there is no such file. */
static bool read_optional_table(ich_csv *csv, const char *folder, const char *name, ich_error *err) {
    char *path = ich_path_join(folder, name);
    if (!path) return ich_fail(err, "%s: no memory for a path", folder);
    const bool done = !ich_path_exists(path) || ich_csv_read(csv, path, err);
    free(path);
    return done;
}

static bool read_optional_text(char **text, const char *folder, const char *name, ich_error *err) {
    size_t count;
    char *path = ich_path_join(folder, name);
    if (!path) return ich_fail(err, "%s: no memory for a path", folder);
    const bool there = ich_path_exists(path);
    *text = there ? ich_file_read(path, MOST_TEXT, &count, err) : NULL;
    free(path);
    return *text || !there;
}

static bool read_probabilities(const ich_csv *csv, size_t row, const int *columns, double *probability,
                               ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++) {
        probability[l] = NAN;
        if (columns[l] >= 0 && !ich_csv_number(csv, row, columns[l], &probability[l], err)) return false;
    }
    return true;
}

static bool find_labels(const ich_csv *csv, int *columns, ich_error *err) {
    for (int l = 0; l < ICH_LABELS; l++) columns[l] = ich_csv_column(csv, ich_label_names[l]);
    return ich_csv_require(csv, ich_label_names[ICH_ANY], &columns[ICH_ANY], err);
}

static int by_study(const void *a, const void *b) {
    const slice *x = a, *y = b;
    const int order = strcmp(x->study, y->study);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static bool read_slice(const ich_csv *csv, slice *s, int index, int attention, const int *labels,
                       ich_error *err) {
    double value;
    if (!ich_csv_number(csv, s->row, index, &value, err)) return false;
    if (!(value >= 0 && value <= MOST_SLICE_INDEX && value == floor(value)))
        return ich_fail(err, "%s: line %zu: slice_index '%s' is not a whole number from 0 to %d: correct it",
                        csv->path, csv->lines[s->row], ich_csv_cell(csv, s->row, index), MOST_SLICE_INDEX);
    s->index = (int)value;
    return ich_csv_number(csv, s->row, attention, &s->attention, err) &&
           read_probabilities(csv, s->row, labels, s->probability, err);
}

static bool read_slices(page *p, ich_error *err) {
    int id, index, attention, labels[ICH_LABELS];
    const ich_csv *csv = &p->slice_table;
    if (!read_optional_table(&p->slice_table, p->options->predictions, "slices.csv", err)) return false;
    p->slices = ich_new(csv->n_rows, sizeof *p->slices, "the slices", err);
    if (!p->slices || !csv->path) return p->slices != NULL;
    if (!ich_csv_require(csv, "study_id", &id, err) || !ich_csv_require(csv, "slice_index", &index, err) ||
        !ich_csv_require(csv, "attention", &attention, err) || !find_labels(csv, labels, err))
        return false;
    for (size_t r = 0; r < csv->n_rows; r++) {
        p->slices[r] = (slice){.study = ich_csv_cell(csv, r, id), .row = r};
        if (!read_slice(csv, &p->slices[r], index, attention, labels, err)) return false;
    }
    qsort(p->slices, csv->n_rows, sizeof *p->slices, by_study);
    return true;
}

/* NaN, which is an empty field, comes last. */
static int by_probability(const void *a, const void *b) {
    const study *x = a, *y = b;
    const double p = isnan(x->probability[ICH_ANY]) ? -1 : x->probability[ICH_ANY];
    const double q = isnan(y->probability[ICH_ANY]) ? -1 : y->probability[ICH_ANY];
    if (p != q) return p < q ? 1 : -1;
    return (x->row > y->row) - (x->row < y->row);
}

/* The study's slices: [begin, end) of the sorted list. */
static void find_slices(const page *p, study *s) {
    size_t low = 0, high = p->slice_table.n_rows;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(p->slices[middle].study, s->id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    s->begin = s->end = low;
    while (s->end < p->slice_table.n_rows && !strcmp(p->slices[s->end].study, s->id)) s->end++;
}

static bool read_studies(page *p, ich_error *err) {
    int id, labels[ICH_LABELS];
    ich_csv *csv = &p->study_table;
    char *path = ich_path_join(p->options->predictions, "studies.csv");
    bool done = path ? ich_csv_read(csv, path, err)
                     : ich_fail(err, "%s: no memory for a path", p->options->predictions);
    free(path);
    done = done && ich_csv_require(csv, "study_id", &id, err) && find_labels(csv, labels, err);
    p->studies = done ? ich_new(csv->n_rows, sizeof *p->studies, "the worklist", err) : NULL;
    if (!p->studies) return false;
    const int seconds = ich_csv_column(csv, "seconds"), uncertainty = ich_csv_column(csv, "uncertainty");
    for (size_t r = 0; r < csv->n_rows; r++) {
        study *s = &p->studies[r];
        *s = (study){.id = ich_csv_cell(csv, r, id), .row = r, .seconds = NAN, .uncertainty = NAN};
        if (!read_probabilities(csv, r, labels, s->probability, err) ||
            (seconds >= 0 && !ich_csv_number(csv, r, seconds, &s->seconds, err)) ||
            (uncertainty >= 0 && !ich_csv_number(csv, r, uncertainty, &s->uncertainty, err)))
            return false;
        find_slices(p, s);
    }
    qsort(p->studies, csv->n_rows, sizeof *p->studies, by_probability);
    return true;
}

/* The value beside `key` in about.csv, or NULL. */
static const char *find_about(const page *p, const char *key) {
    for (size_t r = 0; p->about.n_columns >= 2 && r < p->about.n_rows; r++)
        if (!strcmp(ich_csv_cell(&p->about, r, 0), key)) return ich_csv_cell(&p->about, r, 1);
    return NULL;
}

/* The threshold that metrics.csv was made at; NaN if it has none. */
static double find_threshold(const page *p) {
    const ich_csv *csv = &p->metrics;
    double value = NAN;
    int level, label, metric, column;
    if (!csv->path || !ich_csv_require(csv, "level", &level, NULL) ||
        !ich_csv_require(csv, "label", &label, NULL) || !ich_csv_require(csv, "metric", &metric, NULL) ||
        !ich_csv_require(csv, "value", &column, NULL))
        return NAN;
    for (size_t r = 0; r < csv->n_rows; r++)
        if (!strcmp(ich_csv_cell(csv, r, level), "study") && !strcmp(ich_csv_cell(csv, r, label), "any") &&
            !strcmp(ich_csv_cell(csv, r, metric), "threshold") &&
            !ich_csv_number(csv, r, column, &value, NULL))
            return NAN;
    return value;
}

static bool read_evaluation(page *p, ich_error *err) {
    const char *folder = p->options->evaluation;
    p->threshold = p->options->threshold;
    if (folder) {
        char *path = ich_path_join(folder, "metrics.csv");
        if (!path) return ich_fail(err, "%s: no memory for a path", folder);
        const bool done = ich_csv_read(&p->metrics, path, err);
        free(path);
        if (!done) return false;
        if (!read_optional_text(&p->roc, folder, "roc.svg", err) ||
            !read_optional_text(&p->calibration, folder, "calibration.svg", err))
            return false;
        if (isnan(p->threshold)) p->threshold = find_threshold(p);
    }
    const char *own = find_about(p, "threshold"); /* infer/calibrate.h */
    if (isnan(p->threshold) && own) p->threshold = strtod(own, NULL);
    if (!(p->threshold >= 0 && p->threshold <= 1)) p->threshold = 0.5;
    return true;
}

static int by_id(const void *a, const void *b) {
    return strcmp(((const ich_scan *)a)->study_id, ((const ich_scan *)b)->study_id);
}

static bool leave_out(page *p, const char *path, const char *id, const ich_error *why, ich_error *err) {
    return ich_skipped_add(&p->left_out, path, id, why->text) ||
           ich_fail(err, "%s: no memory for the list of scans left out", p->options->predictions);
}

/* Scans that are not where they were are simply not at hand, unless the user named them. */
static bool find_scans(page *p, ich_error *err) {
    const char *input = p->options->scans ? p->options->scans : find_about(p, "input");
    ich_error why = {0};
    if (!input || (!p->options->scans && !ich_path_exists(input))) return true;
    if (ich_scans_list(&p->scans, input, &why)) {
        qsort(p->scans.scans, p->scans.count, sizeof *p->scans.scans, by_id);
        return true;
    }
    return p->options->scans ? ich_fail(err, "%s", why.text) : leave_out(p, input, "", &why, err);
}

static bool read_all(page *p, ich_error *err) {
    const char *folder = p->options->predictions;
    if (!read_slices(p, err) || !read_studies(p, err) ||
        !read_optional_table(&p->about, folder, "about.csv", err) ||
        !read_optional_table(&p->skipped, folder, "skipped.csv", err) || !read_evaluation(p, err))
        return false;
    if (!read_optional_text(&p->recipe, folder, "recipe.ini", err)) return false;
    /* Heatmaps of an earlier run with another model must not be shown as this one's. */
    const char *kind = find_about(p, "heatmaps");
    if (kind && !strcmp(kind, "none")) return find_scans(p, err);
    p->heatmaps = ich_path_join(folder, "heatmaps");
    return p->heatmaps ? find_scans(p, err) : ich_fail(err, "%s: no memory for a path", folder);
}

static void free_page(page *p) {
    ich_csv *const tables[] = {&p->study_table, &p->slice_table, &p->about, &p->skipped, &p->metrics};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) ich_csv_free(tables[i]);
    ich_scans_free(&p->scans);
    ich_skipped_free(&p->left_out);
    free(p->recipe);
    free(p->roc);
    free(p->calibration);
    free(p->studies);
    free(p->slices);
    free(p->heatmaps);
}

/* -- the tables ---------------------------------------------------------------------------------------- */

static void put_reals(FILE *stream, const double *values, size_t n) {
    fputc('[', stream);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) fputc(',', stream);
        ich_json_real(stream, values[i]);
    }
    fputc(']', stream);
}

static void put_key(FILE *stream, const char *key) { fprintf(stream, ",\n\"%s\":", key); }

static void put_optional(FILE *stream, const char *key, const char *text) {
    put_key(stream, key);
    if (text)
        ich_json_text(stream, text);
    else
        fputs("null", stream);
}

/* All rows as they are, without the header. */
static void put_table(FILE *stream, const char *key, const ich_csv *csv) {
    put_key(stream, key);
    fputc('[', stream);
    for (size_t r = 0; r < csv->n_rows; r++) {
        fputs(r > 0 ? ",\n[" : "[", stream);
        for (size_t c = 0; c < csv->n_columns; c++) {
            if (c > 0) fputc(',', stream);
            ich_json_text(stream, ich_csv_cell(csv, r, (int)c));
        }
        fputc(']', stream);
    }
    fputc(']', stream);
}

/* The verdict is given here, at full precision, not from the page's rounded numbers. */
static void put_study(FILE *stream, const page *p, const study *s) {
    fputs("{\"id\":", stream);
    ich_json_text(stream, s->id);
    fprintf(stream, ",\"positive\":%s,\"p\":", s->probability[ICH_ANY] >= p->threshold ? "true" : "false");
    put_reals(stream, s->probability, ICH_LABELS);
    fputs(",\"seconds\":", stream);
    ich_json_real(stream, s->seconds);
    fputs(",\"uncertainty\":", stream);
    ich_json_real(stream, s->uncertainty);
    fputs(",\"index\":[", stream);
    for (size_t i = s->begin; i < s->end; i++)
        fprintf(stream, "%s%d", i > s->begin ? "," : "", p->slices[i].index);
    fputs("],\"slices\":[", stream);
    for (size_t i = s->begin; i < s->end; i++) {
        if (i > s->begin) fputc(',', stream);
        put_reals(stream, p->slices[i].probability, ICH_LABELS);
    }
    fputs("],\"attention\":[", stream);
    for (size_t i = s->begin; i < s->end; i++) {
        if (i > s->begin) fputc(',', stream);
        ich_json_real(stream, p->slices[i].attention);
    }
    fputs("]}", stream);
}

/* What the page needs to know about pictures as a whole. */
static void put_scales(FILE *stream) {
    put_key(stream, "colours");
    for (int i = 0; i < COLOURS; i++) {
        uint8_t c[3];
        ich_picture_colour((float)i / (COLOURS - 1), c);
        fprintf(stream, "%c[%d,%d,%d]", i > 0 ? ',' : '[', c[0], c[1], c[2]);
    }
    fputs("],\n\"tones\":", stream);
    for (int i = 0; i < ICH_REPORT_TONES; i++)
        fprintf(stream, "%c[%d,%d]", i > 0 ? ',' : '[', ich_report_tones[i][0], ich_report_tones[i][1]);
    fprintf(stream, "],\n\"heatSide\":%d", ICH_REPORT_HEAT_SIDE);
}

static void put_data(FILE *stream, const page *p) {
    fputs("{\"version\":\"" ICHOR_VERSION "\",\n\"threshold\":", stream);
    fprintf(stream, "%.17g,\n\"labels\":", p->threshold);
    for (int l = 0; l < ICH_LABELS; l++) fprintf(stream, "%c\"%s\"", l > 0 ? ',' : '[', ich_label_names[l]);
    fputc(']', stream);
    put_scales(stream);
    put_table(stream, "about", &p->about);
    put_table(stream, "skipped", &p->skipped);
    put_table(stream, "metrics", &p->metrics);
    put_optional(stream, "recipe", p->recipe);
    put_optional(stream, "roc", p->roc);
    put_optional(stream, "calibration", p->calibration);
    put_key(stream, "studies");
    fputc('[', stream);
    for (size_t i = 0; i < p->study_table.n_rows; i++) {
        if (i > 0) fputs(",\n", stream);
        put_study(stream, p, &p->studies[i]);
    }
    fputs("]}", stream);
}

/* -- the pictures -------------------------------------------------------------------------------------- */

static const ich_scan *find_scan(const page *p, const study *s) {
    const ich_scan key = {.study_id = (char *)s->id};
    if (p->scans.count == 0) return NULL;
    return bsearch(&key, p->scans.scans, p->scans.count, sizeof key, by_id);
}

/* The pictures of study i as JSON in fresh memory, NULL without memory. `why`: what of them is missing. */
static char *describe_pictures(const page *p, size_t i, ich_error *why) {
    const study *s = &p->studies[i];
    const size_t n = s->end - s->begin, share = p->options->picture_budget / p->study_table.n_rows;
    const ich_scan *scan = find_scan(p, s);
    int *index = calloc(n ? n : 1, sizeof *index);
    double *attention = calloc(n ? n : 1, sizeof *attention);
    char *json = NULL;
    ich_text text;
    if (index && attention && ich_text_open(&text, "pictures", NULL)) {
        for (size_t t = 0; t < n; t++) {
            index[t] = p->slices[s->begin + t].index;
            attention[t] = p->slices[s->begin + t].attention;
        }
        const ich_report_stack stack = {s->id, scan ? scan->path : NULL, p->heatmaps, n, index, attention};
        ich_report_pictures(text.stream, &stack, share, why);
        json = ich_text_close(&text, NULL);
    }
    free(index);
    free(attention);
    return json;
}

/* Studies are made in parallel and written in their order. */
static bool put_pictures(FILE *stream, page *p, ich_error *err) {
    const size_t count = p->study_table.n_rows;
    const int team = ich_team_size() < READERS ? ich_team_size() : READERS;
    bool done = true;
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(team)
    for (size_t i = 0; i < count; i++) {
        ich_error why = {0};
        char *json = describe_pictures(p, i, &why);
        const ich_scan *scan = find_scan(p, &p->studies[i]);
#pragma omp ordered
        {
            done = done &&
                   (json || ich_fail(err, "%s: no memory for its pictures", p->options->predictions)) &&
                   (!why.text[0] || leave_out(p, scan ? scan->path : "", p->studies[i].id, &why, err));
            fprintf(stream, "<script type=\"application/json\" id=\"pictures-%zu\">%s</script>\n", i,
                    json ? json : "null");
            ich_progress_update(p->options->progress, "report", i + 1, count, "studies", NULL);
        }
        free(json);
    }
    return done;
}

/* -- the page ------------------------------------------------------------------------------------------ */

/* report.html up to `mark`; returns where it goes on. */
static const char *put_until(FILE *stream, const char *from, const char *mark) {
    const char *at = strstr(from, mark);
    fwrite(from, 1, (size_t)(at - from), stream);
    return at + strlen(mark);
}

static bool write_page(page *p, const char *folder, ich_error *err) {
    ich_output out;
    char *path = ich_path_join(folder, "index.html");
    const bool opened = path && ich_folder_make(folder, err) && ich_output_open(&out, path, err);
    if (!path) ich_fail(err, "%s: no memory for a path", folder);
    free(path);
    if (!opened) return false;
    const char *rest = put_until(out.stream, ich_report_page, "@DATA@");
    put_data(out.stream, p);
    rest = put_until(out.stream, rest, "@PICTURES@");
    if (!put_pictures(out.stream, p, err)) {
        ich_output_abandon(&out);
        return false;
    }
    fputs(rest, out.stream);
    return ich_output_commit(&out, err);
}

/* The page may go beside the predictions: predict's own skipped.csv then stays, if nothing is to be said
 * here. */
static bool write_left_out(const page *p, const char *folder, ich_error *err) {
    return (!p->left_out.n_rows && ich_path_same(folder, p->options->predictions)) ||
           ich_skipped_write(&p->left_out, folder, err);
}

bool ich_report_write(const ich_report_options *o, ich_error *err) {
    page p = {.options = o};
    char *folder = o->out ? strdup(o->out) : ich_path_join(o->predictions, "report");
    const bool done =
        folder ? read_all(&p, err) && write_page(&p, folder, err) && write_left_out(&p, folder, err)
               : ich_fail(err, "%s: no memory for a path", o->predictions);
    if (done && o->left_out) {
        *o->left_out = p.left_out;
        p.left_out = (ich_skipped){0};
    }
    free(folder);
    free_page(&p);
    return done;
}
