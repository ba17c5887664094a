#include "world.h"

#include "../data/scratch.h"
#include "data/file.h"
#include "data/volume.h"
#include "layers/zoo.h"
#include "tensor/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABELS "any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural"

static void write_volume(const char *folder, int study, int slices) {
    char name[64];
    ich_error err = {""};
    const size_t count = (size_t)WORLD_SIZE * WORLD_SIZE * (size_t)slices;
    const double up = study % 2 ? -5 : 5;
    const double affine[4][4] = {{-6, 0, 0, 96}, {0, -6, 0, 96}, {0, 0, up, 0}, {0, 0, 0, 1}};
    int16_t *hu = malloc(count * sizeof *hu);
    assert_non_null(hu);
    ich_rng rng = ich_rng_make(11, ICH_RNG_TEST, (uint64_t)study);
    for (size_t i = 0; i < count; i++) hu[i] = (int16_t)ich_rng_range(&rng, -30, 110);
    snprintf(name, sizeof name, "volumes/s%d.nii", study);
    char *path = ich_path_join(folder, name);
    if (!ich_volume_write_hu(path, hu, WORLD_SIZE, WORLD_SIZE, slices, affine, &err))
        fail_msg("%s", err.text);
    free(path);
    free(hu);
}

/* Six fields of text, by number: 0, 1, or nothing where unknown. */
static void put_labels(FILE *stream, int number) {
    for (int l = 0; l < ICH_LABELS; l++) {
        const int kind = (number * 5 + l * 3) % 7;
        fprintf(stream, kind == 6 ? "," : ",%d", kind % 2);
    }
}

const char *world_make(const char *name, const int *slices, int studies, int val) {
    char *folder = strdup(scratch_path(name)), *volumes = ich_path_join(folder, "volumes");
    char *tables[2] = {ich_path_join(folder, "studies.csv"), ich_path_join(folder, "slices.csv")};
    ich_output out[2];
    ich_error err = {""};
    if (!ich_folder_make(volumes, &err) || !ich_output_open(&out[0], tables[0], &err) ||
        !ich_output_open(&out[1], tables[1], &err))
        fail_msg("%s", err.text);
    fputs("study_id,patient_id,path,split," LABELS "\n", out[0].stream);
    fputs("study_id,slice_index,image_id," LABELS "\n", out[1].stream);
    for (int s = 0; s < studies; s++) {
        write_volume(folder, s, slices[s]);
        fprintf(out[0].stream, "s%d,p%d,volumes/s%d.nii,%s", s, s, s, s < studies - val ? "train" : "val");
        put_labels(out[0].stream, s);
        fputc('\n', out[0].stream);
        for (int z = 0; z < slices[s]; z++) {
            fprintf(out[1].stream, "s%d,%d,s%d-%d", s, z, s, z);
            put_labels(out[1].stream, s + z);
            fputc('\n', out[1].stream);
        }
    }
    for (int t = 0; t < 2; t++) {
        if (!ich_output_commit(&out[t], &err)) fail_msg("%s", err.text);
        free(tables[t]);
    }
    free(volumes);
    free(folder);
    return scratch_path(name);
}

ich_recipe world_recipe(unsigned verb) {
    ich_recipe recipe;
    ich_recipe_default(&recipe, verb);
    recipe.size = WORLD_SIZE;
    recipe.hidden = recipe.attention = 8;
    recipe.seed = 3;
    return recipe;
}

void world_open(const char *folder, ich_dataset *dataset, ich_cache *cache) {
    ich_preprocess preprocess;
    ich_skipped skipped = {0};
    ich_error err = {""};
    const ich_recipe recipe = world_recipe(ICH_FOR_FINETUNE);
    char *decoded = ich_path_join(folder, "cache");
    if (!ich_dataset_read(dataset, folder, false, NULL, &err) ||
        !ich_recipe_preprocess(&recipe, &preprocess, &err) ||
        !ich_cache_open(cache, dataset, NULL, decoded, &preprocess, &skipped, NULL, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(skipped.n_rows, 0);
    free(decoded);
}

void world_give_values(ich_model *model, uint64_t seed) {
    if (model->graph.error.text[0]) fail_msg("%s", model->graph.error.text);
    const size_t bytes = ich_align(model->graph.n_values * sizeof *model->values);
    model->values = aligned_alloc(ICH_ALIGN, bytes);
    assert_non_null(model->values);
    ich_graph_initialize(&model->graph, seed, model->values);
}

ich_model world_tiny_model(uint64_t seed) {
    ich_model model = {
        .recipe = world_recipe(ICH_FOR_FINETUNE), .fc = -1, .slices = -1, .weights = -1, .gp = -1};
    ich_graph *g = &model.graph;
    model.input = model.features = ich_graph_input(g, "input", (ich_shape){1, 1, 5});
    g->group = ICH_GROUP_HEAD;
    model.classifier =
        ich_graph_add(g, "linear", "classifier", (ich_attr){.out = ICH_LABELS, .bias = true}, model.input);
    world_give_values(&model, seed);
    return model;
}

static int conv_norm(ich_graph *g, const char *conv, const char *norm, int out, int stride, int x) {
    const ich_attr window = {.out = out, .kernel = 3, .stride = stride, .pad = 1, .dilation = 1, .groups = 1};
    return ich_graph_add(g, "batch_norm", norm, (ich_attr){.eps = 1e-5f, .momentum = 0.1f},
                         ich_graph_add(g, "conv2d", conv, window, x));
}

ich_model world_small_model(uint64_t seed) {
    ich_model model = {.recipe = world_recipe(ICH_FOR_FINETUNE), .fc = -1, .gp = -1};
    ich_graph *g = &model.graph;
    const ich_study_head head = {.hidden = 8, .attention = 8, .heads = 1, .gated = true};
    g->group = ICH_GROUP_CNN;
    model.input = ich_graph_input(g, "input", (ich_shape){WORLD_SIZE, WORLD_SIZE, 3});
    int x =
        ich_graph_add(g, "relu", "relu1", (ich_attr){0}, conv_norm(g, "conv1", "bn1", 10, 2, model.input));
    const int y = ich_graph_add(g, "relu", "relu2", (ich_attr){0}, conv_norm(g, "conv2", "bn2", 12, 1, x));
    x = ich_graph_add2(g, "add", "add", (ich_attr){0}, conv_norm(g, "conv3", "bn3", 10, 1, y), x);
    x = ich_graph_add(g, "relu", "relu3", (ich_attr){0}, x);
    model.features = ich_graph_add(g, "global_average", "avgpool", (ich_attr){0}, x);
    model.classifier = ich_zoo_study_head(g, model.features, &head, ICH_LABELS);
    model.slices = ich_graph_find(g, "classifier.slices");
    model.weights = ich_graph_find(g, "attention");
    world_give_values(&model, seed);
    return model;
}
