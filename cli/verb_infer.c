/* verb_infer.c: predict, evaluate, report and inspect: what is done with a model. */
#include "verb.h"

#include "infer/evaluate.h"
#include "infer/inspect.h"
#include "infer/predict.h"
#include "infer/report.h"
#include "stop.h"
#include "worklist.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

/* -- predict ------------------------------------------------------------------------------------------- */

typedef struct predict_options {
    const char *out, *method, *layer, *label;
    bool heatmaps, keep_ids;
} predict_options;

static const predict_options predict_defaults = {.method = "scales", .label = "any"};

static const ich_arg predict_args[] = {
    {.name = "out",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(predict_options, out),
     .help = "folder that the answers are written to"},
    {.name = "heatmaps",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(predict_options, heatmaps),
     .help = "also where in the slices each answer comes from: heatmaps/, as pictures and as NIfTI",
     .kept = true},
    {.name = "heatmap-method",
     .value = "TEXT",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(predict_options, method),
     .help = "how heatmaps are made: scales (the study's evidence at all resolutions of the CNN, inside the "
             "skull), gradcam, gradcam++, layercam, or integrated (gradients; slow) [scales]",
     .kept = true},
    {.name = "heatmap-layer",
     .value = "NAME",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(predict_options, layer),
     .help = "layer of the CNN that they look at, such as layer3 [all resolutions, or the last layer]",
     .kept = true},
    {.name = "heatmap-label",
     .value = "NAME",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(predict_options, label),
     .help = "whose evidence they show: any, or a type of hemorrhage [any]",
     .kept = true},
    {.name = "keep-ids",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(predict_options, keep_ids),
     .help = "name studies of a folder of DICOM by StudyInstanceUID, not by its hash",
     .kept = true},
    {0}};

/* The model's own recipe, with what predict and this machine may choose. Fails if --config asks for another
 * network or other pixels than the model has. */
static bool merge_recipe(const ich_command *command, ich_recipe *recipe, ich_error *err) {
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    ich_recipe asked = *recipe;
    asked.threads = command->machine.threads;
    memcpy(asked.kernels, command->machine.kernels, sizeof asked.kernels);
    memcpy(asked.precision, command->machine.precision, sizeof asked.precision);
    if (!ich_command_apply(command, &asked, err)) return false;
    for (size_t i = 0; i < count; i++) {
        const ich_setting *s = &settings[i];
        char *have = (char *)recipe + s->offset;
        const char *want = (const char *)&asked + s->offset;
        if (s->verbs & ICH_FOR_PREDICT)
            memcpy(have, want, s->size);
        else if (!strcmp(s->section, "model") && memcmp(have, want, s->size) != 0)
            return ich_fail(err, "%s: its %s is not the model's: predict takes the model's own, remove it",
                            command->config, s->name);
    }
    return true;
}

static int conclude_predict(ich_command *command, size_t skipped) {
    const predict_options *o = command->values;
    ich_error err = {0};
    if (!command->quiet && isatty(STDOUT_FILENO) && !ich_worklist_print(o->out, stdout, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s: studies.csv, slices.csv%s", o->out,
                      o->heatmaps ? ", heatmaps/" : "");
    return skipped ? ich_command_partly(command, o->out) : ICH_DONE;
}

/* Index of `name` in a list of names, -1 if it is not there. */
static int find_name(const char *name, const char *(*next)(int i)) {
    for (int i = 0; next(i); i++)
        if (!strcmp(name, next(i))) return i;
    return -1;
}

static const char *label_name(int i) { return i < ICH_LABELS ? ich_label_names[i] : NULL; }

static int predict_with(ich_command *command, ich_model *model) {
    const predict_options *o = command->values;
    const ich_explain_options explain = {
        .method = o->method, .layer = o->layer, .label = find_name(o->label, label_name)};
    const volatile int *stop = ich_stop_flag();
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!merge_recipe(command, &model->recipe, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const bool done = ich_predict(model, command->words[1], o->out,
                                  &(ich_predict_options){
                                      .heatmaps = o->heatmaps, .explain = explain, .keep_ids = o->keep_ids},
                                  &command->ui.progress, stop, &skipped, &err) &&
                      ich_command_record(command, &model->recipe, o->out, &err);
    const size_t n = skipped.n_rows;
    ich_skipped_free(&skipped);
    if (done) return conclude_predict(command, n);
    return ich_complain(command, *stop ? ICH_SIGNALLED + *stop : ICH_FAILED, "%s", err.text);
}

static int predict(ich_command *command) {
    const predict_options *o = command->values;
    ich_model model;
    ich_error err = {0};
    if (!o->out) return ich_misuse(command, "--out DIR is missing");
    if (find_name(o->method, ich_explain_name) < 0)
        return ich_misuse(command,
                          "--heatmap-method '%s': there are scales, gradcam, gradcam++, layercam "
                          "and integrated",
                          o->method);
    if (find_name(o->label, label_name) < 0)
        return ich_misuse(command,
                          "--heatmap-label '%s': there are any, epidural, intraparenchymal, "
                          "intraventricular, subarachnoid and subdural",
                          o->label);
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const int status = predict_with(command, &model);
    ich_model_free(&model);
    return status;
}

const ich_verb ich_verb_predict = {
    .name = "predict",
    .group = "Answers",
    .form = "MODEL INPUT --out DIR",
    .summary = "answer for each study: how likely is blood, of which type, on which slices",
    .more =
        "MODEL is a model file or a RUN folder; INPUT a dataset, one .nii, .nii.gz, .hdr or .img file, "
        "or a folder of DICOM, which is made a dataset in DIR/scans first. "
        "Writes DIR/studies.csv and DIR/slices.csv; what could not be read is named in DIR/skipped.csv, and "
        "the "
        "exit status is then 3.",
    .min_words = 2,
    .max_words = 2,
    .args = predict_args,
    .defaults = &predict_defaults,
    .size = sizeof predict_defaults,
    .settings = ICH_FOR_PREDICT,
    .run = predict,
};

/* -- evaluate ------------------------------------------------------------------------------------------ */

typedef struct evaluate_options {
    const char *out;
    double threshold, target_ppv, target_sensitivity;
} evaluate_options;

static const evaluate_options evaluate_defaults = {
    .threshold = 0.5, .target_ppv = NAN, .target_sensitivity = NAN};

static const ich_arg evaluate_args[] = {
    {.name = "out",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(evaluate_options, out),
     .help = "folder that the figures are written to"},
    {.name = "threshold",
     .value = "T",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(evaluate_options, threshold),
     .hi = 1,
     .help = "probability from which a study or slice is called positive [0.5]",
     .kept = true,
     .rivals = 1},
    {.name = "target-ppv",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(evaluate_options, target_ppv),
     .hi = 1,
     .help = "instead: the threshold at which the studies' positive predictive value reaches P",
     .kept = true,
     .rivals = 1},
    {.name = "target-sensitivity",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(evaluate_options, target_sensitivity),
     .hi = 1,
     .help = "instead: the threshold at which the studies' sensitivity reaches P",
     .kept = true,
     .rivals = 1},
    {0}};

static int evaluate(ich_command *command) {
    const evaluate_options *o = command->values;
    if (!o->out) return ich_misuse(command, "--out DIR is missing");
    const ich_evaluate_options options = {.predictions = command->words[0],
                                          .truth = command->words[1],
                                          .out = o->out,
                                          .threshold = o->threshold,
                                          .target_ppv = o->target_ppv,
                                          .target_sensitivity = o->target_sensitivity};
    ich_evaluation result;
    ich_skipped skipped = {0};
    ich_error err = {0};
    const bool done =
        ich_evaluate(&options, &result, &skipped, &err) && ich_command_record(command, NULL, o->out, &err);
    const size_t n = skipped.n_rows;
    ich_skipped_free(&skipped);
    if (!done) return ich_complain(command, ICH_FAILED, "%s", err.text);
    if (!command->quiet) ich_evaluation_print(&result, stdout);
    const int status = ich_command_printed(command, ICH_DONE);
    return status == ICH_DONE && n > 0 ? ich_command_partly(command, o->out) : status;
}

const ich_verb ich_verb_evaluate = {
    .name = "evaluate",
    .group = "Answers",
    .form = "PREDICTIONS TRUTH --out DIR",
    .summary = "judge predictions by the truth: AUC, PPV, sensitivity and others with intervals",
    .more = "PREDICTIONS and TRUTH are folders with studies.csv and perhaps slices.csv: a folder that "
            "predict wrote, "
            "a dataset. Writes DIR/metrics.csv, and roc and calibration as .csv and .svg. Where the truth "
            "has masks, "
            "heatmaps and attention are judged as well.",
    .min_words = 2,
    .max_words = 2,
    .args = evaluate_args,
    .defaults = &evaluate_defaults,
    .size = sizeof evaluate_defaults,
    .run = evaluate,
};

/* -- report -------------------------------------------------------------------------------------------- */

typedef struct report_options {
    const char *out, *scans, *evaluation;
    double threshold;
} report_options;

static const report_options report_defaults = {.threshold = NAN};
static const size_t picture_budget = (size_t)96
                                     << 20; /* base64 makes 128 MiB of it, in a page that still opens */

static const ich_arg report_args[] = {
    {.name = "out",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(report_options, out),
     .help = "folder of index.html [PREDICTIONS/report]"},
    {.name = "evaluation",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(report_options, evaluation),
     .help = "also the figures that evaluate wrote there: ROC, calibration, threshold",
     .kept = true},
    {.name = "scans",
     .value = "INPUT",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(report_options, scans),
     .help = "what was predicted, if it is no longer where it was then",
     .kept = true},
    {.name = "threshold",
     .value = "T",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(report_options, threshold),
     .hi = 1,
     .help = "probability from which a study is called positive [the evaluation's, or else 0.5]",
     .kept = true},
    {0}};

static int report(ich_command *command) {
    const report_options *o = command->values;
    const ich_report_options options = {.predictions = command->words[0],
                                        .out = o->out,
                                        .scans = o->scans,
                                        .evaluation = o->evaluation,
                                        .threshold = o->threshold,
                                        .picture_budget = picture_budget,
                                        .progress = &command->ui.progress};
    char folder[4096];
    ich_error err = {0};
    if (o->out)
        snprintf(folder, sizeof folder, "%s", o->out);
    else
        snprintf(folder, sizeof folder, "%s/report", command->words[0]);
    if (!ich_report_write(&options, &err) || !ich_command_record(command, NULL, folder, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s/index.html", folder);
    return ICH_DONE;
}

const ich_verb ich_verb_report = {
    .name = "report",
    .group = "Answers",
    .form = "PREDICTIONS",
    .summary = "one page to look at: worklist, slices, attention, heatmaps",
    .more = "PREDICTIONS is a folder that predict wrote; with --heatmaps the page also shows where in a "
            "slice the "
            "evidence lies. It opens from disk and needs no network.",
    .min_words = 1,
    .max_words = 1,
    .args = report_args,
    .defaults = &report_defaults,
    .size = sizeof report_defaults,
    .run = report,
};

/* -- inspect ------------------------------------------------------------------------------------------- */

typedef struct inspect_options {
    bool csv;
} inspect_options;

static const inspect_options inspect_defaults = {0};

static const ich_arg inspect_args[] = {{.name = "csv",
                                        .kind = ICH_ARG_FLAG,
                                        .offset = offsetof(inspect_options, csv),
                                        .help = "the table alone, as CSV"},
                                       {0}};

static int inspect(ich_command *command) {
    const inspect_options *o = command->values;
    ich_model model;
    ich_error err = {0};
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const bool done = ich_inspect_model(&model, o->csv, stdout, &err);
    ich_model_free(&model);
    return done ? ICH_DONE : ich_complain(command, ICH_FAILED, "%s", err.text);
}

const ich_verb ich_verb_inspect = {
    .name = "inspect",
    .group = "Answers",
    .form = "MODEL",
    .summary = "show what a model is made of: each node's shapes, parameters and cost",
    .more = "MODEL is a model file or a RUN folder.",
    .min_words = 1,
    .max_words = 1,
    .args = inspect_args,
    .defaults = &inspect_defaults,
    .size = sizeof inspect_defaults,
    .run = inspect,
};
