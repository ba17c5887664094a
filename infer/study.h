/* study.h: one volume through the network: preprocessing, CNN in chunks of slices, head, heatmap.
 *
 * Works for both kinds of model. With a study head the study's answer comes from attention over its slices.
 * A model that has only the image head (pretrained) answers by the classic instance rule: a study is as
 * positive as its most positive slice, and "attention" is each slice's share of the summed probability of
 * `any`, so that it ranks slices and sums to 1 as real attention does.
 *
 * Calls: model, heatmap, likeness, layers (exec), slices, data (volume). Called by: predict.
 */
#ifndef ICH_INFER_STUDY_H
#define ICH_INFER_STUDY_H

#include "data/labels.h"
#include "data/volume.h"
#include "infer/heatmap.h"
#include "infer/likeness.h"
#include "infer/model.h"
#include "infer/slices.h"
#include "layers/exec.h"

typedef struct ich_reader {
    const ich_model *model;
    ich_slices slices;
    int label;       /* whose logit the heatmaps explain; -1: no heatmaps */
    int study_logit; /* node: per study, or per slice where there is only the image head */
    int slice_logit; /* node */
    int maps;        /* node: the CNN's last feature maps, which the features average */
    ich_heatmap_grid grid;
    int head_rows;      /* longest study that the head execs are planned for */
    ich_exec *cnn;      /* input -> features [, maps] */
    ich_exec *head;     /* features -> logits, attention */
    ich_exec *saliency; /* features -> study logit, with gradients; NULL without heatmaps */
    int offsets[2];     /* of the one study in the head */
} ich_reader;

typedef struct ich_answer {
    int slices;
    double study[ICH_LABELS];    /* probabilities */
    double (*slice)[ICH_LABELS]; /* [slices], network order */
    double *attention;           /* [slices], sums to 1 */
    ich_look look;               /* what the network saw (likeness.h) */
    float *heat;                 /* [slices][grid.height][grid.width], 0 … 1; NULL without heatmaps */
} ich_answer;

/* The model must outlive the reader. Fails when the plan does not fit in memory, or the CNN does not end in a
 * global average (heatmaps need one). */
bool ich_reader_open(ich_reader *reader, const ich_model *model, int heatmap_label, ich_error *err);
void ich_reader_close(ich_reader *reader);

/* Fails when memory is out, or the network's answer is not finite. */
bool ich_reader_answer(ich_reader *reader, const ich_volume *volume, ich_answer *answer, ich_error *err);
void ich_answer_free(ich_answer *answer);

#endif
