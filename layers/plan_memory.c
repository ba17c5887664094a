/* plan_memory.c: when each value and gradient is needed, and where it lies: items 6 to 8 of plan.c's list. */
#include "plan.h"

#include <stdlib.h>

int ich_plan_buffer(ich_exec *e, size_t bytes, int birth, int death) {
    e->buffers[e->n_buffers] = (ich_buffer){.bytes = bytes, .birth = birth, .death = death};
    return e->n_buffers++;
}

/* The last time anybody reads node's value in backward, itself or made again; `first` in forward if nobody.
 */
static int last_backward_read(const ich_exec *e, int node, int first) {
    int last = first;
    for (int s = 0; s < e->n_steps; s++) {
        const int redo = e->steps[s].redo_before;
        if (ich_plan_backward_reads(e, s, node) && backward_time(e, s) > last) last = backward_time(e, s);
        if (redo >= 0 && reads(e, &e->steps[s], node) && backward_time(e, redo) > last)
            last = backward_time(e, redo);
    }
    return last;
}

/* The last time anybody reads node's value, as forward made it. */
static int last_read(const ich_exec *e, int node) {
    if (e->options.keep_all || is_output(e, node)) return end_time(e);
    const int made = e->step_of[node];
    int last = forward_time(made);
    for (int s = 0; s < e->n_steps; s++)
        if (reads(e, &e->steps[s], node) && forward_time(s) > last) last = forward_time(s);
    return e->steps[made].redo_before >= 0 ? last : last_backward_read(e, node, last);
}

/* Whether step s is the only one in backward to read node, when it makes its own value again. */
static bool reads_alone(const ich_exec *e, int s, int node) {
    for (int u = 0; u < e->n_steps; u++)
        if (ich_plan_backward_reads(e, u, node) ||
            (u != s && e->steps[u].redo_before >= 0 && reads(e, &e->steps[u], node)))
            return false;
    return true;
}

/* The buffer of a value that is made again: that of the fused add's other side, which every kernel may
 * overwrite, or of the first input of a layer that works in place, if nobody else reads it; or a new one. */
static void make_again(ich_exec *e, int s) {
    const ich_step *step = &e->steps[s];
    const int made = backward_time(e, step->redo_before);
    const int over = step->add_value >= 0                ? step->add_value
                     : layer_of(e, step->node)->in_place ? node_of(e, step->node)->inputs[0]
                                                         : -1;
    const int last = last_backward_read(e, step->out, made);
    if (over >= 0 && e->again[over] >= 0 && reads_alone(e, s, over) &&
        value_bytes(e, over) == value_bytes(e, step->out)) {
        e->again[step->out] = e->again[over];
        e->buffers[e->again[over]].death = last;
    } else {
        e->again[step->out] = ich_plan_buffer(e, value_bytes(e, step->out), made, last);
    }
}

/* The shelf is as large as its last value, and there from its first one on. */
static void put_on_shelf(ich_exec *e, int node, int birth, int death) {
    const int shelf = e->shelf[node];
    if (e->value[shelf] < 0) e->value[shelf] = ich_plan_buffer(e, value_bytes(e, shelf), birth, death);
    e->value[node] = e->value[shelf];
    if (e->buffers[e->value[node]].death < death) e->buffers[e->value[node]].death = death;
}

void ich_plan_values(ich_exec *e) {
    for (int i = 0; i < e->options.n_inputs; i++) {
        int node = e->options.inputs[i];
        /* An input stays readable until the end: callers may run forward again without refilling it. */
        e->value[node] = ich_plan_buffer(e, value_bytes(e, node), 0, end_time(e));
    }
    for (int s = 0; s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        const ich_node *node = node_of(e, step->node);
        int last = last_read(e, step->out), first = node->inputs[0];
        bool reuse = layer_of(e, step->node)->in_place && !e->options.keep_all && !is_input(e, first) &&
                     last_read(e, first) == forward_time(s) &&
                     value_bytes(e, first) == value_bytes(e, step->out);
        if (e->shelf[step->out] >= 0) {
            put_on_shelf(e, step->out, forward_time(s), last);
        } else if (reuse) {
            ich_buffer *buffer = &e->buffers[e->value[step->out] = e->value[first]];
            if (last > buffer->death) buffer->death = last;
        } else {
            e->value[step->out] = ich_plan_buffer(e, value_bytes(e, step->out), forward_time(s), last);
        }
        if (step->redo_before >= 0) make_again(e, s);
    }
}

/* Gives node's gradient a buffer, or the step's own d_out when that may be overwritten; then the writer that
 * is not the first must accumulate. */
static bool gradient_target(ich_exec *e, int node, int s, bool may_take_d_out) {
    int now = backward_time(e, s);
    int death = is_input(e, node) || e->options.keep_all ? end_time(e) : backward_time(e, e->step_of[node]);
    if (e->gradient[node] >= 0) return true;
    int out = e->gradient[e->steps[s].out];
    const bool begins_d_out = e->shelf[node] >= 0 && e->shelf[node] != node;
    const bool same_size = e->buffers[out].bytes == value_bytes(e, node);
    if (begins_d_out || (may_take_d_out && same_size && !e->options.keep_all)) {
        e->gradient[node] = out;
        if (death > e->buffers[out].death) e->buffers[out].death = death;
    } else {
        e->gradient[node] = ich_plan_buffer(e, value_bytes(e, node), now, death);
    }
    return false;
}

void ich_plan_gradients(ich_exec *e) {
    for (int i = 0; i < e->options.n_outputs; i++) {
        int node = e->options.outputs[i];
        if (!e->wants[node] || e->gradient[node] >= 0) continue;
        int death =
            e->options.keep_all || is_input(e, node) ? end_time(e) : backward_time(e, e->step_of[node]);
        e->gradient[node] = ich_plan_buffer(e, value_bytes(e, node), fill_time(e), death);
    }
    for (int s = e->n_steps - 1; s >= 0; s--) {
        ich_step *step = &e->steps[s];
        const ich_layer *layer = layer_of(e, step->node);
        if (!e->wants[step->out]) continue;
        bool taken = false; /* d_out can be given away once */
        if (step->add_value >= 0 && e->wants[step->add_value]) {
            step->call.accumulate_add = gradient_target(e, step->add_value, s, true);
            taken = e->gradient[step->add_value] == e->gradient[step->out];
        }
        const ich_node *node = node_of(e, step->node);
        for (int i = 0; i < node->n_inputs; i++) {
            if (!e->wants[node->inputs[i]]) continue;
            bool may_take = i == 0 && !taken && (layer->in_place || layer->in_place_backward);
            step->call.accumulate[i] = gradient_target(e, node->inputs[i], s, may_take);
        }
    }
}

/* A buffer of each moment's own, for whoever runs then: at the moment when most values are alive, the largest
 * scratch of all is seldom the one that is needed. */
bool ich_plan_scratch(ich_exec *e, ich_error *err) {
    const size_t moments = (size_t)end_time(e) + 1;
    size_t *bytes = ich_new(moments, sizeof *bytes, "the plan", err);
    int *buffer = ich_new(moments, sizeof *buffer, "the plan", err);
    for (int s = 0; bytes && buffer && s < e->n_steps; s++) {
        const ich_step *step = &e->steps[s];
        const ich_layer *layer = layer_of(e, step->node);
        const size_t most = layer->scratch ? ich_align(layer->scratch(&step->call)) : 0;
        const int redo = step->redo_before >= 0 ? backward_time(e, step->redo_before) : forward_time(s);
        const int times[] = {forward_time(s), step->call.gradient ? backward_time(e, s) : forward_time(s),
                             redo};
        for (int i = 0; i < 3; i++)
            if (most > bytes[times[i]]) bytes[times[i]] = most;
    }
    for (size_t t = 0; bytes && buffer && t < moments; t++)
        buffer[t] = bytes[t] ? ich_plan_buffer(e, bytes[t], (int)t, (int)t) : -1;
    for (int s = 0; bytes && buffer && s < e->n_steps; s++) {
        ich_step *step = &e->steps[s];
        step->scratch = buffer[forward_time(s)];
        step->back_scratch = buffer[backward_time(e, s)];
        step->redo_scratch = step->redo_before >= 0 ? buffer[backward_time(e, step->redo_before)] : -1;
    }
    const bool done = bytes && buffer;
    free(bytes);
    free(buffer);
    return done;
}

/* Largest first; equal ones in their order, so that the plan is the same everywhere. */
static int by_size(const void *a, const void *b, void *buffers) {
    const ich_buffer *x = &((ich_buffer *)buffers)[*(const int *)a],
                     *y = &((ich_buffer *)buffers)[*(const int *)b];
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return *(const int *)a - *(const int *)b;
}

bool ich_plan_place(ich_exec *e, ich_error *err) {
    int n = e->n_buffers;
    int *order = ich_new((size_t)n + 1, sizeof *order, "the plan", err);
    if (!order) return false;
    for (int i = 0; i < n; i++) order[i] = i;
    qsort_r(order, (size_t)n, sizeof *order, by_size, e->buffers);
    for (int i = 0; i < n; i++) {
        ich_buffer *b = &e->buffers[order[i]];
        b->offset = 0;
        for (bool moved = true; moved;) { /* slide up past every neighbour in time that overlaps */
            moved = false;
            for (int j = 0; j < i; j++) {
                const ich_buffer *other = &e->buffers[order[j]];
                bool together = b->birth <= other->death && other->birth <= b->death;
                bool overlap =
                    b->offset < other->offset + other->bytes && other->offset < b->offset + b->bytes;
                if (!together || !overlap) continue;
                b->offset = other->offset + other->bytes;
                moved = true;
            }
        }
        if (b->offset + b->bytes > e->planned_bytes) e->planned_bytes = b->offset + b->bytes;
    }
    free(order);
    return true;
}
