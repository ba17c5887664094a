#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/labels.h"
#include "infer/study.h"
#include "layers/zoo.h"
#include "support.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- a model that sees blood, made by hand ------------------------------------------------------------- */

enum { SIZE = 64, SLICES = 6, CHANNELS = 4 };

static int conv(ich_graph *graph, const char *name, const char *relu, int input) {
    const ich_attr window = {
        .out = CHANNELS, .kernel = 3, .stride = 2, .pad = 1, .dilation = 1, .groups = 1, .bias = true};
    return ich_graph_add(graph, "relu", relu, (ich_attr){0},
                         ich_graph_add(graph, "conv2d", name, window, input));
}

static float *param(ich_model *model, const char *name) {
    const int p = ich_graph_find_param(&model->graph, name);
    assert_true(p >= 0);
    return model->values + model->graph.params[p].offset;
}

/* Channel 0 is the mean of what is bright in channel 0 below, the others are dark. */
static void see_blood(ich_model *model, const char *conv_name, int inputs) {
    char name[80];
    snprintf(name, sizeof name, "%s.weight", conv_name);
    float *weight = param(model, name);
    memset(weight, 0, (size_t)(CHANNELS * inputs * 9) * sizeof *weight);
    for (int i = 0; i < 9; i++) weight[i] = 1.0f / 9;
    snprintf(name, sizeof name, "%s.bias", conv_name);
    memset(param(model, name), 0, CHANNELS * sizeof(float));
}

/* Turns the classifier's sign where needed, so that channel 0 speaks for the label. */
static void take_sides(ich_model *model) {
    float features[SLICES * CHANNELS] = {0}, sum = 0;
    ich_head head;
    ich_error err = {0};
    for (int t = 0; t < SLICES; t++) features[t * CHANNELS] = 0.1f * (float)(t % 3);
    if (!ich_head_open(&head, model, true, &err) || !ich_head_run(&head, features, SLICES, &err))
        fail_msg("%s", err.text);
    const float *gradient = ich_head_gradient(&head, ICH_ANY);
    for (int t = 0; t < SLICES; t++) sum += gradient[t * CHANNELS];
    ich_head_close(&head);
    float *weight = param(model, "classifier.weight");
    for (int i = 0; sum < 0 && i < ICH_LABELS * 16; i++) weight[i] = -weight[i];
}

static void make_model(ich_model *model, int chunk) {
    ich_graph *graph = &model->graph;
    const ich_study_head head = {.hidden = 8, .attention = 8, .heads = 1, .gated = true};
    *model = (ich_model){.recipe = test_recipe(), .fc = -1, .gp = -1};
    model->recipe.size = SIZE;
    model->recipe.chunk = chunk;
    ich_graph_init(graph);
    model->input = ich_graph_input(graph, "input", (ich_shape){SIZE, SIZE, 3});
    const int fine = conv(graph, "conv1", "relu1", model->input),
              coarse = conv(graph, "conv2", "relu2", fine);
    model->features = ich_graph_add(graph, "global_average", "avgpool", (ich_attr){0}, coarse);
    model->classifier = ich_zoo_study_head(graph, model->features, &head, ICH_LABELS);
    if (model->classifier < 0) fail_msg("%s", graph->error.text);
    model->slices = ich_graph_find(graph, "classifier.slices");
    model->weights = ich_graph_find(graph, "attention");
    model->values = aligned_alloc(64, graph->n_values * sizeof(float));
    assert_non_null(model->values);
    ich_graph_initialize(graph, 3, model->values);
    see_blood(model, "conv1", 3);
    see_blood(model, "conv2", CHANNELS);
    take_sides(model);
}

/* A head in each slice, a bleed in each but the last, somewhere else each time. */
static int16_t hu[SLICES][SIZE][SIZE];
enum { RADIUS = 5 };

static void bleed_at(int t, int *x, int *y) {
    static const int places[SLICES][2] = {{20, 32}, {32, 20}, {44, 32}, {32, 44}, {26, 26}, {-99, -99}};
    *x = places[t][0];
    *y = places[t][1];
}

static ich_volume make_volume(void) {
    for (int t = 0; t < SLICES; t++) {
        int cx, cy;
        bleed_at(t, &cx, &cy);
        for (int y = 0; y < SIZE; y++) {
            for (int x = 0; x < SIZE; x++) {
                const double r = hypot(x - 31.5, y - 31.5);
                const bool blood = hypot(x - cx, y - cy) <= RADIUS;
                hu[t][y][x] = (int16_t)(blood ? 80 : r <= 24 ? 10 : r <= 29 ? 1000 : -1000);
            }
        }
    }
    return (ich_volume){
        .width = SIZE, .height = SIZE, .slices = SLICES, .spacing = {3, 3, 5}, .hu = &hu[0][0][0]};
}

static ich_reader open_reader(const ich_model *model, const char *method, const char *layer) {
    const ich_explain_options options = {.method = method, .layer = layer, .label = ICH_ANY};
    ich_reader reader;
    ich_error err = {0};
    if (!ich_reader_open(&reader, model, &options, &err)) fail_msg("%s", err.text);
    return reader;
}

static ich_answer answer(ich_reader *reader, const ich_volume *volume) {
    ich_answer a;
    ich_error err = {0};
    if (!ich_reader_answer(reader, volume, &a, &err)) fail_msg("%s", err.text);
    return a;
}

/* -- tests --------------------------------------------------------------------------------------------- */

static void the_hottest_cell_lies_in_the_bleed_of_every_slice(void **state) {
    (void)state;
    ich_model model;
    make_model(&model, 64);
    const ich_volume volume = make_volume();
    ich_reader reader = open_reader(&model, NULL, NULL);
    ich_answer a = answer(&reader, &volume);
    const ich_heatmap_grid grid = reader.explainer.grid[0];
    for (int t = 0; t + 1 < SLICES; t++) {
        const float *heat = a.heat + t * grid.width * grid.height;
        int best = 0, x, y;
        for (int i = 0; i < grid.width * grid.height; i++) best = heat[i] > heat[best] ? i : best;
        bleed_at(t, &x, &y);
        const double u = (double)(best % grid.width) * grid.stride + grid.offset;
        const double v = (double)(int)(best / grid.width) * grid.stride + grid.offset;
        if (!(hypot(u - x, v - y) <= RADIUS)) fail_msg("slice %d: %g, %g, not %d, %d", t, u, v, x, y);
    }
    ich_answer_free(&a);
    ich_reader_close(&reader);
    ich_model_free(&model);
}

static void bone_is_cold_though_it_is_brighter_than_blood(void **state) {
    (void)state;
    ich_model model;
    make_model(&model, 64);
    const ich_volume volume = make_volume();
    ich_reader reader = open_reader(&model, NULL, NULL);
    ich_answer a = answer(&reader, &volume);
    const ich_heatmap_grid grid = reader.explainer.grid[0];
    for (int i = 0; i < SLICES * grid.width * grid.height; i++) {
        const int cell = i % (grid.width * grid.height);
        const double r =
            hypot(cell % grid.width * grid.stride - 31.5, (int)(cell / grid.width) * grid.stride - 31.5);
        if (r > 26) assert_true(a.heat[i] == 0);
    }
    ich_answer_free(&a);
    ich_reader_close(&reader);
    ich_model_free(&model);
}

static const char *const methods[] = {"scales", "gradcam", "gradcam++", "layercam", "integrated"};
enum { METHODS = sizeof methods / sizeof *methods };

/* A slice's hottest cell is as hot as the slice is probable; evidence there is in at least one slice. */
static void check_scale(const ich_answer *a, int cells) {
    int hot = 0;
    for (int t = 0; t < SLICES; t++) {
        float largest = 0;
        for (int i = 0; i < cells; i++) {
            const float heat = a->heat[t * cells + i];
            assert_true(heat >= 0 && heat <= 1);
            largest = fmaxf(largest, heat);
        }
        hot += largest > 0;
        if (largest > 0) assert_true(fabs(largest - a->slice[t][ICH_ANY]) < 1e-6);
    }
    assert_true(hot > 0);
}

static void heat_is_as_high_as_the_slice_is_probable(void **state) {
    (void)state;
    ich_model model;
    make_model(&model, 64);
    const ich_volume volume = make_volume();
    for (int m = 0; m < METHODS; m++) {
        ich_reader reader = open_reader(&model, methods[m], NULL);
        ich_answer a = answer(&reader, &volume);
        check_scale(&a, reader.explainer.grid[0].width * reader.explainer.grid[0].height);
        ich_answer_free(&a);
        ich_reader_close(&reader);
    }
    ich_model_free(&model);
}

static void chunks_do_not_change_the_heat(void **state) {
    (void)state;
    const ich_volume volume = make_volume();
    for (int m = 0; m < METHODS; m++) {
        float *whole = NULL;
        for (int chunk = 64; chunk >= 1; chunk = chunk > 4 ? 4 : chunk - 3) {
            ich_model model;
            make_model(&model, chunk);
            model.recipe.chunk = chunk;
            ich_reader reader = open_reader(&model, methods[m], NULL);
            ich_answer a = answer(&reader, &volume);
            const int n = SLICES * reader.explainer.grid[0].width * reader.explainer.grid[0].height;
            for (int i = 0; whole != NULL && i < n; i++) assert_true(fabsf(a.heat[i] - whole[i]) <= 1e-5f);
            if (whole == NULL) {
                whole = malloc((size_t)n * sizeof *whole);
                assert_non_null(whole);
                memcpy(whole, a.heat, (size_t)n * sizeof *whole);
            }
            ich_answer_free(&a);
            ich_reader_close(&reader);
            ich_model_free(&model);
        }
        free(whole);
    }
}

/* Sundararajan et al. 2017, proposition 1: the parts add up to the logit's rise from air to the scan. */
static double logit_at(ich_reader *reader, const ich_volume *volume, float presence) {
    float features[SLICES * CHANNELS];
    ich_error err = {0};
    reader->cnn.presence = presence;
    ich_cnn_forget(&reader->cnn);
    assert_true(ich_cnn_hold_range(&reader->cnn, volume, 0, SLICES, &err));
    for (int t = 0; t < SLICES; t++)
        memcpy(features + t * CHANNELS, ich_cnn_value(&reader->cnn, reader->model->features, t),
               CHANNELS * sizeof(float));
    assert_true(ich_head_run(&reader->head, features, SLICES, &err));
    reader->cnn.presence = 1;
    ich_cnn_forget(&reader->cnn);
    return ich_head_value(&reader->head, reader->model->classifier)[ICH_ANY];
}

static void integrated_gradients_add_up_to_the_answer(void **state) {
    (void)state;
    ich_model model;
    make_model(&model, 64);
    const ich_volume volume = make_volume();
    ich_reader reader = open_reader(&model, "integrated", NULL);
    static float heat[SLICES * SIZE * SIZE];
    const double attention[SLICES] = {0};
    const ich_explain_study study = {&reader.cnn, &reader.head, &volume, attention};
    ich_error err = {0};
    assert_true(ich_explain(&reader.explainer, &study, heat, &err));
    double sum = 0;
    for (int i = 0; i < SLICES * SIZE * SIZE; i++) sum += heat[i];
    const double rise = logit_at(&reader, &volume, 1) - logit_at(&reader, &volume, 0);
    if (!(fabs(sum - rise) <= 0.05 * fabs(rise) && rise != 0)) fail_msg("sum %g, rise %g", sum, rise);
    ich_reader_close(&reader);
    ich_model_free(&model);
}

static void what_there_is_not_is_refused(void **state) {
    (void)state;
    ich_model model;
    make_model(&model, 64);
    const ich_explain_options wrong[] = {
        {.method = "magic"}, {.layer = "layer9"}, {"integrated", "input", 0}};
    for (int i = 0; i < 3; i++) {
        ich_reader reader;
        ich_error err = {0};
        assert_false(ich_reader_open(&reader, &model, &wrong[i], &err));
        assert_non_null(strstr(err.text, "heatmaps: "));
    }
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hottest_cell_lies_in_the_bleed_of_every_slice),
        cmocka_unit_test(bone_is_cold_though_it_is_brighter_than_blood),
        cmocka_unit_test(heat_is_as_high_as_the_slice_is_probable),
        cmocka_unit_test(chunks_do_not_change_the_heat),
        cmocka_unit_test(integrated_gradients_add_up_to_the_answer),
        cmocka_unit_test(what_there_is_not_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
