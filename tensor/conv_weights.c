/* conv_weights.c: backward weights as an implicit matrix product: the forward's left matrix, transposed,
 * times dy. The depth of the product is pixels, and there are many.
 *
 * Pixels are cut into shares and the rows (taps × input channels) into ranges, both by shape; a piece of work
 * is one range over one share. It gathers CONV_PIXELS pixels at a time, multiplies them with panels of dy and
 * adds to its part of the share's own dw, in packed layout [group][panel][depth][CONV_COLUMNS]. At the end
 * the shares are added in order and turned to OIHW. Large weights get few shares (memory), but then have many
 * ranges to work on.
 */
#include "conv_internal.h"

enum {
    CONV_PIXELS = 96,                                /* gathered at once */
    CONV_RANGE = CONV_PITCH / CONV_ROWS * CONV_ROWS, /* most rows of dw worked on at once */
    CONV_SHARES = 16,                                /* of the pixels, at most */
    CONV_RUN = 144,                 /* weights of one filter that are turned to OIHW at once */
    CONV_SHARES_ELEMENTS = 1 << 20, /* … and in memory, where more than one */
};

typedef struct cut {
    int64_t pixels; /* in a share */
    int shares, ranges, range;
    int panels;      /* in a group */
    size_t elements; /* of one share's dw */
} cut;

static size_t group_elements(const conv_view *view) {
    return (size_t)conv_ceil_div(view->out_group_channels, CONV_COLUMNS) * (size_t)view->depth * CONV_COLUMNS;
}

static size_t share_elements(const conv_view *view) {
    return (size_t)(view->channels / view->group_channels) * group_elements(view);
}

/* Does not depend on n, so that a plan for n images serves fewer. */
static int most_shares(const conv_view *view) {
    return conv_min(conv_max((int)(CONV_SHARES_ELEMENTS / share_elements(view)), 1), CONV_SHARES);
}

static cut cut_product(const conv_view *view) {
    cut c = {.panels = (int)conv_ceil_div(view->out_group_channels, CONV_COLUMNS),
             .elements = share_elements(view)};
    const int64_t blocks = conv_ceil_div(view->rows, CONV_PIXELS);
    c.shares = most_shares(view);
    c.pixels = conv_ceil_div(blocks, c.shares) * CONV_PIXELS;
    c.shares = (int)conv_ceil_div(view->rows, c.pixels);
    c.ranges = (int)conv_ceil_div(view->depth, CONV_RANGE);
    c.range = (int)(conv_ceil_div(conv_ceil_div(view->depth, c.ranges), CONV_ROWS) * CONV_ROWS);
    c.ranges = (int)conv_ceil_div(view->depth, c.range);
    return c;
}

/* dw [rows, CONV_COLUMNS] (+)= A, transposed · dy, over `pixels` words of pixels. */
ICH_INLINE void multiply_rows(int rows, int pixels, const conv_word *a, const conv_word *dy, bool accumulate,
                              float *dw) {
    ich_vec sums[CONV_ROWS][2];
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        sums[i][0] = sums[i][1] = (ich_vec){0};
        if (!accumulate) continue;
        sums[i][0] = ich_load(dw + i * CONV_COLUMNS);
        sums[i][1] = ich_load(dw + i * CONV_COLUMNS + ICH_LANES);
    }
    conv_tile_multiply(rows, pixels, a, 1, CONV_PITCH, dy, sums);
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        ich_store(dw + i * CONV_COLUMNS, sums[i][0]);
        ich_store(dw + i * CONV_COLUMNS + ICH_LANES, sums[i][1]);
    }
}

#define DEFINE(n)                                                                                            \
    static void multiply_##n(int pixels, const conv_word *a, const conv_word *dy, bool accumulate,           \
                             float *dw) {                                                                    \
        multiply_rows(n, pixels, a, dy, accumulate, dw);                                                     \
    }
#define NAME(n) multiply_##n,
CONV_FOR_EACH_ROWS(DEFINE)
static void (*const multiply[])(int, const conv_word *, const conv_word *, bool,
                                float *) = {CONV_FOR_EACH_ROWS(NAME)};

/* Columns of some pixels of dy, one after another, zeros where there are none. */
static void pack_columns(const float *dy, int channels, int pixels, int columns, conv_word *packed) {
    const int n0 = conv_min(columns, ICH_LANES), n1 = columns - n0;
    for (int i = 0; i < pixels; i++, dy += channels) {
        conv_word *to = packed + (ptrdiff_t)(i / CONV_PAIR) * CONV_COLUMNS;
        __builtin_prefetch(dy + 16 * (ptrdiff_t)channels);
        __builtin_prefetch(dy + 16 * (ptrdiff_t)channels + ICH_LANES);
        conv_store_half(to, i % CONV_PAIR, ich_load_part(dy, n0));
        conv_store_half(to + ICH_LANES, i % CONV_PAIR, ich_load_part(dy + n0, n1));
    }
}

/* Rows of A as they were gathered, with operands of neighbouring depths in a word -> operands of neighbouring
 * pixels in a word, in place: a pair of rows fills one. A word is one operand in float: nothing to do. */
static void pair_pixels(int pixels, int depths, conv_word *panel) {
    for (int i = 0; CONV_PAIR > 1 && i < pixels; i += CONV_PAIR) {
        const conv_operand *even = (const conv_operand *)panel + (ptrdiff_t)i * CONV_DEPTH;
        const conv_operand *odd = even + CONV_DEPTH;
        conv_operand paired[CONV_RANGE * CONV_PAIR];
        for (int d = 0; d < depths; d++) {
            paired[CONV_PAIR * d] = even[d];
            paired[CONV_PAIR * d + CONV_PAIR - 1] = i + 1 < pixels ? odd[d] : 0;
        }
        memcpy(panel + (ptrdiff_t)(i / CONV_PAIR) * CONV_PITCH, paired,
               (size_t)depths * CONV_PAIR * sizeof *paired);
    }
}

static void multiply_piece(const conv_view *view, const cut *c, int piece, const float *x, const float *dy,
                           float *shares) {
    _Alignas(64) conv_word panel[CONV_PIXELS * CONV_PITCH], columns[CONV_PIXELS * CONV_COLUMNS];
    const int range = piece % c->ranges, share = piece / c->ranges % c->shares,
              group = piece / c->ranges / c->shares;
    const int depth = range * c->range, depths = conv_min(c->range, view->depth - depth);
    const int64_t begin = share * c->pixels,
                  end = begin + c->pixels < view->rows ? begin + c->pixels : view->rows;
    float *dw = shares + share * c->elements + group * group_elements(view);
    for (int64_t pixel = begin; pixel < end; pixel += CONV_PIXELS) {
        const int pixels = (int)(end - pixel < CONV_PIXELS ? end - pixel : CONV_PIXELS);
        conv_gather(view, x, group, pixel, pixels, depth, depths, (conv_operand *)panel, NULL);
        pair_pixels(pixels, depths, panel);
        for (int p = 0; p < c->panels; p++) {
            const int column = p * CONV_COLUMNS;
            pack_columns(dy + pixel * view->out_channels + group * view->out_group_channels + column,
                         view->out_channels, pixels,
                         conv_min(CONV_COLUMNS, view->out_group_channels - column), columns);
            float *to = dw + ((ptrdiff_t)p * view->depth + depth) * CONV_COLUMNS;
            for (int i = 0; i < depths; i += CONV_ROWS)
                multiply[conv_min(CONV_ROWS, depths - i) - 1](
                    conv_words(pixels), panel + i, columns, pixel > begin, to + (ptrdiff_t)i * CONV_COLUMNS);
        }
    }
}

/* dw (OIHW) += the sum of the shares, for one run of CONV_RUN weights (channel, tap) of each column of a
 * panel. Rows of dw are far apart, often by a multiple of the cache's way: so the run is turned in a small
 * buffer. */
static void add_run(const conv_view *view, const cut *c, int taps, int run, int columns, const float *panel,
                    float *dw) {
    const int begin = run * CONV_RUN, length = conv_min(CONV_RUN, view->depth - begin);
    float turned[CONV_COLUMNS][CONV_RUN];
    for (int i = 0; i < length; i++) {
        const int channel = (begin + i) / taps, tap = (begin + i) % taps;
        const float *sums = panel + ((ptrdiff_t)tap * view->group_channels + channel) * CONV_COLUMNS;
        ich_vec sum0 = ich_load(sums), sum1 = ich_load(sums + ICH_LANES);
        for (int share = 1; share < c->shares; share++) {
            sum0 += ich_load(sums + share * c->elements);
            sum1 += ich_load(sums + share * c->elements + ICH_LANES);
        }
        for (int j = 0; j < ICH_LANES; j++) {
            turned[j][i] = sum0[j];
            turned[j + ICH_LANES][i] = sum1[j];
        }
    }
    for (int j = 0; j < columns; j++)
        for (int i = 0; i < length; i++) dw[(ptrdiff_t)j * view->depth + begin + i] += turned[j][i];
}

static void add_piece(const ich_conv_shape *shape, const conv_view *view, const cut *c, int piece, int runs,
                      const float *shares, float *dw) {
    const int run = piece % runs, panel = piece / runs % c->panels, group = piece / runs / c->panels;
    const int column = panel * CONV_COLUMNS;
    add_run(view, c, shape->r * shape->s, run, conv_min(CONV_COLUMNS, view->out_group_channels - column),
            shares + group * group_elements(view) + (size_t)column * (size_t)view->depth,
            dw + (ptrdiff_t)(group * view->out_group_channels + column) * view->depth);
}

size_t conv_weights_scratch(const ich_conv_shape *shape) {
    const conv_view view = conv_view_forward(shape);
    return share_elements(&view) * (size_t)most_shares(&view);
}

void conv_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw, float *scratch) {
    const conv_view view = conv_view_forward(shape);
    const cut c = cut_product(&view);
    const int pieces = shape->groups * c.shares * c.ranges;
    const int runs = (int)conv_ceil_div(view.depth, CONV_RUN);
#pragma omp parallel if (pieces > 1)
    {
#pragma omp for schedule(dynamic)
        for (int piece = 0; piece < pieces; piece++) multiply_piece(&view, &c, piece, x, dy, scratch);
#pragma omp for schedule(static)
        for (int piece = 0; piece < shape->groups * c.panels * runs; piece++)
            add_piece(shape, &view, &c, piece, runs, scratch, dw);
    }
}
