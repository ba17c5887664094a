/* verb_data.c: synth and split: datasets made, and cut into train, val and test. */
#include "verb.h"

#include "data/dataset.h"
#include "data/synth.h"
#include "stop.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- synth --------------------------------------------------------------------------------------------- */

typedef struct synth_options {
    int studies, size;
    double prevalence;
    const char *population;
    bool masks;
} synth_options;

static const synth_options synth_defaults = {.size = 256, .prevalence = NAN, .population = "a"};

static const ich_arg synth_args[] = {
    {.name = "studies",
     .value = "N",
     .kind = ICH_ARG_INT,
     .offset = offsetof(synth_options, studies),
     .lo = 1,
     .hi = 1e6,
     .help = "how many to make",
     .kept = true},
    {.name = "size",
     .value = "PX",
     .kind = ICH_ARG_INT,
     .offset = offsetof(synth_options, size),
     .lo = 32,
     .hi = 1024,
     .help = "pixels a side of a slice [256]",
     .kept = true},
    {.name = "prevalence",
     .value = "P",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(synth_options, prevalence),
     .hi = 1,
     .help = "part of the studies that bleed, 0 to 1 [the population's own]",
     .kept = true},
    {.name = "population",
     .value = "a|b",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(synth_options, population),
     .help = "which of two hospitals: they differ in noise, pixel size, slice thickness, calibration and "
             "prevalence "
             "[a]",
     .kept = true},
    {.name = "masks",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(synth_options, masks),
     .help = "also masks/<study_id>.nii.gz: 0 none, 1 to 5 the type of hemorrhage",
     .kept = true},
    {0}};

static int synth(ich_command *command) {
    const synth_options *o = command->values;
    const char *out = command->words[0];
    const volatile int *stop = ich_stop_flag();
    ich_error err = {0};
    if (o->studies == 0) return ich_misuse(command, "--studies N is missing");
    if (strlen(o->population) != 1 || !strchr("ab", *o->population))
        return ich_misuse(command, "--population is '%s': choose a or b", o->population);
    const ich_synth options = {.studies = o->studies,
                               .seed = command->machine.seed,
                               .size = o->size,
                               .prevalence = o->prevalence,
                               .population = *o->population,
                               .masks = o->masks};
    if (!ich_synth_write(&options, out, &command->ui.progress, stop, &err) ||
        !ich_command_record(command, NULL, out, &err))
        return ich_complain(command, *stop ? ICH_SIGNALLED + *stop : ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s: %d studies of phantoms", out, o->studies);
    return ICH_DONE;
}

const ich_verb ich_verb_synth = {
    .name = "synth",
    .group = "Data",
    .form = "OUT --studies N",
    .summary = "make a dataset of head-CT phantoms",
    .more = "Writes OUT/studies.csv, OUT/slices.csv and OUT/volumes/. The same seed makes the same phantoms; "
            "--seed 1 and --seed 2 make different patients.",
    .min_words = 1,
    .max_words = 1,
    .args = synth_args,
    .defaults = &synth_defaults,
    .size = sizeof synth_defaults,
    .run = synth,
};

/* -- split --------------------------------------------------------------------------------------------- */

typedef struct split_options {
    const char *fractions;
} split_options;

static const split_options split_defaults = {.fractions = "0.7,0.15,0.15"};

static const ich_arg split_args[] = {{.name = "fractions",
                                      .value = "A,B,C",
                                      .kind = ICH_ARG_TEXT,
                                      .offset = offsetof(split_options, fractions),
                                      .help = "parts for train, val and test; their sum is 1 [0.7,0.15,0.15]",
                                      .kept = true},
                                     {0}};

static bool parse_fractions(const char *text, double fractions[3]) {
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        char *end;
        fractions[i] = strtod(text, &end);
        if (end == text || *end != (i < 2 ? ',' : '\0') || !(fractions[i] >= 0 && fractions[i] <= 1))
            return false;
        sum += fractions[i];
        text = end + 1;
    }
    return fabs(sum - 1) < 1e-6;
}

static int split(ich_command *command) {
    const split_options *o = command->values;
    const char *dataset = command->words[0];
    double fractions[3];
    size_t counts[3];
    ich_error err = {0};
    if (!parse_fractions(o->fractions, fractions))
        return ich_misuse(command, "--fractions is '%s': give three parts whose sum is 1, as 0.7,0.15,0.15",
                          o->fractions);
    if (!ich_dataset_split(dataset, fractions, command->machine.seed, counts, &err) ||
        !ich_command_record(command, NULL, dataset, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress,
                      "%s/studies.csv: %zu studies to train, %zu to validate, %zu to test", dataset,
                      counts[0], counts[1], counts[2]);
    return ICH_DONE;
}

const ich_verb ich_verb_split = {
    .name = "split",
    .group = "Data",
    .form = "DATASET",
    .summary = "divide a dataset's patients into train, val and test",
    .more =
        "Writes the column 'split' of DATASET/studies.csv; no patient is in two of them. Studies with and "
        "without hemorrhage are divided in the same proportion.",
    .min_words = 1,
    .max_words = 1,
    .args = split_args,
    .defaults = &split_defaults,
    .size = sizeof split_defaults,
    .run = split,
};
