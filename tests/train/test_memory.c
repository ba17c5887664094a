/* What training takes: memory that does not grow with the slices of a study, and none at all in a step. */
#include "../data/scratch.h"
#include "train/finetune.h"
#include "train/mil.h"
#include "train/pretrain.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* -- every allocation of ours is counted, the loader's thread's too (linked with --wrap) ---------------- */

static atomic_size_t allocations;

#define COUNTED(type, name, parameters, ...)                                                                 \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters {                                                                          \
        allocations++;                                                                                       \
        return __real_##name(__VA_ARGS__);                                                                   \
    }

COUNTED(void *, malloc, (size_t size), size)
COUNTED(void *, calloc, (size_t count, size_t size), count, size)
COUNTED(void *, realloc, (void *old, size_t size), old, size)
COUNTED(void *, aligned_alloc, (size_t alignment, size_t size), alignment, size)
COUNTED(void *, mmap, (void *at, size_t size, int protection, int flags, int file, off_t offset), at, size,
        protection, flags, file, offset)
COUNTED(char *, strdup, (const char *text), text)

/* -- a whole run, watched --------------------------------------------------------------------------- */

enum { LAST_STEP = 4 };

/* Told of each step of an epoch, it looks at what was allocated since the one before. */
typedef struct watch {
    size_t steps, at, worst; /* worst: most allocations of one steady step */
    int stop;
} watch;

static void look(void *self, const char *what, size_t done, size_t total, const char *unit,
                 const char *note) {
    (void)done, (void)total, (void)unit;
    watch *w = self;
    if (strncmp(what, "epoch", 5) != 0 || !note) return; /* decoding, validation, or before the first step */
    const size_t now = allocations;
    if (w->steps > 0 && now - w->at > w->worst) w->worst = now - w->at; /* first use may allocate in step 1 */
    w->at = now;
    w->stop = ++w->steps == LAST_STEP;
}

static void ignore(void *self, const char *text) { (void)self, (void)text; }

typedef bool (*training)(const ich_train_job *job, ich_train_result *result, ich_error *err);

static void assert_no_allocation(training learn, const ich_recipe *recipe, const char *out) {
    static const int slices[] = {3, 9, 1, 4, 2, 7, 5, 2};
    const char *dataset = world_make("d", slices, 8, 0);
    watch w = {0};
    const ich_progress progress = {.update = look, .line = ignore, .warn = ignore, .self = &w};
    char *folder = strdup(scratch_path(out));
    const ich_train_job job = {
        .recipe = *recipe, .dataset = dataset, .out = folder, .progress = &progress, .stop = &w.stop};
    ich_train_result result;
    ich_error err = {""};
    const size_t before = allocations;
    if (!learn(&job, &result, &err)) fail_msg("%s", err.text);
    assert_true(result.stopped);
    assert_int_equal(w.steps, LAST_STEP);
    assert_true(allocations > before + 100); /* the counter works */
    if (w.worst) fail_msg("%s: %zu allocations in a step", out, w.worst);
    free(folder);
}

static void a_step_of_pretraining_allocates_nothing(void **state) {
    (void)state;
    ich_recipe recipe = world_recipe(ICH_FOR_PRETRAIN);
    recipe.batch = 4;
    recipe.ema = 0.9;
    recipe.clip = 1;
    snprintf(recipe.optimizer, sizeof recipe.optimizer, "sgd");
    assert_no_allocation(ich_pretrain, &recipe, "pretrained");
}

/* Groups of one study and more, of one chunk and more: what they need was planned. */
static void a_step_of_fine_tuning_allocates_nothing(void **state) {
    (void)state;
    ich_recipe recipe = world_recipe(ICH_FOR_FINETUNE);
    recipe.studies = 1;
    recipe.chunk = 4;
    assert_no_allocation(ich_finetune, &recipe, "finetuned");
}

static void a_step_with_a_frozen_cnn_allocates_nothing(void **state) {
    (void)state;
    ich_recipe recipe = world_recipe(ICH_FOR_FINETUNE);
    recipe.studies = 1;
    recipe.freeze_cnn = true;
    snprintf(recipe.optimizer, sizeof recipe.optimizer, "sgd");
    assert_no_allocation(ich_finetune, &recipe, "frozen");
}

/* -- long studies ----------------------------------------------------------------------------------- */

/* With the defaults: resnet18, 224 pixels. Memory is planned, and not touched. */
static void memory_of_the_cnn_does_not_grow_with_the_slices_of_a_study(void **state) {
    (void)state;
    static const int slices[] = {40, 200, 600};
    ich_recipe recipe;
    ich_model model;
    ich_error err = {""};
    size_t cnn[3], head[3];
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    if (!ich_model_create(&model, &recipe, false, true, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < 3; i++) {
        const ich_mil_options options = {.chunk = ich_recipe_chunk(&recipe),
                                         .rows = slices[i],
                                         .studies = 1,
                                         .learns = true,
                                         .cnn_learns = true};
        ich_mil mil;
        if (!ich_mil_open(&mil, &model, &options, &err)) fail_msg("%s", err.text);
        cnn[i] = ich_exec_bytes(mil.cnn);
        head[i] = ich_exec_bytes(mil.head);
        ich_mil_close(&mil);
    }
    ich_model_free(&model);
    assert_true(cnn[0] > 0 && head[0] > 0);
    assert_int_equal(cnn[0], cnn[1]);
    assert_int_equal(cnn[0], cnn[2]);
    /* Features and the head's own do, by next to nothing. */
    const size_t a_slice = cnn[0] / (size_t)ich_recipe_chunk(&recipe), grown = (head[2] - head[0]) / 560;
    if (grown >= a_slice / 500) fail_msg("the head takes %zu bytes a slice, the CNN %zu", grown, a_slice);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_of_pretraining_allocates_nothing),
        cmocka_unit_test(a_step_of_fine_tuning_allocates_nothing),
        cmocka_unit_test(a_step_with_a_frozen_cnn_allocates_nothing),
        cmocka_unit_test(memory_of_the_cnn_does_not_grow_with_the_slices_of_a_study),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
