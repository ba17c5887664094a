/* Rows lie study by study in the order of the lists, train before val; gathering a group is a copy. */
#include "features.h"

#include "tensor/ranks.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The mapped file. Its space is taken now: a disk that fills up later would be a SIGBUS, not a message. */
static bool map_rows(ich_features *f, const char *folder, ich_error *err) {
    const int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    void *memory = MAP_FAILED;
    if (file >= 0 && posix_fallocate(file, 0, (off_t)f->bytes) == 0)
        memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    if (memory == MAP_FAILED) { /* a file system without unnamed files, or too full: plain memory then */
        memory = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (memory == MAP_FAILED)
        return ich_fail(err, "no memory and no disk in %s for %zu MiB of features: free some", folder,
                        f->bytes >> 20);
    f->rows = memory;
    return true;
}

/* Rows of the studies of one list, from `row` on; returns the next free row. */
static size_t place(ich_features *f, const ich_cache *cache, const uint32_t *studies, size_t n, size_t row) {
    for (size_t i = 0; i < n; i++) {
        f->first[studies[i]] = row;
        row += (size_t)cache->slices[studies[i]];
    }
    return row;
}

/* This rank's part of a list. */
static bool compute_part(ich_features *f, const ich_source *source, ich_mil *mil, ich_feed *feed,
                         const ich_train_job *job, const uint32_t *studies, size_t n, ich_error *err) {
    const ich_part mine = ich_my_part(n);
    const size_t end = mine.first + mine.count;
    for (size_t i = mine.first; i < end && !ich_stopped(job); i++) {
        const int offsets[2] = {0, source->cache.slices[studies[i]]};
        const ich_mil_group group = {.n = 1, .study = &studies[i], .offsets = offsets};
        ich_feed_clear(feed);
        ich_mil_plan(mil, feed, &group, 0, false);
        ich_feed_start(feed, job->recipe.seed);
        if (!ich_mil_features(mil, feed, offsets[1], f->rows + f->first[studies[i]] * f->width, err))
            return false;
        ich_progress_update(job->progress, "features", i + 1 - mine.first, mine.count, "studies", NULL);
    }
    return true;
}

/* Each rank computes its part and gets those of the others. */
static bool compute_list(ich_features *f, const ich_source *source, ich_mil *mil, ich_feed *feed,
                         const ich_train_job *job, const uint32_t *studies, size_t n, ich_error *err) {
    if (!compute_part(f, source, mil, feed, job, studies, n, err)) return false;
    for (int r = 0; ich_ranks() > 1 && r < ich_ranks(); r++) {
        const ich_part part = ich_part_of(n, r);
        if (part.count == 0) continue;
        const uint32_t last = studies[part.first + part.count - 1];
        const size_t first = f->first[studies[part.first]];
        const size_t rows = f->first[last] + (size_t)source->cache.slices[last] - first;
        ich_ranks_share(f->rows + first * f->width, rows * f->width * sizeof(float), r);
    }
    return true;
}

bool ich_features_compute(ich_features *f, const ich_source *source, ich_mil *mil, const ich_train_job *job,
                          ich_error *err) {
    const ich_cache *cache = &source->cache;
    *f = (ich_features){.width = mil->width};
    f->first = ich_new(cache->n_studies, sizeof *f->first, "the places of features", err);
    if (!f->first) return false;
    size_t rows = place(f, cache, source->train, source->n_train, 0);
    rows = place(f, cache, source->val, source->n_val, rows);
    f->bytes = rows * f->width * sizeof(float);
    int longest = 0;
    for (size_t s = 0; s < cache->n_studies; s++)
        if (cache->slices[s] > longest) longest = cache->slices[s];
    ich_feed feed = {0};
    const bool done = map_rows(f, cache->folder, err) &&
                      ich_feed_open(&feed, cache, NULL, mil->chunk, (size_t)longest,
                                    ich_mil_batches(mil->chunk, longest), err) &&
                      compute_list(f, source, mil, &feed, job, source->train, source->n_train, err) &&
                      compute_list(f, source, mil, &feed, job, source->val, source->n_val, err);
    ich_feed_close(&feed);
    if (!done) ich_features_free(f);
    return done;
}

void ich_features_free(ich_features *f) {
    if (f->rows) munmap(f->rows, f->bytes);
    free(f->first);
    *f = (ich_features){0};
}

void ich_features_gather(const ich_features *f, const ich_mil_group *group, float *out) {
    for (int i = 0; i < group->n; i++) {
        const size_t slices = (size_t)(group->offsets[i + 1] - group->offsets[i]);
        memcpy(out + (size_t)group->offsets[i] * f->width, f->rows + f->first[group->study[i]] * f->width,
               slices * f->width * sizeof(float));
    }
}
