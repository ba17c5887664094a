/* skipped.h: what was left out and why: skipped.csv (`path,study_id,reason`) in an output folder.
 *
 * Calls: csv, file. Called by: dataset, cache, import, infer, train.
 */
#ifndef ICH_DATA_SKIPPED_H
#define ICH_DATA_SKIPPED_H

#include "tensor/error.h"
#include <stddef.h>

typedef struct ich_skipped {
    struct ich_skip {
        char *path, *study_id, *reason;
    } * rows;
    size_t n_rows;
} ich_skipped;

bool ich_skipped_add(ich_skipped *skipped, const char *path, const char *study_id, const char *reason);
/* Writes folder/<name> if there are rows; removes an old one if there are none. */
bool ich_skipped_write_as(const ich_skipped *skipped, const char *folder, const char *name, ich_error *err);
/* … skipped.csv. */
bool ich_skipped_write(const ich_skipped *skipped, const char *folder, ich_error *err);
void ich_skipped_free(ich_skipped *skipped);

#endif
