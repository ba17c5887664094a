/* Every study head by itself against torch: logits and every gradient, on features of three studies of
 * different length (make_heads.py tells how the numbers came about). In double, where the bound is tight, and
 * in float on the active kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels.h"
#include "golden.h"
#include "layers/exec.h"
#include "layers/loss.h"
#include "layers/zoo.h"

enum { STUDIES = 3, ROWS = 13, FEATURES = 12, TARGETS = STUDIES * ICH_LABELS };
static const int offsets[STUDIES + 1] = {0, 5, 6, 13};

#define SIZES .hidden = 6, .attention = 5
static const struct {
    const char *stage;
    ich_study_head head;
} heads[] = {
    {"gated-attention", {SIZES, .heads = 1, .gated = true}},
    {"attention of two heads", {SIZES, .heads = 2}},
    {"attention without context", {SIZES, .heads = 1, .gated = true, .context = "none"}},
    {"mean", {SIZES, .pool = "mean"}},
    {"max", {SIZES, .pool = "max"}},
    {"top-k", {SIZES, .pool = "top-k", .top = 3}},
    {"noisy-or", {SIZES, .pool = "noisy-or"}},
    {"self-attention", {SIZES, .heads = 1, .gated = true, .context = "self-attention"}},
    {"gaussian process", {SIZES, .heads = 1, .gated = true, .gp = true}},
};
enum { HEADS = sizeof heads / sizeof *heads };

typedef struct run {
    ich_graph graph;
    int features, output;
    ich_csv table;
    float *values;
} run;

static void build(run *r, int head) {
    ich_error err = {0};
    *r = (run){0};
    if (!ich_csv_read(&r->table, ICHOR_SOURCE "/tests/golden/heads.csv", &err)) fail_msg("%s", err.text);
    ich_graph_init(&r->graph);
    r->features = ich_graph_input(&r->graph, "avgpool", (ich_shape){1, 1, FEATURES});
    r->output = ich_zoo_study_head(&r->graph, r->features, &heads[head].head, ICH_LABELS);
    if (r->output < 0) fail_msg("%s", r->graph.error.text);
    r->values = calloc(r->graph.n_values, sizeof *r->values);
    assert_non_null(r->values);
    golden_fill("resnet18", &r->graph, r->values);
}

static ich_exec *open_exec(const run *r, ich_precision precision, void *values, void *gradients) {
    ich_error err = {0};
    const ich_exec_options options = {.precision = precision,
                                      .inputs = {r->features},
                                      .n_inputs = 1,
                                      .outputs = {r->output},
                                      .n_outputs = 1,
                                      .max_rows = ROWS,
                                      .max_studies = STUDIES,
                                      .gradient = true,
                                      .input_gradient = true};
    ich_exec *exec = ich_exec_create(&r->graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    ich_exec_bind(exec, values, gradients);
    ich_exec_prepare(exec);
    return exec;
}

static void targets_of(double *target) {
    for (int i = 0; i < TARGETS; i++) target[i] = golden_number(golden_hash("labels"), (size_t)i) > 0.2;
    target[2] = NAN;
}

static void check_double(const run *r, const char *stage) {
    const size_t n = r->graph.n_values;
    double *values = calloc(n, sizeof *values), *gradients = calloc(n, sizeof *gradients);
    double target[TARGETS], weight[ICH_LABELS];
    assert_true(values && gradients);
    for (size_t i = 0; i < n; i++) values[i] = r->values[i];
    for (int l = 0; l < ICH_LABELS; l++) weight[l] = ich_label_weights[l];
    targets_of(target);
    ich_exec *exec = open_exec(r, ICH_F64, values, gradients);
    double *x = ich_exec_value(exec, r->features);
    for (size_t i = 0; i < ROWS * FEATURES; i++) x[i] = golden_number(golden_hash("features"), i);
    ich_exec_forward(exec, ROWS, STUDIES, offsets);
    const double *logits = ich_exec_value(exec, r->output);
    golden_compare(&r->table, stage, "logits", logits, TARGETS, 1e-10);
    const double loss = ich_loss_bce_f64(STUDIES, ICH_LABELS, logits, target, weight, 1.0 / (7 * STUDIES),
                                         ich_exec_gradient(exec, r->output));
    golden_compare(&r->table, stage, "loss", &loss, 1, 1e-10);
    ich_exec_backward(exec);
    golden_compare(&r->table, stage, "features", ich_exec_gradient(exec, r->features), ROWS * FEATURES, 1e-8);
    for (int p = 0; p < r->graph.n_params; p++) {
        const ich_param *param = &r->graph.params[p];
        if (param->trainable)
            golden_compare(&r->table, stage, param->name, gradients + param->offset, param->count, 1e-8);
    }
    ich_exec_free(exec);
    free(values);
    free(gradients);
}

static void check_float(const run *r, const char *stage) {
    float *gradients = calloc(r->graph.n_values, sizeof *gradients), target[TARGETS];
    double wide[TARGETS];
    assert_non_null(gradients);
    targets_of(wide);
    for (int i = 0; i < TARGETS; i++) target[i] = (float)wide[i];
    ich_exec *exec = open_exec(r, ICH_F32, r->values, gradients);
    float *x = ich_exec_value(exec, r->features);
    for (size_t i = 0; i < ROWS * FEATURES; i++) x[i] = (float)golden_number(golden_hash("features"), i);
    ich_exec_forward(exec, ROWS, STUDIES, offsets);
    const float *logits = ich_exec_value(exec, r->output);
    golden_compare_float(&r->table, stage, "logits", logits, TARGETS, 1e-4);
    ich_loss_bce_f32(STUDIES, ICH_LABELS, logits, target, ich_label_weights, 1.0 / (7 * STUDIES),
                     ich_exec_gradient(exec, r->output));
    ich_exec_backward(exec);
    golden_compare_float(&r->table, stage, "features", ich_exec_gradient(exec, r->features), ROWS * FEATURES,
                         1e-3);
    ich_exec_free(exec);
    free(gradients);
}

static void heads_match_torch(void **state) {
    (void)state;
    for (int h = 0; h < HEADS; h++) {
        run r;
        build(&r, h);
        check_double(&r, heads[h].stage);
        check_float(&r, heads[h].stage);
        free(r.values);
        ich_graph_free(&r.graph);
        ich_csv_free(&r.table);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_match_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
