/* loader.h: batches that are ready before they are asked for.
 *
 * The caller plans what it will need (a list of slices cut into batches); one background thread reads,
 * augments and normalises them in order, a few batches ahead. What a batch holds depends only on the plan and
 * the key, never on timing. A slice of a study that the disk has lost (cache.h) is black; whoever learns from
 * it looks at ich_cache_lost.
 *
 * Calls: cache, preprocess, rng, arena. Called by: train.
 */
#ifndef ICH_DATA_LOADER_H
#define ICH_DATA_LOADER_H

#include "cache.h"

typedef struct ich_slice_ref {
    uint32_t study, slice; /* slice in network order */
    uint64_t sample;       /* index of its augmentation stream: equal for slices that must move together */
} ich_slice_ref;

typedef struct ich_batch {
    const ich_slice_ref *refs;
    int rows;
    float *images; /* [rows][size][size][channels], 64-byte aligned */
} ich_batch;

typedef struct ich_loader ich_loader;

/* `max_rows` slices a batch at most, `depth` batches ahead (2 is enough). augment NULL: none. */
ich_loader *ich_loader_create(const ich_cache *cache, const ich_augment *augment, int max_rows, int depth,
                              ich_error *err);
/* Starts on a new list; refs [ends[n_batches - 1]] and ends stay the caller's and must live until the last
 * batch is taken. */
void ich_loader_plan(ich_loader *loader, const ich_slice_ref *refs, const size_t *ends, size_t n_batches,
                     uint64_t seed);
/* The next batch, valid until the next call; NULL with err->text empty at the end of the plan, else a
 * failure. */
const ich_batch *ich_loader_next(ich_loader *loader, ich_error *err);
double ich_loader_waited(const ich_loader *loader); /* seconds that ich_loader_next has blocked so far */
size_t ich_loader_bytes(const ich_loader *loader);  /* that its batches take */
void ich_loader_free(ich_loader *loader);           /* also in the middle of a plan */

#endif
