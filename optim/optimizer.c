/* Each parameter is one call of a kernel: the gaps between parameters, which only align them, are never
 * touched. */
#include "optimizer.h"

#include "tensor/arena.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *new_zeros(size_t n_values) {
    const size_t bytes = ich_align(n_values * sizeof(float));
    float *zeros = aligned_alloc(ICH_ALIGN, bytes);
    return zeros ? memset(zeros, 0, bytes) : NULL;
}

bool ich_optimizer_init(ich_optimizer *optimizer, ich_optimizer_kind kind, const ich_graph *graph, double ema,
                        ich_error *err) {
    *optimizer = (ich_optimizer){.kind = kind,
                                 .momentum = 0.9,
                                 .weight_decay = 0.01,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .ema = ema,
                                 .n_values = graph->n_values};
    const bool adamw = kind == ICH_ADAMW, averages = ema > 0;
    optimizer->state[0] = new_zeros(graph->n_values);
    if (adamw) optimizer->state[1] = new_zeros(graph->n_values);
    if (averages) optimizer->average = new_zeros(graph->n_values);
    if (optimizer->state[0] && (!adamw || optimizer->state[1]) && (!averages || optimizer->average))
        return true;
    ich_optimizer_free(optimizer);
    return ich_fail(err, "no memory for the optimizer: it keeps up to 3 arrays of %zu MiB",
                    graph->n_values >> 18);
}

void ich_optimizer_free(ich_optimizer *optimizer) {
    free(optimizer->state[0]);
    free(optimizer->state[1]);
    free(optimizer->average);
    *optimizer = (ich_optimizer){0};
}

/* Running means and the like change by themselves, in the forward pass. */
static bool learns(const ich_param *param, const double lr[ICH_GROUPS]) {
    return param->trainable && lr[param->group] != 0;
}

static double gradient_norm(const ich_graph *graph, const double lr[ICH_GROUPS], const float *gradients) {
    const ich_kernels_f32 *kernels = ich_kernels_f32_active();
    double sum = 0;
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        if (learns(param, lr)) sum += kernels->sum_squares(param->count, gradients + param->offset);
    }
    return sqrt(sum);
}

static void update_param(ich_optimizer *o, const ich_param *param, const ich_update *u,
                         const float *gradients, float *values) {
    const ich_kernels_f32 *kernels = ich_kernels_f32_active();
    const size_t n = param->count, at = param->offset;
    if (o->kind == ICH_SGD)
        kernels->sgd(n, u, gradients + at, o->state[0] + at, values + at);
    else
        kernels->adamw(n, u, gradients + at, o->state[0] + at, o->state[1] + at, values + at);
}

/* average = Σ_k ema^(t-k) values_k / Σ_k ema^(t-k) over the steps k = 1 … t so far: Adam's correction of an
 * average that began at 0 (Kingma and Ba 2015, section 3), as a recurrence, so that the average can be used
 * after any step. What is not trained is averaged with the rest: running means and variances then belong to
 * the averaged weights, as nearly as those of any single step belong to its own. */
static void update_average(ich_optimizer *o, const ich_graph *graph, const float *values) {
    const float share = (float)((1 - o->ema) / (1 - pow(o->ema, (double)o->step)));
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        const float *value = values + param->offset;
        float *average = o->average + param->offset;
        for (size_t i = 0; i < param->count; i++) average[i] += share * (value[i] - average[i]);
    }
}

double ich_optimizer_step(ich_optimizer *o, const ich_graph *graph, const double lr[ICH_GROUPS],
                          const float *gradients, float *values) {
    const double norm = gradient_norm(graph, lr, gradients);
    if (!isfinite(norm)) return norm;
    const double step = (double)++o->step;
    for (int p = 0; p < graph->n_params; p++) {
        const ich_param *param = &graph->params[p];
        if (!learns(param, lr)) continue;
        const ich_update update = {.lr = lr[param->group],
                                   .weight_decay = param->decay ? o->weight_decay : 0,
                                   .momentum = o->momentum,
                                   .beta1 = o->beta1,
                                   .beta2 = o->beta2,
                                   .eps = o->eps,
                                   .bias1 = 1 - pow(o->beta1, step),
                                   .bias2 = 1 - pow(o->beta2, step),
                                   .gradient_scale = o->clip > 0 && norm > o->clip ? o->clip / norm : 1};
        update_param(o, param, &update, gradients, values);
    }
    if (o->average) update_average(o, graph, values);
    return norm;
}
