/* Every slice is decoded once, kept whole, and made again when anything it depends on has changed. */
#include "cache_world.h"
#include "scratch.h"
#include "tensor/team.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = WORLD_SIZE * WORLD_SIZE * 3 };

static int entries(const char *path) {
    DIR *folder = opendir(path);
    assert_non_null(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void same_slices(const ich_cache *a, const ich_cache *b) {
    for (size_t i = 0; i < a->n_studies; i++) {
        assert_int_equal(a->slices[i], b->slices[i]);
        assert_memory_equal(a->stored[i], b->stored[i], (size_t)a->slices[i] * sizeof *a->stored[i]);
        for (int z = 0; z < a->slices[i]; z++) {
            uint8_t one[BYTES], two[BYTES];
            ich_error err = {""};
            assert_true(ich_cache_slice(a, i, z, one, &err) && ich_cache_slice(b, i, z, two, &err));
            assert_memory_equal(one, two, BYTES);
        }
    }
}

/* Overwrites a file with noise but leaves its size and time as they are. */
static void spoil(const char *path) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    for (off_t i = 0; i < info.st_size; i++) fputc(7, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){info.st_atim, info.st_mtim}, 0), 0);
}

static bool open_cache(ich_cache *cache, const ich_dataset *d, const bool *wanted, const char *folder,
                       ich_skipped *skipped, const volatile int *stop, ich_error *err) {
    const ich_preprocess p = world_preprocess();
    return ich_cache_open(cache, d, wanted, scratch_path(folder), &p, skipped, NULL, stop, err);
}

static void cached_slices_are_the_preprocessed_ones(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache cache = world_cache(&d, "plain");
    const ich_preprocess p = world_preprocess();
    for (size_t i = 0; i < d.n_studies; i++) {
        ich_volume v;
        ich_error err = {""};
        assert_true(ich_volume_read(&v, d.studies[i].path, &err));
        assert_int_equal(cache.slices[i], 3 + (int)i);
        for (int z = 0; z < v.slices; z++) {
            uint8_t direct[BYTES], cached[BYTES];
            assert_true(ich_preprocess_slice(&p, &v, z, direct, &err));
            assert_true(ich_cache_slice(&cache, i, z, cached, &err));
            assert_memory_equal(direct, cached, BYTES);
            assert_int_equal(cache.stored[i][z], i % 2 ? v.slices - 1 - z : z); /* odd ones run downwards */
        }
        ich_volume_free(&v);
    }
    ich_cache_free(&cache);
    world_free(&d);
}

static void a_second_opening_decodes_nothing(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache first = world_cache(&d, "twice");
    for (size_t i = 0; i < d.n_studies; i++)
        spoil(d.studies[i].path); /* whoever decoded them now would fail */
    ich_cache second = world_cache(&d, "twice");
    same_slices(&first, &second);
    assert_int_equal(entries(scratch_path("twice")), WORLD_STUDIES);
    ich_cache_free(&first);
    ich_cache_free(&second);
    world_free(&d);
}

static void a_changed_source_is_decoded_again(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache first = world_cache(&d, "changed");
    size_t count;
    unsigned char *other = read_bytes(d.studies[2].path, &count);
    scratch_write("s1.nii.gz", other, count);
    free(other);
    ich_cache second = world_cache(&d, "changed");
    assert_int_equal(first.slices[1], 4);
    assert_int_equal(second.slices[1], 5);
    assert_string_equal(first.path[0], second.path[0]);
    assert_string_not_equal(first.path[1], second.path[1]);
    ich_cache_free(&first);
    ich_cache_free(&second);
    world_free(&d);
}

static void settings_share_a_folder_without_mixing(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache plain = world_cache(&d, "settings");
    ich_preprocess settings[3] = {world_preprocess(), world_preprocess(), world_preprocess()};
    settings[0].size = 12;
    settings[1].center[2] = 41;
    settings[2].channels = 2;
    for (int i = 0; i < 3; i++) {
        ich_cache other;
        ich_skipped skipped = {0};
        ich_error err = {""};
        assert_true(ich_cache_open(&other, &d, NULL, scratch_path("settings"), &settings[i], &skipped, NULL,
                                   NULL, &err));
        assert_string_not_equal(plain.path[0], other.path[0]);
        assert_int_equal(entries(scratch_path("settings")), WORLD_STUDIES * (i + 2));
        ich_cache_free(&other);
    }
    ich_cache_free(&plain);
    world_free(&d);
}

static void a_damaged_cache_file_is_made_again(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache whole = world_cache(&d, "damaged"), kept = world_cache(&d, "kept");
    size_t count;
    unsigned char *bytes = read_bytes(whole.path[1], &count);
    /* every byte of the header and the list of slices, and some lengths */
    for (size_t at = 0; at < 40 + 4 * sizeof(int32_t); at++) {
        bytes[at] ^= 0x10;
        FILE *file = fopen(whole.path[1], "wb");
        assert_int_equal(fwrite(bytes, 1, count, file), count);
        assert_int_equal(fclose(file), 0);
        bytes[at] ^= 0x10;
        ich_cache again = world_cache(&d, "damaged");
        same_slices(&kept, &again);
        ich_cache_free(&again);
    }
    for (size_t length = 0; length < count; length += 531) {
        assert_int_equal(truncate(whole.path[1], (off_t)length), 0);
        ich_cache again = world_cache(&d, "damaged");
        same_slices(&kept, &again);
        ich_cache_free(&again);
    }
    free(bytes);
    ich_cache_free(&whole);
    ich_cache_free(&kept);
    world_free(&d);
}

static void an_unreadable_study_is_left_out_and_named(void **state) {
    (void)state;
    ich_dataset d = world_make();
    scratch_write("s0.nii.gz", "rubbish", 7);
    unlink(d.studies[2].path);
    ich_cache cache;
    ich_skipped skipped = {0};
    ich_error err = {""};
    assert_true(open_cache(&cache, &d, NULL, "skipping", &skipped, NULL, &err));
    assert_int_equal(skipped.n_rows, 2);
    assert_string_equal(skipped.rows[0].study_id, "s0");
    assert_string_equal(skipped.rows[1].study_id, "s2");
    assert_non_null(strstr(skipped.rows[1].reason, "s2.nii.gz: cannot be read"));
    assert_true(cache.slices[0] == 0 && cache.slices[1] == 4 && cache.slices[2] == 0 && cache.slices[3] == 6);
    uint8_t bytes[BYTES];
    assert_false(ich_cache_slice(&cache, 0, 0, bytes, &err));
    ich_cache_free(&cache);
    ich_skipped_free(&skipped);
    world_free(&d);
}

static void only_wanted_studies_are_decoded(void **state) {
    (void)state;
    ich_dataset d = world_make();
    scratch_write("s0.nii.gz", "rubbish", 7);
    const bool wanted[WORLD_STUDIES] = {false, true, false, true};
    ich_cache cache;
    ich_skipped skipped = {0};
    ich_error err = {""};
    assert_true(open_cache(&cache, &d, wanted, "wanted", &skipped, NULL, &err));
    assert_int_equal(skipped.n_rows, 0);
    assert_int_equal(entries(scratch_path("wanted")), 2);
    assert_true(cache.slices[0] == 0 && cache.slices[2] == 0 && cache.slices[3] == 6);
    ich_cache_free(&cache);
    world_free(&d);
}

static void an_opening_that_cannot_succeed_says_why(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache cache;
    ich_skipped skipped = {0};
    ich_error err = {""};
    scratch_write("file", "x", 1);
    assert_false(open_cache(&cache, &d, NULL, "file", &skipped, NULL, &err));
    assert_non_null(strstr(err.text, "file"));
    assert_false(open_cache(&cache, &d, NULL, "stopped", &skipped, &(volatile int){1}, &err));
    assert_non_null(strstr(err.text, "stopped"));
    const bool none[WORLD_STUDIES] = {false};
    assert_false(open_cache(&cache, &d, none, "none", &skipped, NULL, &err));
    assert_non_null(strstr(err.text, "no study to read"));
    assert_int_equal(skipped.n_rows, 0);
    for (size_t i = 0; i < d.n_studies; i++) unlink(d.studies[i].path);
    assert_false(open_cache(&cache, &d, NULL, "gone", &skipped, NULL, &err));
    assert_non_null(strstr(err.text, "s0.nii.gz"));
    assert_int_equal(skipped.n_rows, WORLD_STUDIES);
    ich_skipped_free(&skipped);
    world_free(&d);
}

static void threads_do_not_change_a_byte(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_team_set(1);
    ich_cache one = world_cache(&d, "one");
    ich_team_set(3);
    ich_cache three = world_cache(&d, "three");
    for (size_t i = 0; i < d.n_studies; i++) {
        size_t n, m;
        unsigned char *a = read_bytes(one.path[i], &n), *b = read_bytes(three.path[i], &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
    ich_cache_free(&one);
    ich_cache_free(&three);
    world_free(&d);
}

static void write_bytes(const char *path, const unsigned char *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

/* Whatever happens to a cached file while it is in use, its slices stay what they were, and nothing else is
 * made. */
static void a_file_that_changes_underneath_is_mended(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache cache = world_cache(&d, "underneath"), kept = world_cache(&d, "untouched");
    const int open_files = entries("/proc/self/fd");
    uint8_t bytes[BYTES];
    ich_error err = {""};
    size_t count;
    assert_false(ich_cache_slice(&cache, 0, 3, bytes, &err));
    assert_false(ich_cache_slice(&cache, 0, -1, bytes, &err));
    assert_false(ich_cache_slice(&cache, WORLD_STUDIES, 0, bytes, &err));
    unsigned char *whole = read_bytes(cache.path[1], &count);
    for (size_t at = 0; at < count; at += 1 + count / 60) {
        whole[at] ^= 0x10;
        write_bytes(cache.path[1], whole, count);
        whole[at] ^= 0x10;
        same_slices(&kept, &cache);
    }
    for (size_t length = 0; length < count; length += 1531) {
        assert_int_equal(truncate(cache.path[1], (off_t)length), 0);
        same_slices(&kept, &cache);
    }
    assert_int_equal(unlink(cache.path[1]), 0);
    same_slices(&kept, &cache);
    size_t again;
    unsigned char *mended = read_bytes(cache.path[1], &again);
    assert_true(again == count && !memcmp(mended, whole, count));
    assert_int_equal(entries("/proc/self/fd"), open_files);
    for (size_t i = 0; i < WORLD_STUDIES; i++) assert_false(ich_cache_lost(&cache, i));
    free(mended);
    free(whole);
    ich_cache_free(&cache);
    ich_cache_free(&kept);
    world_free(&d);
}

/* Without its volume, or with another in its place, a study is lost, and no other. */
static void a_study_that_cannot_be_mended_is_lost_alone(void **state) {
    (void)state;
    ich_dataset d = world_make();
    ich_cache cache = world_cache(&d, "lost");
    uint8_t bytes[BYTES];
    ich_error err = {""};
    assert_int_equal(unlink(cache.path[0]), 0);
    assert_int_equal(unlink(d.studies[0].path), 0);
    assert_false(ich_cache_slice(&cache, 0, 2, bytes, &err));
    assert_non_null(strstr(err.text, cache.path[0]));
    assert_non_null(strstr(err.text, "slice 2"));
    assert_int_equal(truncate(cache.path[2], 99), 0);
    size_t n;
    unsigned char *other = read_bytes(d.studies[1].path, &n);
    write_bytes(d.studies[2].path, other, n);
    free(other);
    assert_false(ich_cache_slice(&cache, 2, 0, bytes, &err));
    assert_non_null(strstr(err.text, "was changed since"));
    for (size_t i = 0; i < WORLD_STUDIES; i++) {
        assert_int_equal(ich_cache_lost(&cache, i), i % 2 == 0);
        assert_int_equal(ich_cache_slice(&cache, i, 1, bytes, &err), i % 2 == 1);
    }
    ich_cache_free(&cache);
    world_free(&d);
}

static void odd_names_stay_apart(void **state) {
    (void)state;
    ich_dataset d = world_make();
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const names[WORLD_STUDIES] = {"a b", "a/b", longest, "ä\"'"};
    for (int i = 0; i < WORLD_STUDIES; i++) {
        free(d.studies[i].study_id);
        d.studies[i].study_id = strdup(names[i]);
    }
    ich_cache cache = world_cache(&d, "names");
    assert_int_equal(entries(scratch_path("names")), WORLD_STUDIES);
    ich_cache_free(&cache);
    world_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached_slices_are_the_preprocessed_ones),
        cmocka_unit_test(a_second_opening_decodes_nothing),
        cmocka_unit_test(a_changed_source_is_decoded_again),
        cmocka_unit_test(settings_share_a_folder_without_mixing),
        cmocka_unit_test(a_damaged_cache_file_is_made_again),
        cmocka_unit_test(an_unreadable_study_is_left_out_and_named),
        cmocka_unit_test(only_wanted_studies_are_decoded),
        cmocka_unit_test(an_opening_that_cannot_succeed_says_why),
        cmocka_unit_test(threads_do_not_change_a_byte),
        cmocka_unit_test(a_file_that_changes_underneath_is_mended),
        cmocka_unit_test(a_study_that_cannot_be_mended_is_lost_alone),
        cmocka_unit_test(odd_names_stay_apart),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
