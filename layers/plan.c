/* plan.c: from a part of a graph to steps and memory.
 *
 * 1. which nodes the outputs need            mark_needed
 * 2. which neighbours become one step        make_steps, fuse
 * 3. which values begin another one          make_shelves: concatenations on concatenations share memory
 * 4. whose gradients are wanted              mark_wanted
 * 5. which values are computed twice         choose_redo: what is cheap and has its inputs at hand in
 *    backward (batch norm, ReLU, shortcuts, thin convolutions) is dropped after forward and computed again
 *    just before backward needs it (Chen et al. 2016, arXiv 1604.06174; for batch norm: Pleiss et al. 2017,
 *    arXiv 1707.06990)
 * 6. when each value is born and last read   plan_memory.c: ich_plan_values, ich_plan_gradients
 * 7. what layers need besides                size_steps, ich_plan_scratch
 * 8. where each buffer lies                  ich_plan_place: largest first, at the lowest offset that no
 *    buffer alive at the same time covers (greedy by size: Pisarchyk and Lee, arXiv 2001.03288)
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

/* Walks back from the outputs; a node that is neither computed nor supplied is the caller's mistake. */
static bool mark_needed(ich_exec *e, bool *needed, ich_error *err) {
    for (int i = 0; i < e->options.n_outputs; i++) needed[e->options.outputs[i]] = true;
    for (int n = e->graph->n_nodes - 1; n >= 0; n--) {
        if (!needed[n] || is_input(e, n)) continue;
        const ich_node *node = node_of(e, n);
        if (node->op < 0)
            return ich_fail(err, "model: node '%s' is an input that was not supplied", node->name);
        if (node->domain == ICH_PER_STUDY && e->options.max_studies < 1)
            return ich_fail(err, "model: node '%s' works on studies, and none were planned", node->name);
        for (int i = 0; i < node->n_inputs; i++) needed[node->inputs[i]] = true;
    }
    return true;
}

/* The only needed consumer of node's value, or -1 when there are several, or the caller reads it too. */
static int only_consumer(const ich_exec *e, const bool *needed, int node) {
    int consumer = -1;
    if (is_output(e, node)) return -1;
    for (int n = node + 1; n < e->graph->n_nodes; n++) {
        if (!needed[n] || is_input(e, n)) continue;
        for (int i = 0; i < node_of(e, n)->n_inputs; i++) {
            if (node_of(e, n)->inputs[i] != node) continue;
            if (consumer >= 0) return -1;
            consumer = n;
        }
    }
    return consumer;
}

static bool is_op(const ich_exec *e, int node, const char *op) {
    return node >= 0 && node_of(e, node)->op == ich_layer_index(op);
}

/* Lets step `s` swallow the nodes behind it, in the order that its formula allows: norm, add, relu. */
static void fuse(ich_exec *e, const bool *needed, int s) {
    ich_step *step = &e->steps[s];
    unsigned fuses = e->options.keep_all || e->options.no_fusing ? 0 : layer_of(e, step->node)->fuses;
    if (e->options.gradient && (fuses & ICH_FUSES_INFERENCE_ONLY)) fuses = 0;
    bool fixed_norm = !e->options.gradient && !e->options.batch_statistics;

    int next = only_consumer(e, needed, step->out);
    if ((fuses & ICH_FUSES_NORM_INFERENCE) && fixed_norm && is_op(e, next, "batch_norm")) {
        step->norm = step->out = next;
        e->step_of[next] = s;
        next = only_consumer(e, needed, next);
    }
    if ((fuses & ICH_FUSES_ADD) && is_op(e, next, "add")) {
        const int *inputs = node_of(e, next)->inputs;
        int other = inputs[0] == step->out ? inputs[1] : inputs[0];
        bool ready = is_input(e, other) || e->step_of[other] >= 0; /* computed by an earlier step */
        if (ready && other != step->out) {
            step->add_value = other;
            step->out = next;
            e->step_of[next] = s;
            next = only_consumer(e, needed, next);
        }
    }
    if ((fuses & ICH_FUSES_RELU) && is_op(e, next, "relu")) {
        step->call.relu = true;
        step->out = next;
        e->step_of[next] = s;
    }
}

static bool make_steps(ich_exec *e, const bool *needed, ich_error *err) {
    e->steps = ich_new((size_t)e->graph->n_nodes, sizeof *e->steps, "the plan", err);
    if (!e->steps) return false;
    for (int n = 0; n < e->graph->n_nodes; n++) {
        if (!needed[n] || is_input(e, n) || e->step_of[n] >= 0) continue;
        ich_step *step = &e->steps[e->n_steps];
        *step = (ich_step){.node = n, .norm = -1, .out = n, .add_value = -1, .saved = -1, .redo_before = -1};
        e->step_of[n] = e->n_steps;
        fuse(e, needed, e->n_steps++);
    }
    return true;
}

/* -- values that begin another one ---------------------------------------------------------------------- */

/* Every step that reads node minds where its pixels begin, and step `last` is the last of them: the first to
 * write node's gradient, which must not yet hold anything else. */
static bool may_lie_apart(const ich_exec *e, int node, int last) {
    for (int s = 0; s < e->n_steps; s++) {
        const ich_step *step = &e->steps[s];
        const int *inputs = node_of(e, step->node)->inputs;
        if (!reads(e, step, node)) continue;
        if (s > last || step->add_value == node || !layer_of(e, step->node)->strided) return false;
        if (is_listed(inputs + 1, node_of(e, step->node)->n_inputs - 1, node)) return false;
    }
    return true;
}

/* A concatenation whose first input is one, too, finds it where its own first channels belong: on a shelf,
 * which is the value of the last of them. DenseNet's blocks would else copy all that they have made in each
 * of their layers, forward and backward. */
static void make_shelves(ich_exec *e) {
    if (e->options.keep_all || e->options.no_fusing) return;
    for (int s = e->n_steps - 1; s >= 0; s--) {
        const int out = e->steps[s].out, first = node_of(e, e->steps[s].node)->inputs[0];
        if (!is_op(e, out, "concat") || is_input(e, first) || is_output(e, first)) continue;
        if (!is_op(e, first, "concat") || !may_lie_apart(e, first, s)) continue;
        if (e->shelf[out] < 0) e->shelf[out] = out;
        e->shelf[first] = e->shelf[out];
    }
}

static int stride_of(const ich_exec *e, int node) {
    return node_of(e, e->shelf[node] >= 0 ? e->shelf[node] : node)->shape.c;
}

static void mark_wanted(ich_exec *e) {
    if (!e->options.gradient) return;
    for (int i = 0; i < e->options.n_inputs; i++) e->wants[e->options.inputs[i]] = e->options.input_gradient;
    for (int s = 0; s < e->n_steps; s++) {
        const ich_step *step = &e->steps[s];
        const ich_node *node = node_of(e, step->node);
        bool wants = step->add_value >= 0 && e->wants[step->add_value];
        for (int i = 0; i < node->n_inputs; i++) wants |= e->wants[node->inputs[i]];
        for (int p = 0; p < node->n_params; p++)
            wants |= e->graph->params[node->params[p]].trainable && !e->options.frozen_params;
        e->wants[step->out] = wants;
    }
}

/* Backward of step s reads node's value: as an input, or as what the step itself produced. */
bool ich_plan_backward_reads(const ich_exec *e, int s, int node) {
    const ich_step *step = &e->steps[s];
    const unsigned needs = layer_of(e, step->node)->needs;
    if (!e->wants[step->out]) return false;
    if (step->out == node) return step->call.relu || (needs & ICH_NEEDS_OUTPUT);
    return (needs & ICH_NEEDS_INPUT) &&
           is_listed(node_of(e, step->node)->inputs, node_of(e, step->node)->n_inputs, node);
}

/* -- what is computed twice ---------------------------------------------------------------------------- */

/* A layer that counts its multiply-adds is cheap where an element takes few: the 1 × 1 convolutions that
 * widen a bottleneck of 64 channels make a fifth of resnet50's values in a sixtieth of a step's time. */
static bool is_cheap(const ich_exec *e, int s) {
    enum { FEW = 64 };
    const ich_node *node = node_of(e, e->steps[s].node);
    const ich_layer *layer = layer_of(e, e->steps[s].node);
    if (!layer->cheap || layer->macs == NULL) return layer->cheap;
    const ich_shape in = node_of(e, node->inputs[0])->shape;
    return layer->macs(&node->attr, &in, &node->shape) <= FEW * (int64_t)ich_shape_count(node->shape);
}

/* Step s is cheap (what lies on a shelf costs nothing), and what must be kept to have its inputs in backward
 * is less than what it makes. */
static bool can_redo(const ich_exec *e, int s, const bool *available) {
    const ich_step *step = &e->steps[s];
    const ich_node *node = node_of(e, step->node);
    size_t kept = step->add_value < 0 || available[step->add_value] ? 0 : value_bytes(e, step->add_value);
    for (int i = 0; i < node->n_inputs; i++)
        if (!available[node->inputs[i]]) kept += value_bytes(e, node->inputs[i]);
    return is_cheap(e, s) && e->shelf[step->out] < 0 && kept < value_bytes(e, step->out);
}

/* Marks values that backward may have: those it needs anyway, and those that are cheap to make from them. */
static void mark_available(const ich_exec *e, bool *needed, bool *available) {
    for (int n = 0; n < e->graph->n_nodes; n++) {
        for (int s = 0; s < e->n_steps; s++) needed[n] |= ich_plan_backward_reads(e, s, n);
        available[n] = needed[n] || is_input(e, n) || is_output(e, n);
    }
    for (int s = 0; s < e->n_steps; s++) available[e->steps[s].out] |= can_redo(e, s, available);
}

/* From the last step to the first: a value that is needed, by backward or to make another one again, is made
 * again where it can be; it must then be there before the first who asks, that is, the last in forward. */
static void choose_redo(ich_exec *e, bool *needed, bool *available) {
    if (!e->options.gradient || e->options.keep_all) return;
    mark_available(e, needed, available);
    for (int s = e->n_steps - 1; s >= 0; s--) {
        ich_step *step = &e->steps[s];
        if (!needed[step->out] || is_output(e, step->out) || !can_redo(e, s, available)) continue;
        for (int u = s; u < e->n_steps; u++) {
            const ich_step *user = &e->steps[u];
            int asks = ich_plan_backward_reads(e, u, step->out) ? u : -1;
            if (u > s && reads(e, user, step->out) && user->redo_before > asks) asks = user->redo_before;
            if (asks > step->redo_before) step->redo_before = asks;
        }
        for (int n = 0; n < e->graph->n_nodes; n++) needed[n] |= reads(e, step, n);
    }
}

/* What a layer asks for beside its values, at the largest number of rows. */
static void size_steps(ich_exec *e) {
    for (int s = 0; s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        const ich_node *node = node_of(e, step->node);
        const ich_layer *layer = layer_of(e, step->node);
        ich_call *call = &step->call;
        call->attr = &node->attr;
        call->node = step->node;
        call->rows = e->options.max_rows;
        call->studies = e->options.max_studies;
        call->n_inputs = node->n_inputs;
        for (int i = 0; i < node->n_inputs; i++) {
            call->in_shape[i] = node_of(e, node->inputs[i])->shape;
            call->in_domain[i] = node_of(e, node->inputs[i])->domain;
            call->in_stride[i] = stride_of(e, node->inputs[i]);
        }
        call->out_shape = node->shape;
        call->out_stride = stride_of(e, step->out);
        call->gradient = e->wants[step->out];
        call->batch_statistics = e->options.batch_statistics;
        call->across = e->options.across;
        call->parts = e->options.parts > 1 ? e->options.parts : 1;
        call->training = e->options.training;
        call->pack_on_use = e->options.pack_on_use;
        call->kernels = e->options.kernels;
        step->prepared_bytes = layer->prepared ? ich_align(layer->prepared(call)) : 0;
        size_t saved = layer->saved && call->gradient ? ich_align(layer->saved(call)) : 0;
        if (saved)
            step->saved = ich_plan_buffer(e, saved, forward_time(s),
                                          e->options.keep_all ? end_time(e) : backward_time(e, s));
        if (step->norm >= 0) {
            step->bias_bytes = ich_align((size_t)node->shape.c * e->element);
            size_t fold = ich_align(e->graph->params[node->params[0]].count * e->element);
            if (fold > e->fold_bytes) e->fold_bytes = fold;
        }
    }
}

static size_t add_up(ich_exec *e) {
    size_t permanent = 0;
    for (int s = 0; s < e->n_steps; s++) {
        e->steps[s].prepared_offset = permanent;
        permanent += e->steps[s].prepared_bytes;
        e->steps[s].bias_offset = permanent;
        permanent += e->steps[s].bias_bytes;
    }
    return e->planned_bytes + e->fold_bytes + permanent;
}

bool ich_plan_make(ich_exec *e, ich_error *err) {
    size_t nodes = (size_t)e->graph->n_nodes;
    e->step_of = ich_new(nodes, sizeof *e->step_of, "the plan", err);
    e->value = ich_new(nodes, sizeof *e->value, "the plan", err);
    e->gradient = ich_new(nodes, sizeof *e->gradient, "the plan", err);
    e->again = ich_new(nodes, sizeof *e->again, "the plan", err);
    e->shelf = ich_new(nodes, sizeof *e->shelf, "the plan", err);
    e->wants = ich_new(nodes, sizeof *e->wants, "the plan", err);
    /* value, value again, gradient, saved; scratch of forward's and backward's moments */
    e->buffers = ich_new(6 * nodes + 3, sizeof *e->buffers, "the plan", err);
    bool *marks = ich_new(3 * nodes, sizeof *marks, "the plan", err);
    bool ok =
        e->step_of && e->value && e->gradient && e->again && e->shelf && e->wants && e->buffers && marks;
    for (size_t i = 0; ok && i < nodes; i++)
        e->step_of[i] = e->value[i] = e->gradient[i] = e->again[i] = e->shelf[i] = -1;
    ok = ok && mark_needed(e, marks, err) && make_steps(e, marks, err);
    if (ok) {
        make_shelves(e);
        mark_wanted(e);
        choose_redo(e, marks + nodes, marks + 2 * nodes);
    }
    free(marks);
    if (!ok) return false;
    ich_plan_values(e);
    ich_plan_gradients(e);
    size_steps(e);
    if (!ich_plan_scratch(e, err) || !ich_plan_place(e, err)) return false;
    e->total_bytes = add_up(e);
    return true;
}
