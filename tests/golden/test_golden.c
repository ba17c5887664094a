/* Whole models against torch: logits, every gradient, and three optimizer steps (make_golden.py tells how
 * the numbers came about). Each model runs through the float exec of every kernel table; the double exec and
 * the digests share torch's double precision, so there the bound is tight. */
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
#include "optim/optimizer.h"

typedef struct golden {
    const char *file, *arch, *images;
    int size, studies, lengths[3];
    bool batch_statistics, mil, sgd;
} golden;

static const golden models[] = {
    {"resnet18.csv", "resnet18", "images5", 75, 1, {3}, true, false, true},
    {"resnet50.csv", "resnet50", "images8", 45, 1, {2}, false, false, false},
    {"mil.csv", "resnet18", "images13", 65, 3, {5, 1, 7}, false, true, false},
};

/* -- one model -------------------------------------------------------------------------------------- */

typedef struct run {
    const golden *g;
    ich_graph graph;
    ich_csv table;
    ich_exec *exec;
    int input, output, rows, targets, offsets[4];
    float *values, *gradients;
} run;

static void build(run *r, const golden *g) {
    char path[512];
    ich_error err = {0};
    *r = (run){.g = g};
    snprintf(path, sizeof path, "%s/tests/golden/%s", ICHOR_SOURCE, g->file);
    if (!ich_csv_read(&r->table, path, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < g->studies; i++) r->offsets[i + 1] = r->rows += g->lengths[i];
    r->targets = g->mil ? g->studies : r->rows;
    ich_graph_init(&r->graph);
    int features = ich_zoo_cnn(&r->graph, g->arch, g->size, 3);
    ich_study_head head = {.hidden = 128, .attention = 128, .heads = 1, .gated = true};
    r->output = g->mil ? ich_zoo_study_head(&r->graph, features, &head, ICH_LABELS)
                       : ich_zoo_image_head(&r->graph, features, ICH_LABELS);
    if (r->output < 0) fail_msg("%s", r->graph.error.text);
    r->values = aligned_alloc(64, r->graph.n_values * sizeof(float));
    r->gradients = aligned_alloc(64, r->graph.n_values * sizeof(float));
    assert_true(r->values && r->gradients);
    memset(r->values, 0, r->graph.n_values * sizeof(float));
    golden_fill(g->arch, &r->graph, r->values);
}

static ich_exec_options options_of(const run *r, ich_precision precision, const void *kernels) {
    return (ich_exec_options){.precision = precision,
                              .inputs = {ich_graph_find(&r->graph, "input")},
                              .n_inputs = 1,
                              .outputs = {r->output},
                              .n_outputs = 1,
                              .max_rows = r->rows + 2, /* a plan serves fewer rows too */
                              .max_studies = r->g->mil ? r->g->studies + 1 : 0,
                              .gradient = true,
                              .batch_statistics = r->g->batch_statistics,
                              .kernels = kernels};
}

static void targets_of(const run *r, double *target) {
    for (int i = 0; i < r->targets * ICH_LABELS; i++)
        target[i] = golden_number(golden_hash("labels"), (size_t)i) > 0.2;
    target[2] = NAN;
}

static size_t image_count(const run *r) {
    return (size_t)r->rows * (size_t)r->g->size * (size_t)r->g->size * 3;
}

/* Forward, loss, backward in float; returns the loss. */
static double pass(run *r, float *logits) {
    double wide[64];
    float target[64];
    targets_of(r, wide);
    for (int i = 0; i < r->targets * ICH_LABELS; i++) target[i] = (float)wide[i];
    memset(r->gradients, 0, r->graph.n_values * sizeof(float));
    ich_exec_prepare(r->exec);
    float *images = ich_exec_value(r->exec, ich_graph_find(&r->graph, "input"));
    for (size_t i = 0; i < image_count(r); i++)
        images[i] = (float)golden_number(golden_hash(r->g->images), i);
    ich_exec_forward(r->exec, r->rows, r->g->mil ? r->g->studies : 0, r->g->mil ? r->offsets : NULL);
    memcpy(logits, ich_exec_value(r->exec, r->output), (size_t)(r->targets * ICH_LABELS) * sizeof(float));
    double loss = ich_loss_bce_f32(r->targets, ICH_LABELS, logits, target, ich_label_weights,
                                   1.0 / (7 * r->targets), ich_exec_gradient(r->exec, r->output));
    ich_exec_backward(r->exec);
    return loss;
}

static void compare_params(run *r, const char *stage, const float *values, double bound) {
    for (int p = 0; p < r->graph.n_params; p++) {
        const ich_param *param = &r->graph.params[p];
        if (param->trainable)
            golden_compare_float(&r->table, stage, param->name, values + param->offset, param->count, bound);
    }
}

static void check_float(run *r, const ich_kernels_f32 *kernels) {
    ich_error err = {0};
    float logits[64];
    char stage[16];
    ich_exec_options options = options_of(r, ICH_F32, kernels);
    r->exec = ich_exec_create(&r->graph, &options, &err);
    if (!r->exec) fail_msg("%s", err.text);
    ich_exec_bind(r->exec, r->values, r->gradients);
    ich_optimizer optimizer;
    if (!ich_optimizer_init(&optimizer, r->g->sgd ? ICH_SGD : ICH_ADAMW, &r->graph, 0, &err))
        fail_msg("%s", err.text);
    optimizer.clip = 0;
    optimizer.momentum = 0.9;
    optimizer.eps = 1e-3;
    optimizer.weight_decay = r->g->sgd ? 0 : 0.01;
    double lr[ICH_GROUPS] = {r->g->sgd ? 0.01 : 1e-4, r->g->sgd ? 0.01 : 1e-3};
    for (int i = 0; i < 4; i++) {
        double loss = pass(r, logits);
        snprintf(stage, sizeof stage, "loss%d", i);
        golden_compare(&r->table, stage, "loss", &loss, 1, 1e-4);
        snprintf(stage, sizeof stage, "logits%d", i);
        golden_compare_float(&r->table, stage, "logits", logits, (size_t)(r->targets * ICH_LABELS), 1e-4);
        if (i == 0) compare_params(r, "gradient", r->gradients, 1e-3);
        if (i < 3) ich_optimizer_step(&optimizer, &r->graph, lr, r->gradients, r->values);
    }
    compare_params(r, "after", r->values, 2e-5);
    ich_optimizer_free(&optimizer);
    ich_exec_free(r->exec);
}

static void check_double(run *r) {
    ich_error err = {0};
    ich_exec_options options = options_of(r, ICH_F64, NULL);
    ich_exec *exec = ich_exec_create(&r->graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    size_t n = r->graph.n_values;
    double *values = calloc(n, sizeof *values), *gradients = calloc(n, sizeof *gradients), target[64],
           weight[ICH_LABELS];
    assert_true(values && gradients);
    for (size_t i = 0; i < n; i++) values[i] = r->values[i];
    for (int i = 0; i < ICH_LABELS; i++) weight[i] = ich_label_weights[i];
    targets_of(r, target);
    ich_exec_bind(exec, values, gradients);
    ich_exec_prepare(exec);
    double *images = ich_exec_value(exec, ich_graph_find(&r->graph, "input"));
    for (size_t i = 0; i < image_count(r); i++) images[i] = golden_number(golden_hash(r->g->images), i);
    ich_exec_forward(exec, r->rows, r->g->mil ? r->g->studies : 0, r->g->mil ? r->offsets : NULL);
    const double *logits = ich_exec_value(exec, r->output);
    golden_compare(&r->table, "logits0", "logits", logits, (size_t)(r->targets * ICH_LABELS), 1e-9);
    ich_loss_bce_f64(r->targets, ICH_LABELS, logits, target, weight, 1.0 / (7 * r->targets),
                     ich_exec_gradient(exec, r->output));
    ich_exec_backward(exec);
    for (int p = 0; p < r->graph.n_params; p++) {
        const ich_param *param = &r->graph.params[p];
        if (param->trainable)
            golden_compare(&r->table, "gradient", param->name, gradients + param->offset, param->count, 1e-7);
    }
    free(values);
    free(gradients);
    ich_exec_free(exec);
}

/* -- nodes: what an audit shows, an exec that fuses nothing --------------------------------------------- */

typedef struct watching {
    run *r;
    size_t compared;
} watching;

static void compare_node(void *self, int node) {
    watching *w = self;
    run *r = w->r;
    const ich_node *its = &r->graph.nodes[node];
    const size_t rows = (size_t)(its->domain == ICH_PER_STUDY ? r->g->studies : r->rows);
    for (size_t row = 0; row < r->table.n_rows; row++) {
        if (strcmp(ich_csv_cell(&r->table, row, 0), "node") != 0) continue;
        if (strcmp(ich_csv_cell(&r->table, row, 1), its->name) != 0) continue;
        w->compared++;
        golden_compare_float(&r->table, "node", its->name, ich_exec_value(r->exec, node),
                             rows * ich_shape_count(its->shape), 1e-4);
    }
}

static size_t count_rows(const ich_csv *table, const char *stage) {
    size_t n = 0;
    for (size_t row = 0; row < table->n_rows; row++) n += !strcmp(ich_csv_cell(table, row, 0), stage);
    return n;
}

static void check_nodes(run *r, const ich_kernels_f32 *kernels) {
    ich_error err = {0};
    watching w = {.r = r};
    ich_exec_options options = options_of(r, ICH_F32, kernels);
    options.gradient = false;
    options.no_fusing = true;
    r->exec = ich_exec_create(&r->graph, &options, &err);
    if (!r->exec) fail_msg("%s", err.text);
    ich_exec_bind(r->exec, r->values, NULL);
    ich_exec_prepare(r->exec);
    ich_exec_watch(r->exec, compare_node, &w);
    float *images = ich_exec_value(r->exec, ich_graph_find(&r->graph, "input"));
    for (size_t i = 0; i < image_count(r); i++)
        images[i] = (float)golden_number(golden_hash(r->g->images), i);
    ich_exec_forward(r->exec, r->rows, r->g->mil ? r->g->studies : 0, r->g->mil ? r->offsets : NULL);
    assert_true(w.compared > 40);
    assert_int_equal(w.compared, count_rows(&r->table, "node"));
    ich_exec_free(r->exec);
}

static void tear_down(run *r) {
    free(r->values);
    free(r->gradients);
    ich_graph_free(&r->graph);
    ich_csv_free(&r->table);
}

static void models_match_torch_in_float(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (const char *const *name = ich_kernels_available(); *name; name++) {
            run r;
            if (!strcmp(*name, "reference")) continue; /* minutes; check_double runs the same loops */
            if (strstr(*name, "-direct")) continue;    /* there for comparison; test_layers.c runs them */
            print_message("%s, %s kernels\n", models[m].file, *name);
            build(&r, &models[m]);
            check_float(&r, ich_kernels_f32_named(*name));
            tear_down(&r);
        }
}

static void every_node_matches_torch(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        run r;
        build(&r, &models[m]);
        check_nodes(&r, ich_kernels_f32_active());
        tear_down(&r);
    }
}

static void models_match_torch_in_double(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        run r;
        build(&r, &models[m]);
        check_double(&r);
        tear_down(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_match_torch_in_float),
                                       cmocka_unit_test(every_node_matches_torch),
                                       cmocka_unit_test(models_match_torch_in_double)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
