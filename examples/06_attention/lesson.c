/* Lesson 6: learning from labels of bags. A bag is positive if at least one of its instances
 * is; nobody says which. Four ways to make one vector of a bag, and what each finds out about
 * the instances.
 *
 *   06_attention [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/infer/stats.h>
#include <ichor/layers/exec.h>
#include <ichor/layers/loss.h>
#include <ichor/optim/optimizer.h>
#include <ichor/tensor/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAGS = 400, MOST = 30, F = 8, AT_ONCE = 10, EPOCHS = 30, SHOWN = 12 };

/* -- bags ------------------------------------------------------------------------------ */

typedef struct bags {
    int offsets[BAGS + 1]; /* bag b owns instances offsets[b] … offsets[b+1]-1 */
    float label[BAGS];     /* what training may see */
    float x[BAGS * MOST][F];
    float key[BAGS * MOST]; /* which instances are positive: for judging only */
} bags;

/* An instance is noise; a key instance is moved by 2.5 along two of its features. */
static void draw_bags(uint64_t seed, bags *b) {
    ich_rng rng = ich_rng_make(seed, ICH_RNG_TEST, 6);
    b->offsets[0] = 0;
    for (int bag = 0; bag < BAGS; bag++) {
        const int length = 10 + (int)ich_rng_below(&rng, MOST - 10 + 1),
                  first = b->offsets[bag];
        const int keys = bag % 2 ? 1 + (int)ich_rng_below(&rng, 3) : 0;
        b->label[bag] = keys > 0;
        b->offsets[bag + 1] = first + length;
        for (int t = 0; t < length; t++) {
            b->key[first + t] = 0;
            for (int f = 0; f < F; f++) b->x[first + t][f] = ich_rng_normal(&rng);
        }
        for (int k = 0; k < keys; k++) {
            const int t = first + (int)ich_rng_below(&rng, (uint32_t)length);
            if (b->key[t] == 0) b->x[t][0] += 2.5f, b->x[t][1] += 2.5f;
            b->key[t] = 1;
        }
    }
}

/* -- a network ------------------------------------------------------------------------- */

typedef struct network {
    ich_graph graph;
    int input, bag_logit, logit, attention; /* attention: -1 without */
    ich_exec *exec;
    float *values, *gradients;
    ich_optimizer optimizer;
} network;

static int pool(network *net, const char *rule, int h) {
    ich_graph *g = &net->graph;
    const bool gated = rule[0] == 'g';
    net->attention = -1;
    if (!gated && rule[0] != 'a') return ich_graph_add(g, rule, "pool", (ich_attr){0}, h);
    const ich_attr attr = {.out = 16, .heads = 1, .gated = gated};
    net->attention = ich_graph_add(g, "attention", "attention", attr, h);
    return ich_graph_add2(g, "attention_pool", "pool", (ich_attr){0}, h, net->attention);
}

static bool make_network(network *net, const char *rule, ich_error *err) {
    ich_graph *g = &net->graph;
    ich_graph_init(g);
    net->input = ich_graph_input(g, "x", (ich_shape){1, 1, F});
    int h = ich_graph_add(g, "linear", "features", (ich_attr){.out = 16, .bias = true},
                          net->input);
    h = ich_graph_add(g, "tanh", "tanh", (ich_attr){0}, h);
    const int z = pool(net, rule, h);
    net->bag_logit = ich_graph_add(g, "linear", "bag", (ich_attr){.out = 1, .bias = true}, z);
    net->logit = ich_graph_share(g, "instance", net->bag_logit,
                                 h); /* the same question to each instance */
    if (net->logit < 0) return ich_fail(err, "%s", g->error.text);
    ich_exec_options options = {.inputs = {net->input},
                                .n_inputs = 1,
                                .outputs = {net->bag_logit, net->logit, net->attention},
                                .n_outputs = net->attention < 0 ? 2 : 3,
                                .max_rows = AT_ONCE * MOST,
                                .max_studies = AT_ONCE,
                                .gradient = true};
    net->exec = ich_exec_create(g, &options, err);
    net->values = aligned_alloc(64, g->n_values * sizeof(float));
    net->gradients = aligned_alloc(64, g->n_values * sizeof(float));
    if (!net->exec || !net->values || !net->gradients) return false;
    ich_graph_initialize(g, 1, net->values);
    ich_exec_bind(net->exec, net->values, net->gradients);
    return ich_optimizer_init(&net->optimizer, ICH_ADAMW, g, 0, err);
}

/* Runs AT_ONCE bags from `first` on; returns how many instances they have. */
static int forward(network *net, const bags *b, int first, int offsets[AT_ONCE + 1]) {
    for (int i = 0; i <= AT_ONCE; i++) offsets[i] = b->offsets[first + i] - b->offsets[first];
    float *x = ich_exec_value(net->exec, net->input);
    memcpy(x, b->x[b->offsets[first]], (size_t)offsets[AT_ONCE] * F * sizeof *x);
    ich_exec_prepare(net->exec);
    ich_exec_forward(net->exec, offsets[AT_ONCE], AT_ONCE, offsets);
    return offsets[AT_ONCE];
}

static void zero(float *x, size_t n) { memset(x, 0, n * sizeof *x); }

static void train(network *net, const bags *b) {
    static const float weight[1] = {1};
    const double rate[ICH_GROUPS] = {0.01, 0.01};
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int first = 0; first < BAGS; first += AT_ONCE) {
            int offsets[AT_ONCE + 1];
            const int rows = forward(net, b, first, offsets);
            zero(net->gradients, net->graph.n_values);
            ich_loss_bce_f32(AT_ONCE, 1, ich_exec_value(net->exec, net->bag_logit),
                             b->label + first, weight, 1.0 / AT_ONCE,
                             ich_exec_gradient(net->exec, net->bag_logit));
            zero(ich_exec_gradient(net->exec, net->logit),
                 (size_t)rows); /* instances have no label */
            if (net->attention >= 0)
                zero(ich_exec_gradient(net->exec, net->attention), (size_t)rows);
            ich_exec_backward(net->exec);
            ich_optimizer_step(&net->optimizer, &net->graph, rate, net->gradients,
                               net->values);
        }
}

/* -- judged ---------------------------------------------------------------------------- */

typedef struct answers {
    float bag[BAGS], instance[BAGS * MOST], attention[BAGS * MOST];
} answers;

static void answer(network *net, const bags *b, answers *out) {
    for (int first = 0; first < BAGS; first += AT_ONCE) {
        int offsets[AT_ONCE + 1];
        const int rows = forward(net, b, first, offsets), place = b->offsets[first];
        const float *bag = ich_exec_value(net->exec, net->bag_logit);
        const float *instance = ich_exec_value(net->exec, net->logit);
        const float *a =
            net->attention < 0 ? NULL : ich_exec_value(net->exec, net->attention);
        for (int i = 0; i < AT_ONCE; i++) out->bag[first + i] = bag[i];
        for (int t = 0; t < rows; t++) {
            out->instance[place + t] = instance[t];
            out->attention[place + t] = a ? a[t] : 0;
        }
    }
}

/* Of positive bags, the mean AUC of `score` for telling key instances from the others. */
static double within(const bags *b, const float *score) {
    double sum = 0;
    int n = 0;
    for (int bag = 1; bag < BAGS; bag += 2, n++) {
        const int first = b->offsets[bag];
        sum += ich_auc(score + first, b->key + first, (size_t)(b->offsets[bag + 1] - first))
                   .value;
    }
    return sum / n;
}

static bool draw_picture(const bags *b, const answers *a, const char *folder) {
    double cell[SHOWN * MOST];
    bool ring[SHOWN * MOST] = {false};
    for (int row = 0; row < SHOWN; row++)
        for (int t = 0; t < MOST; t++) {
            const int bag = 2 * row + 1, i = b->offsets[bag] + t;
            const bool there = i < b->offsets[bag + 1];
            cell[row * MOST + t] = there ? (double)a->attention[i] : (double)NAN;
            ring[row * MOST + t] = there && b->key[i] > 0;
        }
    return plot_matrix(folder, "06-attention.svg",
                       "Attention in 12 positive bags; rings: key instances", "instances",
                       "bags", SHOWN, MOST, cell, ring);
}

int main(int argc, char **argv) {
    static const char *const rules[] = {"mean_slices", "max_slices", "attention",
                                        "gated attention"};
    static bags training, test;
    static answers said;
    draw_bags(1, &training);
    draw_bags(2, &test);
    bool done = true;
    printf("%-16s %9s %22s %14s\n", "rule", "bag AUC", "instance AUC: logit", "attention");
    for (int i = 0; done && i < 4; i++) {
        ich_error err = {0};
        network net = {0};
        done = make_network(&net, rules[i], &err);
        if (done) {
            train(&net, &training);
            answer(&net, &test, &said);
            printf("%-16s %9.3f %22.3f ", rules[i], ich_auc(said.bag, test.label, BAGS).value,
                   within(&test, said.instance));
            if (net.attention < 0)
                printf("%14s\n", "-");
            else
                printf("%14.3f\n", within(&test, said.attention));
        } else {
            fprintf(stderr, "%s\n", err.text);
        }
        ich_optimizer_free(&net.optimizer);
        ich_exec_free(net.exec);
        free(net.values);
        free(net.gradients);
        ich_graph_free(&net.graph);
    }
    return done && draw_picture(&test, &said, argc > 1 ? argv[1] : ".") ? 0 : 1;
}
