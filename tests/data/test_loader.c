/* Batches depend on the plan and the key alone, come in order, and a loader can be stopped anywhere. */
#include "cache_world.h"
#include "data/loader.h"
#include "scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 5, BATCHES = 9, REFS = 31, PIXELS = WORLD_SIZE * WORLD_SIZE * 3 };
static const ich_augment augment = {true, 15, 0.1f, 0.05f, 4, 0.1f};

typedef struct world {
    ich_dataset dataset;
    ich_cache cache;
    ich_slice_ref refs[REFS];
    size_t ends[BATCHES]; /* batches of 5, 1, 5, 0, 3, 5, 5, 2, 5 rows */
} world;

static world *make_world(void) {
    static const size_t sizes[BATCHES] = {5, 1, 5, 0, 3, 5, 5, 2, 5};
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->dataset = world_make();
    w->cache = world_cache(&w->dataset, "cache");
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, 0);
    for (uint32_t i = 0; i < REFS; i++) {
        w->refs[i].study = ich_rng_below(&rng, WORLD_STUDIES);
        w->refs[i].slice = ich_rng_below(&rng, (uint32_t)w->cache.slices[w->refs[i].study]);
        w->refs[i].sample = (uint64_t)3 << 40 | i;
    }
    size_t end = 0;
    for (int b = 0; b < BATCHES; b++) w->ends[b] = end += sizes[b];
    assert_int_equal(end, REFS);
    return w;
}

static void free_world(world *w) {
    ich_cache_free(&w->cache);
    world_free(&w->dataset);
    free(w);
}

static ich_loader *loader_of(const world *w, const ich_augment *a, int depth) {
    ich_error err = {""};
    ich_loader *loader = ich_loader_create(&w->cache, a, ROWS, depth, &err);
    if (!loader) fail_msg("%s", err.text);
    return loader;
}

static const ich_batch *next(ich_loader *loader) {
    ich_error err = {"unset"};
    const ich_batch *batch = ich_loader_next(loader, &err);
    if (!batch) fail_msg("no batch: \"%s\"", err.text);
    return batch;
}

static void expect_end(ich_loader *loader) {
    for (int i = 0; i < 2; i++) {
        ich_error err = {"unset"};
        assert_null(ich_loader_next(loader, &err));
        assert_string_equal(err.text, "");
    }
}

/* Every pixel of the plan, in order, in fresh memory. */
static float *all_of(ich_loader *loader, const world *w, uint64_t seed) {
    float *all = malloc(sizeof(float) * REFS * PIXELS), *to = all;
    assert_non_null(all);
    ich_loader_plan(loader, w->refs, w->ends, BATCHES, seed);
    for (int b = 0; b < BATCHES; b++) {
        const ich_batch *batch = next(loader);
        const size_t start = b ? w->ends[b - 1] : 0;
        assert_ptr_equal(batch->refs, w->refs + start);
        assert_int_equal(batch->rows, w->ends[b] - start);
        assert_int_equal((uintptr_t)batch->images % 64, 0);
        memcpy(to, batch->images, sizeof(float) * PIXELS * (size_t)batch->rows);
        to += PIXELS * (size_t)batch->rows;
    }
    expect_end(loader);
    return all;
}

static void batches_hold_what_the_plan_says(void **state) {
    (void)state;
    world *w = make_world();
    for (int augmented = 0; augmented < 2; augmented++) {
        ich_loader *loader = loader_of(w, augmented ? &augment : NULL, 2);
        float *got = all_of(loader, w, 11), *wanted = malloc(sizeof(float) * PIXELS);
        assert_non_null(wanted);
        for (size_t i = 0; i < REFS; i++) {
            uint8_t bytes[PIXELS];
            ich_error err = {""};
            assert_true(ich_cache_slice(&w->cache, w->refs[i].study, (int)w->refs[i].slice, bytes, &err));
            ich_preprocess_finish(&w->cache.preprocess, bytes, augmented ? &augment : NULL,
                                  ich_rng_make(11, ICH_RNG_AUGMENT, w->refs[i].sample), wanted);
            assert_memory_equal(got + i * PIXELS, wanted, sizeof(float) * PIXELS);
        }
        assert_true(ich_loader_waited(loader) >= 0);
        free(got);
        free(wanted);
        ich_loader_free(loader);
    }
    free_world(w);
}

static void depth_does_not_change_a_bit(void **state) {
    (void)state;
    world *w = make_world();
    ich_loader *reference = loader_of(w, &augment, 2);
    float *wanted = all_of(reference, w, 5);
    static const int depths[] = {1, 2, 4, 16};
    for (int i = 0; i < 4; i++) {
        ich_loader *loader = loader_of(w, &augment, depths[i]);
        for (int epoch = 0; epoch < 3; epoch++) {
            float *got = all_of(loader, w, 5);
            assert_memory_equal(got, wanted, sizeof(float) * REFS * PIXELS);
            free(got);
        }
        ich_loader_free(loader);
    }
    free(wanted);
    ich_loader_free(reference);
    free_world(w);
}

static void another_seed_augments_differently(void **state) {
    (void)state;
    world *w = make_world();
    ich_loader *loader = loader_of(w, &augment, 2), *plain = loader_of(w, NULL, 2);
    float *one = all_of(loader, w, 1), *two = all_of(loader, w, 2), *again = all_of(loader, w, 1);
    for (size_t i = 0; i < REFS; i++)
        assert_memory_not_equal(one + i * PIXELS, two + i * PIXELS, sizeof(float) * PIXELS);
    assert_memory_equal(one, again, sizeof(float) * REFS * PIXELS);
    float *p = all_of(plain, w, 1), *q = all_of(plain, w, 2);
    assert_memory_equal(p, q, sizeof(float) * REFS * PIXELS);
    free(one);
    free(two);
    free(again);
    free(p);
    free(q);
    ich_loader_free(loader);
    ich_loader_free(plain);
    free_world(w);
}

/* A batch in the caller's hands must not change while the thread works ahead. */
static void a_batch_is_the_callers_until_the_next(void **state) {
    (void)state;
    world *w = make_world();
    ich_loader *loader = loader_of(w, &augment, 1);
    float *wanted = all_of(loader, w, 8), *at = wanted;
    ich_loader_plan(loader, w->refs, w->ends, BATCHES, 8);
    for (int b = 0; b < BATCHES; b++) {
        const ich_batch *batch = next(loader);
        usleep(2000); /* time enough for the thread to fill whatever it may */
        assert_memory_equal(batch->images, at, sizeof(float) * PIXELS * (size_t)batch->rows);
        at += PIXELS * (size_t)batch->rows;
    }
    free(wanted);
    ich_loader_free(loader);
    free_world(w);
}

static void a_loader_can_be_stopped_anywhere(void **state) {
    (void)state;
    world *w = make_world();
    ich_loader *reference = loader_of(w, &augment, 2);
    float *wanted = all_of(reference, w, 5);
    for (int taken = 0; taken <= BATCHES; taken++) {
        ich_loader *loader = loader_of(w, &augment, 3);
        ich_loader_plan(loader, w->refs, w->ends, BATCHES, 99);
        for (int b = 0; b < taken; b++) next(loader);
        float *got = all_of(loader, w, 5); /* a new plan in the middle of the old one */
        assert_memory_equal(got, wanted, sizeof(float) * REFS * PIXELS);
        free(got);
        ich_loader_plan(loader, w->refs, w->ends, BATCHES, 99);
        for (int b = 0; b < taken; b++) next(loader);
        ich_loader_free(loader);
    }
    free(wanted);
    ich_loader_free(reference);
    free_world(w);
}

static void an_empty_plan_ends_at_once(void **state) {
    (void)state;
    world *w = make_world();
    ich_loader *loader = loader_of(w, NULL, 2);
    expect_end(loader); /* no plan yet */
    ich_loader_plan(loader, NULL, NULL, 0, 1);
    expect_end(loader);
    ich_loader_free(loader);
    ich_loader_free(NULL);
    free_world(w);
}

/* The third batch meets a slice whose file and volume are gone: it is black, all others are as ever. */
static void a_lost_slice_is_black(void **state) {
    (void)state;
    world *w = make_world();
    for (size_t i = 0; i < REFS; i++) w->refs[i].study = 1, w->refs[i].slice = 0;
    ich_loader *loader = loader_of(w, NULL, 4);
    float *before = all_of(loader, w, 1);
    const size_t lost = w->ends[1] + 2;
    w->refs[lost] = (ich_slice_ref){3, 4, 0};
    assert_int_equal(unlink(w->cache.path[3]), 0);
    assert_int_equal(unlink(w->dataset.studies[3].path), 0);
    float *after = all_of(loader, w, 1);
    assert_true(ich_cache_lost(&w->cache, 3));
    uint8_t black[PIXELS] = {0};
    float expected[PIXELS];
    ich_preprocess_finish(&w->cache.preprocess, black, NULL, ich_rng_make(1, ICH_RNG_AUGMENT, 0), expected);
    for (size_t i = 0; i < REFS; i++)
        assert_memory_equal(after + i * PIXELS, i == lost ? expected : before + i * PIXELS, sizeof expected);
    free(before);
    free(after);
    ich_loader_free(loader);
    free_world(w);
}

/* A slice that no study has is a mistake of the plan: two batches come, then the error, again and again, and
 * a new plan works. */
static void a_failure_names_the_slice_in_its_turn(void **state) {
    (void)state;
    world *w = make_world();
    for (size_t i = 0; i < REFS; i++) w->refs[i].study = 1, w->refs[i].slice = 0;
    w->refs[w->ends[1] + 2] = (ich_slice_ref){3, 99, 0};
    ich_loader *loader = loader_of(w, &augment, 4);
    for (int round = 0; round < 3; round++) {
        ich_loader_plan(loader, w->refs, w->ends, BATCHES, 1);
        next(loader);
        next(loader);
        for (int i = 0; i < 2; i++) {
            ich_error err = {""};
            assert_null(ich_loader_next(loader, &err));
            assert_non_null(strstr(err.text, "no slice 99 of study 3"));
        }
        assert_null(ich_loader_next(loader, NULL));
    }
    w->refs[w->ends[1] + 2] = (ich_slice_ref){1, 3, 0};
    free(all_of(loader, w, 1));
    ich_loader_free(loader);
    free_world(w);
}

static void a_plan_that_cannot_be_is_an_error(void **state) {
    (void)state;
    world *w = make_world();
    ich_error err = {""};
    assert_null(ich_loader_create(&w->cache, NULL, 0, 2, &err));
    assert_null(ich_loader_create(&w->cache, NULL, 4, 0, &err));
    assert_null(ich_loader_create(&w->cache, NULL, INT32_MAX, 16, &err));
    assert_non_null(strstr(err.text, "MiB"));
    ich_loader *loader = loader_of(w, NULL, 2);
    ich_loader_plan(loader, w->refs, (const size_t[]){ROWS + 1}, 1, 0);
    err.text[0] = '\0';
    assert_null(ich_loader_next(loader, &err));
    assert_non_null(strstr(err.text, "6 slices"));
    const ich_slice_ref nowhere = {WORLD_STUDIES, 0, 0};
    ich_loader_plan(loader, &nowhere, (const size_t[]){1}, 1, 0);
    err.text[0] = '\0';
    assert_null(ich_loader_next(loader, &err));
    assert_non_null(strstr(err.text, "study 4"));
    ich_loader_free(loader);
    free_world(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_hold_what_the_plan_says),
        cmocka_unit_test(depth_does_not_change_a_bit),
        cmocka_unit_test(another_seed_augments_differently),
        cmocka_unit_test(a_batch_is_the_callers_until_the_next),
        cmocka_unit_test(a_loader_can_be_stopped_anywhere),
        cmocka_unit_test(an_empty_plan_ends_at_once),
        cmocka_unit_test(a_lost_slice_is_black),
        cmocka_unit_test(a_failure_names_the_slice_in_its_turn),
        cmocka_unit_test(a_plan_that_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
