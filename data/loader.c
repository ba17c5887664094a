/* One thread fills a ring of batches; the caller takes them in order.
 *
 * Batch b of a plan lives in slot b mod slots. There is one slot more than batches ahead: the one in the
 * caller's hands. Everything under "guarded" is read and written with the mutex held; a slot's pixels belong
 * to the thread while freed + slots > b >= produced, to the caller afterwards.
 */
#include "loader.h"
#include "tensor/arena.h"
#include "tensor/team.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct ich_loader {
    const ich_cache *cache;
    bool augmented;
    ich_augment augment;
    int max_rows, n_slots;
    ich_batch *slots;
    ich_arena images; /* of all slots */
    uint8_t *bytes;   /* one slice, the thread's */
    double waited;    /* the caller's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    atomic_bool hurry; /* the batch being filled is not wanted any more */
    /* guarded */
    const ich_slice_ref *refs;
    const size_t *ends;
    size_t n_batches;
    uint64_t seed;
    size_t produced, taken, freed; /* batches of the plan: filled, handed out, given back */
    bool busy, failed, quit;
    ich_error error; /* why batch `produced` could not be filled */
};

/* -- the thread ------------------------------------------------------------------------------------------ */

/* A batch to fill, copied out of the guarded part. */
typedef struct assignment {
    const ich_slice_ref *refs;
    size_t rows;
    uint64_t seed;
    ich_batch *slot;
} assignment;

static assignment next_job(const ich_loader *l) {
    const size_t b = l->produced, start = b ? l->ends[b - 1] : 0;
    return (assignment){.refs = l->refs + start,
                        .rows = l->ends[b] - start,
                        .seed = l->seed,
                        .slot = &l->slots[b % (size_t)l->n_slots]};
}

static bool fill(ich_loader *l, const assignment *job, ich_error *err) {
    const ich_preprocess *p = &l->cache->preprocess;
    const size_t pixels = (size_t)p->size * (size_t)p->size * (size_t)p->channels;
    if (job->rows > (size_t)l->max_rows)
        return ich_fail(err, "a batch of %zu slices does not fit a loader made for %d", job->rows,
                        l->max_rows);
    for (size_t i = 0; i < job->rows && !atomic_load(&l->hurry); i++) {
        const ich_slice_ref *ref = &job->refs[i];
        if (!ich_cache_slice(l->cache, ref->study, (int)ref->slice, l->bytes, err)) {
            if (ref->study >= l->cache->n_studies || !ich_cache_lost(l->cache, ref->study)) return false;
            memset(l->bytes, 0, pixels);
        }
        ich_preprocess_finish(p, l->bytes, l->augmented ? &l->augment : NULL,
                              ich_rng_make(job->seed, ICH_RNG_AUGMENT, ref->sample),
                              job->slot->images + i * pixels);
    }
    job->slot->refs = job->refs;
    job->slot->rows = (int)job->rows;
    return true;
}

static bool has_work(const ich_loader *l) {
    return !l->failed && l->produced < l->n_batches && l->produced < l->freed + (size_t)l->n_slots;
}

static void *work(void *argument) {
    ich_loader *l = argument;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (!l->quit && !has_work(l)) pthread_cond_wait(&l->changed, &l->mutex);
        if (l->quit) break;
        const assignment job = next_job(l);
        ich_error why = {""};
        l->busy = true;
        pthread_mutex_unlock(&l->mutex);
        const bool done = fill(l, &job, &why);
        pthread_mutex_lock(&l->mutex);
        l->busy = false;
        if (done) {
            l->produced++;
        } else {
            l->failed = true;
            l->error = why;
        }
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Waits, with the mutex held, until the thread has let go of the plan; there is none afterwards. */
static void drop_plan(ich_loader *l) {
    l->n_batches = 0;
    atomic_store(&l->hurry, true);
    while (l->busy) pthread_cond_wait(&l->changed, &l->mutex);
    atomic_store(&l->hurry, false);
    l->produced = l->taken = l->freed = 0;
    l->failed = false;
}

/* -- the caller ------------------------------------------------------------------------------------------ */

static bool make_slots(ich_loader *l, ich_error *err) {
    const ich_preprocess *p = &l->cache->preprocess;
    const size_t pixels = (size_t)p->size * (size_t)p->size * (size_t)p->channels;
    size_t slot, all;
    if (__builtin_mul_overflow(pixels * sizeof(float), (size_t)l->max_rows, &slot) || slot > SIZE_MAX / 4 ||
        __builtin_mul_overflow(ich_align(slot), (size_t)l->n_slots, &all))
        return ich_fail(err, "%d batches of %d slices do not fit in memory: take a smaller batch", l->n_slots,
                        l->max_rows);
    l->slots = ich_new((size_t)l->n_slots, sizeof *l->slots, "the loader's batches", err);
    l->bytes = ich_new(pixels, 1, "the loader's slice", err);
    if (!l->slots || !l->bytes || !ich_arena_init(&l->images, all, err)) return false;
    for (int i = 0; i < l->n_slots; i++) l->slots[i].images = ich_arena_take(&l->images, slot);
    return true;
}

static void free_memory(ich_loader *l) {
    ich_arena_free(&l->images);
    free(l->slots);
    free(l->bytes);
    free(l);
}

/* Signals stay the main thread's affair: the new thread inherits a full mask. */
static int start_thread(ich_loader *l) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = pthread_create(&l->thread, NULL, work, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

ich_loader *ich_loader_create(const ich_cache *cache, const ich_augment *augment, int max_rows, int depth,
                              ich_error *err) {
    if (max_rows < 1 || depth < 1) {
        ich_fail(err, "a loader needs at least one slice a batch and one batch ahead, not %d and %d",
                 max_rows, depth);
        return NULL;
    }
    ich_loader *l = ich_new(1, sizeof *l, "the loader", err);
    if (!l) return NULL;
    l->cache = cache;
    l->augmented = augment != NULL;
    if (augment) l->augment = *augment;
    l->max_rows = max_rows;
    l->n_slots = depth + 1;
    if (!make_slots(l, err)) {
        free_memory(l);
        return NULL;
    }
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, NULL);
    const int code = start_thread(l);
    if (code == 0) return l;
    ich_fail(err, "the loader's thread cannot be started (%s)", strerror(code));
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    free_memory(l);
    return NULL;
}

void ich_loader_plan(ich_loader *l, const ich_slice_ref *refs, const size_t *ends, size_t n_batches,
                     uint64_t seed) {
    pthread_mutex_lock(&l->mutex);
    drop_plan(l);
    l->refs = refs;
    l->ends = ends;
    l->n_batches = n_batches;
    l->seed = seed;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

const ich_batch *ich_loader_next(ich_loader *l, ich_error *err) {
    const ich_batch *batch = NULL;
    pthread_mutex_lock(&l->mutex);
    l->freed = l->taken;
    pthread_cond_broadcast(&l->changed);
    const double start = ich_seconds();
    while (l->produced == l->taken && !l->failed && l->taken < l->n_batches)
        pthread_cond_wait(&l->changed, &l->mutex);
    l->waited += ich_seconds() - start;
    if (l->produced > l->taken)
        batch = &l->slots[l->taken++ % (size_t)l->n_slots];
    else if (err)
        *err = l->failed ? l->error : (ich_error){""};
    pthread_mutex_unlock(&l->mutex);
    return batch;
}

double ich_loader_waited(const ich_loader *loader) { return loader->waited; }

size_t ich_loader_bytes(const ich_loader *loader) { return loader->images.size; }

void ich_loader_free(ich_loader *l) {
    if (!l) return;
    pthread_mutex_lock(&l->mutex);
    drop_plan(l);
    l->quit = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    free_memory(l);
}
