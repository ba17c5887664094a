/* explain.h: where in the slices the study's answer comes from.
 *
 * The gradient is that of the study's logit: back through classifier, attention and BiLSTM, which train on
 * study labels alone, and on into the CNN (head.h, descent.h). Methods, by name:
 *
 *   scales      the default. Grad-CAM of the study as one volume: the weight of a channel is the mean of its
 *               gradient over space *and slices*, so that what the answer rests on where attention looks also
 *               shows a bleed where it does not. Taken from the slices of most attention, which carry the
 *               gradient; negative weights are dropped, as in Grad-CAM++. One map for each resolution of the
 *               CNN, multiplied on the finest grid: coarse maps know what, fine ones where (Selvaraju et al.
 *               2017, section 3.3, multiply so with guided backpropagation). Only inside the skull (skull.h).
 *   gradcam, gradcam++, layercam   as published (cam.h), each slice by its own gradient, on one layer
 *   integrated  integrated gradients over the input, from air: Sundararajan et al. 2017, arXiv 1703.01365,
 *               equation 3, at the middles of 16 steps
 *
 * How each points at bleeds of phantoms, and why the default is the default: docs/localisation.md.
 *
 * Calls: cam, cnn, head, heatmap, skull, taps, descent. Called by: study.
 */
#ifndef ICH_INFER_EXPLAIN_H
#define ICH_INFER_EXPLAIN_H

#include "infer/cnn.h"
#include "infer/descent.h"
#include "infer/head.h"
#include "infer/heatmap.h"

typedef struct ich_explain_options {
    const char *method; /* NULL: scales */
    const char *layer;  /* NULL: each resolution's last (scales), or the CNN's last */
    int label;          /* whose logit is explained */
} ich_explain_options;

typedef struct ich_explain_method ich_explain_method;

typedef struct ich_explainer {
    const ich_explain_method *method;
    int label;
    ich_taps taps;                       /* whose values the cnn must be opened with */
    ich_heatmap_grid grid[ICH_MAX_TAPS]; /* theirs; the heat is on grid[0] */
    int rows;                            /* of the trace */
    ich_descent trace;
    float *weights[ICH_MAX_TAPS]; /* [channels] of each tap */
} ich_explainer;

/* The i-th method's name; NULL behind the last. */
const char *ich_explain_name(int i);

/* Fails when there is no such method or layer, or memory is out. The model must outlive the explainer. */
bool ich_explain_open(ich_explainer *explainer, const ich_model *model, const ich_explain_options *options,
                      ich_error *err);
void ich_explain_close(ich_explainer *explainer);

/* What is explained: a study whose features have been computed by `cnn` and have run through `head`. */
typedef struct ich_explain_study {
    ich_cnn *cnn;
    ich_head *head;
    const ich_volume *volume;
    const double *attention; /* [slices] */
} ich_explain_study;

/* Evidence [slices][grid[0]], on no particular scale; negative cells speak against. */
bool ich_explain(ich_explainer *explainer, const ich_explain_study *study, float *heat, ich_error *err);

/* Evidence -> heat: 0 … 1, the hottest cell of each slice as hot as the slice is probable. */
void ich_explain_scale(int cells, double probability, float *heat);

#endif
