/* zoo_internal.h: what the families of models share; for zoo*.c only. */
#ifndef ICH_LAYERS_ZOO_INTERNAL_H
#define ICH_LAYERS_ZOO_INTERNAL_H

#include "zoo.h"

/* A name inside a block: "layer1.0" and "conv1" make "layer1.0.conv1"; no prefix at the top. */
typedef struct ich_scope {
    ich_graph *graph;
    char prefix[48];
} ich_scope;

typedef struct ich_window { /* of a convolution; padded by kernel / 2 */
    int out, kernel, stride, groups;
} ich_window;

/* Each adds a node to the scope's graph and returns it, or -1 with the graph's error set. */
int ich_zoo_conv(const ich_scope *in, const char *name, ich_window window, int input); /* without a bias */
int ich_zoo_norm(const ich_scope *in, const char *name, int input);
int ich_zoo_op(const ich_scope *in, const char *op, const char *name, ich_attr attr, int input);
int ich_zoo_op2(const ich_scope *in, const char *op, const char *name, int input, int second);

/* A family's members differ in numbers only; `settings` is the family's own struct. Each builds from the
 * input to the last feature maps, which the caller averages. */
int ich_zoo_resnet(ich_graph *graph, const void *settings, int input);
int ich_zoo_densenet(ich_graph *graph, const void *settings, int input);

typedef struct ich_resnet {
    bool bottleneck;   /* 1×1, 3×3, 1×1 with 4 times the width at the end; else 3×3, 3×3 */
    int blocks[4];     /* of layer1 … layer4 */
    int groups, width; /* of a bottleneck's 3 × 3: groups, and channels a group in layer1 */
} ich_resnet;

typedef struct ich_densenet {
    int growth, blocks[4], first; /* channels a layer adds; layers a block; channels of the stem */
} ich_densenet;

#endif
