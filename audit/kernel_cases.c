/* Every kernel over odd shapes: what an audit tries, and the tests. The bounds come from the length of the
 * sums behind each number. */
#include "audit/kernel_problem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct sweep {
    const char *op, *what;
    ich_kernel_visit *visit;
    void *self;
    ich_error *err;
    bool failed;
} sweep;

static void try(sweep *sw, const ich_kernel_problem *problem) {
    const size_t length = strcspn(problem->kernel, " ");
    if (sw->failed || (sw->op && (strncmp(problem->kernel, sw->op, length) != 0 || sw->op[length]))) return;
    if (sw->what && !strstr(problem->what, sw->what)) return;
    sw->failed = !ich_kernel_check(problem, sw->visit, sw->self, sw->err);
}

static const double exact = 0, rounding = 0x1p-22; /* a few roundings */

/* -- matrix product ------------------------------------------------------------------------------------- */

typedef struct gemm_shape {
    int m, n, k, padding; /* ld* exceed the rows by `padding` */
    bool transpose_a, transpose_b, accumulate;
} gemm_shape;

static void run_gemm(const ich_kernels_f32 *kernels, const void *shape, float *const *in, float *const *out) {
    const gemm_shape *s = shape;
    kernels->gemm(s->transpose_a, s->transpose_b, s->m, s->n, s->k, in[0],
                  (s->transpose_a ? s->m : s->k) + s->padding, in[1],
                  (s->transpose_b ? s->k : s->n) + s->padding, s->accumulate, out[0], s->n + s->padding);
}

static void try_one_gemm(sweep *sw, gemm_shape s) {
    char what[120];
    snprintf(what, sizeof what, "%c%c %d x %d x %d, padding %d, %s", s.transpose_a ? 'T' : 'N',
             s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, s.padding, s.accumulate ? "added" : "set");
    const size_t pad = (size_t)s.padding, m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k;
    try(sw, &(ich_kernel_problem){"gemm",
                                  what,
                                  run_gemm,
                                  &s,
                                  {s.transpose_a ? k * (m + pad) : m * (k + pad),
                                   s.transpose_b ? n * (k + pad) : k * (n + pad)},
                                  {m * (n + pad)},
                                  {ich_sum_bound(s.k)}});
}

static void try_gemm(sweep *sw) {
    static const int sizes[][3] = {{1, 1, 1},    {1, 512, 128}, {1, 31, 5},   {2, 33, 64},    {3, 17, 257},
                                   {5, 6, 7},    {6, 32, 256},  {7, 64, 300}, {13, 100, 31},  {97, 40, 16},
                                   {40, 6, 256}, {96, 130, 48}, {101, 67, 9}, {200, 129, 33}, {19, 259, 515}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int flags = 0; flags < 16; flags++)
            try_one_gemm(sw, (gemm_shape){sizes[i][0], sizes[i][1], sizes[i][2], flags & 8 ? 3 : 0, flags & 1,
                                          flags & 2, flags & 4});
}

/* -- convolution ---------------------------------------------------------------------------------------- */

static void run_conv_forward(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                             float *const *out) {
    const size_t n_packed = kernels->conv2d_packed(shape, ICH_FORWARD);
    const size_t n_scratch = kernels->conv2d_scratch(shape, ICH_FORWARD);
    float *packed = ich_scratch_new(n_packed), *scratch = ich_scratch_new(n_scratch);
    if (packed && scratch) {
        kernels->conv2d_pack(shape, ICH_FORWARD, in[1], packed);
        kernels->conv2d_forward(shape, in[0], packed, NULL, NULL, false, out[0], scratch);
        kernels->conv2d_forward(shape, in[0], packed, in[2], in[3], true, out[1], scratch);
        kernels->conv2d_forward(shape, in[0], packed, in[2], NULL, false, out[2], scratch);
    }
    ich_scratch_free(packed, n_packed);
    ich_scratch_free(scratch, n_scratch);
}

static void run_conv_backward(const ich_kernels_f32 *kernels, const void *shape, float *const *in,
                              float *const *out) {
    const size_t n_packed = kernels->conv2d_packed(shape, ICH_BACKWARD_DATA);
    size_t n_scratch = kernels->conv2d_scratch(shape, ICH_BACKWARD_DATA);
    const size_t n_weights = kernels->conv2d_scratch(shape, ICH_BACKWARD_WEIGHTS);
    if (n_weights > n_scratch) n_scratch = n_weights;
    float *packed = ich_scratch_new(n_packed), *scratch = ich_scratch_new(n_scratch);
    if (packed && scratch) {
        kernels->conv2d_pack(shape, ICH_BACKWARD_DATA, in[1], packed);
        kernels->conv2d_backward_data(shape, in[2], packed, false, out[0], scratch);
        kernels->conv2d_backward_data(shape, in[2], packed, true, out[1], scratch);
        kernels->conv2d_backward_weights(shape, in[0], in[2], out[2], scratch);
    }
    ich_scratch_free(packed, n_packed);
    ich_scratch_free(scratch, n_scratch);
}

/* n, h, w, c, k, r, s, stride, pad, dilation, groups */
static void try_one_convolution(sweep *sw, const int v[11]) {
    ich_conv_shape s = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], 0, 0};
    s.oh = (s.h + 2 * s.pad - s.dilation * (s.r - 1) - 1) / s.stride + 1;
    s.ow = (s.w + 2 * s.pad - s.dilation * (s.s - 1) - 1) / s.stride + 1;
    char what[160];
    snprintf(what, sizeof what, "n %d, %d x %d x %d -> %d, kernel %d x %d, stride %d, pad %d, dil %d, g %d",
             s.n, s.h, s.w, s.c, s.k, s.r, s.s, s.stride, s.pad, s.dilation, s.groups);
    const size_t x = (size_t)s.n * s.h * s.w * s.c, y = (size_t)s.n * s.oh * s.ow * s.k;
    const size_t w = (size_t)s.k * (s.c / s.groups) * s.r * s.s;
    /* Winograd's transforms cost it a constant factor (Barabasz et al. 2020, ACM TOMS 46(4)). */
    const double forward = 8 * ich_sum_bound((double)s.r * s.s * s.c / s.groups);
    const double data = 8 * ich_sum_bound((double)s.r * s.s * s.k / s.groups);
    const double weights = 8 * ich_sum_bound((double)s.n * s.oh * s.ow);
    try(sw, &(ich_kernel_problem){"conv2d forward",
                                  what,
                                  run_conv_forward,
                                  &s,
                                  {x, w, (size_t)s.k, y},
                                  {y, y, y},
                                  {forward, forward, forward}});
    try(sw, &(ich_kernel_problem){
                "conv2d backward", what, run_conv_backward, &s, {x, w, y}, {x, x, w}, {data, data, weights}});
}

static void try_convolution(sweep *sw) {
    static const int shapes[][11] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},     {3, 5, 7, 3, 5, 1, 1, 1, 0, 1, 1},
        {2, 7, 5, 17, 33, 1, 1, 2, 0, 1, 1},   {1, 9, 11, 3, 64, 7, 7, 2, 3, 1, 1},
        {3, 8, 6, 16, 16, 3, 3, 1, 1, 1, 1},   {2, 13, 14, 64, 40, 3, 3, 1, 1, 1, 1},
        {1, 6, 7, 33, 31, 3, 3, 1, 0, 1, 1},   {2, 9, 8, 24, 20, 3, 3, 2, 1, 1, 1},
        {1, 10, 9, 8, 12, 3, 3, 1, 2, 2, 1},   {2, 11, 9, 6, 10, 3, 3, 2, 2, 2, 2},
        {1, 7, 9, 32, 32, 3, 3, 1, 1, 1, 8},   {2, 9, 7, 20, 20, 5, 5, 2, 2, 1, 20},
        {1, 8, 8, 19, 19, 3, 3, 1, 1, 1, 19},  {1, 7, 8, 5, 6, 2, 3, 1, 1, 1, 1},
        {1, 6, 6, 4, 8, 3, 3, 3, 1, 1, 4},     {5, 3, 3, 40, 72, 3, 3, 1, 1, 1, 1},
        {1, 21, 18, 130, 7, 1, 1, 1, 0, 1, 1}, {1, 12, 5, 9, 66, 5, 1, 1, 2, 1, 3},
    };
    for (size_t i = 0; i < COUNT(shapes); i++) try_one_convolution(sw, shapes[i]);
}

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
    float *scratch = ich_scratch_new(n_scratch), *dgamma = out[0], *dbeta = out[1];
    if (!scratch) return;
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, dy, mean, invstd, in[5], s->statistics, out[2],
                                 s->accumulate, out[3], s->accumulate_add, dgamma, dbeta, scratch);
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, dy, mean, invstd, in[5], s->statistics, out[2],
                                 s->accumulate, NULL, false, dgamma, dbeta, scratch);
    memcpy(out[4], dy, bytes); /* dx may be dy */
    kernels->batch_norm_backward(s->rows, s->c, x, s->c, y, out[4], mean, invstd, in[5], s->statistics,
                                 out[4], false, NULL, false, dgamma, dbeta, scratch);
    memcpy(out[5], dy, bytes); /* d_add may be dy; no dx */
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, out[5], mean, invstd, in[5], s->statistics,
                                 NULL, false, out[5], false, dgamma, dbeta, scratch);
    memcpy(out[6], dy, bytes);
    kernels->batch_norm_backward(s->rows, s->c, x, s->ldx, y, out[6], mean, invstd, in[5], s->statistics,
                                 out[7], false, out[6], false, dgamma, dbeta, scratch);
    ich_scratch_free(scratch, n_scratch);
}

/* rows and channels: less and more than a vector, a block of vectors, a piece; not multiples of any */
static const int row_sizes[][2] = {{1, 1},     {2, 3},     {5, 16},   {37, 7},    {100, 64}, {3, 515},
                                   {700, 24},  {1031, 40}, {31, 130}, {4099, 17}, {9001, 3}, {70, 1025},
                                   {140, 512}, {33, 2048}, {1, 600},  {1300, 65}, {2200, 32}};

/* Every other shape is the first channels of something wider. */
static int gap_of(size_t i) { return i % 2 ? 5 : 0; }

static void try_channels(sweep *sw) {
    for (size_t i = 0; i < COUNT(row_sizes); i++)
        for (int relu = 0; relu < 2; relu++) {
            const rows_shape s = {.rows = row_sizes[i][0],
                                  .c = row_sizes[i][1],
                                  .ldx = row_sizes[i][1] + gap_of(i),
                                  .relu = relu};
            const size_t c = (size_t)s.c, n = (size_t)s.rows * c, x = (size_t)s.rows * (size_t)s.ldx;
            char what[80];
            snprintf(what, sizeof what, "%lld rows of %d in %d, relu %d", (long long)s.rows, s.c, s.ldx,
                     relu);
            const double mean = ich_sum_bound((double)s.rows) / (double)s.rows;
            try(sw, &(ich_kernel_problem){
                        "channel",
                        what,
                        run_channels,
                        &s,
                        {x, c, c, n},
                        {c, c, c, n, n, n, n},
                        {mean, mean, ich_sum_bound((double)s.rows), rounding, rounding, rounding, rounding}});
        }
}

static void try_batch_norm(sweep *sw) {
    for (size_t i = 0; i < COUNT(row_sizes); i++)
        for (int flags = 0; flags < 16; flags++) {
            const rows_shape s = {.rows = row_sizes[i][0],
                                  .c = row_sizes[i][1],
                                  .ldx = row_sizes[i][1] + gap_of(i),
                                  .relu = flags & 1,
                                  .statistics = flags & 2,
                                  .accumulate_add = flags & 4,
                                  .accumulate = flags & 8};
            const size_t c = (size_t)s.c, n = (size_t)s.rows * c, x = (size_t)s.rows * (size_t)s.ldx;
            char what[120];
            snprintf(what, sizeof what, "%lld rows of %d in %d, relu %d, statistics %d, dx added %d, add %d",
                     (long long)s.rows, s.c, s.ldx, s.relu, s.statistics, s.accumulate, s.accumulate_add);
            /* |x - mean| ≤ 2; five calls add up; the means come off a few numbers of size ≤ 4, twice into dx
             */
            const double sums = 5 * 2 * ich_sum_bound((double)s.rows);
            const double dx = 2 * (16 * rounding + 8 * ich_sum_bound((double)s.rows) / (double)s.rows);
            try(sw, &(ich_kernel_problem){"batch_norm backward",
                                          what,
                                          run_batch_norm,
                                          &s,
                                          {x, n, n, c, c, c},
                                          {c, c, x, n, n, n, n, x},
                                          {sums, sums, dx, rounding, dx, exact, exact, dx}});
        }
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

static void try_elementwise(sweep *sw) {
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i];
        char what[40];
        snprintf(what, sizeof what, "%zu", n);
        try(sw, &(ich_kernel_problem){
                    "elementwise", what, run_elementwise, &n, {n, n}, {n, n, n, n, n, n, n}, {exact}});
        try(sw, &(ich_kernel_problem){"elementwise in place",
                                      what,
                                      run_in_place,
                                      &n,
                                      {n, n},
                                      {n, n, n, n, n},
                                      {exact, exact, exact, rounding, rounding}});
    }
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
    const double squares = kernels->sum_squares(n, in[0]);
    out[5][0] = (float)squares;
    out[5][1] = (float)((squares - (double)out[5][0]) * 0x1p24); /* what a float drops: same bytes, too */
}

static void try_optimizers(sweep *sw) {
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const size_t n = lengths[i];
        char what[40];
        snprintf(what, sizeof what, "%zu", n);
        try(sw, &(ich_kernel_problem){"optimizer",
                                      what,
                                      run_optimizers,
                                      &n,
                                      {n},
                                      {n, n, n, n, n, 2},
                                      {rounding, rounding, 4 * rounding, rounding, rounding, 1e-5}});
    }
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

static void try_max_pooling(sweep *sw) {
    static const int shapes[][7] = {/* n, h, w, c, r, stride, pad */
                                    {1, 1, 1, 1, 1, 1, 0},   {1, 7, 9, 5, 3, 2, 1},  {2, 8, 6, 16, 2, 2, 0},
                                    {3, 11, 5, 33, 3, 2, 1}, {1, 6, 7, 64, 3, 1, 1}, {2, 9, 13, 20, 5, 3, 2},
                                    {5, 14, 15, 64, 3, 2, 1}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const int *v = shapes[i];
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
        snprintf(what, sizeof what, "n %d, %d x %d x %d, window %d, stride %d, pad %d", s.n, s.h, s.w, s.c,
                 s.r, s.stride, s.pad);
        try(sw,
            &(ich_kernel_problem){"max_pool",
                                  what,
                                  run_max_pool,
                                  &s,
                                  {in, out},
                                  {out, out, out, in, in},
                                  {exact, exact, exact, ich_sum_bound(s.r * s.r), ich_sum_bound(s.r * s.r)}});
    }
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

static void try_averages(sweep *sw) {
    static const average_shape shapes[] = {{1, 1, 1}, {2, 49, 512}, {5, 6, 7}, {1, 3136, 33}, {7, 9, 130}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const average_shape *s = &shapes[i];
        const size_t y = (size_t)s->n * s->c, x = y * s->pixels;
        char what[60];
        snprintf(what, sizeof what, "%d pixels x %d, n %d", s->pixels, s->c, s->n);
        try(sw, &(ich_kernel_problem){"global_average",
                                      what,
                                      run_average,
                                      s,
                                      {x, y},
                                      {y, x, x},
                                      {ich_sum_bound(s->pixels) / s->pixels, rounding, rounding}});
    }
}

/* ------------------------------------------------------------------------------------------------------- */

bool ich_kernel_cases(const char *op, const char *what, ich_kernel_visit *visit, void *self, ich_error *err) {
    static void (*const families[])(sweep *) = {try_gemm,        try_convolution, try_channels,
                                                try_batch_norm,  try_elementwise, try_optimizers,
                                                try_max_pooling, try_averages};
    sweep sw = {.op = op, .what = what, .visit = visit, .self = self, .err = err};
    for (size_t i = 0; i < COUNT(families); i++) families[i](&sw);
    return !sw.failed;
}
