/* conv_vector.c: which algorithm a convolution gets. The choice depends on the shape, never on n or on time.
 *
 * Every entry exists twice: with Winograd's algorithm where it pays, and without it, for the tables named
 * "<instruction set>-direct", which show what Winograd's saving costs in accuracy and brings in speed. */
#include "conv_internal.h"

static bool is_depthwise(const ich_conv_shape *shape) {
    return shape->groups > 1 && shape->groups == shape->c && shape->groups == shape->k;
}

/* Winograd's algorithm wants whole vectors of channels, enough of them for its 36 products, and tiles of 4 ×
 * 4 that do not mostly hang over the image's edge. It reads four times the weights: not for a single tile. */
static bool is_winograd(const ich_conv_shape *s, bool allowed) {
    const int tiles = ((s->h + 3) / 4) * ((s->w + 3) / 4);
    return allowed && s->r == 3 && s->s == 3 && s->stride == 1 && s->pad == 1 && s->dilation == 1 &&
           s->groups == 1 && s->c % 16 == 0 && s->k % 16 == 0 && s->c >= 32 && s->k >= 32 && s->c <= 2048 &&
           s->k <= 2048 && tiles >= 4 && s->h * s->w >= 8 * tiles;
}

/* Runs over the stride × stride lattices of backward data: views[] and where each one's weights begin. */
static conv_view lattice(const ich_conv_shape *shape, int i) {
    return conv_view_backward(shape, i / shape->stride, i % shape->stride);
}

static size_t view_words(const conv_view *view) {
    return conv_panel_words(view) * (size_t)(view->channels / view->group_channels);
}

static size_t packed_elements(const ich_conv_shape *shape, ich_direction direction, bool winograd) {
    if (direction == ICH_BACKWARD_WEIGHTS) return 0;
    if (is_depthwise(shape)) return (size_t)shape->r * (size_t)shape->s * (size_t)shape->c;
    if (is_winograd(shape, winograd)) return winograd_packed(shape, direction);
    if (direction == ICH_FORWARD) {
        const conv_view view = conv_view_forward(shape);
        return view_words(&view);
    }
    size_t elements = 0;
    for (int i = 0; i < shape->stride * shape->stride; i++) {
        const conv_view view = lattice(shape, i);
        elements += view_words(&view);
    }
    return elements;
}

static size_t scratch_elements(const ich_conv_shape *shape, ich_direction direction, bool winograd) {
    const bool weights = direction == ICH_BACKWARD_WEIGHTS;
    if (is_winograd(shape, winograd))
        return weights ? winograd_weights_scratch(shape) : winograd_scratch(shape, direction);
    if (!weights) return 0;
    if (is_depthwise(shape)) return (size_t)shape->r * (size_t)shape->s * (size_t)shape->c;
    return conv_weights_scratch(shape);
}

static void pack(const ich_conv_shape *shape, ich_direction direction, const float *weight, float *elements,
                 bool winograd) {
    conv_word *packed = (conv_word *)elements;
    if (is_depthwise(shape)) {
        depthwise_pack(shape, weight, elements);
    } else if (is_winograd(shape, winograd)) {
        winograd_pack(shape, direction, weight, packed);
    } else if (direction == ICH_FORWARD) {
        const conv_view view = conv_view_forward(shape);
        conv_pack_view(shape, &view, direction, weight, packed);
    } else if (direction == ICH_BACKWARD_DATA) {
        for (int i = 0; i < shape->stride * shape->stride; i++) {
            const conv_view view = lattice(shape, i);
            conv_pack_view(shape, &view, direction, weight, packed);
            packed += view_words(&view);
        }
    }
}

static void forward(const ich_conv_shape *shape, const float *x, const float *elements,
                    const conv_target *target, float *scratch, bool winograd) {
    const conv_view view = conv_view_forward(shape);
    const conv_word *packed = (const conv_word *)elements;
    if (is_depthwise(shape))
        depthwise(&view, shape->s, x, elements, target);
    else if (is_winograd(shape, winograd))
        winograd_convolve(shape, ICH_FORWARD, x, packed, target, scratch);
    else
        conv_direct(&view, x, packed, target);
}

static void backward_data(const ich_conv_shape *shape, const float *dy, const float *elements,
                          const conv_target *target, float *scratch, bool winograd) {
    const conv_word *packed = (const conv_word *)elements;
    if (is_winograd(shape, winograd)) {
        winograd_convolve(shape, ICH_BACKWARD_DATA, dy, packed, target, scratch);
        return;
    }
    for (int i = 0; i < shape->stride * shape->stride; i++) {
        const conv_view view = lattice(shape, i);
        if (is_depthwise(shape)) {
            depthwise(&view, shape->s, dy, elements, target);
        } else {
            conv_direct(&view, dy, packed, target);
            packed += view_words(&view);
        }
    }
}

static void backward_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,
                             float *scratch, bool winograd) {
    if (is_depthwise(shape))
        depthwise_weights(shape, x, dy, dw, scratch);
    else if (is_winograd(shape, winograd))
        winograd_weights(shape, x, dy, dw, scratch);
    else
        conv_weights(shape, x, dy, dw, scratch);
}

/* The entries of one table: kernel_table.h. */
#define DEFINE_CONV2D(packed_name, scratch_name, pack_name, forward_name, data_name, weights_name, winograd) \
    size_t ICH_ISA(packed_name)(const ich_conv_shape *shape, ich_direction direction) {                      \
        return packed_elements(shape, direction, winograd);                                                  \
    }                                                                                                        \
    size_t ICH_ISA(scratch_name)(const ich_conv_shape *shape, ich_direction direction) {                     \
        return scratch_elements(shape, direction, winograd);                                                 \
    }                                                                                                        \
    void ICH_ISA(pack_name)(const ich_conv_shape *shape, ich_direction direction, const float *weight,       \
                            float *packed) {                                                                 \
        pack(shape, direction, weight, packed, winograd);                                                    \
    }                                                                                                        \
    void ICH_ISA(forward_name)(const ich_conv_shape *shape, const float *x, const float *packed,             \
                               const float *bias, const float *add, bool relu, float *y, float *scratch) {   \
        const conv_target target = {.y = y, .bias = bias, .add = add, .relu = relu};                         \
        forward(shape, x, packed, &target, scratch, winograd);                                               \
    }                                                                                                        \
    void ICH_ISA(data_name)(const ich_conv_shape *shape, const float *dy, const float *packed,               \
                            bool accumulate, float *dx, float *scratch) {                                    \
        const conv_target target = {.y = dx, .add = accumulate ? dx : NULL};                                 \
        backward_data(shape, dy, packed, &target, scratch, winograd);                                        \
    }                                                                                                        \
    void ICH_ISA(weights_name)(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,      \
                               float *scratch) {                                                             \
        backward_weights(shape, x, dy, dw, scratch, winograd);                                               \
    }

DEFINE_CONV2D(ich_conv2d_packed, ich_conv2d_scratch, ich_conv2d_pack, ich_conv2d_forward,
              ich_conv2d_backward_data, ich_conv2d_backward_weights, true)
DEFINE_CONV2D(ich_conv2d_packed_direct, ich_conv2d_scratch_direct, ich_conv2d_pack_direct,
              ich_conv2d_forward_direct, ich_conv2d_backward_data_direct, ich_conv2d_backward_weights_direct,
              false)
