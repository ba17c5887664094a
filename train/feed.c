/* Two arrays, sized once for an epoch, which the loader's thread reads while batches are worked on. */
#include "feed.h"

#include <stdlib.h>

enum { AHEAD = 2 }; /* batches that the loader prepares while one is worked on */

bool ich_feed_open(ich_feed *feed, const ich_cache *cache, const ich_augment *augment, int max_rows,
                   size_t refs, size_t batches, ich_error *err) {
    *feed = (ich_feed){.refs_room = refs, .batches_room = batches};
    feed->refs = ich_new(refs, sizeof *feed->refs, "the plan of an epoch", err);
    feed->ends = ich_new(batches, sizeof *feed->ends, "the plan of an epoch", err);
    feed->loader = feed->refs && feed->ends ? ich_loader_create(cache, augment, max_rows, AHEAD, err) : NULL;
    if (feed->loader) return true;
    ich_feed_close(feed);
    return false;
}

void ich_feed_close(ich_feed *feed) {
    if (feed->loader) ich_loader_free(feed->loader); /* first: its thread reads the list */
    free(feed->refs);
    free(feed->ends);
    *feed = (ich_feed){0};
}

size_t ich_feed_bytes(const ich_feed *feed) { return feed->loader ? ich_loader_bytes(feed->loader) : 0; }

void ich_feed_clear(ich_feed *feed) { feed->n_refs = feed->n_batches = 0; }

void ich_feed_add(ich_feed *feed, uint32_t study, int slice, uint64_t sample) {
    if (feed->n_refs == feed->refs_room) return; /* the caller counted wrong; next() will say so */
    feed->refs[feed->n_refs++] = (ich_slice_ref){study, (uint32_t)slice, sample};
}

void ich_feed_end_batch(ich_feed *feed) {
    if (feed->n_batches < feed->batches_room) feed->ends[feed->n_batches++] = feed->n_refs;
}

void ich_feed_start(ich_feed *feed, uint64_t seed) {
    ich_loader_plan(feed->loader, feed->refs, feed->ends, feed->n_batches, seed);
}

const ich_batch *ich_feed_next(ich_feed *feed, ich_error *err) {
    ich_error why = {0};
    const ich_batch *batch = ich_loader_next(feed->loader, &why);
    if (!batch) ich_fail(err, "%s", why.text[0] ? why.text : "the plan of an epoch ended too early");
    return batch;
}
