/* layer_run.h: drives one layer of the registry by hand, without graph or exec, on random numbers.
 *
 * A layer_case says which layer, settings, shapes and modes; a layer_run holds its tensors in double, and
 * hands them to the layer in the precision and with the kernels asked for. Outputs, scratch and saved memory
 * are of exactly the size that the layer asks for and full of NaN beforehand, so that reading what was never
 * written, or (under the sanitizer) past the end, shows.
 */
#ifndef ICH_TESTS_LAYER_RUN_H
#define ICH_TESTS_LAYER_RUN_H

#include "layers/layer.h"

enum { MAX_STUDIES = 4, MAX_TENSORS = ICH_MAX_INPUTS + ICH_MAX_PARAMS + 1, MAX_BLOCKS = 64 };

typedef enum layer_draw {
    DRAW_ANY,            /* normal */
    DRAW_AWAY_FROM_ZERO, /* at least 0.1 from it: relu's kink */
    DRAW_DISTINCT        /* 0.05 from each other: ties in a maximum */
} layer_draw;

typedef enum layer_alias { /* what the plan may lay in one place */
                           ALIAS_NONE,
                           ALIAS_OUT,  /* out is in[0], d_in[0] is d_out */
                           ALIAS_D_IN, /* d_in[0] is d_out */
                           ALIAS_D_ADD /* d_add is d_out */
} layer_alias;

typedef struct layer_case {
    const char *op, *what;
    ich_attr attr;
    ich_shape in[ICH_MAX_INPUTS];
    int lengths[MAX_STUDIES]; /* slices of each study; 0 ends */
    bool pooled;              /* the inputs are per study */
    bool batch_statistics, training, add, relu, accumulate;
    bool inference; /* forward only: what the layer fuses there has no backward */
    layer_draw draw;
    layer_alias alias;
} layer_case;

typedef struct layer_tensor {
    char name[64]; /* "in[0]", "weight", "add" */
    size_t count;
    bool wants;       /* it has a gradient */
    double *value;    /* goes in */
    double *gradient; /* comes out; of a buffer such as a running mean: what forward left in it */
} layer_tensor;

typedef struct layer_run {
    const layer_case *c;
    const ich_layer *layer;
    ich_precision precision;
    ich_call call;
    int offsets[MAX_STUDIES + 1];
    layer_tensor tensors[MAX_TENSORS];
    int n_tensors;
    size_t out_count;
    double *out;
    double *probe; /* the loss is Σ probe · out, so that probe is dL/d out */
    void *blocks[MAX_BLOCKS];
    int n_blocks;
} layer_run;

/* Draws every value from `seed`; fails the running test if the layer refuses the shapes. */
void layer_run_init(layer_run *run, const layer_case *c, ich_precision precision, const void *kernels,
                    uint64_t seed);
void layer_run_forward(layer_run *run);
void layer_run_backward(layer_run *run); /* after forward */
void layer_run_free(layer_run *run);

/* Whether out keeps 0.02 away from 0 without its fused relu: there the layer is smooth. */
bool layer_run_is_smooth(const layer_case *c, uint64_t seed);
/* The first seed for which it is, where there is a backward to mind. */
uint64_t layer_run_smooth_seed(const layer_case *c);

#endif
