/* The curves of an evaluation: a table of all labels and a picture of *any*, side by side. */
#include "evaluate_internal.h"

#include "data/file.h"
#include "plot.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

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

static bool plot_roc(FILE *svg, ich_level level, const ich_joined *j, double threshold, size_t points,
                     const double *fpr, const double *tpr, ich_error *err) {
    const double *score = j->score[ICH_ANY], *label = j->label[ICH_ANY];
    const size_t n = j->n[ICH_ANY];
    const ich_figure auc = ich_auc_delong(score, label, n);
    if (auc.why == ich_no_memory) return ich_fail(err, "out of memory: the AUC");
    const ich_confusion c = ich_confusion_at(score, label, n, threshold);
    char name[120];
    int used = snprintf(name, sizeof name, "per %s: AUC %.3f", ich_level_names[level], auc.value);
    if (!isnan(auc.low))
        snprintf(name + used, sizeof name - (size_t)used, " (%.3f to %.3f)", auc.low, auc.high);
    ich_plot_line(svg, (int)level, name, points, fpr, tpr);
    ich_plot_dot(svg, (int)level, (double)c.fp / (double)(c.fp + c.tn), (double)c.tp / (double)(c.tp + c.fn));
    return true;
}

/* The curve of one label; `cuts`, `fpr` and `tpr` have room for it. */
static bool put_roc(const sheet *s, ich_level level, const ich_joined *j, int l, double threshold,
                    double *cuts, double *fpr, double *tpr, ich_error *err) {
    const size_t points = ich_roc(j->score[l], j->label[l], j->n[l], cuts, fpr, tpr);
    if (points == SIZE_MAX) return ich_fail(err, "out of memory: the ROC curve of '%s'", ich_label_names[l]);
    for (size_t i = 0; i < points; i++) {
        fprintf(s->csv.stream, "%s,%s,", ich_level_names[level], ich_label_names[l]);
        ich_put_exact(s->csv.stream, cuts[i], ',');
        fprintf(s->csv.stream, "%.10g,%.10g\n", fpr[i], tpr[i]);
    }
    return l != ICH_ANY || points == 0 || plot_roc(s->svg.stream, level, j, threshold, points, fpr, tpr, err);
}

bool ich_write_roc(const char *folder, const ich_joined j[ICH_LEVELS], double threshold, ich_error *err) {
    sheet s;
    const size_t studies = j[ICH_LEVEL_STUDY].rows, slices = j[ICH_LEVEL_SLICE].rows;
    const size_t most = (studies > slices ? studies : slices) + 1;
    double *cuts = ich_new(most, 3 * sizeof *cuts, "the ROC curves", err);
    if (!cuts) return false;
    if (!open_sheet(&s, folder, "roc", err)) {
        free(cuts);
        return false;
    }
    double *fpr = cuts + most, *tpr = fpr + most;
    fputs("level,label,threshold,fpr,tpr\n", s.csv.stream);
    ich_plot_begin(s.svg.stream, "ROC of any hemorrhage; the dot: operating point", "1 − specificity",
                   "sensitivity");
    bool done = true;
    for (ich_level level = 0; level < ICH_LEVELS; level++)
        for (int l = 0; done && l < ICH_LABELS; l++)
            done = put_roc(&s, level, &j[level], l, threshold, cuts, fpr, tpr, err);
    free(cuts);
    if (done) return commit_sheet(&s, err);
    ich_output_abandon(&s.csv);
    ich_output_abandon(&s.svg);
    return false;
}

static void put_bins(FILE *csv, ich_level level, int l, const ich_bin *bins) {
    for (int b = 0; b < ICH_CALIBRATION_BINS; b++) {
        const double cases = (double)bins[b].cases; /* 0 / 0: empty fields */
        fprintf(csv, "%s,%s,%.10g,%.10g,%zu,", ich_level_names[level], ich_label_names[l],
                (double)b / ICH_CALIBRATION_BINS, (double)(b + 1) / ICH_CALIBRATION_BINS, bins[b].cases);
        ich_put_number(csv, bins[b].scores / cases, ',');
        ich_put_number(csv, bins[b].labels / cases, '\n');
    }
}

static void plot_bins(FILE *svg, ich_level level, size_t n, const ich_bin *bins) {
    double x[ICH_CALIBRATION_BINS], y[ICH_CALIBRATION_BINS];
    size_t points = 0;
    for (int b = 0; b < ICH_CALIBRATION_BINS; b++) {
        if (!bins[b].cases) continue;
        x[points] = bins[b].scores / (double)bins[b].cases;
        y[points++] = bins[b].labels / (double)bins[b].cases;
    }
    char name[120];
    snprintf(name, sizeof name, "per %s: expected calibration error %.3f (n = %zu)", ich_level_names[level],
             ich_calibration_error(bins, ICH_CALIBRATION_BINS).value, n);
    ich_plot_line(svg, (int)level, name, points, x, y);
    for (size_t i = 0; i < points; i++) ich_plot_dot(svg, (int)level, x[i], y[i]);
}

bool ich_write_calibration(const char *folder, const ich_joined j[ICH_LEVELS], ich_error *err) {
    sheet s;
    ich_bin bins[ICH_CALIBRATION_BINS];
    if (!open_sheet(&s, folder, "calibration", err)) return false;
    fputs("level,label,bin_low,bin_high,n,mean_probability,frequency\n", s.csv.stream);
    ich_plot_begin(s.svg.stream, "Calibration of any hemorrhage", "predicted probability",
                   "observed frequency");
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        for (int l = 0; l < ICH_LABELS; l++) {
            const size_t n = j[level].n[l];
            if (!n) continue;
            ich_bins(j[level].score[l], j[level].label[l], n, ICH_CALIBRATION_BINS, bins);
            put_bins(s.csv.stream, level, l, bins);
            if (l == ICH_ANY) plot_bins(s.svg.stream, level, n, bins);
        }
    }
    return commit_sheet(&s, err);
}
