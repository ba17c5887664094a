/* optimizer.h: one step downhill.
 *
 *   sgd    v = momentum · v + (g + decay · p);   p = p - lr · v                       (torch.optim.SGD)
 *   adamw  p = p - lr · decay · p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;
 *          p = p - lr · (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)              (Loshchilov and Hutter
 * 2019)
 *
 * Parameters, gradients and state are flat arrays with the graph's offsets. Learning rates differ by group
 * (CNN, head).
 *
 * Calls: graph (parameter list), kernels. Called by: train.
 */
#ifndef ICH_OPTIM_OPTIMIZER_H
#define ICH_OPTIM_OPTIMIZER_H

#include "layers/graph.h"

typedef enum ich_optimizer_kind { ICH_SGD, ICH_ADAMW } ich_optimizer_kind;

typedef struct ich_optimizer {
    ich_optimizer_kind kind;
    double momentum, weight_decay, beta1, beta2, eps;
    double clip; /* greatest norm of the whole gradient; 0: no clipping */
    double ema;  /* decay of the averaged weights, 0: none */
    uint64_t step;
    size_t n_values;
    float *state[2]; /* sgd: velocity; adamw: m, v. [n_values] */
    float *average;  /* [n_values] or NULL */
} ich_optimizer;

bool ich_optimizer_init(ich_optimizer *optimizer, ich_optimizer_kind kind, const ich_graph *graph, double ema,
                        ich_error *err); /* other fields: usual defaults, change them after */
void ich_optimizer_free(ich_optimizer *optimizer);

/* One step with lr[group] (0 freezes a group: its values and state stay untouched). `gradients` is read, not
 * cleared. Returns the norm of the whole gradient before clipping; a norm that is not finite leaves
 * everything as it was. */
double ich_optimizer_step(ich_optimizer *optimizer, const ich_graph *graph, const double lr[ICH_GROUPS],
                          const float *gradients, float *values);

#endif
