/* arena.h: one block of memory, planned before it is taken.
 *
 * A plan (layers/exec.c) adds up what a shape needs, takes one arena, and hands out offsets; a training
 * step then allocates nothing. The block is anonymous, zero-filled, and asks for huge pages.
 *
 * Calls: mmap. Called by: layers, optim, train, infer.
 */
#ifndef ICH_TENSOR_ARENA_H
#define ICH_TENSOR_ARENA_H

#include "error.h"

#define ICH_ALIGN 64 /* bytes: a cache line, and the widest vector */

typedef struct ich_arena {
    unsigned char *base;
    size_t size; /* bytes mapped */
    size_t used; /* bytes handed out by ich_arena_take */
} ich_arena;

/* Maps at least `bytes`. Fails with the number of MiB when the system has not got them. */
bool ich_arena_init(ich_arena *arena, size_t bytes, ich_error *err);

/* The next `bytes` of the block, aligned to ICH_ALIGN; NULL when it is used up (a mistake in the plan). */
void *ich_arena_take(ich_arena *arena, size_t bytes);

void ich_arena_free(ich_arena *arena);

/* Rounds a size up to ICH_ALIGN. */
static inline size_t ich_align(size_t bytes) { return (bytes + ICH_ALIGN - 1) / ICH_ALIGN * ICH_ALIGN; }

#endif
