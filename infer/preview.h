/* preview.h: a contact sheet of a dataset, to look at before one trains: are the scans heads, the right way
 * up, in Hounsfield units, and labelled as they look?
 *
 * A row a study, spread evenly over the table; in it some of its slices from foot to head, as the network
 * sees them: the first three windows are red, green and blue (one window: grey). The bar in front is red
 * where `any` is 1, green where it is 0, grey where it is unknown.
 *
 * Calls: picture, data (dataset, volume, preprocess). Called by: cli.
 */
#ifndef ICH_INFER_PREVIEW_H
#define ICH_INFER_PREVIEW_H

#include "data/preprocess.h"
#include "data/skipped.h"
#include "tensor/progress.h"

typedef struct ich_preview_options {
    ich_preprocess preprocess; /* size: the side of a slice on the sheet */
    int studies, slices;       /* rows and columns, at most */
} ich_preview_options;

/* `path`: a PNG. The lines of progress tell which study is in which row. One that cannot be read leaves its
 * row black and is added to `skipped`; fails if none can be. */
bool ich_preview_write(const char *dataset, const char *path, const ich_preview_options *options,
                       const ich_progress *progress, const volatile int *stop, ich_skipped *skipped,
                       ich_error *err);

#endif
