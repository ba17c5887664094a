/* conv_view.c: which numbers of an image make up the left matrix of a convolution, and how they are fetched.
 *
 * NHWC makes this cheap: where neighbouring taps read neighbouring pixels (dilation 1, one group), the s taps
 * of a kernel row are one run of s · c consecutive floats, so a row of A is r copies. Nothing is transposed;
 * the micro-kernel reads the panel's rows at a constant distance.
 */
#include "conv_internal.h"

static int greatest_common_divisor(int a, int b) { return b == 0 ? a : greatest_common_divisor(b, a % b); }

static conv_axis forward_axis(const ich_conv_shape *shape, int count, int taps) {
    return (conv_axis){.count = count,
                       .out_first = 0,
                       .out_step = 1,
                       .taps = taps,
                       .stride = shape->stride,
                       .first = -shape->pad,
                       .step = shape->dilation,
                       .weight_first = 0,
                       .weight_step = 1};
}

conv_view conv_view_forward(const ich_conv_shape *shape) {
    conv_view view = {
        .images = shape->n,
        .h = shape->h,
        .w = shape->w,
        .channels = shape->c,
        .group_channels = shape->c / shape->groups,
        .out_h = shape->oh,
        .out_w = shape->ow,
        .out_channels = shape->k,
        .out_group_channels = shape->k / shape->groups,
        .down = forward_axis(shape, shape->oh, shape->r),
        .across = forward_axis(shape, shape->ow, shape->s),
    };
    view.depth = view.down.taps * view.across.taps * view.group_channels;
    view.rows = (int64_t)view.images * view.down.count * view.across.count;
    return view;
}

/* Input index i = remainder + stride · a receives dy[o] · w[t] where o · stride - pad + t · dilation = i, so
 * only through taps with t · dilation ≡ i + pad (mod stride): every (stride / gcd(stride, dilation))-th. They
 * are listed from the last to the first, which makes o rise. */
static conv_axis backward_axis(const ich_conv_shape *shape, int size, int taps, int remainder) {
    const int stride = shape->stride, dilation = shape->dilation;
    const int divisor = greatest_common_divisor(stride, dilation), every = stride / divisor;
    conv_axis axis = {.count = remainder < size ? (size - remainder + stride - 1) / stride : 0,
                      .out_first = remainder,
                      .out_step = stride,
                      .taps = 0,
                      .stride = 1,
                      .step = dilation / divisor,
                      .weight_step = -every};
    for (int t = 0; t < taps; t++) {
        const int distance = remainder + shape->pad - t * dilation;
        if (distance % stride != 0) continue;
        axis.taps++;
        axis.weight_first = t;
        axis.first = distance / stride;
    }
    return axis;
}

conv_view conv_view_backward(const ich_conv_shape *shape, int down, int across) {
    conv_view view = {
        .images = shape->n,
        .h = shape->oh,
        .w = shape->ow,
        .channels = shape->k,
        .group_channels = shape->k / shape->groups,
        .out_h = shape->h,
        .out_w = shape->w,
        .out_channels = shape->c,
        .out_group_channels = shape->c / shape->groups,
        .down = backward_axis(shape, shape->h, shape->r, down),
        .across = backward_axis(shape, shape->w, shape->s, across),
    };
    view.depth = view.down.taps * view.across.taps * view.group_channels;
    view.rows = (int64_t)view.images * view.down.count * view.across.count;
    return view;
}

ICH_INLINE void copy(conv_operand *to, const float *from, int n) {
    int i = 0;
    for (; i + ICH_LANES <= n; i += ICH_LANES) {
        __builtin_prefetch(from + i + CONV_AHEAD);
        conv_store(to + i, ich_load(from + i));
    }
    if (i < n) conv_store_part(to + i, ich_load_part(from + i, n - i), n - i);
}

ICH_INLINE void clear(conv_operand *to, int n) { memset(to, 0, (size_t)n * sizeof *to); }

/* A row of A is a list of runs: consecutive floats of one source row. */
typedef struct conv_runs {
    int taps;               /* taps across in one run: all of them, or one */
    int per_row;            /* runs for each tap down */
    int length;             /* floats in a run */
    int down, across, skip; /* the run that `depth` lies in, and how far into it */
} conv_runs;

static conv_runs runs_from(const conv_view *view, int depth) {
    const bool joined = view->across.step == 1 && view->group_channels == view->channels;
    conv_runs runs = {.taps = joined ? view->across.taps : 1};
    runs.per_row = view->across.taps / runs.taps;
    runs.length = runs.taps * view->group_channels;
    runs.down = depth / runs.length / runs.per_row;
    runs.across = depth / runs.length % runs.per_row;
    runs.skip = depth % runs.length;
    return runs;
}

static bool reaches_outside(const conv_axis *axis, int first, int size) {
    return first < 0 || first + (axis->taps - 1) * axis->step >= size;
}

/* The next run; returns its length. */
ICH_INLINE int next_run(conv_runs *runs, int n) {
    runs->skip = 0;
    if (++runs->across == runs->per_row) {
        runs->across = 0;
        runs->down++;
    }
    return n;
}

/* One row of A whose taps all lie inside the image. (row, column) is the source pixel of the first tap; image
 * points at the group's channels. */
ICH_INLINE void gather_inside(const conv_view *view, conv_runs runs, const float *image, int row, int column,
                              int depths, conv_operand *to) {
    const ptrdiff_t line = (ptrdiff_t)view->w * view->channels;
    const float *first = image + row * line + (ptrdiff_t)column * view->channels;
    while (depths > 0) {
        const int n = conv_min(runs.length - runs.skip, depths);
        copy(to,
             first + runs.down * view->down.step * line +
                 (ptrdiff_t)runs.across * view->across.step * view->channels + runs.skip,
             n);
        to += n;
        depths -= next_run(&runs, n);
    }
}

/* The same for a row that may reach over the edge. */
static void gather_edge(const conv_view *view, conv_runs runs, const float *image, int row, int column,
                        int depths, conv_operand *to) {
    while (depths > 0) {
        const int y = row + runs.down * view->down.step, x = column + runs.across * view->across.step;
        const int n = conv_min(runs.length - runs.skip, depths);
        const bool outside = y < 0 || y >= view->h;
        /* The run's floats [low, high) lie inside the image. */
        const int low = conv_min(conv_max(x < 0 ? -x * view->channels - runs.skip : 0, 0), n);
        const int inside = conv_min(view->w - x, runs.taps);
        const int high =
            outside ? low : conv_max(low, conv_min(inside * view->group_channels - runs.skip, n));
        if (low > 0) clear(to, low);
        if (high > low) {
            const ptrdiff_t pixel = (ptrdiff_t)y * view->w + x;
            copy(to + low, image + pixel * view->channels + runs.skip + low, high - low);
        }
        if (high < n) clear(to + high, n - high);
        to += n;
        depths -= next_run(&runs, n);
    }
}

void conv_gather(const conv_view *view, const float *source, int group, int64_t row, int rows, int depth,
                 int depths, conv_operand *panel, ptrdiff_t *offsets) {
    const conv_axis *down = &view->down, *across = &view->across;
    const conv_runs runs = depths > 0 ? runs_from(view, depth) : (conv_runs){0};
    const int64_t line = row / across->count;
    int b = (int)(row % across->count), a = (int)(line % down->count);
    int64_t image = line / down->count;
    for (int i = 0; i < rows; i++) {
        const float *from =
            source + image * view->h * view->w * view->channels + (ptrdiff_t)group * view->group_channels;
        const int y0 = a * down->stride + down->first, x0 = b * across->stride + across->first;
        conv_operand *to = panel + (ptrdiff_t)i * CONV_DEPTH;
        if (reaches_outside(down, y0, view->h) || reaches_outside(across, x0, view->w))
            gather_edge(view, runs, from, y0, x0, depths, to);
        else
            gather_inside(view, runs, from, y0, x0, depths, to);
        if (depths % CONV_PAIR != 0) to[depths] = 0;
        if (offsets) {
            const int64_t y = down->out_first + (int64_t)down->out_step * a;
            const int64_t x = across->out_first + (int64_t)across->out_step * b;
            offsets[i] = ((image * view->out_h + y) * view->out_w + x) * view->out_channels;
        }
        if (++b == across->count) {
            b = 0;
            if (++a == down->count) a = 0, image++;
        }
    }
}
