#include "infer/head.h"

#include "data/labels.h"
#include <string.h>

enum { FIRST_ROWS = 64 }; /* most studies fit */

static bool is_study_head(const ich_head *head) { return head->model->classifier >= 0; }

/* Lists what is read: slice_logit, study_logit, and of attention and a Gaussian process what there is. */
static int list_outputs(const ich_head *head, int *outputs) {
    const ich_model *model = head->model;
    int n = 0;
    outputs[n++] = head->slice_logit;
    if (!is_study_head(head)) return n;
    outputs[n++] = head->study_logit;
    if (model->weights >= 0) outputs[n++] = model->weights;
    if (model->gp >= 0) outputs[n++] = model->gp;
    return n;
}

/* Plans for studies of up to `rows` slices; keeps the plan it has if that is enough. */
static bool fit(ich_head *head, int rows, ich_error *err) {
    if (rows <= head->most_rows) return true;
    int most = head->most_rows > 0 ? head->most_rows : FIRST_ROWS;
    while (most < rows) most = most > INT32_MAX / 2 ? rows : 2 * most;
    ich_exec_free(head->exec);
    head->most_rows = 0;
    ich_exec_options options = {.inputs = {head->model->features},
                                .n_inputs = 1,
                                .max_rows = most,
                                .max_studies = is_study_head(head) ? 1 : 0,
                                .gradient = head->gradient,
                                .input_gradient = head->gradient,
                                .frozen_params = head->gradient};
    options.n_outputs = list_outputs(head, options.outputs);
    head->exec = ich_exec_create(&head->model->graph, &options, err);
    if (head->exec == NULL) return false;
    ich_exec_bind(head->exec, head->model->values, NULL);
    ich_exec_prepare(head->exec);
    head->most_rows = most;
    return true;
}

bool ich_head_open(ich_head *head, const ich_model *model, bool gradient, ich_error *err) {
    *head = (ich_head){.model = model, .gradient = gradient};
    head->study_logit = is_study_head(head) ? model->classifier : model->fc;
    head->slice_logit = is_study_head(head) ? model->slices : model->fc;
    return fit(head, FIRST_ROWS, err);
}

void ich_head_close(ich_head *head) {
    ich_exec_free(head->exec);
    memset(head, 0, sizeof *head);
}

static size_t count_of(const ich_head *head, int node) {
    return ich_shape_count(head->model->graph.nodes[node].shape);
}

bool ich_head_run(ich_head *head, const float *features, int slices, ich_error *err) {
    const int node = head->model->features;
    if (!fit(head, slices, err)) return false;
    memcpy(ich_exec_value(head->exec, node), features,
           (size_t)slices * count_of(head, node) * sizeof *features);
    head->offsets[1] = head->slices = slices;
    ich_exec_forward(head->exec, slices, is_study_head(head) ? 1 : 0,
                     is_study_head(head) ? head->offsets : NULL);
    return true;
}

const float *ich_head_value(ich_head *head, int node) { return ich_exec_value(head->exec, node); }

/* What flows back from an output: nothing, until it is the one that is explained. */
static void clear_gradients(ich_head *head) {
    int outputs[ICH_EXEC_MAX_ENDS], n = list_outputs(head, outputs);
    for (int i = 0; i < n; i++) {
        const ich_domain domain = head->model->graph.nodes[outputs[i]].domain;
        const size_t rows = domain == ICH_PER_STUDY ? 1 : (size_t)head->slices;
        float *gradient = ich_exec_gradient(head->exec, outputs[i]);
        memset(gradient, 0, rows * count_of(head, outputs[i]) * sizeof *gradient);
    }
}

const float *ich_head_gradient(ich_head *head, int label) {
    const int rows = is_study_head(head) ? 1 : head->slices;
    float *d_logit = ich_exec_gradient(head->exec, head->study_logit);
    clear_gradients(head);
    for (int r = 0; r < rows; r++) d_logit[r * ICH_LABELS + label] = 1;
    ich_exec_backward(head->exec);
    return ich_exec_gradient(head->exec, head->model->features);
}
