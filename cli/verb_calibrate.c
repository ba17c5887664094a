/* verb_calibrate.c: honest probabilities, and a threshold that keeps a promise. */
#include "verb.h"

#include "infer/calibrate.h"
#include <math.h>
#include <string.h>

typedef struct calibrate_options {
    const char *out, *split, *method;
    double max_missed, max_false, confidence;
} calibrate_options;

static const calibrate_options calibrate_defaults = {
    .split = "val", .method = "platt", .max_missed = 0.05, .max_false = NAN, .confidence = 0.9};

static const ich_arg calibrate_args[] = {
    {.name = "out",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(calibrate_options, out),
     .help = "folder that the calibrated model is written to, as model.safetensors"},
    {.name = "split",
     .value = "S",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(calibrate_options, split),
     .help = "studies of TRUTH that are learned from; all: every one [val]",
     .kept = true},
    {.name = "method",
     .value = "TEXT",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(calibrate_options, method),
     .help = "platt (slope and offset of the logit), temperature (slope) or none [platt]",
     .kept = true},
    {.name = "max-missed",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(calibrate_options, max_missed),
     .lo = 1e-6,
     .hi = 0.999999,
     .help =
         "share of the positive studies to come that may be called negative: it chooses the threshold [0.05]",
     .kept = true},
    {.name = "max-false",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(calibrate_options, max_false),
     .lo = 1e-6,
     .hi = 0.999999,
     .help = "share of the negative ones that may be called positive for sure: what lies between is called "
             "unsure "
             "[nothing is]",
     .kept = true},
    {.name = "confidence",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(calibrate_options, confidence),
     .hi = 0.999999,
     .help = "with which this is promised; 0: on average only, which takes fewer studies [0.9]",
     .kept = true},
    {0}};

static int calibrate_with(ich_command *command, ich_model *model) {
    const calibrate_options *o = command->values;
    const ich_calibrate_options options = {.predictions = command->words[1],
                                           .truth = command->words[2],
                                           .split = strcmp(o->split, "all") != 0 ? o->split : NULL,
                                           .out = o->out,
                                           .method = o->method,
                                           .max_missed = o->max_missed,
                                           .max_false = o->max_false,
                                           .confidence = o->confidence};
    ich_calibration result;
    ich_error err = {0};
    if (!ich_calibrate(model, &options, &result, &err) || !ich_command_record(command, NULL, o->out, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    if (!command->quiet) ich_calibration_print(&result, stdout);
    return ich_command_printed(command, ICH_DONE);
}

static int calibrate(ich_command *command) {
    const calibrate_options *o = command->values;
    ich_model model;
    ich_error err = {0};
    if (!o->out) return ich_misuse(command, "--out DIR is missing");
    if (strcmp(o->method, "platt") != 0 && strcmp(o->method, "temperature") != 0 &&
        strcmp(o->method, "none") != 0)
        return ich_misuse(command, "--method is '%.40s': give platt, temperature or none", o->method);
    if (!ich_model_load(&model, command->words[0], &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const int status = calibrate_with(command, &model);
    ich_model_free(&model);
    return status;
}

const ich_verb ich_verb_calibrate = {
    .name = "calibrate",
    .group = "Answers",
    .form = "MODEL PREDICTIONS TRUTH --out DIR",
    .summary = "make a model's probabilities honest, and choose a threshold that keeps a promise",
    .more = "PREDICTIONS are MODEL's answers to the dataset TRUTH, of which a split serves that MODEL has "
            "not learned "
            "from. Writes DIR/model.safetensors, a MODEL like any other, and DIR/calibration.csv.",
    .min_words = 3,
    .max_words = 3,
    .args = calibrate_args,
    .defaults = &calibrate_defaults,
    .size = sizeof calibrate_defaults,
    .run = calibrate,
};
