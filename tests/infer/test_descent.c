/* The gradient that heatmaps stand on: of the study's logit, through attention, BiLSTM and CNN, with respect
 * to what flows through a tap, against finite differences in double precision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/labels.h"
#include "infer/descent.h"
#include "infer/head.h"
#include "support.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLICES = 5, SIZE = 64 };

typedef struct bench {
    ich_model model;
    ich_taps taps;
    ich_descent trace;
} bench;

/* A study of noise, from the pictures to the taps, and its logit of `label` back. */
static void set_up(bench *b, int label) {
    ich_error err = {0};
    ich_recipe recipe = test_recipe();
    ich_head head;
    recipe.size = SIZE;
    if (!ich_model_create(&b->model, &recipe, false, true, &err) ||
        !ich_taps_scales(&b->model.graph, b->model.input, b->model.features, &b->taps, &err) ||
        !ich_descent_open(&b->trace, &b->model, &b->taps, SLICES, &err) ||
        !ich_head_open(&head, &b->model, true, &err))
        fail_msg("%s", err.text);
    const ich_exec_options options = {.inputs = {b->model.input},
                                      .n_inputs = 1,
                                      .outputs = {b->model.features, b->taps.node[0]},
                                      .n_outputs = 2,
                                      .max_rows = SLICES};
    ich_exec *cnn = ich_exec_create(&b->model.graph, &options, &err);
    assert_non_null(cnn);
    ich_exec_bind(cnn, b->model.values, NULL);
    ich_exec_prepare(cnn);
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 0);
    float *input = ich_exec_value(cnn, b->model.input);
    for (int i = 0; i < SLICES * SIZE * SIZE * 3; i++) input[i] = ich_rng_range(&rng, -2, 2);
    ich_exec_forward(cnn, SLICES, 0, NULL);
    const size_t count = SLICES * ich_shape_count(b->model.graph.nodes[b->taps.node[0]].shape);
    memcpy(ich_descent_value(&b->trace, 0), ich_exec_value(cnn, b->taps.node[0]), count * sizeof(float));
    assert_true(ich_head_run(&head, ich_exec_value(cnn, b->model.features), SLICES, &err));
    ich_descent_run(&b->trace, SLICES, ich_head_gradient(&head, label));
    ich_head_close(&head);
    ich_exec_free(cnn);
}

static void tear_down(bench *b) {
    ich_descent_close(&b->trace);
    ich_model_free(&b->model);
}

/* The study's logit as a function of one tap's value, in double. */
static double logit_of(ich_exec *exec, int tap, int classifier, const float *value, const double *direction,
                       double step, size_t count, int label) {
    static const int offsets[2] = {0, SLICES};
    double *at = ich_exec_value(exec, tap);
    for (size_t i = 0; i < count; i++) at[i] = value[i] + step * direction[i];
    ich_exec_forward(exec, SLICES, 1, offsets);
    return ((const double *)ich_exec_value(exec, classifier))[label];
}

/* Along a random direction that points where the gradient is: d logit = gradient · direction. The bound
 * leaves room for ReLUs whose float input has the other sign than the double one. */
static void check_tap(bench *b, ich_exec *exec, int tap, int label) {
    const size_t count = SLICES * ich_shape_count(b->model.graph.nodes[b->taps.node[tap]].shape);
    const float *gradient = ich_descent_gradient(&b->trace, tap), *value = ich_descent_value(&b->trace, tap);
    double *direction = malloc(count * sizeof *direction), expected = 0, step = 1e-6;
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, (uint64_t)tap);
    assert_non_null(direction);
    for (size_t i = 0; i < count; i++) {
        direction[i] = (gradient[i] > 0 ? 1 : -1) * (double)ich_rng_range(&rng, 0.5f, 1.5f);
        expected += gradient[i] * direction[i];
    }
    const int node = b->taps.node[tap], out = b->model.classifier;
    const double slope = (logit_of(exec, node, out, value, direction, step, count, label) -
                          logit_of(exec, node, out, value, direction, -step, count, label)) /
                         (2 * step);
    if (!(fabs(slope - expected) <= 1e-2 * fabs(expected) && expected > 0))
        fail_msg("%s: slope %.9g, gradient %.9g", b->model.graph.nodes[node].name, slope, expected);
    free(direction);
}

static void the_gradient_of_the_study_agrees_with_finite_differences(void **state) {
    (void)state;
    enum { LABEL = 3 };
    bench b;
    set_up(&b, LABEL);
    double *values = calloc(b.model.graph.n_values, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < b.model.graph.n_values; i++) values[i] = b.model.values[i];
    for (int tap = 0; tap < b.taps.n; tap++) {
        ich_error err = {0};
        const ich_exec_options options = {.precision = ICH_F64,
                                          .inputs = {b.taps.node[tap]},
                                          .n_inputs = 1,
                                          .outputs = {b.model.classifier},
                                          .n_outputs = 1,
                                          .max_rows = SLICES,
                                          .max_studies = 1};
        ich_exec *exec = ich_exec_create(&b.model.graph, &options, &err);
        if (exec == NULL) fail_msg("%s", err.text);
        ich_exec_bind(exec, values, NULL);
        ich_exec_prepare(exec);
        check_tap(&b, exec, tap, LABEL);
        ich_exec_free(exec);
    }
    free(values);
    tear_down(&b);
}

/* Features are means of the last maps: there the gradient is known without a way back. */
static void the_last_maps_gradient_is_that_of_the_features_spread_evenly(void **state) {
    (void)state;
    bench b;
    set_up(&b, ICH_ANY);
    const ich_shape shape = b.model.graph.nodes[b.taps.node[b.taps.n - 1]].shape;
    const float *gradient = ich_descent_gradient(&b.trace, b.taps.n - 1);
    float largest = 0;
    for (int t = 0; t < SLICES; t++) {
        const float *slice = gradient + t * shape.h * shape.w * shape.c;
        for (int i = 0; i < shape.h * shape.w * shape.c; i++) {
            assert_true(slice[i] == slice[i % shape.c]);
            largest = fmaxf(largest, fabsf(slice[i]));
        }
    }
    assert_true(largest > 0);
    tear_down(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_of_the_study_agrees_with_finite_differences),
        cmocka_unit_test(the_last_maps_gradient_is_that_of_the_features_spread_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
