/* plan.h: the inside of an exec, shared by plan.c (makes it) and exec.c (runs it). Not for other files.
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
};

/* Everything but the arena. On failure the caller frees the exec. */
bool ich_plan_make(ich_exec *exec, ich_error *err);

/* fold.c: weight'[k,…] = weight · scale[k], bias' = shift + bias · scale, where scale = gamma / sqrt(variance
 * + eps) and shift = beta - mean · scale. `bias` may be NULL. */
void ich_fold_norm_f32(int k, size_t per_channel, const float *weight, const float *bias,
                       const float *const norm[4], float eps, float *weight_out, float *bias_out);
void ich_fold_norm_f64(int k, size_t per_channel, const double *weight, const double *bias,
                       const double *const norm[4], float eps, double *weight_out, double *bias_out);

#endif
