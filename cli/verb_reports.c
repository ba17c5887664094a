/* verb_reports.c: label-reports: study labels out of radiology reports. */
#include "verb.h"

#include "data/report_labels.h"
#include <stdlib.h>
#include <string.h>

typedef struct reports_options {
    const char *lexicon;
    bool explain;
} reports_options;

static const reports_options reports_defaults = {0};

static const ich_arg reports_args[] = {
    {.name = "explain",
     .kind = ICH_ARG_FLAG,
     .offset = offsetof(reports_options, explain),
     .help = "print how each sentence was understood, and the rule that decided each finding"},
    {.name = "lexicon",
     .value = "FILE",
     .kind = ICH_ARG_TEXT,
     .offset = offsetof(reports_options, lexicon),
     .help = "the words that name, deny and doubt a hemorrhage [data/report_lexicon.txt, built in]",
     .kept = true},
    {0}};

/* The recipe lies beside the table. */
static bool record(const ich_command *command, const char *out, ich_error *err) {
    const char *slash = strrchr(out, '/');
    char *folder = slash ? strndup(out, slash > out ? (size_t)(slash - out) : 1) : strdup(".");
    const bool done =
        folder ? ich_command_record(command, NULL, folder, err) : ich_fail(err, "%s: out of memory", out);
    free(folder);
    return done;
}

static int label_reports(ich_command *command) {
    const reports_options *o = command->values;
    const char *out = command->words[1];
    ich_report_counts counts;
    ich_error err = {0};
    FILE *explain = o->explain ? stdout : NULL;
    if (!ich_label_reports(command->words[0], out, o->lexicon, explain, &counts, &err) ||
        !record(command, out, &err))
        return ich_complain(command, ICH_FAILED, "%s", err.text);
    ich_progress_line(&command->ui.progress, "%s: %zu reports: %zu with hemorrhage, %zu without, %zu unknown",
                      out, counts.reports, counts.positive, counts.negative, counts.unknown);
    return ich_command_printed(command, ICH_DONE);
}

const ich_verb ich_verb_label_reports = {
    .name = "label-reports",
    .group = "Data",
    .form = "REPORTS.csv OUT.csv",
    .summary = "read study labels out of radiology reports",
    .more =
        "REPORTS.csv has the columns study_id and report. OUT.csv gets each study's six labels: 1, 0, or "
        "empty "
        "where the report leaves it open, and for each the words of the report that decided. The impression "
        "outranks the findings; history, indication, technique and comparison assert nothing; blood of any "
        "age "
        "counts while it is there. What the words mean stands in one file that may be replaced: --lexicon.",
    .min_words = 2,
    .max_words = 2,
    .args = reports_args,
    .defaults = &reports_defaults,
    .size = sizeof reports_defaults,
    .run = label_reports,
};
