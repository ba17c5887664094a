/* hash.h: FNV-1a, 64 bits (Fowler, Noll, Vo; isthe.com/chongo/tech/comp/fnv). Tells files and datasets apart,
 * not against an adversary.
 *
 * Calls: nothing. Called by: ranks, data, infer, audit.
 */
#ifndef ICH_TENSOR_HASH_H
#define ICH_TENSOR_HASH_H

#include <stddef.h>
#include <stdint.h>

static const uint64_t ich_fnv_start = UINT64_C(0xcbf29ce484222325);

static inline uint64_t ich_fnv(uint64_t hash, const void *bytes, size_t count) {
    const unsigned char *b = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
