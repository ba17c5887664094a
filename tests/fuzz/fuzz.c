#include "fuzz.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[400];
static pid_t owner; /* of the folder: children of replay.c use it too */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(void) {
    if (getpid() == owner) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_path(const char *name) {
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    if (!*folder) {
        const char *parent = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/ichor-fuzz-XXXXXX", parent ? parent : "/tmp");
        owner = getpid();
        fuzz_hold(mkdtemp(folder) != NULL && atexit(remove_folder) == 0, "a temporary folder can be made");
    }
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *fuzz_write(const char *name, const void *bytes, size_t count) {
    const char *path = fuzz_path(name);
    remove(path); /* ext4 flushes a file that replaces a truncated one */
    FILE *file = fopen(path, "wb");
    fuzz_hold(file != NULL, "the input can be written");
    fuzz_hold(fwrite(bytes, 1, count, file) == count, "the input can be written");
    fuzz_hold(fclose(file) == 0, "the input can be written");
    return path;
}

size_t fuzz_cut(const uint8_t *bytes, size_t count, const char *mark, const uint8_t **rest,
                size_t *rest_count) {
    const uint8_t *at = memmem(bytes, count, mark, strlen(mark));
    *rest = at ? at + strlen(mark) : bytes + count;
    *rest_count = (size_t)(bytes + count - *rest);
    return at ? (size_t)(at - bytes) : count;
}

void fuzz_hold(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

void fuzz_refused(const ich_error *err, const char *begins) {
    const size_t n = strlen(begins);
    const bool right =
        !strncmp(err->text, begins, n) && strlen(err->text) > n + 4 && !strchr(err->text, '\n');
    if (!right) fprintf(stderr, "message: '%s'\n", err->text);
    fuzz_hold(right, "a refusal is one line that names what is refused, and why");
}
