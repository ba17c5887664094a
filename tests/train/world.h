/* world.h: what the tests of train share: little datasets of noise, a little recipe, a model of a few
 * numbers. */
#ifndef ICH_TESTS_TRAIN_WORLD_H
#define ICH_TESTS_TRAIN_WORLD_H

#include "data/cache.h"
#include "infer/model.h"

enum { WORLD_SIZE = 32 }; /* pixels of a slice, stored and seen */

/* Writes scratch/<name>: study s0, s1, … has slices[i] slices (stored from head to foot where i is odd); the
 * last `val` of them are of split val, the others of train. Study and slice labels vary; some are unknown.
 * Returns its path, valid as scratch_path's is. */
const char *world_make(const char *name, const int *slices, int studies, int val);

/* A resnet18 of WORLD_SIZE pixels with a small head. */
ich_recipe world_recipe(unsigned verb);

/* Reads that dataset without its slices and decodes all of it; fails the test if a study is left out. */
void world_open(const char *folder, ich_dataset *dataset, ich_cache *cache);

/* A residual block and a study head: everything that a big network has, but the size. */
ich_model world_small_model(uint64_t seed);
/* A model that is no network but a linear layer, with random values: for what reads and writes models. */
ich_model world_tiny_model(uint64_t seed);
/* Random values for a graph of the test's own. */
void world_give_values(ich_model *model, uint64_t seed);

#endif
