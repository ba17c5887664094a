/* attention_pool.c: one vector per study, the slices' mean weighted by their attention.
 *
 *   z = Σ_t a_t h_t over the study's slices t                  (Ilse 2018, equation 7)
 *
 * Inputs: h per slice [c], a per slice [heads] (attention.c). With several heads, z is the mean of their
 * sums: it stays of h's size, so that one classifier serves studies and single slices alike.
 *
 * Backward, z = Σ_t ā_t h_t with ā_t = 1/heads Σ_k a_tk: each factor of a product receives δ times the other
 * one: dL/dh_t = ā_t δ        dL/da_tk = (δ · h_t) / heads Ilse, Tomczak and Welling, arXiv 1802.04712.
 */
#include "call.h"
#include <string.h>

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr;
    if (in[1].h != 1 || in[1].w != 1)
        return ich_fail(err, "its second input must be the attention, one number per slice and head");
    *out = in[0];
    return true;
}

static ich_domain domain(ich_domain in) {
    (void)in;
    return ICH_PER_STUDY;
}

static real mean_weight(int heads, const real *a) {
    real sum = 0;
    for (int k = 0; k < heads; k++) sum += a[k];
    return sum / (real)heads;
}

static void forward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    int heads = call->in_shape[1].c;
    const real *h = call->in[0], *a = call->in[1];
    real *out = call->out;
    memset(out, 0, (size_t)call->studies * c * sizeof *out);
#pragma omp parallel for schedule(dynamic)
    for (int study = 0; study < call->studies; study++) {
        real *z = out + study * c;
        for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++) {
            real weight = mean_weight(heads, a + (size_t)t * heads);
            for (size_t i = 0; i < c; i++) z[i] += weight * h[t * c + i];
        }
    }
}

static void backward_h(const ich_call *call, int t, const real *dz) {
    size_t c = size_of(call->in_shape[0]);
    int heads = call->in_shape[1].c;
    real weight = mean_weight(heads, (const real *)call->in[1] + (size_t)t * heads);
    real *dh = (real *)call->d_in[0] + t * c;
    for (size_t i = 0; i < c; i++) dh[i] = (call->accumulate[0] ? dh[i] : 0) + weight * dz[i];
}

static void backward_a(const ich_call *call, int t, const real *dz) {
    size_t c = size_of(call->in_shape[0]);
    int heads = call->in_shape[1].c;
    const real *h = (const real *)call->in[0] + t * c;
    real *da = (real *)call->d_in[1] + (size_t)t * heads, dot = 0;
    for (size_t i = 0; i < c; i++) dot += dz[i] * h[i];
    for (int k = 0; k < heads; k++) da[k] = (call->accumulate[1] ? da[k] : 0) + dot / (real)heads;
}

static void backward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    const real *d_out = call->d_out;
#pragma omp parallel for schedule(dynamic)
    for (int study = 0; study < call->studies; study++)
        for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++) {
            if (call->d_in[0]) backward_h(call, t, d_out + study * c);
            if (call->d_in[1]) backward_a(call, t, d_out + study * c);
        }
}

static int64_t macs(const ich_attr *attr, const ich_shape *in, const ich_shape *out) {
    (void)attr, (void)in;
    return (int64_t)size_of(*out);
}

const ich_layer ICH_NAME(ich_layer_attention_pool) = {
    .op = "attention_pool",
    .formula = "z = sum over the study's slices of a h",
    .source = "Ilse, Tomczak and Welling 2018, arXiv 1802.04712, equation 7",
    .inputs = 2,
    .needs = ICH_NEEDS_INPUT,
    .shape = shape,
    .domain = domain,
    .forward = forward,
    .backward = backward,
    .macs = macs,
};
