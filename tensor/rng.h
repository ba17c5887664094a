/* rng.h: counter-based random numbers.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). A stream is
 * named by (seed, purpose, index), never by who asks first: sample 17 of epoch 3 gets the same numbers
 * on one thread or eight, today or after a resume.
 *
 * Calls: nothing. Called by: layers (initial weights, dropout), data (augmentation, order, phantoms), tests.
 */
#ifndef ICH_TENSOR_RNG_H
#define ICH_TENSOR_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is for; keeps streams with equal seed and index apart. Append only: order is part of
 * what makes an old run repeatable. */
typedef enum ich_purpose {
    ICH_RNG_INIT,    /* initial weights; index = parameter */
    ICH_RNG_ORDER,   /* order of samples; index = epoch */
    ICH_RNG_AUGMENT, /* augmentation; index = epoch << 40 | sample */
    ICH_RNG_DROPOUT, /* dropout masks; index = step << 16 | node */
    ICH_RNG_SPLIT,   /* train, val, test */
    ICH_RNG_SYNTH,   /* phantoms; index = study */
    ICH_RNG_TEST,
    ICH_RNG_BOOTSTRAP
} ich_purpose;

typedef struct ich_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4]; /* the numbers of the current counter */
    int left;          /* how many of them are unused */
} ich_rng;

ich_rng ich_rng_make(uint64_t seed, ich_purpose purpose, uint64_t index);
void ich_rng_skip(ich_rng *rng, uint64_t n); /* of a fresh stream, the first n numbers of 32 bits */
uint32_t ich_rng_u32(ich_rng *rng);
float ich_rng_uniform(ich_rng *rng); /* [0, 1), 24 bits */
float ich_rng_range(ich_rng *rng, float lo, float hi);
float ich_rng_normal(ich_rng *rng);               /* mean 0, variance 1 (Box-Muller, cosine branch) */
uint32_t ich_rng_below(ich_rng *rng, uint32_t n); /* 0 … n-1 without bias; n ≥ 1 */
void ich_rng_shuffle(ich_rng *rng, uint32_t *values, size_t n); /* Fisher-Yates */

#endif
