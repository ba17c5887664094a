/* conv_internal.h: what the files of the vector convolution share. Not for other files.
 *
 * A convolution is a product of matrices A · B that never exist as a whole (implicit GEMM):
 *   forward        rows: output pixels   depth: taps × input channels    columns: output channels
 *   backward data  rows: input pixels    depth: taps × output channels   columns: input channels
 *   backward w.    rows: taps × input channels   depth: output pixels    columns: output channels
 * conv_view describes A for the first two (the third uses forward's, transposed): which numbers of the source
 * image make up a row. For stride S the input pixels of backward data fall into S × S lattices, by their
 * remainder, each of which meets its own subset of taps: each is a dense convolution of stride 1 by itself.
 *
 * Packed weights: for each lattice, group and panel of CONV_COLUMNS columns: [depth][CONV_COLUMNS] in words
 * (conv_operand.h), columns and depths that do not exist are zero. depth runs over (tap down, tap across,
 * source channel).
 */
#ifndef ICH_TENSOR_CONV_INTERNAL_H
#define ICH_TENSOR_CONV_INTERNAL_H

#include "conv_tile.h"
#include "conv_vector.h"

enum {
    CONV_PITCH = 256, /* words of depth of A and B worked on at once: a panel of B fits L1 */
    CONV_DEPTH = CONV_PITCH * CONV_PAIR,
    CONV_AHEAD = 2048, /* floats that a copy prefetches ahead: the next rows are mostly the next in memory */
    CONV_BLOCK = 72 / CONV_ROWS * CONV_ROWS, /* rows of A gathered at once: they fit L2 */
};

/* One direction (down or across) of a view. Position a lies at out_first + out_step · a of the target and
 * meets, at tap t, the source index stride · a + first + step · t. */
typedef struct conv_axis {
    int count, out_first, out_step;
    int taps, stride, first, step;
    int weight_first, weight_step; /* tap t is the kernel's row or column weight_first + weight_step · t */
} conv_axis;

typedef struct conv_view {
    int images, h, w, channels, group_channels;         /* of the source [images, h, w, channels] */
    int out_h, out_w, out_channels, out_group_channels; /* of the target */
    conv_axis down, across;
    int depth;    /* taps × group_channels */
    int64_t rows; /* images × positions */
} conv_view;

/* Where a product goes: y = A · B + bias + add, then max(0, ·) if relu. */
typedef struct conv_target {
    float *y;
    const float *bias, *add; /* may be NULL; add may be y */
    bool relu;
} conv_target;

/* Internal symbols, too, exist once per instruction set. */
#define conv_view_forward    ICH_ISA(ich_conv_view_forward)
#define conv_view_backward   ICH_ISA(ich_conv_view_backward)
#define conv_gather          ICH_ISA(ich_conv_gather)
#define conv_panel_words     ICH_ISA(ich_conv_panel_words)
#define conv_pack_view       ICH_ISA(ich_conv_pack_view)
#define conv_direct          ICH_ISA(ich_conv_direct)
#define conv_weights_scratch ICH_ISA(ich_conv_weights_scratch)
#define conv_weights         ICH_ISA(ich_conv_weights)
#define depthwise_pack       ICH_ISA(ich_depthwise_pack)
#define depthwise            ICH_ISA(ich_depthwise)
#define depthwise_weights    ICH_ISA(ich_depthwise_weights)

/* conv_view.c */
conv_view conv_view_forward(const ich_conv_shape *shape);
/* The lattice of input pixels with remainders (down, across) modulo the stride. */
conv_view conv_view_backward(const ich_conv_shape *shape, int down, int across);
/* Copies rows [row, row + rows) and depths [depth, depth + depths) of A into `panel`, whose rows are
 * CONV_DEPTH apart; source pixels outside the image are zeros, and so is what fills up the last word.
 * offsets[i], unless NULL, becomes the place of the target pixel of row i, in elements. */
void conv_gather(const conv_view *view, const float *source, int group, int64_t row, int rows, int depth,
                 int depths, conv_operand *panel, ptrdiff_t *offsets);

/* conv_pack.c */
size_t conv_panel_words(const conv_view *view); /* of the packed weights of one group */
void conv_pack_view(const ich_conv_shape *shape, const conv_view *view, ich_direction direction,
                    const float *weight, conv_word *packed);

/* conv_direct.c */
void conv_direct(const conv_view *view, const float *source, const conv_word *packed,
                 const conv_target *target);

/* conv_weights.c */
size_t conv_weights_scratch(const ich_conv_shape *shape);
void conv_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw, float *scratch);

/* conv_depthwise.c: one filter per channel; packed is [r, s, c], and so is the scratch of its weights */
void depthwise_pack(const ich_conv_shape *shape, const float *weight, float *packed);
void depthwise(const conv_view *view, int kernel_width, const float *source, const float *packed,
               const conv_target *target);
void depthwise_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,
                       float *scratch);

/* conv_winograd.c, conv_winograd_weights.c: 3×3 of stride 1, pad 1; `direction` says which way */
#define winograd_packed          ICH_ISA(ich_winograd_packed)
#define winograd_scratch         ICH_ISA(ich_winograd_scratch)
#define winograd_pack            ICH_ISA(ich_winograd_pack)
#define winograd_convolve        ICH_ISA(ich_winograd_convolve)
#define winograd_weights_scratch ICH_ISA(ich_winograd_weights_scratch)
#define winograd_weights         ICH_ISA(ich_winograd_weights)
size_t winograd_packed(const ich_conv_shape *shape, ich_direction direction);
size_t winograd_scratch(const ich_conv_shape *shape, ich_direction direction);
void winograd_pack(const ich_conv_shape *shape, ich_direction direction, const float *weight,
                   conv_word *packed);
void winograd_convolve(const ich_conv_shape *shape, ich_direction direction, const float *source,
                       const conv_word *packed, const conv_target *target, float *scratch);
size_t winograd_weights_scratch(const ich_conv_shape *shape);
void winograd_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,
                      float *scratch);

static inline int conv_min(int a, int b) { return a < b ? a : b; }
static inline int conv_max(int a, int b) { return a > b ? a : b; }
static inline int64_t conv_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

#endif
