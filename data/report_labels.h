/* report_labels.h: study labels out of radiology reports, with the words that decided each.
 *
 * A lexicon (report_lexicon.txt, built in; or a file of the user's) says which phrases name a hemorrhage,
 * which deny or doubt one, and so on. The code finds the phrases sentence by sentence, as NegEx does (Chapman
 * 2001, doi:10.1006/jbin.2001.1029; ConText: Harkema 2009, doi:10.1016/j.jbi.2009.05.002), lets the
 * impression outrank the findings, and leaves a label empty where the report only doubts.
 *
 * Calls: csv, file, labels. Called by: cli.
 */
#ifndef ICH_DATA_REPORT_LABELS_H
#define ICH_DATA_REPORT_LABELS_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdio.h>

typedef struct ich_report_counts {
    size_t reports, positive, negative, unknown; /* of `any` */
} ich_report_counts;

/* Reads a table with the columns study_id and report; writes `study_id,any,…,subdural,any_evidence,…`: labels
 * 0, 1 or empty (unknown), and the words of the report that decided. With `explain` the parse goes there, for
 * people. `lexicon` NULL: the built-in one. Fails on a table that cannot be read, a missing column, an empty
 * study_id or one that comes twice. */
bool ich_label_reports(const char *reports, const char *out, const char *lexicon, FILE *explain,
                       ich_report_counts *counts, ich_error *err);

#endif
