/* conv_winograd.h: F(4×4, 3×3), shared by the files that convolve and the one that makes weight gradients.
 * Not for other files.
 *
 * Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016, arXiv 1509.09308). For an output
 * tile of 4 × 4 pixels, its input tile d of 6 × 6 and a filter g of 3 × 3:
 *     y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
 * 36 multiplications instead of 144. Summed over input channels, each of the 36 places of a tile becomes a
 * matrix product of its own: M_p [tiles, k] = V_p [tiles, c] · U_p [c, k]. The gradient of the weights is the
 * same algorithm transposed: with W = A dy Aᵀ,  dU_p [c, k] = V_pᵀ · W_p  summed over tiles, dg = Gᵀ dU G.
 *
 *   V  [36][c / 64][tiles][64]         transformed input; rows at a constant distance for the micro-kernel
 *   M  [36][panel][tiles][CONV_COLUMNS]  products
 *   W  [36][panel][tiles][CONV_COLUMNS]  transformed dy
 *   U  [panel][36][c][CONV_COLUMNS]    transformed weights
 * V, W and U are factors and lie in words (conv_operand.h): V's and U's join neighbouring channels where they
 * are multiplied along channels, V's and W's neighbouring tiles where along tiles.
 * The 36 slices of each are a cache line further apart than they need be, lest they all fall into
 * the same sets of the cache.
 */
#ifndef ICH_TENSOR_CONV_WINOGRAD_H
#define ICH_TENSOR_CONV_WINOGRAD_H

#include "conv_internal.h"

enum {
    WINOGRAD_PLACES = 36,
    WINOGRAD_DEPTH = 64,      /* channels in a block of V */
    WINOGRAD_CHANNELS = 2048, /* most channels: the length of the row of zeros that pads images */
    WINOGRAD_LINE = 16,       /* floats in a cache line */
    WINOGRAD_LANES = 32,      /* most threads at work, each with scratch of its own */
};

/* A stride-1 pad-1 3×3 convolution from c to k channels, in either direction. */
typedef struct winograd {
    int images, h, w, c, k;
    int tiles_down, tiles_across;
    int64_t tiles;      /* of all images */
    int panels, depths; /* panels of k, blocks of c */
    int block;          /* tiles worked on at once, a multiple of CONV_PAIR */
} winograd;

/* Distances between the 36 slices: of V and W in words, of M in floats. m_panels: panels that M holds. */
static inline size_t winograd_v_slice(const winograd *g) {
    return (size_t)g->depths * (size_t)g->block * (WINOGRAD_DEPTH / CONV_PAIR) + WINOGRAD_LINE;
}
static inline size_t winograd_w_slice(const winograd *g) {
    return (size_t)g->panels * (size_t)(g->block / CONV_PAIR) * CONV_COLUMNS + WINOGRAD_LINE;
}
static inline size_t winograd_m_slice(const winograd *g, int m_panels) {
    return (size_t)m_panels * (size_t)g->block * CONV_COLUMNS + WINOGRAD_LINE;
}

/* conv_winograd_tiles.c: transforms tile `tile` of the image into slot `slot` of V, for a product along
 * channels; */
#define winograd_input ICH_ISA(ich_winograd_input)
void winograd_input(const winograd *g, const float *x, int64_t tile, int slot, conv_word *v);
/* … for a product along tiles: even slots before the odd ones that share their words; */
#define winograd_input_across ICH_ISA(ich_winograd_input_across)
void winograd_input_across(const winograd *g, const float *x, int64_t tile, int slot, conv_word *v);
/* … and y's 4 × 4 tile into slot `slot` of W, likewise. */
#define winograd_gradient ICH_ISA(ich_winograd_gradient)
void winograd_gradient(const winograd *g, const float *dy, int64_t tile, int slot, conv_word *w);
/* The panels [panel, panel + m_panels) of slot `slot` of M, transformed and added to bias and add. */
#define winograd_output ICH_ISA(ich_winograd_output)
void winograd_output(const winograd *g, const float *m, int panel, int m_panels, int64_t tile, int slot,
                     const conv_target *target);

#endif
