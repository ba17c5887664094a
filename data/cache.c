/* Preprocessed slices on disk: made in parallel, one file a study, read back with pread.
 *
 * A file's name carries a hash of everything its bytes depend on: the source's path, size and time, and the
 * preprocessing. So a changed source or setting finds no file and is decoded again, and caches of several
 * settings share a folder. Numbers are in this machine's byte order: a cache does not travel.
 */
#include "cache.h"
#include "file.h"
#include "tensor/hash.h"
#include "volume_internal.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    VERSION = 2, /* of this layout and of what preprocessing computes: raise it with either */
    MOST_SLICES = 1 << 14,
    NAME_ID = 100, /* characters of the study_id in a file's name */
};

/* The file: this, int32_t stored[slices], uint8_t [slices][size][size][channels], uint64_t sums[slices]. */
typedef struct head {
    char magic[8];
    uint32_t version, slices, size, channels;
    uint64_t fingerprint;
    uint64_t checksum; /* of all above and `stored` */
} head;
static const char magic[8] = "ichcache";

/* -- names ----------------------------------------------------------------------------------------------- */

static bool hash_file(uint64_t *hash, const char *path, ich_error *err) {
    struct stat info;
    if (stat(path, &info) != 0)
        return ich_fail(err, "%s: cannot be read (%s): check the path", path, strerror(errno));
    const int64_t stamp[3] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    *hash = ich_fnv(ich_fnv(*hash, path, strlen(path) + 1), stamp, sizeof stamp);
    return true;
}

/* Everything that a study's cached bytes depend on. */
static bool fingerprint(const ich_study *study, const ich_preprocess *p, uint64_t *hash, ich_error *err) {
    const int32_t layout[3] = {VERSION, p->size, p->channels};
    *hash = ich_fnv(ich_fnv_start, study->study_id, strlen(study->study_id) + 1);
    *hash = ich_fnv(*hash, layout, sizeof layout);
    *hash = ich_fnv(*hash, p->center, (size_t)p->channels * sizeof *p->center);
    *hash = ich_fnv(*hash, p->width, (size_t)p->channels * sizeof *p->width);
    char *header, *data;
    if (!ich_nifti_files(study->path, &header, &data, err)) return false;
    const bool done = hash_file(hash, header, err) && hash_file(hash, data, err);
    free(header);
    free(data);
    return done;
}

static char *file_name(const char *folder, const char *study_id, uint64_t hash) {
    char name[NAME_ID + 32];
    int n = 0;
    for (; n < NAME_ID && study_id[n]; n++)
        name[n] =
            (char)(isalnum((unsigned char)study_id[n]) || strchr("-_", study_id[n]) ? study_id[n] : '_');
    snprintf(name + n, sizeof name - (size_t)n, "-%016llx.slices", (unsigned long long)hash);
    return ich_path_join(folder, name);
}

/* -- one file -------------------------------------------------------------------------------------------- */

static size_t slice_bytes(const ich_preprocess *p) {
    return (size_t)p->size * (size_t)p->size * (size_t)p->channels;
}

static size_t slice_offset(const ich_preprocess *p, int slices, int slice) {
    return sizeof(head) + (size_t)slices * sizeof(int32_t) + (size_t)slice * slice_bytes(p);
}

/* The end of the last slice: where the sums begin. */
static size_t sum_offset(const ich_preprocess *p, int slices, int slice) {
    return slice_offset(p, slices, slices) + (size_t)slice * sizeof(uint64_t);
}

static uint64_t checksum(const head *h, const int *stored) {
    return ich_fnv(ich_fnv(ich_fnv_start, h, offsetof(head, checksum)), stored, h->slices * sizeof *stored);
}

static bool read_at(int file, void *to, size_t count, size_t offset) {
    for (char *next = to; count;) {
        const ssize_t got = pread(file, next, count, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        next += got, offset += (size_t)got, count -= (size_t)got;
    }
    return true;
}

/* Is `file` as long as a cache of these slices must be, and does it say that it is one? */
static bool looks_right(int file, const ich_preprocess *p, head *h) {
    struct stat info;
    return fstat(file, &info) == 0 && read_at(file, h, sizeof *h, 0) &&
           memcmp(h->magic, magic, sizeof magic) == 0 && h->version == VERSION && h->slices >= 1 &&
           h->slices <= MOST_SLICES && h->size == (uint32_t)p->size && h->channels == (uint32_t)p->channels &&
           (size_t)info.st_size == sum_offset(p, (int)h->slices, (int)h->slices);
}

/* The stored slice indices of a whole and right file in fresh memory, or NULL. */
static int *reuse(const char *path, const ich_preprocess *p, uint64_t hash, int *slices) {
    head h;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return NULL;
    int *stored = NULL;
    if (looks_right(file, p, &h) && h.fingerprint == hash) stored = calloc(h.slices, sizeof *stored);
    if (stored &&
        (!read_at(file, stored, h.slices * sizeof *stored, sizeof h) || checksum(&h, stored) != h.checksum)) {
        free(stored);
        stored = NULL;
    }
    if (stored) *slices = (int)h.slices;
    close(file);
    return stored;
}

/* -- making one ------------------------------------------------------------------------------------------ */

typedef enum outcome { NOT_WANTED, READY, UNREADABLE, UNWRITABLE } outcome;

typedef struct result {
    outcome outcome;
    ich_error why;
} result;

static outcome write_file(const char *path, const ich_preprocess *p, const ich_volume *volume, uint64_t hash,
                          const int *stored, uint64_t *sums, uint8_t *bytes, ich_error *err) {
    head h = {.version = VERSION,
              .slices = (uint32_t)volume->slices,
              .size = (uint32_t)p->size,
              .channels = (uint32_t)p->channels,
              .fingerprint = hash};
    memcpy(h.magic, magic, sizeof magic);
    h.checksum = checksum(&h, stored);
    ich_output out;
    if (!ich_output_open(&out, path, err)) return UNWRITABLE;
    fwrite(&h, sizeof h, 1, out.stream); /* commit looks at the stream's state */
    fwrite(stored, sizeof *stored, h.slices, out.stream);
    for (int z = 0; z < volume->slices && !ferror(out.stream); z++) {
        if (!ich_preprocess_slice(p, volume, z, bytes, err)) {
            ich_output_abandon(&out);
            return UNREADABLE;
        }
        fwrite(bytes, 1, slice_bytes(p), out.stream);
        sums[z] = ich_fnv(ich_fnv_start, bytes, slice_bytes(p));
    }
    fwrite(sums, sizeof *sums, h.slices, out.stream);
    return ich_output_commit(&out, err) ? READY : UNWRITABLE;
}

/* Writes cache->path[i] anew; *stored and *slices only where it succeeds. */
static outcome decode(const ich_cache *cache, size_t i, int **stored, int *slices, ich_error *err) {
    const char *source = cache->dataset->studies[i].path;
    ich_volume volume;
    if (!ich_volume_read(&volume, source, err)) return UNREADABLE;
    if (volume.slices > MOST_SLICES) {
        ich_fail(err, "%s: has %d slices, more than any head CT (limit %d): cut it", source, volume.slices,
                 MOST_SLICES);
        ich_volume_free(&volume);
        return UNREADABLE;
    }
    outcome got = UNREADABLE;
    const size_t n = (size_t)volume.slices;
    int *order = ich_new(n, sizeof *order, source, err);
    uint64_t *sums = order ? ich_new(n, sizeof *sums, source, err) : NULL;
    uint8_t *bytes = sums ? ich_new(slice_bytes(&cache->preprocess), 1, source, err) : NULL;
    if (bytes) {
        for (int z = 0; z < volume.slices; z++) order[z] = ich_volume_stored_slice(&volume, z);
        got = write_file(cache->path[i], &cache->preprocess, &volume, cache->fingerprint[i], order, sums,
                         bytes, err);
    }
    if (got == READY) {
        *slices = volume.slices;
        *stored = order;
        order = NULL;
    }
    free(order);
    free(sums);
    free(bytes);
    ich_volume_free(&volume);
    return got;
}

static outcome make_study(ich_cache *cache, size_t i, ich_error *err) {
    const ich_study *study = &cache->dataset->studies[i];
    uint64_t *hash = &cache->fingerprint[i];
    if (!fingerprint(study, &cache->preprocess, hash, err)) return UNREADABLE;
    cache->path[i] = file_name(cache->folder, study->study_id, *hash);
    if (!cache->path[i]) {
        ich_fail(err, "%s: out of memory: its name in the cache", study->path);
        return UNREADABLE;
    }
    cache->stored[i] = reuse(cache->path[i], &cache->preprocess, *hash, &cache->slices[i]);
    return cache->stored[i] ? READY : decode(cache, i, &cache->stored[i], &cache->slices[i], err);
}

/* -- making all ------------------------------------------------------------------------------------------ */

static void make_all(ich_cache *cache, const ich_dataset *dataset, const bool *wanted,
                     const ich_progress *progress, const volatile int *stop, result *results) {
    size_t total = 0, done = 0;
    for (size_t i = 0; i < dataset->n_studies; i++) total += !wanted || wanted[i];
    bool give_up = false; /* the folder cannot be written: no use in going on */
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < dataset->n_studies; i++) {
        bool skip;
#pragma omp atomic read
        skip = give_up;
        if (skip || (wanted && !wanted[i]) || (stop && *stop)) continue;
        results[i].outcome = make_study(cache, i, &results[i].why);
        if (results[i].outcome == UNWRITABLE) {
#pragma omp atomic write
            give_up = true;
        }
#pragma omp critical(ich_cache_progress)
        ich_progress_update(progress, "decode", ++done, total, "studies", NULL);
    }
}

/* Sums up in the order of the studies, whatever order they were made in. */
static bool judge(const ich_dataset *dataset, const result *results, ich_skipped *skipped, ich_error *err) {
    size_t ready = 0;
    const result *unreadable = NULL;
    for (size_t i = 0; i < dataset->n_studies; i++) {
        const result *r = &results[i];
        const ich_study *study = &dataset->studies[i];
        if (r->outcome == UNWRITABLE) return ich_fail(err, "%s", r->why.text);
        ready += r->outcome == READY;
        if (r->outcome != UNREADABLE) continue;
        if (!unreadable) unreadable = r;
        if (!ich_skipped_add(skipped, study->path, study->study_id, r->why.text))
            return ich_fail(err, "out of memory: the list of studies left out");
    }
    if (ready) return true;
    return unreadable ? ich_fail(err, "no study could be read, the first because: %s", unreadable->why.text)
                      : ich_fail(err, "%s: no study to read: check its split and labels", dataset->folder);
}

bool ich_cache_open(ich_cache *cache, const ich_dataset *dataset, const bool *wanted, const char *folder,
                    const ich_preprocess *preprocess, ich_skipped *skipped, const ich_progress *progress,
                    const volatile int *stop, ich_error *err) {
    const size_t n = dataset->n_studies;
    *cache = (ich_cache){.preprocess = *preprocess, .n_studies = n, .dataset = dataset};
    if (!ich_folder_make(folder, err)) return false;
    cache->folder = strdup(folder);
    if (!cache->folder) ich_fail(err, "%s: out of memory: a path", folder);
    cache->slices = ich_new(n, sizeof *cache->slices, "the cache's list of studies", err);
    cache->stored = ich_new(n, sizeof *cache->stored, "the cache's list of studies", err);
    cache->path = ich_new(n, sizeof *cache->path, "the cache's list of studies", err);
    cache->fingerprint = ich_new(n, sizeof *cache->fingerprint, "the cache's list of studies", err);
    cache->lost = ich_new(n, sizeof *cache->lost, "the cache's list of studies", err);
    result *results = ich_new(n, sizeof *results, "the cache's list of studies", err);
    bool done = cache->folder && cache->slices && cache->stored && cache->path && cache->fingerprint &&
                cache->lost && results;
    if (done) {
        make_all(cache, dataset, wanted, progress, stop, results);
        done =
            stop && *stop
                ? ich_fail(err, "%s: stopped before all studies were decoded: start again to go on", folder)
                : judge(dataset, results, skipped, err);
    }
    free(results);
    if (!done) ich_cache_free(cache);
    return done;
}

void ich_cache_free(ich_cache *cache) {
    for (size_t i = 0; i < cache->n_studies; i++) {
        if (cache->stored) free(cache->stored[i]);
        if (cache->path) free(cache->path[i]);
    }
    free(cache->folder);
    free(cache->slices);
    free(cache->stored);
    free(cache->path);
    free(cache->fingerprint);
    free(cache->lost);
    *cache = (ich_cache){0};
}

/* -- reading ------------------------------------------------------------------------------------------- */

static bool read_slice(const ich_cache *cache, size_t study, int slice, uint8_t *out) {
    const ich_preprocess *p = &cache->preprocess;
    const int file = open(cache->path[study], O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    const int n = cache->slices[study];
    uint64_t sum = 0;
    head h;
    const bool done = looks_right(file, p, &h) && (int)h.slices == n &&
                      h.fingerprint == cache->fingerprint[study] &&
                      read_at(file, out, slice_bytes(p), slice_offset(p, n, slice)) &&
                      read_at(file, &sum, sizeof sum, sum_offset(p, n, slice)) &&
                      sum == ich_fnv(ich_fnv_start, out, slice_bytes(p));
    close(file);
    return done;
}

/* Decodes the study again, if its volume is still the one that it was. */
static bool mend(const ich_cache *cache, size_t study, ich_error *err) {
    const ich_study *source = &cache->dataset->studies[study];
    uint64_t hash;
    if (!fingerprint(source, &cache->preprocess, &hash, err)) return false;
    if (hash != cache->fingerprint[study]) return ich_fail(err, "%s: was changed since", source->path);
    int *stored = NULL, slices = 0;
    const bool done = decode(cache, study, &stored, &slices, err) == READY;
    free(stored);
    return done;
}

bool ich_cache_slice(const ich_cache *cache, size_t study, int slice, uint8_t *out, ich_error *err) {
    if (study >= cache->n_studies || slice < 0 || slice >= cache->slices[study])
        return ich_fail(err, "%s: has no slice %d of study %zu", cache->folder, slice, study);
    ich_error why = {0};
    if (!ich_cache_lost(cache, study)) {
        if (read_slice(cache, study, slice, out)) return true;
        if (mend(cache, study, &why) && read_slice(cache, study, slice, out)) return true;
        __atomic_store_n(&cache->lost[study], true, __ATOMIC_RELEASE);
    }
    return ich_fail(err, "%s: slice %d cannot be read, nor decoded again%s%s", cache->path[study], slice,
                    why.text[0] ? ": " : "", why.text);
}

bool ich_cache_lost(const ich_cache *cache, size_t study) {
    return __atomic_load_n(&cache->lost[study], __ATOMIC_ACQUIRE);
}
