/* Runs a fuzz target without libFuzzer: over every file of the folders named, and over CHANGES damaged copies
 * of each, the same on every machine.
 *
 *   replay_<target> CHANGES FOLDER...
 *
 * Each file has a process of its own, so that one that crashes does not hide the next; the input that crashed
 * it is left as crash-<target's file>.
 */
#include "fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20, SECONDS = 5, MOST_EDITS = 4 };

typedef struct input {
    uint8_t *bytes; /* [MOST_BYTES] */
    size_t count;
} input;

static input read_input(const char *path) {
    input in = {malloc(MOST_BYTES), 0};
    FILE *file = fopen(path, "rb");
    fuzz_hold(in.bytes && file, "an input can be read");
    in.count = fread(in.bytes, 1, MOST_BYTES, file);
    fclose(file);
    return in;
}

/* -- damage ---------------------------------------------------------------------------------------------- */

/* SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195). */
static uint64_t draw(uint64_t *state, uint64_t below) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

/* The input with a few bytes changed, taken out, or repeated; or cut. `count` > 0. */
static void damage(input *in, uint64_t seed) {
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '\\', '"', '\n'};
    uint64_t state = seed;
    const uint64_t edits = 1 + draw(&state, MOST_EDITS);
    for (uint64_t e = 0; e < edits && in->count > 0; e++) {
        const size_t at = draw(&state, in->count), left = in->count - at;
        const size_t n = 1 + draw(&state, left < 32 ? left : 32);
        switch (draw(&state, 6)) {
        case 0:
            in->bytes[at] = odd[draw(&state, sizeof odd)];
            break;
        case 1:
            in->bytes[at] = (uint8_t)draw(&state, 256);
            break;
        case 2:
            in->bytes[at] ^= (uint8_t)(1 << draw(&state, 8));
            break;
        case 3: /* taken out */
            memmove(in->bytes + at, in->bytes + at + n, left - n);
            in->count -= n;
            break;
        case 4: /* repeated */
            if (in->count + n > MOST_BYTES) break;
            memmove(in->bytes + at + n, in->bytes + at, left);
            in->count += n;
            break;
        default:
            if (draw(&state, 8) == 0) in->count = at;
        }
    }
}

static input changed(const char *path, long change) { /* 0: as it is */
    input in = read_input(path);
    if (change > 0 && in.count > 0) damage(&in, (uint64_t)change << 32 | in.count);
    return in;
}

/* -- the run --------------------------------------------------------------------------------------------- */

static int keep(const char *path, long change) {
    char name[300];
    const input in = changed(path, change);
    const char *base = strrchr(path, '/') + 1;
    snprintf(name, sizeof name, "crash-%s", base);
    FILE *file = fopen(name, "wb");
    if (file) fwrite(in.bytes, 1, in.count, file), fclose(file);
    fprintf(stderr, "%s, change %ld: crashes, hangs or breaks a promise; kept as %s\n", path, change, name);
    free(in.bytes);
    return 1;
}

static int run(const char *path, long changes) {
    long *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fuzz_hold(at != MAP_FAILED, "there is memory");
    fflush(NULL);
    const pid_t child = fork();
    for (*at = child ? *at : 0; child == 0 && *at <= changes; ++*at) {
        const input in = changed(path, *at);
        alarm(SECONDS * 10); /* of a machine under load */
        LLVMFuzzerTestOneInput(in.bytes, in.count);
        free(in.bytes);
    }
    if (child == 0) exit(0);
    int status;
    waitpid(child, &status, 0);
    const long last = *at;
    munmap(at, sizeof *at);
    return status == 0 ? 0 : keep(path, last);
}

static int hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

int main(int argc, char **argv) {
    int files = 0, bad = 0;
    LLVMFuzzerTestOneInput((const uint8_t[1]){0}, 0); /* also makes the folder, for all processes */
    for (int i = 2; i < argc; i++) {
        struct dirent **names;
        const int n = scandir(argv[i], &names, hidden, alphasort);
        for (int k = 0; k < n; k++, files++) {
            char path[600];
            snprintf(path, sizeof path, "%s/%s", argv[i], names[k]->d_name);
            bad += run(path, atol(argv[1]));
            free(names[k]);
        }
        if (n >= 0) free(names);
    }
    printf("%d inputs and %s changes of each, %d failed\n", files, argc > 1 ? argv[1] : "0", bad);
    return files == 0 || bad > 0;
}
