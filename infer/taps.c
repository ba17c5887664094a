#include "infer/taps.h"

#include <stdio.h>
#include <string.h>

/* Nodes are listed in the order they are computed. So `node` is a cut if no later node, up to the features,
 * reads an earlier one: such an edge would lead around it. */
static bool is_cut(const ich_graph *graph, int features, int node) {
    for (int later = node + 1; later <= features; later++) {
        for (int i = 0; i < graph->nodes[later].n_inputs; i++) {
            if (graph->nodes[later].inputs[i] < node) return false;
        }
    }
    return true;
}

static bool is_larger_than_a_cell(const ich_node *node) { return node->shape.h * node->shape.w > 1; }

bool ich_taps_scales(const ich_graph *graph, int input, int features, ich_taps *taps, ich_error *err) {
    taps->n = 0;
    for (int n = input + 1; n < features; n++) {
        const ich_node *node = &graph->nodes[n];
        if (!is_larger_than_a_cell(node) || !is_cut(graph, features, n)) continue;
        const ich_shape last = taps->n > 0 ? graph->nodes[taps->node[taps->n - 1]].shape : (ich_shape){0};
        if (taps->n > 0 && last.h == node->shape.h && last.w == node->shape.w) taps->n--;
        if (taps->n == ICH_MAX_TAPS) memmove(taps->node, taps->node + 1, (size_t)--taps->n * sizeof(int));
        taps->node[taps->n++] = n;
    }
    return taps->n > 0 || ich_fail(err, "heatmaps: no layer of this CNN has a map of more than one cell: "
                                        "train it at a larger size");
}

/* The node itself, or one of the module: "layer2" and "layer2.0" hold "layer2.0.relu2". */
static bool belongs(const char *node, const char *layer) {
    const size_t n = strlen(layer);
    return !strncmp(node, layer, n) && (node[n] == '\0' || node[n] == '.');
}

/* "relu, layer1, layer2 …": what comes before the first dot, each once. */
static bool fail_with_names(const ich_graph *graph, int input, int features, const char *layer,
                            ich_error *err) {
    char names[400] = "";
    size_t used = 0;
    const char *before = "";
    for (int n = input; n < features; n++) {
        const char *name = graph->nodes[n].name;
        const size_t length = strcspn(name, ".");
        if (!is_cut(graph, features, n) ||
            (strcspn(before, ".") == length && !strncmp(before, name, length)) ||
            used + length + 3 > sizeof names)
            continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.*s", used > 0 ? ", " : "",
                                 (int)length, name);
        before = name;
    }
    return ich_fail(err, "heatmaps: this CNN has no layer '%.80s' that its whole answer passes; it has %s",
                    layer, names);
}

bool ich_taps_layer(const ich_graph *graph, int input, int features, const char *layer, ich_taps *taps,
                    ich_error *err) {
    for (int n = features - 1; n >= input; n--) {
        if ((layer != NULL && !belongs(graph->nodes[n].name, layer)) || !is_cut(graph, features, n)) continue;
        *taps = (ich_taps){.n = 1, .node = {n}};
        return true;
    }
    return fail_with_names(graph, input, features, layer != NULL ? layer : "", err);
}
