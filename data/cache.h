/* cache.h: every slice of a dataset decoded once.
 *
 * One file a study in the cache folder: a header (magic, version, fingerprint of source file and
 * preprocessing, slices, orientation) and the preprocessed bytes. Files are read with pread, so memory does
 * not grow with the dataset.
 *
 * Calls: dataset, volume, preprocess, file, skipped. Called by: loader, train.
 */
#ifndef ICH_DATA_CACHE_H
#define ICH_DATA_CACHE_H

#include "dataset.h"
#include "preprocess.h"
#include "skipped.h"
#include "tensor/progress.h"

typedef struct ich_cache {
    char *folder;
    ich_preprocess preprocess;
    size_t n_studies;
    int *slices;  /* [n_studies] slices of each study; 0: not wanted, or skipped */
    int **stored; /* [n_studies][slices] stored slice_index of each network slice */
    char **path;  /* [n_studies] the cached file */
} ich_cache;

/* Decodes what is missing or out of date, on all threads, for the studies whose `wanted` is true (NULL: all).
 * A volume that cannot be read is added to `skipped` and left out; fails only if nothing is left, or the
 * folder cannot be written (disk full), or *stop becomes nonzero. */
bool ich_cache_open(ich_cache *cache, const ich_dataset *dataset, const bool *wanted, const char *folder,
                    const ich_preprocess *preprocess, ich_skipped *skipped, const ich_progress *progress,
                    const volatile int *stop, ich_error *err);
void ich_cache_free(ich_cache *cache);

/* The bytes of one slice; checks the file again, since disks change under long runs. */
bool ich_cache_slice(const ich_cache *cache, size_t study, int slice, uint8_t *out, ich_error *err);

#endif
