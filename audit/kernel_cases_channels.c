/* Kernels that work per channel, element by element and in windows, over odd shapes. The bounds come from the
 * length of the sums behind each number. */
#include "audit/kernel_cases_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- per channel ---------------------------------------------------------------------------------------- */

typedef struct rows_shape {
    int64_t rows;
    int c, ldx;
    bool relu, statistics, accumulate, accumulate_add;
} rows_shape;

static void run_channels(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                         float *const *out) {
    const rows_shape *s = shape;
    const size_t n_scratch = kernels->channel_scratch(s->rows, s->c), bytes = (size_t)s->rows * s->c * 4;
    float *scratch = ich_scratch_new(n_scratch);
    if (!scratch) return;
    kernels->channel_moments(s->rows, s->c, in[0], s->ldx, out[0], out[1], scratch);
    kernels->channel_sum(s->rows, s->c, in[3], out[2], scratch);
    kernels->channel_affine(s->rows, s->c, in[0], s->ldx, in[1], in[2], in[3], s->relu, out[3]);
    kernels->channel_affine(s->rows, s->c, in[0], s->ldx, in[1], in[2], NULL, s->relu, out[4]);
    memcpy(out[5], in[0], bytes); /* y may be x, or add */
    kernels->channel_affine(s->rows, s->c, out[5], s->c, in[1], in[2], in[3], s->relu, out[5]);
    memcpy(out[6], in[3], bytes);
    kernels->channel_affine(s->rows, s->c, in[0], s->ldx, in[1], in[2], out[6], s->relu, out[6]);
    ich_scratch_free(scratch, n_scratch);
}

static void run_batch_norm(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                           float *const *out) {
    const rows_shape *s = shape;
    const float *x = in[0], *y = s->relu ? in[1] : NULL, *dy = in[2], *mean = in[3], *invstd = in[4];
    const size_t n_scratch = kernels->channel_scratch(s->rows, s->c), bytes = (size_t)s->rows * s->c * 4;
    float *scratch = ich_scratch_new(n_scratch);
    double *means = calloc(2 * (size_t)s->c, sizeof *means);
    if (!scratch || !means) {
        free(means);
        return;
    }
    kernels->batch_norm_sums(s->rows, s->c, x, s->ldx, y, dy, mean, invstd, means, scratch);
    for (int j = 0; j < s->c; j++) {
        out[0][j] = (float)means[s->c + j];
        out[1][j] = (float)means[j];
    }
    for (int j = 0; j < 2 * s->c; j++) means[j] = s->statistics ? means[j] / (double)s->rows : 0;
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, dy, mean, invstd, in[5], means, out[2],
                                 s->accumulate, out[3], s->accumulate_add, scratch);
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, dy, mean, invstd, in[5], means, out[2],
                                 s->accumulate, NULL, false, scratch);
    memcpy(out[4], dy, bytes); /* dx may be dy */
    kernels->batch_norm_backward(s->rows, s->c, x, s->c, y, out[4], mean, invstd, in[5], means, out[4], false,
                                 NULL, false, scratch);
    memcpy(out[5], dy, bytes); /* d_add may be dy; no dx */
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, out[5], mean, invstd, in[5], means, NULL, false,
                                 out[5], false, scratch);
    memcpy(out[6], dy, bytes);
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, out[6], mean, invstd, in[5], means, out[7],
                                 false, out[6], false, scratch);
    ich_scratch_free(scratch, n_scratch);
    free(means);
}

/* rows and channels: less and more than a vector, a block of vectors, a piece; not multiples of any */
static const int row_sizes[][2] = {{1, 1},     {2, 3},     {5, 16},   {37, 7},    {100, 64}, {3, 515},
                                   {700, 24},  {1031, 40}, {31, 130}, {4099, 17}, {9001, 3}, {70, 1025},
                                   {140, 512}, {33, 2048}, {1, 600},  {1300, 65}, {2200, 32}};

static void try_one_channels(ich_sweep *sw, rows_shape s) {
    const size_t c = (size_t)s.c, n = (size_t)s.rows * c, x = (size_t)s.rows * (size_t)s.ldx;
    char what[80];
    snprintf(what, sizeof what, "%lld rows of %d in %d, relu %d", (long long)s.rows, s.c, s.ldx, s.relu);
    const double mean = ich_sum_bound((double)s.rows) / (double)s.rows;
    ich_sweep_try(sw, &(ich_kernel_problem){"channel",
                                            what,
                                            run_channels,
                                            &s,
                                            {x, c, c, n},
                                            {c, c, c, n, n, n, n},
                                            {mean, mean, ich_sum_bound((double)s.rows), ich_rounding,
                                             ich_rounding, ich_rounding, ich_rounding}});
}

static void try_one_batch_norm(ich_sweep *sw, rows_shape s) {
    const size_t c = (size_t)s.c, n = (size_t)s.rows * c, x = (size_t)s.rows * (size_t)s.ldx;
    char what[120];
    snprintf(what, sizeof what, "%lld rows of %d in %d, relu %d, statistics %d, dx added %d, add %d",
             (long long)s.rows, s.c, s.ldx, s.relu, s.statistics, s.accumulate, s.accumulate_add);
    /* |x - mean| ≤ 2; the means come off a few numbers of size ≤ 4, twice into dx */
    const double sums = 2 * ich_sum_bound((double)s.rows);
    const double dx = 2 * (16 * ich_rounding + 8 * ich_sum_bound((double)s.rows) / (double)s.rows);
    ich_sweep_try(sw, &(ich_kernel_problem){"batch_norm backward",
                                            what,
                                            run_batch_norm,
                                            &s,
                                            {x, n, n, c, c, c},
                                            {c, c, x, n, n, n, n, x},
                                            {sums, sums, dx, ich_rounding, dx, ich_exact, ich_exact, dx}});
}

/* Every other shape is the first channels of something wider. */
static rows_shape shape_of(size_t i) {
    const int rows = row_sizes[i][0], c = row_sizes[i][1];
    return (rows_shape){.rows = rows, .c = c, .ldx = i % 2 ? c + 5 : c};
}

void ich_try_channels(ich_sweep *sw) {
    for (size_t i = 0; i < ICH_COUNT(row_sizes); i++)
        for (int relu = 0; relu < 2; relu++) {
            rows_shape s = shape_of(i);
            s.relu = relu;
            try_one_channels(sw, s);
        }
}

void ich_try_typed_channels(ich_sweep *sw, const ich_typed_shape *typed) {
    const int c = ich_typed_get(typed, "c");
    try_one_channels(sw, (rows_shape){.rows = ich_typed_get(typed, "rows"),
                                      .c = c,
                                      .ldx = c,
                                      .relu = ich_typed_get(typed, "relu")});
}

void ich_try_batch_norm(ich_sweep *sw) {
    for (size_t i = 0; i < ICH_COUNT(row_sizes); i++)
        for (int flags = 0; flags < 16; flags++) {
            rows_shape s = shape_of(i);
            s.relu = flags & 1;
            s.statistics = flags & 2;
            s.accumulate_add = flags & 4;
            s.accumulate = flags & 8;
            try_one_batch_norm(sw, s);
        }
}

static int64_t pixels_of(const ich_typed_shape *typed) {
    return (int64_t)ich_typed_get(typed, "h") * ich_typed_get(typed, "w");
}

void ich_try_typed_batch_norm(ich_sweep *sw, const ich_typed_shape *typed) {
    const int c = ich_typed_get(typed, "c");
    const bool added = ich_typed_get(typed, "added");
    try_one_batch_norm(sw, (rows_shape){.rows = ich_typed_get(typed, "n") * pixels_of(typed),
                                        .c = c,
                                        .ldx = c,
                                        .relu = ich_typed_get(typed, "relu"),
                                        .statistics = ich_typed_get(typed, "statistics"),
                                        .accumulate = added,
                                        .accumulate_add = added});
}

/* -- element by element --------------------------------------------------------------------------------- */

static void run_elementwise(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                            float *const *out) {
    const size_t n = *(const size_t *)shape;
    kernels->relu(n, in[0], out[0]);
    kernels->relu_backward(n, in[0], in[1], false, out[1]);
    kernels->relu_backward(n, in[0], in[1], true, out[2]);
    kernels->add(n, in[0], in[1], false, out[3]);
    kernels->add(n, in[0], in[1], true, out[4]);
    kernels->copy(n, in[0], false, out[5]);
    kernels->copy(n, in[0], true, out[6]);
}

static void run_in_place(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                         float *const *out) {
    const size_t n = *(const size_t *)shape;
    for (int i = 0; i < 5; i++) memcpy(out[i], in[0], n * sizeof(float));
    kernels->relu(n, out[0], out[0]);
    kernels->relu_backward(n, in[1], out[1], false, out[1]);
    kernels->add(n, out[2], in[1], true, out[2]);
    kernels->sigmoid(n, out[3], out[3]);
    kernels->tanh(n, out[4], out[4]);
}

static const size_t lengths[] = {1, 3, 15, 16, 17, 100, 1001, 16384, 16391, 70001, 200003};

static void try_one_elementwise(ich_sweep *sw, size_t n) {
    char what[40];
    snprintf(what, sizeof what, "%zu", n);
    ich_sweep_try(sw,
                  &(ich_kernel_problem){
                      "elementwise", what, run_elementwise, &n, {n, n}, {n, n, n, n, n, n, n}, {ich_exact}});
    ich_sweep_try(sw, &(ich_kernel_problem){"elementwise in place",
                                            what,
                                            run_in_place,
                                            &n,
                                            {n, n},
                                            {n, n, n, n, n},
                                            {ich_exact, ich_exact, ich_exact, ich_rounding, ich_rounding}});
}

void ich_try_elementwise(ich_sweep *sw) {
    for (size_t i = 0; i < ICH_COUNT(lengths); i++) try_one_elementwise(sw, lengths[i]);
}

void ich_try_typed_elementwise(ich_sweep *sw, const ich_typed_shape *typed) {
    try_one_elementwise(sw, (size_t)ich_typed_get(typed, "n"));
}

/* -- optimizers ----------------------------------------------------------------------------------------- */

static void run_optimizers(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                           float *const *out) {
    const size_t n = *(const size_t *)shape;
    const ich_update update = {.lr = 0.01,
                               .weight_decay = 0.1,
                               .momentum = 0.9,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .bias1 = 0.19,
                               .bias2 = 0.001999,
                               .gradient_scale = 0.7};
    for (size_t i = 0; i < n; i++) out[4][i] *= out[4][i]; /* a mean of squares is positive */
    for (int step = 0; step < 3; step++) {
        kernels->sgd(n, &update, in[0], out[0], out[1]);
        kernels->adamw(n, &update, in[0], out[3], out[4], out[2]);
    }
}

static void try_one_optimizer(ich_sweep *sw, size_t n) {
    char what[40];
    snprintf(what, sizeof what, "%zu", n);
    ich_sweep_try(sw, &(ich_kernel_problem){
                          "optimizer",
                          what,
                          run_optimizers,
                          &n,
                          {n},
                          {n, n, n, n, n},
                          {ich_rounding, ich_rounding, 4 * ich_rounding, ich_rounding, ich_rounding}});
}

enum { SQUARES = 8 };

/* Several times, that threads which add up in the order in which they come are caught at it. */
static void run_squares(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                        float *const *out) {
    for (int i = 0; i < SQUARES; i++) {
        const double sum = kernels->sum_squares(*(const size_t *)shape, in[0]);
        out[0][i] = (float)sum;
        out[1][2 * i] = (float)(sum - (double)out[0][i]); /* what a float drops: same bytes, too */
        out[1][2 * i + 1] = (float)(sum - (double)out[0][i] - (double)out[1][2 * i]);
    }
}

static void try_one_squares(ich_sweep *sw, size_t n) {
    char what[40];
    snprintf(what, sizeof what, "%zu", n);
    const double dropped = (double)n * 0x1p-23; /* at most, and of either sign */
    ich_sweep_try(
        sw, &(ich_kernel_problem){
                "optimizer squares", what, run_squares, &n, {n}, {SQUARES, 2 * SQUARES}, {1e-5, dropped}});
}

void ich_try_optimizers(ich_sweep *sw) {
    static const size_t long_enough = 3000017; /* that all threads are at it together */
    for (size_t i = 0; i < ICH_COUNT(lengths); i++) try_one_optimizer(sw, lengths[i]);
    for (size_t i = 0; i < ICH_COUNT(lengths); i++) try_one_squares(sw, lengths[i]);
    try_one_squares(sw, long_enough);
}

void ich_try_typed_optimizers(ich_sweep *sw, const ich_typed_shape *typed) {
    try_one_optimizer(sw, (size_t)ich_typed_get(typed, "n"));
    try_one_squares(sw, (size_t)ich_typed_get(typed, "n"));
}

/* -- pooling -------------------------------------------------------------------------------------------- */

static void run_max_pool(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                         float *const *out) {
    const ich_pool_shape *s = shape;
    const size_t n_in = (size_t)s->n * s->h * s->w * s->c, n_out = (size_t)s->n * s->oh * s->ow * s->c;
    float *bytes = ich_scratch_new((n_out + 3) / 4), *coarse = ich_scratch_new(n_in);
    uint8_t *winner = (uint8_t *)bytes;
    if (bytes && coarse) {
        for (size_t i = 0; i < n_in; i++) coarse[i] = rintf(in[0][i] * 2); /* five values: many ties */
        kernels->max_pool(s, in[0], out[0], NULL);
        kernels->max_pool(s, coarse, out[1], winner);
        for (size_t i = 0; i < n_out; i++) out[2][i] = winner[i];
        kernels->max_pool_backward(s, in[1], winner, false, out[3]);
        kernels->max_pool_backward(s, in[1], winner, true, out[4]);
    }
    ich_scratch_free(coarse, n_in);
    ich_scratch_free(bytes, (n_out + 3) / 4);
}

/* n, h, w, c, r, stride, pad */
static void try_one_max_pooling(ich_sweep *sw, const int v[7]) {
    const ich_pool_shape s = {v[0],
                              v[1],
                              v[2],
                              v[3],
                              v[4],
                              v[5],
                              v[6],
                              (v[1] + 2 * v[6] - v[4]) / v[5] + 1,
                              (v[2] + 2 * v[6] - v[4]) / v[5] + 1};
    const size_t in = (size_t)s.n * s.h * s.w * s.c, out = (size_t)s.n * s.oh * s.ow * s.c;
    char what[100];
    snprintf(what, sizeof what, "n %d, %d x %d x %d, window %d, stride %d, pad %d", s.n, s.h, s.w, s.c, s.r,
             s.stride, s.pad);
    ich_sweep_try(sw, &(ich_kernel_problem){"max_pool",
                                            what,
                                            run_max_pool,
                                            &s,
                                            {in, out},
                                            {out, out, out, in, in},
                                            {ich_exact, ich_exact, ich_exact, ich_sum_bound(s.r * s.r),
                                             ich_sum_bound(s.r * s.r)}});
}

void ich_try_max_pooling(ich_sweep *sw) {
    static const int shapes[][7] = {/* n, h, w, c, r, stride, pad */
                                    {1, 1, 1, 1, 1, 1, 0},   {1, 7, 9, 5, 3, 2, 1},  {2, 8, 6, 16, 2, 2, 0},
                                    {3, 11, 5, 33, 3, 2, 1}, {1, 6, 7, 64, 3, 1, 1}, {2, 9, 13, 20, 5, 3, 2},
                                    {5, 14, 15, 64, 3, 2, 1}};
    for (size_t i = 0; i < ICH_COUNT(shapes); i++) try_one_max_pooling(sw, shapes[i]);
}

void ich_try_typed_max_pooling(ich_sweep *sw, const ich_typed_shape *typed) {
    static const char *const fields[] = {"n", "h", "w", "c", "r", "stride", "pad"};
    int v[7];
    for (size_t i = 0; i < ICH_COUNT(fields); i++) v[i] = ich_typed_get(typed, fields[i]);
    try_one_max_pooling(sw, v);
}

typedef struct average_shape {
    int n, pixels, c;
} average_shape;

static void run_average(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                        float *const *out) {
    const average_shape *s = shape;
    kernels->global_average(s->n, s->pixels, s->c, in[0], out[0]);
    kernels->global_average_backward(s->n, s->pixels, s->c, in[1], false, out[1]);
    kernels->global_average_backward(s->n, s->pixels, s->c, in[1], true, out[2]);
}

static void try_one_average(ich_sweep *sw, const average_shape *s) {
    const size_t y = (size_t)s->n * s->c, x = y * s->pixels;
    char what[60];
    snprintf(what, sizeof what, "%d pixels x %d, n %d", s->pixels, s->c, s->n);
    ich_sweep_try(sw,
                  &(ich_kernel_problem){"global_average",
                                        what,
                                        run_average,
                                        s,
                                        {x, y},
                                        {y, x, x},
                                        {ich_sum_bound(s->pixels) / s->pixels, ich_rounding, ich_rounding}});
}

void ich_try_averages(ich_sweep *sw) {
    static const average_shape shapes[] = {{1, 1, 1}, {2, 49, 512}, {5, 6, 7}, {1, 3136, 33}, {7, 9, 130}};
    for (size_t i = 0; i < ICH_COUNT(shapes); i++) try_one_average(sw, &shapes[i]);
}

void ich_try_typed_averages(ich_sweep *sw, const ich_typed_shape *typed) {
    const average_shape s = {ich_typed_get(typed, "n"), (int)pixels_of(typed), ich_typed_get(typed, "c")};
    try_one_average(sw, &s);
}
