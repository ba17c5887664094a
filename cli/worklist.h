/* worklist.h: a predictions folder as the table that a person at a terminal wants.
 *
 * Calls: data (csv, file). Called by: verb_infer.c.
 */
#ifndef ICH_CLI_WORKLIST_H
#define ICH_CLI_WORKLIST_H

#include "tensor/error.h"
#include <stdio.h>

/* One row a study, in the folder's order: probability of any hemorrhage, verdict at 0.5, the slices with most
 * attention, seconds. */
bool ich_worklist_print(const char *predictions, FILE *stream, ich_error *err);

#endif
