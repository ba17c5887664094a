#include "audit/trace.h"

#include "audit/trace_internal.h"
#include "data/dataset.h"
#include "infer/scans.h"
#include "layers/exec.h"
#include "tensor/arena.h"
#include "tensor/team.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct tracing {
    ich_trace *trace;
    const ich_model *model;
    const ich_trace_options *options;
    ich_scans scans;
    const ich_scan *scan;
    ich_volume volume;
    ich_slices slices;
    ich_array input; /* input.npy */
    float *features; /* [volume.slices][c] */
    /* the pass at work */
    ich_exec *exec;
    int first, rows; /* its slices */
    double since;    /* ich_seconds() when the present node began */
    ich_error failure;
} tracing;

/* -- the study ----------------------------------------------------------------------------------------- */

/* With a dump, a folder of DICOM becomes a dataset in its scans/, as in predict. */
static bool list_scans(tracing *t, const char *input, ich_error *err) {
    char *dataset = NULL;
    ich_skipped skipped = {0};
    bool done = !t->options->dump ||
                ich_scans_import(input, t->options->dump, false, &dataset, NULL, NULL, &skipped, err);
    done = done && ich_scans_list(&t->scans, dataset ? dataset : input, err);
    ich_skipped_free(&skipped);
    free(dataset);
    return done;
}

static bool choose_scan(tracing *t, const char *input, ich_error *err) {
    const char *wanted = t->options->study;
    if (!list_scans(t, input, err)) return false;
    t->scan = wanted ? NULL : &t->scans.scans[0];
    for (size_t i = 0; !t->scan && i < t->scans.count; i++)
        if (!strcmp(t->scans.scans[i].study_id, wanted)) t->scan = &t->scans.scans[i];
    return t->scan || ich_fail(err, "%s: has no study '%s': name one of its studies.csv", input, wanted);
}

static bool known(const float label[ICH_LABELS]) {
    for (int l = 0; l < ICH_LABELS; l++)
        if (!isnan(label[l])) return true;
    return false;
}

static bool read_label(const tracing *t, const char *input, float label[ICH_LABELS], ich_error *err) {
    ich_dataset dataset;
    if (!ich_path_is_folder(input))
        return ich_fail(err, "%s: a file has no label to compare with: backward needs a dataset", input);
    if (!ich_dataset_read(&dataset, input, false, NULL, err)) return false;
    for (int l = 0; l < ICH_LABELS; l++) label[l] = NAN;
    for (size_t s = 0; s < dataset.n_studies; s++)
        if (!strcmp(dataset.studies[s].study_id, t->scan->study_id))
            memcpy(label, dataset.studies[s].label, sizeof dataset.studies[s].label);
    ich_dataset_free(&dataset);
    return known(label) ||
           ich_fail(err, "%s: no label of study '%s' is known: backward needs one", input, t->scan->study_id);
}

/* -- rows ---------------------------------------------------------------------------------------------- */

static char *join(const char *folder, const char *file, bool *done, ich_error *err) {
    char *path = folder ? ich_path_join(folder, file) : NULL;
    if (folder && !path) *done = ich_fail(err, "%s: no memory for a path", folder);
    return path;
}

bool ich_trace_open_array(ich_trace_row *row, int rank, const int64_t *dims, const ich_trace_options *options,
                          ich_error *err) {
    bool done = true;
    char *dump = join(options->dump, row->file, &done, err);
    char *against = join(options->against, row->file, &done, err);
    done = done && ich_array_open(&row->array, rank, dims, dump, against, err);
    free(dump);
    free(against);
    return done;
}

/* Values of the CNN are images, also where they have shrunk to 1 × 1; of the head, vectors. */
static int dims_of(const ich_node *node, int slices, int64_t dims[ICH_NPY_RANK]) {
    dims[0] = node->domain == ICH_PER_STUDY ? 1 : slices;
    if (node->group == ICH_GROUP_CNN) {
        dims[1] = node->shape.h;
        dims[2] = node->shape.w;
        dims[3] = node->shape.c;
        return 4;
    }
    dims[1] = (int64_t)ich_shape_count(node->shape);
    return 2;
}

static bool open_rows(tracing *t, ich_error *err) {
    const ich_graph *graph = &t->model->graph;
    ich_trace *trace = t->trace;
    int64_t dims[ICH_NPY_RANK];
    trace->nodes = ich_new((size_t)graph->n_nodes, sizeof *trace->nodes, "the trace", err);
    if (!trace->nodes) return false;
    trace->n_nodes = graph->n_nodes;
    for (int n = 0; n < graph->n_nodes; n++) {
        const ich_node *node = &graph->nodes[n];
        ich_trace_row *row = &trace->nodes[n];
        row->name = node->name;
        row->op = node->op < 0 ? "input" : ich_layers(ICH_F32)[node->op]->op;
        snprintf(row->file, sizeof row->file, "%d_%s.npy", n, node->name);
        const int rank = dims_of(node, t->volume.slices, dims);
        if (!ich_trace_open_array(row, rank, dims, t->options, err)) return false;
    }
    ich_trace_row input = {.file = "input.npy"};
    const ich_trace_options dump_only = {.dump = t->options->dump};
    const int rank = dims_of(&graph->nodes[t->model->input], t->volume.slices, dims);
    const bool done = ich_trace_open_array(&input, rank, dims, &dump_only, err);
    t->input = input.array;
    return done;
}

static bool close_rows(tracing *t, ich_error *err) {
    for (int n = 0; n < t->trace->n_nodes; n++) {
        ich_array *array = &t->trace->nodes[n].array;
        if (array->seen != array->count)
            return ich_fail(err, "node '%s' was not traced", t->trace->nodes[n].name);
        if (!ich_array_close(array, err)) return false;
    }
    return ich_array_close(&t->input, err);
}

/* -- forward ------------------------------------------------------------------------------------------- */

/* Called after each node; the digest's time is not the node's. */
static void see(void *self, int node) {
    tracing *t = self;
    const ich_node *its = &t->model->graph.nodes[node];
    ich_trace_row *row = &t->trace->nodes[node];
    row->milliseconds += 1e3 * (ich_seconds() - t->since);
    const float *value = ich_exec_value(t->exec, node);
    const size_t rows = its->domain == ICH_PER_STUDY ? 1 : (size_t)t->rows;
    const size_t count = ich_shape_count(its->shape);
    if (!t->failure.text[0]) ich_array_add(&row->array, value, rows * count, &t->failure);
    if (node == t->model->features)
        memcpy(t->features + (size_t)t->first * count, value, rows * count * sizeof *value);
    t->since = ich_seconds();
}

static bool forward(tracing *t, ich_exec *exec, int first, int rows, bool study, ich_error *err) {
    const int offsets[2] = {0, rows};
    t->exec = exec;
    t->first = first;
    t->rows = rows;
    ich_exec_watch(exec, see, t);
    t->since = ich_seconds();
    ich_exec_forward(exec, rows, study, study ? offsets : NULL);
    return !t->failure.text[0] || ich_fail(err, "%s", t->failure.text);
}

static ich_exec *open_exec(const tracing *t, const ich_exec_options *options, ich_error *err) {
    ich_exec *exec = ich_exec_create(&t->model->graph, options, err);
    if (!exec) return NULL;
    ich_exec_bind(exec, t->model->values, NULL);
    ich_exec_prepare(exec);
    return exec;
}

static bool run_cnn(tracing *t, ich_error *err) {
    const ich_model *model = t->model;
    const int slices = t->volume.slices, chunk = t->slices.rows < slices ? t->slices.rows : slices;
    const ich_exec_options options = {.inputs = {model->input},
                                      .n_inputs = 1,
                                      .outputs = {model->features},
                                      .n_outputs = 1,
                                      .max_rows = chunk,
                                      .no_fusing = true};
    ich_exec *cnn = open_exec(t, &options, err);
    bool done = cnn != NULL;
    for (int first = 0; done && first < slices; first += chunk) {
        const int rows = slices - first < chunk ? slices - first : chunk;
        float *input = ich_exec_value(cnn, model->input);
        const size_t count = (size_t)rows * t->slices.count;
        done = ich_slices_read(&t->slices, &t->volume, first, rows, input, err) &&
               ich_array_add(&t->input, input, count, err) &&
               ich_array_add(&t->trace->nodes[model->input].array, input, count, err) &&
               forward(t, cnn, first, rows, false, err);
    }
    ich_exec_free(cnn);
    return done;
}

/* The head's nodes that no other reads: what the exec must be asked for, so that it runs them all. */
static void list_ends(const ich_graph *graph, ich_exec_options *options) {
    for (int n = 0; n < graph->n_nodes; n++) {
        bool read = graph->nodes[n].group == ICH_GROUP_CNN;
        for (int m = n + 1; m < graph->n_nodes; m++)
            for (int i = 0; i < graph->nodes[m].n_inputs; i++) read |= graph->nodes[m].inputs[i] == n;
        if (!read && options->n_outputs < ICH_EXEC_MAX_ENDS) options->outputs[options->n_outputs++] = n;
    }
}

static bool run_head(tracing *t, ich_error *err) {
    const ich_model *model = t->model;
    const int slices = t->volume.slices;
    const bool study_head = model->classifier >= 0;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    ich_exec_options options = {.inputs = {model->features},
                                .n_inputs = 1,
                                .max_rows = slices,
                                .max_studies = study_head,
                                .no_fusing = true};
    list_ends(&model->graph, &options);
    ich_exec *head = open_exec(t, &options, err);
    if (!head) return false;
    memcpy(ich_exec_value(head, model->features), t->features, (size_t)slices * width * sizeof *t->features);
    const bool done = forward(t, head, 0, slices, study_head, err);
    ich_exec_free(head);
    return done;
}

/* -- backward ------------------------------------------------------------------------------------------ */

static bool open_gradients(tracing *t, ich_error *err) {
    const ich_graph *graph = &t->model->graph;
    ich_trace *trace = t->trace;
    trace->gradients = ich_new((size_t)graph->n_params + 1, sizeof *trace->gradients, "the trace", err);
    if (!trace->gradients) return false;
    ich_trace_row *loss = &trace->gradients[trace->n_gradients++];
    *loss = (ich_trace_row){.name = "loss", .op = "loss", .file = "loss.npy"};
    if (!ich_trace_open_array(loss, 1, (int64_t[]){1}, t->options, err)) return false;
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        int64_t dims[ICH_NPY_RANK];
        if (!param->trainable) continue;
        for (int d = 0; d < param->rank; d++) dims[d] = param->dims[d];
        ich_trace_row *row = &trace->gradients[trace->n_gradients++];
        row->name = param->name;
        row->op = "gradient";
        snprintf(row->file, sizeof row->file, "grad/%s.npy", param->name);
        if (!ich_trace_open_array(row, param->rank, dims, t->options, err)) return false;
    }
    return true;
}

static bool fill_gradients(ich_trace *trace, const ich_graph *graph, float loss, const float *gradients,
                           ich_error *err) {
    ich_trace_row *row = trace->gradients;
    if (!ich_array_add(&row->array, &loss, 1, err) || !ich_array_close(&row->array, err)) return false;
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        if (!param->trainable) continue;
        row++;
        if (!ich_array_add(&row->array, gradients + param->offset, param->count, err) ||
            !ich_array_close(&row->array, err))
            return false;
    }
    return true;
}

static bool run_backward(tracing *t, const float label[ICH_LABELS], ich_error *err) {
    const ich_graph *graph = &t->model->graph;
    ich_trace_study study = {
        .model = t->model, .slices = &t->slices, .volume = &t->volume, .features = t->features};
    memcpy(study.label, label, sizeof study.label);
    const size_t bytes = ich_align(graph->n_values * sizeof(float));
    float loss, *gradients = aligned_alloc(ICH_ALIGN, bytes);
    if (!gradients) return ich_fail(err, "no memory for %zu MiB of gradients", bytes >> 20);
    memset(gradients, 0, bytes);
    const bool done = ich_trace_gradient(&study, gradients, &loss, err) && open_gradients(t, err) &&
                      fill_gradients(t->trace, graph, loss, gradients, err);
    free(gradients);
    return done;
}

/* -- the whole ----------------------------------------------------------------------------------------- */

static bool make_folders(const ich_trace_options *options, ich_error *err) {
    if (!options->dump) return true;
    bool done = ich_folder_make(options->dump, err);
    char *grad = done && options->backward ? join(options->dump, "grad", &done, err) : NULL;
    done = done && (!grad || ich_folder_make(grad, err));
    free(grad);
    return done;
}

static bool open_study(tracing *t, const char *input, float label[ICH_LABELS], ich_error *err) {
    const ich_model *model = t->model;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    if (!choose_scan(t, input, err)) return false;
    if (t->options->backward && !read_label(t, input, label, err)) return false;
    if (!ich_volume_read(&t->volume, t->scan->path, err)) return false;
    t->features = ich_new((size_t)t->volume.slices, width * sizeof *t->features, "features", err);
    return t->features &&
           ich_slices_open(&t->slices, &model->recipe, ich_recipe_chunk(&model->recipe), err) &&
           make_folders(t->options, err);
}

static bool run_passes(tracing *t, const float label[ICH_LABELS], ich_error *err) {
    const ich_trace_options *o = t->options;
    return open_rows(t, err) && run_cnn(t, err) && run_head(t, err) && close_rows(t, err) &&
           (!o->backward || run_backward(t, label, err)) &&
           (!o->against || ich_trace_compare_tables(t->trace, o->against, err)) &&
           (!o->dump || ich_trace_write_tables(t->trace, o->dump, err)); /* the folder may be the same */
}

bool ich_trace_run(ich_trace *trace, const ich_model *model, const char *input,
                   const ich_trace_options *options, ich_error *err) {
    tracing t = {.trace = trace, .model = model, .options = options};
    float label[ICH_LABELS];
    *trace = (ich_trace){0};
    const bool done = open_study(&t, input, label, err) && run_passes(&t, label, err);
    ich_array_abandon(&t.input);
    ich_slices_close(&t.slices);
    ich_volume_free(&t.volume);
    ich_scans_free(&t.scans);
    free(t.features);
    if (!done) ich_trace_free(trace);
    return done;
}

void ich_trace_free(ich_trace *trace) {
    for (int n = 0; n < trace->n_nodes; n++) ich_array_abandon(&trace->nodes[n].array);
    for (int g = 0; g < trace->n_gradients; g++) ich_array_abandon(&trace->gradients[g].array);
    free(trace->nodes);
    free(trace->gradients);
    *trace = (ich_trace){0};
}

const ich_trace_row *ich_trace_first_difference(const ich_trace *trace) {
    for (int n = 0; n < trace->n_nodes; n++)
        if (trace->nodes[n].differs) return &trace->nodes[n];
    for (int g = 0; g < trace->n_gradients; g++)
        if (trace->gradients[g].differs) return &trace->gradients[g];
    return NULL;
}
