/* feed.h: a loader together with the list of slices that it will be asked for.
 *
 * The list of an epoch is written into memory taken once: ich_feed_add, ich_feed_end_batch, … and
 * ich_feed_start hands it to the loader's thread. Before the next ich_feed_clear every batch must be taken.
 *
 * Calls: data (loader). Called by: pretrain, finetune, mil, features.
 */
#ifndef ICH_TRAIN_FEED_H
#define ICH_TRAIN_FEED_H

#include "data/loader.h"

typedef struct ich_feed {
    ich_loader *loader;
    ich_slice_ref *refs;
    size_t *ends;
    size_t n_refs, n_batches, refs_room, batches_room;
} ich_feed;

/* Room for `refs` slices in `batches` batches of at most `max_rows`. augment NULL: none. */
bool ich_feed_open(ich_feed *feed, const ich_cache *cache, const ich_augment *augment, int max_rows,
                   size_t refs, size_t batches, ich_error *err);
size_t ich_feed_bytes(const ich_feed *feed); /* of its images; 0: not open */
void ich_feed_close(ich_feed *feed);

void ich_feed_clear(ich_feed *feed);
void ich_feed_add(ich_feed *feed, uint32_t study, int slice, uint64_t sample);
void ich_feed_end_batch(ich_feed *feed);
void ich_feed_start(ich_feed *feed, uint64_t seed);

/* The next batch; NULL with a message when a slice cannot be read. */
const ich_batch *ich_feed_next(ich_feed *feed, ich_error *err);

/* Index of an augmentation stream (tensor/rng.h): the same thing looks different in each epoch. */
static inline uint64_t ich_feed_sample(int epoch, uint64_t index) { return (uint64_t)epoch << 40 | index; }

#endif
