#include "infer/descent.h"

#include <string.h>

static int end_of(const ich_descent *trace, int i) {
    return i + 1 < trace->taps.n ? trace->taps.node[i + 1] : trace->model->features;
}

static bool open_stage(ich_descent *trace, int i, int rows, ich_error *err) {
    const ich_exec_options options = {.inputs = {trace->taps.node[i]},
                                      .n_inputs = 1,
                                      .outputs = {end_of(trace, i)},
                                      .n_outputs = 1,
                                      .max_rows = rows,
                                      .gradient = true,
                                      .input_gradient = true,
                                      .frozen_params = true};
    trace->stage[i] = ich_exec_create(&trace->model->graph, &options, err);
    if (trace->stage[i] == NULL) return false;
    ich_exec_bind(trace->stage[i], trace->model->values, NULL);
    ich_exec_prepare(trace->stage[i]);
    return true;
}

bool ich_descent_open(ich_descent *trace, const ich_model *model, const ich_taps *taps, int rows,
                      ich_error *err) {
    *trace = (ich_descent){.model = model, .taps = *taps};
    for (int i = 0; i < taps->n; i++) {
        if (open_stage(trace, i, rows, err)) continue;
        ich_descent_close(trace);
        return false;
    }
    return true;
}

void ich_descent_close(ich_descent *trace) {
    for (int i = 0; i < ICH_MAX_TAPS; i++) ich_exec_free(trace->stage[i]);
    *trace = (ich_descent){0};
}

float *ich_descent_value(ich_descent *trace, int i) {
    return ich_exec_value(trace->stage[i], trace->taps.node[i]);
}

const float *ich_descent_gradient(ich_descent *trace, int i) {
    return ich_exec_gradient(trace->stage[i], trace->taps.node[i]);
}

void ich_descent_run(ich_descent *trace, int rows, const float *d_features) {
    const int last = trace->taps.n - 1;
    const ich_node *nodes = trace->model->graph.nodes;
    for (int i = 0; i <= last; i++) {
        ich_exec_forward(trace->stage[i], rows, 0, NULL);
        if (i == last) break;
        const size_t bytes = (size_t)rows * ich_shape_count(nodes[end_of(trace, i)].shape) * sizeof(float);
        memcpy(ich_descent_value(trace, i + 1), ich_exec_value(trace->stage[i], end_of(trace, i)), bytes);
    }
    for (int i = last; i >= 0; i--) {
        const int end = end_of(trace, i);
        const float *from = i == last ? d_features : ich_descent_gradient(trace, i + 1);
        memcpy(ich_exec_gradient(trace->stage[i], end), from,
               (size_t)rows * ich_shape_count(nodes[end].shape) * sizeof(float));
        ich_exec_backward(trace->stage[i]);
    }
}
