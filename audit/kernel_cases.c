/* Every kernel over odd shapes: what an audit tries, and the tests. The bounds come from the length of the
 * sums behind each number. */
#include "audit/kernel_cases_internal.h"

#include <stdio.h>
#include <string.h>

void ich_sweep_try(ich_sweep *sw, const ich_kernel_problem *problem) {
    static const double most = 1 << 25; /* numbers; the harness keeps several copies of them */
    const size_t length = strcspn(problem->kernel, " ");
    double numbers = 0;
    if (sw->failed || (sw->op && (strncmp(problem->kernel, sw->op, length) != 0 || sw->op[length]))) return;
    if (sw->what && !strstr(problem->what, sw->what)) return;
    for (int i = 0; i < ICH_KERNEL_ARRAYS; i++) numbers += (double)problem->in[i] + (double)problem->out[i];
    if (numbers > most) {
        sw->failed = true;
        ich_fail(sw->err,
                 "%s, %s: has %.3g numbers, more than the %.3g that are tried at once: make it smaller",
                 problem->kernel, problem->what, numbers, most);
        return;
    }
    sw->failed = !ich_kernel_check(problem, sw->visit, sw->self, sw->err);
}

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

static void try_one_gemm(ich_sweep *sw, gemm_shape s) {
    char what[120];
    snprintf(what, sizeof what, "%c%c %d x %d x %d, padding %d, %s", s.transpose_a ? 'T' : 'N',
             s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, s.padding, s.accumulate ? "added" : "set");
    const size_t pad = (size_t)s.padding, m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k;
    ich_sweep_try(sw, &(ich_kernel_problem){"gemm",
                                            what,
                                            run_gemm,
                                            &s,
                                            {s.transpose_a ? k * (m + pad) : m * (k + pad),
                                             s.transpose_b ? n * (k + pad) : k * (n + pad)},
                                            {m * (n + pad)},
                                            {ich_sum_bound(s.k)}});
}

static void try_gemm(ich_sweep *sw) {
    static const int sizes[][3] = {{1, 1, 1},    {1, 512, 128}, {1, 31, 5},   {2, 33, 64},    {3, 17, 257},
                                   {5, 6, 7},    {6, 32, 256},  {7, 64, 300}, {13, 100, 31},  {97, 40, 16},
                                   {40, 6, 256}, {96, 130, 48}, {101, 67, 9}, {200, 129, 33}, {19, 259, 515}};
    for (size_t i = 0; i < ICH_COUNT(sizes); i++)
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

/* Places along a side; 0 where the kernel does not fit. */
static int places(int side, int kernel, const ich_conv_shape *s) {
    const int room = side + 2 * s->pad - s->dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / s->stride + 1;
}

/* n, h, w, c, k, r, s, stride, pad, dilation, groups */
static ich_conv_shape conv_shape(const int v[11]) {
    ich_conv_shape s = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], 0, 0};
    s.oh = places(s.h, s.r, &s);
    s.ow = places(s.w, s.s, &s);
    return s;
}

static void try_one_convolution(ich_sweep *sw, const int v[11]) {
    const ich_conv_shape s = conv_shape(v);
    char what[160];
    snprintf(what, sizeof what, "n %d, %d x %d x %d -> %d, kernel %d x %d, stride %d, pad %d, dil %d, g %d",
             s.n, s.h, s.w, s.c, s.k, s.r, s.s, s.stride, s.pad, s.dilation, s.groups);
    const size_t x = (size_t)s.n * s.h * s.w * s.c, y = (size_t)s.n * s.oh * s.ow * s.k;
    const size_t w = (size_t)s.k * (s.c / s.groups) * s.r * s.s;
    /* Winograd's transforms cost it a constant factor (Barabasz et al. 2020, ACM TOMS 46(4)). */
    const double forward = 8 * ich_sum_bound((double)s.r * s.s * s.c / s.groups);
    const double data = 8 * ich_sum_bound((double)s.r * s.s * s.k / s.groups);
    const double weights = 8 * ich_sum_bound((double)s.n * s.oh * s.ow);
    ich_sweep_try(sw, &(ich_kernel_problem){"conv2d forward",
                                            what,
                                            run_conv_forward,
                                            &s,
                                            {x, w, (size_t)s.k, y},
                                            {y, y, y},
                                            {forward, forward, forward}});
    ich_sweep_try(
        sw, &(ich_kernel_problem){
                "conv2d backward", what, run_conv_backward, &s, {x, w, y}, {x, x, w}, {data, data, weights}});
}

static void try_convolution(ich_sweep *sw) {
    static const int shapes[][11] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},
        {3, 5, 7, 3, 5, 1, 1, 1, 0, 1, 1},
        {2, 7, 5, 17, 33, 1, 1, 2, 0, 1, 1},
        {1, 9, 11, 3, 64, 7, 7, 2, 3, 1, 1},
        {3, 8, 6, 16, 16, 3, 3, 1, 1, 1, 1},
        {2, 13, 14, 64, 40, 3, 3, 1, 1, 1, 1},
        {1, 6, 7, 33, 31, 3, 3, 1, 0, 1, 1},
        {2, 9, 8, 24, 20, 3, 3, 2, 1, 1, 1},
        {1, 10, 9, 8, 12, 3, 3, 1, 2, 2, 1},
        {2, 11, 9, 6, 10, 3, 3, 2, 2, 2, 2},
        {1, 7, 9, 32, 32, 3, 3, 1, 1, 1, 8},
        {2, 9, 7, 20, 20, 5, 5, 2, 2, 1, 20},
        {1, 8, 8, 19, 19, 3, 3, 1, 1, 1, 19},
        {1, 7, 8, 5, 6, 2, 3, 1, 1, 1, 1},
        {1, 6, 6, 4, 8, 3, 3, 3, 1, 1, 4},
        {5, 3, 3, 40, 72, 3, 3, 1, 1, 1, 1},
        {1, 21, 18, 130, 7, 1, 1, 1, 0, 1, 1},
        {1, 12, 5, 9, 66, 5, 1, 1, 2, 1, 3},
        /* Winograd's: a block of tiles a thread, and threads together */
        {2, 9, 11, 32, 48, 3, 3, 1, 1, 1, 1},
        {2, 13, 14, 64, 80, 3, 3, 1, 1, 1, 1},
        {1, 7, 8, 160, 128, 3, 3, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < ICH_COUNT(shapes); i++) try_one_convolution(sw, shapes[i]);
}

/* -- shapes that somebody typed ------------------------------------------------------------------------- */

/* The plain loops would take hours. */
static bool is_affordable(ich_sweep *sw, const ich_typed_shape *typed, double products) {
    static const double most = 4e9;
    if (products <= most) return true;
    sw->failed = true;
    return ich_fail(sw->err, "%s: %.3g multiply-adds, and the plain loops are given %.3g: make it smaller",
                    typed->text, products, most);
}

static void try_typed_gemm(ich_sweep *sw, const ich_typed_shape *typed) {
    const gemm_shape s = {ich_typed_get(typed, "m"),    ich_typed_get(typed, "n"),
                          ich_typed_get(typed, "k"),    ich_typed_get(typed, "padding"),
                          ich_typed_get(typed, "ta"),   ich_typed_get(typed, "tb"),
                          ich_typed_get(typed, "added")};
    if (is_affordable(sw, typed, (double)s.m * s.n * s.k)) try_one_gemm(sw, s);
}

static void try_typed_convolution(ich_sweep *sw, const ich_typed_shape *typed) {
    static const char *const fields[] = {"n", "h",      "w",   "c",        "k",     "r",
                                         "s", "stride", "pad", "dilation", "groups"};
    int v[11];
    for (size_t i = 0; i < ICH_COUNT(fields); i++) v[i] = ich_typed_get(typed, fields[i]);
    if (v[6] == 0) v[6] = v[5]; /* a square kernel */
    const ich_conv_shape s = conv_shape(v);
    sw->failed = s.c % s.groups || s.k % s.groups || s.oh < 1 || s.ow < 1;
    if (sw->failed)
        ich_fail(sw->err, "%s: %s", typed->text,
                 s.oh < 1 || s.ow < 1 ? "the kernel is larger than the padded input"
                                      : "the groups do not divide the channels");
    else if (is_affordable(sw, typed, (double)s.n * s.oh * s.ow * s.k * s.r * s.s * s.c / s.groups))
        try_one_convolution(sw, v);
}

bool ich_kernel_typed(const char *op, const ich_typed_shape *typed, ich_kernel_visit *visit, void *self,
                      ich_error *err) {
    static const struct {
        const char *op;
        void (*try)(ich_sweep *, const ich_typed_shape *);
    } families[] = {{"gemm", try_typed_gemm},
                    {"conv2d", try_typed_convolution},
                    {"channel", ich_try_typed_channels},
                    {"batch_norm", ich_try_typed_batch_norm},
                    {"elementwise", ich_try_typed_elementwise},
                    {"optimizer", ich_try_typed_optimizers},
                    {"max_pool", ich_try_typed_max_pooling},
                    {"global_average", ich_try_typed_averages}};
    ich_sweep sw = {.visit = visit, .self = self, .err = err};
    for (size_t i = 0; i < ICH_COUNT(families); i++)
        if (!strcmp(families[i].op, op)) families[i].try(&sw, typed);
    return !sw.failed;
}

/* ------------------------------------------------------------------------------------------------------- */

bool ich_kernel_cases(const char *op, const char *what, ich_kernel_visit *visit, void *self, ich_error *err) {
    static void (*const families[])(ich_sweep *) = {
        try_gemm,           try_convolution,     ich_try_channels, ich_try_batch_norm, ich_try_elementwise,
        ich_try_optimizers, ich_try_max_pooling, ich_try_averages};
    ich_sweep sw = {.op = op, .what = what, .visit = visit, .self = self, .err = err};
    for (size_t i = 0; i < ICH_COUNT(families); i++) families[i](&sw);
    return !sw.failed;
}
