/* gp_kl.c: what a Gaussian process has learned, as a term of the loss: the evidence's lower bound is the fit
 * to all studies less Σ_l KL_l, once for all of them. attr: weight.
 *
 *   y = weight · Σ_l KL_l                    of the third row of gp.c's output {1, 3, labels}
 *
 * Backward: each KL_l receives weight · δ, mean and variance nothing. Hensman, Matthews and Ghahramani 2015,
 * arXiv 1411.2005, equation 6; with the fit taken as in Jankowiak, Pleiss and Gardner 2020, arXiv 1910.07123:
 * of the expected answer (moderate.c).
 */
#include "call.h"
#include <string.h>

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr;
    if (in->h != 1 || in->w != 3)
        return ich_fail(err, "its input must be mean, variance and divergence of a Gaussian process");
    *out = (ich_shape){1, 1, 1};
    return true;
}

static void forward(const ich_call *call) {
    int c = call->in_shape[0].c;
    for (int row = 0; row < rows_of(call, 0); row++) {
        const real *kl = (const real *)call->in[0] + ((size_t)row * 3 + 2) * c;
        real sum = 0;
        for (int l = 0; l < c; l++) sum += kl[l];
        ((real *)call->out)[row] = call->attr->weight * sum;
    }
}

static void backward(const ich_call *call) {
    int c = call->in_shape[0].c;
    if (!call->d_in[0]) return;
    if (!call->accumulate[0]) memset(call->d_in[0], 0, count_of(call, 0) * sizeof(real));
    for (int row = 0; row < rows_of(call, 0); row++)
        for (int l = 0; l < c; l++)
            ((real *)call->d_in[0])[((size_t)row * 3 + 2) * c + l] +=
                call->attr->weight * ((const real *)call->d_out)[row];
}

const ich_layer ICH_NAME(ich_layer_gp_kl) = {
    .op = "gp_kl",
    .formula = "y = weight sum of KL(q, prior) over the labels",
    .source = "Hensman, Matthews and Ghahramani 2015, arXiv 1411.2005, equation 6",
    .inputs = 1,
    .loss_term = ICH_TERM_DATASET,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
