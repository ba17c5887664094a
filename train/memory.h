/* memory.h: what the machine has left for a run, before it takes it.
 *
 * Linux hands out memory that it has not got, and ends the process when it is touched. So a run adds up what
 * its plan will touch and compares, before the first step. (An address-space limit, ulimit -v, needs no
 * foresight: the arena is refused when it is asked for.)
 *
 * Calls: tensor (cgroup), /proc/meminfo. Called by: loop.
 */
#ifndef ICH_TRAIN_MEMORY_H
#define ICH_TRAIN_MEMORY_H

#include "tensor/error.h"
#include <stddef.h>

/* Bytes that this process may still touch: the least of what the machine has available and what its control
 * groups (version 1 or 2, and those above) leave. `root` is put before /proc and /sys: "" but in tests.
 * SIZE_MAX: unknown. */
size_t ich_memory_available(const char *root);

/* Fails if `bytes` are more than that. `lower`: the options that take less, or NULL. */
bool ich_memory_foresee(size_t bytes, size_t available, const char *lower, ich_error *err);

#endif
