#include "infer/study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* -- opening ------------------------------------------------------------------------------------------- */

bool ich_reader_open(ich_reader *reader, const ich_model *model, const ich_explain_options *heatmaps,
                     ich_error *err) {
    *reader = (ich_reader){.model = model, .explains = heatmaps != NULL};
    if ((heatmaps == NULL || ich_explain_open(&reader->explainer, model, heatmaps, err)) &&
        ich_cnn_open(&reader->cnn, model, heatmaps != NULL ? &reader->explainer.taps : NULL, err) &&
        ich_head_open(&reader->head, model, reader->explains, err))
        return true;
    ich_reader_close(reader);
    return false;
}

void ich_reader_close(ich_reader *reader) {
    ich_explain_close(&reader->explainer);
    ich_cnn_close(&reader->cnn);
    ich_head_close(&reader->head);
    memset(reader, 0, sizeof *reader);
}

/* -- CNN ----------------------------------------------------------------------------------------------- */

/* All slices' features [slices][c]. */
static bool run_cnn(ich_reader *reader, const ich_volume *volume, float *features, ich_look *look,
                    ich_error *err) {
    const int node = reader->model->features, chunk = reader->cnn.chunk;
    const size_t width = ich_shape_count(reader->model->graph.nodes[node].shape);
    ich_cnn_forget(&reader->cnn);
    for (int first = 0; first < volume->slices; first += chunk) {
        const int rows = volume->slices - first < chunk ? volume->slices - first : chunk;
        if (!ich_cnn_hold_range(&reader->cnn, volume, first, rows, err)) return false;
        ich_cnn_look(&reader->cnn, look);
        memcpy(features + (size_t)first * width, ich_cnn_value(&reader->cnn, node, first),
               (size_t)rows * width * sizeof *features);
    }
    return true;
}

/* -- head ---------------------------------------------------------------------------------------------- */

/* False when a logit is not finite: weights that overflow would otherwise be sold as an answer. */
static bool probabilities(const float *logit, double *probability) {
    for (int l = 0; l < ICH_LABELS; l++) {
        if (!isfinite(logit[l])) return false;
        probability[l] = 1 / (1 + exp(-(double)logit[l]));
    }
    return true;
}

/* Attention of each slice, the mean over heads. */
static void read_attention(ich_reader *reader, ich_answer *answer) {
    const float *weights = ich_head_value(&reader->head, reader->model->weights);
    const int heads = reader->model->graph.nodes[reader->model->weights].shape.c;
    for (int t = 0; t < answer->slices; t++) {
        double sum = 0;
        for (int h = 0; h < heads; h++) sum += weights[(size_t)t * (size_t)heads + (size_t)h];
        answer->attention[t] = sum / heads;
    }
}

/* The image head alone: see study.h. */
static void pool_slices(ich_answer *answer) {
    for (int t = 0; t < answer->slices; t++)
        for (int l = 0; l < ICH_LABELS; l++) answer->study[l] = fmax(answer->study[l], answer->slice[t][l]);
}

/* What stands for attention where there is none: see study.h. */
static void share_attention(ich_answer *answer) {
    double sum = 0;
    for (int t = 0; t < answer->slices; t++) sum += answer->slice[t][ICH_ANY];
    for (int t = 0; t < answer->slices; t++)
        answer->attention[t] = sum > 0 ? answer->slice[t][ICH_ANY] / sum : 1.0 / answer->slices;
}

/* A Gaussian process' variances follow its means. */
static void read_uncertainty(ich_reader *reader, ich_answer *answer) {
    const int node = reader->model->gp;
    answer->uncertainty = NAN;
    if (node >= 0)
        answer->uncertainty =
            sqrt(fmax(0, (double)ich_head_value(&reader->head, node)[ICH_LABELS + ICH_ANY]));
}

static bool run_head(ich_reader *reader, const float *features, ich_answer *answer, ich_error *err) {
    if (!ich_head_run(&reader->head, features, answer->slices, err)) return false;
    const float *slice_logits = ich_head_value(&reader->head, reader->head.slice_logit);
    bool finite = true;
    for (int t = 0; t < answer->slices; t++) {
        finite = probabilities(slice_logits + (size_t)t * ICH_LABELS, answer->slice[t]) && finite;
    }
    if (reader->model->classifier >= 0) {
        finite =
            probabilities(ich_head_value(&reader->head, reader->head.study_logit), answer->study) && finite;
    } else {
        pool_slices(answer);
    }
    read_uncertainty(reader, answer);
    if (reader->model->weights >= 0)
        read_attention(reader, answer);
    else
        share_attention(answer);
    return finite ||
           ich_fail(err, "the model's answer is not a finite number: its weights overflow, train it "
                         "again with a lower learning rate");
}

/* -- a study ------------------------------------------------------------------------------------------- */

static size_t cells_of(const ich_reader *reader) {
    return (size_t)reader->explainer.grid[0].height * (size_t)reader->explainer.grid[0].width;
}

static bool explain(ich_reader *reader, const ich_volume *volume, ich_answer *answer, ich_error *err) {
    const ich_explain_study study = {
        .cnn = &reader->cnn, .head = &reader->head, .volume = volume, .attention = answer->attention};
    if (!ich_explain(&reader->explainer, &study, answer->heat, err)) return false;
    const size_t cells = cells_of(reader);
    for (int t = 0; t < answer->slices; t++)
        ich_explain_scale((int)cells, answer->slice[t][reader->explainer.label],
                          answer->heat + (size_t)t * cells);
    return true;
}

static bool make_answer(const ich_reader *reader, int slices, ich_answer *answer, ich_error *err) {
    memset(answer, 0, sizeof *answer);
    answer->slices = slices;
    const size_t n = (size_t)slices;
    answer->slice = ich_new(n, sizeof *answer->slice, "slice answers", err);
    answer->attention = ich_new(n, sizeof *answer->attention, "attention", err);
    if (reader->explains) answer->heat = ich_new(n * cells_of(reader), sizeof *answer->heat, "heatmaps", err);
    return answer->slice != NULL && answer->attention != NULL && (!reader->explains || answer->heat != NULL);
}

bool ich_reader_answer(ich_reader *reader, const ich_volume *volume, ich_answer *answer, ich_error *err) {
    const size_t width = ich_shape_count(reader->model->graph.nodes[reader->model->features].shape);
    float *features = ich_new((size_t)volume->slices, width * sizeof *features, "features", err);
    const bool done = make_answer(reader, volume->slices, answer, err) && features != NULL &&
                      run_cnn(reader, volume, features, &answer->look, err) &&
                      run_head(reader, features, answer, err) &&
                      (!reader->explains || explain(reader, volume, answer, err));
    free(features);
    if (!done) ich_answer_free(answer);
    return done;
}

void ich_answer_free(ich_answer *answer) {
    free(answer->slice);
    free(answer->attention);
    free(answer->heat);
    memset(answer, 0, sizeof *answer);
}
