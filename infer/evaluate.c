#include "evaluate.h"
#include "evaluate_internal.h"

#include "data/file.h"
#include "localisation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- metrics.csv --------------------------------------------------------------------------------------- */

/* Where the threshold comes from. */
typedef struct cut {
    double threshold;
    char method[100];
} cut;

/* What a level's rows are made of. */
typedef struct level_figures {
    const ich_joined *joined;
    ich_figures figures;
    ich_intervals intervals;
    bool drawn; /* there are intervals */
} level_figures;

static bool compute(const ich_evaluate_options *o, const ich_joined *j, double threshold, level_figures *f,
                    ich_error *err) {
    ich_sample *sample = ich_sample_make(j, threshold, err);
    *f = (level_figures){.joined = j, .drawn = o->bootstrap > 0 && j->patients > 1};
    bool done = sample != NULL;
    if (done) ich_sample_figures(sample, NULL, &f->figures);
    if (done && f->drawn) done = ich_bootstrap(sample, o->bootstrap, o->seed, &f->intervals, err);
    ich_sample_free(sample);
    return done;
}

static void put_figure(FILE *stream, ich_level level, const char *label, const char *metric, ich_figure f,
                       size_t n, size_t positives) {
    fprintf(stream, "%s,%s,%s,", ich_level_names[level], label, metric);
    ich_put_number(stream, f.value, ',');
    ich_put_number(stream, f.low, ',');
    ich_put_number(stream, f.high, ',');
    ich_csv_put(stream, f.why ? f.why : f.method, ',');
    fprintf(stream, "%zu,%zu\n", n, positives);
}

/* The interval that was drawn, in place of none. */
static ich_figure with_interval(ich_figure f, bool drawn, double low, double high, const char *method) {
    if (isnan(f.value) || !drawn) return f;
    return (ich_figure){f.value, low, high, method,
                        isnan(low) ? "no interval: too few cases to draw from" : NULL};
}

static const char by_patient[] = "bootstrap of patients, percentile";

/* The figures of stats.h, whose intervals take every case for independent, or which have none. */
static bool own_figures(const ich_joined *j, int l, double threshold, ich_figure figure[ICH_METRICS],
                        ich_error *err) {
    const double *score = j->score[l], *label = j->label[l];
    const size_t n = j->n[l];
    const ich_confusion c = ich_confusion_at(score, label, n, threshold);
    ich_bin bins[ICH_CALIBRATION_BINS];
    ich_bins(score, label, n, ICH_CALIBRATION_BINS, bins);
    figure[ICH_AUC] = ich_auc_delong(score, label, n);
    figure[ICH_PPV] = ich_proportion(c.tp, c.tp + c.fp);
    figure[ICH_NPV] = ich_proportion(c.tn, c.tn + c.fn);
    figure[ICH_SENSITIVITY] = ich_proportion(c.tp, c.tp + c.fn);
    figure[ICH_SPECIFICITY] = ich_proportion(c.tn, c.tn + c.fp);
    figure[ICH_ACCURACY] = ich_proportion(c.tp + c.tn, n);
    figure[ICH_AVERAGE_PRECISION] = ich_average_precision(score, label, n);
    figure[ICH_BRIER] = ich_brier(score, label, n);
    figure[ICH_ECE] = ich_calibration_error(bins, ICH_CALIBRATION_BINS);
    figure[ICH_LOG_LOSS] = ich_log_loss(score, label, n);
    for (int m = 0; m < ICH_METRICS; m++)
        if (figure[m].why == ich_no_memory)
            return ich_fail(err, "out of memory: %s of '%s'", ich_metric_names[m], ich_label_names[l]);
    return true;
}

static bool put_label(FILE *stream, ich_level level, const level_figures *f, int l, const cut *at,
                      ich_error *err) {
    const size_t n = f->joined->n[l], positives = f->joined->positives[l];
    const char *label = ich_label_names[l];
    ich_figure own[ICH_METRICS];
    if (!own_figures(f->joined, l, at->threshold, own, err)) return false;
    for (int m = 0; m < ICH_METRICS; m++) {
        char name[40];
        char method[160];
        snprintf(method, sizeof method, "%s; %s", own[m].method, by_patient);
        const bool has_interval = m < ICH_AVERAGE_PRECISION; /* DeLong's or Wilson's */
        const ich_figure drawn =
            with_interval(own[m], f->drawn, f->intervals.low.value[l][m], f->intervals.high.value[l][m],
                          has_interval ? by_patient : method);
        put_figure(stream, level, label, ich_metric_names[m], has_interval ? own[m] : drawn, n, positives);
        snprintf(name, sizeof name, "%s_bootstrap", ich_metric_names[m]);
        if (has_interval && f->drawn) put_figure(stream, level, label, name, drawn, n, positives);
    }
    fprintf(stream, "%s,%s,threshold,", ich_level_names[level], label);
    ich_put_exact(stream, at->threshold, ',');
    fprintf(stream, ",,%s,%zu,%zu\n", at->method, n, positives);
    return true;
}

static void put_macro(FILE *stream, ich_level level, const level_figures *f) {
    size_t n = 0, positives = 0;
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++) {
        n += f->joined->n[l];
        positives += f->joined->positives[l];
    }
    for (int m = 0; m < ICH_METRICS && n > 0; m++) {
        const double value = f->figures.value[ICH_MACRO][m];
        const ich_figure plain = {value, NAN, NAN, "mean over the types that have the figure",
                                  isnan(value) ? "no type has the figure" : NULL};
        put_figure(
            stream, level, "macro", ich_metric_names[m],
            with_interval(plain, f->drawn, f->intervals.low.value[ICH_MACRO][m],
                          f->intervals.high.value[ICH_MACRO][m],
                          "mean over the types that have the figure; bootstrap of patients, percentile"),
            n, positives);
    }
}

static void put_rsna_loss(FILE *stream, ich_level level, const level_figures *f) {
    size_t n = 0, positives = 0;
    for (int l = 0; l < ICH_LABELS; l++) {
        n += f->joined->n[l];
        positives += f->joined->positives[l];
    }
    const ich_figure loss = {f->figures.rsna_loss, NAN, NAN, "RSNA 2019", n ? NULL : "no labelled case"};
    put_figure(stream, level, "all", "rsna_weighted_log_loss",
               with_interval(loss, f->drawn, f->intervals.low.rsna_loss, f->intervals.high.rsna_loss,
                             "RSNA 2019; bootstrap of patients, percentile"),
               n, positives);
}

/* Which studies the figures are of. */
static ich_part part_of(const ich_evaluate_options *o) {
    return (ich_part){.only = o->split, .except = o->split ? NULL : o->choose_on};
}

static bool put_level(FILE *stream, const ich_evaluate_options *o, ich_level level, const ich_joined *joined,
                      const cut *at, ich_error *err) {
    level_figures f;
    if (!joined->rows) return true;
    if (!compute(o, joined, at->threshold, &f, err)) return false;
    for (int l = 0; l < ICH_LABELS; l++)
        if (!put_label(stream, level, &f, l, at, err)) return false;
    put_macro(stream, level, &f);
    put_rsna_loss(stream, level, &f);
    return true;
}

static bool write_metrics(const ich_evaluate_options *o, const ich_joined j[ICH_LEVELS], const cut *at,
                          ich_error *err) {
    ich_output out;
    bool done = true;
    char *path = ich_path_join(o->out, "metrics.csv");
    const bool opened = path && ich_output_open(&out, path, err);
    if (!path) ich_fail(err, "%s: no memory for a path", o->out);
    free(path);
    if (!opened) return false;
    fputs("level,label,metric,value,ci_low,ci_high,method,n,n_positive\n", out.stream);
    for (ich_level level = 0; done && level < ICH_LEVELS; level++)
        done = put_level(out.stream, o, level, &j[level], at, err);
    done =
        done && ich_localisation_write(o->predictions, o->truth, part_of(o), at->threshold, out.stream, err);
    if (done) return ich_output_commit(&out, err);
    ich_output_abandon(&out);
    return false;
}

/* -- the verb ------------------------------------------------------------------------------------------ */

/* The threshold that the model carries, which predict leaves in about.csv; NaN if there is none. */
static double threshold_of_model(const char *predictions) {
    double threshold = NAN;
    ich_csv csv = {0};
    char *path = ich_path_join(predictions, "about.csv");
    if (path && ich_csv_read(&csv, path, NULL) && csv.n_columns == 2)
        for (size_t r = 0; r < csv.n_rows; r++)
            if (!strcmp(ich_csv_cell(&csv, r, 0), "threshold")) ich_csv_number(&csv, r, 1, &threshold, NULL);
    ich_csv_free(&csv);
    free(path);
    return threshold >= 0 && threshold <= 1 ? threshold : NAN;
}

/* Of *any* per study, on `chosen_on`. */
static void choose(const ich_evaluate_options *o, const ich_joined *chosen_on, cut *at) {
    const double *score = chosen_on->score[ICH_ANY], *label = chosen_on->label[ICH_ANY];
    const size_t n = chosen_on->n[ICH_ANY];
    const char *rule = NULL;
    if (!isnan(o->target_ppv)) {
        at->threshold = ich_threshold_for_ppv(score, label, n, o->target_ppv);
        rule = "for the target PPV";
    } else if (!isnan(o->target_sensitivity)) {
        at->threshold = ich_threshold_for_sensitivity(score, label, n, o->target_sensitivity);
        rule = "for the target sensitivity";
    } else if (o->choose_on && isnan(o->threshold)) {
        at->threshold = ich_threshold_youden(score, label, n);
        rule = "highest sensitivity + specificity (Youden 1950)";
    }
    if (rule && o->choose_on)
        snprintf(at->method, sizeof at->method, "%s on split %s", rule, o->choose_on);
    else if (rule)
        snprintf(at->method, sizeof at->method, "%s on these data", rule);
}

static bool choose_threshold(const ich_evaluate_options *o, const ich_joined *chosen_on, cut *at,
                             ich_error *err) {
    const double own = threshold_of_model(o->predictions);
    *at = (cut){.threshold = !isnan(o->threshold) ? o->threshold : !isnan(own) ? own : 0.5};
    snprintf(at->method, sizeof at->method, "%s",
             !isnan(o->threshold) ? "as given"
             : !isnan(own)        ? "the model's own"
                                  : "as no other was asked for");
    if (o->choose_on && !chosen_on->n[ICH_ANY])
        return ich_fail(err,
                        "%s: no study of split '%s' has an 'any' label and a prediction: no threshold can be "
                        "chosen on them",
                        o->truth, o->choose_on);
    choose(o, chosen_on, at);
    return !isnan(at->threshold) ||
           ich_fail(err, "%s: no threshold reaches the target on these studies; ask for a lower one",
                    o->predictions);
}

static bool summarise(const ich_joined j[ICH_LEVELS], const ich_table truth[ICH_LEVELS], double threshold,
                      ich_evaluation *result, ich_error *err) {
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
        if (result->auc[level].why == ich_no_memory) return ich_fail(err, "out of memory: the AUC");
    }
    return true;
}

/* The figures may go beside the predictions, but predict's own skipped.csv then stays, if nothing is to be
 * said here. */
static bool write_skipped(const ich_evaluate_options *o, const ich_skipped *skipped, ich_error *err) {
    return (!skipped->n_rows && ich_path_same(o->out, o->predictions)) ||
           ich_skipped_write(skipped, o->out, err);
}

static bool write_all(const ich_evaluate_options *o, const ich_joined j[ICH_LEVELS], const cut *at,
                      const ich_skipped *skipped, ich_error *err) {
    return ich_folder_make(o->out, err) && write_metrics(o, j, at, err) &&
           ich_write_roc(o->out, j, at->threshold, err) && ich_write_calibration(o->out, j, err) &&
           write_skipped(o, skipped, err);
}

/* Answers and truth of both levels, and what they have in common. */
typedef struct evaluation {
    ich_table answers[ICH_LEVELS], truth[ICH_LEVELS];
    ich_joined joined[ICH_LEVELS];
    ich_joined chosen_on; /* studies that the threshold is chosen on, if those are others */
} evaluation;

static bool read_evaluation(const ich_evaluate_options *o, evaluation *e, ich_skipped *skipped,
                            ich_error *err) {
    for (ich_level level = 0; level < ICH_LEVELS; level++)
        if (!ich_table_read_folder(&e->answers[level], o->predictions, level, false, err) ||
            !ich_table_read_folder(&e->truth[level], o->truth, level, true, err) ||
            !ich_join(&e->answers[level], &e->truth[level], &e->truth[ICH_LEVEL_STUDY], level, part_of(o),
                      &e->joined[level], level == ICH_LEVEL_STUDY ? skipped : NULL, err))
            return false;
    if (!e->joined[ICH_LEVEL_STUDY].n[ICH_ANY])
        return ich_fail(
            err,
            "%s: none of its studies has an 'any' label in %s%s%s; check that the study_ids are the "
            "same",
            o->predictions, o->truth, o->split ? ", split " : "", o->split ? o->split : "");
    return !o->choose_on ||
           ich_join(&e->answers[ICH_LEVEL_STUDY], &e->truth[ICH_LEVEL_STUDY], &e->truth[ICH_LEVEL_STUDY],
                    ICH_LEVEL_STUDY, (ich_part){.only = o->choose_on}, &e->chosen_on, NULL, err);
}

bool ich_evaluate(const ich_evaluate_options *o, ich_evaluation *result, ich_skipped *skipped,
                  ich_error *err) {
    evaluation e = {0};
    cut at;
    *result = (ich_evaluation){0};
    const bool done =
        read_evaluation(o, &e, skipped, err) &&
        choose_threshold(o, o->choose_on ? &e.chosen_on : &e.joined[ICH_LEVEL_STUDY], &at, err) &&
        summarise(e.joined, e.truth, at.threshold, result, err) && write_all(o, e.joined, &at, skipped, err);
    for (ich_level level = 0; level < ICH_LEVELS; level++) {
        ich_table_free(&e.answers[level]);
        ich_table_free(&e.truth[level]);
        ich_joined_free(&e.joined[level]);
    }
    ich_joined_free(&e.chosen_on);
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
                    ich_level_names[level], e->n[level], e->positives[level], e->threshold);
            print_figure(stream, "AUC", e->auc[level]);
            print_figure(stream, "PPV", e->ppv[level]);
            print_figure(stream, "sensitivity", e->sensitivity[level]);
            print_figure(stream, "specificity", e->specificity[level]);
        }
        if (e->not_predicted[level])
            fprintf(stream, "%zu %s of the truth have no prediction\n", e->not_predicted[level],
                    ich_level_plurals[level]);
    }
}
