/* pool_slices.c: one vector per study by the classic instance rules, without attention.
 *
 *   mean_slices: z = 1/T Σ_t h_t               max_slices: z[c] = max_t h_t[c], the first winner on ties
 *
 * Backward: the mean hands δ / T to every slice; the maximum hands δ[c] to channel c's winner alone, whose
 * place in the study is kept. Foulds and Frank 2010, Knowledge Engineering Review 25(1); max: Zhou et al.
 * 2002.
 */
#include "call.h"
#include <string.h>

static ich_domain domain(ich_domain in) {
    (void)in;
    return ICH_PER_STUDY;
}

static size_t channels_of(const ich_call *call) { return size_of(call->in_shape[0]); }

static void forward_mean(const ich_call *call) {
    size_t c = channels_of(call);
    const real *h = call->in[0];
    real *z = call->out;
    memset(z, 0, (size_t)call->studies * c * sizeof *z);
    for (int study = 0; study < call->studies; study++) {
        int first = call->offsets[study], last = call->offsets[study + 1];
        for (int t = first; t < last; t++)
            for (size_t i = 0; i < c; i++) z[study * c + i] += h[t * c + i] / (real)(last - first);
    }
}

static void backward_mean(const ich_call *call) {
    size_t c = channels_of(call);
    const real *dz = call->d_out;
    real *dh = call->d_in[0];
    if (!dh) return;
    for (int study = 0; study < call->studies; study++) {
        int first = call->offsets[study], last = call->offsets[study + 1];
        for (int t = first; t < last; t++)
            for (size_t i = 0; i < c; i++)
                dh[t * c + i] =
                    (call->accumulate[0] ? dh[t * c + i] : 0) + dz[study * c + i] / (real)(last - first);
    }
}

/* saved: the row of each study's and channel's winner */
static size_t saved_max(const ich_call *call) {
    return (size_t)call->studies * channels_of(call) * sizeof(int);
}

static void forward_max(const ich_call *call) {
    size_t c = channels_of(call);
    const real *h = call->in[0];
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) {
            int first = call->offsets[study], winner = first;
            for (int t = first + 1; t < call->offsets[study + 1]; t++)
                if (h[t * c + i] > h[winner * c + i]) winner = t;
            ((real *)call->out)[study * c + i] = h[winner * c + i];
            if (call->gradient) ((int *)call->saved)[study * c + i] = winner;
        }
}

static void backward_max(const ich_call *call) {
    size_t c = channels_of(call);
    const real *dz = call->d_out;
    const int *winner = call->saved;
    real *dh = call->d_in[0];
    if (!dh) return;
    if (!call->accumulate[0]) memset(dh, 0, count_of(call, 0) * sizeof *dh);
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) dh[winner[study * c + i] * c + i] += dz[study * c + i];
}

const ich_layer ICH_NAME(ich_layer_mean_slices) = {
    .op = "mean_slices",
    .formula = "z = mean over the study's slices of h",
    .source = "Foulds and Frank 2010, Knowledge Engineering Review 25(1)",
    .inputs = 1,
    .shape = same_shape,
    .domain = domain,
    .forward = forward_mean,
    .backward = backward_mean,
};

const ich_layer ICH_NAME(ich_layer_max_slices) = {
    .op = "max_slices",
    .formula = "z[c] = max over the study's slices of h[c]",
    .source = "Zhou et al. 2002, Neural networks for multi-instance learning",
    .inputs = 1,
    .shape = same_shape,
    .domain = domain,
    .saved = saved_max,
    .forward = forward_max,
    .backward = backward_max,
};
