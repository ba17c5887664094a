/* No file, however damaged, crashes the reader, makes it print, or makes it take memory that its size does
 * not warrant: every byte of a header changed in several ways, every length of a file. */
#include "data/volume.h"
#include "scratch.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* Everything printed while a test runs goes into a file, which must stay empty. */
static int streams[2] = {-1, -1};

static int catch_prints(void **state) {
    (void)state;
    fflush(NULL);
    int file = open(scratch_path("printed"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 2; i++) {
        streams[i] = dup(i + 1);
        if (streams[i] < 0 || dup2(file, i + 1) < 0) return -1;
    }
    return close(file);
}

static long release_prints(void) {
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(streams[i], i + 1);
        close(streams[i]);
    }
    size_t count;
    free(read_bytes(scratch_path("printed"), &count));
    return (long)count;
}

/* An address space of 1 GiB; the address sanitizer's shadow needs more. */
static void limit_memory(void) {
#ifndef ICH_SANITIZED
    const struct rlimit limit = {1 << 30, 1 << 30};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
#endif
}

typedef struct tally {
    int read, refused, wrong, no_cause;
} tally;

/* Reads a file of `count` bytes; `must_fail`: and it may not succeed. */
static void attempt(const char *path, size_t count, bool must_fail, tally *t) {
    ich_volume v;
    ich_error err = {""};
    if (ich_volume_read(&v, path, &err)) {
        const double voxels = (double)v.width * v.height * v.slices;
        t->wrong += must_fail || !(voxels >= 1 && voxels <= 1100.0 * (double)(count + 4096));
        t->read++;
        ich_volume_free(&v);
    } else {
        t->no_cause += strncmp(err.text, path, strlen(path) - 4) != 0 || strlen(err.text) < strlen(path) + 20;
        t->refused++;
    }
}

/* `body`: bytes to change, from the start; `data`: the other file of a pair, or NULL. */
typedef struct victim {
    const char *name;
    size_t body;
    const char *data;
} victim;
static const victim victims[] = {
    {"lps.nii", 352, NULL},
    {"big_endian.nii", 352, NULL},
    {"nifti2.nii", 544, NULL},
    {"float32_holes.nii", 352, NULL},
    {"oblique.nii.gz", SIZE_MAX, NULL},
    {"nifti2_big_endian.nii.gz", SIZE_MAX, NULL},
    {"analyze.hdr", 348, "analyze.img"},
    {"pair.hdr", 348, "pair.img"},
};
enum { VICTIMS = sizeof victims / sizeof *victims };

static void copy_data(const victim *v) {
    if (!v->data) return;
    size_t count;
    unsigned char *bytes = read_bytes(fixture_path(v->data), &count);
    scratch_write(v->data, bytes, count);
    free(bytes);
}

static void report(const tally *t, long printed) {
    if (t->wrong || t->no_cause || printed)
        fail_msg("%d read wrongly, %d refused without a cause, %ld bytes printed", t->wrong, t->no_cause,
                 printed);
    assert_true(t->refused > 100);
}

static void changed_bytes_do_no_harm(void **state) {
    limit_memory();
    assert_int_equal(catch_prints(state), 0);
    tally t = {0};
    for (int i = 0; i < VICTIMS; i++) {
        size_t count;
        unsigned char *bytes = read_bytes(fixture_path(victims[i].name), &count);
        copy_data(&victims[i]);
        for (size_t at = 0; at < count && at < victims[i].body; at++) {
            const unsigned char was = bytes[at];
            const unsigned char instead[] = {0, 0xff, was ^ 1, was ^ 0x80, (unsigned char)(was + 1), 0x7f};
            for (size_t k = 0; k < sizeof instead; k++) {
                bytes[at] = instead[k];
                attempt(scratch_write(victims[i].name, bytes, count), count, false, &t);
            }
            bytes[at] = was;
        }
        free(bytes);
    }
    const long printed = release_prints();
    report(&t, printed);
    assert_true(t.read > 1000); /* most of a header is text and hints */
}

static void any_length_but_the_whole_is_refused(void **state) {
    limit_memory();
    assert_int_equal(catch_prints(state), 0);
    tally t = {0};
    for (int i = 0; i < VICTIMS; i++) {
        size_t count;
        unsigned char *bytes = read_bytes(fixture_path(victims[i].name), &count);
        copy_data(&victims[i]);
        for (size_t length = 0; length < count; length++)
            attempt(scratch_write(victims[i].name, bytes, length), length, true, &t);
        attempt(scratch_write(victims[i].name, bytes, count), count, false, &t);
        free(bytes);
    }
    const long printed = release_prints();
    report(&t, printed);
    assert_int_equal(t.read, VICTIMS);
}

/* Data files of a pair cut short. */
static void a_short_data_file_is_refused(void **state) {
    assert_int_equal(catch_prints(state), 0);
    tally t = {0};
    size_t count;
    unsigned char *bytes = read_bytes(fixture_path("pair.hdr"), &count);
    const char *path = scratch_write("pair.hdr", bytes, count);
    free(bytes);
    bytes = read_bytes(fixture_path("pair.img"), &count);
    for (size_t length = 0; length < count; length++) {
        scratch_write("pair.img", bytes, length);
        attempt(path, length, true, &t);
    }
    free(bytes);
    const long printed = release_prints();
    report(&t, printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(any_length_but_the_whole_is_refused),
        cmocka_unit_test(a_short_data_file_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
