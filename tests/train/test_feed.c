/* The list of an epoch's slices, and the batches that come of it, in order. */
#include "../data/scratch.h"
#include "train/feed.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { STUDIES = 3, PIXELS = WORLD_SIZE * WORLD_SIZE * 3 };
static const int slices[STUDIES] = {4, 3, 2};
static const ich_augment augment = {true, 15, 0.1f, 0.05f, 4, 0.1f};

static ich_dataset dataset;
static ich_cache cache;

static int make_world(void **state) {
    if (scratch_make(state)) return -1;
    world_open(world_make("feed", slices, STUDIES, 0), &dataset, &cache);
    return 0;
}

static int remove_world(void **state) {
    ich_cache_free(&cache);
    ich_dataset_free(&dataset);
    return scratch_remove(state);
}

static ich_feed feed_of(const ich_augment *a, int max_rows, size_t refs, size_t batches) {
    ich_feed feed;
    ich_error err = {""};
    if (!ich_feed_open(&feed, &cache, a, max_rows, refs, batches, &err)) fail_msg("%s", err.text);
    return feed;
}

static const ich_batch *next(ich_feed *feed, int rows) {
    ich_error err = {""};
    const ich_batch *batch = ich_feed_next(feed, &err);
    if (!batch) fail_msg("%s", err.text);
    assert_int_equal(batch->rows, rows);
    return batch;
}

/* Row r of the batch is this slice, as preprocessing alone makes it. */
static void assert_slice(const ich_batch *batch, int r, uint32_t study, int slice, const ich_augment *a,
                         uint64_t seed, uint64_t sample) {
    static uint8_t bytes[PIXELS];
    static float expected[PIXELS];
    ich_error err = {""};
    assert_int_equal(batch->refs[r].study, study);
    assert_int_equal(batch->refs[r].slice, slice);
    if (!ich_cache_slice(&cache, study, slice, bytes, &err)) fail_msg("%s", err.text);
    ich_preprocess_finish(&cache.preprocess, bytes, a, ich_rng_make(seed, ICH_RNG_AUGMENT, sample), expected);
    assert_memory_equal(batch->images + (size_t)r * PIXELS, expected, sizeof expected);
}

static void batches_come_as_planned_epoch_after_epoch(void **state) {
    (void)state;
    ich_feed feed = feed_of(&augment, 3, 5, 2);
    for (int epoch = 0; epoch < 3; epoch++) {
        const uint64_t one = ich_feed_sample(epoch, 1), two = ich_feed_sample(epoch, 2);
        ich_error err = {""};
        ich_feed_clear(&feed);
        for (int z = 0; z < 3; z++) ich_feed_add(&feed, 1, z, one);
        ich_feed_end_batch(&feed);
        ich_feed_add(&feed, 2, 1, two);
        ich_feed_add(&feed, 0, 3, two);
        ich_feed_end_batch(&feed);
        ich_feed_start(&feed, 8);
        const ich_batch *batch = next(&feed, 3);
        for (int z = 0; z < 3; z++) assert_slice(batch, z, 1, z, &augment, 8, one);
        batch = next(&feed, 2);
        assert_slice(batch, 0, 2, 1, &augment, 8, two);
        assert_slice(batch, 1, 0, 3, &augment, 8, two);
        assert_null(ich_feed_next(&feed, &err));
        assert_non_null(strstr(err.text, "ended too early"));
    }
    ich_feed_close(&feed);
}

static void without_augmentation_slices_are_as_they_are(void **state) {
    (void)state;
    ich_feed feed = feed_of(NULL, 1, 2, 2);
    for (int i = 0; i < 2; i++) {
        ich_feed_add(&feed, 0, 2, (uint64_t)i);
        ich_feed_end_batch(&feed);
    }
    ich_feed_start(&feed, 1);
    for (int i = 0; i < 2; i++) assert_slice(next(&feed, 1), 0, 0, 2, NULL, 0, 0);
    ich_feed_close(&feed);
}

static void the_same_slice_looks_different_in_each_epoch(void **state) {
    (void)state;
    for (int epoch = 0; epoch < 100; epoch++) /* of any two, epoch and number tell which */
        for (uint64_t index = 0; index < 100; index++) {
            const uint64_t sample = ich_feed_sample(epoch, index);
            assert_true(sample >> 40 == (uint64_t)epoch && (sample & 0xffffffffff) == index);
        }
}

/* A caller that counted wrong gets a message, not somebody else's memory. */
static void a_plan_without_room_ends_too_early(void **state) {
    (void)state;
    ich_feed feed = feed_of(NULL, 2, 3, 2);
    ich_error err = {""};
    for (int i = 0; i < 3; i++) {
        ich_feed_add(&feed, 0, 0, 0);
        ich_feed_add(&feed, 0, 1, 0);
        ich_feed_end_batch(&feed);
    }
    ich_feed_start(&feed, 1);
    next(&feed, 2);
    next(&feed, 1);
    assert_null(ich_feed_next(&feed, &err));
    assert_non_null(strstr(err.text, "ended too early"));
    ich_feed_close(&feed);
}

static void a_slice_that_no_study_has_is_named(void **state) {
    (void)state;
    ich_feed feed = feed_of(NULL, 2, 2, 1);
    ich_error err = {""};
    ich_feed_add(&feed, 0, 0, 0);
    ich_feed_add(&feed, 1, 99, 0);
    ich_feed_end_batch(&feed);
    ich_feed_start(&feed, 1);
    assert_null(ich_feed_next(&feed, &err));
    assert_non_null(strstr(err.text, "no slice 99 of study 1"));
    ich_feed_close(&feed);
}

static void it_may_be_closed_at_any_time(void **state) {
    (void)state;
    for (int taken = 0; taken < 4; taken++) {
        ich_feed feed = feed_of(&augment, 1, 9, 9);
        for (int i = 0; i < 9; i++) {
            ich_feed_add(&feed, 0, i % 4, (uint64_t)i);
            ich_feed_end_batch(&feed);
        }
        ich_feed_start(&feed, 1);
        for (int i = 0; i < taken; i++) next(&feed, 1);
        ich_feed_close(&feed);
        ich_feed_close(&feed); /* harmless */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_come_as_planned_epoch_after_epoch),
        cmocka_unit_test(without_augmentation_slices_are_as_they_are),
        cmocka_unit_test(the_same_slice_looks_different_in_each_epoch),
        cmocka_unit_test(a_plan_without_room_ends_too_early),
        cmocka_unit_test(a_slice_that_no_study_has_is_named),
        cmocka_unit_test(it_may_be_closed_at_any_time),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
