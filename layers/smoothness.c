/* smoothness.c: how rough the attention is along the slices of a study: a term of the loss. attr: order,
 * weight.
 *
 * f_t are the attention's energies, a = softmax(f); L = D - A is the Laplacian of the chain that joins each
 * slice to its neighbours, so that (L f)_t = Σ over neighbours τ of (f_t - f_τ).
 *
 *   order 1:  y = weight · fᵀ L f / T = weight · Σ_t (f_t+1 - f_t)² / T
 *   order 2:  y = weight · fᵀ L² f / T = weight · |L f|² / T     mean over heads; one number a study
 *
 * The first and second order constraints of SA-DMIL (Wu et al. 2023, arXiv 2307.09457, section 2), here
 * divided by the number of slices T, so that long studies weigh as short ones. Input: a per slice [heads]
 * (attention.c). log a_t is f_t less a number that all of a study share, and L takes no notice of it, as its
 * rows sum to 0: so f = log a here. Below `least` an energy counts as that of `least`.
 *
 * Backward: L is symmetric, so dy/df = weight · 2 L f / T, or weight · 2 L L f / T; and with df_t/da_t =
 * 1 / a_t, dL/da_t = δ dy/df_t / a_t, 0 below `least`.
 */
#include "call.h"

static const float least = 1e-30f; /* 1 / a stays far from overflow */

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->order < 1 || attr->order > 2) return ich_fail(err, "smoothness has order 1 or 2");
    if (in->h != 1 || in->w != 1) return ich_fail(err, "its input must be the attention");
    *out = (ich_shape){1, 1, 1};
    return true;
}

static ich_domain domain(ich_domain in) {
    (void)in;
    return ICH_PER_STUDY;
}

/* f, L f and L L f of a study and head, one after another. */
static size_t scratch(const ich_call *call) { return 3 * (size_t)call->rows * sizeof(real); }

/* y = L x */
static void laplace(int n, const real *x, real *y) {
    for (int t = 0; t < n; t++) {
        y[t] = 0;
        if (t > 0) y[t] += x[t] - x[t - 1];
        if (t + 1 < n) y[t] += x[t] - x[t + 1];
    }
}

/* Fills scratch for a head of the study that begins at row `first`. */
static void fill(const ich_call *call, int first, int n, int head) {
    int heads = call->in_shape[0].c;
    const real *a = (const real *)call->in[0] + (size_t)first * heads + head;
    real *f = call->scratch;
    for (int t = 0; t < n; t++) f[t] = log(fmax(a[(size_t)t * heads], least));
    laplace(n, f, f + n);
    laplace(n, f + n, f + 2 * n);
}

static real dot(int n, const real *x, const real *y) {
    real sum = 0;
    for (int t = 0; t < n; t++) sum += x[t] * y[t];
    return sum;
}

static void forward(const ich_call *call) {
    int heads = call->in_shape[0].c;
    const real *f = call->scratch;
    for (int study = 0; study < call->studies; study++) {
        int first = call->offsets[study], n = call->offsets[study + 1] - first;
        real sum = 0;
        for (int head = 0; head < heads; head++) {
            fill(call, first, n, head);
            sum += call->attr->order == 1 ? dot(n, f, f + n) : dot(n, f + n, f + n);
        }
        ((real *)call->out)[study] = n ? call->attr->weight * sum / (real)(heads * n) : 0;
    }
}

static void backward(const ich_call *call) {
    int heads = call->in_shape[0].c;
    if (!call->d_in[0]) return;
    for (int study = 0; study < call->studies; study++) {
        int first = call->offsets[study], n = call->offsets[study + 1] - first;
        const real *slope = (const real *)call->scratch + call->attr->order * n; /* L f, or L L f */
        for (int head = 0; head < heads; head++) {
            real scale = 2 * call->attr->weight * ((const real *)call->d_out)[study] / (real)(heads * n);
            fill(call, first, n, head);
            for (int t = 0; t < n; t++) {
                size_t at = (size_t)(first + t) * heads + head;
                real a = ((const real *)call->in[0])[at], *da = (real *)call->d_in[0] + at;
                *da = (call->accumulate[0] ? *da : 0) + (a > least ? scale * slope[t] / a : 0);
            }
        }
    }
}

const ich_layer ICH_NAME(ich_layer_smoothness) = {
    .op = "smoothness",
    .formula =
        "y = weight f' L f / T, or weight f' L L f / T, of the attention's energies f along the slices",
    .source = "Wu et al. 2023, arXiv 2307.09457, section 2",
    .inputs = 1,
    .loss_term = ICH_TERM_STUDY,
    .needs = ICH_NEEDS_INPUT,
    .shape = shape,
    .domain = domain,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
};
