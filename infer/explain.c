#include "infer/explain.h"

#include "infer/cam.h"
#include "infer/skull.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 4,     /* slices in the trace at a time, since backward keeps all that they pass */
    SPEAKERS = 8, /* slices of most attention, that speak for the study */
    STEPS = 16    /* of the integral */
};

struct ich_explain_method {
    const char *name;
    bool (*run)(ich_explainer *explainer, const ich_explain_study *study, float *heat, ich_error *err);
    ich_cam_rule *rule; /* of run_each */
};

static size_t cells_of(const ich_explainer *e, int tap) {
    return (size_t)e->grid[tap].height * (size_t)e->grid[tap].width;
}

static int channels_of(const ich_explainer *e, int tap) {
    return e->trace.model->graph.nodes[e->taps.node[tap]].shape.c;
}

/* -- back through the CNN ------------------------------------------------------------------------------ */

/* The gradients with respect to the taps of these slices, e->rows at most. */
static bool trace_slices(ich_explainer *e, const ich_explain_study *s, const float *d_features,
                         const int *slices, int rows, ich_error *err) {
    const ich_model *model = e->trace.model;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    const size_t count = cells_of(e, 0) * (size_t)channels_of(e, 0);
    float *d_rows = ich_new((size_t)rows, width * sizeof *d_rows, "the gradient of a few slices", err);
    if (d_rows == NULL || !ich_cnn_hold(s->cnn, s->volume, slices, rows, err)) {
        free(d_rows);
        return false;
    }
    for (int r = 0; r < rows; r++) {
        memcpy(ich_descent_value(&e->trace, 0) + (size_t)r * count,
               ich_cnn_value(s->cnn, e->taps.node[0], slices[r]), count * sizeof(float));
        memcpy(d_rows + (size_t)r * width, d_features + (size_t)slices[r] * width, width * sizeof *d_rows);
    }
    ich_descent_run(&e->trace, rows, d_rows);
    free(d_rows);
    return true;
}

/* -- the study as one volume --------------------------------------------------------------------------- */

/* The slices of most attention; returns how many. */
static int choose_speakers(const ich_explain_study *s, int *slices) {
    const int count = s->volume->slices, n = count < SPEAKERS ? count : SPEAKERS;
    for (int i = 0; i < n; i++) {
        int best = -1;
        for (int t = 0; t < count; t++) {
            bool taken = false;
            for (int j = 0; j < i; j++) taken |= slices[j] == t;
            if (!taken && (best < 0 || s->attention[t] > s->attention[best])) best = t;
        }
        slices[i] = best;
    }
    return n;
}

/* Adds what the slices in the trace say. */
static void add_weights(ich_explainer *e, int rows) {
    for (int tap = 0; tap < e->taps.n; tap++) {
        const size_t count = cells_of(e, tap) * (size_t)channels_of(e, tap);
        for (int r = 0; r < rows; r++)
            ich_cam_add_mean((int)cells_of(e, tap), channels_of(e, tap),
                             ich_descent_gradient(&e->trace, tap) + (size_t)r * count, e->weights[tap]);
    }
}

static int rows_from(int first, int slices, int most) {
    return slices - first < most ? slices - first : most;
}

static bool find_weights(ich_explainer *e, const ich_explain_study *s, ich_error *err) {
    int slices[SPEAKERS];
    const int n = choose_speakers(s, slices);
    const float *d_features = ich_head_gradient(s->head, e->label);
    for (int tap = 0; tap < e->taps.n; tap++)
        memset(e->weights[tap], 0, (size_t)channels_of(e, tap) * sizeof *e->weights[tap]);
    for (int first = 0; first < n; first += e->rows) {
        const int rows = rows_from(first, n, e->rows);
        if (!trace_slices(e, s, d_features, slices + first, rows, err)) return false;
        add_weights(e, rows);
    }
    for (int tap = 0; tap < e->taps.n; tap++) {
        for (int c = 0; c < channels_of(e, tap); c++) e->weights[tap][c] = fmaxf(e->weights[tap][c], 0);
    }
    return true;
}

/* heat *= map / its largest; a map that says nothing leaves the others alone. */
static bool multiply(int cells, const float *map, const float *inside, float *heat) {
    float largest = 0;
    for (int i = 0; i < cells; i++) largest = fmaxf(largest, map[i] * inside[i]);
    if (!isnormal(largest)) return false;
    for (int i = 0; i < cells; i++) heat[i] *= map[i] * inside[i] / largest;
    return true;
}

/* One slice's maps of all resolutions -> heat. scratch [3][cells]. The square of their geometric mean: so the
 * half of the largest is about where phantoms' bleeds end. */
static bool fuse(ich_explainer *e, const ich_explain_study *s, int slice, float *scratch, float *heat) {
    const int cells = (int)cells_of(e, 0);
    float *inside = scratch, *map = scratch + cells, *fine = scratch + 2 * cells;
    if (!ich_skull_weigh(&s->cnn->slices.preprocess, s->volume, slice, &e->grid[0], inside, NULL))
        return false;
    int spoke = 0;
    for (int i = 0; i < cells; i++) heat[i] = 1;
    for (int tap = 0; tap < e->taps.n; tap++) {
        ich_cam_weigh((int)cells_of(e, tap), channels_of(e, tap),
                      ich_cnn_value(s->cnn, e->taps.node[tap], slice), e->weights[tap], map);
        if (!ich_heatmap_regrid(&e->grid[tap], map, &e->grid[0], fine, NULL)) return false;
        spoke += multiply(cells, fine, inside, heat);
    }
    for (int i = 0; i < cells; i++) heat[i] = spoke > 0 ? powf(heat[i], 2 / (float)spoke) : 0;
    return true;
}

static bool fuse_chunk(ich_explainer *e, const ich_explain_study *s, int first, int rows, float *heat,
                       ich_error *err) {
    const size_t cells = cells_of(e, 0);
    if (!ich_cnn_hold_range(s->cnn, s->volume, first, rows, err)) return false;
    float *scratch = ich_new((size_t)rows, 3 * cells * sizeof *scratch, "maps of a chunk of slices", err);
    if (scratch == NULL) return false;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : failed)
    for (int i = 0; i < rows; i++)
        failed += !fuse(e, s, first + i, scratch + (size_t)i * 3 * cells, heat + (size_t)i * cells);
    free(scratch);
    return failed == 0 || ich_fail(err, "no memory for the heatmap of a slice");
}

static bool run_scales(ich_explainer *e, const ich_explain_study *s, float *heat, ich_error *err) {
    const int count = s->volume->slices;
    if (!find_weights(e, s, err)) return false;
    for (int first = 0; first < count; first += s->cnn->chunk) {
        const int rows = rows_from(first, count, s->cnn->chunk);
        if (!fuse_chunk(e, s, first, rows, heat + (size_t)first * cells_of(e, 0), err)) return false;
    }
    return true;
}

/* -- each slice by itself ------------------------------------------------------------------------------ */

static bool trace_range(ich_explainer *e, const ich_explain_study *s, const float *d_features, int first,
                        int rows, ich_error *err) {
    int slices[ROWS];
    for (int r = 0; r < rows; r++) slices[r] = first + r;
    return trace_slices(e, s, d_features, slices, rows, err);
}

static bool run_each(ich_explainer *e, const ich_explain_study *s, float *heat, ich_error *err) {
    const float *d_features = ich_head_gradient(s->head, e->label);
    const int count = s->volume->slices, channels = channels_of(e, 0);
    const size_t cells = cells_of(e, 0), values = cells * (size_t)channels;
    for (int first = 0; first < count; first += e->rows) {
        const int rows = rows_from(first, count, e->rows);
        if (!trace_range(e, s, d_features, first, rows, err)) return false;
        for (int r = 0; r < rows; r++)
            e->method->rule((int)cells, channels, ich_descent_value(&e->trace, 0) + (size_t)r * values,
                            ich_descent_gradient(&e->trace, 0) + (size_t)r * values, e->weights[0],
                            heat + (size_t)(first + r) * cells);
    }
    return true;
}

/* -- integrated gradients ------------------------------------------------------------------------------ */

/* The head's gradient at the present point of the path. */
static const float *gradient_here(const ich_explainer *e, const ich_explain_study *s, float *features,
                                  ich_error *err) {
    const int count = s->volume->slices, node = e->trace.model->features;
    const size_t width = ich_shape_count(e->trace.model->graph.nodes[node].shape);
    for (int first = 0; first < count; first += s->cnn->chunk) {
        const int rows = rows_from(first, count, s->cnn->chunk);
        if (!ich_cnn_hold_range(s->cnn, s->volume, first, rows, err)) return NULL;
        for (int t = first; t < first + rows; t++)
            memcpy(features + (size_t)t * width, ich_cnn_value(s->cnn, node, t), width * sizeof *features);
    }
    return ich_head_run(s->head, features, count, err) ? ich_head_gradient(s->head, e->label) : NULL;
}

/* Adds (x - air) · gradient / STEPS, over a pixel's channels, where input = air + presence · (x - air). */
static void add_step(const ich_explainer *e, const ich_explain_study *s, int row, float *heat) {
    const size_t cells = cells_of(e, 0), channels = (size_t)channels_of(e, 0), start = (size_t)row * cells;
    const float *input = ich_exec_value(e->trace.stage[0], e->taps.node[0]);
    const float *gradient = ich_descent_gradient((ich_descent *)&e->trace, 0);
    const float air = ich_cnn_air(), share = 1 / (s->cnn->presence * (float)STEPS);
    for (size_t i = 0; i < cells; i++) {
        for (size_t c = 0; c < channels; c++) {
            const size_t at = (start + i) * channels + c;
            heat[i] += share * (input[at] - air) * gradient[at];
        }
    }
}

static bool integrate(ich_explainer *e, const ich_explain_study *s, float *features, float *heat,
                      ich_error *err) {
    const int count = s->volume->slices;
    for (int step = 0; step < STEPS; step++) {
        s->cnn->presence = ((float)step + 0.5f) / STEPS;
        ich_cnn_forget(s->cnn);
        const float *d_features = gradient_here(e, s, features, err);
        if (d_features == NULL) return false;
        for (int first = 0; first < count; first += e->rows) {
            const int rows = rows_from(first, count, e->rows);
            if (!trace_range(e, s, d_features, first, rows, err)) return false;
            for (int r = 0; r < rows; r++) add_step(e, s, r, heat + (size_t)(first + r) * cells_of(e, 0));
        }
    }
    return true;
}

static bool run_integrated(ich_explainer *e, const ich_explain_study *s, float *heat, ich_error *err) {
    const ich_model *model = e->trace.model;
    const size_t width = ich_shape_count(model->graph.nodes[model->features].shape);
    const size_t count = (size_t)s->volume->slices;
    float *features = ich_new(count, width * sizeof *features, "features", err);
    if (features == NULL) return false;
    memset(heat, 0, count * cells_of(e, 0) * sizeof *heat);
    const bool done = integrate(e, s, features, heat, err);
    s->cnn->presence = 1;
    ich_cnn_forget(s->cnn);
    free(features);
    return done;
}

/* -- choosing ------------------------------------------------------------------------------------------ */

static const ich_explain_method methods[] = {{"scales", run_scales, NULL},
                                             {"gradcam", run_each, ich_cam_grad},
                                             {"gradcam++", run_each, ich_cam_grad_plus},
                                             {"layercam", run_each, ich_cam_layer},
                                             {"integrated", run_integrated, NULL}};
enum { METHODS = sizeof methods / sizeof methods[0] };

const char *ich_explain_name(int i) { return i < METHODS ? methods[i].name : NULL; }

static bool find_method(ich_explainer *e, const char *name, ich_error *err) {
    e->method = &methods[0];
    for (int i = 0; name != NULL && i < METHODS; i++) {
        if (strcmp(name, methods[i].name) == 0) e->method = &methods[i];
    }
    return name == NULL || strcmp(name, e->method->name) == 0 ||
           ich_fail(err, "heatmaps: there is no method '%.40s'", name);
}

static bool find_taps(ich_explainer *e, const ich_model *model, const char *layer, ich_error *err) {
    const ich_graph *graph = &model->graph;
    const bool integrated = e->method->run == run_integrated;
    if (integrated && layer != NULL)
        return ich_fail(err, "heatmaps: integrated gradients are of the input: leave the layer out");
    if (e->method->run == run_scales && layer == NULL)
        return ich_taps_scales(graph, model->input, model->features, &e->taps, err);
    return ich_taps_layer(graph, model->input, model->features,
                          integrated ? graph->nodes[model->input].name : layer, &e->taps, err);
}

static bool prepare_taps(ich_explainer *e, const ich_model *model, ich_error *err) {
    for (int i = 0; i < e->taps.n; i++) {
        const size_t channels = (size_t)model->graph.nodes[e->taps.node[i]].shape.c;
        if (!ich_heatmap_locate(&model->graph, model->input, e->taps.node[i], &e->grid[i], err)) return false;
        e->weights[i] = ich_new(channels, sizeof *e->weights[i], "weights of channels", err);
        if (e->weights[i] == NULL) return false;
    }
    return true;
}

bool ich_explain_open(ich_explainer *explainer, const ich_model *model, const ich_explain_options *options,
                      ich_error *err) {
    const int chunk = ich_recipe_chunk(&model->recipe);
    *explainer = (ich_explainer){.label = options->label, .rows = chunk < ROWS ? chunk : ROWS};
    if (find_method(explainer, options->method, err) && find_taps(explainer, model, options->layer, err) &&
        prepare_taps(explainer, model, err) &&
        ich_descent_open(&explainer->trace, model, &explainer->taps, explainer->rows, err))
        return true;
    ich_explain_close(explainer);
    return false;
}

void ich_explain_close(ich_explainer *explainer) {
    ich_descent_close(&explainer->trace);
    for (int i = 0; i < ICH_MAX_TAPS; i++) free(explainer->weights[i]);
    memset(explainer, 0, sizeof *explainer);
}

bool ich_explain(ich_explainer *explainer, const ich_explain_study *study, float *heat, ich_error *err) {
    return explainer->method->run(explainer, study, heat, err);
}

void ich_explain_scale(int cells, double probability, float *heat) {
    float largest = 0;
    for (int i = 0; i < cells; i++) largest = fmaxf(largest, heat[i]);
    const float factor = isnormal(largest) ? (float)probability / largest : 0;
    for (int i = 0; i < cells; i++) heat[i] = fminf(fmaxf(heat[i] * factor, 0), 1);
}
