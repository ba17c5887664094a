/* Windows, resampling, augmentation, normalisation.
 *
 * Resampling is separable: each output row is a weighted sum of windowed input rows, then each of its pixels
 * a weighted sum along it. Channels lie side by side in groups of four, one vector operation each. Windowed
 * rows are kept in a ring while output rows need them, so that a slice is read once and its working set stays
 * in the cache.
 */
#include "preprocess.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 4, MAX_GROUPS = ICH_MAX_CHANNELS / LANES };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t masks __attribute__((vector_size(LANES * sizeof(int32_t))));

ich_preprocess ich_preprocess_default(int size) {
    return (ich_preprocess){.size = size, .channels = 3, .center = {40, 80, 40}, .width = {80, 200, 380}};
}

/* -- geometry -------------------------------------------------------------------------------------------- */

/* One axis of the square on one axis of the slice, in voxels: output pixel i is `scale` long and its middle
 * lies at start + (i + 0.5) scale, measured from the edge of voxel 0. */
typedef struct axis {
    int in, out;
    double start, scale;
} axis;

static double square_mm(const ich_preprocess *p, const ich_volume *v) {
    return fmax((double)v->width * v->spacing[0], (double)v->height * v->spacing[1]) / p->size;
}

static axis place_axis(const ich_preprocess *p, const ich_volume *v, int which) {
    const int in = which == 0 ? v->width : v->height;
    const double scale = square_mm(p, v) / v->spacing[which];
    return (axis){.in = in, .out = p->size, .scale = scale, .start = (in - scale * p->size) / 2};
}

void ich_preprocess_place(const ich_preprocess *p, const ich_volume *volume, float column, float row,
                          float *x, float *y, float *mm) {
    const axis across = place_axis(p, volume, 0), down = place_axis(p, volume, 1);
    *x = (float)(across.start + (column + 0.5) * across.scale - 0.5);
    *y = (float)(down.start + (row + 0.5) * down.scale - 0.5);
    *mm = (float)square_mm(p, volume);
}

/* -- weights --------------------------------------------------------------------------------------------- */

typedef struct span { /* the voxels that make an output pixel; count 0: air */
    int first, count;
    const float *weight;
} span;

/* Triangle filter, widened by the reduction so that every voxel counts; at the border the weights that are
 * left are brought to a sum of 1 (as in PIL and torch). Pixels whose middle lies outside are air.
 * `weights` has room for weights_room. */
static void fill_spans(const axis *a, span *spans, float *weights) {
    const double widen = fmax(a->scale, 1);
    for (int i = 0; i < a->out; i++) {
        const double middle = a->start + (i + 0.5) * a->scale;
        spans[i] = (span){0, 0, weights};
        if (!(middle > 0 && middle < a->in)) continue;
        const int first = (int)fmax(floor(middle - widen + 0.5), 0);
        const int end = (int)fmin(floor(middle + widen + 0.5), a->in);
        double sum = 0;
        for (int j = first; j < end; j++) sum += fmax(1 - fabs((j + 0.5 - middle) / widen), 0);
        for (int j = first; j < end; j++)
            *weights++ = (float)(fmax(1 - fabs((j + 0.5 - middle) / widen), 0) / sum);
        spans[i].first = first;
        spans[i].count = end - first;
    }
}

/* Each output pixel inside reaches over at most 2 widen + 1 voxels, and not past the axis. */
static size_t most_taps(const axis *a) { return (size_t)fmin(2 * fmax(a->scale, 1) + 1, a->in) + 1; }

/* -- one slice ------------------------------------------------------------------------------------------- */

typedef struct resampler {
    const ich_preprocess *p;
    int groups;                              /* of LANES channels */
    lanes low[MAX_GROUPS], gain[MAX_GROUPS]; /* window: (hu - low) · gain */
    axis across, down;
    span *columns, *rows; /* [size] */
    float *weights;
    lanes *ring; /* [ring_rows][width][groups]: windowed input rows, row y at y mod ring_rows */
    int ring_rows;
    lanes *line; /* [width][groups] */
} resampler;

static void set_windows(resampler *r) {
    for (int c = 0; c < r->groups * LANES; c++) {
        const bool used = c < r->p->channels;
        r->low[c / LANES][c % LANES] = used ? r->p->center[c] - r->p->width[c] / 2 : 0;
        r->gain[c / LANES][c % LANES] = used ? 1 / r->p->width[c] : 0;
    }
}

static bool resampler_init(resampler *r, const ich_preprocess *p, const ich_volume *v, ich_error *err) {
    *r = (resampler){.p = p, .groups = (p->channels + LANES - 1) / LANES};
    r->across = place_axis(p, v, 0), r->down = place_axis(p, v, 1);
    set_windows(r);
    const size_t size = (size_t)p->size, taps_x = most_taps(&r->across), taps_y = most_taps(&r->down);
    const size_t width = (size_t)v->width * (size_t)r->groups;
    r->ring_rows = (int)taps_y;
    r->columns = ich_new(2 * size, sizeof *r->columns, "resampling spans", err);
    r->weights =
        r->columns ? ich_new(size, (taps_x + taps_y) * sizeof(float), "resampling weights", err) : NULL;
    r->ring = r->weights ? ich_new(width, (taps_y + 1) * sizeof(lanes), "rows of a slice", err) : NULL;
    if (!r->ring) return false;
    r->rows = r->columns + size;
    r->line = r->ring + width * taps_y;
    fill_spans(&r->across, r->columns, r->weights);
    fill_spans(&r->down, r->rows, r->weights + size * taps_x);
    return true;
}

static void resampler_free(resampler *r) {
    free(r->columns);
    free(r->weights);
    free(r->ring);
}

/* GCC's C has no ?: on vectors: a comparison is all ones where it holds. */
static lanes clip01(lanes v) {
    const lanes one = (lanes){0} + 1;
    v = (lanes)((masks)v & (v > 0));
    const masks above = v > one;
    return (lanes)(((masks)one & above) | ((masks)v & ~above));
}

static lanes splat(float x) { return x - (lanes){0}; }

static void window_row(const resampler *r, const int16_t *hu, lanes *to) {
    for (int g = 0; g < r->groups; g++) {
        const lanes low = r->low[g], gain = r->gain[g];
        for (int x = 0; x < r->across.in; x++)
            to[x * r->groups + g] = clip01((splat((float)hu[x]) - low) * gain);
    }
}

/* line = Σ weight · row, over the span's rows. */
static void blend_rows(const resampler *r, const span *s, lanes *line) {
    const int n = r->across.in * r->groups;
    for (int t = 0; t < s->count; t++) {
        const lanes *row = r->ring + (ptrdiff_t)((s->first + t) % r->ring_rows) * n;
        const lanes weight = splat(s->weight[t]);
        if (t == 0)
            for (int i = 0; i < n; i++) line[i] = weight * row[i];
        else
            for (int i = 0; i < n; i++) line[i] += weight * row[i];
    }
}

static void put_pixels(const resampler *r, const lanes *line, uint8_t *out) {
    const int channels = r->p->channels;
    for (int x = 0; x < r->p->size; x++) {
        const span *s = &r->columns[x];
        for (int g = 0; g < r->groups; g++) {
            lanes sum = {0};
            for (int t = 0; t < s->count; t++)
                sum += splat(s->weight[t]) * line[(ptrdiff_t)(s->first + t) * r->groups + g];
            sum = sum * 255 + 0.5f;
            for (int c = g * LANES; c < channels && c < (g + 1) * LANES; c++)
                out[x * channels + c] = (uint8_t)sum[c % LANES];
        }
    }
}

bool ich_preprocess_slice(const ich_preprocess *p, const ich_volume *volume, int z, uint8_t *out,
                          ich_error *err) {
    resampler r;
    if (!resampler_init(&r, p, volume, err)) {
        resampler_free(&r);
        return false;
    }
    const int16_t *hu = volume->hu + (ptrdiff_t)z * volume->width * volume->height;
    const size_t out_row = (size_t)p->size * (size_t)p->channels;
    int ready = 0; /* input rows below this one have been windowed or are not needed any more */
    for (int y = 0; y < p->size; y++, out += out_row) {
        const span *s = &r.rows[y];
        if (s->count == 0) {
            memset(out, 0, out_row);
            continue;
        }
        if (ready < s->first) ready = s->first;
        for (; ready < s->first + s->count; ready++)
            window_row(&r, hu + (ptrdiff_t)ready * volume->width,
                       r.ring + (ptrdiff_t)(ready % r.ring_rows) * volume->width * r.groups);
        blend_rows(&r, s, r.line);
        put_pixels(&r, r.line, out);
    }
    resampler_free(&r);
    return true;
}

/* -- the network's input --------------------------------------------------------------------------------- */

static float normalise(float v) { return (v - 0.5f) / 0.25f; }
static float clip(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

/* Where an augmented pixel comes from: x = m[0][0] column + m[0][1] row + m[0][2], and so on. */
typedef struct warp {
    float m[2][3];
    float contrast, hu;
} warp;

/* Always draws the same amount of numbers in the same order, so that switching one kind of augmentation off
 * leaves the others as they were. The picture is flipped, turned and scaled about its middle, then shifted; a
 * pixel's source is found by undoing that. */
static warp draw_warp(const ich_augment *a, int size, ich_rng rng) {
    const bool flip = ich_rng_uniform(&rng) < 0.5f && a->flip;
    const float angle = ich_rng_range(&rng, -a->rotate, a->rotate) * 0.017453292f;
    const float scale = 1 + ich_rng_range(&rng, -a->scale, a->scale);
    const float shift_x = ich_rng_range(&rng, -a->shift, a->shift) * (float)size;
    const float shift_y = ich_rng_range(&rng, -a->shift, a->shift) * (float)size;
    warp w = {.hu = ich_rng_range(&rng, -a->hu, a->hu)};
    w.contrast = ich_rng_range(&rng, -a->contrast, a->contrast);
    const float c = cosf(angle) / scale, s = sinf(angle) / scale, middle = (float)(size - 1) / 2;
    const float x_sign = flip ? -1 : 1;
    w.m[0][0] = x_sign * c, w.m[0][1] = x_sign * s;
    w.m[1][0] = -s, w.m[1][1] = c;
    for (int i = 0; i < 2; i++)
        w.m[i][2] = middle - w.m[i][0] * (middle + shift_x) - w.m[i][1] * (middle + shift_y);
    return w;
}

/* Bilinear between the four pixels around (x, y); pixels outside are air. */
static void sample(const ich_preprocess *p, const uint8_t *bytes, float x, float y, float *out) {
    const int n = p->size, channels = p->channels;
    for (int c = 0; c < channels; c++) out[c] = 0;
    if (!(x > -1 && y > -1 && x < (float)n && y < (float)n)) return;
    const int x0 = (int)(x + 1) - 1, y0 = (int)(y + 1) - 1; /* floor, as x, y > -1 */
    const float fx = x - (float)x0, fy = y - (float)y0;
    const float weight[2][2] = {{(1 - fx) * (1 - fy), fx * (1 - fy)}, {(1 - fx) * fy, fx * fy}};
    if (x0 >= 0 && y0 >= 0 && x0 + 1 < n && y0 + 1 < n) {
        const uint8_t *from = bytes + ((ptrdiff_t)y0 * n + x0) * channels;
        const uint8_t *below = from + (ptrdiff_t)n * channels;
        for (int c = 0; c < channels; c++)
            out[c] = weight[0][0] * (float)from[c] + weight[0][1] * (float)from[c + channels] +
                     weight[1][0] * (float)below[c] + weight[1][1] * (float)below[c + channels];
        return;
    }
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            if (x0 + i < 0 || x0 + i >= n || y0 + j < 0 || y0 + j >= n) continue;
            const uint8_t *pixel = bytes + ((ptrdiff_t)(y0 + j) * n + x0 + i) * channels;
            for (int c = 0; c < channels; c++) out[c] += weight[j][i] * (float)pixel[c];
        }
}

static void finish_augmented(const ich_preprocess *p, const uint8_t *bytes, const ich_augment *augment,
                             ich_rng rng, float *out) {
    const warp w = draw_warp(augment, p->size, rng);
    const float gain = (1 + w.contrast) / 255;
    float offset[ICH_MAX_CHANNELS];
    for (int c = 0; c < p->channels; c++) offset[c] = w.hu / p->width[c];
    for (int row = 0; row < p->size; row++)
        for (int column = 0; column < p->size; column++, out += p->channels) {
            const float x = w.m[0][0] * (float)column + w.m[0][1] * (float)row + w.m[0][2];
            const float y = w.m[1][0] * (float)column + w.m[1][1] * (float)row + w.m[1][2];
            sample(p, bytes, x, y, out);
            for (int c = 0; c < p->channels; c++) out[c] = normalise(clip(out[c] * gain + offset[c]));
        }
}

void ich_preprocess_finish(const ich_preprocess *p, const uint8_t *bytes, const ich_augment *augment,
                           ich_rng rng, float *out) {
    if (augment) {
        finish_augmented(p, bytes, augment, rng, out);
        return;
    }
    float table[256];
    for (int v = 0; v < 256; v++) table[v] = normalise((float)v / 255);
    const size_t count = (size_t)p->size * (size_t)p->size * (size_t)p->channels;
    for (size_t i = 0; i < count; i++) out[i] = table[bytes[i]];
}
