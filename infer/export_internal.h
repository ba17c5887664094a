/* export_internal.h: what export.c (the graph and its file) and export_ops.c (each op's spelling) share; not
 * for other files. */
#ifndef ICH_INFER_EXPORT_INTERNAL_H
#define ICH_INFER_EXPORT_INTERNAL_H

#include "infer/model.h"
#include "infer/onnx.h"

typedef struct exporting {
    const ich_model *model;
    ich_message graph;
    ich_error *err;
} exporting;

#define INPUTS(...)                                                                                          \
    (const char *const[]) { __VA_ARGS__, NULL }

static inline const ich_node *node_at(const exporting *e, int node) { return &e->model->graph.nodes[node]; }

/* The value's name in the file. */
static inline const char *value_of(const exporting *e, int node) {
    return node == e->model->input ? "images" : node_at(e, node)->name;
}

static inline void put(exporting *e, const char *op, const char *output, const char *const *inputs) {
    ich_onnx_node(&e->graph, op, output, inputs, NULL);
}

static inline void put_constant(exporting *e, const char *name, float value) {
    ich_onnx_floats(&e->graph, name, 1, (int64_t[]){1}, &value);
}

static inline void put_reduce(exporting *e, const char *op, const char *output, const char *input,
                              int64_t axis, bool keep) {
    ich_message a = {0};
    ich_onnx_ints(&a, "axes", &axis, 1);
    ich_onnx_int(&a, "keepdims", keep);
    ich_onnx_node(&e->graph, op, output, INPUTS(input), &a);
}

/* The nodes of ONNX that make up this one; fails for an op without a spelling. */
bool ich_export_node(exporting *e, const ich_node *node);
/* Its parameters are in the file already, in another form. */
bool ich_export_keeps_weights(const ich_node *node);

#endif
