/* Two execs on one graph: the CNN for a chunk of slices, the head for all slices of a group. They share
 * values and gradients, and meet in the features: copied forward into the head's input, and their gradient
 * back from it. */
#include "mil.h"

#include <string.h>

static ich_exec_options cnn_options(const ich_model *model, bool learns, int chunk) {
    return (ich_exec_options){.inputs = {model->input},
                              .n_inputs = 1,
                              .outputs = {model->features},
                              .n_outputs = 1,
                              .max_rows = chunk,
                              .gradient = learns,
                              .pack_on_use = learns,
                              .training = learns};
}

static ich_exec *open_cnn(const ich_model *model, bool learns, int chunk, ich_error *err) {
    const ich_exec_options options = cnn_options(model, learns, chunk);
    return ich_exec_create(&model->graph, &options, err);
}

size_t ich_mil_cnn_bytes(const ich_model *model, bool learns, int chunk, ich_error *err) {
    const ich_exec_options options = cnn_options(model, learns, chunk);
    return ich_exec_plan_bytes(&model->graph, &options, err);
}

/* The head's own terms of the loss, such as its attention's roughness. */
static void list_terms(ich_mil *mil) {
    const ich_graph *graph = &mil->model->graph;
    const int most = sizeof mil->terms / sizeof *mil->terms;
    for (int n = 0; n < graph->n_nodes && mil->n_terms < most; n++)
        if (graph->nodes[n].op >= 0 && ich_layers(ICH_F32)[graph->nodes[n].op]->loss_term)
            mil->terms[mil->n_terms++] = n;
}

static ich_exec *open_head(const ich_mil *mil, const ich_mil_options *o, ich_error *err) {
    const ich_model *model = mil->model;
    ich_exec_options options = {.inputs = {model->features},
                                .n_inputs = 1,
                                .outputs = {model->classifier},
                                .n_outputs = 1,
                                .max_rows = o->rows,
                                .max_studies = o->studies,
                                .gradient = o->learns,
                                .input_gradient = o->learns && o->cnn_learns,
                                .training = o->learns};
    for (int i = 0; i < mil->n_terms; i++) options.outputs[options.n_outputs++] = mil->terms[i];
    return ich_exec_create(&model->graph, &options, err);
}

bool ich_mil_open(ich_mil *mil, const ich_model *model, const ich_mil_options *options, ich_error *err) {
    const ich_node *nodes = model->graph.nodes;
    *mil = (ich_mil){.model = model,
                     .noise = options->noise,
                     .dataset = options->dataset > 0 ? options->dataset : 1,
                     .chunk = options->chunk < options->rows ? options->chunk : options->rows,
                     .pixels = ich_shape_count(nodes[model->input].shape),
                     .width = ich_shape_count(nodes[model->features].shape)};
    if (options->learns) list_terms(mil);
    const bool cnn = !options->learns || options->cnn_learns;
    if ((!cnn || (mil->cnn = open_cnn(model, options->learns, mil->chunk, err))) &&
        (mil->head = open_head(mil, options, err)))
        return true;
    ich_mil_close(mil);
    return false;
}

void ich_mil_close(ich_mil *mil) {
    ich_exec_free(mil->cnn);
    ich_exec_free(mil->head);
    *mil = (ich_mil){0};
}

size_t ich_mil_bytes(const ich_mil *mil) {
    return (mil->cnn ? ich_exec_bytes(mil->cnn) : 0) + (mil->head ? ich_exec_bytes(mil->head) : 0);
}

void ich_mil_bind(ich_mil *mil, float *values, float *gradients) {
    ich_exec *const parts[] = {mil->cnn, mil->head};
    for (int i = 0; i < 2; i++) {
        if (!parts[i]) continue;
        ich_exec_bind(parts[i], values, gradients);
        ich_exec_prepare(parts[i]);
    }
}

void ich_mil_key(ich_mil *mil, uint64_t seed, uint64_t step) {
    if (mil->cnn) ich_exec_key(mil->cnn, seed, step);
    ich_exec_key(mil->head, seed, step);
}

/* -- what the loader is asked for ---------------------------------------------------------------------- */

size_t ich_mil_batches(int chunk, int rows) {
    return 2 * (((size_t)rows + (size_t)chunk - 1) / (size_t)chunk);
}

static int last_chunk(const ich_mil *mil, int rows) { return (rows - 1) / mil->chunk * mil->chunk; }

/* Slices [0, end) of the packed group, in chunks. */
static void plan_pass(const ich_mil *mil, ich_feed *feed, const ich_mil_group *group, int epoch, int end) {
    int study = 0;
    for (int row = 0; row < end; row++) {
        while (row >= group->offsets[study + 1]) study++;
        const uint32_t s = group->study[study];
        ich_feed_add(feed, s, row - group->offsets[study], ich_feed_sample(epoch, s));
        if ((row + 1) % mil->chunk == 0 || row + 1 == end) ich_feed_end_batch(feed);
    }
}

void ich_mil_plan(const ich_mil *mil, ich_feed *feed, const ich_mil_group *group, int epoch, bool backward) {
    const int rows = group->offsets[group->n];
    plan_pass(mil, feed, group, epoch, rows);
    if (backward) plan_pass(mil, feed, group, epoch, last_chunk(mil, rows));
}

/* -- the three passes ---------------------------------------------------------------------------------- */

/* The next chunk through the CNN; returns its slices, 0 on failure. */
static int forward_chunk(ich_mil *mil, ich_feed *feed, ich_error *err) {
    const ich_batch *batch = ich_feed_next(feed, err);
    if (!batch) return 0;
    memcpy(ich_exec_value(mil->cnn, mil->model->input), batch->images,
           (size_t)batch->rows * mil->pixels * sizeof(float));
    ich_exec_forward(mil->cnn, batch->rows, 0, NULL);
    return batch->rows;
}

bool ich_mil_features(ich_mil *mil, ich_feed *feed, int rows, float *out, ich_error *err) {
    for (int row = 0; row < rows;) {
        const int n = forward_chunk(mil, feed, err);
        if (n == 0) return false;
        memcpy(out + (size_t)row * mil->width, ich_exec_value(mil->cnn, mil->model->features),
               (size_t)n * mil->width * sizeof(float));
        row += n;
    }
    return true;
}

float *ich_mil_head_input(ich_mil *mil) { return ich_exec_value(mil->head, mil->model->features); }

static int studies_of(const ich_mil_group *group) { return group->of > 0 ? group->of : group->n; }

/* Of the labels, study by study; d_logits may be NULL. */
static double label_loss(const ich_mil *mil, const ich_mil_group *group, const float *logits,
                         float *d_logits) {
    double loss = 0;
    for (int i = 0; i < group->n; i++) {
        const double weight = group->weight ? group->weight[i] : 1;
        loss += ich_loss_noisy_bce_f32(1, ICH_LABELS, logits + i * ICH_LABELS, group->label[i],
                                       ich_label_weights, mil->noise, weight / (7 * studies_of(group)),
                                       d_logits ? d_logits + i * ICH_LABELS : NULL);
    }
    return loss;
}

/* Each study carries its own, or its share of the dataset's. */
static double term_loss(const ich_mil *mil, int term, const ich_mil_group *group) {
    const int op = mil->model->graph.nodes[term].op;
    const bool shared = ich_layers(ICH_F32)[op]->loss_term == ICH_TERM_DATASET;
    const double scale = 1.0 / ((double)studies_of(group) * (shared ? mil->dataset : 1));
    const float *value = ich_exec_value(mil->head, term);
    float *gradient = ich_exec_gradient(mil->head, term);
    double sum = 0;
    for (int i = 0; i < group->n; i++) {
        sum += scale * value[i];
        gradient[i] = (float)scale;
    }
    return sum;
}

double ich_mil_head(ich_mil *mil, const ich_mil_group *group, bool backward, const float **logits) {
    const int classifier = mil->model->classifier;
    ich_exec_part(mil->head, group->first_row, group->first_study);
    ich_exec_forward(mil->head, group->offsets[group->n], group->n, group->offsets);
    *logits = ich_exec_value(mil->head, classifier);
    double loss = label_loss(mil, group, *logits, backward ? ich_exec_gradient(mil->head, classifier) : NULL);
    for (int i = 0; i < mil->n_terms; i++) loss += term_loss(mil, mil->terms[i], group);
    if (backward) ich_exec_backward(mil->head);
    return loss;
}

static void backward_chunk(ich_mil *mil, int row, int rows, bool last) {
    const float *gradient = ich_exec_gradient(mil->head, mil->model->features);
    memcpy(ich_exec_gradient(mil->cnn, mil->model->features), gradient + (size_t)row * mil->width,
           (size_t)rows * mil->width * sizeof(float));
    ich_exec_watch_gradients(mil->cnn, last ? mil->watcher : NULL, mil->watcher_self);
    ich_exec_backward(mil->cnn);
}

bool ich_mil_backward(ich_mil *mil, ich_feed *feed, int rows, ich_error *err) {
    const int last = last_chunk(mil, rows);
    backward_chunk(mil, last, rows - last, last == 0); /* still there from pass 1 */
    for (int row = 0; row < last; row += mil->chunk) {
        if (forward_chunk(mil, feed, err) == 0) return false;
        backward_chunk(mil, row, mil->chunk, row + mil->chunk == last);
    }
    return true;
}
