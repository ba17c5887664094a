/* conv_pack.c: weights from the file's layout (OIHW) into the panels that the micro-kernel reads. */
#include "conv_internal.h"

size_t conv_panel_words(const conv_view *view) {
    return (size_t)conv_ceil_div(view->out_group_channels, CONV_COLUMNS) * (size_t)conv_words(view->depth) *
           CONV_COLUMNS;
}

/* Depth d of a panel, as operands: those of the columns are a word apart. */
static conv_operand *depth_at(conv_word *packed, int d) {
    return (conv_operand *)(packed + (ptrdiff_t)(d / CONV_PAIR) * CONV_COLUMNS) + d % CONV_PAIR;
}

/* One panel: `weight` is the number for tap (0, 0), source channel 0 and the panel's first column. */
static void pack_panel(const conv_view *view, int kernel_width, const float *weight, ptrdiff_t source_stride,
                       ptrdiff_t column_stride, int columns, conv_word *packed) {
    int d = 0;
    memset(packed, 0, (size_t)conv_words(view->depth) * CONV_COLUMNS * sizeof *packed);
    for (int t = 0; t < view->down.taps; t++) {
        const int r = view->down.weight_first + view->down.weight_step * t;
        for (int u = 0; u < view->across.taps; u++) {
            const int s = view->across.weight_first + view->across.weight_step * u;
            const float *tap = weight + r * kernel_width + s;
            for (int c = 0; c < view->group_channels; c++, d++) {
                conv_operand *to = depth_at(packed, d);
                for (int j = 0; j < columns; j++)
                    to[j * CONV_PAIR] = conv_round(tap[c * source_stride + j * column_stride]);
            }
        }
    }
}

void conv_pack_view(const ich_conv_shape *shape, const conv_view *view, ich_direction direction,
                    const float *weight, conv_word *packed) {
    const ptrdiff_t filter = (ptrdiff_t)shape->r * shape->s;
    const ptrdiff_t filters = filter * (shape->c / shape->groups); /* of one output channel */
    const ptrdiff_t source_stride = direction == ICH_FORWARD ? filter : filters;
    const ptrdiff_t column_stride = direction == ICH_FORWARD ? filters : filter;
    const int panels = (int)conv_ceil_div(view->out_group_channels, CONV_COLUMNS);
#pragma omp parallel for schedule(static) if (panels * shape->groups > 1)
    for (int p = 0; p < shape->groups * panels; p++) {
        const int group = p / panels, column = p % panels * CONV_COLUMNS;
        const float *first = weight + group * (shape->k / shape->groups) * filters + column * column_stride;
        pack_panel(view, shape->s, first, source_stride, column_stride,
                   conv_min(CONV_COLUMNS, view->out_group_channels - column),
                   packed + (size_t)p * (size_t)conv_words(view->depth) * CONV_COLUMNS);
    }
}
