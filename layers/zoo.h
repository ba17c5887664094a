/* zoo.h: the models, as graphs.
 *
 * CNNs carry torchvision's module names; a graph holds one CNN and one or both heads.
 *   image head:  fc: features -> logits per slice                                   (pretraining)
 *   study head: zoo_study.c tells its parts                                        (fine-tuning)
 * Calls: graph. Called by: infer/model.c, tests.
 */
#ifndef ICH_LAYERS_ZOO_H
#define ICH_LAYERS_ZOO_H

#include "graph.h"

typedef struct ich_study_head {
    int hidden;          /* LSTM units per direction, 128 */
    int attention;       /* units of the attention, 128 */
    int heads;           /* 1 */
    bool gated;          /* true */
    const char *context; /* how a slice learns of the others; NULL: the first that there is */
    const char *pool;    /* how slices become a study; likewise */
    int top;             /* slices that count, where the pool wants to know */
    bool gp;             /* a Gaussian process classifies, else a linear layer */
    float smooth;        /* weight of the attention's roughness in the loss; 0: none */
    int smooth_order;
} ich_study_head;

/* The study head's nodes, -1 where a graph has none. */
typedef struct ich_study_nodes {
    int study;   /* logits per study */
    int slices;  /* logits per slice */
    int weights; /* attention per slice and head; only if the pool is attention */
    int gp;      /* mean, variance and divergence of the study's logits; only with a Gaussian process */
} ich_study_nodes;

/* Name of CNN 0, 1, …; NULL behind the last. */
const char *ich_zoo_arch(int index);
bool ich_zoo_knows(const char *arch, ich_error *err); /* fails with the names that there are */

/* Adds input ("input", size × size × channels) and the CNN up to its features ("avgpool"); returns the
 * features' node or -1 with graph->error set. */
int ich_zoo_cnn(ich_graph *graph, const char *arch, int size, int channels);
int ich_zoo_image_head(ich_graph *graph, int features, int labels); /* node "fc" */
/* Returns the node of the study's logits. */
int ich_zoo_study_head(ich_graph *graph, int features, const ich_study_head *head, int labels);
ich_study_nodes ich_zoo_study_nodes(const ich_graph *graph);

#endif
