#include "buckets.h"

#include "tensor/team.h"
#include <stdio.h>
#include <string.h>

enum {
    BUCKET = 1 << 20, /* elements: long enough that latency is small beside it, short enough to begin early */
    MOST_BUCKETS = 200 /* below ICH_MAX_SUMS */
};

void ich_buckets_open(ich_buckets *b, float *gradients, size_t first, size_t end, ich_timeline *timeline) {
    const size_t least = (end - first) / MOST_BUCKETS + 1;
    *b = (ich_buckets){.gradients = gradients,
                       .first = first,
                       .end = end,
                       .bucket = least > BUCKET ? least : BUCKET,
                       .timeline = timeline};
    ich_buckets_begin(b);
}

void ich_buckets_begin(ich_buckets *b) {
    b->sent = b->end;
    b->count = 0;
    memset(b->ended, 0, sizeof b->ended);
}

static size_t next_start(const ich_buckets *b) {
    return b->sent - b->first > b->bucket ? b->sent - b->bucket : b->first;
}

void ich_buckets_ready(void *self, size_t final) {
    ich_buckets *b = self;
    if (ich_ranks() == 1) return;
    while (b->sent > b->first && next_start(b) >= final) {
        const size_t start = next_start(b);
        b->begun[b->count++] = ich_seconds();
        ich_ranks_begin_sum(b->gradients + start, b->sent - start);
        b->sent = start;
    }
    ich_ranks_progress(b->ended);
}

void ich_buckets_end(ich_buckets *b) {
    const double from = ich_seconds();
    ich_buckets_ready(b, 0);
    ich_ranks_end_sums(b->ended);
    for (int i = 0; i < b->count; i++) {
        char what[24];
        snprintf(what, sizeof what, "sum %d", i);
        ich_timeline_add(b->timeline, what, b->begun[i], b->ended[i]);
    }
    if (b->count > 0) ich_timeline_add(b->timeline, "wait", from, ich_seconds());
}
