/* Each op of the registry has a row that says how ONNX spells it; what predict does with the logits follows.
 */
#include "infer/export.h"

#include "data/file.h"
#include "data/labels.h"
#include "infer/onnx.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 7, OPSET = 13 }; /* ONNX 1.8, December 2020 */

typedef struct exporting {
    const ich_model *model;
    ich_message graph;
    ich_error *err;
} exporting;

#define INPUTS(...)                                                                                          \
    (const char *const[]) { __VA_ARGS__, NULL }

static const ich_node *node_at(const exporting *e, int node) { return &e->model->graph.nodes[node]; }

/* The value's name in the file. */
static const char *value_of(const exporting *e, int node) {
    return node == e->model->input ? "images" : node_at(e, node)->name;
}

static const char *in(const exporting *e, const ich_node *node, int i) {
    return value_of(e, node->inputs[i]);
}

static const ich_param *param_of(const exporting *e, const ich_node *node, int i) {
    return &e->model->graph.params[node->params[i]];
}

static const char *weight(const exporting *e, const ich_node *node, int i) {
    return param_of(e, node, i)->name;
}

static const float *values_of(const exporting *e, const ich_node *node, int i) {
    return e->model->values + param_of(e, node, i)->offset;
}

/* "<node>.<what>", in a ring of buffers: enough for one op. */
static const char *part(const ich_node *node, const char *what) {
    static _Thread_local char ring[8][120];
    static _Thread_local int next;
    char *text = ring[next++ % 8];
    snprintf(text, sizeof ring[0], "%s.%s", node->name, what);
    return text;
}

static void put(exporting *e, const char *op, const char *output, const char *const *inputs) {
    ich_onnx_node(&e->graph, op, output, inputs, NULL);
}

/* -- ops ----------------------------------------------------------------------------------------------- */

static int64_t or_one(int setting) { return setting ? setting : 1; }

/* Attributes that windows have in common. */
static ich_message window(const ich_attr *a) {
    ich_message attributes = {0};
    ich_onnx_ints(&attributes, "kernel_shape", (int64_t[]){a->kernel, a->kernel}, 2);
    ich_onnx_ints(&attributes, "strides", (int64_t[]){or_one(a->stride), or_one(a->stride)}, 2);
    ich_onnx_ints(&attributes, "pads", (int64_t[]){a->pad, a->pad, a->pad, a->pad}, 4);
    return attributes;
}

static void put_conv(exporting *e, const ich_node *n) {
    ich_message a = window(&n->attr);
    ich_onnx_ints(&a, "dilations", (int64_t[]){or_one(n->attr.dilation), or_one(n->attr.dilation)}, 2);
    ich_onnx_int(&a, "group", or_one(n->attr.groups));
    const char *bias = n->attr.bias ? weight(e, n, 1) : NULL;
    ich_onnx_node(&e->graph, "Conv", n->name, INPUTS(in(e, n, 0), weight(e, n, 0), bias), &a);
}

static void put_norm(exporting *e, const ich_node *n) {
    ich_message a = {0};
    ich_onnx_float(&a, "epsilon", n->attr.eps);
    ich_onnx_node(&e->graph, "BatchNormalization", n->name,
                  INPUTS(in(e, n, 0), weight(e, n, 0), weight(e, n, 1), weight(e, n, 2), weight(e, n, 3)),
                  &a);
}

static void put_relu(exporting *e, const ich_node *n) { put(e, "Relu", n->name, INPUTS(in(e, n, 0))); }
static void put_sigmoid(exporting *e, const ich_node *n) { put(e, "Sigmoid", n->name, INPUTS(in(e, n, 0))); }
static void put_tanh(exporting *e, const ich_node *n) { put(e, "Tanh", n->name, INPUTS(in(e, n, 0))); }
static void put_identity(exporting *e, const ich_node *n) {
    put(e, "Identity", n->name, INPUTS(in(e, n, 0)));
}
static void put_add(exporting *e, const ich_node *n) {
    put(e, "Add", n->name, INPUTS(in(e, n, 0), in(e, n, 1)));
}

static void put_silu(exporting *e, const ich_node *n) {
    put(e, "Sigmoid", part(n, "sigmoid"), INPUTS(in(e, n, 0)));
    put(e, "Mul", n->name, INPUTS(in(e, n, 0), part(n, "sigmoid")));
}

static void put_max_pool(exporting *e, const ich_node *n) {
    ich_message a = window(&n->attr);
    ich_onnx_node(&e->graph, "MaxPool", n->name, INPUTS(in(e, n, 0)), &a);
}

static void put_average_pool(exporting *e, const ich_node *n) {
    ich_message a = window(&n->attr);
    ich_onnx_int(&a, "count_include_pad", 1);
    ich_onnx_node(&e->graph, "AveragePool", n->name, INPUTS(in(e, n, 0)), &a);
}

/* From here on a slice is a vector. */
static void put_global_average(exporting *e, const ich_node *n) {
    put(e, "GlobalAveragePool", part(n, "map"), INPUTS(in(e, n, 0)));
    put(e, "Flatten", n->name, INPUTS(part(n, "map")));
}

static void put_concat(exporting *e, const ich_node *n) {
    ich_message a = {0};
    ich_onnx_int(&a, "axis", 1);
    ich_onnx_node(&e->graph, "Concat", n->name, INPUTS(in(e, n, 0), in(e, n, 1)), &a);
}

/* y = x Wᵀ (+ b) */
static void put_affine(exporting *e, const char *y, const char *x, const char *w, const char *b) {
    ich_message a = {0};
    ich_onnx_int(&a, "transB", 1);
    ich_onnx_node(&e->graph, "Gemm", y, INPUTS(x, w, b), &a);
}

static void put_linear(exporting *e, const ich_node *n) {
    put_affine(e, n->name, in(e, n, 0), weight(e, n, 0), n->attr.bias ? weight(e, n, 1) : NULL);
}

/* Rows of a stacked weight in torch's order of gates, i f g o, into ONNX's, i o f g. */
static void reorder_gates(const float *from, size_t gate, float *to) {
    static const int order[4] = {0, 3, 1, 2};
    for (int g = 0; g < 4; g++)
        memcpy(to + (size_t)g * gate, from + (size_t)order[g] * gate, gate * sizeof *to);
}

/* One constant [directions, …] of the parameters `first` (and `second`, behind it) of each direction. */
static void put_gates(exporting *e, const ich_node *n, const char *name, int first, int second, int rank,
                      const int64_t *dims) {
    const int directions = 1 + n->attr.bidirectional;
    size_t count = 1, at = 0;
    for (int d = 0; d < rank; d++) count *= (size_t)dims[d];
    float *values = ich_new(count, sizeof *values, name, e->err);
    e->graph.failed |= !values;
    for (int d = 0; values && d < directions; d++)
        for (int p = first; p >= 0; p = p == first ? second : -1) {
            const int index = 4 * d + p;
            reorder_gates(values_of(e, n, index), param_of(e, n, index)->count / 4, values + at);
            at += param_of(e, n, index)->count;
        }
    if (values) ich_onnx_floats(&e->graph, name, rank, dims, values);
    free(values);
}

/* ONNX's LSTM reads [slices, studies = 1, features] and makes [slices, directions, 1, units]. */
static void put_lstm(exporting *e, const ich_node *n) {
    const int64_t D = 1 + n->attr.bidirectional, H = n->attr.hidden;
    const int64_t F = param_of(e, n, 0)->dims[1];
    put_gates(e, n, part(n, "W"), 0, -1, 3, (int64_t[]){D, 4 * H, F});
    put_gates(e, n, part(n, "R"), 1, -1, 3, (int64_t[]){D, 4 * H, H});
    put_gates(e, n, part(n, "B"), 2, 3, 2, (int64_t[]){D, 8 * H});
    ich_onnx_shape(&e->graph, part(n, "sequence_shape"), 3, (int64_t[]){-1, 1, F});
    put(e, "Reshape", part(n, "sequence"), INPUTS(in(e, n, 0), part(n, "sequence_shape")));
    ich_message a = {0};
    ich_onnx_int(&a, "hidden_size", H);
    ich_onnx_text(&a, "direction", n->attr.bidirectional ? "bidirectional" : "forward");
    ich_onnx_node(&e->graph, "LSTM", part(n, "Y"),
                  INPUTS(part(n, "sequence"), part(n, "W"), part(n, "R"), part(n, "B")), &a);
    ich_onnx_ints(&a, "perm", (int64_t[]){0, 2, 1, 3}, 4);
    ich_onnx_node(&e->graph, "Transpose", part(n, "rows"), INPUTS(part(n, "Y")), &a);
    ich_onnx_shape(&e->graph, part(n, "shape"), 2, (int64_t[]){-1, D * H});
    put(e, "Reshape", n->name, INPUTS(part(n, "rows"), part(n, "shape")));
}

static void put_constant(exporting *e, const char *name, float value) {
    ich_onnx_floats(&e->graph, name, 1, (int64_t[]){1}, &value);
}

static void put_attention(exporting *e, const ich_node *n) {
    const char *h = in(e, n, 0), *m = part(n, "m");
    put_affine(e, part(n, "Vh"), h, weight(e, n, 0), weight(e, n, 1));
    put(e, "Tanh", n->attr.gated ? part(n, "v") : m, INPUTS(part(n, "Vh")));
    if (n->attr.gated) {
        put_affine(e, part(n, "Uh"), h, weight(e, n, 2), weight(e, n, 3));
        put(e, "Sigmoid", part(n, "u"), INPUTS(part(n, "Uh")));
        m = part(n, "m");
        put(e, "Mul", m, INPUTS(part(n, "v"), part(n, "u")));
    }
    put_affine(e, part(n, "scores"), part(n, "m"), weight(e, n, n->attr.gated ? 4 : 2), NULL);
    ich_message a = {0};
    ich_onnx_int(&a, "axis", 0);
    ich_onnx_node(&e->graph, "Softmax", n->name, INPUTS(part(n, "scores")), &a);
}

static void put_reduce(exporting *e, const char *op, const char *output, const char *input, int64_t axis,
                       bool keep) {
    ich_message a = {0};
    ich_onnx_ints(&a, "axes", &axis, 1);
    ich_onnx_int(&a, "keepdims", keep);
    ich_onnx_node(&e->graph, op, output, INPUTS(input), &a);
}

/* z = āᵀ h, ā the mean over heads */
static void put_attention_pool(exporting *e, const ich_node *n) {
    put_reduce(e, "ReduceMean", part(n, "weights"), in(e, n, 1), 1, true);
    ich_message a = {0};
    ich_onnx_ints(&a, "perm", (int64_t[]){1, 0}, 2);
    ich_onnx_node(&e->graph, "Transpose", part(n, "row"), INPUTS(part(n, "weights")), &a);
    put(e, "MatMul", n->name, INPUTS(part(n, "row"), in(e, n, 0)));
}

static void put_mean_slices(exporting *e, const ich_node *n) {
    put_reduce(e, "ReduceMean", n->name, in(e, n, 0), 0, true);
}

static void put_max_slices(exporting *e, const ich_node *n) {
    put_reduce(e, "ReduceMax", n->name, in(e, n, 0), 0, true);
}

/* ONNX's TopK fails where a study has fewer slices than k. */
static void put_top_slices(exporting *e, const ich_node *n) {
    ich_message a = {0};
    ich_onnx_shape(&e->graph, part(n, "most"), 1, (int64_t[]){n->attr.top});
    ich_onnx_shape(&e->graph, part(n, "first"), 1, (int64_t[]){0});
    put(e, "Shape", part(n, "shape"), INPUTS(in(e, n, 0)));
    put(e, "Gather", part(n, "slices"), INPUTS(part(n, "shape"), part(n, "first")));
    put(e, "Min", part(n, "k"), INPUTS(part(n, "most"), part(n, "slices")));
    ich_onnx_int(&a, "axis", 0);
    ich_onnx_output(&a, part(n, "places"));
    ich_onnx_node(&e->graph, "TopK", part(n, "best"), INPUTS(in(e, n, 0), part(n, "k")), &a);
    put_reduce(e, "ReduceMean", n->name, part(n, "best"), 0, true);
}

/* S + log(1 - exp(-S)); ONNX has no expm1, but 1 - exp(-S) = 2τ / (1 + τ) with τ = tanh(S/2). */
static void put_noisy_or(exporting *e, const ich_node *n) {
    put_constant(e, part(n, "half"), 0.5f);
    put_constant(e, part(n, "one"), 1);
    put_constant(e, part(n, "least"), 0x1p-126f);
    ich_onnx_shape(&e->graph, part(n, "axis"), 1, (int64_t[]){0});
    put(e, "Softplus", part(n, "softplus"), INPUTS(in(e, n, 0)));
    put(e, "ReduceSum", part(n, "sum"), INPUTS(part(n, "softplus"), part(n, "axis")));
    put(e, "Max", part(n, "S"), INPUTS(part(n, "sum"), part(n, "least")));
    put(e, "Mul", part(n, "S/2"), INPUTS(part(n, "S"), part(n, "half")));
    put(e, "Tanh", part(n, "tau"), INPUTS(part(n, "S/2")));
    put(e, "Add", part(n, "2 tau"), INPUTS(part(n, "tau"), part(n, "tau")));
    put(e, "Add", part(n, "1 + tau"), INPUTS(part(n, "tau"), part(n, "one")));
    put(e, "Div", part(n, "P"), INPUTS(part(n, "2 tau"), part(n, "1 + tau")));
    put(e, "Log", part(n, "log P"), INPUTS(part(n, "P")));
    put(e, "Add", n->name, INPUTS(part(n, "S"), part(n, "log P")));
}

/* LayerNormalization came with set 17. */
static void put_layer_norm(exporting *e, const ich_node *n) {
    put_constant(e, part(n, "eps"), n->attr.eps);
    put_reduce(e, "ReduceMean", part(n, "mean"), in(e, n, 0), 1, true);
    put(e, "Sub", part(n, "centred"), INPUTS(in(e, n, 0), part(n, "mean")));
    put(e, "Mul", part(n, "squares"), INPUTS(part(n, "centred"), part(n, "centred")));
    put_reduce(e, "ReduceMean", part(n, "variance"), part(n, "squares"), 1, true);
    put(e, "Add", part(n, "positive"), INPUTS(part(n, "variance"), part(n, "eps")));
    put(e, "Sqrt", part(n, "deviation"), INPUTS(part(n, "positive")));
    put(e, "Div", part(n, "normal"), INPUTS(part(n, "centred"), part(n, "deviation")));
    put(e, "Mul", part(n, "scaled"), INPUTS(part(n, "normal"), weight(e, n, 0)));
    put(e, "Add", n->name, INPUTS(part(n, "scaled"), weight(e, n, 1)));
}

static void put_transpose(exporting *e, const char *output, const char *input, const int64_t order[3]) {
    ich_message a = {0};
    ich_onnx_ints(&a, "perm", order, 3);
    ich_onnx_node(&e->graph, "Transpose", output, INPUTS(input), &a);
}

/* Of [3 heads][slices][d]: q (0), k (1) or v (2). */
static void put_projection(exporting *e, const ich_node *n, const char *name, int which) {
    int64_t rows[64];
    const int heads = n->attr.heads < 64 ? n->attr.heads : 64;
    char index[16];
    snprintf(index, sizeof index, "%s.heads", name);
    for (int h = 0; h < heads; h++) rows[h] = which * heads + h;
    ich_onnx_shape(&e->graph, part(n, index), heads, rows);
    put(e, "Gather", part(n, name), INPUTS(part(n, "by_head"), part(n, index)));
}

static void put_self_attention(exporting *e, const ich_node *n) {
    const int64_t width = n->shape.c, heads = n->attr.heads, d = width / heads;
    ich_message a = {0};
    put_constant(e, part(n, "root_d"), sqrtf((float)d));
    ich_onnx_shape(&e->graph, part(n, "split"), 3, (int64_t[]){-1, 3 * heads, d});
    ich_onnx_shape(&e->graph, part(n, "join"), 2, (int64_t[]){-1, width});
    put_affine(e, part(n, "qkv"), in(e, n, 0), weight(e, n, 0), weight(e, n, 1));
    put(e, "Reshape", part(n, "by_slice"), INPUTS(part(n, "qkv"), part(n, "split")));
    put_transpose(e, part(n, "by_head"), part(n, "by_slice"), (int64_t[]){1, 0, 2});
    put_projection(e, n, "q", 0);
    put_projection(e, n, "k", 1);
    put_projection(e, n, "v", 2);
    put_transpose(e, part(n, "k'"), part(n, "k"), (int64_t[]){0, 2, 1});
    put(e, "MatMul", part(n, "qk'"), INPUTS(part(n, "q"), part(n, "k'")));
    put(e, "Div", part(n, "scores"), INPUTS(part(n, "qk'"), part(n, "root_d")));
    ich_onnx_int(&a, "axis", 2);
    ich_onnx_node(&e->graph, "Softmax", part(n, "P"), INPUTS(part(n, "scores")), &a);
    put(e, "MatMul", part(n, "Pv"), INPUTS(part(n, "P"), part(n, "v")));
    put_transpose(e, part(n, "o_by_slice"), part(n, "Pv"), (int64_t[]){1, 0, 2});
    put(e, "Reshape", part(n, "o"), INPUTS(part(n, "o_by_slice"), part(n, "join")));
    put_affine(e, n->name, part(n, "o"), weight(e, n, 2), weight(e, n, 3));
}

static const struct spelling {
    const char *op;
    void (*put)(exporting *e, const ich_node *node);
} spellings[] = {
    {"conv2d", put_conv},
    {"batch_norm", put_norm},
    {"relu", put_relu},
    {"sigmoid", put_sigmoid},
    {"tanh", put_tanh},
    {"silu", put_silu},
    {"max_pool", put_max_pool},
    {"average_pool", put_average_pool},
    {"global_average", put_global_average},
    {"add", put_add},
    {"concat", put_concat},
    {"linear", put_linear},
    {"dropout", put_identity},
    {"lstm", put_lstm},
    {"attention", put_attention},
    {"attention_pool", put_attention_pool},
    {"mean_slices", put_mean_slices},
    {"max_slices", put_max_slices},
    {"top_slices", put_top_slices},
    {"noisy_or", put_noisy_or},
    {"layer_norm", put_layer_norm},
    {"self_attention", put_self_attention},
};

static const struct spelling *find(const char *op) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (!strcmp(spellings[i].op, op)) return &spellings[i];
    return NULL;
}

bool ich_export_knows(const char *op) { return find(op) != NULL; }

/* -- answers ------------------------------------------------------------------------------------------- */

#define STUDY     "study_probability"
#define SLICES    "slice_probability"
#define ATTENTION "slice_attention"

/* Each slice's share of the summed probability of any. */
static void put_shares(exporting *e) {
    ich_onnx_shape(&e->graph, "any.index", 1, (int64_t[]){ICH_ANY});
    ich_onnx_shape(&e->graph, "any.shape", 1, (int64_t[]){-1});
    put_constant(e, "any.least", 0x1p-126f);
    ich_message a = {0};
    ich_onnx_int(&a, "axis", 1);
    ich_onnx_node(&e->graph, "Gather", "any.column", INPUTS(SLICES, "any.index"), &a);
    put(e, "Reshape", "any", INPUTS("any.column", "any.shape"));
    put(e, "ReduceSum", "any.sum", INPUTS("any"));
    put(e, "Max", "any.positive_sum", INPUTS("any.sum", "any.least"));
    put(e, "Div", ATTENTION, INPUTS("any", "any.positive_sum"));
}

/* As in infer/study.c: with the image head alone, the most positive slice, label by label. */
static void put_answers(exporting *e) {
    const ich_model *model = e->model;
    const bool study_head = model->classifier >= 0;
    put(e, "Sigmoid", SLICES, INPUTS(value_of(e, study_head ? model->slices : model->fc)));
    if (study_head)
        put(e, "Sigmoid", STUDY, INPUTS(value_of(e, model->classifier)));
    else
        put_reduce(e, "ReduceMax", STUDY, SLICES, 0, true);
    if (model->weights >= 0)
        put_reduce(e, "ReduceMean", ATTENTION, value_of(e, model->weights), 1, false);
    else
        put_shares(e);
}

/* -- the graph ----------------------------------------------------------------------------------------- */

/* Nodes that the answers come from: a study head's model may carry an image head too. */
static bool *list_needed(const ich_model *model, ich_error *err) {
    const ich_graph *graph = &model->graph;
    bool *needed = ich_new((size_t)graph->n_nodes, sizeof *needed, "the export", err);
    if (!needed) return NULL;
    const bool study_head = model->classifier >= 0;
    const int ends[] = {study_head ? model->classifier : model->fc, model->slices, model->weights};
    for (int i = 0; i < (study_head ? 3 : 1); i++)
        if (ends[i] >= 0) needed[ends[i]] = true;
    for (int n = graph->n_nodes - 1; n >= 0; n--)
        for (int i = 0; needed[n] && i < graph->nodes[n].n_inputs; i++)
            needed[graph->nodes[n].inputs[i]] = true;
    return needed;
}

static bool put_nodes(exporting *e, const bool *needed) {
    const ich_graph *graph = &e->model->graph;
    for (int n = 0; n < graph->n_nodes; n++) {
        const ich_node *node = &graph->nodes[n];
        if (!needed[n] || node->op < 0) continue;
        const char *op = ich_layers(ICH_F32)[node->op]->op;
        if (!find(op))
            return ich_fail(e->err, "node '%s': op '%s' has no row in infer/export.c", node->name, op);
        find(op)->put(e, node);
    }
    return true;
}

/* An lstm's are in it already, stacked (put_gates). */
static void put_weights(exporting *e, const bool *needed) {
    const ich_graph *graph = &e->model->graph;
    bool *done = ich_new((size_t)graph->n_params + 1, sizeof *done, "the export", e->err);
    e->graph.failed |= !done;
    for (int n = 0; done && n < graph->n_nodes; n++) {
        const ich_node *node = &graph->nodes[n];
        if (!needed[n] || node->op < 0 || node->op == ich_layer_index("lstm")) continue;
        for (int p = 0; p < node->n_params; p++) {
            const ich_param *param = &graph->params[node->params[p]];
            int64_t dims[4];
            for (int d = 0; d < param->rank; d++) dims[d] = param->dims[d];
            if (!done[node->params[p]])
                ich_onnx_floats(&e->graph, param->name, param->rank, dims, e->model->values + param->offset);
            done[node->params[p]] = true; /* two nodes may share it */
        }
    }
    free(done);
}

static void put_ends(exporting *e) {
    const ich_shape s = node_at(e, e->model->input)->shape;
    ich_onnx_end(&e->graph, ICH_GRAPH_INPUT, "images", 4, (int64_t[]){-1, s.c, s.h, s.w}, "slices");
    ich_onnx_end(&e->graph, ICH_GRAPH_OUTPUT, STUDY, 2, (int64_t[]){1, ICH_LABELS}, NULL);
    ich_onnx_end(&e->graph, ICH_GRAPH_OUTPUT, SLICES, 2, (int64_t[]){-1, ICH_LABELS}, "slices");
    ich_onnx_end(&e->graph, ICH_GRAPH_OUTPUT, ATTENTION, 1, (int64_t[]){-1}, "slices");
}

static bool put_graph(exporting *e) {
    bool *needed = list_needed(e->model, e->err);
    bool done = needed && put_nodes(e, needed);
    if (done) {
        put_answers(e);
        put_weights(e, needed);
        put_ends(e);
        ich_put_text(&e->graph, ICH_GRAPH_NAME, e->model->recipe.arch);
    }
    free(needed);
    return done;
}

/* -- the file ------------------------------------------------------------------------------------------ */

static const char preprocessing[] = "images [slices, channels, size, size]: the slices of one study from "
                                    "foot to head, the patient's right on the "
                                    "left. Of each slice, resampled in millimetres by an antialiased "
                                    "triangle filter onto a square that covers its "
                                    "longer side, padded with air: channel c is (HU - centre + width / 2) / "
                                    "width of window c, clipped to 0 ... 1, "
                                    "rounded to 8 bits, then (v - 0.5) / 0.25.";

static void put_entry(ich_message *file, const char *key, const char *value) {
    ich_message entry = {0};
    ich_put_text(&entry, ICH_ENTRY_KEY, key);
    ich_put_text(&entry, ICH_ENTRY_VALUE, value);
    ich_put_message(file, ICH_MODEL_METADATA, &entry);
}

static void put_metadata(const ich_model *model, ich_message *file) {
    char labels[200] = "", size[16];
    for (int l = 0; l < ICH_LABELS; l++) strcat(strcat(labels, l ? "," : ""), ich_label_names[l]);
    snprintf(size, sizeof size, "%d", model->recipe.size);
    put_entry(file, "labels", labels);
    put_entry(file, "preprocessing", preprocessing);
    put_entry(file, "windows", model->recipe.windows);
    put_entry(file, "size", size);
    put_entry(file, "arch", model->recipe.arch);
    put_entry(file, "intended_use", "research and teaching only; no medical device");
    for (int i = 0; i < model->n_meta; i++) put_entry(file, model->meta_keys[i], model->meta_values[i]);
}

bool ich_export_onnx(const ich_model *model, const char *path, ich_error *err) {
    exporting e = {.model = model, .err = err};
    ich_message file = {0}, opset = {0};
    bool done = put_graph(&e);
    ich_put_int(&file, ICH_MODEL_IR_VERSION, IR_VERSION);
    ich_put_text(&file, ICH_MODEL_PRODUCER, "Ichor");
    ich_put_text(&file, ICH_MODEL_PRODUCER_VERSION, ICHOR_VERSION);
    ich_put_text(&file, ICH_MODEL_DOC, preprocessing);
    ich_put_message(&file, ICH_MODEL_GRAPH, &e.graph);
    ich_put_int(&opset, ICH_OPSET_VERSION, OPSET);
    ich_put_message(&file, ICH_MODEL_OPSET, &opset);
    put_metadata(model, &file);
    if (done && file.failed) done = ich_fail(err, "%s: no memory for the file", path);
    done = done && ich_file_write(path, file.bytes, file.count, err);
    ich_message_free(&file);
    return done;
}
