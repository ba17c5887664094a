/* scratch.h: a folder of a test's own, and the fixtures. */
#ifndef ICH_TEST_SCRATCH_H
#define ICH_TEST_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

/* Group setup and teardown for cmocka: makes a temporary folder and removes it with all it holds. */
int scratch_make(void **state);
int scratch_remove(void **state);

/* The path of `name` in that folder, or of a fixture; valid until the eighth call after this one. */
const char *scratch_path(const char *name);
const char *fixture_path(const char *name);

/* Writes a file into the folder and returns its path. */
const char *scratch_write(const char *name, const void *bytes, size_t count);
/* A whole file in fresh memory; fails the test if it cannot be read. */
unsigned char *read_bytes(const char *path, size_t *count);

#endif
