/* exec.c: runs the steps that plan.c laid out. */
#include "exec.h"

#include "plan.h"
#include <stdlib.h>
#include <string.h>

static void *buffer_at(const ich_exec *e, int buffer) {
    return buffer < 0 ? NULL : e->planned + e->buffers[buffer].offset;
}

/* In backward, values that are made again lie elsewhere than in forward. */
static void *value_again(const ich_exec *e, int node) {
    return buffer_at(e, e->again[node] >= 0 ? e->again[node] : e->value[node]);
}

static void wire_backward(ich_exec *e, ich_step *step) {
    const ich_node *node = node_of(e, step->node);
    ich_call *back = &step->back;
    *back = step->call;
    for (int i = 0; i < node->n_inputs; i++) back->in[i] = value_again(e, node->inputs[i]);
    if (step->add_value >= 0) back->add = value_again(e, step->add_value);
    back->out = value_again(e, step->out);
    step->redo = *back;
    step->redo.again = true;
    step->redo.scratch = buffer_at(e, step->redo_scratch);
    back->scratch = buffer_at(e, step->back_scratch);
    if (!back->gradient) return;
    for (int i = 0; i < node->n_inputs; i++) back->d_in[i] = buffer_at(e, e->gradient[node->inputs[i]]);
    back->d_out = buffer_at(e, e->gradient[step->out]);
    if (step->add_value >= 0) back->d_add = buffer_at(e, e->gradient[step->add_value]);
}

/* The pointers into the arena, which stay the same for the exec's whole life. */
static void wire_memory(ich_exec *e) {
    e->planned = e->arena.base;
    e->fold = e->planned + e->planned_bytes;
    e->permanent = e->fold + e->fold_bytes;
    for (int s = 0; s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        const ich_node *node = node_of(e, step->node);
        ich_call *call = &step->call;
        call->saved = buffer_at(e, step->saved);
        call->scratch = buffer_at(e, step->scratch);
        call->prepared = step->prepared_bytes ? e->permanent + step->prepared_offset : NULL;
        for (int i = 0; i < node->n_inputs; i++) call->in[i] = buffer_at(e, e->value[node->inputs[i]]);
        if (step->add_value >= 0) call->add = buffer_at(e, e->value[step->add_value]);
        call->out = buffer_at(e, e->value[step->out]);
        wire_backward(e, step);
    }
}

static bool check_options(const ich_graph *graph, const ich_exec_options *o, ich_error *err) {
    if (graph->error.text[0]) return ich_fail(err, "%s", graph->error.text);
    bool ends = o->n_inputs >= 1 && o->n_inputs <= ICH_EXEC_MAX_ENDS && o->n_outputs >= 1 &&
                o->n_outputs <= ICH_EXEC_MAX_ENDS;
    if (!ends || o->max_rows < 1 || o->max_studies < 0)
        return ich_fail(err, "model: cannot plan %d rows of %d studies with %d inputs and %d outputs",
                        o->max_rows, o->max_studies, o->n_inputs, o->n_outputs);
    for (int i = 0; i < o->n_inputs; i++)
        if (o->inputs[i] < 0 || o->inputs[i] >= graph->n_nodes)
            return ich_fail(err, "model: an input node that was asked for does not exist");
    for (int i = 0; i < o->n_outputs; i++)
        if (o->outputs[i] < 0 || o->outputs[i] >= graph->n_nodes)
            return ich_fail(err, "model: an output node that was asked for does not exist");
    return true;
}

/* An exec with its plan and no memory for values yet. */
static ich_exec *plan_only(const ich_graph *graph, const ich_exec_options *options, ich_error *err) {
    if (!check_options(graph, options, err)) return NULL;
    ich_exec *e = ich_new(1, sizeof *e, "the plan", err);
    if (!e) return NULL;
    e->graph = graph;
    e->options = *options;
    e->layers = ich_layers(options->precision);
    e->element = options->precision == ICH_F64 ? sizeof(double) : sizeof(float);
    if (!options->kernels)
        e->options.kernels = options->precision == ICH_F64 ? (const void *)ich_kernels_f64_active()
                                                           : (const void *)ich_kernels_f32_active();
    if (ich_plan_make(e, err)) return e;
    ich_exec_free(e);
    return NULL;
}

ich_exec *ich_exec_create(const ich_graph *graph, const ich_exec_options *options, ich_error *err) {
    ich_exec *e = plan_only(graph, options, err);
    if (!e) return NULL;
    if (!ich_arena_init(&e->arena, e->total_bytes, err)) {
        ich_exec_free(e);
        return NULL;
    }
    wire_memory(e);
    return e;
}

void ich_exec_free(ich_exec *e) {
    if (!e) return;
    ich_arena_free(&e->arena);
    free(e->steps);
    free(e->step_of);
    free(e->value);
    free(e->gradient);
    free(e->again);
    free(e->shelf);
    free(e->wants);
    free(e->buffers);
    free(e);
}

size_t ich_exec_plan_bytes(const ich_graph *graph, const ich_exec_options *options, ich_error *err) {
    ich_exec *e = plan_only(graph, options, err);
    size_t bytes = e ? e->total_bytes : 0;
    ich_exec_free(e);
    return bytes;
}

size_t ich_exec_bytes(const ich_exec *e) { return e->total_bytes; }

void ich_exec_bind(ich_exec *e, void *values, void *gradients) {
    e->values = values;
    for (int s = 0; s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        const ich_node *node = node_of(e, step->node);
        for (int p = 0; p < node->n_params; p++) {
            const ich_param *param = &e->graph->params[node->params[p]];
            bool learns = gradients && param->trainable && !e->options.frozen_params;
            void *value = (unsigned char *)values + param->offset * e->element;
            step->call.param[p] = step->back.param[p] = step->redo.param[p] = value;
            step->back.d_param[p] = learns ? (unsigned char *)gradients + param->offset * e->element : NULL;
        }
    }
}

/* Weight and bias with the batch norm in them: the weight only until it is packed, the bias for good. */
static void fold_norm(ich_exec *e, ich_step *step, ich_call *call) {
    const ich_node *node = node_of(e, step->node), *norm = node_of(e, step->norm);
    const void *values[4];
    for (int i = 0; i < 4; i++) values[i] = e->values + e->graph->params[norm->params[i]].offset * e->element;
    int k = node->shape.c;
    size_t per_channel = e->graph->params[node->params[0]].count / (size_t)k;
    const void *bias = node->n_params > 1 ? call->param[1] : NULL;
    void *folded_bias = e->permanent + step->bias_offset;
    if (e->options.precision == ICH_F64)
        ich_fold_norm_f64(k, per_channel, call->param[0], bias, (const double *const *)values, norm->attr.eps,
                          (double *)e->fold, folded_bias);
    else
        ich_fold_norm_f32(k, per_channel, call->param[0], bias, (const float *const *)values, norm->attr.eps,
                          (float *)e->fold, folded_bias);
    call->param[0] = e->fold;
    call->param[1] = folded_bias;
}

void ich_exec_prepare(ich_exec *e) {
    for (int s = 0; s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        const ich_layer *layer = e->layers[node_of(e, step->node)->op];
        ich_call call = step->back; /* which says whether the input's gradient is wanted */
        if (step->norm >= 0) fold_norm(e, step, &call);
        if (layer->prepare && step->prepared_bytes) layer->prepare(&call);
        if (step->norm >= 0) step->call.param[1] = call.param[1];
    }
}

void *ich_exec_value(ich_exec *e, int node) { return buffer_at(e, e->value[node]); }
void *ich_exec_gradient(ich_exec *e, int node) { return buffer_at(e, e->gradient[node]); }

/* Forward, backward and forward again of a step: what they share is set in all three. */
static void calls_of(ich_step *step, ich_call *calls[3]) {
    calls[0] = &step->call;
    calls[1] = &step->back;
    calls[2] = &step->redo;
}

void ich_exec_key(ich_exec *e, uint64_t seed, uint64_t step) {
    for (int s = 0; s < e->n_steps; s++) {
        ich_call *calls[3];
        calls_of(&e->steps[s], calls);
        for (int c = 0; c < 3; c++) {
            calls[c]->seed = seed;
            calls[c]->step = step;
        }
    }
}

void ich_exec_part(ich_exec *e, size_t first_row, size_t first_study) {
    for (int s = 0; s < e->n_steps; s++) {
        ich_call *calls[3];
        calls_of(&e->steps[s], calls);
        for (int c = 0; c < 3; c++) {
            calls[c]->first_row = first_row;
            calls[c]->first_study = first_study;
        }
    }
}

void ich_exec_forward(ich_exec *e, int rows, int studies, const int *offsets) {
    for (int s = 0; s < e->n_steps; s++) {
        ich_call *calls[3];
        calls_of(&e->steps[s], calls);
        for (int c = 0; c < 3; c++) {
            calls[c]->rows = rows;
            calls[c]->studies = studies;
            calls[c]->offsets = offsets;
        }
        e->layers[node_of(e, e->steps[s].node)->op]->forward(calls[0]);
        if (e->watcher) e->watcher(e->watcher_self, e->steps[s].out);
    }
}

size_t ich_exec_elements(const ich_exec *e, int node) {
    const ich_node *n = node_of(e, node);
    const ich_call *call = &e->steps[0].call;
    return (size_t)(n->domain == ICH_PER_STUDY ? call->studies : call->rows) * ich_shape_count(n->shape);
}

void ich_exec_watch(ich_exec *e, ich_exec_watcher *watcher, void *self) {
    e->watcher = watcher;
    e->watcher_self = self;
}

/* Values that were dropped after forward and that backward of step s is the first to need. */
static void redo_before(ich_exec *e, int s) {
    for (int t = 0; t <= s; t++)
        if (e->steps[t].redo_before == s)
            e->layers[node_of(e, e->steps[t].node)->op]->forward(&e->steps[t].redo);
}

/* Where the gradients begin that no step before s adds to. */
static size_t final_after(const ich_exec *e, int s) {
    size_t end = 0;
    for (int t = 0; t < s; t++) {
        const ich_node *node = node_of(e, e->steps[t].node);
        for (int p = 0; p < node->n_params; p++) {
            const ich_param *param = &e->graph->params[node->params[p]];
            if (e->steps[t].back.d_param[p] && param->offset + param->count > end)
                end = param->offset + param->count;
        }
    }
    return end;
}

void ich_exec_backward(ich_exec *e) {
    for (int s = e->n_steps - 1; s >= 0; s--) {
        const ich_call *call = &e->steps[s].back;
        redo_before(e, s);
        if (call->gradient && call->d_out) e->layers[node_of(e, e->steps[s].node)->op]->backward(call);
        if (e->gradient_watcher) e->gradient_watcher(e->gradient_watcher_self, final_after(e, s));
    }
}

void ich_exec_watch_gradients(ich_exec *e, ich_exec_gradient_watcher *watcher, void *self) {
    e->gradient_watcher = watcher;
    e->gradient_watcher_self = self;
}
