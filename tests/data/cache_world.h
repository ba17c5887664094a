/* cache_world.h: a small dataset with its cache, for the tests of cache and loader. */
#ifndef ICH_TEST_CACHE_WORLD_H
#define ICH_TEST_CACHE_WORLD_H

#include "data/cache.h"

enum { WORLD_STUDIES = 4, WORLD_SIZE = 20 };

/* Studies s0 … s3 of 3, 4, 5 and 6 slices, some stored against the network's orientation, in the scratch
 * folder. */
ich_dataset world_make(void);
void world_free(ich_dataset *dataset);
ich_preprocess world_preprocess(void);

/* Opens a cache of the whole dataset in scratch/<folder>; fails the test if that fails or skips a study. */
ich_cache world_cache(const ich_dataset *dataset, const char *folder);

#endif
