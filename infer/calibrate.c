#include "infer/calibrate.h"

#include "data/file.h"
#include "infer/bootstrap.h"
#include "infer/calibration.h"
#include "infer/conformal.h"
#include "infer/likeness.h"
#include "infer/provenance.h"
#include "infer/stats.h"
#include "infer/tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- the answers --------------------------------------------------------------------------------------- */

/* The value of a key of about.csv; NULL if there is none. */
static const char *about(const ich_csv *csv, const char *key) {
    for (size_t r = 0; r < csv->n_rows && csv->n_columns == 2; r++)
        if (!strcmp(ich_csv_cell(csv, r, 0), key)) return ich_csv_cell(csv, r, 1);
    return NULL;
}

/* Answers that another model gave, or this one before it was calibrated, would calibrate nothing. */
static bool check_answers(const ich_model *model, const char *predictions, ich_error *err) {
    ich_csv csv = {0};
    char *path = ich_path_join(predictions, "about.csv");
    bool done = path ? ich_csv_read(&csv, path, err) : ich_fail(err, "%s: no memory for a path", predictions);
    for (int i = 0; done && i < model->n_meta; i++) {
        const char *value = about(&csv, model->meta_keys[i]);
        if (!strcmp(model->meta_keys[i], ICH_INPUTS) || !strcmp(model->meta_keys[i], ICH_META_ANCESTRY))
            continue; /* not there */
        if (value && !strcmp(value, model->meta_values[i])) continue;
        done = ich_fail(
            err, "%s: not this model's answers: its %s is '%.60s', here '%.60s'; predict again with it", path,
            model->meta_keys[i], model->meta_values[i], value ? value : "");
    }
    if (done && !ich_model_meta(model, "calibration") && about(&csv, "calibration"))
        done = ich_fail(
            err, "%s: not this model's answers: they are calibrated already; predict again with it", path);
    ich_csv_free(&csv);
    free(path);
    return done;
}

static bool read_answers(const ich_calibrate_options *o, ich_joined *j, ich_error *err) {
    ich_table answers = {0}, truth = {0};
    const bool done =
        ich_table_read_folder(&answers, o->predictions, ICH_LEVEL_STUDY, false, err) &&
        ich_table_read_folder(&truth, o->truth, ICH_LEVEL_STUDY, true, err) &&
        ich_join(&answers, &truth, &truth, ICH_LEVEL_STUDY, (ich_part){.only = o->split}, j, NULL, err);
    ich_table_free(&answers);
    ich_table_free(&truth);
    if (!done) return false;
    return j->n[ICH_ANY] ||
           ich_fail(err, "%s: none of its studies has an 'any' label in %s%s%s; check study_ids and --split",
                    o->predictions, o->truth, o->split ? ", split " : "", o->split ? o->split : "");
}

/* -- lines --------------------------------------------------------------------------------------------- */

static void judge(const ich_joined *j, int l, ich_calibration_row *row, int when) {
    ich_bin bins[ICH_CALIBRATION_BINS];
    ich_bins(j->score[l], j->label[l], j->n[l], ICH_CALIBRATION_BINS, bins);
    row->log_loss[when] = ich_log_loss(j->score[l], j->label[l], j->n[l]).value;
    row->brier[when] = ich_brier(j->score[l], j->label[l], j->n[l]).value;
    row->ece[when] = ich_calibration_error(bins, ICH_CALIBRATION_BINS).value;
}

/* Scores become calibrated probabilities. */
static bool fit_label(const char *method, ich_joined *j, int l, ich_calibration_row *row, ich_error *err) {
    const size_t n = j->n[l];
    double *logit = ich_new(n, sizeof *logit, "the logits", err);
    ich_line line = {1, 0};
    if (!logit) return false;
    *row = (ich_calibration_row){.n = n, .positives = j->positives[l]};
    judge(j, l, row, 0);
    for (size_t i = 0; i < n; i++) logit[i] = ich_logit(j->score[l][i]);
    if (strcmp(method, "none") != 0)
        row->why = ich_line_fit(logit, j->label[l], n, !strcmp(method, "platt"), &line);
    row->slope = line.slope;
    row->offset = line.offset;
    for (size_t i = 0; i < n; i++) j->score[l][i] = ich_sigmoid(line.slope * logit[i] + line.offset);
    judge(j, l, row, 1);
    free(logit);
    return true;
}

/* The study's logit is linear in the last layer's: of its input, or of the slices' logits. */
static bool can_fold(const ich_model *model, const char *method, ich_error *err) {
    static const char *const linear[] = {"linear", "mean_slices", "max_slices", "top_slices"};
    const int node = model->classifier >= 0 ? model->classifier : model->fc;
    const char *op = ich_layers(ICH_F32)[model->graph.nodes[node].op]->op;
    for (int i = 0; i < 4; i++)
        if (!strcmp(op, linear[i])) return true;
    return !strcmp(method, "none") ||
           ich_fail(err,
                    "a study head that ends in %s has no weights that a line could be folded into: choose "
                    "--method none, which sets the threshold alone",
                    op);
}

/* Rows of the weights [labels][features] and biases [labels] of a linear layer. */
static bool fold(ich_model *model, const ich_calibration_row rows[ICH_LABELS], ich_error *err) {
    const char *layer = model->classifier >= 0 ? "classifier" : "fc"; /* a pool of logits passes it on */
    char name[40];
    snprintf(name, sizeof name, "%s.weight", layer);
    const int weight = ich_graph_find_param(&model->graph, name);
    snprintf(name, sizeof name, "%s.bias", layer);
    const int bias = ich_graph_find_param(&model->graph, name);
    if (weight < 0 || bias < 0 || model->graph.params[bias].count != ICH_LABELS)
        return ich_fail(err, "the model has no layer '%s' with a bias for each label", layer);
    const size_t features = model->graph.params[weight].count / ICH_LABELS;
    float *w = model->values + model->graph.params[weight].offset;
    float *b = model->values + model->graph.params[bias].offset;
    for (int l = 0; l < ICH_LABELS; l++) {
        const double slope = rows[l].slope, offset = rows[l].offset;
        for (size_t f = 0; f < features; f++) w[(size_t)l * features + f] *= (float)slope;
        b[l] = (float)(slope * (double)b[l] + offset);
    }
    return true;
}

/* -- thresholds ---------------------------------------------------------------------------------------- */

/* Scores of one class of *any*; negatives negated, so that the highest comes first. Caller frees. */
static double *scores_of(const ich_joined *j, bool positive, size_t *n, ich_error *err) {
    double *scores = ich_new(j->n[ICH_ANY], sizeof *scores, "the scores", err);
    *n = 0;
    for (size_t i = 0; scores && i < j->n[ICH_ANY]; i++)
        if ((j->label[ICH_ANY][i] > 0.5) == positive)
            scores[(*n)++] = positive ? j->score[ICH_ANY][i] : -j->score[ICH_ANY][i];
    return scores;
}

/* The network adds in float32, so a study that lay on the threshold may lie a hair beside it: step aside. */
static double step(double threshold, double logits) {
    return isnan(threshold) ? NAN : ich_sigmoid(ich_logit(threshold) + logits);
}
static const double hair = 1e-4;

static bool promise(const ich_calibrate_options *o, const ich_joined *j, bool positive, double most,
                    double *threshold, ich_error *err) {
    size_t n;
    double *scores = scores_of(j, positive, &n, err);
    if (!scores) return false;
    const ich_promise p = o->confidence > 0 ? ich_promise_sure(scores, n, most, o->confidence)
                                            : ich_promise_on_average(scores, n, most);
    const double within = o->confidence > 0 ? 1 - pow(1 - o->confidence, 1 / (double)n) : 1 / ((double)n + 1);
    free(scores);
    *threshold = p.threshold;
    if (isinf(p.threshold)) return ich_fail(err, "out of memory: the scores in order");
    return !isnan(p.threshold) ||
           ich_fail(
               err,
               "%s: %zu %s studies are too few to promise that at most %g %% are called %s: it takes %zu "
               "of them; so few can promise %.3g %%",
               o->truth, n, positive ? "positive" : "negative", 100 * most,
               positive ? "negative" : "positive", p.needed, n ? 100 * within : 100.0);
}

/* Each study with a type loses the share of its types that lie below the threshold. */
static bool types_threshold(const ich_joined *j, double most, double *threshold, ich_error *err) {
    size_t cases = 0, n = 0, events = 0;
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++) events += j->positives[l];
    double *types = ich_new(j->rows, sizeof *types, "the types", err);
    double *score = ich_new(events, sizeof *score, "the types", err);
    double *weight = ich_new(events, sizeof *weight, "the types", err);
    const bool done = types && score && weight;
    for (int l = ICH_ANY + 1; done && l < ICH_LABELS; l++)
        for (size_t i = 0; i < j->n[l]; i++)
            if (j->label[l][i] > 0.5) cases += types[j->row[l][i]]++ == 0;
    for (int l = ICH_ANY + 1; done && l < ICH_LABELS; l++)
        for (size_t i = 0; i < j->n[l]; i++) {
            if (j->label[l][i] < 0.5) continue;
            score[n] = j->score[l][i];
            weight[n++] = 1 / types[j->row[l][i]];
        }
    *threshold = done ? ich_risk_control(score, weight, n, cases, most) : NAN;
    free(types);
    free(score);
    free(weight);
    return done && (!isinf(*threshold) || ich_fail(err, "out of memory: the types in order"));
}

static bool choose_thresholds(const ich_calibrate_options *o, const ich_joined *j, ich_calibration *c,
                              ich_error *err) {
    double negated = NAN, types;
    if (!promise(o, j, true, o->max_missed, &c->threshold, err) ||
        (!isnan(o->max_false) && !promise(o, j, false, o->max_false, &negated, err)) ||
        !types_threshold(j, o->max_missed, &types, err))
        return false;
    c->threshold = step(c->threshold, -hair);
    c->sure = isnan(negated) ? NAN : fmax(step(-negated, hair), c->threshold);
    c->types = step(types, -hair);
    char confidence[60] = "on average";
    if (o->confidence > 0)
        snprintf(confidence, sizeof confidence, "with %g %% confidence", 100 * o->confidence);
    int used = snprintf(c->promise, sizeof c->promise, "at most %g %% of positive studies are missed",
                        100 * o->max_missed);
    if (!isnan(c->sure))
        used += snprintf(c->promise + used, sizeof c->promise - (size_t)used,
                         ", at most %g %% of negative ones are called positive for sure", 100 * o->max_false);
    snprintf(c->promise + used, sizeof c->promise - (size_t)used,
             ", %s, from %zu positive and %zu negative studies like those to come", confidence,
             j->positives[ICH_ANY], j->n[ICH_ANY] - j->positives[ICH_ANY]);
    return true;
}

/* -- writing ------------------------------------------------------------------------------------------- */

static bool set_number(ich_model *model, const char *key, double value, ich_error *err) {
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return isnan(value) || ich_model_set_meta(model, key, text, err);
}

static bool set_metadata(ich_model *model, const char *method, const ich_calibration *c, ich_error *err) {
    char text[400];
    int used = snprintf(text, sizeof text, "%s", method);
    for (int l = 0; l < ICH_LABELS; l++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %.6g %.6g", c->rows[l].slope,
                         c->rows[l].offset);
    return ich_model_set_meta(model, "calibration", text, err) &&
           set_number(model, "threshold", c->threshold, err) &&
           set_number(model, "threshold_sure", c->sure, err) &&
           set_number(model, "threshold_types", c->types, err) &&
           ich_model_set_meta(model, "promise", c->promise, err);
}

static void put_rows(FILE *stream, const ich_calibration *c) {
    fputs("label,n,n_positive,slope,offset,log_loss_before,log_loss,brier_before,brier,ece_before,ece,note\n",
          stream);
    for (int l = 0; l < ICH_LABELS; l++) {
        const ich_calibration_row *r = &c->rows[l];
        fprintf(stream, "%s,%zu,%zu,", ich_label_names[l], r->n, r->positives);
        const double numbers[] = {r->slope,    r->offset,   r->log_loss[0], r->log_loss[1],
                                  r->brier[0], r->brier[1], r->ece[0],      r->ece[1]};
        for (int i = 0; i < 8; i++) ich_put_number(stream, numbers[i], ',');
        ich_csv_put(stream, r->why ? r->why : "", '\n');
    }
}

static bool write_all(const ich_model *model, const ich_calibrate_options *o, const ich_calibration *c,
                      ich_error *err) {
    ich_output out;
    if (!ich_folder_make(o->out, err)) return false;
    char *table = ich_path_join(o->out, "calibration.csv"),
         *file = ich_path_join(o->out, "model.safetensors");
    bool done = (table && file) || ich_fail(err, "%s: no memory for a path", o->out);
    done = done && ich_output_open(&out, table, err);
    if (done) {
        put_rows(out.stream, c);
        done = ich_output_commit(&out, err) && ich_model_save(model, file, err);
    }
    free(table);
    free(file);
    return done;
}

bool ich_calibrate(ich_model *model, const ich_calibrate_options *o, ich_calibration *c, ich_error *err) {
    ich_joined j = {0};
    *c = (ich_calibration){.threshold = NAN, .sure = NAN, .types = NAN};
    bool done = can_fold(model, o->method, err) && check_answers(model, o->predictions, err) &&
                read_answers(o, &j, err);
    for (int l = 0; done && l < ICH_LABELS; l++) done = fit_label(o->method, &j, l, &c->rows[l], err);
    done = done && choose_thresholds(o, &j, c, err) && fold(model, c->rows, err) &&
           set_metadata(model, o->method, c, err) && write_all(model, o, c, err);
    ich_joined_free(&j);
    return done;
}

void ich_calibration_print(const ich_calibration *c, FILE *stream) {
    fputs("label              n  positive  slope  offset  log loss  ECE\n", stream);
    for (int l = 0; l < ICH_LABELS; l++) {
        const ich_calibration_row *r = &c->rows[l];
        fprintf(stream, "%-17s %3zu  %8zu ", ich_label_names[l], r->n, r->positives);
        if (r->why)
            fprintf(stream, " left as it is: %s\n", r->why);
        else
            fprintf(stream, " %5.2f  %+6.2f  %.3f -> %.3f  %.3f -> %.3f\n", r->slope, r->offset,
                    r->log_loss[0], r->log_loss[1], r->ece[0], r->ece[1]);
    }
    fprintf(stream, "positive from %.3g", c->threshold);
    if (!isnan(c->sure)) fprintf(stream, ", without doubt from %.3g", c->sure);
    fprintf(stream, ": %s\n", c->promise);
}
