/* conv_winograd_tiles.c: the transforms of Winograd's algorithm that touch images (conv_winograd.h). Vectors
 * run along channels; each 2-D transform is the 1-D one on columns, then on rows. The interpolation points
 * are 0, ±1, ±2, ∞.
 */
#include "conv_winograd.h"

static const float zeros[WINOGRAD_CHANNELS]; /* a pixel outside the image */

/* Where a tile lies. */
typedef struct place {
    int64_t image;
    int y, x; /* of its first output pixel */
} place;

static place place_of(const winograd *g, int64_t tile) {
    const int64_t line = tile / g->tiles_across;
    return (place){.image = line / g->tiles_down,
                   .y = (int)(line % g->tiles_down) * 4,
                   .x = (int)(tile % g->tiles_across) * 4};
}

/* Pixels of a size × size square from (y, x) on. */
ICH_INLINE void find_pixels(const winograd *g, const float *image, int channels, int y, int x, int size,
                            const float *pixels[]) {
    for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
            const bool inside = y + i >= 0 && y + i < g->h && x + j >= 0 && x + j < g->w;
            pixels[i * size + j] = inside ? image + ((ptrdiff_t)(y + i) * g->w + x + j) * channels : zeros;
        }
    }
}

/* Bᵀ d for six numbers a distance apart. */
ICH_INLINE void transform_input(const ich_vec *d, int from, ich_vec *t, int to) {
    const ich_vec even = d[4 * from] - 4 * d[2 * from], odd = d[3 * from] - 4 * d[from];
    const ich_vec near = d[4 * from] - d[2 * from], far = 2 * (d[3 * from] - d[from]);
    t[0] = 4 * d[0] - 5 * d[2 * from] + d[4 * from];
    t[to] = even + odd;
    t[2 * to] = even - odd;
    t[3 * to] = near + far;
    t[4 * to] = near - far;
    t[5 * to] = 4 * d[from] - 5 * d[3 * from] + d[5 * from];
}

ICH_INLINE void transform_tile(const float *const pixels[36], int c, ich_vec t[36]) {
    ich_vec d[36], half[36];
    ICH_UNROLL for (int i = 0; i < 36; i++) d[i] = ich_load(pixels[i] + c);
    ICH_UNROLL for (int j = 0; j < 6; j++) transform_input(d + j, 6, half + j, 6);
    ICH_UNROLL for (int i = 0; i < 6; i++) transform_input(half + 6 * i, 1, t + 6 * i, 1);
}

void winograd_input(const winograd *g, const float *x, int64_t tile, int slot, conv_word *v) {
    const place at = place_of(g, tile);
    const float *pixels[36];
    find_pixels(g, x + at.image * g->h * g->w * g->c, g->c, at.y - 1, at.x - 1, 6, pixels);
    for (int c = 0; c < g->c; c += ICH_LANES) {
        ich_vec t[36];
        transform_tile(pixels, c, t);
        conv_word *row =
            v + ((ptrdiff_t)(c / WINOGRAD_DEPTH) * g->block + slot) * (WINOGRAD_DEPTH / CONV_PAIR);
        ICH_UNROLL for (int i = 0; i < 36; i++)
            conv_store((conv_operand *)(row + i * winograd_v_slice(g)) + c % WINOGRAD_DEPTH, t[i]);
    }
}

void winograd_input_across(const winograd *g, const float *x, int64_t tile, int slot, conv_word *v) {
    const place at = place_of(g, tile);
    const float *pixels[36];
    find_pixels(g, x + at.image * g->h * g->w * g->c, g->c, at.y - 1, at.x - 1, 6, pixels);
    for (int c = 0; c < g->c; c += ICH_LANES) {
        ich_vec t[36];
        transform_tile(pixels, c, t);
        conv_word *to =
            v +
            ((ptrdiff_t)(c / WINOGRAD_DEPTH) * (g->block / CONV_PAIR) + slot / CONV_PAIR) * WINOGRAD_DEPTH +
            c % WINOGRAD_DEPTH;
        ICH_UNROLL for (int i = 0; i < 36; i++)
            conv_store_half(to + i * winograd_v_slice(g), slot % CONV_PAIR, t[i]);
    }
}

/* A d for four numbers. */
ICH_INLINE void transform_gradient(const ich_vec *d, int from, ich_vec *t, int to) {
    const ich_vec even = d[0] + d[2 * from], odd = d[from] + d[3 * from];
    const ich_vec even2 = d[0] + 4 * d[2 * from], odd2 = 2 * d[from] + 8 * d[3 * from];
    t[0] = d[0];
    t[to] = even + odd;
    t[2 * to] = even - odd;
    t[3 * to] = even2 + odd2;
    t[4 * to] = even2 - odd2;
    t[5 * to] = d[3 * from];
}

void winograd_gradient(const winograd *g, const float *dy, int64_t tile, int slot, conv_word *w) {
    const place at = place_of(g, tile);
    const float *pixels[16];
    find_pixels(g, dy + at.image * g->h * g->w * g->k, g->k, at.y, at.x, 4, pixels);
    for (int k = 0; k < g->k; k += ICH_LANES) {
        ich_vec d[16], t[24], u[36];
        ICH_UNROLL for (int i = 0; i < 16; i++) d[i] = ich_load(pixels[i] + k);
        ICH_UNROLL for (int j = 0; j < 4; j++) transform_gradient(d + j, 4, t + j, 4);
        ICH_UNROLL for (int i = 0; i < 6; i++) transform_gradient(t + 4 * i, 1, u + 6 * i, 1);
        conv_word *to =
            w + ((ptrdiff_t)(k / CONV_COLUMNS) * (g->block / CONV_PAIR) + slot / CONV_PAIR) * CONV_COLUMNS +
            k % CONV_COLUMNS;
        ICH_UNROLL for (int i = 0; i < 36; i++)
            conv_store_half(to + i * winograd_w_slice(g), slot % CONV_PAIR, u[i]);
    }
}

/* Aᵀ m for six numbers. */
ICH_INLINE void transform_output(const ich_vec *m, int from, ich_vec *y, int to) {
    const ich_vec sum1 = m[from] + m[2 * from], difference1 = m[from] - m[2 * from];
    const ich_vec sum2 = m[3 * from] + m[4 * from], difference2 = m[3 * from] - m[4 * from];
    y[0] = m[0] + sum1 + sum2;
    y[to] = difference1 + 2 * difference2;
    y[2 * to] = sum1 + 4 * sum2;
    y[3 * to] = difference1 + 8 * difference2 + m[5 * from];
}

ICH_INLINE void finish_pixel(const conv_target *target, ptrdiff_t offset, ich_vec bias, ich_vec value) {
    value += bias;
    if (target->add) value += ich_load(target->add + offset);
    if (target->relu) value = ich_relu(value);
    ich_store(target->y + offset, value);
}

void winograd_output(const winograd *g, const float *m, int panel, int m_panels, int64_t tile, int slot,
                     const conv_target *target) {
    const place at = place_of(g, tile);
    const int rows = conv_min(4, g->h - at.y), columns = conv_min(4, g->w - at.x);
    const ptrdiff_t first = ((at.image * g->h + at.y) * g->w + at.x) * g->k;
    const int end = conv_min(g->k, (panel + m_panels) * CONV_COLUMNS);
    for (int k = panel * CONV_COLUMNS; k < end; k += ICH_LANES) {
        const float *from =
            m + ((ptrdiff_t)(k / CONV_COLUMNS - panel) * g->block + slot) * CONV_COLUMNS + k % CONV_COLUMNS;
        ich_vec d[36], t[24], y[16];
        ICH_UNROLL for (int i = 0; i < 36; i++) d[i] = ich_load(from + i * winograd_m_slice(g, m_panels));
        ICH_UNROLL for (int j = 0; j < 6; j++) transform_output(d + j, 6, t + j, 6);
        ICH_UNROLL for (int i = 0; i < 4; i++) transform_output(t + 6 * i, 1, y + 4 * i, 1);
        const ich_vec bias = target->bias ? ich_load(target->bias + k) : (ich_vec){0};
        ICH_UNROLL for (int i = 0; i < 4; i++) {
            ICH_UNROLL for (int j = 0; j < 4; j++) {
                if (i < rows && j < columns)
                    finish_pixel(target, first + ((ptrdiff_t)i * g->w + j) * g->k + k, bias, y[4 * i + j]);
            }
        }
    }
}
