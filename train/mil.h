/* mil.h: one gradient from study labels alone (multiple-instance learning), however long the studies are.
 *
 * A group is a few studies, their slices packed one after another, cut into chunks of at most `chunk` slices:
 *   1. every chunk: images -> CNN -> features; only the features stay               memory: one chunk
 *   2. features -> BiLSTM, attention, classifier -> loss -> gradient of the features  memory: slices × 512
 *   3. every chunk again: images -> CNN, then backward with the features' gradient   memory: one chunk
 * The last chunk of pass 1 is still in the CNN when pass 3 begins, so it goes first and is not recomputed: a
 * group that fits in one chunk runs the CNN once. (Recomputation: Chen et al. 2016, arXiv 1604.06174.)
 *
 * Calls: layers (exec, loss), infer/model, feed. Called by: finetune, features, tests.
 */
#ifndef ICH_TRAIN_MIL_H
#define ICH_TRAIN_MIL_H

#include "data/labels.h"
#include "feed.h"
#include "infer/model.h"
#include "layers/exec.h"
#include "layers/loss.h"

typedef struct ich_mil {
    const ich_model *model;
    ich_exec *cnn, *head;  /* image -> features; features -> logits of studies */
    int terms[2], n_terms; /* nodes whose value is added to the loss; with gradients alone */
    ich_label_noise noise;
    int dataset; /* studies that a term of the dataset is shared by */
    int chunk;
    size_t pixels, width;               /* elements of an image, of a slice's features */
    ich_exec_gradient_watcher *watcher; /* of the CNN's gradients, with watcher_self */
    void *watcher_self;
} ich_mil;

/* Studies worked on together. Slices of study i: offsets[i] … offsets[i + 1] - 1. */
typedef struct ich_mil_group {
    int n;
    const uint32_t *study;
    const int *offsets;               /* [n + 1] */
    const float (*label)[ICH_LABELS]; /* [n] */
    const double *weight;             /* [n] of each study's loss; NULL: 1 */
    int of;                           /* studies that the step has in all, with those of other ranks; 0: n */
    size_t first_row, first_study;    /* slices and studies of the step before these */
} ich_mil_group;

typedef struct ich_mil_options {
    int chunk, rows, studies; /* rows: slices of the longest group */
    bool learns;              /* with gradients; otherwise batch norm is folded */
    bool cnn_learns;          /* … of the CNN too */
    ich_label_noise noise;    /* of the studies' labels */
    int dataset;              /* studies that are learned from in all; 0: as many as 1 */
} ich_mil_options;

bool ich_mil_open(ich_mil *mil, const ich_model *model, const ich_mil_options *options, ich_error *err);
void ich_mil_close(ich_mil *mil);
size_t ich_mil_bytes(const ich_mil *mil); /* of both execs; 0: not open */
/* What the CNN alone will take for chunks of so many slices, before it is known how long the studies are; 0
 * with a message on failure. */
size_t ich_mil_cnn_bytes(const ich_model *model, bool learns, int chunk, ich_error *err);

/* Weights to read and gradients to add to (NULL without). Again after every change of the weights. */
void ich_mil_bind(ich_mil *mil, float *values, float *gradients);
void ich_mil_key(ich_mil *mil, uint64_t seed, uint64_t step); /* of dropout */

/* Adds to the feed what the next two functions will take, in their order. `sample` is the augmentation's:
 * one for a whole study, so that its slices move together. */
void ich_mil_plan(const ich_mil *mil, ich_feed *feed, const ich_mil_group *group, int epoch, bool backward);
/* A group's batches, both passes together: for the feed's room. */
size_t ich_mil_batches(int chunk, int rows);

/* Pass 1, into out [slices][width]. */
bool ich_mil_features(ich_mil *mil, ich_feed *feed, int rows, float *out, ich_error *err);
/* Where pass 2 reads the features of a group, and where they are to be put. */
float *ich_mil_head_input(ich_mil *mil);
/* Pass 2: returns the group's share of the mean loss over the step's studies, terms of the head's own
 * included, and *logits [n][ICH_LABELS] in the exec's memory. With `backward` the head's gradients are added,
 * and those of the features kept for pass 3. */
double ich_mil_head(ich_mil *mil, const ich_mil_group *group, bool backward, const float **logits);
/* Pass 3. The last of its backward passes through the CNN calls `watcher` (layers/exec.h), if there is one.
 */
bool ich_mil_backward(ich_mil *mil, ich_feed *feed, int rows, ich_error *err);

#endif
