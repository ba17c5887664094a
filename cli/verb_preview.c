/* verb_preview.c: a dataset as a picture. */
#include "verb.h"

#include "infer/preview.h"
#include "stop.h"
#include <string.h>

typedef struct preview_options {
    int studies, slices, size;
    const char *windows;
} preview_options;

static const preview_options preview_defaults = {.studies = 12, .slices = 8, .size = 128};

static const ich_arg preview_args[] = {{.name = "studies",
                                        .value = "N",
                                        .kind = ICH_ARG_INT,
                                        .offset = offsetof(preview_options, studies),
                                        .lo = 1,
                                        .hi = 64,
                                        .help = "rows, at most: studies spread evenly over the table [12]"},
                                       {.name = "slices",
                                        .value = "N",
                                        .kind = ICH_ARG_INT,
                                        .offset = offsetof(preview_options, slices),
                                        .lo = 1,
                                        .hi = 32,
                                        .help = "of each study, from foot to head [8]"},
                                       {.name = "size",
                                        .value = "PX",
                                        .kind = ICH_ARG_INT,
                                        .offset = offsetof(preview_options, size),
                                        .lo = 16,
                                        .hi = 512,
                                        .help = "pixels a side of a slice [128]"},
                                       {.name = "windows",
                                        .value = "TEXT",
                                        .kind = ICH_ARG_TEXT,
                                        .offset = offsetof(preview_options, windows),
                                        .help = "centre/width in HU, shown as red, green and blue; one: as "
                                                "grey [40/80,80/200,40/380]"},
                                       {0}};

static int preview(ich_command *command) {
    const preview_options *o = command->values;
    const char *dataset = command->words[0], *path = command->words[1];
    const volatile int *stop = ich_stop_flag();
    ich_preview_options options = {.studies = o->studies, .slices = o->slices};
    ich_skipped skipped = {0};
    ich_recipe recipe;
    ich_error err = {0};
    ich_recipe_default(&recipe, ICH_FOR_PRETRAIN);
    if ((o->windows && !ich_recipe_set(&recipe, "windows", o->windows, "--windows", &err)) ||
        !ich_recipe_preprocess(&recipe, &options.preprocess, &err))
        return ich_misuse(command, "%s", err.text);
    options.preprocess.size = o->size;
    const bool done = ich_preview_write(dataset, path, &options, &command->ui.progress, stop, &skipped, &err);
    int status = ICH_DONE;
    if (!done)
        status = ich_complain(command, *stop ? ICH_SIGNALLED + *stop : ICH_FAILED, "%s", err.text);
    else if (skipped.n_rows > 0)
        status = ich_complain(command, ICH_PARTLY, "black rows: %zu; the first because %s", skipped.n_rows,
                              skipped.rows[0].reason);
    else
        ich_progress_line(&command->ui.progress, "%s: look at it", path);
    ich_skipped_free(&skipped);
    return status;
}

const ich_verb ich_verb_preview = {
    .name = "preview",
    .group = "Data",
    .form = "DATASET OUT.png",
    .summary = "a contact sheet of a dataset, to look at before one trains",
    .more = "A row a study, its slices as the network sees them; the bar in front is red where there is "
            "hemorrhage, green where there is none, grey where that is unknown. What is in which row is told "
            "line by line; a study that cannot be read leaves its row black, and the exit status is then 3.",
    .min_words = 2,
    .max_words = 2,
    .args = preview_args,
    .defaults = &preview_defaults,
    .size = sizeof preview_defaults,
    .run = preview,
};
