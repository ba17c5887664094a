/* layer_run.h: drives one layer of the registry by hand, without graph or exec, on random numbers.
 *
 * An ich_layer_case says which layer, settings, shapes and modes; an ich_layer_run holds its tensors in
 * double, and hands them to the layer in the precision and with the kernels asked for. Outputs, scratch and
 * saved memory are of exactly the size that the layer asks for and full of NaN beforehand, so that reading
 * what was never written, or (under the sanitizer) past the end, shows.
 *
 * Calls: layers, tensor. Called by: layer_check, tests.
 */
#ifndef ICH_AUDIT_LAYER_RUN_H
#define ICH_AUDIT_LAYER_RUN_H

#include "layers/layer.h"

enum { ICH_CASE_STUDIES = 4, ICH_CASE_TENSORS = ICH_MAX_INPUTS + ICH_MAX_PARAMS + 1, ICH_CASE_BLOCKS = 64 };

typedef enum ich_layer_draw {
    ICH_DRAW_ANY,            /* normal */
    ICH_DRAW_AWAY_FROM_ZERO, /* at least 0.1 from it: relu's kink */
    ICH_DRAW_DISTINCT,       /* 0.05 from each other: ties in a maximum */
    ICH_DRAW_POSITIVE        /* at least 0.1: a logarithm's pole */
} ich_layer_draw;

typedef enum ich_layer_alias { /* what the plan may lay in one place */
                               ICH_ALIAS_NONE,
                               ICH_ALIAS_OUT,  /* out is in[0], d_in[0] is d_out */
                               ICH_ALIAS_D_IN, /* d_in[0] is d_out */
                               ICH_ALIAS_D_ADD /* d_add is d_out */
} ich_layer_alias;

typedef struct ich_layer_case {
    const char *op, *what;
    ich_attr attr;
    ich_shape in[ICH_MAX_INPUTS];
    int lengths[ICH_CASE_STUDIES]; /* slices of each study; 0 ends */
    bool pooled;                   /* the inputs are per study */
    bool batch_statistics, training, add, relu, accumulate;
    bool inference; /* forward only: what the layer fuses there has no backward */
    ich_layer_draw draw;
    ich_layer_alias alias;
} ich_layer_case;

typedef struct ich_layer_tensor {
    char name[64]; /* "in[0]", "weight", "add" */
    size_t count;
    bool wants;       /* it has a gradient */
    double *value;    /* goes in */
    double *gradient; /* comes out; of a buffer such as a running mean: what forward left in it */
} ich_layer_tensor;

typedef struct ich_layer_run {
    const ich_layer_case *c;
    const ich_layer *layer;
    ich_precision precision;
    ich_call call;
    int offsets[ICH_CASE_STUDIES + 1];
    ich_layer_tensor tensors[ICH_CASE_TENSORS];
    int n_tensors;
    size_t out_count;
    double *out;
    double *probe; /* the loss is Σ probe · out, so that probe is dL/d out */
    void *blocks[ICH_CASE_BLOCKS];
    int n_blocks;
    bool failed; /* memory was out */
} ich_layer_run;

/* Draws every value from `seed`; fails if the layer refuses the shapes, or memory is out. To be freed either
 * way. */
bool ich_layer_run_init(ich_layer_run *run, const ich_layer_case *c, ich_precision precision,
                        const void *kernels, uint64_t seed, ich_error *err);
void ich_layer_run_forward(ich_layer_run *run);
void ich_layer_run_backward(ich_layer_run *run); /* after forward */
void ich_layer_run_free(ich_layer_run *run);

/* A seed for which out keeps 0.02 away from 0 without its fused relu, where there is a backward to mind:
 * there the layer is smooth. 0 if there is none, or memory is out. */
uint64_t ich_layer_run_smooth_seed(const ich_layer_case *c);

#endif
