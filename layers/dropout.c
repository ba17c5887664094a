/* dropout.c: in training, each number is 0 with probability p, else 1/(1-p) times itself. attr: rate p.
 *
 *   y = m x,  m = 0 or 1/(1-p), so that E[y] = x;  y = x outside training
 *
 * Backward: dL/dx = m δ. The mask is not kept: the random numbers are counter-based (Philox), keyed by seed,
 * step and node, so that backward draws the same ones again. Srivastava et al. 2014, JMLR 15.
 */
#include "call.h"
#include "tensor/rng.h"

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (!(attr->rate >= 0 && attr->rate < 1)) return ich_fail(err, "a dropout rate is from 0 to below 1");
    *out = *in;
    return true;
}

/* y (+)= m x; y may be x */
static void mask(const ich_call *call, const real *x, bool accumulate, real *y) {
    ich_rng rng =
        ich_rng_make(call->seed, ICH_RNG_DROPOUT, call->step << 16 | ((uint64_t)call->node & 0xffff));
    const size_t before = call->in_domain[0] == ICH_PER_STUDY ? call->first_study : call->first_row;
    ich_rng_skip(&rng, before * size_of(call->in_shape[0]));
    float rate = call->training ? call->attr->rate : 0;
    real keep = 1 / (1 - (real)rate);
    for (size_t n = count_of(call, 0), i = 0; i < n; i++) {
        real kept = !call->training || ich_rng_uniform(&rng) >= rate ? keep * x[i] : 0;
        y[i] = accumulate ? y[i] + kept : kept;
    }
}

static void forward(const ich_call *call) { mask(call, call->in[0], false, call->out); }

static void backward(const ich_call *call) {
    if (call->d_in[0]) mask(call, call->d_out, call->accumulate[0], call->d_in[0]);
}

const ich_layer ICH_NAME(ich_layer_dropout) = {
    .op = "dropout",
    .formula = "y = m x / (1 - p), m = 0 with probability p, else 1",
    .source = "Srivastava et al. 2014, JMLR 15",
    .inputs = 1,
    .in_place = true,
    .cheap = true,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
