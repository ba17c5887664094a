/* A step is torch's step, and changes what it may and nothing else: not frozen groups, not buffers, not the
 * gaps between parameters, and nothing at all when the gradient is not finite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optim/optimizer.h"
#include "tensor/arena.h"
#include "tensor/rng.h"
#include "tensor/team.h"
#include "torch_steps.h"

/* -- a network with every sort of parameter --------------------------------------------------------- */

/* A graph, its values and gradients, drawn at random, and an optimizer. */
typedef struct net {
    ich_graph graph;
    float *values, *gradients;
    ich_optimizer optimizer;
} net;

static float *new_floats(size_t n) {
    float *floats = aligned_alloc(ICH_ALIGN, ich_align(n * sizeof *floats));
    assert_non_null(floats);
    return floats;
}

static void draw(float *to, size_t n, uint64_t index) {
    ich_rng rng = ich_rng_make(3, ICH_RNG_TEST, index);
    for (size_t i = 0; i < n; i++) to[i] = ich_rng_normal(&rng);
}

static void net_init(net *n, ich_optimizer_kind kind, int units, double ema) {
    ich_error err = {""};
    ich_graph *graph = &n->graph;
    ich_graph_init(graph);
    graph->group = ICH_GROUP_CNN; /* weight, and a norm's weight, bias, running mean and variance */
    int x = ich_graph_input(graph, "input", (ich_shape){5, 4, 3});
    x = ich_graph_add(graph, "conv2d", "conv", (ich_attr){.out = 7, .kernel = 3, .stride = 1, .pad = 1}, x);
    x = ich_graph_add(graph, "batch_norm", "bn", (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, x);
    graph->group = ICH_GROUP_HEAD; /* weight and bias */
    x = ich_graph_add(graph, "linear", "fc", (ich_attr){.out = units, .bias = true}, x);
    if (x < 0) fail_msg("%s", graph->error.text);
    n->values = new_floats(graph->n_values);
    n->gradients = new_floats(graph->n_values);
    draw(n->values, graph->n_values, 0);
    draw(n->gradients, graph->n_values, 1);
    if (!ich_optimizer_init(&n->optimizer, kind, graph, ema, &err)) fail_msg("%s", err.text);
}

static void net_free(net *n) {
    ich_optimizer_free(&n->optimizer);
    ich_graph_free(&n->graph);
    free(n->values);
    free(n->gradients);
}

static double take_step(net *n, double cnn, double head) {
    const double lr[ICH_GROUPS] = {[ICH_GROUP_CNN] = cnn, [ICH_GROUP_HEAD] = head};
    return ich_optimizer_step(&n->optimizer, &n->graph, lr, n->gradients, n->values);
}

static const ich_param *param_named(const net *n, const char *name) {
    const int p = ich_graph_find_param(&n->graph, name);
    assert_true(p >= 0);
    return &n->graph.params[p];
}

/* A copy of everything that a step may change. */
typedef struct copy {
    float *array[4]; /* values, state, average; NULL where there is none */
} copy;

static copy copy_of(const net *n) {
    float *const arrays[4] = {n->values, n->optimizer.state[0], n->optimizer.state[1], n->optimizer.average};
    copy c = {{NULL}};
    for (int i = 0; i < 4; i++)
        if (arrays[i])
            c.array[i] = memcpy(new_floats(n->graph.n_values), arrays[i], n->graph.n_values * sizeof(float));
    return c;
}

static void copy_free(copy *c) {
    for (int i = 0; i < 4; i++) free(c->array[i]);
}

/* How many of the first `arrays` differ from the copy in elements first … first + count. */
static int changed(const net *n, const copy *c, int arrays, size_t first, size_t count) {
    float *const now[4] = {n->values, n->optimizer.state[0], n->optimizer.state[1], n->optimizer.average};
    int different = 0;
    for (int i = 0; i < arrays; i++)
        different += now[i] && memcmp(now[i] + first, c->array[i] + first, count * sizeof(float)) != 0;
    return different;
}

/* -- the formulas ----------------------------------------------------------------------------------- */

/* One element as optimizer.h writes it, in double. */
typedef struct element {
    double p, m, v;
} element;

static void step_in_double(const ich_optimizer *o, double lr, double decay, double g, int t, element *e) {
    if (o->kind == ICH_SGD) {
        e->v = o->momentum * e->v + (g + decay * e->p);
        e->p -= lr * e->v;
        return;
    }
    e->p -= lr * decay * e->p;
    e->m = o->beta1 * e->m + (1 - o->beta1) * g;
    e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
    e->p -= lr * (e->m / (1 - pow(o->beta1, t))) / (sqrt(e->v / (1 - pow(o->beta2, t))) + o->eps);
}

static void assert_near(double got, double expected, const char *what) {
    if (!(fabs(got - expected) <= 3e-6 * fmax(1, fabs(expected))))
        fail_msg("%s: %.9g is not %.9g", what, got, expected);
}

static void each_parameter_follows_the_formula(ich_optimizer_kind kind) {
    net n;
    net_init(&n, kind, 5, 0);
    n.optimizer.weight_decay = 0.1;
    n.optimizer.momentum = 0.8;
    n.optimizer.beta1 = 0.7;
    n.optimizer.beta2 = 0.95;
    n.optimizer.eps = 1e-4;
    element *expected = calloc(n.graph.n_values, sizeof *expected);
    assert_non_null(expected);
    for (size_t i = 0; i < n.graph.n_values; i++) expected[i].p = n.values[i];
    for (int t = 1; t <= 5; t++) {
        const double lr[ICH_GROUPS] = {[ICH_GROUP_CNN] = 0.01 * t, [ICH_GROUP_HEAD] = 0.1};
        draw(n.gradients, n.graph.n_values, (uint64_t)t);
        take_step(&n, lr[ICH_GROUP_CNN], lr[ICH_GROUP_HEAD]);
        for (int p = 0; p < n.graph.n_params; p++) {
            const ich_param *param = &n.graph.params[p];
            for (size_t i = param->offset; i < param->offset + param->count; i++) {
                const double decay = param->rank > 1 ? 0.1 : 0; /* weights; not biases, not norms */
                if (param->trainable)
                    step_in_double(&n.optimizer, lr[param->group], decay, n.gradients[i], t, &expected[i]);
                assert_near(n.values[i], expected[i].p, param->name);
            }
        }
    }
    assert_int_equal(n.optimizer.step, 5);
    free(expected);
    net_free(&n);
}

static void every_kernel_follows_the_formulas(void **state) {
    (void)state;
    ich_error err = {""};
    for (const char *const *name = ich_kernels_available(); *name; name++) {
        assert_true(ich_kernels_select(*name, false, &err));
        each_parameter_follows_the_formula(ICH_SGD);
        each_parameter_follows_the_formula(ICH_ADAMW);
    }
    assert_true(ich_kernels_select("auto", false, &err));
}

static void check_torch(ich_optimizer_kind kind, double clip, const double *values, const double *norms) {
    ich_graph graph;
    ich_optimizer optimizer;
    ich_error err = {""};
    ich_graph_init(&graph);
    const int x = ich_graph_input(&graph, "input", (ich_shape){1, 1, WEIGHTS});
    assert_true(ich_graph_add(&graph, "linear", "fc", (ich_attr){.out = 1, .bias = true}, x) >= 0);
    assert_true(ich_optimizer_init(&optimizer, kind, &graph, 0, &err));
    optimizer.weight_decay = 0.1;
    optimizer.clip = clip;
    float *now = new_floats(graph.n_values), *slope = new_floats(graph.n_values);
    const size_t bias = graph.params[1].offset;
    memcpy(now, start, WEIGHTS * sizeof *now);
    now[bias] = start[WEIGHTS];
    for (int t = 0; t < STEPS; t++) {
        const double lr[ICH_GROUPS] = {[ICH_GROUP_CNN] = 0.05 / (t + 1)};
        memcpy(slope, gradient + t * (WEIGHTS + 1), WEIGHTS * sizeof *slope);
        slope[bias] = gradient[t * (WEIGHTS + 1) + WEIGHTS];
        assert_near(ich_optimizer_step(&optimizer, &graph, lr, slope, now), norms[t], "norm");
        const double *expected = values + t * (WEIGHTS + 1);
        for (int i = 0; i < WEIGHTS; i++) assert_near(now[i], expected[i], "weight");
        assert_near(now[bias], expected[WEIGHTS], "bias");
    }
    free(now);
    free(slope);
    ich_optimizer_free(&optimizer);
    ich_graph_free(&graph);
}

static void steps_are_torchs(void **state) {
    (void)state;
    check_torch(ICH_ADAMW, 0, adamw_values, adamw_norms);
    check_torch(ICH_ADAMW, 1.5, adamw_clipped_values, adamw_clipped_norms);
    check_torch(ICH_SGD, 0, sgd_values, sgd_norms);
    check_torch(ICH_SGD, 1.5, sgd_clipped_values, sgd_clipped_norms);
}

static void clipping_shortens_long_gradients_alone(void **state) {
    (void)state;
    net n, clipped;
    net_init(&n, ICH_SGD, 5, 0);
    net_init(&clipped, ICH_SGD, 5, 0);
    const double norm = take_step(&n, 0.1, 0.1);
    clipped.optimizer.clip = norm * 1.01; /* not reached */
    assert_true(take_step(&clipped, 0.1, 0.1) == norm);
    assert_memory_equal(n.values, clipped.values, n.graph.n_values * sizeof(float));
    copy before = copy_of(&clipped);
    memset(clipped.optimizer.state[0], 0, n.graph.n_values * sizeof(float)); /* a step without momentum */
    clipped.optimizer.weight_decay = 0;
    clipped.optimizer.clip = norm / 8;
    assert_true(take_step(&clipped, 0.1, 0.1) == norm); /* before clipping */
    double moved = 0;
    for (size_t i = 0; i < n.graph.n_values; i++) moved += pow(clipped.values[i] - before.array[0][i], 2);
    assert_near(sqrt(moved), 0.1 * norm / 8, "length of the step");
    copy_free(&before);
    net_free(&n);
    net_free(&clipped);
}

/* -- what a step leaves alone ----------------------------------------------------------------------- */

static void a_frozen_group_stays_as_it_is(void **state) {
    (void)state;
    for (int kind = ICH_SGD; kind <= ICH_ADAMW; kind++)
        for (int frozen = 0; frozen < ICH_GROUPS; frozen++) {
            net n;
            net_init(&n, (ich_optimizer_kind)kind, 5, 0);
            take_step(&n, 0.1, 0.1); /* so that there is state */
            copy before = copy_of(&n);
            double squares = 0;
            const double norm =
                take_step(&n, frozen == ICH_GROUP_CNN ? 0 : 0.1, frozen == ICH_GROUP_HEAD ? 0 : 0.1);
            for (int p = 0; p < n.graph.n_params; p++) {
                const ich_param *param = &n.graph.params[p];
                const bool learns = param->trainable && (int)param->group != frozen;
                assert_int_equal(changed(&n, &before, 3, param->offset, param->count), !learns           ? 0
                                                                                       : kind == ICH_SGD ? 2
                                                                                                         : 3);
                for (size_t i = 0; learns && i < param->count; i++)
                    squares += pow(n.gradients[param->offset + i], 2);
            }
            assert_near(norm, sqrt(squares), "norm of what learns");
            copy_free(&before);
            net_free(&n);
        }
}

static void buffers_and_gaps_are_no_business_of_a_step(void **state) {
    (void)state;
    net n;
    net_init(&n, ICH_ADAMW, 5, 0.5);
    bool *used = calloc(n.graph.n_values, sizeof *used);
    assert_non_null(used);
    for (int p = 0; p < n.graph.n_params; p++)
        for (size_t i = 0; n.graph.params[p].trainable && i < n.graph.params[p].count; i++)
            used[n.graph.params[p].offset + i] = true;
    size_t others = 0;
    for (size_t i = 0; i < n.graph.n_values; i++)
        if (!used[i]) n.gradients[i] = NAN, others++;
    assert_true(others > 2 * 7); /* there are gaps besides the two buffers */
    copy before = copy_of(&n);
    assert_true(isfinite(take_step(&n, 0.1, 0.1)));
    for (size_t i = 0; i < n.graph.n_values; i++)
        assert_int_equal(changed(&n, &before, 3, i, 1) > 0, used[i]);
    free(used);
    copy_free(&before);
    net_free(&n);
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int kind = ICH_SGD; kind <= ICH_ADAMW; kind++)
        for (int i = 0; i < 3; i++) {
            net n;
            net_init(&n, (ich_optimizer_kind)kind, 5, 0.5);
            n.optimizer.clip = 1;
            take_step(&n, 0.1, 0.1);
            copy before = copy_of(&n);
            const ich_param *bias = param_named(&n, "fc.bias"); /* the last one: all others come before it */
            n.gradients[bias->offset + bias->count - 1] = bad[i];
            assert_false(isfinite(take_step(&n, 0.1, 0.1)));
            assert_int_equal(n.optimizer.step, 1);
            assert_int_equal(changed(&n, &before, 4, 0, n.graph.n_values), 0);
            assert_true(isfinite(take_step(&n, 0.1, 0))); /* a frozen group's gradient does not count */
            copy_free(&before);
            net_free(&n);
        }
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    for (int kind = ICH_SGD; kind <= ICH_ADAMW; kind++) {
        net alone;
        ich_team_set(1);
        net_init(&alone, (ich_optimizer_kind)kind, 900, 0.9); /* enough for several threads */
        alone.optimizer.clip = 1;
        double norm = 0;
        for (int i = 0; i < 3; i++) norm = take_step(&alone, 0.1, 0.2);
        copy expected = copy_of(&alone);
        for (int threads = 2; threads <= 3; threads++) {
            net n;
            ich_team_set(threads);
            net_init(&n, (ich_optimizer_kind)kind, 900, 0.9);
            n.optimizer.clip = 1;
            for (int i = 0; i < 2; i++) take_step(&n, 0.1, 0.2);
            assert_true(take_step(&n, 0.1, 0.2) == norm);
            assert_int_equal(changed(&n, &expected, 4, 0, n.graph.n_values), 0);
            net_free(&n);
        }
        copy_free(&expected);
        net_free(&alone);
    }
    ich_team_set(0);
}

/* -- average ---------------------------------------------------------------------------------------- */

static void the_average_is_the_weighted_mean_of_all_steps(void **state) {
    (void)state;
    enum { TIMES = 6 };
    const double ema = 0.75;
    net n;
    net_init(&n, ICH_ADAMW, 5, ema);
    const ich_param *mean = param_named(&n, "bn.running_mean");
    double *sum = calloc(n.graph.n_values, sizeof *sum), weight = 0;
    assert_non_null(sum);
    for (int t = 1; t <= TIMES; t++) {
        for (size_t i = 0; i < mean->count; i++) n.values[mean->offset + i] = (float)t; /* as forward would */
        draw(n.gradients, n.graph.n_values, (uint64_t)t);
        take_step(&n, 0.1, t % 2 ? 0.1 : 0);
        weight = ema * weight + 1;
        for (int p = 0; p < n.graph.n_params; p++)
            for (size_t i = n.graph.params[p].offset, k = 0; k < n.graph.params[p].count; i++, k++) {
                sum[i] = ema * sum[i] + n.values[i];
                assert_near(n.optimizer.average[i], sum[i] / weight, n.graph.params[p].name);
            }
        if (t == 1) assert_true(n.optimizer.average[mean->offset] == 1);
    }
    assert_true(n.optimizer.average[mean->offset] < TIMES - 1); /* buffers are averaged too */
    free(sum);
    net_free(&n);
}

static void what_is_not_asked_for_is_not_kept(void **state) {
    (void)state;
    net n;
    net_init(&n, ICH_SGD, 5, 0);
    assert_null(n.optimizer.average);
    assert_null(n.optimizer.state[1]);
    for (size_t i = 0; i < n.graph.n_values; i++) assert_true(n.optimizer.state[0][i] == 0);
    ich_optimizer_free(&n.optimizer);
    assert_null(n.optimizer.state[0]);
    net_free(&n); /* freeing twice is harmless */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_follows_the_formulas),
        cmocka_unit_test(steps_are_torchs),
        cmocka_unit_test(clipping_shortens_long_gradients_alone),
        cmocka_unit_test(a_frozen_group_stays_as_it_is),
        cmocka_unit_test(buffers_and_gaps_are_no_business_of_a_step),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(the_average_is_the_weighted_mean_of_all_steps),
        cmocka_unit_test(what_is_not_asked_for_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
