/* Where a bad step began: the node that is named is the one whose weights were made to overflow. What becomes
 * of bad steps is test_loop.c's. */
#include "../data/scratch.h"
#include "train/finetune.h"
#include "train/pretrain.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Finite, but a sum of two such is not. */
static const float huge = 3e38f;

/* A model file whose parameter `name` is all huge. */
static char *spoilt_model(const ich_recipe *recipe, bool image_head, const char *name) {
    ich_model model;
    ich_error err = {""};
    if (!ich_model_create(&model, recipe, image_head, !image_head, &err)) fail_msg("%s", err.text);
    const ich_graph *graph = &model.graph;
    int p = 0;
    while (p < graph->n_params && strcmp(graph->params[p].name, name) != 0) p++;
    assert_true(p < graph->n_params);
    for (size_t i = 0; i < graph->params[p].count; i++) model.values[graph->params[p].offset + i] = huge;
    char *path = strdup(scratch_path("spoilt.safetensors"));
    if (!ich_model_save(&model, path, &err)) fail_msg("%s", err.text);
    ich_model_free(&model);
    return path;
}

typedef bool (*training)(const ich_train_job *job, ich_train_result *result, ich_error *err);

static void assert_named(training learn, ich_recipe recipe, const char *weight, const char *node) {
    static const int slices[] = {3, 9, 1, 4};
    char *dataset = strdup(world_make("d", slices, 4, 0)), *out = strdup(scratch_path("run"));
    char *init = spoilt_model(&recipe, learn == ich_pretrain, weight), words[160];
    recipe.bad_steps = 0;
    const ich_train_job job = {.recipe = recipe, .dataset = dataset, .out = out, .init = init, .force = true};
    ich_train_result result;
    ich_error err = {""};
    assert_false(learn(&job, &result, &err));
    snprintf(words, sizeof words, "the loss is not finite, first in node '%s': ", node);
    if (!strstr(err.text, words)) fail_msg("%s: '%s' does not say \"%s\"", weight, err.text, words);
    free(dataset);
    free(out);
    free(init);
}

static void pretraining_names_the_node(void **state) {
    (void)state;
    const ich_recipe recipe = world_recipe(ICH_FOR_PRETRAIN);
    assert_named(ich_pretrain, recipe, "layer2.0.conv1.weight", "layer2.0.conv1");
    assert_named(ich_pretrain, recipe, "fc.weight", "fc");
}

/* In the CNN, whose chunks the step has left behind and which are loaded again, and in the head. */
static void fine_tuning_names_the_node(void **state) {
    (void)state;
    ich_recipe recipe = world_recipe(ICH_FOR_FINETUNE);
    recipe.chunk = 4;
    recipe.studies = 4;
    assert_named(ich_finetune, recipe, "layer2.0.conv1.weight", "layer2.0.conv1");
    assert_named(ich_finetune, recipe, "classifier.weight", "classifier");
}

/* Its features are stored, and nothing is loaded again. */
static void fine_tuning_a_head_alone_names_the_node(void **state) {
    (void)state;
    ich_recipe recipe = world_recipe(ICH_FOR_FINETUNE);
    recipe.freeze_cnn = true;
    assert_named(ich_finetune, recipe, "classifier.weight", "classifier");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pretraining_names_the_node),
        cmocka_unit_test(fine_tuning_names_the_node),
        cmocka_unit_test(fine_tuning_a_head_alone_names_the_node),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
