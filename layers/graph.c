#include "graph.h"

#include "tensor/rng.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_STEP = 16 }; /* parameters start on a 64-byte line */

void ich_graph_init(ich_graph *graph) { *graph = (ich_graph){0}; }

void ich_graph_free(ich_graph *graph) {
    free(graph->nodes);
    free(graph->params);
    *graph = (ich_graph){0};
}

static int fail(ich_graph *graph, const char *node, const char *why) {
    if (!graph->error.text[0]) ich_fail(&graph->error, "model: node '%s': %s", node, why);
    return -1;
}

/* Room for one more element in arrays that double: 1, 2, 4, … */
static bool grow(void **array, int count, size_t size) {
    if (count & (count - 1)) return true;
    void *bigger = realloc(*array, (count ? 2 * (size_t)count : 1) * size);
    if (bigger) *array = bigger;
    return bigger != NULL;
}

static int append_node(ich_graph *graph, const char *name, const ich_node *node) {
    if (graph->error.text[0]) return -1;
    if (strlen(name) >= sizeof node->name) return fail(graph, name, "its name is too long");
    if (ich_graph_find(graph, name) >= 0) return fail(graph, name, "there is a node of that name already");
    if (!grow((void **)&graph->nodes, graph->n_nodes, sizeof *graph->nodes))
        return fail(graph, name, "out of memory");
    ich_node *slot = &graph->nodes[graph->n_nodes];
    *slot = *node;
    snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->group = graph->group;
    return graph->n_nodes++;
}

static int append_param(ich_graph *graph, const char *node, const ich_param_spec *spec) {
    ich_param param = {.rank = spec->rank,
                       .count = 1,
                       .init = spec->init,
                       .scale = spec->scale,
                       .trainable = spec->trainable,
                       .decay = spec->decay,
                       .group = graph->group};
    int length = snprintf(param.name, sizeof param.name, "%s.%s", node, spec->suffix);
    if (length >= (int)sizeof param.name) return fail(graph, node, "a parameter's name is too long");
    for (int i = 0; i < spec->rank; i++) {
        param.dims[i] = spec->dims[i];
        if (spec->dims[i] < 1 || param.count > SIZE_MAX / 64 / (size_t)spec->dims[i])
            return fail(graph, node, "a parameter's size is out of range");
        param.count *= (size_t)spec->dims[i];
    }
    param.offset = graph->n_values;
    if (!grow((void **)&graph->params, graph->n_params, sizeof *graph->params))
        return fail(graph, node, "out of memory");
    graph->n_values += (param.count + VALUE_STEP - 1) / VALUE_STEP * VALUE_STEP;
    graph->params[graph->n_params] = param;
    return graph->n_params++;
}

int ich_graph_input(ich_graph *graph, const char *name, ich_shape shape) {
    if (shape.h < 1 || shape.w < 1 || shape.c < 1) return fail(graph, name, "every side must be at least 1");
    return append_node(graph, name, &(ich_node){.op = -1, .shape = shape, .domain = ICH_PER_SLICE});
}

/* Shape, domain and wiring; parameters are the caller's. */
static int add_node(ich_graph *graph, int op, const char *name, ich_attr attr, int n_inputs,
                    const int *inputs) {
    if (graph->error.text[0]) return -1;
    if (op < 0) return fail(graph, name, "there is no such op");
    const ich_layer *layer = ich_layers(ICH_F32)[op];
    if (layer->inputs != n_inputs) return fail(graph, name, "it has the wrong number of inputs for its op");
    ich_node node = {.op = op, .n_inputs = n_inputs, .attr = attr};
    ich_shape in[ICH_MAX_INPUTS];
    for (int i = 0; i < n_inputs; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->n_nodes) return fail(graph, name, "an input is missing");
        node.inputs[i] = inputs[i];
        in[i] = graph->nodes[inputs[i]].shape;
    }
    ich_domain domain = graph->nodes[inputs[0]].domain;
    node.domain = layer->domain ? layer->domain(domain) : domain;
    ich_error why = {0};
    if (!layer->shape(&node.attr, in, &node.shape, &why)) return fail(graph, name, why.text);
    return append_node(graph, name, &node);
}

static int add_with_params(ich_graph *graph, const char *op, const char *name, ich_attr attr, int n_inputs,
                           const int *inputs) {
    int index = add_node(graph, ich_layer_index(op), name, attr, n_inputs, inputs);
    if (index < 0) return -1;
    ich_node *node = &graph->nodes[index];
    const ich_layer *layer = ich_layers(ICH_F32)[node->op];
    if (!layer->params) return index;
    ich_shape in[ICH_MAX_INPUTS];
    for (int i = 0; i < n_inputs; i++) in[i] = graph->nodes[inputs[i]].shape;
    ich_param_spec specs[ICH_MAX_PARAMS] = {0};
    node->n_params = layer->params(&node->attr, in, specs);
    for (int p = 0; p < node->n_params; p++)
        if ((node->params[p] = append_param(graph, name, &specs[p])) < 0) return -1;
    return index;
}

int ich_graph_add(ich_graph *graph, const char *op, const char *name, ich_attr attr, int input) {
    return add_with_params(graph, op, name, attr, 1, &input);
}

int ich_graph_add2(ich_graph *graph, const char *op, const char *name, ich_attr attr, int input, int second) {
    return add_with_params(graph, op, name, attr, 2, (int[]){input, second});
}

int ich_graph_share(ich_graph *graph, const char *name, int owner, int input) {
    if (graph->error.text[0]) return -1;
    if (owner < 0 || input < 0) return fail(graph, name, "an input is missing");
    ich_node from = graph->nodes[owner];
    if (ich_shape_count(graph->nodes[from.inputs[0]].shape) != ich_shape_count(graph->nodes[input].shape))
        return fail(graph, name, "it shares weights with a node whose input has another shape");
    int index = add_node(graph, from.op, name, from.attr, 1, &input);
    if (index < 0) return -1;
    graph->nodes[index].n_params = from.n_params;
    memcpy(graph->nodes[index].params, from.params, sizeof from.params);
    return index;
}

int ich_graph_find(const ich_graph *graph, const char *node_name) {
    for (int i = 0; i < graph->n_nodes; i++)
        if (!strcmp(graph->nodes[i].name, node_name)) return i;
    return -1;
}

int ich_graph_find_param(const ich_graph *graph, const char *param_name) {
    for (int i = 0; i < graph->n_params; i++)
        if (!strcmp(graph->params[i].name, param_name)) return i;
    return -1;
}

static uint64_t fnv1a(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

void ich_graph_initialize(const ich_graph *graph, uint64_t seed, float *values) {
    memset(values, 0, graph->n_values * sizeof *values);
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        float *value = values + param->offset;
        ich_rng rng = ich_rng_make(seed, ICH_RNG_INIT, fnv1a(param->name));
        for (size_t i = 0; i < param->count; i++) switch (param->init) {
            case ICH_INIT_ZERO:
                value[i] = 0;
                break;
            case ICH_INIT_CONSTANT:
                value[i] = param->scale;
                break;
            case ICH_INIT_NORMAL:
                value[i] = param->scale * ich_rng_normal(&rng);
                break;
            case ICH_INIT_UNIFORM:
                value[i] = ich_rng_range(&rng, -param->scale, param->scale);
                break;
            }
    }
}
