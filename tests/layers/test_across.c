/* A batch that is spread over processes: two threads, each with a part of the rows, that add up their sums as
 * ranks do, give what one exec with all rows gives, forward and backward: batch norm knows all rows, dropout
 * draws the same numbers for the same rows. With the sums made in two parts, one exec gives the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "layers/exec.h"
#include "tensor/rng.h"

enum { ROWS = 5, SIDE = 3, CHANNELS = 4, ROW = SIDE * SIDE * CHANNELS, PARTS = 2, MOST_SUMS = 64 };

/* -- a sum that two threads take part in ----------------------------------------------------------------- */

static pthread_barrier_t meeting;
static double slots[PARTS][MOST_SUMS];

static void sum_of_two(void *self, double *values, size_t n) {
    const int part = *(const int *)self;
    assert_true(n <= MOST_SUMS);
    memcpy(slots[part], values, n * sizeof *values);
    pthread_barrier_wait(&meeting);
    for (size_t i = 0; i < n; i++) values[i] = slots[0][i] + slots[1][i];
    pthread_barrier_wait(&meeting);
}

/* -- a net and a piece of work ----------------------------------------------------------------------------
 */

typedef struct net {
    ich_graph graph;
    int input, output;
    double *values;
} net;

static net make_net(void) {
    net n = {0};
    ich_graph_init(&n.graph);
    n.input = ich_graph_input(&n.graph, "input", (ich_shape){SIDE, SIDE, CHANNELS});
    int x =
        ich_graph_add(&n.graph, "conv2d", "conv",
                      (ich_attr){.out = CHANNELS, .kernel = 3, .stride = 1, .pad = 1, .bias = true}, n.input);
    x = ich_graph_add(&n.graph, "batch_norm", "norm", (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, x);
    x = ich_graph_add(&n.graph, "dropout", "drop", (ich_attr){.rate = 0.3f}, x);
    x = ich_graph_add(&n.graph, "relu", "relu", (ich_attr){0}, x);
    n.output = ich_graph_add(&n.graph, "linear", "fc", (ich_attr){.out = ROW, .bias = true}, x);
    assert_true(n.output >= 0);
    n.values = aligned_alloc(64, (n.graph.n_values * sizeof(double) + 63) / 64 * 64);
    float *start = calloc(n.graph.n_values, sizeof *start);
    ich_graph_initialize(&n.graph, 1, start);
    for (size_t i = 0; i < n.graph.n_values; i++) n.values[i] = (double)start[i];
    free(start);
    return n;
}

typedef struct work {
    int part, first, rows;
    int alone; /* in so many parts; 0: together with the other */
    net net;
    double *gradients, out[ROWS * ROW], d_in[ROWS * ROW];
} work;

static double number(size_t i, int which) {
    ich_rng rng = ich_rng_make(3, ICH_RNG_TEST, i * 2 + (size_t)which);
    return 2 + (double)ich_rng_normal(&rng);
}

static void *run(void *argument) {
    work *w = argument;
    const ich_across across = {.sum = sum_of_two, .self = &w->part};
    const ich_exec_options options = {.precision = ICH_F64,
                                      .inputs = {w->net.input},
                                      .n_inputs = 1,
                                      .outputs = {w->net.output},
                                      .n_outputs = 1,
                                      .max_rows = ROWS,
                                      .gradient = true,
                                      .input_gradient = true,
                                      .batch_statistics = true,
                                      .training = true,
                                      .parts = w->alone,
                                      .across = w->alone ? NULL : &across};
    ich_error err = {0};
    ich_exec *exec = ich_exec_create(&w->net.graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    const size_t bytes = (w->net.graph.n_values * sizeof(double) + 63) / 64 * 64, n = (size_t)w->rows * ROW;
    w->gradients = aligned_alloc(64, bytes);
    memset(w->gradients, 0, bytes);
    ich_exec_bind(exec, w->net.values, w->gradients);
    ich_exec_prepare(exec);
    ich_exec_key(exec, 5, 7);
    ich_exec_part(exec, (size_t)w->first, 0);
    double *in = ich_exec_value(exec, w->net.input), *d_out = ich_exec_gradient(exec, w->net.output);
    for (size_t i = 0; i < n; i++) in[i] = number(i + (size_t)w->first * ROW, 0);
    ich_exec_forward(exec, w->rows, 0, NULL);
    memcpy(w->out, ich_exec_value(exec, w->net.output), n * sizeof(double));
    for (size_t i = 0; i < n; i++) d_out[i] = number(i + (size_t)w->first * ROW, 1);
    ich_exec_backward(exec);
    memcpy(w->d_in, ich_exec_gradient(exec, w->net.input), n * sizeof(double));
    ich_exec_free(exec);
    return NULL;
}

static void release(work *w) {
    free(w->gradients);
    free(w->net.values);
    ich_graph_free(&w->net.graph);
}

static void assert_near(const double *a, const double *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= 1e-9 * (1 + fabs(b[i]))))
            fail_msg("element %zu: %g, not %g", i, a[i], b[i]);
}

static void assert_same(const double *a, const double *b, size_t n) {
    assert_memory_equal(a, b, n * sizeof *a);
}

/* Exactly, where `whole` is cut as the threads are. */
static void check_cut(int cut, int parts) {
    static work whole, part[PARTS];
    pthread_t threads[PARTS];
    void (*const agree)(const double *, const double *, size_t) = parts == PARTS ? assert_same : assert_near;
    whole = (work){.rows = ROWS, .alone = parts, .net = make_net()};
    run(&whole);
    pthread_barrier_init(&meeting, NULL, PARTS);
    for (int i = 0; i < PARTS; i++) {
        part[i] = (work){.part = i, .first = i ? cut : 0, .rows = i ? ROWS - cut : cut, .net = make_net()};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &part[i]), 0);
    }
    for (int i = 0; i < PARTS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meeting);
    const size_t n = whole.net.graph.n_values;
    for (int i = 0; i < PARTS; i++) {
        const size_t at = (size_t)part[i].first * ROW, count = (size_t)part[i].rows * ROW;
        agree(part[i].out, whole.out + at, count);
        agree(part[i].d_in, whole.d_in + at, count);
        agree(part[i].net.values, whole.net.values, n); /* running statistics */
    }
    for (size_t i = 0; i < n; i++) part[0].gradients[i] += part[1].gradients[i];
    agree(part[0].gradients, whole.gradients, n);
    release(&whole);
    for (int i = 0; i < PARTS; i++) release(&part[i]);
}

static void test_parts_are_as_the_whole(void **state) {
    (void)state;
    for (int cut = 0; cut <= ROWS; cut++) check_cut(cut, 1); /* 0 and ROWS: one has nothing to do */
}

static void test_one_in_parts_gives_the_same_bits(void **state) {
    (void)state;
    check_cut((ROWS + 1) / 2, PARTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts_are_as_the_whole),
                                       cmocka_unit_test(test_one_in_parts_gives_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
