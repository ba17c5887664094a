/* study.h: one volume through the network: preprocessing, CNN in chunks of slices, head, heatmap.
 *
 * Works for both kinds of model. With a study head the study's answer is the head's. A model that has only
 * the image head (pretrained) answers by the classic instance rule: a study is as positive as its most
 * positive slice. Where nothing pays attention, in that model and in heads that pool by a rule, "attention"
 * is each slice's share of the summed probability of `any`, so that it ranks slices and sums to 1 as real
 * attention does.
 *
 * Calls: model, cnn, head, explain, likeness, data (volume). Called by: predict.
 */
#ifndef ICH_INFER_STUDY_H
#define ICH_INFER_STUDY_H

#include "data/labels.h"
#include "data/volume.h"
#include "infer/cnn.h"
#include "infer/explain.h"
#include "infer/head.h"
#include "infer/likeness.h"
#include "infer/model.h"

typedef struct ich_reader {
    const ich_model *model;
    bool explains;
    ich_explainer explainer; /* with heatmaps; the heat is on explainer.grid[0] */
    ich_cnn cnn;
    ich_head head;
} ich_reader;

typedef struct ich_answer {
    int slices;
    double study[ICH_LABELS];    /* probabilities */
    double (*slice)[ICH_LABELS]; /* [slices], network order */
    double *attention;           /* [slices], sums to 1 */
    double uncertainty;          /* standard deviation of the logit of `any`; NaN: the model does not tell */
    ich_look look;               /* what the network saw (likeness.h) */
    float *heat;                 /* [slices][grid.height][grid.width], 0 … 1; NULL without heatmaps */
} ich_answer;

/* `heatmaps` NULL: none. The model must outlive the reader. Fails when the plan does not fit in memory, or
 * the heatmaps that are asked for cannot be made. */
bool ich_reader_open(ich_reader *reader, const ich_model *model, const ich_explain_options *heatmaps,
                     ich_error *err);
void ich_reader_close(ich_reader *reader);

/* Fails when memory is out, or the network's answer is not finite. */
bool ich_reader_answer(ich_reader *reader, const ich_volume *volume, ich_answer *answer, ich_error *err);
void ich_answer_free(ich_answer *answer);

#endif
