#include "evaluate.h"

#include "data/csv.h"
#include "data/file.h"
#include "localisation.h"
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[ICH_LEVELS] = {"study", "slice"};
static const char *const level_plurals[ICH_LEVELS] = {"studies", "slices"};
static const char *const level_files[ICH_LEVELS] = {"studies.csv", "slices.csv"};
enum { CALIBRATION_BINS = 15, MOST_SLICE_INDEX = 1 << 20 };

/* -- reading and joining ------------------------------------------------------------------------------- */

typedef struct entry { /* one row of a table: what it is about, and its six numbers */
    const char *study;
    int slice;
    size_t row;
    double value[ICH_LABELS]; /* NaN: empty, or no such column */
} entry;

typedef struct table {
    ich_csv csv;
    entry *entries; /* [csv.n_rows] sorted by study, slice; NULL: there is no such file */
} table;

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    const int order = strcmp(x->study, y->study);
    return order ? order : (x->slice > y->slice) - (x->slice < y->slice);
}

static bool read_slice(const ich_csv *csv, size_t row, int column, int *slice, ich_error *err) {
    double value;
    if (!ich_csv_number(csv, row, column, &value, err)) return false;
    if (!(value >= 0 && value <= MOST_SLICE_INDEX && value == floor(value)))
        return ich_fail(err, "%s: line %zu: slice_index '%s' is not a whole number from 0 to %d: correct it",
                        csv->path, csv->lines[row], ich_csv_cell(csv, row, column), MOST_SLICE_INDEX);
    *slice = (int)value;
    return true;
}

static bool read_value(const ich_csv *csv, size_t row, int column, bool truth, double *value,
                       ich_error *err) {
    if (!ich_csv_number(csv, row, column, value, err)) return false;
    if (isnan(*value) || (truth ? *value == 0 || *value == 1 : *value >= 0 && *value <= 1)) return true;
    return ich_fail(err, "%s: line %zu: %s is '%s': %s", csv->path, csv->lines[row], csv->header[column],
                    ich_csv_cell(csv, row, column),
                    truth ? "the truth is 0, 1 or empty" : "a probability lies between 0 and 1");
}

typedef struct columns {
    int study, slice, label[ICH_LABELS]; /* -1: there is none */
} columns;

static bool find_columns(const ich_csv *csv, ich_level level, columns *at, ich_error *err) {
    at->slice = -1;
    for (int l = 0; l < ICH_LABELS; l++) at->label[l] = ich_csv_column(csv, ich_label_names[l]);
    return ich_csv_require(csv, "study_id", &at->study, err) &&
           ich_csv_require(csv, ich_label_names[ICH_ANY], &at->label[ICH_ANY], err) &&
           (level == ICH_LEVEL_STUDY || ich_csv_require(csv, "slice_index", &at->slice, err));
}

static bool read_entries(table *t, const columns *at, bool truth, ich_error *err) {
    for (size_t r = 0; r < t->csv.n_rows; r++) {
        entry *e = &t->entries[r];
        *e = (entry){.study = ich_csv_cell(&t->csv, r, at->study), .row = r};
        if (at->slice >= 0 && !read_slice(&t->csv, r, at->slice, &e->slice, err)) return false;
        for (int l = 0; l < ICH_LABELS; l++) {
            e->value[l] = NAN;
            if (at->label[l] >= 0 && !read_value(&t->csv, r, at->label[l], truth, &e->value[l], err))
                return false;
        }
    }
    return true;
}

static bool sort_entries(table *t, ich_level level, ich_error *err) {
    qsort(t->entries, t->csv.n_rows, sizeof *t->entries, by_key);
    for (size_t r = 1; r < t->csv.n_rows; r++) {
        const entry *a = &t->entries[r - 1], *b = &t->entries[r];
        if (by_key(a, b) != 0) continue;
        const size_t x = t->csv.lines[a->row], y = t->csv.lines[b->row];
        return ich_fail(err, "%s: lines %zu and %zu are about the same %s of study '%s': keep one",
                        t->csv.path, x < y ? x : y, x < y ? y : x, level_names[level], a->study);
    }
    return true;
}

static bool read_table(table *t, const char *folder, ich_level level, bool truth, ich_error *err) {
    columns at;
    char *path = ich_path_join(folder, level_files[level]);
    if (!path) return ich_fail(err, "%s: no memory for a path", folder);
    const bool absent = level == ICH_LEVEL_SLICE && !ich_path_exists(path);
    const bool done = absent || (ich_csv_read(&t->csv, path, err) && find_columns(&t->csv, level, &at, err));
    free(path);
    if (absent || !done) return done;
    t->entries = ich_new(t->csv.n_rows, sizeof *t->entries, t->csv.path, err);
    return t->entries && read_entries(t, &at, truth, err) && sort_entries(t, level, err);
}

static void free_table(table *t) {
    free(t->entries);
    ich_csv_free(&t->csv);
}

/* Scores and labels that belong together, a column per label. */
typedef struct joined {
    double *score[ICH_LABELS], *label[ICH_LABELS];
    size_t n[ICH_LABELS], positives[ICH_LABELS]; /* with a score and a known label */
    size_t rows;                                 /* joined at all */
} joined;

static void free_joined(joined *j) {
    for (int l = 0; l < ICH_LABELS; l++) {
        free(j->score[l]);
        free(j->label[l]);
    }
}

static void join_row(joined *j, const entry *prediction, const entry *truth) {
    j->rows++;
    for (int l = 0; l < ICH_LABELS; l++) {
        if (isnan(prediction->value[l]) || isnan(truth->value[l])) continue;
        j->score[l][j->n[l]] = prediction->value[l];
        j->label[l][j->n[l]++] = truth->value[l];
        j->positives[l] += truth->value[l] == 1;
    }
}

/* Slices without a counterpart are left out without a word where their study was named already. */
static bool join(const table *predictions, const table *truth, ich_level level, joined *j,
                 ich_skipped *skipped, ich_error *err) {
    if (!predictions->entries || !truth->entries) return true;
    for (int l = 0; l < ICH_LABELS; l++) {
        j->score[l] = ich_new(predictions->csv.n_rows, sizeof(double), "the scores", err);
        j->label[l] = ich_new(predictions->csv.n_rows, sizeof(double), "the labels", err);
        if (!j->score[l] || !j->label[l]) return false;
    }
    for (size_t r = 0; r < predictions->csv.n_rows; r++) {
        const entry *p = &predictions->entries[r];
        const entry *t = bsearch(p, truth->entries, truth->csv.n_rows, sizeof *p, by_key);
        if (t)
            join_row(j, p, t);
        else if (level == ICH_LEVEL_STUDY &&
                 !ich_skipped_add(skipped, predictions->csv.path, p->study, "the truth has no such study"))
            return ich_fail(err, "%s: no memory for the list of skipped studies", predictions->csv.path);
    }
    return true;
}

/* -- metrics.csv --------------------------------------------------------------------------------------- */

/* With as many digits as it takes to read the same number back: a threshold must not move past a score. */
static void put_exact(FILE *stream, double value, char end) {
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fprintf(stream, "%s%c", text, end);
}

static void put_number(FILE *stream, double value, char end) {
    if (!isnan(value)) fprintf(stream, "%.10g", value);
    fputc(end, stream);
}

static void put_figure(FILE *stream, ich_level level, const char *label, const char *metric, ich_figure f,
                       size_t n, size_t positives) {
    fprintf(stream, "%s,%s,%s,", level_names[level], label, metric);
    put_number(stream, f.value, ',');
    put_number(stream, f.low, ',');
    put_number(stream, f.high, ',');
    ich_csv_put(stream, f.why ? f.why : f.method, ',');
    fprintf(stream, "%zu,%zu\n", n, positives);
}

/* Where the threshold comes from. */
typedef struct cut {
    double threshold;
    const char *method;
} cut;

static ich_figure calibration_error(const joined *j, int l) {
    ich_bin bins[CALIBRATION_BINS];
    ich_bins(j->score[l], j->label[l], j->n[l], CALIBRATION_BINS, bins);
    return ich_calibration_error(bins, CALIBRATION_BINS);
}

static void put_label(FILE *stream, ich_level level, const joined *j, int l, const cut *at) {
    const double *score = j->score[l], *label = j->label[l];
    const size_t n = j->n[l];
    const ich_confusion c = ich_confusion_at(score, label, n, at->threshold);
    const struct {
        const char *metric;
        ich_figure figure;
    } rows[] = {
        {"auc", ich_auc_delong(score, label, n)},
        {"ppv", ich_proportion(c.tp, c.tp + c.fp)},
        {"npv", ich_proportion(c.tn, c.tn + c.fn)},
        {"sensitivity", ich_proportion(c.tp, c.tp + c.fn)},
        {"specificity", ich_proportion(c.tn, c.tn + c.fp)},
        {"accuracy", ich_proportion(c.tp + c.tn, n)},
        {"average_precision", ich_average_precision(score, label, n)},
        {"brier", ich_brier(score, label, n)},
        {"ece", calibration_error(j, l)},
        {"log_loss", ich_log_loss(score, label, n)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_figure(stream, level, ich_label_names[l], rows[i].metric, rows[i].figure, n, j->positives[l]);
    fprintf(stream, "%s,%s,threshold,", level_names[level], ich_label_names[l]);
    put_exact(stream, at->threshold, ',');
    fprintf(stream, ",,%s,%zu,%zu\n", at->method, n, j->positives[l]);
}

/* RSNA 2019's metric: log loss over all known labels, *any* counted twice. */
static void put_rsna_loss(FILE *stream, ich_level level, const joined *j) {
    double sum = 0, weights = 0;
    size_t n = 0, positives = 0;
    for (int l = 0; l < ICH_LABELS; l++) {
        if (!j->n[l]) continue;
        const double weight = (double)ich_label_weights[l] * (double)j->n[l];
        sum += weight * ich_log_loss(j->score[l], j->label[l], j->n[l]).value;
        weights += weight;
        n += j->n[l];
        positives += j->positives[l];
    }
    const ich_figure loss = {sum / weights, NAN, NAN, "RSNA 2019", n ? NULL : "no labelled case"};
    put_figure(stream, level, "all", "rsna_weighted_log_loss", loss, n, positives);
}

static bool write_metrics(const ich_evaluate_options *o, const joined j[ICH_LEVELS], const cut *at,
                          ich_error *err) {
    ich_output out;
    char *path = ich_path_join(o->out, "metrics.csv");
    const bool opened = path && ich_output_open(&out, path, err);
    if (!path) ich_fail(err, "%s: no memory for a path", o->out);
    free(path);
    if (!opened) return false;
    fputs("level,label,metric,value,ci_low,ci_high,method,n,n_positive\n", out.stream);
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        if (!j[level].rows) continue;
        for (int l = 0; l < ICH_LABELS; l++) put_label(out.stream, level, &j[level], l, at);
        put_rsna_loss(out.stream, level, &j[level]);
    }
    if (!ich_localisation_write(o->predictions, o->truth, at->threshold, out.stream, err)) {
        ich_output_abandon(&out);
        return false;
    }
    return ich_output_commit(&out, err);
}

/* -- curves -------------------------------------------------------------------------------------------- */

/* A table of all labels and a picture of *any*, side by side. */
typedef struct sheet {
    ich_output csv, svg;
} sheet;

static bool open_sheet(sheet *s, const char *folder, const char *name, ich_error *err) {
    char *csv = NULL, *svg = NULL;
    *s = (sheet){0};
    if (asprintf(&csv, "%s/%s.csv", folder, name) < 0) csv = NULL;
    if (asprintf(&svg, "%s/%s.svg", folder, name) < 0) svg = NULL;
    bool done = (csv && svg) || ich_fail(err, "%s: no memory for a path", folder);
    done = done && ich_output_open(&s->csv, csv, err);
    if (done && !ich_output_open(&s->svg, svg, err)) {
        ich_output_abandon(&s->csv);
        done = false;
    }
    free(csv);
    free(svg);
    return done;
}

static bool commit_sheet(sheet *s, ich_error *err) {
    ich_plot_end(s->svg.stream);
    if (ich_output_commit(&s->csv, err)) return ich_output_commit(&s->svg, err);
    ich_output_abandon(&s->svg);
    return false;
}

static void plot_roc(FILE *svg, ich_level level, const joined *j, const cut *at, size_t points,
                     const double *fpr, const double *tpr) {
    const double *score = j->score[ICH_ANY], *label = j->label[ICH_ANY];
    const size_t n = j->n[ICH_ANY];
    const ich_figure auc = ich_auc_delong(score, label, n);
    const ich_confusion c = ich_confusion_at(score, label, n, at->threshold);
    char name[120];
    int used = snprintf(name, sizeof name, "per %s: AUC %.3f", level_names[level], auc.value);
    if (!isnan(auc.low))
        snprintf(name + used, sizeof name - (size_t)used, " (%.3f to %.3f)", auc.low, auc.high);
    ich_plot_line(svg, (int)level, name, points, fpr, tpr);
    ich_plot_dot(svg, (int)level, (double)c.fp / (double)(c.fp + c.tn), (double)c.tp / (double)(c.tp + c.fn));
}

static bool write_roc(const char *folder, const joined j[ICH_LEVELS], const cut *at, ich_error *err) {
    sheet s;
    const size_t studies = j[ICH_LEVEL_STUDY].rows, slices = j[ICH_LEVEL_SLICE].rows;
    const size_t most = (studies > slices ? studies : slices) + 1;
    double *threshold = ich_new(most, 3 * sizeof *threshold, "the ROC curves", err);
    if (!threshold) return false;
    if (!open_sheet(&s, folder, "roc", err)) {
        free(threshold);
        return false;
    }
    double *fpr = threshold + most, *tpr = fpr + most;
    fputs("level,label,threshold,fpr,tpr\n", s.csv.stream);
    ich_plot_begin(s.svg.stream, "ROC of any hemorrhage; the dot: operating point", "1 − specificity",
                   "sensitivity");
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        for (int l = 0; l < ICH_LABELS; l++) {
            const size_t points =
                ich_roc(j[level].score[l], j[level].label[l], j[level].n[l], threshold, fpr, tpr);
            for (size_t i = 0; i < points; i++) {
                fprintf(s.csv.stream, "%s,%s,", level_names[level], ich_label_names[l]);
                put_exact(s.csv.stream, threshold[i], ',');
                fprintf(s.csv.stream, "%.10g,%.10g\n", fpr[i], tpr[i]);
            }
            if (l == ICH_ANY && points) plot_roc(s.svg.stream, level, &j[level], at, points, fpr, tpr);
        }
    }
    free(threshold);
    return commit_sheet(&s, err);
}

static void put_bins(FILE *csv, ich_level level, int l, const ich_bin *bins) {
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        const double cases = (double)bins[b].cases; /* 0 / 0: empty fields */
        fprintf(csv, "%s,%s,%.10g,%.10g,%zu,", level_names[level], ich_label_names[l],
                (double)b / CALIBRATION_BINS, (double)(b + 1) / CALIBRATION_BINS, bins[b].cases);
        put_number(csv, bins[b].scores / cases, ',');
        put_number(csv, bins[b].labels / cases, '\n');
    }
}

static void plot_bins(FILE *svg, ich_level level, size_t n, const ich_bin *bins) {
    double x[CALIBRATION_BINS], y[CALIBRATION_BINS];
    size_t points = 0;
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        if (!bins[b].cases) continue;
        x[points] = bins[b].scores / (double)bins[b].cases;
        y[points++] = bins[b].labels / (double)bins[b].cases;
    }
    char name[120];
    snprintf(name, sizeof name, "per %s: expected calibration error %.3f (n = %zu)", level_names[level],
             ich_calibration_error(bins, CALIBRATION_BINS).value, n);
    ich_plot_line(svg, (int)level, name, points, x, y);
    for (size_t i = 0; i < points; i++) ich_plot_dot(svg, (int)level, x[i], y[i]);
}

static bool write_calibration(const char *folder, const joined j[ICH_LEVELS], ich_error *err) {
    sheet s;
    ich_bin bins[CALIBRATION_BINS];
    if (!open_sheet(&s, folder, "calibration", err)) return false;
    fputs("level,label,bin_low,bin_high,n,mean_probability,frequency\n", s.csv.stream);
    ich_plot_begin(s.svg.stream, "Calibration of any hemorrhage", "predicted probability",
                   "observed frequency");
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        for (int l = 0; l < ICH_LABELS; l++) {
            const size_t n = j[level].n[l];
            if (!n) continue;
            ich_bins(j[level].score[l], j[level].label[l], n, CALIBRATION_BINS, bins);
            put_bins(s.csv.stream, level, l, bins);
            if (l == ICH_ANY) plot_bins(s.svg.stream, level, n, bins);
        }
    }
    return commit_sheet(&s, err);
}

/* -- the verb ------------------------------------------------------------------------------------------ */

static bool choose_threshold(const ich_evaluate_options *o, const joined *j, cut *at, ich_error *err) {
    const double *score = j->score[ICH_ANY], *label = j->label[ICH_ANY];
    const size_t n = j->n[ICH_ANY];
    *at = (cut){o->threshold, "as given"};
    if (!isnan(o->target_ppv))
        *at =
            (cut){ich_threshold_for_ppv(score, label, n, o->target_ppv), "for the target PPV on these data"};
    if (!isnan(o->target_sensitivity))
        *at = (cut){ich_threshold_for_sensitivity(score, label, n, o->target_sensitivity),
                    "for the target sensitivity on these data"};
    return !isnan(at->threshold) ||
           ich_fail(err, "%s: no threshold reaches the target on these studies; ask for a lower one",
                    o->predictions);
}

static void summarise(const joined j[ICH_LEVELS], const table truth[ICH_LEVELS], double threshold,
                      ich_evaluation *result) {
    result->threshold = threshold;
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        const double *score = j[level].score[ICH_ANY], *label = j[level].label[ICH_ANY];
        const size_t n = j[level].n[ICH_ANY];
        const ich_confusion c = ich_confusion_at(score, label, n, threshold);
        result->n[level] = n;
        result->positives[level] = j[level].positives[ICH_ANY];
        result->auc[level] = ich_auc_delong(score, label, n);
        result->ppv[level] = ich_proportion(c.tp, c.tp + c.fp);
        result->sensitivity[level] = ich_proportion(c.tp, c.tp + c.fn);
        result->specificity[level] = ich_proportion(c.tn, c.tn + c.fp);
        if (j[level].score[ICH_ANY]) result->not_predicted[level] = truth[level].csv.n_rows - j[level].rows;
    }
}

static bool same_folder(const char *a, const char *b) {
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    const bool same = x && y && !strcmp(x, y);
    free(x);
    free(y);
    return same;
}

/* The figures may go beside the predictions, but predict's own skipped.csv then stays, if nothing is to be
 * said here. */
static bool write_skipped(const ich_evaluate_options *o, const ich_skipped *skipped, ich_error *err) {
    return (!skipped->n_rows && same_folder(o->out, o->predictions)) ||
           ich_skipped_write(skipped, o->out, err);
}

static bool write_all(const ich_evaluate_options *o, const joined j[ICH_LEVELS], const cut *at,
                      const ich_skipped *skipped, ich_error *err) {
    return ich_folder_make(o->out, err) && write_metrics(o, j, at, err) && write_roc(o->out, j, at, err) &&
           write_calibration(o->out, j, err) && write_skipped(o, skipped, err);
}

bool ich_evaluate(const ich_evaluate_options *o, ich_evaluation *result, ich_skipped *skipped,
                  ich_error *err) {
    table predictions[ICH_LEVELS] = {0}, truth[ICH_LEVELS] = {0};
    joined j[ICH_LEVELS] = {0};
    cut at;
    bool done = true;
    *result = (ich_evaluation){0};
    for (ich_level level = 0; done && level < ICH_LEVELS; level++)
        done = read_table(&predictions[level], o->predictions, level, false, err) &&
               read_table(&truth[level], o->truth, level, true, err) &&
               join(&predictions[level], &truth[level], level, &j[level], skipped, err);
    if (done && !j[ICH_LEVEL_STUDY].n[ICH_ANY])
        done = ich_fail(err,
                        "%s: none of its studies has an 'any' label in %s; check that the study_ids are the "
                        "same",
                        o->predictions, o->truth);
    done = done && choose_threshold(o, &j[ICH_LEVEL_STUDY], &at, err) && write_all(o, j, &at, skipped, err);
    if (done) summarise(j, truth, at.threshold, result);
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        free_table(&predictions[level]);
        free_table(&truth[level]);
        free_joined(&j[level]);
    }
    return done;
}

static void print_figure(FILE *stream, const char *name, ich_figure f) {
    if (isnan(f.value))
        fprintf(stream, "  %-12s -      (%s)\n", name, f.why);
    else if (isnan(f.low))
        fprintf(stream, "  %-12s %.3f  (%s)\n", name, f.value, f.why);
    else
        fprintf(stream, "  %-12s %.3f  (%.3f to %.3f, %s)\n", name, f.value, f.low, f.high, f.method);
}

void ich_evaluation_print(const ich_evaluation *e, FILE *stream) {
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        if (e->n[level]) {
            fprintf(stream, "any hemorrhage, per %s: n = %zu, %zu positive, threshold %.3g\n",
                    level_names[level], e->n[level], e->positives[level], e->threshold);
            print_figure(stream, "AUC", e->auc[level]);
            print_figure(stream, "PPV", e->ppv[level]);
            print_figure(stream, "sensitivity", e->sensitivity[level]);
            print_figure(stream, "specificity", e->specificity[level]);
        }
        if (e->not_predicted[level])
            fprintf(stream, "%zu %s of the truth have no prediction\n", e->not_predicted[level],
                    level_plurals[level]);
    }
}
