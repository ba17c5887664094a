/* worklist.h: a predictions folder as a person at a terminal, or a program, wants it.
 *
 * Most probable first. Each study with its verdict at the thresholds that the model carries
 * (infer/calibrate.h), or else at 0.5, the slices with most attention, its seconds, and what is unlike the
 * training studies about it.
 *
 * Calls: data (csv, file), infer (script_json). Called by: verb_infer.c.
 */
#ifndef ICH_CLI_WORKLIST_H
#define ICH_CLI_WORKLIST_H

#include "tensor/error.h"
#include <stdio.h>

typedef enum ich_worklist_form {
    ICH_WORKLIST_TABLE, /* with a header, and what is to be said about all of them */
    ICH_WORKLIST_ROWS,  /* its rows alone */
    ICH_WORKLIST_JSON,  /* one document */
    ICH_WORKLIST_LINES  /* a JSON object a line for each study, and for each input left out */
} ich_worklist_form;

bool ich_worklist_print(const char *predictions, ich_worklist_form form, FILE *stream, ich_error *err);

#endif
