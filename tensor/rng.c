#include "rng.h"

#include <math.h>

/* Philox4x32-10: ten rounds of two 32 × 32 -> 64 bit products and a key that walks by Weyl constants. */
static void philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

ich_rng ich_rng_make(uint64_t seed, ich_purpose purpose, uint64_t index) {
    return (ich_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                     .counter = {0, (uint32_t)purpose, (uint32_t)index, (uint32_t)(index >> 32)}};
}

void ich_rng_skip(ich_rng *rng, uint64_t n) {
    rng->counter[0] += (uint32_t)(n / 4);
    for (uint64_t i = 0; i < n % 4; i++) (void)ich_rng_u32(rng);
}

uint32_t ich_rng_u32(ich_rng *rng) {
    if (rng->left == 0) {
        philox(rng->key, rng->counter, rng->block);
        rng->counter[0]++;
        rng->left = 4;
    }
    return rng->block[4 - rng->left--];
}

float ich_rng_uniform(ich_rng *rng) { return (float)(ich_rng_u32(rng) >> 8) * 0x1p-24f; }

float ich_rng_range(ich_rng *rng, float lo, float hi) { return lo + (hi - lo) * ich_rng_uniform(rng); }

float ich_rng_normal(ich_rng *rng) {
    float u = 1 - ich_rng_uniform(rng), angle = 6.28318530717958647692f * ich_rng_uniform(rng);
    return sqrtf(-2 * logf(u)) * cosf(angle);
}

uint32_t ich_rng_below(ich_rng *rng, uint32_t n) {
    uint32_t rejected = -n % n; /* 2^32 mod n: below it the low numbers would come once too often */
    for (;;) {
        uint64_t product = (uint64_t)ich_rng_u32(rng) * n; /* Lemire 2019, arXiv 1805.10941 */
        if ((uint32_t)product >= rejected) return (uint32_t)(product >> 32);
    }
}

void ich_rng_shuffle(ich_rng *rng, uint32_t *values, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = ich_rng_below(rng, (uint32_t)i);
        uint32_t kept = values[i - 1];
        values[i - 1] = values[j];
        values[j] = kept;
    }
}
