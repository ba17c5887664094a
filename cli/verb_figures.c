/* verb_figures.c: evaluate and compare: answers against the truth. */
#include "verb.h"

#include "infer/compare.h"
#include "infer/evaluate.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

/* -- evaluate ------------------------------------------------------------------------------------------ */

typedef struct evaluate_options {
    const char *out, *split, *choose_on;
    double threshold, target_ppv, target_sensitivity;
    int bootstrap;
} evaluate_options;

static const evaluate_options evaluate_defaults = {
    .threshold = NAN, .target_ppv = NAN, .target_sensitivity = NAN, .bootstrap = 1000};

static const ich_arg evaluate_args[] = {
    {.name = "out",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(evaluate_options, out),
     .help = "folder that the figures are written to"},
    {.name = "split",
     .value = "S",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(evaluate_options, split),
     .help = "only studies of this split of TRUTH, such as test [all]",
     .kept = true},
    {.name = "threshold",
     .value = "T",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(evaluate_options, threshold),
     .hi = 1,
     .help = "probability from which a study or slice is called positive [the model's own, or else 0.5]",
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
    {.name = "choose-on",
     .value = "S",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(evaluate_options, choose_on),
     .help =
         "choose the threshold on this split of TRUTH, such as val, and leave it out of the figures; for a "
         "target, or without one for the highest sum of sensitivity and specificity [a target: on the "
         "studies "
         "that it is judged by]",
     .kept = true},
    {.name = "bootstrap",
     .value = "N",
     .kind = ICH_ARG_INT,
     .offset = offsetof(evaluate_options, bootstrap),
     .hi = 1000000,
     .help = "draws of patients for the intervals; 0: none [1000]",
     .kept = true},
    {0}};

static int evaluate(ich_command *command) {
    const evaluate_options *o = command->values;
    if (!o->out) return ich_misuse(command, "--out DIR is missing");
    const ich_evaluate_options options = {.predictions = command->words[0],
                                          .truth = command->words[1],
                                          .out = o->out,
                                          .split = o->split,
                                          .choose_on = o->choose_on,
                                          .threshold = o->threshold,
                                          .target_ppv = o->target_ppv,
                                          .target_sensitivity = o->target_sensitivity,
                                          .bootstrap = o->bootstrap,
                                          .seed = command->machine.seed};
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
            "a dataset. Writes DIR/metrics.csv, and roc and calibration as .csv and .svg.",
    .min_words = 2,
    .max_words = 2,
    .args = evaluate_args,
    .defaults = &evaluate_defaults,
    .size = sizeof evaluate_defaults,
    .run = evaluate,
};

/* -- compare ------------------------------------------------------------------------------------------- */

typedef struct compare_options {
    double at;
    bool csv;
} compare_options;

static const compare_options compare_defaults = {.at = 0.5};

static const ich_arg compare_args[] = {
    {.name = "at",
     .value = "T",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(compare_options, at),
     .hi = 1,
     .help = "probability from which a study is called positive [0.5]",
     .kept = true},
    {.name = "csv",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(compare_options, csv),
     .help = "print the table as CSV on a terminal too, as it is printed into a pipe or file"},
    {0}};

/* There is no folder that could hold skipped.csv: the line says what would be in it. */
static int conclude_compare(ich_command *command, const ich_skipped *skipped) {
    const int status = ich_command_printed(command, ICH_DONE);
    if (status != ICH_DONE || skipped->n_rows == 0) return status;
    return ich_complain(command, ICH_PARTLY, "studies left out: %zu; the first: %s in %s: %s",
                        skipped->n_rows, skipped->rows[0].study_id, skipped->rows[0].path,
                        skipped->rows[0].reason);
}

static int compare(ich_command *command) {
    const compare_options *o = command->values;
    const ich_compare_options options = {
        .a = command->words[0], .b = command->words[1], .truth = command->words[2], .at = o->at};
    ich_comparison result;
    ich_skipped skipped = {0};
    ich_error err = {0};
    if (!ich_compare(&options, &result, &skipped, &err)) {
        ich_skipped_free(&skipped);
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    }
    (o->csv || !isatty(STDOUT_FILENO) ? ich_comparison_put : ich_comparison_print)(&result, stdout);
    const int status = conclude_compare(command, &skipped);
    ich_skipped_free(&skipped);
    return status;
}

const ich_verb ich_verb_compare = {
    .name = "compare",
    .group = "Answers",
    .form = "A.csv B.csv TRUTH.csv",
    .summary = "two readers or models on the same studies: which is better, and may it be chance",
    .more = "A and B hold study_id, any and perhaps the types and seconds, as 0 and 1 (a reader) or as "
            "probabilities "
            "(a model); TRUTH the labels. Folders are taken for their studies.csv. Prints, for each label, "
            "McNemar's exact and mid-p test of accuracy, sensitivity and specificity, DeLong's of the AUC, "
            "Cohen's "
            "kappa; then the seconds per scan with Student's and Wilcoxon's test.",
    .min_words = 3,
    .max_words = 3,
    .args = compare_args,
    .defaults = &compare_defaults,
    .size = sizeof compare_defaults,
    .run = compare,
};
