/* taps.h: where a CNN can be tapped.
 *
 * A cut is a node that every path from the input to the features passes: the end of a residual block, a
 * transition. Its value is all that the rest of the CNN sees, so a map of it can explain the whole answer,
 * and backward can begin and end there.
 *
 * Calls: layers (graph). Called by: cnn, descent, explain.
 */
#ifndef ICH_INFER_TAPS_H
#define ICH_INFER_TAPS_H

#include "layers/graph.h"

enum { ICH_MAX_TAPS = 6 };

typedef struct ich_taps {
    int n, node[ICH_MAX_TAPS]; /* in the order they are computed: finest map first */
} ich_taps;

/* The last cut of each resolution between `input` and `features`, maps of one cell left out. Fails when there
 * is none. */
bool ich_taps_scales(const ich_graph *graph, int input, int features, ich_taps *taps, ich_error *err);

/* The last cut of one layer: a node by its name ("layer2.0.relu2", "input"), or of the module of that name
 * ("layer2"). NULL: the last cut of all. Fails with the names that there are. */
bool ich_taps_layer(const ich_graph *graph, int input, int features, const char *layer, ich_taps *taps,
                    ich_error *err);

#endif
