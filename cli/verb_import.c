/* verb_import.c: other people's data as a dataset. */
#include "verb.h"

#include "data/import.h"
#include "stop.h"
#include "tensor/team.h"
#include <string.h>

typedef struct import_options {
    const char *labels;
    double spacing;
    bool keep_ids;
} import_options;

static const import_options import_defaults = {.spacing = ICH_USUAL_SPACING};

static const ich_arg import_args[] = {
    {.name = "labels",
     .value = "CSV",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(import_options, labels),
     .help = "table of labels [rsna: SRC/stage_2_train.csv, cq500: SRC/reads.csv, ct-ich: "
             "SRC/hemorrhage_diagnosis_raw_ct.csv]",
     .kept = true},
    {.name = "spacing",
     .value = "MM",
     .kind = ICH_ARG_REAL,
     .offset = offsetof(import_options, spacing),
     .lo = 0.1,
     .hi = 20,
     .help = "distance between slices, in mm, that decides between the series of a study [5]",
     .kept = true},
    {.name = "keep-ids",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(import_options, keep_ids),
     .help = "name studies and patients by StudyInstanceUID and PatientID, not by hashes",
     .kept = true},
    {0}};

static int run_import(ich_command *command) {
    const import_options *o = command->values;
    const volatile int *stop = ich_stop_flag();
    const char *out = command->words[2];
    ich_import_result result;
    ich_error err = {0};
    const char *kind = command->words[0], *known = NULL;
    for (int i = 0; !known && ich_import_kind(NULL, i); i++)
        if (!strcmp(kind, ich_import_kind(NULL, i))) known = kind;
    if (!known) {
        const char *near = ich_nearest(kind, ich_import_kind, NULL);
        return ich_misuse(command,
                          "there is no kind of data '%s'%s%s: choose rsna, cq500, ct-ich, dicom or nifti",
                          kind, near ? ", did you mean " : "", near ? near : "");
    }
    if (!ich_command_use(&command->machine, &err)) return ich_misuse(command, "%s", err.text);
    /* One more than there are cores, unless somebody counts them: each waits for the disk at times. */
    const int processes = ich_team_size() + (command->machine.threads == 0);
    const ich_import options = {.kind = kind,
                                .source = command->words[1],
                                .out = out,
                                .labels = o->labels,
                                .keep_ids = o->keep_ids,
                                .spacing = o->spacing,
                                .processes = processes,
                                .seed = command->machine.seed};
    const bool done = ich_import_run(&options, &result, &command->ui.progress, stop, &err) &&
                      ich_command_record(command, NULL, out, &err);
    const size_t studies = result.studies, slices = result.slices, skipped = result.skipped.n_rows;
    ich_import_result_free(&result);
    if (!done) return ich_complain(command, *stop ? ICH_SIGNALLED + *stop : ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s: %zu studies, %zu slices", out, studies, slices);
    return skipped ? ich_command_partly(command, out) : ICH_DONE;
}

const ich_verb ich_verb_import = {
    .name = "import",
    .group = "Data",
    .form = "KIND SRC OUT",
    .summary = "turn other people's scans and labels into a dataset",
    .more = "KIND is rsna (RSNA 2019: loose DICOM slices with labels of images), cq500 (three readers: the "
            "majority "
            "decides), ct-ich (PhysioNet's NIfTI with labels of slices), dicom or nifti (any folder; "
            "--labels names a "
            "CSV with the column study_id and any of the six labels; of DICOM, study_id may be the "
            "StudyInstanceUID, "
            "the AccessionNumber, the PatientID of a patient with one study, or the hash that the dataset "
            "has).\n\n"
            "A study becomes one volume. Of several series, one that covers most of the length, lies across "
            "the body, "
            "was taken without contrast agent and with a soft kernel is preferred, in this order, and then "
            "the one "
            "whose slices lie nearest to --spacing apart.\n\n"
            "No name leaves the DICOM: studies are named by a hash of their StudyInstanceUID, patients by "
            "their first "
            "study. OUT/skipped.csv names the input files that were left out and why (the exit status is "
            "then 3), "
            "OUT/notes.csv what to know of studies: a tilted gantry, gaps that were filled. An import that "
            "was stopped "
            "goes on where it was.",
    .min_words = 3,
    .max_words = 3,
    .args = import_args,
    .defaults = &import_defaults,
    .size = sizeof import_defaults,
    .run = run_import,
};
