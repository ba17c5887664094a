/* verb_infer.c: predict, report, inspect and export: what is done with a model. */
#include "verb.h"

#include "data/labels.h"
#include "infer/export.h"
#include "infer/inspect.h"
#include "infer/predict.h"
#include "infer/provenance.h"
#include "infer/report.h"
#include "infer/watch.h"
#include "stop.h"
#include "tensor/ranks.h"
#include "tensor/team.h"
#include "worklist.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

/* -- predict ------------------------------------------------------------------------------------------- */

typedef struct predict_options {
    const char *out, *watch, *method, *layer, *label;
    bool heatmaps, keep_ids, json;
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
    {.name = "watch",
     .value = "FOLDER",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(predict_options, watch),
     .help =
         "instead of INPUT: answer whatever study arrives in FOLDER, each once, until stopped; a study is a "
         ".nii or .nii.gz file or, of DICOM, a folder of its own: loose DICOM files are left out and named "
         "in skipped.csv"},
    {.name = "json",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(predict_options, json),
     .help = "print the worklist as JSON, and nothing else; with --watch a line for each study"},
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

/* A table on a terminal, JSON where it is asked for; then what it took. */
static int conclude_predict(ich_command *command, size_t skipped, size_t flagged, double seconds) {
    const predict_options *o = command->values;
    ich_error err = {0};
    const bool table = !command->quiet && isatty(STDOUT_FILENO);
    if ((o->json || table) &&
        !ich_worklist_print(o->out, o->json ? ICH_WORKLIST_JSON : ICH_WORKLIST_TABLE, stdout, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    if (flagged > 0)
        ich_progress_line(&command->ui.progress, "%s/flagged.csv: %zu unlike the training studies", o->out,
                          flagged);
    ich_progress_line(&command->ui.progress, "%s: studies.csv, slices.csv%s in %.2f s", o->out,
                      o->heatmaps ? ", heatmaps/" : "", seconds);
    const int status = ich_command_printed(command, ICH_DONE);
    return status == ICH_DONE && skipped ? ich_command_partly(command, o->out) : status;
}

/* Index of `name` in a list of names, -1 if it is not there. */
static int find_name(const char *name, const char *(*next)(int i)) {
    for (int i = 0; next(i); i++)
        if (!strcmp(name, next(i))) return i;
    return -1;
}

static const char *label_name(int i) { return i < ICH_LABELS ? ich_label_names[i] : NULL; }

static ich_explain_options explain_options(const predict_options *o) {
    return (ich_explain_options){
        .method = o->method, .layer = o->layer, .label = find_name(o->label, label_name)};
}

static int predict_with(ich_command *command, ich_model *model, double began) {
    const predict_options *o = command->values;
    const volatile int *stop = ich_stop_flag();
    ich_skipped skipped = {0}, flagged = {0};
    ich_error err = {0};
    if (!merge_recipe(command, &model->recipe, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const ich_predict_options options = {
        .heatmaps = o->heatmaps, .explain = explain_options(o), .keep_ids = o->keep_ids, .flagged = &flagged};
    const bool done = ich_predict(model, command->words[1], o->out, &options, &command->ui.progress, stop,
                                  &skipped, &err) &&
                      (ich_rank() > 0 || ich_command_record(command, &model->recipe, o->out, &err));
    const size_t n_skipped = skipped.n_rows, n_flagged = flagged.n_rows;
    ich_skipped_free(&skipped);
    ich_skipped_free(&flagged);
    if (done) return conclude_predict(command, n_skipped, n_flagged, ich_seconds() - began);
    return ich_complain(command, *stop ? ICH_SIGNALLED + *stop : ICH_FAILED, "%s", err.text);
}

/* -- predict --watch ----------------------------------------------------------------------------------- */

static const double watch_pause = 1; /* seconds */

/* Errors are the next look's to tell: the study itself is answered and written. */
static void show_arrival(void *self, const char *predictions) {
    const ich_command *command = self;
    const predict_options *o = command->values;
    if (command->quiet && !o->json) return;
    ich_worklist_print(predictions, o->json ? ICH_WORKLIST_LINES : ICH_WORKLIST_ROWS, stdout, NULL);
    fflush(stdout);
}

static int watch_with(ich_command *command, ich_model *model) {
    const predict_options *o = command->values;
    size_t skipped;
    ich_error err = {0};
    if (!merge_recipe(command, &model->recipe, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const ich_watch watch = {
        .folder = o->watch,
        .out = o->out,
        .predict = {.heatmaps = o->heatmaps, .explain = explain_options(o), .keep_ids = o->keep_ids},
        .pause = watch_pause,
        .stop = ich_stop_flag(),
        .arrived = show_arrival,
        .self = command};
    ich_progress_line(&command->ui.progress, "%s: watched; stop with Ctrl-C", o->watch);
    if (!ich_watch_run(&watch, model, &skipped, &err) ||
        !ich_command_record(command, &model->recipe, o->out, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    return skipped ? ich_command_partly(command, o->out) : ICH_DONE; /* it is stopped when it is done */
}

static int predict(ich_command *command) {
    const predict_options *o = command->values;
    ich_model model;
    ich_error err = {0};
    if (o->watch && command->n_words > 1) return ich_misuse(command, "INPUT and --watch exclude each other");
    if (!o->watch && command->n_words < 2)
        return ich_misuse(command, "something is missing; its form is 'ichor predict MODEL INPUT --out DIR'");
    if (!o->out) return ich_misuse(command, "--out DIR is missing");
    if (o->watch && ich_ranks() > 1)
        return ich_misuse(command, "--watch runs in one process: start it without mpirun");
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
    const double began = ich_seconds();
    if (o->json) ich_ui_init(&command->ui, true); /* stdout is the answer's */
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const int status = o->watch ? watch_with(command, &model) : predict_with(command, &model, began);
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
        "or a folder of DICOM or one DICOM file, which is made a dataset in DIR/scans first. "
        "Writes DIR/studies.csv and DIR/slices.csv; what could not be read is named in DIR/skipped.csv, and "
        "the "
        "exit status is then 3.",
    .min_words = 1,
    .max_words = 2,
    .args = predict_args,
    .defaults = &predict_defaults,
    .size = sizeof predict_defaults,
    .settings = ICH_FOR_PREDICT,
    .ranks = true,
    .run = predict,
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
     .help = "probability from which a study is called positive [the evaluation's, the model's, or else 0.5]",
     .kept = true},
    {0}};

static int report(ich_command *command) {
    const report_options *o = command->values;
    ich_skipped left_out = {0};
    const ich_report_options options = {.predictions = command->words[0],
                                        .out = o->out,
                                        .scans = o->scans,
                                        .evaluation = o->evaluation,
                                        .threshold = o->threshold,
                                        .picture_budget = picture_budget,
                                        .progress = &command->ui.progress,
                                        .left_out = &left_out};
    char folder[4096];
    ich_error err = {0};
    if (o->out)
        snprintf(folder, sizeof folder, "%s", o->out);
    else
        snprintf(folder, sizeof folder, "%s/report", command->words[0]);
    const bool done = ich_report_write(&options, &err) && ich_command_record(command, NULL, folder, &err);
    const size_t n_left_out = left_out.n_rows;
    ich_skipped_free(&left_out);
    if (!done) return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s/index.html", folder);
    return n_left_out ? ich_command_partly(command, folder) : ICH_DONE;
}

const ich_verb ich_verb_report = {
    .name = "report",
    .group = "Answers",
    .form = "PREDICTIONS",
    .summary = "one page to look at: worklist, slices, attention, heatmaps",
    .more =
        "PREDICTIONS is a folder that predict wrote; with --heatmaps the page also shows where in a "
        "slice the "
        "evidence lies. It opens from disk and needs no network. A scan that is there and cannot be shown "
        "is named in skipped.csv beside it; the exit status is then 3.",
    .min_words = 1,
    .max_words = 1,
    .args = report_args,
    .defaults = &report_defaults,
    .size = sizeof report_defaults,
    .run = report,
};

/* -- inspect ------------------------------------------------------------------------------------------- */

typedef struct inspect_options {
    bool csv, provenance, card;
} inspect_options;

static const inspect_options inspect_defaults = {0};

static const ich_arg inspect_args[] = {{.name = "csv",
                                        .kind = ICH_ARG_FLAG,
                                        .offset = offsetof(inspect_options, csv),
                                        .help = "the table alone, as CSV"},
                                       {.name = "provenance",
                                        .kind = ICH_ARG_FLAG,
                                        .offset = offsetof(inspect_options, provenance),
                                        .help = "instead: how the model came about, back to random numbers: "
                                                "data, seed, recipe, program of each step"},
                                       {.name = "card",
                                        .kind = ICH_ARG_FLAG,
                                        .offset = offsetof(inspect_options, card),
                                        .help = "instead: a model card in Markdown"},
                                       {0}};

static int inspect(ich_command *command) {
    const inspect_options *o = command->values;
    ich_model model;
    ich_error err = {0};
    if (o->csv + o->provenance + o->card > 1)
        return ich_misuse(command, "--csv, --provenance and --card exclude each other");
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const bool done = o->provenance ? ich_provenance_print(&model, stdout, &err)
                      : o->card     ? ich_provenance_card(&model, stdout, &err)
                                    : ich_inspect_model(&model, o->csv, stdout, &err);
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

/* -- export -------------------------------------------------------------------------------------------- */

static int export_model(ich_command *command) {
    ich_model model;
    ich_error err = {0};
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const bool done = ich_export_onnx(&model, command->words[1], &err);
    ich_model_free(&model);
    if (!done) return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s", command->words[1]);
    return ICH_DONE;
}

static const ich_arg export_args[] = {{0}};

const ich_verb ich_verb_export = {
    .name = "export",
    .group = "Answers",
    .form = "MODEL OUT.onnx",
    .summary = "write a model as ONNX, which ONNX Runtime runs to the same answers",
    .more = "Input: images [slices, channels, size, size], one study; the file's metadata says how its "
            "slices are "
            "prepared. Outputs: study_probability [1, 6], slice_probability [slices, 6], slice_attention "
            "[slices].",
    .min_words = 2,
    .max_words = 2,
    .args = export_args,
    .defaults = "",
    .size = 1,
    .run = export_model,
};
