/* exec.h: runs part of a graph on planned memory.
 *
 * An exec is made once for a part of a graph (from `inputs` to `outputs`), a largest number of rows, and a
 * purpose. Making it fuses neighbours, folds batch norm (inference), works out each buffer's lifetime, lets
 * buffers share memory, and takes one arena. Running it allocates nothing.
 *
 * Long studies: the CNN runs in chunks of slices. Forward each chunk (features only), run the head forward
 * and backward, then for each chunk again forward and backward: memory does not grow with the number of
 * slices (train/mil.c does this with two execs, one from image to features and one from features to logits).
 *
 * Calls: graph, registry, tensor. Called by: train, infer, tests.
 */
#ifndef ICH_LAYERS_EXEC_H
#define ICH_LAYERS_EXEC_H

#include "graph.h"

enum { ICH_EXEC_MAX_ENDS = 8 };

typedef struct ich_exec_options {
    ich_precision precision;
    int inputs[ICH_EXEC_MAX_ENDS], n_inputs; /* nodes whose values the caller supplies */
    int outputs[ICH_EXEC_MAX_ENDS],
        n_outputs; /* nodes whose values the caller reads (and, with gradient, whose
                      gradient he supplies); nodes that lead to none are not run */
    int max_rows, max_studies;
    bool gradient;         /* plan for backward */
    bool input_gradient;   /* … down to the inputs */
    bool frozen_params;    /* … without the parameters' gradients (heatmaps) */
    bool batch_statistics; /* batch norm as in pretraining; false: running statistics */
    bool training;         /* dropout */
    bool pack_on_use;      /* weights change before every pass: pack them when a layer needs them and keep no
                              packed copy; otherwise once in ich_exec_prepare */
    const ich_across *across; /* … over the rows of all processes; NULL: over this exec's alone */
    int parts;      /* sums over rows for parameters' gradients and batch norm are made in so many parts, then
                       added,      as so many processes would; 0: 1 */
    bool no_fusing; /* each node is a step of its own, for ich_exec_watch */
    bool keep_all;  /* … and no sharing of memory: every node's value stays readable */
    const void *kernels; /* table of that precision; NULL: the active one */
} ich_exec_options;

typedef struct ich_exec ich_exec;

/* NULL with a message when the plan is impossible or memory is out. The graph must outlive the exec. */
ich_exec *ich_exec_create(const ich_graph *graph, const ich_exec_options *options, ich_error *err);
void ich_exec_free(ich_exec *exec);

/* Bytes that an exec with these options takes, without making it. 0 with a message if impossible. */
size_t ich_exec_plan_bytes(const ich_graph *graph, const ich_exec_options *options, ich_error *err);
size_t ich_exec_bytes(const ich_exec *exec);

/* The flat arrays (of the exec's precision) that parameters are read from and gradients added to; `gradients`
 * may be NULL without backward. Call ich_exec_prepare after every change of values. */
void ich_exec_bind(ich_exec *exec, void *values, void *gradients);
void ich_exec_prepare(ich_exec *exec);

/* Where node's value lies: fill an input's before forward, read an output's after. NULL when it is not kept.
 */
void *ich_exec_value(ich_exec *exec, int node);
/* Where the gradient with respect to node's value lies: fill each output's before backward; read inputs'
 * after (with input_gradient), any node's with keep_all. */
void *ich_exec_gradient(ich_exec *exec, int node);

/* Key of the random numbers (dropout) of the following passes. */
void ich_exec_key(ich_exec *exec, uint64_t seed, uint64_t step);
/* … which work on a part of a step's batch: so many rows and studies of it came before. 0 until it is told.
 */
void ich_exec_part(ich_exec *exec, size_t first_row, size_t first_study);

/* Runs `rows` ≤ max_rows slices of `studies` ≤ max_studies studies. offsets [studies + 1] as in layer.h; it
 * must stay valid until backward is done; NULL when the part has no per-study layer (then studies = 0). */
void ich_exec_forward(ich_exec *exec, int rows, int studies, const int *offsets);
/* Calls `watcher` in later forward passes after each step, with the node whose value it made: with no_fusing,
 * after each node. The value lies at ich_exec_value until the next step begins. NULL: nobody watches. */
typedef void ich_exec_watcher(void *self, int node);
void ich_exec_watch(ich_exec *exec, ich_exec_watcher *watcher, void *self);

/* Elements of node's value in the pass that is under way, or was last. */
size_t ich_exec_elements(const ich_exec *exec, int node);

/* After forward, with the outputs' gradients filled: adds to the bound gradients. */
void ich_exec_backward(ich_exec *exec);
/* Calls `watcher` in later backward passes after each step, with the first element of the bound gradients
 * that is final: from it on to their end this pass changes nothing any more. NULL: nobody watches. */
typedef void ich_exec_gradient_watcher(void *self, size_t final);
void ich_exec_watch_gradients(ich_exec *exec, ich_exec_gradient_watcher *watcher, void *self);

#endif
