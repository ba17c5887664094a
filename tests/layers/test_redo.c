/* What the plan drops after forward and computes again for backward: it changes no gradient and no running
 * statistic, draws the same dropout masks, and takes less memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/exec.h"
#include "layers/plan.h"
#include "tensor/rng.h"

enum { SIZE = 12, ROWS = 3, LABELS = 4 };

/* -- little networks ------------------------------------------------------------------------------------- */

static int op(ich_graph *g, const char *name, ich_attr attr, int x) {
    char unique[40];
    snprintf(unique, sizeof unique, "%s%d", name, g->n_nodes);
    return ich_graph_add(g, name, unique, attr, x);
}

static int op2(ich_graph *g, const char *name, int x, int y) {
    char unique[40];
    snprintf(unique, sizeof unique, "%s%d", name, g->n_nodes);
    return ich_graph_add2(g, name, unique, (ich_attr){0}, x, y);
}

static int conv(ich_graph *g, int out, int kernel, int stride, int x) {
    return op(
        g, "conv2d",
        (ich_attr){
            .out = out, .kernel = kernel, .stride = stride, .pad = kernel / 2, .dilation = 1, .groups = 1},
        x);
}

static int norm(ich_graph *g, int x) {
    return op(g, "batch_norm", (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, x);
}

static int relu(ich_graph *g, int x) { return op(g, "relu", (ich_attr){0}, x); }
static int conv_norm(ich_graph *g, int out, int kernel, int stride, int x) {
    return norm(g, conv(g, out, kernel, stride, x));
}
static int dropout(ich_graph *g, float rate, int x) { return op(g, "dropout", (ich_attr){.rate = rate}, x); }

static int halve(ich_graph *g, const char *pool, int x) {
    return op(g, pool, (ich_attr){.kernel = 2, .stride = 2}, x);
}

/* As in resnet18: the block's output is also the next one's shortcut. */
static int basic_block(ich_graph *g, int out, int stride, int x) {
    int y = conv_norm(g, out, 3, 1, relu(g, conv_norm(g, out, 3, stride, x)));
    if (stride > 1) x = conv_norm(g, out, 1, stride, x);
    return relu(g, op2(g, "add", y, x));
}

static int resnet(ich_graph *g, int x) {
    x = halve(g, "max_pool", relu(g, conv_norm(g, 5, 3, 1, x)));
    return basic_block(g, 7, 2, basic_block(g, 5, 1, basic_block(g, 5, 1, x)));
}

static int bottleneck_block(ich_graph *g, int inner, int out, int stride, int x) {
    int y = relu(g, conv_norm(g, inner, 3, stride, relu(g, conv_norm(g, inner, 1, 1, x))));
    y = conv_norm(g, out, 1, 1, y);
    if (stride > 1) x = conv_norm(g, out, 1, stride, x);
    return relu(g, op2(g, "add", y, x));
}

static int bottlenecks(ich_graph *g, int x) {
    x = relu(g, conv_norm(g, 8, 3, 1, x));
    return bottleneck_block(g, 4, 12, 1, bottleneck_block(g, 4, 12, 2, bottleneck_block(g, 3, 8, 1, x)));
}

static int dense_block(ich_graph *g, int layers, int x) {
    for (int i = 0; i < layers; i++) {
        int y = conv(g, 12, 1, 1, relu(g, norm(g, x)));
        x = op2(g, "concat", x, conv(g, 3, 3, 1, relu(g, norm(g, y))));
    }
    return x;
}

static int densenet(ich_graph *g, int x) {
    x = dense_block(g, 4, relu(g, conv_norm(g, 6, 3, 1, x)));
    x = halve(g, "average_pool", conv(g, 9, 1, 1, relu(g, norm(g, x))));
    return relu(g, norm(g, dense_block(g, 3, x)));
}

/* Concatenations of which the first is read by a convolution, the second after the third was made, and only
 * the third may begin the fourth in memory. */
static int read_late(ich_graph *g, int x) {
    int a = op2(g, "concat", x, conv(g, 3, 3, 1, x));
    int b = op2(g, "concat", a, conv(g, 3, 3, 1, a));
    int c = op2(g, "concat", b, conv(g, 2, 1, 1, relu(g, norm(g, b))));
    int d = op2(g, "concat", c, conv(g, 2, 1, 1, relu(g, norm(g, b))));
    return relu(g, norm(g, d));
}

/* Chains of cheap layers, whose last link needs the first one's input; a value with two readers; dropout
 * after dropout; a ReLU on the images themselves. */
static int chains(ich_graph *g, int x) {
    int y = conv_norm(g, 6, 3, 1, relu(g, x));
    y = dropout(g, 0.3f, op(g, "silu", (ich_attr){0}, y));
    int z = op(g, "tanh", (ich_attr){0}, conv_norm(g, 6, 3, 1, y));
    z = dropout(g, 0.5f, dropout(g, 0.2f, op(g, "sigmoid", (ich_attr){0}, z)));
    z = op2(g, "add", relu(g, norm(g, z)), y);
    return op2(g, "concat", conv(g, 4, 3, 1, z), dropout(g, 0.4f, relu(g, norm(g, z))));
}

static const struct net_case {
    const char *name;
    int (*build)(ich_graph *graph, int input);
    const char *redone[4]; /* ops of which the plan must compute some value twice */
} cases[] = {
    {"resnet", resnet, {"batch_norm"}},
    {"bottlenecks", bottlenecks, {"batch_norm"}},
    {"densenet", densenet, {"batch_norm"}},
    {"read late", read_late, {"batch_norm"}},
    {"chains", chains, {"relu", "dropout", "silu", "add"}},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct net {
    ich_graph graph;
    int input, output;
    double *start; /* values before any step */
} net;

static net make_net(const struct net_case *c) {
    net n = {0};
    ich_graph_init(&n.graph);
    n.input = ich_graph_input(&n.graph, "input", (ich_shape){SIZE, SIZE, 2});
    int x = op(&n.graph, "global_average", (ich_attr){0}, c->build(&n.graph, n.input));
    n.output = op(&n.graph, "linear", (ich_attr){.out = LABELS, .bias = true}, x);
    if (n.output < 0) fail_msg("%s: %s", c->name, n.graph.error.text);
    const size_t size = n.graph.n_values;
    float *values = malloc(size * sizeof *values);
    n.start = malloc(size * sizeof *n.start);
    assert_true(values && n.start);
    ich_graph_initialize(&n.graph, 3, values);
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 0);
    for (size_t i = 0; i < size; i++) n.start[i] = values[i];
    for (int p = 0; p < n.graph.n_params; p++) { /* batch norms that do something */
        const ich_param *param = &n.graph.params[p];
        for (size_t i = 0; param->rank == 1 && i < param->count; i++)
            n.start[param->offset + i] += ich_rng_range(&rng, -0.3f, 0.3f);
    }
    free(values);
    return n;
}

static void free_net(net *n) {
    free(n->start);
    ich_graph_free(&n->graph);
}

/* -- steps ------------------------------------------------------------------------------------------ */

typedef struct run {
    ich_exec *exec;
    double *values, *gradients;
} run;

static run open_run(const net *n, ich_exec_options options) {
    ich_error err = {""};
    options.precision = ICH_F64;
    options.inputs[options.n_inputs++] = n->input;
    options.outputs[options.n_outputs++] = n->output;
    options.max_rows = ROWS;
    options.gradient = options.input_gradient = options.training = true;
    const size_t size = n->graph.n_values;
    run r = {ich_exec_create(&n->graph, &options, &err), malloc(size * sizeof(double)),
             calloc(size, sizeof(double))};
    if (!r.exec) fail_msg("%s", err.text);
    assert_true(r.values && r.gradients);
    memcpy(r.values, n->start, size * sizeof(double));
    ich_exec_bind(r.exec, r.values, r.gradients);
    return r;
}

static void close_run(run *r) {
    ich_exec_free(r->exec);
    free(r->values);
    free(r->gradients);
}

static void fill(double *numbers, size_t n, uint64_t index) {
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, index);
    for (size_t i = 0; i < n; i++) numbers[i] = ich_rng_range(&rng, -1, 1);
}

static void forward(const net *n, run *r, int rows, uint64_t step) {
    ich_exec_key(r->exec, 5, step);
    ich_exec_prepare(r->exec);
    fill(ich_exec_value(r->exec, n->input), (size_t)rows * SIZE * SIZE * 2, step);
    ich_exec_forward(r->exec, rows, 0, NULL);
}

static void backward(const net *n, run *r, int rows, uint64_t step) {
    fill(ich_exec_gradient(r->exec, n->output), (size_t)rows * LABELS, 1000 + step);
    ich_exec_backward(r->exec);
}

static void assert_close(const char *name, const char *what, const double *a, const double *b, size_t n) {
    double worst = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(a[i] - b[i]));
        most = fmax(most, fabs(b[i]));
    }
    if (!(worst <= 1e-13 * most) || most == 0)
        fail_msg("%s: %s: difference %g of %g", name, what, worst, most);
}

static void assert_same_steps(const struct net_case *c, const net *n, run *a, run *b) {
    static const int rows[] = {ROWS, ROWS, ROWS - 1, ROWS};
    for (int step = 0; step < 4; step++) {
        run *const runs[] = {a, b};
        for (int i = 0; i < 2; i++) {
            forward(n, runs[i], rows[step], (uint64_t)step);
            backward(n, runs[i], rows[step], (uint64_t)step);
        }
        const size_t logits = (size_t)(rows[step] * LABELS), pixels = (size_t)rows[step] * SIZE * SIZE * 2;
        assert_close(c->name, "logits", ich_exec_value(a->exec, n->output),
                     ich_exec_value(b->exec, n->output), logits);
        assert_close(c->name, "gradient of the images", ich_exec_gradient(a->exec, n->input),
                     ich_exec_gradient(b->exec, n->input), pixels);
        assert_close(c->name, "gradients", a->gradients, b->gradients, n->graph.n_values);
        assert_close(c->name, "running statistics", a->values, b->values, n->graph.n_values);
    }
}

/* -- behaviours ------------------------------------------------------------------------------------- */

static void values_made_again_change_no_gradient(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++)
        for (int mode = 0; mode < 4; mode++) {
            net n = make_net(&cases[c]);
            const bool batch_statistics = mode & 1, pack_on_use = mode & 2;
            run lean = open_run(
                &n, (ich_exec_options){.batch_statistics = batch_statistics, .pack_on_use = pack_on_use});
            run plain =
                open_run(&n, (ich_exec_options){.batch_statistics = batch_statistics, .keep_all = true});
            assert_same_steps(&cases[c], &n, &lean, &plain);
            close_run(&lean);
            close_run(&plain);
            free_net(&n);
        }
}

/* A batch norm that runs a second time must not move its running statistics a second time. */
static void running_statistics_move_once_a_step(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++) {
        net n = make_net(&cases[c]);
        const size_t bytes = n.graph.n_values * sizeof(double);
        run r = open_run(&n, (ich_exec_options){.batch_statistics = true});
        double *after = malloc(bytes);
        assert_non_null(after);
        for (int step = 0; step < 2; step++) {
            memcpy(after, r.values, bytes);
            forward(&n, &r, ROWS, (uint64_t)step);
            assert_memory_not_equal(after, r.values, bytes);
            memcpy(after, r.values, bytes);
            backward(&n, &r, ROWS, (uint64_t)step);
            assert_memory_equal(after, r.values, bytes);
        }
        free(after);
        close_run(&r);
        free_net(&n);
    }
}

/* With the same images and the same gradient of the logits, only the key tells two steps apart: it must do
 * so, and backward's second forward must be of the same key as the first. */
static void dropout_draws_the_same_mask_again(void **state) {
    (void)state;
    net n = make_net(&cases[CASES - 1]);
    const size_t size = n.graph.n_values;
    run lean = open_run(&n, (ich_exec_options){0}),
        plain = open_run(&n, (ich_exec_options){.keep_all = true});
    run *const runs[] = {&lean, &plain};
    double *first = malloc(size * sizeof *first);
    assert_non_null(first);
    for (uint64_t key = 0; key < 3; key++) {
        for (int i = 0; i < 2; i++) {
            memset(runs[i]->gradients, 0, size * sizeof(double));
            forward(&n, runs[i], ROWS, 0);
            ich_exec_key(runs[i]->exec, 5, key);
            ich_exec_forward(runs[i]->exec, ROWS, 0, NULL);
            backward(&n, runs[i], ROWS, 0);
        }
        assert_close("chains", "gradients", lean.gradients, plain.gradients, size);
        if (key > 0) assert_memory_not_equal(first, lean.gradients, size * sizeof *first);
        memcpy(first, lean.gradients, size * sizeof *first);
    }
    free(first);
    close_run(&lean);
    close_run(&plain);
    free_net(&n);
}

static bool is_redone(const ich_exec *e, const char *name) {
    for (int s = 0; s < e->n_steps; s++)
        if (e->steps[s].redo_before >= 0 && e->graph->nodes[e->steps[s].node].op == ich_layer_index(name))
            return true;
    return false;
}

static void cheap_values_are_dropped_and_the_plan_is_smaller_for_it(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++) {
        net n = make_net(&cases[c]);
        run lean = open_run(&n, (ich_exec_options){.batch_statistics = true});
        run plain = open_run(&n, (ich_exec_options){.batch_statistics = true, .keep_all = true});
        for (int i = 0; i < 4 && cases[c].redone[i]; i++)
            if (!is_redone(lean.exec, cases[c].redone[i]))
                fail_msg("%s: every %s is kept", cases[c].name, cases[c].redone[i]);
        for (int s = 0; s < plain.exec->n_steps; s++) assert_true(plain.exec->steps[s].redo_before < 0);
        assert_true(ich_exec_bytes(lean.exec) < ich_exec_bytes(plain.exec));
        close_run(&lean);
        close_run(&plain);
        free_net(&n);
    }
}

/* How many of the concatenations lie in another one's memory. */
static void concatenations_grow_in_place(void **state) {
    (void)state;
    static const struct {
        int (*build)(ich_graph *graph, int input);
        int inside;
    } nets[] = {{densenet, 3 + 2}, {read_late, 1}};
    for (int i = 0; i < 2; i++) {
        net n = make_net(&(struct net_case){.name = "shelves", .build = nets[i].build});
        run r = open_run(&n, (ich_exec_options){.batch_statistics = true});
        int inside = 0;
        for (int node = 0; node < n.graph.n_nodes; node++) {
            const int shelf = r.exec->shelf[node];
            if (shelf < 0 || shelf == node) continue;
            inside++;
            assert_int_equal(r.exec->value[node], r.exec->value[shelf]);
            assert_int_equal(r.exec->gradient[node], r.exec->gradient[shelf]);
        }
        assert_int_equal(inside, nets[i].inside);
        close_run(&r);
        free_net(&n);
    }
}

static void no_two_living_buffers_overlap(void **state) {
    (void)state;
    for (int c = 0; c < CASES; c++) {
        net n = make_net(&cases[c]);
        run r = open_run(&n, (ich_exec_options){.batch_statistics = true});
        const ich_exec *e = r.exec;
        for (int i = 0; i < e->n_buffers; i++)
            for (int j = 0; j < i; j++) {
                const ich_buffer *a = &e->buffers[i], *b = &e->buffers[j];
                bool together = a->birth <= b->death && b->birth <= a->death;
                bool overlap = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                assert_false(together && overlap);
                assert_true(a->death >= a->birth && a->offset + a->bytes <= e->planned_bytes);
            }
        close_run(&r);
        free_net(&n);
    }
}

/* Bytes for backward through so many residual blocks, in maps: the size of one block's output. */
static double maps_of(int blocks) {
    ich_graph g;
    ich_error err = {""};
    ich_graph_init(&g);
    const int input = ich_graph_input(&g, "input", (ich_shape){SIZE, SIZE, 8});
    int x = conv_norm(&g, 8, 3, 1, input);
    for (int i = 0; i < blocks; i++) x = basic_block(&g, 8, 1, x);
    const int output = op(&g, "global_average", (ich_attr){0}, x);
    const ich_exec_options options = {.inputs = {input},
                                      .n_inputs = 1,
                                      .outputs = {output},
                                      .n_outputs = 1,
                                      .max_rows = 64,
                                      .gradient = true,
                                      .batch_statistics = true,
                                      .pack_on_use = true};
    const size_t bytes = ich_exec_plan_bytes(&g, &options, &err);
    if (!bytes) fail_msg("%s", err.text);
    ich_graph_free(&g);
    return (double)bytes / (64 * SIZE * SIZE * 8 * sizeof(float));
}

/* A block's two convolutions are kept, and its output, which the next block adds; not what bn1 and its ReLU
 * made, nor bn2. */
static void a_residual_block_keeps_three_of_its_maps(void **state) {
    (void)state;
    const double maps = (maps_of(12) - maps_of(6)) / 6;
    if (!(maps < 3.1)) fail_msg("a block keeps %g maps", maps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_made_again_change_no_gradient),
        cmocka_unit_test(running_statistics_move_once_a_step),
        cmocka_unit_test(dropout_draws_the_same_mask_again),
        cmocka_unit_test(cheap_values_are_dropped_and_the_plan_is_smaller_for_it),
        cmocka_unit_test(concatenations_grow_in_place),
        cmocka_unit_test(no_two_living_buffers_overlap),
        cmocka_unit_test(a_residual_block_keeps_three_of_its_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
