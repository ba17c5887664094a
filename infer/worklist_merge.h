/* worklist_merge.h: the answers of many arrivals as one predictions folder.
 *
 * Calls: data (csv, file, skipped). Called by: watch, tests.
 */
#ifndef ICH_INFER_WORKLIST_MERGE_H
#define ICH_INFER_WORKLIST_MERGE_H

#include "tensor/error.h"
#include <stddef.h>

/* Every folder in `arrivals` that holds studies.csv gives its studies, the most probable first, with their
 * slices, flags and (as links) heatmaps; every skipped.csv what was left out. A study_id that came twice is
 * taken from the first of these folders, by name, and left out of the others. about.csv is the first one's,
 * with `input` in place of its own. *left_out (may be NULL): rows of skipped.csv. The files are the same
 * however often this is done. */
bool ich_worklist_merge(const char *arrivals, const char *input, const char *out, size_t *left_out,
                        ich_error *err);

#endif
