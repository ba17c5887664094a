/* verb_train.c: pretrain and finetune: a dataset into a RUN folder, and on with a run that was ended. */
#include "verb.h"

#include "data/file.h"
#include "layers/zoo.h"
#include "stop.h"
#include "train/finetune.h"
#include "train/keep.h"
#include "train/pretrain.h"
#include "train/run.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_options {
    const char *out, *resume, *init, *cache;
    bool force;
    int timeline;
    double checkpoint_minutes;
    int keep_checkpoints;
} train_options;

static const train_options train_defaults = {.checkpoint_minutes = 5, .keep_checkpoints = ICH_KEEP_USUAL};

static const ich_arg train_args[] = {
    {.name = "out",
     .value = "RUN",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(train_options, out),
     .help = "folder that the run is written to"},
    {.name = "resume",
     .value = "RUN",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(train_options, resume),
     .help = "go on with a run that was stopped or killed, with its own dataset and settings"},
    {.name = "init",
     .value = "MODEL",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(train_options, init),
     .help = "model file or RUN whose weights to start from; its arch, size and windows are taken over; or a "
             "CNN's "
             "weights with torchvision's names (.safetensors, as timm's): give --arch [random weights]"},
    {.name = "cache",
     .value = "DIR",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(train_options, cache),
     .help = "folder of decoded slices, which runs may share [RUN/cache]"},
    {.name = "force",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(train_options, force),
     .help = "replace a run that --out holds"},
    {.name = "checkpoint-minutes",
     .value = "X",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(train_options, checkpoint_minutes),
     .hi = 1e6,
     .help = "minutes between checkpoints inside an epoch; 0: only at its end [5]"},
    {.name = "keep-checkpoints",
     .value = "N",
     .kind = ICH_ARG_INT,
     .offset = offsetof(train_options, keep_checkpoints),
     .lo = 1,
     .hi = ICH_KEEP_MOST,
     .help = "newest checkpoints that stay, for the case that the last is damaged [3]"},
    {.name = "timeline",
     .value = "N",
     .kind = ICH_ARG_INT,
     .offset = offsetof(train_options, timeline),
     .hi = 10000,
     .help = "write when each part of the first N steps began and ended to RUN/timeline.csv [0]"},
    {0}};

/* A verb, and what stands behind it. */
typedef struct training {
    unsigned kind; /* ICH_FOR_* */
    bool (*learn)(const ich_train_job *job, ich_train_result *result, ich_error *err);
} training;

static bool same_path(const char *a, const char *b) {
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    const bool same = x && y && !strcmp(x, y);
    free(x);
    free(y);
    return same;
}

/* -- a new run ----------------------------------------------------------------------------------------- */

/* A --config that lies in a RUN folder repeats that run, so it also says what the run started from. Leaves
 * `request` empty where there is no such run, or one of another verb. */
static void recall_config(const ich_command *command, ich_run_request *request) {
    *request = (ich_run_request){0};
    if (!command->config) return;
    const char *slash = strrchr(command->config, '/');
    char *folder = slash ? strndup(command->config, (size_t)(slash - command->config) + 1) : strdup(".");
    if (folder && ich_run_recall(request, folder, NULL) && strcmp(request->verb, command->verb->name) != 0)
        ich_run_request_free(request);
    free(folder);
}

/* Defaults, what the model to start from dictates, --config, options: each over the one before. */
static int plan_new(ich_command *command, const training *t, const ich_run_request *request,
                    ich_train_job *job) {
    const train_options *o = command->values;
    ich_error err = {0};
    job->dataset = command->n_words ? command->words[0] : request->dataset;
    job->out = o->out;
    job->init = o->init ? o->init : request->init;
    job->cache = o->cache;
    job->force = o->force;
    if (!job->dataset) return ich_misuse(command, "DATASET is missing");
    if (!job->out) return ich_misuse(command, "--out RUN is missing");
    ich_recipe_default(&job->recipe, t->kind);
    if ((job->init && !ich_finetune_inherit(&job->recipe, job->init, &err)) ||
        !ich_command_apply(command, &job->recipe, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    return ICH_DONE;
}

/* -- on with an old one -------------------------------------------------------------------------------- */

/* A setting that the two recipes differ in, and that decides what is learned; NULL: none. */
static const ich_setting *difference(const ich_recipe *a, const ich_recipe *b) {
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const ich_setting *s = &settings[i];
        if (strcmp(s->name, "threads") != 0 &&
            memcmp((const char *)a + s->offset, (const char *)b + s->offset, s->size) != 0)
            return s;
    }
    return NULL;
}

/* The words and options of the run's first command may be there again, but must not say anything else; only
 * the dataset may have moved. */
static int plan_resumed(ich_command *command, const ich_run_request *request, ich_train_job *job) {
    const train_options *o = command->values;
    ich_error err = {0};
    if (strcmp(request->verb, command->verb->name) != 0)
        return ich_misuse(command, "%s is a run of '%s': use 'ichor %s --resume'", o->resume, request->verb,
                          request->verb);
    if (o->force) return ich_misuse(command, "--resume and --force exclude each other: choose one");
    if (o->out && !same_path(o->out, o->resume))
        return ich_misuse(command, "--resume goes on in its own folder: leave --out away");
    if (o->init && !(request->init && same_path(o->init, request->init)))
        return ich_misuse(command, "--resume goes on with the run's own weights: leave --init away");
    job->recipe = request->recipe;
    if (!ich_command_apply(command, &job->recipe, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    const ich_setting *changed = difference(&job->recipe, &request->recipe);
    if (changed)
        return ich_misuse(command, "--resume goes on with the run's own recipe: %s cannot be changed",
                          changed->name);
    job->dataset = command->n_words ? command->words[0] : request->dataset;
    job->out = o->resume;
    job->init = request->init;
    job->cache = o->cache ? o->cache : request->cache;
    job->resume = true;
    return ICH_DONE;
}

/* -- running ------------------------------------------------------------------------------------------- */

static int conclude(ich_command *command, const ich_train_job *job, const ich_train_result *result) {
    const ich_progress *progress = &command->ui.progress;
    if (result->stopped)
        return ich_complain(command,
                            ICH_SIGNALLED + (*job->stop ? *job->stop : SIGTERM), /* another rank was told */
                            "stopped by %s: go on with 'ichor %s --resume %s'", ich_stop_name(),
                            command->verb->name, job->out);
    if (isnan(result->best_loss))
        ich_progress_line(progress, "%s/%s: the model after epoch %d", job->out, ICH_RUN_MODEL,
                          result->best_epoch);
    else
        ich_progress_line(progress, "%s/%s: the model after epoch %d, validation loss %.4f", job->out,
                          ICH_RUN_MODEL, result->best_epoch, result->best_loss);
    return result->skipped ? ich_command_partly(command, job->out) : ICH_DONE;
}

static int learn(ich_command *command, const training *t, ich_train_job *job) {
    ich_train_result result;
    ich_error err = {0};
    if (!ich_zoo_knows(job->recipe.arch, &err) || !ich_command_use(&job->recipe, &err))
        return ich_misuse(command, "%s", err.text);
    job->checkpoint_minutes = ((const train_options *)command->values)->checkpoint_minutes;
    job->timeline = ((const train_options *)command->values)->timeline;
    job->keep_checkpoints = ((const train_options *)command->values)->keep_checkpoints;
    job->progress = &command->ui.progress;
    job->stop = ich_stop_flag();
    if (!t->learn(job, &result, &err)) return ich_complain(command, ICH_FAILED, "%s", err.text);
    return conclude(command, job, &result);
}

static int train(ich_command *command, const training *t) {
    const train_options *o = command->values;
    ich_run_request request = {0};
    ich_train_job job = {0};
    ich_error err = {0};
    if (o->resume && !ich_run_recall(&request, o->resume, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    if (!o->resume) recall_config(command, &request);
    int status = o->resume ? plan_resumed(command, &request, &job) : plan_new(command, t, &request, &job);
    if (status == ICH_DONE) status = learn(command, t, &job);
    ich_run_request_free(&request);
    return status;
}

static int pretrain(ich_command *command) {
    return train(command, &(training){ICH_FOR_PRETRAIN, ich_pretrain});
}

static int finetune(ich_command *command) {
    return train(command, &(training){ICH_FOR_FINETUNE, ich_finetune});
}

#define RUN_FILES                                                                                            \
    "RUN holds model.safetensors (best on split val), its model_card.md, last.safetensors, log.csv, "        \
    "recipe.ini and what --resume needs. --config RUN/recipe.ini repeats a run, with its dataset and "       \
    "--init "                                                                                                \
    "unless others are given. Without a column 'split' in studies.csv all studies are learned from and "     \
    "nothing validates; 'ichor split' makes one. "

const ich_verb ich_verb_pretrain = {
    .name = "pretrain",
    .group = "Learning",
    .form = "DATASET --out RUN",
    .summary = "teach a CNN with labels of single slices",
    .more =
        RUN_FILES "Needs DATASET/slices.csv. Without a column 'split' in studies.csv all studies are learned "
                  "from and nothing validates; 'ichor split' makes one.",
    .max_words = 1,
    .args = train_args,
    .defaults = &train_defaults,
    .size = sizeof train_defaults,
    .settings = ICH_FOR_PRETRAIN,
    .ranks = true,
    .run = pretrain,
};

const ich_verb ich_verb_finetune = {
    .name = "finetune",
    .group = "Learning",
    .form = "DATASET --out RUN",
    .summary = "teach CNN, BiLSTM and attention with one set of labels a study",
    .more = RUN_FILES "DATASET/slices.csv is never opened.",
    .max_words = 1,
    .args = train_args,
    .defaults = &train_defaults,
    .size = sizeof train_defaults,
    .settings = ICH_FOR_FINETUNE,
    .ranks = true,
    .run = finetune,
};
