/* conv_depthwise.c: one filter per channel (groups = c = k). There is no product of matrices in it: each
 * channel is by itself, so vectors run along the channels and every tap is one multiply-add. Bound by memory.
 * Forward and backward data are the same loop over a view (conv_internal.h).
 */
#include "conv_internal.h"

void depthwise_pack(const ich_conv_shape *shape, const float *weight, float *packed) {
    const int taps = shape->r * shape->s;
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < shape->c; c++) packed[tap * shape->c + c] = weight[c * taps + tap];
}

/* The taps [begin, end) that meet the source, of those of position `a`, and the source index of tap 0. */
typedef struct tap_range {
    int begin, end, index;
} tap_range;

static tap_range taps_at(const conv_axis *axis, int a, int size) {
    tap_range range = {.index = axis->stride * a + axis->first};
    if (range.index < 0) range.begin = (axis->step - 1 - range.index) / axis->step;
    if (range.index < size) range.end = conv_min(axis->taps, (size - 1 - range.index) / axis->step + 1);
    return range;
}

/* The sum over the taps of `lanes` channels; pointers are at the first channel. */
ICH_INLINE ich_vec sum_taps(const conv_view *view, tap_range down, tap_range across, int kernel_width,
                            const float *image, const float *packed, int lanes) {
    ich_vec sum = {0};
    for (int t = down.begin; t < down.end; t++) {
        const int y = down.index + t * view->down.step;
        const int r = view->down.weight_first + t * view->down.weight_step;
        for (int u = across.begin; u < across.end; u++) {
            const int x = across.index + u * view->across.step;
            const int s = view->across.weight_first + u * view->across.weight_step;
            const float *from = image + ((ptrdiff_t)y * view->w + x) * view->channels;
            const float *weight = packed + ((ptrdiff_t)r * kernel_width + s) * view->channels;
            if (lanes == ICH_LANES)
                sum += ich_load(from) * ich_load(weight);
            else
                sum += ich_load_part(from, lanes) * ich_load_part(weight, lanes);
        }
    }
    return sum;
}

ICH_INLINE void finish(const conv_target *target, ptrdiff_t pixel, int c, int lanes, ich_vec sum) {
    if (target->bias) sum += ich_load_part(target->bias + c, lanes);
    if (target->add) sum += ich_load_part(target->add + pixel + c, lanes);
    if (target->relu) sum = ich_relu(sum);
    ich_store_part(target->y + pixel + c, sum, lanes);
}

void depthwise(const conv_view *view, int kernel_width, const float *source, const float *packed,
               const conv_target *target) {
#pragma omp parallel for schedule(static)
    for (int line = 0; line < view->images * view->down.count; line++) {
        const int i = line / view->down.count, a = line % view->down.count;
        const tap_range down = taps_at(&view->down, a, view->h);
        const float *image = source + (ptrdiff_t)i * view->h * view->w * view->channels;
        const ptrdiff_t row = (ptrdiff_t)i * view->out_h + view->down.out_first + view->down.out_step * a;
        for (int b = 0; b < view->across.count; b++) {
            const tap_range across = taps_at(&view->across, b, view->w);
            const ptrdiff_t pixel =
                (row * view->out_w + view->across.out_first + view->across.out_step * b) * view->channels;
            int c = 0;
            for (; c + ICH_LANES <= view->channels; c += ICH_LANES)
                finish(target, pixel, c, ICH_LANES,
                       sum_taps(view, down, across, kernel_width, image + c, packed + c, ICH_LANES));
            if (c < view->channels)
                finish(target, pixel, c, view->channels - c,
                       sum_taps(view, down, across, kernel_width, image + c, packed + c, view->channels - c));
        }
    }
}

/* dw of `lanes` channels from c on: all pixels in order, into scratch [taps, c], then turned to OIHW. */
static void weights_of_channels(const conv_view *view, int c, int lanes, const float *x, const float *dy,
                                float *scratch, float *dw) {
    const int kernel_width = view->across.taps, taps = view->down.taps * kernel_width;
    for (int tap = 0; tap < taps; tap++)
        ich_store_part(scratch + tap * view->channels + c, (ich_vec){0}, lanes);
    for (int line = 0; line < view->images * view->out_h;
         line++, dy += (ptrdiff_t)view->out_w * view->channels) {
        const tap_range down = taps_at(&view->down, line % view->out_h, view->h);
        const float *image = x + (ptrdiff_t)(line / view->out_h) * view->h * view->w * view->channels + c;
        for (int tap = down.begin * kernel_width; tap < down.end * kernel_width; tap++) {
            const int y = down.index + tap / kernel_width * view->down.step;
            float *to = scratch + tap * view->channels + c;
            ich_vec sum = ich_load_part(to, lanes);
            for (int b = 0; b < view->out_w; b++) {
                const int column =
                    b * view->across.stride + view->across.first + tap % kernel_width * view->across.step;
                if (column < 0 || column >= view->w) continue;
                sum += ich_load_part(image + ((ptrdiff_t)y * view->w + column) * view->channels, lanes) *
                       ich_load_part(dy + (ptrdiff_t)b * view->channels + c, lanes);
            }
            ich_store_part(to, sum, lanes);
        }
    }
    for (int j = c; j < c + lanes; j++)
        for (int tap = 0; tap < taps; tap++) dw[j * taps + tap] += scratch[tap * view->channels + j];
}

void depthwise_weights(const ich_conv_shape *shape, const float *x, const float *dy, float *dw,
                       float *scratch) {
    const conv_view view = conv_view_forward(shape);
#pragma omp parallel for schedule(dynamic)
    for (int c = 0; c < shape->c; c += ICH_LANES)
        weights_of_channels(&view, c, conv_min(ICH_LANES, shape->c - c), x, dy, scratch, dw);
}
