/* graph.h: a model as data.
 *
 * A graph is a list of nodes in the order they are computed, and the list of parameters they declare.
 * It holds no numbers: values live in one flat array that the caller owns (offset and count per parameter),
 * so that optimizers, averaging, checkpoints and files are plain loops over it. inspect, audit, the memory
 * plan, export and heatmaps all walk this structure.
 *
 * Calls: registry. Called by: zoo.c, exec.c, optim, infer, train.
 */
#ifndef ICH_LAYERS_GRAPH_H
#define ICH_LAYERS_GRAPH_H

#include "layer.h"

typedef enum ich_group {
    ICH_GROUP_CNN,
    ICH_GROUP_HEAD,
    ICH_GROUPS
} ich_group; /* layer-wise learning rates */

typedef struct ich_param {
    char name[120]; /* "layer1.0.conv1.weight" */
    int rank, dims[4];
    size_t count, offset; /* place in the values: offset is in elements, a multiple of 16 */
    ich_init init;
    float scale;
    bool trainable, decay;
    ich_group group;
} ich_param;

typedef struct ich_node {
    char name[80]; /* torchvision's module name where there is one */
    int op;        /* index in the registry; -1 for the input */
    int n_inputs, inputs[ICH_MAX_INPUTS];
    ich_attr attr;
    ich_shape shape; /* of one row of its output */
    ich_domain domain;
    int n_params,
        params[ICH_MAX_PARAMS]; /* indices into graph->params; shared where two nodes use the same */
    ich_group group;
} ich_node;

typedef struct ich_graph {
    ich_node *nodes;
    int n_nodes;
    ich_param *params;
    int n_params;
    size_t n_values; /* elements of the flat array, padding included */
    ich_group group; /* given to nodes added from now on */
    ich_error error; /* the first mistake; sticky, so that building code needs no checks in between */
} ich_graph;

void ich_graph_init(ich_graph *graph);
void ich_graph_free(ich_graph *graph);

/* Each returns the new node's index, or -1 with graph->error set; a -1 input passes the failure on. */
int ich_graph_input(ich_graph *graph, const char *name, ich_shape shape);
int ich_graph_add(ich_graph *graph, const char *op, const char *name, ich_attr attr, int input);
int ich_graph_add2(ich_graph *graph, const char *op, const char *name, ich_attr attr, int input, int second);
/* A node that uses the parameters of `owner` (same op and attr) on another input. */
int ich_graph_share(ich_graph *graph, const char *name, int owner, int input);

int ich_graph_find(const ich_graph *graph, const char *node_name);        /* index or -1 */
int ich_graph_find_param(const ich_graph *graph, const char *param_name); /* index or -1 */

/* Fills values[graph->n_values] with each parameter's initial numbers, keyed by seed and parameter name. */
void ich_graph_initialize(const ich_graph *graph, uint64_t seed, float *values);

static inline size_t ich_shape_count(ich_shape s) { return (size_t)s.h * (size_t)s.w * (size_t)s.c; }

#endif
