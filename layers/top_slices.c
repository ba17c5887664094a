/* top_slices.c: a study is what its few most positive slices say. attr: top.
 *
 *   z[c] = 1/k Σ over the k slices t of largest h_t[c],  k = min(top, T); the earlier slice on ties
 *
 * On logits this is top-k instance pooling; k = 1 is the maximum, k = T the mean. Each channel has its own
 * winners.
 *
 * Backward: each of channel c's k winners, whose places in the study are kept, receives δ[c] / k. Li and
 * Vasconcelos 2015, CVPR; Zhu et al. 2017, arXiv 1612.05968, section 3.3 (label assignment).
 */
#include "call.h"
#include <string.h>

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    if (attr->top < 1) return ich_fail(err, "the number of slices that count must be at least 1");
    *out = in[0];
    return true;
}

static ich_domain domain(ich_domain in) {
    (void)in;
    return ICH_PER_STUDY;
}

/* Rows of the winners, [studies][c][top]; fewer count in a study of fewer slices. */
static size_t winners(const ich_call *call) {
    return (size_t)call->studies * size_of(call->in_shape[0]) * (size_t)call->attr->top * sizeof(int);
}
static size_t saved(const ich_call *call) { return winners(call); }
static size_t scratch(const ich_call *call) { return call->gradient ? 0 : winners(call); }

static int count_in(const ich_call *call, int study) {
    int slices = call->offsets[study + 1] - call->offsets[study];
    return slices < call->attr->top ? slices : call->attr->top;
}

static int *places(const ich_call *call, int study, size_t channel) {
    int *all = call->gradient ? call->saved : call->scratch;
    return all + ((size_t)study * size_of(call->in_shape[0]) + channel) * (size_t)call->attr->top;
}

/* Slice `t` takes its place among the `n` best so far, at most k, which stand in falling order. */
static int insert(const real *h, size_t c, int t, int n, int k, int *best) {
    int at = n;
    while (at > 0 && h[(size_t)t * c] > h[(size_t)best[at - 1] * c]) at--;
    if (at == k) return n;
    int last = n < k ? n : k - 1;
    memmove(best + at + 1, best + at, (size_t)(last - at) * sizeof *best);
    best[at] = t;
    return last + 1;
}

static void forward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    real *z = call->out;
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) {
            const real *h = (const real *)call->in[0] + i;
            int k = count_in(call, study), n = 0, *best = places(call, study, i);
            for (int t = call->offsets[study]; t < call->offsets[study + 1]; t++)
                n = insert(h, c, t, n, k, best);
            real sum = 0;
            for (int j = 0; j < k; j++) sum += h[(size_t)best[j] * c];
            z[study * c + i] = k ? sum / (real)k : 0;
        }
}

static void backward(const ich_call *call) {
    size_t c = size_of(call->in_shape[0]);
    const real *dz = call->d_out;
    real *dh = call->d_in[0];
    if (!dh) return;
    if (!call->accumulate[0]) memset(dh, 0, count_of(call, 0) * sizeof *dh);
    for (int study = 0; study < call->studies; study++)
        for (size_t i = 0; i < c; i++) {
            int k = count_in(call, study), *best = places(call, study, i);
            for (int j = 0; j < k; j++) dh[(size_t)best[j] * c + i] += dz[study * c + i] / (real)k;
        }
}

const ich_layer ICH_NAME(ich_layer_top_slices) = {
    .op = "top_slices",
    .formula = "z[c] = mean of the k largest h[c] among the study's slices",
    .source = "Li and Vasconcelos 2015, CVPR; Zhu et al. 2017, arXiv 1612.05968",
    .inputs = 1,
    .shape = shape,
    .domain = domain,
    .saved = saved,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
};
