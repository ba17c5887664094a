#include "arena.h"

#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

bool ich_arena_init(ich_arena *arena, size_t bytes, ich_error *err) {
    *arena = (ich_arena){0};
    if (bytes > SIZE_MAX / 2)
        return ich_fail(err, "out of memory: an arena of %zu MiB was asked for", bytes >> 20);
    size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (!size) size = HUGE_PAGE;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return ich_fail(err, "out of memory: %zu MiB are needed; a smaller batch, chunk or size takes less",
                        size >> 20);
    madvise(base, size, MADV_HUGEPAGE); /* fewer TLB misses; refusal is no failure */
    *arena = (ich_arena){.base = base, .size = size};
    return true;
}

void *ich_arena_take(ich_arena *arena, size_t bytes) {
    size_t wanted = ich_align(bytes);
    if (wanted < bytes || wanted > arena->size - arena->used) return NULL;
    void *place = arena->base + arena->used;
    arena->used += wanted;
    return place;
}

void ich_arena_free(ich_arena *arena) {
    if (arena->base) munmap(arena->base, arena->size);
    *arena = (ich_arena){0};
}
