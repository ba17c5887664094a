/* layer.h: what a layer is.
 *
 * A layer is one file and one row of the registry (registry.c): shape inference, parameters, forward,
 * backward, cost. Nothing else in Ichor switches on a layer's kind. Each file is compiled twice, for float
 * and double (tensor/real.h), and exports one symbol: its row, ICH_NAME(ich_layer_<op>).
 *
 * A tensor here is [rows, h, w, c]. Rows are slices, or studies once a layer has pooled the slices of each
 * study. Slices of several studies lie one after another; `offsets` says where each study begins, so studies
 * of different length need no padding.
 *
 * Calls: tensor. Called by: graph.c, exec.c.
 */
#ifndef ICH_LAYERS_LAYER_H
#define ICH_LAYERS_LAYER_H

#include "tensor/error.h"
#include "tensor/kernels.h"
#include <stdbool.h>
#include <stdint.h>

enum { ICH_MAX_INPUTS = 3, ICH_MAX_PARAMS = 10 };

typedef struct ich_shape { /* what one row holds; a vector is {1, 1, c} */
    int h, w, c;
} ich_shape;

typedef enum ich_domain { ICH_PER_SLICE, ICH_PER_STUDY } ich_domain; /* what a row is */

/* A node's settings. A layer reads the few that its file names; the rest stay zero. */
typedef struct ich_attr {
    int out;                                   /* output channels or features */
    int kernel, stride, pad, dilation, groups; /* windows */
    bool bias;
    int hidden, depth;  /* lstm: units per direction; index of the layer in a stack (torch's _l0, _l1, …) */
    bool bidirectional; /* lstm */
    int heads;          /* attention */
    bool gated;         /* attention */
    float eps, momentum; /* batch norm */
    float rate;          /* dropout */
    float start;         /* linear: where its bias begins; 0: random */
    int top;             /* top_slices: how many count */
    int order;           /* smoothness: of the differences */
    float weight;        /* terms of the loss: their factor */
} ich_attr;

typedef enum ich_init {
    ICH_INIT_ZERO,
    ICH_INIT_CONSTANT, /* `scale` itself */
    ICH_INIT_NORMAL,   /* mean 0, standard deviation `scale` */
    ICH_INIT_UNIFORM   /* -scale … scale */
} ich_init;

/* A parameter as a layer declares it. The full name is "<node name>.<suffix>", as in torchvision's files. */
typedef struct ich_param_spec {
    char suffix[40];
    int rank, dims[4]; /* layout of the file: OIHW for convolutions, [out, in] for linear */
    ich_init init;
    float scale;
    bool trainable; /* false: a buffer, such as a running mean */
    bool decay;     /* weight decay applies (weights, not biases or norms) */
} ich_param_spec;

struct ich_rng;

/* One layer's piece of work. Pointers are `real` arrays of the precision compiled for. */
typedef struct ich_call {
    const ich_attr *attr;
    int rows;    /* of the slices */
    int studies; /* and how many studies they belong to */
    const int
        *offsets; /* [studies + 1]: study i owns rows offsets[i] … offsets[i+1]-1. NULL in layers per slice */
    int n_inputs;
    ich_shape in_shape[ICH_MAX_INPUTS];
    ich_domain in_domain[ICH_MAX_INPUTS];
    ich_shape out_shape;
    /* Elements from a pixel to the next, of values and their gradients: the channels, unless the layer is
     * `strided` and the value is the beginning of a wider one (plan.c, make_shelves). */
    int in_stride[ICH_MAX_INPUTS], out_stride;

    bool gradient;         /* backward will follow: fill `saved` */
    bool batch_statistics; /* batch norm: use and update with this batch's; else use the running ones */
    bool training;         /* dropout is active */
    bool pack_on_use;      /* prepare() is not called: weights are packed in scratch by each pass */
    bool again;            /* forward once more, during backward: batch norm takes its moments from saved */
    uint64_t seed, step;   /* key of this step's random numbers */
    size_t first_row, first_study; /* of the step's batch that came before these: with others' ranks */
    const ich_across *across;      /* batch norm: the batch's other rows are elsewhere; NULL: here is all */
    int parts; /* of the rows: sums over rows are made part by part, then added; at least 1 */
    int node;  /* the node's index, for the same */

    const void *in[ICH_MAX_INPUTS];
    void *out;
    const void *d_out;               /* backward: gradient of the loss with respect to out */
    void *d_in[ICH_MAX_INPUTS];      /* … to each input; NULL where nobody asks for it */
    bool accumulate[ICH_MAX_INPUTS]; /* add to d_in instead of overwriting it */
    void *param[ICH_MAX_PARAMS];     /* in the file's layout, in the order that params() declares */
    void *d_param[ICH_MAX_PARAMS];   /* always accumulated into; NULL where not trainable or frozen */

    /* Fused neighbours (only for rows whose `fuses` says so): out = relu(layer(in) + add). In backward `out`
     * is then given (for the mask), d_add receives the gradient of `add`. */
    const void *add;
    void *d_add;
    bool accumulate_add;
    bool relu;

    void *prepared;      /* weights in the kernel's layout, written by prepare() */
    void *saved;         /* written by forward, read by backward of the same call */
    void *scratch;       /* free to use within one call */
    const void *kernels; /* const ich_kernels * of this precision */
} ich_call;

enum { /* ich_layer.needs: what backward reads; decides how long a buffer lives */
       ICH_NEEDS_INPUT = 1,
       ICH_NEEDS_OUTPUT = 2
};
enum { /* ich_layer.fuses: which following nodes the plan may fold into this one */
       ICH_FUSES_RELU = 1,
       ICH_FUSES_ADD = 2,
       ICH_FUSES_NORM_INFERENCE =
           4, /* batch norm on running statistics folds into weight and bias (param 0 and 1) */
       ICH_FUSES_INFERENCE_ONLY = 8 /* RELU and ADD only where no gradient is wanted */
};

typedef enum ich_loss_term { /* in training, on top of what the labels say */
                             ICH_TERM_NONE,
                             ICH_TERM_STUDY,  /* each study has its own */
                             ICH_TERM_DATASET /* one for all studies together */
} ich_loss_term;

typedef struct ich_layer {
    const char *op;      /* "conv2d" */
    const char *formula; /* one line, for inspect, audit and docs */
    const char *source;  /* citation */
    int inputs;
    unsigned needs, fuses;
    bool in_place;           /* out may be in[0], and d_in[0] may be d_out */
    bool in_place_backward;  /* only d_in[0] may be d_out (batch norm) */
    bool strided;            /* heeds the stride of in[0], and concat that of out */
    ich_loss_term loss_term; /* out, one number a study, is added to the loss; no answer needs it */
    bool cheap; /* computing out again costs less than keeping it until backward; with `macs`: where they are
                   few an element (plan.c) */

    /* Infers the output of one row; fails with what is wrong about attr or inputs (graph.c adds the node's
     * name). */
    bool (*shape)(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err);
    ich_domain (*domain)(ich_domain in); /* NULL: as the first input's */
    /* Fills specs[ICH_MAX_PARAMS], returns how many. NULL: no parameters. */
    int (*params)(const ich_attr *attr, const ich_shape *in, ich_param_spec *specs);
    /* Bytes for call->rows, ->studies and ->gradient (pointers are not set yet). NULL: none. */
    size_t (*prepared)(const ich_call *call); /* 0 with ->pack_on_use */
    size_t (*saved)(const ich_call *call);
    size_t (*scratch)(const ich_call *call); /* for forward and backward alike: the larger */
    void (*prepare)(const ich_call *call);   /* after the weights changed: param -> prepared (forward's, and
                                                backward's if gradient) */
    void (*forward)(const ich_call *call);
    void (*backward)(const ich_call *call);
    /* Multiply-adds of one row (of a slice, or of a study's mean for layers per study). NULL: not counted. */
    int64_t (*macs)(const ich_attr *attr, const ich_shape *in, const ich_shape *out);
} ich_layer;

/* The registry: rows by precision, NULL at the end; and one by name (NULL if unknown). The index of a row is
 * the same in both precisions. */
const ich_layer *const *ich_layers(ich_precision precision);
int ich_layer_index(const char *op); /* -1: unknown */

#endif
