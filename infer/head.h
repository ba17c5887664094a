/* head.h: the features of all slices of one study through the model's head, and back.
 *
 * The head is planned for the longest study met so far; a longer one makes it again.
 *
 * Calls: model, layers (exec). Called by: study, explain.
 */
#ifndef ICH_INFER_HEAD_H
#define ICH_INFER_HEAD_H

#include "infer/model.h"
#include "layers/exec.h"

typedef struct ich_head {
    const ich_model *model;
    bool gradient;   /* planned for ich_head_gradient */
    int study_logit; /* node: per study, or per slice where there is only the image head */
    int slice_logit; /* node */
    int most_rows;   /* longest study that the exec is planned for */
    int slices;      /* of the study in it */
    int offsets[2];
    ich_exec *exec; /* features -> logits, attention */
} ich_head;

bool ich_head_open(ich_head *head, const ich_model *model, bool gradient, ich_error *err);
void ich_head_close(ich_head *head);

/* features [slices][c]. Fails when memory is out. */
bool ich_head_run(ich_head *head, const float *features, int slices, ich_error *err);
const float *ich_head_value(ich_head *head, int node);

/* d (study's logit of `label`) / d features [slices][c], after a run. With the image head alone each slice
 * speaks for itself: d (its own logit) / d (its own features). */
const float *ich_head_gradient(ich_head *head, int label);

#endif
