/* Class activation maps of a study's logit, back through attention, BiLSTM and CNN, against torch's
 * (make_golden.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels.h"
#include "golden.h"
#include "infer/cam.h"
#include "infer/descent.h"
#include "infer/head.h"
#include "layers/zoo.h"

enum { SLICES = 5, SIZE = 65, LAYERS = 4 };
static const char *const layers[LAYERS] = {"layer1", "layer2", "layer3", "layer4"};

static const struct {
    const char *name;
    ich_cam_rule *rule;
} methods[] = {{"gradcam", ich_cam_grad}, {"gradcam++", ich_cam_grad_plus}, {"layercam", ich_cam_layer}};

static void build(ich_model *model) {
    ich_graph *graph = &model->graph;
    const ich_study_head head = {.hidden = 128, .attention = 128, .heads = 1, .gated = true};
    *model = (ich_model){.fc = -1, .gp = -1};
    ich_graph_init(graph);
    model->features = ich_zoo_cnn(graph, "resnet18", SIZE, 3);
    model->classifier = ich_zoo_study_head(graph, model->features, &head, ICH_LABELS);
    model->input = ich_graph_find(graph, "input");
    model->slices = ich_graph_find(graph, "classifier.slices");
    model->weights = ich_graph_find(graph, "attention");
    if (model->classifier < 0) fail_msg("%s", graph->error.text);
    model->values = aligned_alloc(64, graph->n_values * sizeof(float));
    assert_non_null(model->values);
    memset(model->values, 0, graph->n_values * sizeof(float));
    golden_fill("resnet18", graph, model->values);
}

/* From the pictures to the features, with the taps between them, and back. */
static void run(ich_descent *trace, const ich_model *model) {
    ich_taps first;
    ich_head head;
    ich_error err = {0};
    trace->taps.n = 0;
    assert_true(ich_taps_layer(&model->graph, model->input, model->features, "input", &first, &err));
    ich_taps taps = first;
    for (int i = 0; i < LAYERS; i++) {
        ich_taps layer;
        assert_true(ich_taps_layer(&model->graph, model->input, model->features, layers[i], &layer, &err));
        taps.node[taps.n++] = layer.node[0];
    }
    const ich_exec_options options = {.inputs = {model->input},
                                      .n_inputs = 1,
                                      .outputs = {model->features},
                                      .n_outputs = 1,
                                      .max_rows = SLICES};
    ich_exec *cnn = ich_exec_create(&model->graph, &options, &err);
    if (!cnn || !ich_head_open(&head, model, true, &err) ||
        !ich_descent_open(trace, model, &taps, SLICES, &err))
        fail_msg("%s", err.text);
    ich_exec_bind(cnn, model->values, NULL);
    ich_exec_prepare(cnn);
    float *images = ich_exec_value(cnn, model->input);
    for (size_t i = 0; i < SLICES * SIZE * SIZE * 3; i++)
        images[i] = (float)golden_number(golden_hash("images13"), i);
    memcpy(ich_descent_value(trace, 0), images, SLICES * SIZE * SIZE * 3 * sizeof *images);
    ich_exec_forward(cnn, SLICES, 0, NULL);
    assert_true(ich_head_run(&head, ich_exec_value(cnn, model->features), SLICES, &err));
    ich_descent_run(trace, SLICES, ich_head_gradient(&head, ICH_ANY));
    ich_head_close(&head);
    ich_exec_free(cnn);
}

static void maps_match_torch(void **state) {
    (void)state;
    ich_model model;
    ich_descent trace;
    ich_csv table;
    ich_error err = {0};
    build(&model);
    run(&trace, &model);
    if (!ich_csv_read(&table, ICHOR_SOURCE "/tests/golden/cams.csv", &err)) fail_msg("%s", err.text);
    for (int i = 0; i < LAYERS; i++) {
        const ich_shape shape = model.graph.nodes[trace.taps.node[i + 1]].shape;
        const int cells = shape.h * shape.w;
        float *heat = malloc((size_t)(SLICES * cells) * sizeof *heat), weights[512];
        assert_non_null(heat);
        for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
            for (int t = 0; t < SLICES; t++)
                methods[m].rule(cells, shape.c, ich_descent_value(&trace, i + 1) + t * cells * shape.c,
                                ich_descent_gradient(&trace, i + 1) + t * cells * shape.c, weights,
                                heat + t * cells);
            golden_compare_float(&table, methods[m].name, layers[i], heat, (size_t)(SLICES * cells), 1e-3);
        }
        free(heat);
    }
    ich_csv_free(&table);
    ich_descent_close(&trace);
    free(model.values);
    ich_graph_free(&model.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(maps_match_torch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
