#include "infer/cnn.h"

#include <stdlib.h>
#include <string.h>

static bool plan(ich_cnn *cnn, const ich_taps *taps, ich_error *err) {
    ich_exec_options options = {.inputs = {cnn->model->input},
                                .n_inputs = 1,
                                .outputs = {cnn->model->features},
                                .n_outputs = 1,
                                .max_rows = cnn->chunk};
    for (int i = 0; taps != NULL && i < taps->n; i++) options.outputs[options.n_outputs++] = taps->node[i];
    cnn->exec = ich_exec_create(&cnn->model->graph, &options, err);
    if (cnn->exec == NULL) return false;
    ich_exec_bind(cnn->exec, cnn->model->values, NULL);
    ich_exec_prepare(cnn->exec);
    return true;
}

/* For heatmaps half as many again, where the recipe leaves it open: a usual study of 35 slices at 256 pixels
 * is then held whole and passes the CNN once. */
static int choose_chunk(const ich_recipe *recipe, const ich_taps *taps) {
    const int chunk = ich_recipe_chunk(recipe);
    return recipe->chunk == 0 && taps != NULL ? chunk + chunk / 2 : chunk;
}

bool ich_cnn_open(ich_cnn *cnn, const ich_model *model, const ich_taps *taps, ich_error *err) {
    *cnn = (ich_cnn){.model = model, .chunk = choose_chunk(&model->recipe, taps), .presence = 1};
    if (ich_slices_open(&cnn->slices, &model->recipe, cnn->chunk, err) && plan(cnn, taps, err) &&
        (cnn->held = ich_new((size_t)cnn->chunk, sizeof *cnn->held, "a chunk of slices", err)) != NULL)
        return true;
    ich_cnn_close(cnn);
    return false;
}

void ich_cnn_close(ich_cnn *cnn) {
    ich_exec_free(cnn->exec);
    ich_slices_close(&cnn->slices);
    free(cnn->held);
    memset(cnn, 0, sizeof *cnn);
}

float ich_cnn_air(void) { return (0 - 0.5f) / 0.25f; } /* byte 0 of preprocess.h */

/* Fills the CNN's input with `slices`. */
static bool fill_input(ich_cnn *cnn, const ich_volume *volume, const int *slices, int rows, ich_error *err) {
    const size_t count = cnn->slices.count;
    const float air = ich_cnn_air();
    float *input = ich_exec_value(cnn->exec, cnn->model->input);
    int failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : failed)
    for (int i = 0; i < rows; i++) {
        float *image = input + (size_t)i * count;
        const bool done = ich_slices_one(&cnn->slices, volume, slices[i], i, image);
        if (!done) failed++;
        if (!done || cnn->presence == 1) continue;
        for (size_t p = 0; p < count; p++) image[p] = air + cnn->presence * (image[p] - air);
    }
    return failed == 0 ||
           ich_fail(err, "no memory to resample a slice of %d × %d pixels", volume->width, volume->height);
}

static int row_of(const ich_cnn *cnn, int slice) {
    for (int i = 0; i < cnn->n_held; i++) {
        if (cnn->held[i] == slice) return i;
    }
    return -1;
}

void ich_cnn_forget(ich_cnn *cnn) { cnn->n_held = 0; }

bool ich_cnn_hold(ich_cnn *cnn, const ich_volume *volume, const int *slices, int rows, ich_error *err) {
    int missing = 0;
    for (int i = 0; i < rows; i++) missing += row_of(cnn, slices[i]) < 0;
    if (missing == 0) return true;
    ich_cnn_forget(cnn);
    if (!fill_input(cnn, volume, slices, rows, err)) return false;
    ich_exec_forward(cnn->exec, rows, 0, NULL);
    memcpy(cnn->held, slices, (size_t)rows * sizeof *slices);
    cnn->n_held = rows;
    return true;
}

bool ich_cnn_hold_range(ich_cnn *cnn, const ich_volume *volume, int first, int rows, ich_error *err) {
    int *slices = ich_new((size_t)rows, sizeof *slices, "a chunk of slices", err);
    if (slices == NULL) return false;
    for (int i = 0; i < rows; i++) slices[i] = first + i;
    const bool done = ich_cnn_hold(cnn, volume, slices, rows, err);
    free(slices);
    return done;
}

const float *ich_cnn_value(ich_cnn *cnn, int node, int slice) {
    const float *values = ich_exec_value(cnn->exec, node);
    return values + (size_t)row_of(cnn, slice) * ich_shape_count(cnn->model->graph.nodes[node].shape);
}

void ich_cnn_look(const ich_cnn *cnn, ich_look *look) {
    for (int i = 0; i < cnn->n_held; i++)
        ich_look_add(look, &cnn->slices.preprocess, cnn->slices.bytes + (size_t)i * cnn->slices.count);
}
