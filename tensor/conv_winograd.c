/* conv_winograd.c: Winograd's forward and backward data (conv_winograd.h); the latter is a forward with the
 * filters turned by 180° and input and output channels exchanged.
 *
 * Small weights: each thread takes a block of tiles all the way — transform, 36 products for one panel of
 * columns, inverse transform, next panel — so that V, M and U stay in its L2. Large weights would be read
 * again for every small block; there the threads work together on one large block, and each reads its share
 * of the weights once. Both orders give the same bits: an element of M is one chain over the channels.
 */
#include "conv_winograd.h"
#include <omp.h>

enum {
    WINOGRAD_ALONE_BLOCK = 30 / CONV_ROWS * CONV_ROWS, /* tiles */
    WINOGRAD_ALONE_WEIGHTS = 128 * 128,                /* c · k up to which threads work alone */
    WINOGRAD_SHARED = 2 << 20,   /* floats in V and M together when threads work together */
    WINOGRAD_SHARED_BLOCK = 448, /* most tiles then */
};

static bool works_alone(const winograd *g) { return g->c * g->k <= WINOGRAD_ALONE_WEIGHTS; }

static winograd describe(const ich_conv_shape *shape, ich_direction direction) {
    const bool forward = direction == ICH_FORWARD;
    winograd g = {.images = shape->n,
                  .h = shape->h,
                  .w = shape->w,
                  .c = forward ? shape->c : shape->k,
                  .k = forward ? shape->k : shape->c,
                  .tiles_down = (shape->h + 3) / 4,
                  .tiles_across = (shape->w + 3) / 4};
    g.tiles = (int64_t)g.images * g.tiles_down * g.tiles_across;
    g.panels = (int)conv_ceil_div(g.k, CONV_COLUMNS);
    g.depths = (int)conv_ceil_div(g.c, WINOGRAD_DEPTH);
    const int together = WINOGRAD_SHARED / WINOGRAD_PLACES / (g.c + g.k) / CONV_ROWS * CONV_ROWS;
    g.block = works_alone(&g) ? WINOGRAD_ALONE_BLOCK : conv_min(together, WINOGRAD_SHARED_BLOCK);
    return g;
}

/* Distance between the 36 slices of a panel of U, in words. */
static size_t u_slice(const winograd *g) { return (size_t)(g->c / CONV_PAIR) * CONV_COLUMNS + WINOGRAD_LINE; }

size_t winograd_packed(const ich_conv_shape *shape, ich_direction direction) {
    const winograd g = describe(shape, direction);
    return (size_t)g.panels * WINOGRAD_PLACES * u_slice(&g);
}

size_t winograd_scratch(const ich_conv_shape *shape, ich_direction direction) {
    const winograd g = describe(shape, direction);
    if (works_alone(&g))
        return WINOGRAD_LANES * WINOGRAD_PLACES * (winograd_v_slice(&g) + winograd_m_slice(&g, 1));
    return WINOGRAD_PLACES * (winograd_v_slice(&g) + winograd_m_slice(&g, g.panels));
}

/* G g for three numbers. */
ICH_INLINE void transform_filter(const ich_vec *g, int from, ich_vec *u, int to) {
    const ich_vec ends = g[0] + g[2 * from], ends4 = g[0] + 4 * g[2 * from];
    u[0] = g[0] * 0.25f;
    u[to] = (ends + g[from]) * (-1 / 6.0f);
    u[2 * to] = (ends - g[from]) * (-1 / 6.0f);
    u[3 * to] = (ends4 + 2 * g[from]) * (1 / 24.0f);
    u[4 * to] = (ends4 - 2 * g[from]) * (1 / 24.0f);
    u[5 * to] = g[2 * from];
}

/* LANES columns of one source channel: filters [9][ICH_LANES] -> 36 vectors, a distance apart. */
static void pack_filters(const float *filters, int half, conv_word *u, size_t distance) {
    ich_vec g[9], t[18], all[36];
    ICH_UNROLL for (int i = 0; i < 9; i++) g[i] = ich_load(filters + i * ICH_LANES);
    ICH_UNROLL for (int j = 0; j < 3; j++) transform_filter(g + j, 3, t + j, 3);
    ICH_UNROLL for (int i = 0; i < 6; i++) transform_filter(t + 3 * i, 1, all + 6 * i, 1);
    ICH_UNROLL for (int i = 0; i < 36; i++) conv_store_half(u + i * distance, half, all[i]);
}

/* Source channel c of the columns of a panel. weight: the tap (0, 0) of channel c and the first column;
 * column: the distance to the next one's. */
static void pack_channel(const winograd *g, bool forward, int panel, int c, const float *weight,
                         ptrdiff_t column, conv_word *u) {
    for (int part = 0; part < CONV_COLUMNS; part += ICH_LANES) {
        float filters[9 * ICH_LANES];
        for (int j = 0; j < ICH_LANES; j++) {
            const int k = panel * CONV_COLUMNS + part + j;
            const float *from = weight + k * column;
            for (int tap = 0; tap < 9; tap++)
                filters[tap * ICH_LANES + j] = k >= g->k ? 0 : from[forward ? tap : 8 - tap];
        }
        pack_filters(filters, c % CONV_PAIR, u + part, u_slice(g));
    }
}

void winograd_pack(const ich_conv_shape *shape, ich_direction direction, const float *weight,
                   conv_word *packed) {
    const winograd g = describe(shape, direction);
    const bool forward = direction == ICH_FORWARD;
    const ptrdiff_t source = forward ? 9 : 9 * (ptrdiff_t)shape->c,
                    column = forward ? 9 * (ptrdiff_t)shape->c : 9;
    const int words = g.c / CONV_PAIR;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < (int64_t)g.panels * words; i++) {
        const int panel = (int)(i / words), word = (int)(i % words);
        conv_word *u = packed + (size_t)panel * WINOGRAD_PLACES * u_slice(&g) + (size_t)word * CONV_COLUMNS;
        for (int c = word * CONV_PAIR; c < (word + 1) * CONV_PAIR; c++)
            pack_channel(&g, forward, panel, c, weight + c * source, column, u);
    }
}

/* M [rows, CONV_COLUMNS] = V [rows, c] · U [c, CONV_COLUMNS] */
ICH_INLINE void multiply_rows(int rows, const winograd *g, const conv_word *v, const conv_word *u, float *m) {
    const int row = WINOGRAD_DEPTH / CONV_PAIR; /* words */
    ich_vec sums[CONV_ROWS][2];
    ICH_UNROLL for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = (ich_vec){0};
    for (int c = 0; c < g->c; c += WINOGRAD_DEPTH, v += (ptrdiff_t)g->block * row)
        conv_tile_multiply(rows, conv_min(WINOGRAD_DEPTH, g->c - c) / CONV_PAIR, v, row, 1,
                           u + (ptrdiff_t)(c / CONV_PAIR) * CONV_COLUMNS, sums);
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        ich_store(m + i * CONV_COLUMNS, sums[i][0]);
        ich_store(m + i * CONV_COLUMNS + ICH_LANES, sums[i][1]);
    }
}

#define DEFINE(n)                                                                                            \
    static void multiply_##n(const winograd *g, const conv_word *v, const conv_word *u, float *m) {          \
        multiply_rows(n, g, v, u, m);                                                                        \
    }
#define NAME(n) multiply_##n,
CONV_FOR_EACH_ROWS(DEFINE)
static void (*const multiply[])(const winograd *, const conv_word *, const conv_word *,
                                float *) = {CONV_FOR_EACH_ROWS(NAME)};

/* One place of all `tiles` tiles, one panel; m and v are the place's. */
static void multiply_place(const winograd *g, int tiles, int place, int panel, const conv_word *v,
                           const conv_word *packed, float *m) {
    const conv_word *u = packed + ((size_t)panel * WINOGRAD_PLACES + (size_t)place) * u_slice(g);
    for (int i = 0; i < tiles; i += CONV_ROWS)
        multiply[conv_min(CONV_ROWS, tiles - i) - 1](g, v + (ptrdiff_t)i * (WINOGRAD_DEPTH / CONV_PAIR), u,
                                                     m + (ptrdiff_t)i * CONV_COLUMNS);
}

/* One thread, one block of tiles, from input to output. */
static void convolve_block(const winograd *g, int64_t first, const float *x, const conv_word *packed,
                           const conv_target *target, float *scratch) {
    conv_word *v = (conv_word *)scratch;
    float *m = scratch + WINOGRAD_PLACES * winograd_v_slice(g);
    const int tiles = (int)(g->tiles - first < g->block ? g->tiles - first : g->block);
    for (int i = 0; i < tiles; i++) winograd_input(g, x, first + i, i, v);
    for (int panel = 0; panel < g->panels; panel++) {
        for (int p = 0; p < WINOGRAD_PLACES; p++)
            multiply_place(g, tiles, p, panel, v + p * winograd_v_slice(g), packed,
                           m + p * winograd_m_slice(g, 1));
        for (int i = 0; i < tiles; i++) winograd_output(g, m, panel, 1, first + i, i, target);
    }
}

static void convolve_alone(const winograd *g, const float *x, const conv_word *packed,
                           const conv_target *target, float *scratch) {
    const size_t lane = WINOGRAD_PLACES * (winograd_v_slice(g) + winograd_m_slice(g, 1));
    const int threads = conv_min(omp_get_max_threads(), WINOGRAD_LANES);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (g->tiles > g->block)
    for (int64_t first = 0; first < g->tiles; first += g->block)
        convolve_block(g, first, x, packed, target, scratch + lane * (size_t)omp_get_thread_num());
}

static void convolve_together(const winograd *g, const float *x, const conv_word *packed,
                              const conv_target *target, float *scratch) {
    conv_word *v = (conv_word *)scratch;
    float *m = scratch + WINOGRAD_PLACES * winograd_v_slice(g);
    const size_t v_slice = winograd_v_slice(g), m_slice = winograd_m_slice(g, g->panels);
#pragma omp parallel
    for (int64_t first = 0; first < g->tiles; first += g->block) {
        const int tiles = (int)(g->tiles - first < g->block ? g->tiles - first : g->block);
#pragma omp for schedule(static)
        for (int i = 0; i < tiles; i++) winograd_input(g, x, first + i, i, v);
#pragma omp for schedule(static)
        for (int i = 0; i < WINOGRAD_PLACES * g->panels; i++) {
            const int p = i / g->panels, panel = i % g->panels;
            multiply_place(g, tiles, p, panel, v + p * v_slice, packed,
                           m + p * m_slice + (ptrdiff_t)panel * g->block * CONV_COLUMNS);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < tiles; i++) winograd_output(g, m, 0, g->panels, first + i, i, target);
    }
}

void winograd_convolve(const ich_conv_shape *shape, ich_direction direction, const float *source,
                       const conv_word *packed, const conv_target *target, float *scratch) {
    const winograd g = describe(shape, direction);
    if (works_alone(&g))
        convolve_alone(&g, source, packed, target, scratch);
    else
        convolve_together(&g, source, packed, target, scratch);
}
