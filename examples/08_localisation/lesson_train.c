#include "lesson_train.h"

#include <ichor/layers/loss.h>
#include <ichor/optim/optimizer.h>
#include <ichor/optim/schedule.h>
#include <ichor/tensor/rng.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 4, EPOCHS = 8 };

/* -- the network ---------------------------------------------------------------------------
 */

static int conv(ich_graph *g, int out, int stride, int input) {
    char name[20];
    snprintf(name, sizeof name, "conv%d", g->n_nodes);
    int y =
        ich_graph_add(g, "conv2d", name,
                      (ich_attr){.out = out, .kernel = 3, .stride = stride, .pad = 1}, input);
    snprintf(name, sizeof name, "norm%d", g->n_nodes);
    y = ich_graph_add(g, "batch_norm", name, (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, y);
    snprintf(name, sizeof name, "relu%d", g->n_nodes);
    return ich_graph_add(g, "relu", name, (ich_attr){0}, y);
}

bool make_network(network *n, ich_error *err) {
    ich_graph *g = &n->graph;
    ich_graph_init(g);
    n->input = ich_graph_input(g, "slices", (ich_shape){SIDE, SIDE, CHANNELS});
    int y = conv(g, 16, 2, n->input);
    y = conv(g, 32, 2, y);
    n->maps = conv(g, MAPS, 1, y);
    /* a channel fires if it fires anywhere: a bleed is small, and a mean over the slice would
     * drown it */
    const int h = ich_graph_add(g, "max_pool", "features",
                                (ich_attr){.kernel = CELLS, .stride = CELLS}, n->maps);
    n->attention = ich_graph_add(g, "attention", "attention",
                                 (ich_attr){.out = 32, .heads = 1, .gated = true}, h);
    const int z = ich_graph_add2(g, "attention_pool", "pool", (ich_attr){0}, h, n->attention);
    n->study =
        ich_graph_add(g, "linear", "classifier", (ich_attr){.out = 1, .bias = true}, z);
    n->slice = ich_graph_share(g, "classifier.slices", n->study, h);
    if (n->slice < 0) return ich_fail(err, "%s", g->error.text);
    ich_exec_options options = {.inputs = {n->input},
                                .n_inputs = 1,
                                .outputs = {n->study, n->slice, n->attention},
                                .n_outputs = 3,
                                .max_rows = AT_ONCE * LONGEST,
                                .max_studies = AT_ONCE,
                                .gradient = true,
                                .batch_statistics = true};
    n->learn = ich_exec_create(g, &options, err);
    options.max_rows = LONGEST, options.max_studies = 1;
    options.batch_statistics = false; /* running ones */
    options.keep_all = options.no_fusing = true;
    n->explain = ich_exec_create(g, &options, err);
    n->values = aligned_alloc(64, g->n_values * sizeof(float));
    n->gradients = aligned_alloc(64, g->n_values * sizeof(float));
    if (!n->learn || !n->explain || !n->values || !n->gradients) return false;
    ich_graph_initialize(g, 1, n->values);
    ich_exec_bind(n->learn, n->values, n->gradients);
    ich_exec_bind(n->explain, n->values, n->gradients);
    return true;
}

void free_network(network *n) {
    ich_exec_free(n->learn);
    ich_exec_free(n->explain);
    free(n->values);
    free(n->gradients);
    ich_graph_free(&n->graph);
}

/* -- training: opens x and label, nothing else ----------------------------------------- */

static double learn_from(network *n, const study *studies, const uint32_t *order) {
    static const float weight[] = {1};
    int offsets[AT_ONCE + 1] = {0};
    float label[AT_ONCE], *x = ich_exec_value(n->learn, n->input);
    for (int i = 0; i < AT_ONCE; i++) {
        const study *s = &studies[order[i]];
        memcpy(x + (size_t)offsets[i] * PIXELS, s->x, (size_t)s->slices * PIXELS * sizeof *x);
        offsets[i + 1] = offsets[i] + s->slices;
        label[i] = s->label;
    }
    ich_exec_prepare(n->learn);
    ich_exec_forward(n->learn, offsets[AT_ONCE], AT_ONCE, offsets);
    const double loss =
        ich_loss_bce_f32(AT_ONCE, 1, ich_exec_value(n->learn, n->study), label, weight,
                         1.0 / AT_ONCE, ich_exec_gradient(n->learn, n->study));
    memset(ich_exec_gradient(n->learn, n->slice), 0,
           (size_t)offsets[AT_ONCE] * sizeof(float));
    memset(ich_exec_gradient(n->learn, n->attention), 0,
           (size_t)offsets[AT_ONCE] * sizeof(float));
    memset(n->gradients, 0, n->graph.n_values * sizeof(float));
    ich_exec_backward(n->learn);
    return loss;
}

bool train(network *n, int count, const study *studies, ich_error *err) {
    ich_optimizer optimizer;
    if (!ich_optimizer_init(&optimizer, ICH_ADAMW, &n->graph, 0, err)) return false;
    const int steps = EPOCHS * (count / AT_ONCE);
    uint32_t *order = calloc((size_t)count, sizeof *order);
    bool done = order != NULL;
    for (int i = 0; done && i < count; i++) order[i] = (uint32_t)i;
    for (int step = 0, epoch = 0; done && epoch < EPOCHS; epoch++) {
        ich_rng rng = ich_rng_make(1, ICH_RNG_ORDER, (uint64_t)epoch);
        ich_rng_shuffle(&rng, order, (size_t)count);
        double loss = 0;
        for (int first = 0; first + AT_ONCE <= count; first += AT_ONCE, step++) {
            loss += learn_from(n, studies, order + first) * AT_ONCE / count;
            const double rate = 8e-3 * ich_schedule_factor(ICH_ONECYCLE, (uint64_t)step,
                                                           (uint64_t)steps, 0.3);
            ich_optimizer_step(&optimizer, &n->graph, (const double[]){rate, rate},
                               n->gradients, n->values);
        }
        printf("epoch %2d  loss %.3f\n", epoch + 1, loss);
    }
    free(order);
    ich_optimizer_free(&optimizer);
    return done;
}
