/* registry.c: the list of layers. A new layer is a file of its own and one line here. */
#include "layer.h"

#include <string.h>

#define LAYERS(ROW)                                                                                          \
    ROW(conv2d)                                                                                              \
    ROW(batch_norm)                                                                                          \
    ROW(relu)                                                                                                \
    ROW(sigmoid)                                                                                             \
    ROW(tanh)                                                                                                \
    ROW(silu)                                                                                                \
    ROW(max_pool)                                                                                            \
    ROW(average_pool)                                                                                        \
    ROW(global_average)                                                                                      \
    ROW(add)                                                                                                 \
    ROW(concat)                                                                                              \
    ROW(linear)                                                                                              \
    ROW(dropout)                                                                                             \
    ROW(lstm)                                                                                                \
    ROW(attention)                                                                                           \
    ROW(attention_pool)                                                                                      \
    ROW(mean_slices)                                                                                         \
    ROW(max_slices)                                                                                          \
    ROW(top_slices)                                                                                          \
    ROW(noisy_or)                                                                                            \
    ROW(smoothness)                                                                                          \
    ROW(layer_norm)                                                                                          \
    ROW(self_attention)                                                                                      \
    ROW(gp)                                                                                                  \
    ROW(moderate)                                                                                            \
    ROW(gp_kl)

#define DECLARE(op) extern const ich_layer ich_layer_##op##_f32, ich_layer_##op##_f64;
#define F32(op)     &ich_layer_##op##_f32,
#define F64(op)     &ich_layer_##op##_f64,

LAYERS(DECLARE)

static const ich_layer *const layers_f32[] = {LAYERS(F32) NULL};
static const ich_layer *const layers_f64[] = {LAYERS(F64) NULL};

const ich_layer *const *ich_layers(ich_precision precision) {
    return precision == ICH_F64 ? layers_f64 : layers_f32;
}

int ich_layer_index(const char *op) {
    for (int i = 0; layers_f32[i]; i++)
        if (!strcmp(layers_f32[i]->op, op)) return i;
    return -1;
}
