/* plan.h: the inside of an exec, shared by plan.c and plan_memory.c (make it) and exec.c (runs it). Not for
 * other files.
 *
 * Time runs 0 (inputs are filled), 1 … S (forward of step 0 … S-1), S+1 (gradients of the outputs are
 * filled), S+2 … 2S+1 (backward of step S-1 … 0), 2S+2 (results are read).
 */
#ifndef ICH_LAYERS_PLAN_H
#define ICH_LAYERS_PLAN_H

#include "exec.h"
#include "tensor/arena.h"

/* Memory needed from time `birth` to `death`, both included. */
typedef struct ich_buffer {
    size_t bytes, offset;
    int birth, death;
} ich_buffer;

/* One layer's work, with the neighbours that were fused into it. -1: none. */
typedef struct ich_step {
    int node;                                /* the layer itself */
    int norm;                                /* batch norm folded into its weights */
    int out;                                 /* the last node fused: whose value the step produces */
    int add_value;                           /* the node whose value is added */
    int saved;                               /* buffer */
    int scratch, back_scratch, redo_scratch; /* buffers */
    int redo_before;                         /* the step before whose backward it is computed again; -1 */
    size_t prepared_bytes, prepared_offset;  /* in the permanent part of the arena */
    size_t bias_bytes, bias_offset;          /* folded bias, likewise */
    /* Everything that does not change from run to run: for forward, for backward, for forward again. */
    ich_call call, back, redo;
} ich_step;

struct ich_exec {
    const ich_graph *graph;
    ich_exec_options options;
    const ich_layer *const *layers;
    size_t element; /* sizeof(real) */
    ich_step *steps;
    int n_steps;
    int *step_of;          /* [n_nodes] step that computes it (fused ones too), -1 outside the part */
    int *value, *gradient; /* [n_nodes] buffer, -1: none */
    int *again;            /* [n_nodes] buffer of the value computed again for backward, -1: none */
    int *shelf;  /* [n_nodes] the node whose first channels this value is, in memory too; -1: none */
    bool *wants; /* [n_nodes] its gradient is wanted */
    ich_buffer *buffers;
    int n_buffers;
    size_t fold_bytes;    /* the largest any step needs */
    size_t planned_bytes; /* the shared part: all buffers, packed */
    size_t total_bytes;
    ich_arena arena;
    unsigned char *planned, *fold, *permanent;
    unsigned char *values; /* bound by the caller */
    ich_exec_watcher *watcher;
    void *watcher_self;
    ich_exec_gradient_watcher *gradient_watcher;
    void *gradient_watcher_self;
};

/* Everything but the arena. On failure the caller frees the exec. */
bool ich_plan_make(ich_exec *exec, ich_error *err);

/* plan_memory.c: the buffers, by when each value and gradient is born and last read; and their places. */
void ich_plan_values(ich_exec *exec);
void ich_plan_gradients(ich_exec *exec);
int ich_plan_buffer(ich_exec *exec, size_t bytes, int birth, int death);
bool ich_plan_scratch(ich_exec *exec, ich_error *err); /* after each step's call is filled in */
bool ich_plan_place(ich_exec *exec, ich_error *err);

/* plan.c: backward of step s reads node's value, as an input or as what the step itself produced. */
bool ich_plan_backward_reads(const ich_exec *exec, int s, int node);

/* -- what all three files ask ---------------------------------------------------------------------------- */

static inline int forward_time(int step) { return step + 1; }
static inline int fill_time(const ich_exec *e) { return e->n_steps + 1; }
static inline int backward_time(const ich_exec *e, int step) { return 2 * e->n_steps + 1 - step; }
static inline int end_time(const ich_exec *e) { return 2 * e->n_steps + 2; }

static inline const ich_node *node_of(const ich_exec *e, int node) { return &e->graph->nodes[node]; }
static inline const ich_layer *layer_of(const ich_exec *e, int node) {
    return e->layers[node_of(e, node)->op];
}

static inline bool is_listed(const int *list, int count, int node) {
    for (int i = 0; i < count; i++)
        if (list[i] == node) return true;
    return false;
}

static inline bool is_input(const ich_exec *e, int node) {
    return is_listed(e->options.inputs, e->options.n_inputs, node);
}

static inline bool is_output(const ich_exec *e, int node) {
    return is_listed(e->options.outputs, e->options.n_outputs, node);
}

static inline size_t value_bytes(const ich_exec *e, int node) {
    const ich_node *n = node_of(e, node);
    size_t rows = (size_t)(n->domain == ICH_PER_STUDY ? e->options.max_studies : e->options.max_rows);
    return ich_align(rows * ich_shape_count(n->shape) * e->element);
}

static inline bool reads(const ich_exec *e, const ich_step *step, int node) {
    return step->add_value == node ||
           is_listed(node_of(e, step->node)->inputs, node_of(e, step->node)->n_inputs, node);
}

/* fold.c: weight'[k,…] = weight · scale[k], bias' = shift + bias · scale, where scale = gamma / sqrt(variance
 * + eps) and shift = beta - mean · scale. `bias` may be NULL. */
void ich_fold_norm_f32(int k, size_t per_channel, const float *weight, const float *bias,
                       const float *const norm[4], float eps, float *weight_out, float *bias_out);
void ich_fold_norm_f64(int k, size_t per_channel, const double *weight, const double *bias,
                       const double *const norm[4], float eps, double *weight_out, double *bias_out);

#endif
