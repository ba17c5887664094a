/* conv_direct.c: forward and backward data as an implicit matrix product, for any stride, padding, dilation
 * and number of groups.
 *
 * A piece of work is a block of up to CONV_BLOCK rows (pixels) times a chunk of columns (channels). Depth is
 * taken in slices: a slice of the rows is gathered into a panel that stays in L2, then multiplied by one
 * panel of weights after another, each of which stays in L1 while the rows pass (Goto and van de Geijn 2008).
 * The sums of unfinished slices wait in y itself: the first slice starts from bias + add, the last one ends
 * with ReLU.
 */
#include "conv_internal.h"

/* One block of rows × CONV_COLUMNS of the product. */
typedef struct block {
    const conv_word *a, *b;
    int depth, columns; /* depth in words; columns ≤ CONV_COLUMNS are stored */
    const ptrdiff_t *offsets;
    float *y;
    const float *bias, *add;
    bool relu;
} block;

ICH_INLINE void multiply_rows(int rows, const block *t) {
    const int n0 = conv_min(t->columns, ICH_LANES), n1 = t->columns - n0;
    const bool full = n1 == ICH_LANES;
    ich_vec bias0 = {0}, bias1 = {0}, sums[CONV_ROWS][2];
    if (t->bias) {
        bias0 = ich_load_part(t->bias, n0);
        bias1 = ich_load_part(t->bias + n0, n1);
    }
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        sums[i][0] = bias0;
        sums[i][1] = bias1;
    }
    if (t->add && full) {
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            sums[i][0] += ich_load(t->add + t->offsets[i]);
            sums[i][1] += ich_load(t->add + t->offsets[i] + ICH_LANES);
        }
    } else if (t->add) {
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            sums[i][0] += ich_load_part(t->add + t->offsets[i], n0);
            sums[i][1] += ich_load_part(t->add + t->offsets[i] + n0, n1);
        }
    }
    conv_tile_multiply(rows, t->depth, t->a, CONV_PITCH, 1, t->b, sums);
    if (t->relu) {
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            sums[i][0] = ich_relu(sums[i][0]);
            sums[i][1] = ich_relu(sums[i][1]);
        }
    }
    if (full) {
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            ich_store(t->y + t->offsets[i], sums[i][0]);
            ich_store(t->y + t->offsets[i] + ICH_LANES, sums[i][1]);
        }
    } else {
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            ich_store_part(t->y + t->offsets[i], sums[i][0], n0);
            ich_store_part(t->y + t->offsets[i] + n0, sums[i][1], n1);
        }
    }
}

#define DEFINE(n)                                                                                            \
    static void multiply_##n(const block *t) { multiply_rows(n, t); }
#define NAME(n) multiply_##n,
CONV_FOR_EACH_ROWS(DEFINE)
static void (*const multiply[])(const block *) = {CONV_FOR_EACH_ROWS(NAME)};

/* How the product is cut: by its shape only. */
typedef struct cut {
    int64_t blocks; /* of rows */
    int rows;       /* in a block, a multiple of CONV_ROWS */
    int chunks;     /* of columns, in each group */
    int panels;     /* in a chunk */
    int slices;     /* of depth; at least one, so that bias and add are seen */
    int depth;      /* in a slice */
} cut;

static cut cut_product(const conv_view *view) {
    enum { PANELS = 8, ENOUGH = 16 };
    const int panels = (int)conv_ceil_div(view->out_group_channels, CONV_COLUMNS);
    cut c = {.blocks = conv_ceil_div(view->rows, CONV_BLOCK), .panels = conv_min(panels, PANELS)};
    c.rows = (int)(conv_ceil_div(conv_ceil_div(view->rows, c.blocks), CONV_ROWS) * CONV_ROWS);
    c.blocks = conv_ceil_div(view->rows, c.rows);
    while (c.panels > 1 && c.blocks * conv_ceil_div(panels, c.panels) < ENOUGH) c.panels = (c.panels + 1) / 2;
    c.chunks = (int)conv_ceil_div(panels, c.panels);
    c.slices = conv_max((int)conv_ceil_div(view->depth, CONV_DEPTH), 1);
    c.depth = conv_words((int)conv_ceil_div(view->depth, c.slices)) * CONV_PAIR;
    return c;
}

/* The columns from panel `first` on, of the rows in `panel`, for one slice of depth. */
static void multiply_chunk(const conv_view *view, const cut *c, int group, int first, int rows, int depth,
                           const conv_word *panel, const ptrdiff_t *offsets, const conv_word *packed,
                           const conv_target *target) {
    const bool begins = depth == 0, ends = depth + c->depth >= view->depth;
    const int depths = conv_min(c->depth, view->depth - depth);
    for (int p = first; p < first + c->panels && p * CONV_COLUMNS < view->out_group_channels; p++) {
        const int column = group * view->out_group_channels + p * CONV_COLUMNS;
        const float *add = begins ? target->add : target->y;
        block t = {.depth = conv_words(depths),
                   .columns = conv_min(CONV_COLUMNS, view->out_group_channels - p * CONV_COLUMNS),
                   .b = packed + ((ptrdiff_t)p * conv_words(view->depth) + depth / CONV_PAIR) * CONV_COLUMNS,
                   .y = target->y + column,
                   .bias = begins && target->bias ? target->bias + column : NULL,
                   .add = add ? add + column : NULL,
                   .relu = ends && target->relu};
        for (int i = 0; i < rows; i += CONV_ROWS) {
            t.a = panel + (ptrdiff_t)i * CONV_PITCH;
            t.offsets = offsets + i;
            multiply[conv_min(CONV_ROWS, rows - i) - 1](&t);
        }
    }
}

static void multiply_piece(const conv_view *view, const cut *c, int64_t piece, const float *source,
                           const conv_word *packed, const conv_target *target) {
    _Alignas(64) conv_word panel[CONV_BLOCK * CONV_PITCH];
    ptrdiff_t offsets[CONV_BLOCK];
    const int64_t row = piece / c->chunks % c->blocks * c->rows;
    const int group = (int)(piece / c->chunks / c->blocks), chunk = (int)(piece % c->chunks);
    const int rows = (int)(view->rows - row < c->rows ? view->rows - row : c->rows);
    const conv_word *weights = packed + (size_t)group * conv_panel_words(view);
    for (int slice = 0; slice < c->slices; slice++) {
        const int depth = slice * c->depth;
        conv_gather(view, source, group, row, rows, depth, conv_min(c->depth, view->depth - depth),
                    (conv_operand *)panel, offsets);
        multiply_chunk(view, c, group, chunk * c->panels, rows, depth, panel, offsets, weights, target);
    }
}

void conv_direct(const conv_view *view, const float *source, const conv_word *packed,
                 const conv_target *target) {
    if (view->rows == 0) return;
    const cut c = cut_product(view);
    const int64_t pieces = view->channels / view->group_channels * c.blocks * c.chunks;
#pragma omp parallel for schedule(dynamic) if (pieces > 1)
    for (int64_t piece = 0; piece < pieces; piece++) multiply_piece(view, &c, piece, source, packed, target);
}
