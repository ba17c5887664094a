/* Lesson 3: the gradient of a small network, once by backward and once by moving each number
 * a little.
 *
 *   03_backward [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/layers/exec.h>
#include <ichor/layers/loss.h>
#include <ichor/tensor/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 3, LABELS = 2, STEPS = 23 };

typedef struct network {
    ich_graph graph;
    int input, logit;
    ich_exec *exec;
    double *values, *gradients; /* of all parameters: [graph.n_values] */
} network;

static const double target[ROWS * LABELS] = {1, 0, 0, 0, 1, 1}, weight[LABELS] = {1, 1};

static bool make_network(network *net, ich_error *err) {
    ich_graph *g = &net->graph;
    ich_graph_init(g);
    net->input = ich_graph_input(g, "input", (ich_shape){.h = 7, .w = 6, .c = 3});
    int y =
        ich_graph_add(g, "conv2d", "conv",
                      (ich_attr){.out = 4, .kernel = 3, .stride = 2, .pad = 1}, net->input);
    y = ich_graph_add(g, "batch_norm", "norm", (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, y);
    y = ich_graph_add(g, "tanh", "tanh", (ich_attr){0}, y);
    y = ich_graph_add(g, "global_average", "pool", (ich_attr){0}, y);
    net->logit = ich_graph_add(g, "linear", "fc", (ich_attr){.out = LABELS, .bias = true}, y);
    if (net->logit < 0) return ich_fail(err, "%s", g->error.text);
    ich_exec_options options = {.precision = ICH_F64,
                                .inputs = {net->input},
                                .n_inputs = 1,
                                .outputs = {net->logit},
                                .n_outputs = 1,
                                .max_rows = ROWS,
                                .gradient = true,
                                .batch_statistics = true};
    net->exec = ich_exec_create(g, &options, err);
    net->values = aligned_alloc(64, g->n_values * sizeof(double));
    net->gradients = aligned_alloc(64, g->n_values * sizeof(double));
    if (!net->values || !net->gradients) return ich_fail(err, "memory is out");
    return net->exec != NULL;
}

static void draw_numbers(network *net) {
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 3);
    double *x = ich_exec_value(net->exec, net->input);
    for (size_t i = 0; i < ROWS * 7 * 6 * 3; i++) x[i] = ich_rng_normal(&rng);
    for (size_t i = 0; i < net->graph.n_values; i++)
        net->values[i] = 0.5 * ich_rng_normal(&rng);
    ich_exec_bind(net->exec, net->values, net->gradients);
}

static double forward(network *net) {
    ich_exec_prepare(net->exec); /* the weights changed */
    ich_exec_forward(net->exec, ROWS, 0, NULL);
    return ich_loss_bce_f64(ROWS, LABELS, ich_exec_value(net->exec, net->logit), target,
                            weight, 1.0 / ROWS, ich_exec_gradient(net->exec, net->logit));
}

/* One pass down, and every gradient is there. */
static void backward(network *net) {
    for (size_t i = 0; i < net->graph.n_values; i++)
        net->gradients[i] = 0; /* backward adds */
    forward(net);
    ich_exec_backward(net->exec);
}

/* Two (or four) passes for each number. */
static double numerical(network *net, size_t i, double h, bool fourth_order) {
    const double v = net->values[i];
    double f[4];
    for (int k = 0; k < 4; k++) {
        net->values[i] = v + h * (const double[]){-2, -1, 1, 2}[k];
        f[k] = forward(net);
    }
    net->values[i] = v;
    return fourth_order ? (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h)
                        : (f[2] - f[1]) / (2 * h);
}

/* ‖numerical - backward‖ / ‖backward‖ over one parameter */
static double distance(network *net, const ich_param *p, double h, bool fourth_order) {
    double apart = 0, norm = 0;
    for (size_t i = p->offset; i < p->offset + p->count; i++) {
        const double g = net->gradients[i],
                     difference = numerical(net, i, h, fourth_order) - g;
        apart += difference * difference;
        norm += g * g;
    }
    return sqrt(apart / norm);
}

static void compare(network *net) {
    printf("%-14s %6s %10s\n", "parameter", "count", "distance");
    for (int i = 0; i < net->graph.n_params; i++) {
        const ich_param *p = &net->graph.params[i];
        if (p->trainable)
            printf("%-14s %6zu %10.1e\n", p->name, p->count, distance(net, p, 1e-3, true));
    }
}

static bool draw_picture(network *net, const char *folder) {
    const ich_param *p = &net->graph.params[ich_graph_find_param(&net->graph, "conv.weight")];
    double h[STEPS], second[STEPS], fourth[STEPS];
    for (int k = 0; k < STEPS; k++) {
        h[k] = pow(10, -k / 2.0);
        second[k] = distance(net, p, h[k], false);
        fourth[k] = distance(net, p, h[k], true);
    }
    plot picture = {.title = "How far the numerical gradient is from backward's",
                    .x_label = "step h",
                    .y_label = "relative distance",
                    .log_x = true,
                    .log_y = true};
    plot_add(&picture, PLOT_LINE,
             "two points: error h² from the series, then ε / h from rounding", STEPS, h,
             second);
    plot_add(&picture, PLOT_LINE, "four points: error h⁴, then ε / h", STEPS, h, fourth);
    return plot_write(&picture, folder, "03-steps.svg");
}

static void free_network(network *net) {
    ich_exec_free(net->exec);
    free(net->values);
    free(net->gradients);
    ich_graph_free(&net->graph);
}

static bool lesson(network *net, const char *folder) {
    draw_numbers(net);
    backward(net);
    printf("The gradient by backward and by four points with h = 0.001:\n");
    compare(net);
    const int spoilt = ich_graph_find_param(&net->graph, "norm.weight");
    net->gradients[net->graph.params[spoilt].offset + 2] *= 1.001;
    printf("\nThe same with one number of norm.weight off by a thousandth:\n");
    compare(net);
    backward(net);
    return draw_picture(net, folder);
}

int main(int argc, char **argv) {
    ich_error err = {0};
    network net = {0};
    bool done = make_network(&net, &err);
    if (!done) fprintf(stderr, "%s\n", err.text);
    done = done && lesson(&net, argc > 1 ? argv[1] : ".");
    free_network(&net);
    return done ? 0 : 1;
}
