/* conv_winograd_weights.c: Winograd's backward weights (conv_winograd.h): dU_p = V_pᵀ · W_p, 36 products
 * whose depth is tiles, then dw += Gᵀ dU G.
 *
 * All threads work together on one block of tiles after another: first its transforms, then pieces of
 * WINOGRAD_RANGE input channels by one panel of output channels. A piece's dU [36][range][CONV_COLUMNS] stays
 * in its thread's L2 and goes straight into dw: all of dU would be four times dw. Pieces are cut by shape and
 * blocks come in order, so each element of dw is summed in one order.
 */
#include "conv_winograd.h"
#include <omp.h>

enum {
    WINOGRAD_SHARED = 2 << 20,   /* floats in V and W together */
    WINOGRAD_SHARED_BLOCK = 448, /* most tiles */
    WINOGRAD_RANGE = 32,         /* input channels in a piece; divides WINOGRAD_DEPTH */
    WINOGRAD_RUN = 16,           /* input channels turned to OIHW at once; divides c and WINOGRAD_RANGE */
    WINOGRAD_DU = WINOGRAD_RANGE * CONV_COLUMNS + WINOGRAD_LINE, /* between the 36 slices of a piece's dU */
};

static winograd describe(const ich_conv_shape *shape) {
    winograd g = {.images = shape->n,
                  .h = shape->h,
                  .w = shape->w,
                  .c = shape->c,
                  .k = shape->k,
                  .tiles_down = (shape->h + 3) / 4,
                  .tiles_across = (shape->w + 3) / 4};
    g.tiles = (int64_t)g.images * g.tiles_down * g.tiles_across;
    g.panels = (int)conv_ceil_div(g.k, CONV_COLUMNS);
    g.depths = (int)conv_ceil_div(g.c, WINOGRAD_DEPTH);
    g.block = conv_min(WINOGRAD_SHARED / WINOGRAD_PLACES / (g.c + g.k) / CONV_PAIR * CONV_PAIR,
                       WINOGRAD_SHARED_BLOCK);
    return g;
}

size_t winograd_weights_scratch(const ich_conv_shape *shape) {
    const winograd g = describe(shape);
    return WINOGRAD_PLACES *
           (winograd_v_slice(&g) + winograd_w_slice(&g) + (size_t)WINOGRAD_LANES * WINOGRAD_DU);
}

/* dU [rows, CONV_COLUMNS] = V [tiles, rows], transposed · W [tiles, CONV_COLUMNS]; tiles in words */
ICH_INLINE void multiply_rows(int rows, int tiles, const conv_word *v, const conv_word *w, float *du) {
    ich_vec sums[CONV_ROWS][2];
    ICH_UNROLL for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = (ich_vec){0};
    conv_tile_multiply(rows, tiles, v, 1, WINOGRAD_DEPTH, w, sums);
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        ich_store(du + i * CONV_COLUMNS, sums[i][0]);
        ich_store(du + i * CONV_COLUMNS + ICH_LANES, sums[i][1]);
    }
}

#define DEFINE(n)                                                                                            \
    static void multiply_##n(int tiles, const conv_word *v, const conv_word *w, float *du) {                 \
        multiply_rows(n, tiles, v, w, du);                                                                   \
    }
#define NAME(n) multiply_##n,
CONV_FOR_EACH_ROWS(DEFINE)
static void (*const multiply[])(int, const conv_word *, const conv_word *,
                                float *) = {CONV_FOR_EACH_ROWS(NAME)};

/* Gᵀ u for six numbers. */
ICH_INLINE void transform_weights(const ich_vec *u, int from, ich_vec *g, int to) {
    const ich_vec sum1 = u[from] + u[2 * from], sum2 = u[3 * from] + u[4 * from];
    g[0] = 0.25f * u[0] - (1 / 6.0f) * sum1 + (1 / 24.0f) * sum2;
    g[to] = (1 / 6.0f) * (u[2 * from] - u[from]) + (1 / 12.0f) * (u[3 * from] - u[4 * from]);
    g[2 * to] = (1 / 6.0f) * (sum2 - sum1) + u[5 * from];
}

/* Gᵀ dU G for one input channel and ICH_LANES output channels. */
ICH_INLINE void transform_filters(const float *du, ich_vec *filters) {
    ich_vec u[36], t[18];
    ICH_UNROLL for (int i = 0; i < 36; i++) u[i] = ich_load(du + i * WINOGRAD_DU);
    ICH_UNROLL for (int j = 0; j < 6; j++) transform_weights(u + j, 6, t + j, 6);
    ICH_UNROLL for (int i = 0; i < 3; i++) transform_weights(t + 6 * i, 1, filters + 3 * i, 1);
}

/* dw += the filters of WINOGRAD_RUN input by ICH_LANES output channels; dw points at the first. Rows of dw
 * are far apart, often by a multiple of the cache's way: so they are turned in a small buffer. */
static void add_filters(const winograd *g, const float *du, float *dw) {
    float turned[ICH_LANES][9 * WINOGRAD_RUN];
    for (int i = 0; i < WINOGRAD_RUN; i++) {
        ich_vec filters[9];
        transform_filters(du + i * CONV_COLUMNS, filters);
        for (int tap = 0; tap < 9; tap++)
            for (int j = 0; j < ICH_LANES; j++) turned[j][9 * i + tap] = filters[tap][j];
    }
    for (int j = 0; j < ICH_LANES; j++, dw += (ptrdiff_t)g->c * 9)
        for (int i = 0; i < 9 * WINOGRAD_RUN; i++) dw[i] += turned[j][i];
}

/* Input channels from c on, by one panel. */
static void add_piece(const winograd *g, int tiles, int c, int panel, const conv_word *v, const conv_word *w,
                      float *du, float *dw) {
    const int channels = conv_min(WINOGRAD_RANGE, g->c - c), k = panel * CONV_COLUMNS;
    v += (ptrdiff_t)(c / WINOGRAD_DEPTH) * (g->block / CONV_PAIR) * WINOGRAD_DEPTH + c % WINOGRAD_DEPTH;
    w += (ptrdiff_t)panel * (g->block / CONV_PAIR) * CONV_COLUMNS;
    for (int p = 0; p < WINOGRAD_PLACES; p++)
        for (int i = 0; i < channels; i += CONV_ROWS)
            multiply[conv_min(CONV_ROWS, channels - i) - 1](
                conv_words(tiles), v + p * winograd_v_slice(g) + i, w + p * winograd_w_slice(g),
                du + p * WINOGRAD_DU + i * CONV_COLUMNS);
    for (int j = 0; j < conv_min(CONV_COLUMNS, g->k - k); j += ICH_LANES)
        for (int i = 0; i < channels; i += WINOGRAD_RUN)
            add_filters(g, du + i * CONV_COLUMNS + j, dw + ((ptrdiff_t)(k + j) * g->c + c + i) * 9);
}

/* The tiles that share slot i's words. */
static void transform_word(const winograd *g, const float *x, const float *dy, int64_t first, int i,
                           int tiles, conv_word *v, conv_word *w) {
    for (int slot = i; slot < conv_min(i + CONV_PAIR, tiles); slot++) {
        winograd_input_across(g, x, first + slot, slot, v);
        winograd_gradient(g, dy, first + slot, slot, w);
    }
}

void winograd_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,
                      float *scratch) {
    const winograd g = describe(shape);
    const int ranges = (int)conv_ceil_div(g.c, WINOGRAD_RANGE);
    const int threads = conv_min(omp_get_max_threads(), WINOGRAD_LANES);
    conv_word *v = (conv_word *)scratch, *w = v + WINOGRAD_PLACES * winograd_v_slice(&g);
    float *lanes = scratch + WINOGRAD_PLACES * (winograd_v_slice(&g) + winograd_w_slice(&g));
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < g.tiles; first += g.block) {
        const int tiles = (int)(g.tiles - first < g.block ? g.tiles - first : g.block);
#pragma omp for schedule(static)
        for (int i = 0; i < tiles; i += CONV_PAIR) transform_word(&g, x, dy, first, i, tiles, v, w);
#pragma omp for schedule(dynamic)
        for (int piece = 0; piece < ranges * g.panels; piece++)
            add_piece(&g, tiles, piece % ranges * WINOGRAD_RANGE, piece / ranges, v, w,
                      lanes + (size_t)omp_get_thread_num() * WINOGRAD_PLACES * WINOGRAD_DU, dw);
    }
}
