#include "infer/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROWS = 64 }; /* first plan of the head: most studies fit, longer ones make it again, larger */

/* -- opening ------------------------------------------------------------------------------------------- */

/* Grad-CAM here rests on "features = mean of maps over space" (heatmap.h), so look that this is what the
 * graph says. */
static bool find_maps(ich_reader *reader, ich_error *err) {
    const ich_model *model = reader->model;
    const ich_node *features = &model->graph.nodes[model->features];
    if (features->op < 0 || strcmp(ich_layers(ICH_F32)[features->op]->op, "global_average") != 0) {
        return ich_fail(err, "heatmaps need a CNN that ends in a global average; %s does not",
                        model->recipe.arch);
    }
    reader->maps = features->inputs[0];
    return ich_heatmap_locate(&model->graph, model->input, reader->maps, &reader->grid, err);
}

static ich_exec *open_exec(const ich_model *model, const ich_exec_options *options, ich_error *err) {
    ich_exec *exec = ich_exec_create(&model->graph, options, err);
    if (exec == NULL) return NULL;
    ich_exec_bind(exec, model->values, NULL);
    ich_exec_prepare(exec);
    return exec;
}

static bool open_cnn(ich_reader *reader, ich_error *err) {
    const ich_model *model = reader->model;
    ich_exec_options options = {.inputs = {model->input},
                                .n_inputs = 1,
                                .outputs = {model->features, reader->maps},
                                .n_outputs = reader->label >= 0 ? 2 : 1,
                                .max_rows = ich_recipe_chunk(&model->recipe)};
    reader->cnn = open_exec(model, &options, err);
    return reader->cnn != NULL;
}

/* Plans the head for studies of up to `rows` slices; keeps the plan it has if that is enough. */
static bool fit_head(ich_reader *reader, int rows, ich_error *err) {
    if (rows <= reader->head_rows) return true;
    int max_rows = reader->head_rows > 0 ? reader->head_rows : HEAD_ROWS;
    while (max_rows < rows) max_rows = max_rows > INT32_MAX / 2 ? rows : 2 * max_rows;
    ich_exec_free(reader->head);
    ich_exec_free(reader->saliency);
    reader->head = reader->saliency = NULL;
    reader->head_rows = 0;

    const ich_model *model = reader->model;
    const bool study_head = model->classifier >= 0;
    ich_exec_options options = {.inputs = {model->features},
                                .n_inputs = 1,
                                .outputs = {reader->slice_logit, reader->study_logit, model->weights},
                                .n_outputs = study_head ? 3 : 1,
                                .max_rows = max_rows,
                                .max_studies = study_head ? 1 : 0};
    reader->head = open_exec(model, &options, err);
    if (reader->head == NULL) return false;
    if (reader->label >= 0) {
        options.outputs[0] = reader->study_logit;
        options.n_outputs = 1;
        options.gradient = options.input_gradient = options.frozen_params = true;
        reader->saliency = open_exec(model, &options, err);
        if (reader->saliency == NULL) return false;
    }
    reader->head_rows = max_rows;
    return true;
}

bool ich_reader_open(ich_reader *reader, const ich_model *model, int heatmap_label, ich_error *err) {
    memset(reader, 0, sizeof *reader);
    reader->model = model;
    reader->label = heatmap_label;
    reader->study_logit = model->classifier >= 0 ? model->classifier : model->fc;
    reader->slice_logit = model->classifier >= 0 ? model->slices : model->fc;
    const bool done =
        ich_slices_open(&reader->slices, &model->recipe, ich_recipe_chunk(&model->recipe), err) &&
        (heatmap_label < 0 || find_maps(reader, err)) && open_cnn(reader, err) &&
        fit_head(reader, HEAD_ROWS, err);
    if (!done) ich_reader_close(reader);
    return done;
}

void ich_reader_close(ich_reader *reader) {
    ich_exec_free(reader->cnn);
    ich_exec_free(reader->head);
    ich_exec_free(reader->saliency);
    ich_slices_close(&reader->slices);
    memset(reader, 0, sizeof *reader);
}

/* -- CNN ----------------------------------------------------------------------------------------------- */

/* All slices' features [slices][c] and, for heatmaps, last feature maps [slices][grid][c]. */
static bool run_cnn(ich_reader *reader, const ich_volume *volume, float *features, float *maps,
                    ich_look *look, ich_error *err) {
    const ich_graph *graph = &reader->model->graph;
    const size_t n_features = ich_shape_count(graph->nodes[reader->model->features].shape);
    const size_t n_maps = ich_shape_count(graph->nodes[reader->maps].shape);
    const int chunk = ich_recipe_chunk(&reader->model->recipe);
    for (int first = 0; first < volume->slices; first += chunk) {
        const int rows = volume->slices - first < chunk ? volume->slices - first : chunk;
        float *input = ich_exec_value(reader->cnn, reader->model->input);
        if (!ich_slices_read(&reader->slices, volume, first, rows, input, err)) return false;
        for (int i = 0; i < rows; i++)
            ich_look_add(look, &reader->slices.preprocess,
                         reader->slices.bytes + (size_t)i * reader->slices.count);
        ich_exec_forward(reader->cnn, rows, 0, NULL);
        memcpy(features + (size_t)first * n_features, ich_exec_value(reader->cnn, reader->model->features),
               (size_t)rows * n_features * sizeof *features);
        if (maps == NULL) continue;
        memcpy(maps + (size_t)first * n_maps, ich_exec_value(reader->cnn, reader->maps),
               (size_t)rows * n_maps * sizeof *maps);
    }
    return true;
}

/* -- head ---------------------------------------------------------------------------------------------- */

static void forward_head(ich_reader *reader, ich_exec *exec, const float *features, int slices) {
    const bool study_head = reader->model->classifier >= 0;
    const size_t n_features = ich_shape_count(reader->model->graph.nodes[reader->model->features].shape);
    memcpy(ich_exec_value(exec, reader->model->features), features,
           (size_t)slices * n_features * sizeof *features);
    reader->offsets[1] = slices;
    ich_exec_forward(exec, slices, study_head ? 1 : 0, study_head ? reader->offsets : NULL);
}

/* False when a logit is not finite: weights that overflow would otherwise be sold as an answer. */
static bool probabilities(const float *logit, double *probability) {
    for (int l = 0; l < ICH_LABELS; l++) {
        if (!isfinite(logit[l])) return false;
        probability[l] = 1 / (1 + exp(-(double)logit[l]));
    }
    return true;
}

/* Attention of each slice, the mean over heads. */
static void read_attention(ich_reader *reader, ich_answer *answer) {
    const float *weights = ich_exec_value(reader->head, reader->model->weights);
    const int heads = reader->model->graph.nodes[reader->model->weights].shape.c;
    for (int t = 0; t < answer->slices; t++) {
        double sum = 0;
        for (int h = 0; h < heads; h++) sum += weights[(size_t)t * (size_t)heads + (size_t)h];
        answer->attention[t] = sum / heads;
    }
}

/* The image head alone: see study.h. */
static void pool_slices(ich_answer *answer) {
    double sum = 0;
    for (int t = 0; t < answer->slices; t++) {
        for (int l = 0; l < ICH_LABELS; l++) answer->study[l] = fmax(answer->study[l], answer->slice[t][l]);
        sum += answer->slice[t][ICH_ANY];
    }
    for (int t = 0; t < answer->slices; t++) {
        answer->attention[t] = sum > 0 ? answer->slice[t][ICH_ANY] / sum : 1.0 / answer->slices;
    }
}

static bool run_head(ich_reader *reader, const float *features, ich_answer *answer, ich_error *err) {
    forward_head(reader, reader->head, features, answer->slices);
    const float *slice_logits = ich_exec_value(reader->head, reader->slice_logit);
    bool finite = true;
    for (int t = 0; t < answer->slices; t++) {
        finite = probabilities(slice_logits + (size_t)t * ICH_LABELS, answer->slice[t]) && finite;
    }
    if (reader->model->classifier >= 0) {
        finite = probabilities(ich_exec_value(reader->head, reader->study_logit), answer->study) && finite;
        read_attention(reader, answer);
    } else {
        pool_slices(answer);
    }
    return finite ||
           ich_fail(err, "the model's answer is not a finite number: its weights overflow, train it "
                         "again with a lower learning rate");
}

/* Gradient of the explained logit with respect to every slice's features, and from it the heat. With the
 * image head alone each slice explains its own logit, which is CAM (Zhou 2016). */
static void run_saliency(ich_reader *reader, const float *features, const float *maps, ich_answer *answer) {
    ich_exec *exec = reader->saliency;
    forward_head(reader, exec, features, answer->slices);
    const int rows = reader->model->classifier >= 0 ? 1 : answer->slices;
    float *d_logit = ich_exec_gradient(exec, reader->study_logit);
    memset(d_logit, 0, (size_t)rows * ICH_LABELS * sizeof *d_logit);
    for (int r = 0; r < rows; r++) d_logit[r * ICH_LABELS + reader->label] = 1;
    ich_exec_backward(exec);
    const int channels = reader->model->graph.nodes[reader->maps].shape.c;
    ich_heatmap_cam(answer->slices, reader->grid.height * reader->grid.width, channels, maps,
                    ich_exec_gradient(exec, reader->model->features), answer->heat);
}

/* -- a study ------------------------------------------------------------------------------------------- */

static bool make_answer(const ich_reader *reader, int slices, ich_answer *answer, ich_error *err) {
    memset(answer, 0, sizeof *answer);
    answer->slices = slices;
    const size_t n = (size_t)slices, cells = (size_t)reader->grid.height * (size_t)reader->grid.width;
    answer->slice = ich_new(n, sizeof *answer->slice, "slice answers", err);
    answer->attention = ich_new(n, sizeof *answer->attention, "attention", err);
    if (reader->label >= 0) answer->heat = ich_new(n * cells, sizeof *answer->heat, "heatmaps", err);
    return answer->slice != NULL && answer->attention != NULL && (reader->label < 0 || answer->heat != NULL);
}

bool ich_reader_answer(ich_reader *reader, const ich_volume *volume, ich_answer *answer, ich_error *err) {
    const ich_graph *graph = &reader->model->graph;
    const size_t n = (size_t)volume->slices;
    const size_t n_features = ich_shape_count(graph->nodes[reader->model->features].shape);
    float *features = ich_new(n, n_features * sizeof *features, "features", err), *maps = NULL;
    if (reader->label >= 0) {
        maps =
            ich_new(n, ich_shape_count(graph->nodes[reader->maps].shape) * sizeof *maps, "feature maps", err);
    }
    bool done = make_answer(reader, volume->slices, answer, err) && features != NULL &&
                (maps != NULL || reader->label < 0) && fit_head(reader, volume->slices, err) &&
                run_cnn(reader, volume, features, maps, &answer->look, err) &&
                run_head(reader, features, answer, err);
    if (done && maps != NULL) run_saliency(reader, features, maps, answer);
    free(features);
    free(maps);
    if (!done) ich_answer_free(answer);
    return done;
}

void ich_answer_free(ich_answer *answer) {
    free(answer->slice);
    free(answer->attention);
    free(answer->heat);
    memset(answer, 0, sizeof *answer);
}
