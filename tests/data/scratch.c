#include "scratch.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ichor-test-XXXXXX";

int scratch_make(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

int scratch_remove(void **state) {
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *join(const char *a, const char *b) {
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", a, b);
    return path;
}

const char *scratch_path(const char *name) { return join(folder, name); }
const char *fixture_path(const char *name) { return join(ICHOR_SOURCE "/tests/data/fixtures", name); }

const char *scratch_write(const char *name, const void *bytes, size_t count) {
    const char *path = scratch_path(name);
    remove(
        path); /* ext4 writes through to the disk what replaces a truncated file, thousands of times here */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
    return path;
}

unsigned char *read_bytes(const char *path, size_t *count) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *count = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*count ? *count : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, file), *count);
    fclose(file);
    return bytes;
}
