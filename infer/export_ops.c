/* Each op of the registry has a row that says how ONNX spells it. */
#include "infer/export.h"

#include "infer/export_internal.h"
#include "layers/gp.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* A constant [rows][columns]: factor[c] · values[c][r], or of variances factor[c] · (exp(2 values[c][r]) -
 * 1). */
static void put_weighted(exporting *e, const char *name, int columns, int rows, const float *factor,
                         const float *values, bool variance) {
    float *out = ich_new((size_t)columns * (size_t)rows, sizeof *out, name, e->err);
    e->graph.failed |= !out;
    for (int r = 0; out && r < rows; r++)
        for (int c = 0; c < columns; c++) {
            const float value = values[(size_t)c * (size_t)rows + (size_t)r];
            out[r * columns + c] = factor[c] * (variance ? expf(2 * value) - 1 : value);
        }
    if (out) ich_onnx_floats(&e->graph, name, 2, (int64_t[]){rows, columns}, out);
    free(out);
}

/* L⁻ᵀ: A = k L⁻ᵀ for a row k. */
static void put_whitening(exporting *e, const ich_node *n, const char *name, int points, int features) {
    const size_t count = (size_t)points * (size_t)points;
    double *w = ich_new(count, sizeof *w, name, e->err);
    float *out = ich_new(count, sizeof *out, name, e->err);
    e->graph.failed |= !w || !out;
    if (w && out) {
        ich_gp_whiten_f32(points, features, values_of(e, n, 0), w);
        for (int i = 0; i < points; i++)
            for (int j = 0; j < points; j++) out[j * points + i] = (float)w[i * points + j];
        ich_onnx_floats(&e->graph, name, 2, (int64_t[]){points, points}, out);
    }
    free(w);
    free(out);
}

/* Mean and variance for put_moderate, as <name>.mu and <name>.sigma2; the formulas are those of layers/gp.c.
 */
static void put_gp(exporting *e, const ich_node *n) {
    enum { MOST = 64 };
    const int points = n->attr.hidden, labels = n->attr.out < MOST ? n->attr.out : MOST;
    const int features = param_of(e, n, 0)->dims[1];
    const double length = ich_gp_length(features);
    float amplitude[MOST], square[MOST];
    for (int l = 0; l < labels; l++) {
        amplitude[l] = expf(values_of(e, n, 3)[l]);
        square[l] = amplitude[l] * amplitude[l];
    }
    ich_onnx_shape(&e->graph, part(n, "split"), 3, (int64_t[]){-1, 1, features});
    ich_onnx_floats(&e->graph, part(n, "points"), 2, (int64_t[]){points, features}, values_of(e, n, 0));
    ich_onnx_floats(&e->graph, part(n, "offset"), 1, (int64_t[]){labels}, values_of(e, n, 4));
    ich_onnx_floats(&e->graph, part(n, "prior"), 1, (int64_t[]){labels}, square);
    put_constant(e, part(n, "scale"), (float)(-1 / (2 * length * length)));
    put_whitening(e, n, part(n, "whiten"), points, features);
    put_weighted(e, part(n, "m"), labels, points, amplitude, values_of(e, n, 1), false);
    put_weighted(e, part(n, "s-1"), labels, points, square, values_of(e, n, 2), true);
    put(e, "Reshape", part(n, "x"), INPUTS(in(e, n, 0), part(n, "split")));
    put(e, "Sub", part(n, "x-z"), INPUTS(part(n, "x"), part(n, "points")));
    put_reduce(e, "ReduceSumSquare", part(n, "distance"), part(n, "x-z"), 2, false);
    put(e, "Mul", part(n, "log_k"), INPUTS(part(n, "distance"), part(n, "scale")));
    put(e, "Exp", part(n, "k"), INPUTS(part(n, "log_k")));
    put(e, "MatMul", part(n, "A"), INPUTS(part(n, "k"), part(n, "whiten")));
    put(e, "MatMul", part(n, "Am"), INPUTS(part(n, "A"), part(n, "m")));
    put(e, "Add", part(n, "mu"), INPUTS(part(n, "Am"), part(n, "offset")));
    put(e, "Mul", part(n, "AA"), INPUTS(part(n, "A"), part(n, "A")));
    put(e, "MatMul", part(n, "AAs"), INPUTS(part(n, "AA"), part(n, "s-1")));
    put(e, "Add", part(n, "sigma2"), INPUTS(part(n, "AAs"), part(n, "prior")));
}

static void put_moderate(exporting *e, const ich_node *n) {
    const ich_node *gp = node_at(e, n->inputs[0]);
    put_constant(e, part(n, "pi/8"), 0.39269908f);
    put_constant(e, part(n, "one"), 1);
    put_constant(e, part(n, "zero"), 0);
    put(e, "Max", part(n, "v"), INPUTS(part(gp, "sigma2"), part(n, "zero")));
    put(e, "Mul", part(n, "pi v/8"), INPUTS(part(n, "v"), part(n, "pi/8")));
    put(e, "Add", part(n, "wide"), INPUTS(part(n, "pi v/8"), part(n, "one")));
    put(e, "Sqrt", part(n, "width"), INPUTS(part(n, "wide")));
    put(e, "Div", n->name, INPUTS(part(gp, "mu"), part(n, "width")));
}

static const struct spelling {
    const char *op;
    void (*put)(exporting *e, const ich_node *node);
    bool keeps_weights; /* in a form of its own */
} spellings[] = {
    {"conv2d", put_conv, false},
    {"batch_norm", put_norm, false},
    {"relu", put_relu, false},
    {"sigmoid", put_sigmoid, false},
    {"tanh", put_tanh, false},
    {"silu", put_silu, false},
    {"max_pool", put_max_pool, false},
    {"average_pool", put_average_pool, false},
    {"global_average", put_global_average, false},
    {"add", put_add, false},
    {"concat", put_concat, false},
    {"linear", put_linear, false},
    {"dropout", put_identity, false},
    {"lstm", put_lstm, true},
    {"attention", put_attention, false},
    {"attention_pool", put_attention_pool, false},
    {"mean_slices", put_mean_slices, false},
    {"max_slices", put_max_slices, false},
    {"top_slices", put_top_slices, false},
    {"noisy_or", put_noisy_or, false},
    {"layer_norm", put_layer_norm, false},
    {"self_attention", put_self_attention, false},
    {"gp", put_gp, true},
    {"moderate", put_moderate, false},
};

static const struct spelling *find(const char *op) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (!strcmp(spellings[i].op, op)) return &spellings[i];
    return NULL;
}

bool ich_export_knows(const char *op) { return find(op) != NULL; }

static const struct spelling *of(const ich_node *node) {
    return node->op < 0 ? NULL : find(ich_layers(ICH_F32)[node->op]->op);
}

bool ich_export_keeps_weights(const ich_node *node) {
    const struct spelling *spelling = of(node);
    return spelling && spelling->keeps_weights;
}

bool ich_export_node(exporting *e, const ich_node *node) {
    const struct spelling *spelling = of(node);
    if (!spelling) return ich_fail(e->err, "node '%s': its op has no row in infer/export_ops.c", node->name);
    spelling->put(e, node);
    return true;
}
