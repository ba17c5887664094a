/* cache.h: every slice of a dataset decoded once.
 *
 * One file a study in the cache folder: a header (magic, version, fingerprint of source file and
 * preprocessing, slices, orientation), the preprocessed bytes, and a checksum of each slice. Files are read
 * with pread, so memory does not grow with the dataset.
 *
 * Disks change under long runs. A slice that cannot be read back right is decoded again from its volume, to
 * the same bytes. Where the volume is gone, too, or is another by now, the study is lost: it fails from then
 * on, and no other.
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
    const ich_dataset *dataset;
    uint64_t *fingerprint; /* [n_studies] of what the cached bytes depend on */
    bool *lost;            /* [n_studies]; read by ich_cache_lost, as the loader's thread writes it */
} ich_cache;

/* The dataset must outlive the cache. Decodes what is missing or out of date, on all threads, for the studies
 * whose `wanted` is true (NULL: all). A volume that cannot be read is added to `skipped` and left out; fails
 * only if nothing is left, or the folder cannot be written (disk full), or *stop becomes nonzero. */
bool ich_cache_open(ich_cache *cache, const ich_dataset *dataset, const bool *wanted, const char *folder,
                    const ich_preprocess *preprocess, ich_skipped *skipped, const ich_progress *progress,
                    const volatile int *stop, ich_error *err);
void ich_cache_free(ich_cache *cache);

/* The bytes of one slice, checked. */
bool ich_cache_slice(const ich_cache *cache, size_t study, int slice, uint8_t *out, ich_error *err);
/* Failing to give a slice of this study is the disk's doing, and final. */
bool ich_cache_lost(const ich_cache *cache, size_t study);

#endif
