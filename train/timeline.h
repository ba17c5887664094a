/* timeline.h: when each part of the first steps began and ended, on every rank: RUN/timeline.csv
 * (`rank,step,what,begin,end`, seconds from the first). To see whether sums hide behind backward.
 *
 * Calls: tensor (ranks, team), data (file). Called by: loop, buckets, pretrain, finetune.
 */
#ifndef ICH_TRAIN_TIMELINE_H
#define ICH_TRAIN_TIMELINE_H

#include "tensor/error.h"
#include <stddef.h>

typedef struct ich_timeline_row {
    char what[24]; /* "forward", "backward", "sum 3", "wait", "update" */
    int step;
    double begin, end; /* ich_seconds() */
} ich_timeline_row;

typedef struct ich_timeline {
    ich_timeline_row *rows;
    size_t count, room;
    int step, steps; /* at work; to be recorded */
} ich_timeline;

/* Records nothing if steps is 0. */
bool ich_timeline_open(ich_timeline *timeline, int steps, ich_error *err);
void ich_timeline_free(ich_timeline *timeline);
void ich_timeline_add(ich_timeline *timeline, const char *what, double begin, double end);
/* A step is over. After the last one to be recorded, rank 0 writes <folder>/timeline.csv for all. */
bool ich_timeline_step(ich_timeline *timeline, const char *folder, ich_error *err);

#endif
