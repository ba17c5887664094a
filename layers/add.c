/* add.c: y = a + b, the shortcut of a residual network [out = max(0, y)].
 *
 * Backward: both inputs receive δ, masked by out > 0 after a ReLU. He et al. 2015 (arXiv 1512.03385).
 */
#include "call.h"

static bool shape(const ich_attr *attr, const ich_shape *in, ich_shape *out, ich_error *err) {
    (void)attr;
    if (in[0].h != in[1].h || in[0].w != in[1].w || in[0].c != in[1].c)
        return ich_fail(err, "cannot add %d × %d × %d and %d × %d × %d", in[0].h, in[0].w, in[0].c, in[1].h,
                        in[1].w, in[1].c);
    *out = in[0];
    return true;
}

static void forward(const ich_call *call) {
    ((const ich_kernels *)call->kernels)
        ->add(count_of(call, 0), call->in[0], call->in[1], call->relu, call->out);
}

static void backward(const ich_call *call) {
    const ich_kernels *k = call->kernels;
    for (int i = 0; i < 2; i++) {
        if (!call->d_in[i]) continue;
        if (call->relu)
            k->relu_backward(count_of(call, i), call->out, call->d_out, call->accumulate[i], call->d_in[i]);
        else
            k->copy(count_of(call, i), call->d_out, call->accumulate[i], call->d_in[i]);
    }
}

const ich_layer ICH_NAME(ich_layer_add) = {
    .op = "add",
    .formula = "y = a + b",
    .source = "He et al. 2015, arXiv 1512.03385",
    .inputs = 2,
    .cheap = true,
    .fuses = ICH_FUSES_RELU,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
