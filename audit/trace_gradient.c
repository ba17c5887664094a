/* The gradient of one study's loss, in the three passes of train/mil.h: features are there already, the head
 * runs forward and backward on all of them, then the CNN on a chunk of slices at a time. */
#include "audit/trace_internal.h"

#include "layers/exec.h"
#include "layers/loss.h"
#include <stdlib.h>
#include <string.h>

static ich_exec *open_exec(const ich_trace_study *study, const ich_exec_options *options, float *gradients,
                           ich_error *err) {
    ich_exec *exec = ich_exec_create(&study->model->graph, options, err);
    if (!exec) return NULL;
    ich_exec_bind(exec, study->model->values, gradients);
    ich_exec_prepare(exec);
    return exec;
}

static double loss_of(const float *logit, const float *label, float *d_logit) {
    return ich_loss_bce_f32(1, ICH_LABELS, logit, label, ich_label_weights, 1.0 / 7, d_logit);
}

/* A model with the image head alone answers for a study by its most positive slice (infer/study.h); so does
 * its loss, whose gradient goes to that slice, label by label. */
static double image_head_loss(int slices, const float *logits, const float *label, float *d_logits) {
    float logit[ICH_LABELS], d_logit[ICH_LABELS];
    int winner[ICH_LABELS] = {0};
    for (int l = 0; l < ICH_LABELS; l++) {
        for (int t = 1; t < slices; t++)
            if (logits[t * ICH_LABELS + l] > logits[winner[l] * ICH_LABELS + l]) winner[l] = t;
        logit[l] = logits[winner[l] * ICH_LABELS + l];
    }
    const double loss = loss_of(logit, label, d_logit);
    memset(d_logits, 0, (size_t)slices * ICH_LABELS * sizeof *d_logits);
    for (int l = 0; l < ICH_LABELS; l++) d_logits[winner[l] * ICH_LABELS + l] = d_logit[l];
    return loss;
}

/* Returns the head's exec, which holds the features' gradient. */
static ich_exec *run_head(const ich_trace_study *study, float *gradients, float *loss, ich_error *err) {
    const ich_model *model = study->model;
    const int slices = study->volume->slices, offsets[2] = {0, slices};
    const bool study_head = model->classifier >= 0;
    const int logit = study_head ? model->classifier : model->fc;
    const ich_exec_options options = {.inputs = {model->features},
                                      .n_inputs = 1,
                                      .outputs = {logit},
                                      .n_outputs = 1,
                                      .max_rows = slices,
                                      .max_studies = study_head,
                                      .gradient = true,
                                      .input_gradient = true};
    ich_exec *head = open_exec(study, &options, gradients, err);
    if (!head) return NULL;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    memcpy(ich_exec_value(head, model->features), study->features,
           (size_t)slices * width * sizeof *study->features);
    ich_exec_forward(head, slices, study_head, study_head ? offsets : NULL);
    const float *logits = ich_exec_value(head, logit);
    float *d_logits = ich_exec_gradient(head, logit);
    *loss = (float)(study_head ? loss_of(logits, study->label, d_logits)
                               : image_head_loss(slices, logits, study->label, d_logits));
    ich_exec_backward(head);
    return head;
}

static bool run_cnn(const ich_trace_study *study, const float *d_features, float *gradients, ich_error *err) {
    const ich_model *model = study->model;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    const int slices = study->volume->slices,
              chunk = study->slices->rows < slices ? study->slices->rows : slices;
    const ich_exec_options options = {.inputs = {model->input},
                                      .n_inputs = 1,
                                      .outputs = {model->features},
                                      .n_outputs = 1,
                                      .max_rows = chunk,
                                      .gradient = true};
    ich_exec *cnn = open_exec(study, &options, gradients, err);
    bool done = cnn != NULL;
    for (int first = 0; done && first < slices; first += chunk) {
        const int rows = slices - first < chunk ? slices - first : chunk;
        done = ich_slices_read(study->slices, study->volume, first, rows, ich_exec_value(cnn, model->input),
                               err);
        if (!done) break;
        ich_exec_forward(cnn, rows, 0, NULL);
        memcpy(ich_exec_gradient(cnn, model->features), d_features + (size_t)first * width,
               (size_t)rows * width * sizeof *d_features);
        ich_exec_backward(cnn);
    }
    ich_exec_free(cnn);
    return done;
}

bool ich_trace_gradient(const ich_trace_study *study, float *gradients, float *loss, ich_error *err) {
    ich_exec *head = run_head(study, gradients, loss, err);
    const bool done = head && run_cnn(study, ich_exec_gradient(head, study->model->features), gradients, err);
    ich_exec_free(head);
    return done;
}
