/* The plan and its execution: fusing changes no result, memory is never shared by two living values, fewer
 * rows than planned give the same bits, a step allocates nothing, and the gradient of a whole model is the
 * numerical one. */
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
#include "layers/loss.h"
#include "layers/plan.h"
#include "layers/zoo.h"
#include "tensor/rng.h"
#include "tensor/team.h"

enum { LABELS = 6, SIZE = 21 };

/* -- every allocation of ours is counted (linked with --wrap) ------------------------------------------- */

static size_t allocations;
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_realloc(void *, size_t);
void *__wrap_malloc(size_t);
void *__wrap_calloc(size_t, size_t);
void *__wrap_realloc(void *, size_t);
void *__wrap_malloc(size_t size) { return allocations++, __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return allocations++, __real_calloc(count, size); }
void *__wrap_realloc(void *old, size_t size) { return allocations++, __real_realloc(old, size); }

/* -- a network to run ------------------------------------------------------------------------------- */

typedef struct net {
    ich_graph graph;
    int input, features, output;
    float *values, *gradients;
} net;

static void randomise(float *values, size_t n, uint64_t index) {
    ich_rng rng = ich_rng_make(7, ICH_RNG_TEST, index);
    for (size_t i = 0; i < n; i++) values[i] = ich_rng_range(&rng, -1, 1);
}

static void fill_net(net *n) {
    if (n->output < 0) fail_msg("%s", n->graph.error.text);
    n->input = ich_graph_find(&n->graph, "input");
    n->values = aligned_alloc(64, n->graph.n_values * sizeof(float));
    n->gradients = aligned_alloc(64, n->graph.n_values * sizeof(float));
    assert_true(n->values && n->gradients);
    ich_graph_initialize(&n->graph, 3, n->values);
    for (int p = 0; p < n->graph.n_params; p++) { /* batch norms that do something */
        const ich_param *param = &n->graph.params[p];
        float *v = n->values + param->offset;
        ich_rng rng = ich_rng_make(8, ICH_RNG_TEST, (uint64_t)p);
        if (param->rank == 1)
            for (size_t i = 0; i < param->count; i++) v[i] += ich_rng_range(&rng, -0.3f, 0.3f);
    }
}

static net make_net(const char *arch, bool study) {
    net n = {0};
    ich_graph_init(&n.graph);
    n.features = ich_zoo_cnn(&n.graph, arch, SIZE, 3);
    ich_study_head head = {.hidden = 8, .attention = 8, .heads = 1, .gated = true};
    n.output = study ? ich_zoo_study_head(&n.graph, n.features, &head, LABELS)
                     : ich_zoo_image_head(&n.graph, n.features, LABELS);
    fill_net(&n);
    return n;
}

/* What no CNN of the zoo has: a convolution with a bias of its own before a batch norm. */
static net make_biased_net(void) {
    const ich_attr convolution = {.out = 10, .kernel = 3, .stride = 2, .pad = 1, .bias = true};
    net n = {0};
    ich_graph_init(&n.graph);
    int x = ich_graph_input(&n.graph, "input", (ich_shape){SIZE, SIZE, 3});
    x = ich_graph_add(&n.graph, "conv2d", "conv", convolution, x);
    x = ich_graph_add(&n.graph, "batch_norm", "norm", (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, x);
    n.features = ich_graph_add(&n.graph, "global_average", "pool", (ich_attr){0}, x);
    n.output = ich_zoo_image_head(&n.graph, n.features, LABELS);
    fill_net(&n);
    return n;
}

static void free_net(net *n) {
    free(n->values);
    free(n->gradients);
    ich_graph_free(&n->graph);
}

static ich_exec *make_exec(net *n, ich_exec_options options) {
    ich_error err = {0};
    if (!options.n_inputs) options.inputs[options.n_inputs++] = n->input;
    if (!options.n_outputs) options.outputs[options.n_outputs++] = n->output;
    ich_exec *exec = ich_exec_create(&n->graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    memset(n->gradients, 0, n->graph.n_values * sizeof(float));
    ich_exec_bind(exec, n->values, n->gradients);
    ich_exec_prepare(exec);
    return exec;
}

static void forward(net *n, ich_exec *exec, int rows, float *logits) {
    float *images = ich_exec_value(exec, n->input);
    for (int r = 0; r < rows; r++)
        randomise(images + (size_t)r * SIZE * SIZE * 3, SIZE * SIZE * 3, (uint64_t)r);
    ich_exec_forward(exec, rows, 0, NULL);
    memcpy(logits, ich_exec_value(exec, n->output), (size_t)(rows * LABELS) * sizeof(float));
}

static void backward(net *n, ich_exec *exec, int rows) {
    randomise(ich_exec_gradient(exec, n->output), (size_t)(rows * LABELS), 99);
    ich_exec_backward(exec);
}

/* Greatest difference relative to the greatest value of b. */
static double distance(const float *a, const float *b, size_t n) {
    double worst = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        most = fmax(most, fabs((double)b[i]));
    }
    return worst / most;
}

/* -- behaviours ------------------------------------------------------------------------------------- */

static void folding_and_fusing_change_no_inference(void **state) {
    (void)state;
    net nets[] = {make_net("resnet18", false), make_net("resnet50", false), make_biased_net()};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        float fused[3 * LABELS], plain[3 * LABELS];
        ich_exec *exec = make_exec(&nets[i], (ich_exec_options){.max_rows = 3});
        forward(&nets[i], exec, 3, fused);
        ich_exec_free(exec);
        exec = make_exec(&nets[i], (ich_exec_options){.max_rows = 3, .keep_all = true});
        forward(&nets[i], exec, 3, plain);
        ich_exec_free(exec);
        assert_true(distance(fused, plain, 3 * LABELS) < 1e-5);
        free_net(&nets[i]);
    }
}

static void fusing_and_sharing_memory_change_no_gradient(void **state) {
    (void)state;
    for (int batch_statistics = 0; batch_statistics < 2; batch_statistics++) {
        net n = make_net("resnet18", false);
        float a[3 * LABELS], b[3 * LABELS];
        size_t size = n.graph.n_values;
        float *values = malloc(size * sizeof *values), *first = malloc(size * sizeof *first);
        assert_true(values && first);
        memcpy(values, n.values, size * sizeof *values); /* running statistics move */
        ich_exec_options options = {.max_rows = 3, .gradient = true, .batch_statistics = batch_statistics};
        ich_exec *exec = make_exec(&n, options);
        forward(&n, exec, 3, a);
        backward(&n, exec, 3);
        ich_exec_free(exec);
        memcpy(first, n.gradients, size * sizeof *first);
        memcpy(n.values, values, size * sizeof *values);
        options.keep_all = true;
        exec = make_exec(&n, options);
        forward(&n, exec, 3, b);
        backward(&n, exec, 3);
        ich_exec_free(exec);
        assert_true(distance(a, b, 3 * LABELS) < 1e-5);
        assert_true(distance(first, n.gradients, size) < 1e-5);
        free(values);
        free(first);
        free_net(&n);
    }
}

static void no_two_living_buffers_overlap(void **state) {
    (void)state;
    net n = make_net("resnet50", false);
    for (int mode = 0; mode < 3; mode++) {
        ich_exec *e = make_exec(
            &n, (ich_exec_options){.max_rows = 5, .gradient = mode > 0, .batch_statistics = mode > 1});
        for (int i = 0; i < e->n_buffers; i++)
            for (int j = 0; j < i; j++) {
                const ich_buffer *a = &e->buffers[i], *b = &e->buffers[j];
                bool together = a->birth <= b->death && b->birth <= a->death;
                bool overlap = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
                assert_false(together && overlap);
                assert_true(a->death >= a->birth);
            }
        ich_exec_free(e);
    }
    free_net(&n);
}

static void fewer_rows_than_planned_and_any_company_give_the_same_bits(void **state) {
    (void)state;
    net n = make_net("resnet18", false);
    float many[5 * LABELS], few[2 * LABELS], again[2 * LABELS];
    ich_exec *wide = make_exec(&n, (ich_exec_options){.max_rows = 5});
    forward(&n, wide, 5, many);
    forward(&n, wide, 2, few);
    ich_exec_free(wide);
    ich_exec *narrow = make_exec(&n, (ich_exec_options){.max_rows = 2});
    forward(&n, narrow, 2, again);
    ich_exec_free(narrow);
    assert_memory_equal(few, many, sizeof few);
    assert_memory_equal(few, again, sizeof few);
    free_net(&n);
}

static void any_number_of_threads_gives_the_same_bits(void **state) {
    (void)state;
    net n = make_net("resnet18", false);
    size_t bytes = n.graph.n_values * sizeof(float);
    float logits[4 * LABELS], *first = malloc(bytes), *start = malloc(bytes);
    assert_true(first && start);
    memcpy(start, n.values, bytes);
    for (int threads = 1; threads <= 4; threads++) {
        ich_team_set(threads);
        memcpy(n.values, start, bytes);
        ich_exec *exec =
            make_exec(&n, (ich_exec_options){.max_rows = 4, .gradient = true, .batch_statistics = true});
        forward(&n, exec, 4, logits);
        backward(&n, exec, 4);
        ich_exec_free(exec);
        if (threads == 1)
            memcpy(first, n.gradients, bytes);
        else
            assert_memory_equal(first, n.gradients, bytes);
    }
    ich_team_set(0);
    free(first);
    free(start);
    free_net(&n);
}

static void a_training_step_allocates_nothing(void **state) {
    (void)state;
    net n = make_net("resnet18", false);
    float logits[4 * LABELS];
    ich_exec *exec =
        make_exec(&n, (ich_exec_options){.max_rows = 4, .gradient = true, .batch_statistics = true});
    forward(&n, exec, 4, logits); /* whatever is made on first use is made now */
    backward(&n, exec, 4);
    size_t before = allocations;
    for (int step = 0; step < 3; step++) {
        ich_exec_prepare(exec);
        forward(&n, exec, 4, logits);
        backward(&n, exec, 4);
    }
    assert_int_equal(allocations, before);
    assert_true(before > 0); /* the counter works */
    ich_exec_free(exec);
    free_net(&n);
}

/* Loss of the whole study model in double, as a function of its parameters. */
static double study_loss(ich_exec *exec, const net *n, int rows, const int *offsets, bool with_gradient) {
    const double target[2 * LABELS] = {1, 0, NAN, 1, 0, 0, 0, 1, 0, 0, 1, 0},
                            weight[LABELS] = {2, 1, 1, 1, 1, 1};
    ich_exec_prepare(exec);
    ich_exec_forward(exec, rows, 2, offsets);
    double loss = ich_loss_bce_f64(2, LABELS, ich_exec_value(exec, n->output), target, weight, 1.0 / 14,
                                   ich_exec_gradient(exec, n->output));
    if (with_gradient) ich_exec_backward(exec);
    return loss;
}

static void the_gradient_of_a_whole_study_model_is_the_numerical_one(void **state) {
    (void)state;
    net n = make_net("resnet18", true);
    const int offsets[] = {0, 1, 4};
    ich_error err = {0};
    ich_exec_options options = {.precision = ICH_F64,
                                .inputs = {n.input},
                                .n_inputs = 1,
                                .outputs = {n.output},
                                .n_outputs = 1,
                                .max_rows = 4,
                                .max_studies = 2,
                                .gradient = true,
                                .batch_statistics = true};
    ich_exec *exec = ich_exec_create(&n.graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    double *values = calloc(n.graph.n_values, sizeof *values),
           *gradients = calloc(n.graph.n_values, sizeof *gradients);
    assert_true(values && gradients);
    for (size_t i = 0; i < n.graph.n_values; i++) values[i] = n.values[i];
    ich_exec_bind(exec, values, gradients);
    double *images = ich_exec_value(exec, n.input);
    ich_rng rng = ich_rng_make(5, ICH_RNG_TEST, 0);
    for (int i = 0; i < 4 * SIZE * SIZE * 3; i++) images[i] = ich_rng_range(&rng, -1, 1);
    study_loss(exec, &n, 4, offsets, true);
    for (int p = 0; p < n.graph.n_params; p++) {
        const ich_param *param = &n.graph.params[p];
        if (!param->trainable) continue;
        size_t at = param->offset + param->count / 3;
        double was = values[at], h = 1e-6;
        values[at] = was + h;
        double up = study_loss(exec, &n, 4, offsets, false);
        values[at] = was - h;
        double down = study_loss(exec, &n, 4, offsets, false);
        values[at] = was;
        double numeric = (up - down) / (2 * h), scale = fmax(fabs(numeric), 1e-4);
        if (fabs(numeric - gradients[at]) > 1e-5 * scale) /* kinks of ReLU within h blur the numerical one */
            fail_msg("%s[%zu]: analytic %.10g, numeric %.10g", param->name, param->count / 3, gradients[at],
                     numeric);
    }
    free(values);
    free(gradients);
    ich_exec_free(exec);
    free_net(&n);
}

static void a_plan_that_cannot_be_is_refused(void **state) {
    (void)state;
    net n = make_net("resnet18", true);
    ich_error err = {0};
    ich_exec_options options = {
        .inputs = {n.features}, .n_inputs = 1, .outputs = {n.output}, .n_outputs = 1, .max_rows = 4};
    assert_null(ich_exec_create(&n.graph, &options, &err)); /* no studies planned */
    assert_non_null(strstr(err.text, "studies"));
    options.outputs[0] = n.graph.n_nodes;
    assert_null(ich_exec_create(&n.graph, &options, &err));
    options = (ich_exec_options){
        .inputs = {n.output}, .n_inputs = 1, .outputs = {n.features}, .n_outputs = 1, .max_rows = 1};
    assert_null(ich_exec_create(&n.graph, &options, &err)); /* needs the images, which nobody supplies */
    assert_non_null(strstr(err.text, "input"));
    free_net(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding_and_fusing_change_no_inference),
        cmocka_unit_test(fusing_and_sharing_memory_change_no_gradient),
        cmocka_unit_test(no_two_living_buffers_overlap),
        cmocka_unit_test(fewer_rows_than_planned_and_any_company_give_the_same_bits),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(a_training_step_allocates_nothing),
        cmocka_unit_test(the_gradient_of_a_whole_study_model_is_the_numerical_one),
        cmocka_unit_test(a_plan_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
