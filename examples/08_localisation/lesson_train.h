/* lesson_train.h: a small CNN with gated attention over the slices, and its training on
 * labels of studies. */
#ifndef EXAMPLES_08_LESSON_TRAIN_H
#define EXAMPLES_08_LESSON_TRAIN_H

#include "lesson_data.h"

#include <ichor/layers/exec.h>

enum { CELLS = 12, STRIDE = SIDE / CELLS, MAPS = 32 }; /* of the last convolution's maps */
enum { LONGEST = 64 };                                 /* slices of a study */

typedef struct network {
    ich_graph graph;
    int input, maps, attention, study, slice; /* nodes */
    ich_exec *learn, *explain;
    float *values, *gradients;
} network;

bool make_network(network *n, ich_error *err);
void free_network(network *n);
bool train(network *n, int count, const study *studies, ich_error *err);

#endif
