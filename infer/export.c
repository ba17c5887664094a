/* The graph is that of the model, op by op (export_ops.c); what predict does with the logits follows. */
#include "infer/export.h"

#include "data/file.h"
#include "data/labels.h"
#include "infer/export_internal.h"
#include <stdlib.h>
#include <string.h>

enum { IR_VERSION = 7, OPSET = 13 }; /* ONNX 1.8, December 2020 */

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
        if (!ich_export_node(e, node)) return false;
    }
    return true;
}

static void put_weights(exporting *e, const bool *needed) {
    const ich_graph *graph = &e->model->graph;
    bool *done = ich_new((size_t)graph->n_params + 1, sizeof *done, "the export", e->err);
    e->graph.failed |= !done;
    for (int n = 0; done && n < graph->n_nodes; n++) {
        const ich_node *node = &graph->nodes[n];
        if (!needed[n] || node->op < 0 || ich_export_keeps_weights(node)) continue;
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
