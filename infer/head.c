#include "infer/head.h"

#include "data/labels.h"
#include <string.h>

enum { FIRST_ROWS = 64 }; /* most studies fit */

static bool is_study_head(const ich_head *head) { return head->model->classifier >= 0; }

/* How many of slice_logit, study_logit and attention there are. */
static int outputs_of(const ich_head *head) {
    return !is_study_head(head) ? 1 : head->model->weights < 0 ? 2 : 3;
}

/* Plans for studies of up to `rows` slices; keeps the plan it has if that is enough. */
static bool fit(ich_head *head, int rows, ich_error *err) {
    if (rows <= head->most_rows) return true;
    int most = head->most_rows > 0 ? head->most_rows : FIRST_ROWS;
    while (most < rows) most = most > INT32_MAX / 2 ? rows : 2 * most;
    ich_exec_free(head->exec);
    head->most_rows = 0;
    const ich_exec_options options = {.inputs = {head->model->features},
                                      .n_inputs = 1,
                                      .outputs = {head->slice_logit, head->study_logit, head->model->weights},
                                      .n_outputs = outputs_of(head),
                                      .max_rows = most,
                                      .max_studies = is_study_head(head) ? 1 : 0,
                                      .gradient = head->gradient,
                                      .input_gradient = head->gradient,
                                      .frozen_params = head->gradient};
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

/* What flows back from an output that is not explained. */
static void clear_gradient(ich_head *head, int node) {
    float *gradient = ich_exec_gradient(head->exec, node);
    memset(gradient, 0, (size_t)head->slices * count_of(head, node) * sizeof *gradient);
}

const float *ich_head_gradient(ich_head *head, int label) {
    const int rows = is_study_head(head) ? 1 : head->slices;
    float *d_logit = ich_exec_gradient(head->exec, head->study_logit);
    if (is_study_head(head)) {
        clear_gradient(head, head->slice_logit);
        if (head->model->weights >= 0) clear_gradient(head, head->model->weights);
    }
    memset(d_logit, 0, (size_t)rows * ICH_LABELS * sizeof *d_logit);
    for (int r = 0; r < rows; r++) d_logit[r * ICH_LABELS + label] = 1;
    ich_exec_backward(head->exec);
    return ich_exec_gradient(head->exec, head->model->features);
}
