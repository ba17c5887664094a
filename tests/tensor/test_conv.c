/* The fast convolutions, each instruction set of this machine, against the formula in double: over odd
 * shapes, with every option of the epilogue; same bytes for any number of threads and any batch; nothing
 * written outside the outputs and scratch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/conv_vector.h"
#include "tensor/rng.h"
#include <cmocka.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef ICH_SANITIZED
#include <sanitizer/asan_interface.h>
#else /* the guard zones catch writes; the address sanitizer also makes reading them an error */
#define ASAN_POISON_MEMORY_REGION(address, bytes)   ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

/* -- the sets under test ---------------------------------------------------------------------------- */

typedef struct conv_set {
    const char *name;
    size_t (*packed)(const ich_conv_shape *, ich_direction);
    size_t (*scratch)(const ich_conv_shape *, ich_direction);
    void (*pack)(const ich_conv_shape *, ich_direction, const float *, float *);
    void (*forward)(const ich_conv_shape *, const float *, const float *, const float *, const float *, bool,
                    float *, float *);
    void (*backward_data)(const ich_conv_shape *, const float *, const float *, bool, float *, float *);
    void (*backward_weights)(const ich_conv_shape *, const float *, const float *, float *, float *);
} conv_set;

#define CONV_SET(isa)                                                                                        \
    {                                                                                                        \
#isa, ich_conv2d_packed_##isa, ich_conv2d_scratch_##isa, ich_conv2d_pack_##isa,                      \
            ich_conv2d_forward_##isa, ich_conv2d_backward_data_##isa, ich_conv2d_backward_weights_##isa      \
    }

#define CONV_SETS(isa)                                                                                       \
    CONV_SET(isa), CONV_SET(direct_##isa), CONV_SET(isa##_bf16), CONV_SET(direct_##isa##_bf16)

static const conv_set sets[] = {
    CONV_SETS(baseline),
#if defined(__x86_64__)
    CONV_SETS(avx2),
    CONV_SETS(avx512),
#endif
};

static bool rounds(const conv_set *set) { return strstr(set->name, "bf16") != NULL; }

static bool runs_here(const conv_set *set) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (strstr(set->name, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strstr(set->name, "avx512_bf16") && !__builtin_cpu_supports("avx512bf16")) return false;
    if (strstr(set->name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return strstr(set->name, "baseline") != NULL;
}

/* Calls check(set, argument) for each set that this machine runs. */
static void for_each_set(void (*check)(const conv_set *, const void *), const void *argument) {
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (runs_here(&sets[i])) check(&sets[i], argument);
}

/* -- buffers with guard zones ----------------------------------------------------------------------- */

enum { GUARD = 256 };                          /* floats on either side; keeps the 64-byte alignment */
static const uint32_t guard_bits = 0x7fc0dead; /* a NaN: a kernel that reads it shows, too */

typedef struct buffer {
    float *block, *data;
    size_t count;
} buffer;

static void fill_guard(float *p, size_t n) {
    for (size_t i = 0; i < n; i++) memcpy(p + i, &guard_bits, sizeof guard_bits);
}

/* Every number of a fresh buffer is a NaN. */
static buffer buffer_new(size_t count) {
    buffer b = {.count = count};
    const size_t bytes = (count + 2 * GUARD) * sizeof(float);
    b.block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(b.block);
    b.data = b.block + GUARD;
    fill_guard(b.block, count + 2 * GUARD);
    ASAN_POISON_MEMORY_REGION(b.block, GUARD * sizeof(float));
    ASAN_POISON_MEMORY_REGION(b.data + count, GUARD * sizeof(float));
    return b;
}

static buffer buffer_random(size_t count, ich_rng *rng) {
    buffer b = buffer_new(count);
    for (size_t i = 0; i < count; i++) b.data[i] = ich_rng_range(rng, -1, 1);
    return b;
}

static void buffer_copy(buffer *to, const buffer *from) {
    memcpy(to->data, from->data, to->count * sizeof(float));
}

/* Frees; fails the test if anything was written outside. */
static void buffer_free(buffer *b) {
    ASAN_UNPOISON_MEMORY_REGION(b->block, (b->count + 2 * GUARD) * sizeof(float));
    for (size_t i = 0; i < GUARD; i++) {
        assert_memory_equal(b->block + i, &guard_bits, sizeof guard_bits);
        assert_memory_equal(b->data + b->count + i, &guard_bits, sizeof guard_bits);
    }
    free(b->block);
}

/* -- the formula in double -------------------------------------------------------------------------- */

/* A double result, and beside it the sum of the absolute values of what was added: the measure of error. */
typedef struct exact {
    double *value, *magnitude;
    size_t count;
    double largest; /* magnitude */
} exact;

static exact exact_new(size_t count) {
    exact e = {
        .value = calloc(count, sizeof(double)), .magnitude = calloc(count, sizeof(double)), .count = count};
    assert_non_null(e.value);
    assert_non_null(e.magnitude);
    return e;
}

static void exact_free(exact *e) {
    free(e->value);
    free(e->magnitude);
}

static void exact_add(exact *e, size_t i, double term) {
    e->value[i] += term;
    e->magnitude[i] += fabs(term);
    if (e->magnitude[i] > e->largest) e->largest = e->magnitude[i];
}

/* Visits every product of the convolution y[iy] += x[ix] · w[iw]. */
typedef void visit_term(void *self, size_t iy, size_t ix, size_t iw);

/* The products of one output pixel (image, oy, ox). */
static void visit_pixel(const ich_conv_shape *s, int image, int oy, int ox, visit_term *visit, void *self) {
    const int cg = s->c / s->groups, kg = s->k / s->groups;
    for (int r = 0; r < s->r; r++) {
        for (int t = 0; t < s->s; t++) {
            const int iy = oy * s->stride - s->pad + r * s->dilation;
            const int ix = ox * s->stride - s->pad + t * s->dilation;
            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
            for (int k = 0; k < s->k; k++)
                for (int c = 0; c < cg; c++)
                    visit(self, (((size_t)image * s->oh + oy) * s->ow + ox) * s->k + k,
                          (((size_t)image * s->h + iy) * s->w + ix) * s->c + (size_t)(k / kg) * cg + c,
                          (((size_t)k * cg + c) * s->r + r) * s->s + t);
        }
    }
}

static void visit_all(const ich_conv_shape *s, visit_term *visit, void *self) {
    for (int image = 0; image < s->n; image++)
        for (int oy = 0; oy < s->oh; oy++)
            for (int ox = 0; ox < s->ow; ox++) visit_pixel(s, image, oy, ox, visit, self);
}

/* -- one shape with its data ------------------------------------------------------------------------ */

typedef struct problem {
    ich_conv_shape shape;
    size_t nx, ny, nw;
    buffer x, y, w, bias, add; /* y serves as dy, x as the dx to accumulate into, w as dw */
    exact forward, data, weights;
} problem;

static void add_term(void *self, size_t iy, size_t ix, size_t iw) {
    problem *p = self;
    exact_add(&p->forward, iy, (double)p->x.data[ix] * p->w.data[iw]);
    exact_add(&p->data, ix, (double)p->y.data[iy] * p->w.data[iw]);
    exact_add(&p->weights, iw, (double)p->x.data[ix] * p->y.data[iy]);
}

/* Numbers whose transforms need 8 bits: bfloat16 then rounds nothing, and all that its kernels compute is as
 * exact as in float, Winograd's 36 products too. x and dy are -1, 0 or 1, so that BᵀdB and A dy Aᵀ are
 * integers to 225; w is a multiple of 24², which G g Gᵀ divides by, times a power of two. */
static void make_coarse(buffer *b, float scale) {
    for (size_t i = 0; i < b->count; i++) b->data[i] = scale * roundf(1.4f * b->data[i]);
}

static problem problem_new(const ich_conv_shape *shape, uint64_t index, bool coarse) {
    ich_rng rng = ich_rng_make(7, ICH_RNG_TEST, index);
    const ich_conv_shape *s = shape;
    problem p = {.shape = *shape,
                 .nx = (size_t)s->n * s->h * s->w * s->c,
                 .ny = (size_t)s->n * s->oh * s->ow * s->k,
                 .nw = (size_t)s->k * (s->c / s->groups) * s->r * s->s};
    p.x = buffer_random(p.nx, &rng);
    p.y = buffer_random(p.ny, &rng);
    p.w = buffer_random(p.nw, &rng);
    if (coarse) {
        make_coarse(&p.x, 1);
        make_coarse(&p.y, 1);
        make_coarse(&p.w, 24 * 24 / 1024.0f);
    }
    p.bias = buffer_random((size_t)s->k, &rng);
    p.add = buffer_random(p.ny, &rng);
    p.forward = exact_new(p.ny);
    p.data = exact_new(p.nx);
    p.weights = exact_new(p.nw);
    return p;
}

static void problem_free(problem *p) {
    buffer *buffers[] = {&p->x, &p->y, &p->w, &p->bias, &p->add};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_free(buffers[i]);
    exact_free(&p->forward);
    exact_free(&p->data);
    exact_free(&p->weights);
}

static void print_shape(const ich_conv_shape *s) {
    print_error("n %d, %d x %d x %d -> %d, kernel %d x %d, stride %d, pad %d, dilation %d, groups %d\n", s->n,
                s->h, s->w, s->c, s->k, s->r, s->s, s->stride, s->pad, s->dilation, s->groups);
}

/* Runs one direction with fresh packed weights and scratch. `out` holds what is accumulated into. */
static void run(const conv_set *set, const problem *p, ich_direction direction, bool epilogue, buffer *out) {
    const ich_conv_shape *s = &p->shape;
    buffer packed = buffer_new(set->packed(s, direction)), scratch = buffer_new(set->scratch(s, direction));
    if (direction != ICH_BACKWARD_WEIGHTS) set->pack(s, direction, p->w.data, packed.data);
    if (direction == ICH_FORWARD)
        set->forward(s, p->x.data, packed.data, epilogue ? p->bias.data : NULL, epilogue ? p->add.data : NULL,
                     epilogue, out->data, scratch.data);
    else if (direction == ICH_BACKWARD_DATA)
        set->backward_data(s, p->y.data, packed.data, epilogue, out->data, scratch.data);
    else
        set->backward_weights(s, p->x.data, p->y.data, out->data, scratch.data);
    buffer_free(&packed);
    buffer_free(&scratch);
}

/* A sum of `length` products in float is off by at most length · 2^-24 of the sum of their absolute values
 * (Higham 2002, chapter 3). Winograd adds a constant for its transforms, and takes the worst output's
 * measure, for it mixes the numbers of a tile. */
static void check_close(const conv_set *set, const problem *p, const char *what, const buffer *got,
                        const exact *want, const float *base, double length, bool relu) {
    const double bound = (length + 300) * 0x1p-24 * (want->largest + 1);
    for (size_t i = 0; i < want->count; i++) {
        double expected = want->value[i] + (base ? base[i] : 0);
        if (relu) expected += p->bias.data[i % (size_t)p->shape.k];
        if (relu && expected < 0) expected = 0;
        if (fabs(got->data[i] - expected) <= bound) continue;
        print_shape(&p->shape);
        fail_msg("%s %s: element %zu is %.9g, not %.9g (bound %.3g)", set->name, what, i, got->data[i],
                 expected, bound);
    }
}

static void check_directions(const conv_set *set, const void *argument) {
    const problem *p = argument;
    const ich_conv_shape *s = &p->shape;
    const double depth = (double)s->r * s->s * s->c / s->groups;
    for (int epilogue = 0; epilogue <= 1; epilogue++) {
        buffer y = buffer_new(p->ny), dx = buffer_new(p->nx);
        if (epilogue) buffer_copy(&dx, &p->x);
        run(set, p, ICH_FORWARD, epilogue, &y);
        check_close(set, p, "forward", &y, &p->forward, epilogue ? p->add.data : NULL, depth, epilogue);
        run(set, p, ICH_BACKWARD_DATA, epilogue, &dx);
        check_close(set, p, "backward data", &dx, &p->data, epilogue ? p->x.data : NULL,
                    (double)s->r * s->s * s->k / s->groups, false);
        buffer_free(&y);
        buffer_free(&dx);
    }
    buffer dw = buffer_new(p->nw);
    buffer_copy(&dw, &p->w);
    run(set, p, ICH_BACKWARD_WEIGHTS, true, &dw);
    check_close(set, p, "backward weights", &dw, &p->weights, p->w.data, (double)s->n * s->oh * s->ow, false);
    buffer_free(&dw);
}

static void check_float(const conv_set *set, const void *argument) {
    if (!rounds(set)) check_directions(set, argument);
}

static void check_rounding(const conv_set *set, const void *argument) {
    if (rounds(set)) check_directions(set, argument);
}

static void check_shape(const ich_conv_shape *shape, uint64_t index) {
    for (int coarse = 0; coarse <= 1; coarse++) {
        problem p = problem_new(shape, index, coarse);
        visit_all(&p.shape, add_term, &p);
        for_each_set(coarse ? check_rounding : check_float, &p);
        problem_free(&p);
    }
}

/* -- shapes ----------------------------------------------------------------------------------------- */

static ich_conv_shape make_shape(int n, int h, int w, int c, int k, int r, int stride, int pad, int dilation,
                                 int groups) {
    ich_conv_shape s = {.n = n,
                        .h = h,
                        .w = w,
                        .c = c,
                        .k = k,
                        .r = r,
                        .s = r,
                        .stride = stride,
                        .pad = pad,
                        .dilation = dilation,
                        .groups = groups};
    s.oh = (h + 2 * pad - dilation * (r - 1) - 1) / stride + 1;
    s.ow = (w + 2 * pad - dilation * (s.s - 1) - 1) / stride + 1;
    return s;
}

static int pick(ich_rng *rng, const int *values, uint32_t count) { return values[ich_rng_below(rng, count)]; }
#define PICK(rng, ...)                                                                                       \
    pick(rng, (const int[]){__VA_ARGS__}, (uint32_t)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

/* A random shape of the sweep that has at least one output pixel and is quick to check. */
static ich_conv_shape random_shape(ich_rng *rng) {
    for (;;) {
        int c = PICK(rng, 1, 3, 5, 16, 33, 64), k = PICK(rng, 1, 7, 16, 40, 64), groups = 1;
        const uint32_t kind = ich_rng_below(rng, 4);
        if (kind == 2 && c % 2 == 0 && k % 2 == 0) groups = 2;
        if (kind == 3) k = groups = c;
        const int r = PICK(rng, 1, 3, 5, 7), dilation = PICK(rng, 1, 1, 2);
        const ich_conv_shape s = make_shape(1 + (int)ich_rng_below(rng, 5), PICK(rng, 1, 3, 5, 7, 9, 13, 19),
                                            PICK(rng, 1, 2, 5, 8, 11, 17), c, k, r, PICK(rng, 1, 2),
                                            (int)ich_rng_below(rng, 4), dilation, groups);
        const int reach = dilation * (r - 1) + 1;
        if (s.h + 2 * s.pad < reach || s.w + 2 * s.pad < reach) continue;
        if ((double)s.n * s.oh * s.ow * k * (c / groups) * r * r <= 2e6) return s;
    }
}

static void agrees_with_the_formula_over_random_shapes(void **state) {
    (void)state;
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 0);
    for (uint64_t i = 0; i < 300; i++) {
        const ich_conv_shape shape = random_shape(&rng);
        check_shape(&shape, i);
    }
}

static void agrees_with_the_formula_on_network_shapes(void **state) {
    (void)state;
    const ich_conv_shape shapes[] = {
        make_shape(1, 30, 31, 3, 64, 7, 2, 3, 1, 1),  /* stem */
        make_shape(2, 14, 13, 64, 64, 3, 1, 1, 1, 1), /* stride-1 3×3: the Winograd path */
        make_shape(1, 9, 17, 72, 40, 3, 1, 1, 1, 1),  /* … odd channels */
        make_shape(5, 6, 6, 96, 64, 3, 1, 1, 1, 1),   /* … small planes */
        make_shape(3, 3, 3, 128, 64, 3, 1, 1, 1, 1),
        make_shape(1, 13, 12, 64, 96, 3, 2, 1, 1, 1),  /* downsampling */
        make_shape(2, 12, 12, 64, 128, 1, 2, 0, 1, 1), /* shortcut: three of four lattices have no taps */
        make_shape(1, 14, 14, 256, 64, 1, 1, 0, 1, 1), /* several slices of depth */
        make_shape(1, 9, 9, 128, 128, 3, 1, 1, 1, 32), /* resnext */
        make_shape(1, 11, 11, 40, 40, 5, 2, 2, 1, 40), /* depthwise */
        make_shape(1, 9, 8, 4, 12, 3, 1, 1, 1, 4),     /* one input, three outputs a group */
        make_shape(1, 9, 9, 8, 16, 3, 3, 1, 2, 1),     /* stride 3, dilation 2 */
        make_shape(1, 9, 9, 8, 16, 3, 4, 2, 2, 2),     /* stride and dilation share a divisor */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check_shape(&shapes[i], 1000 + i);
}

/* -- bfloat16 on numbers that it must round ----------------------------------------------------------- */

/* Root mean square of the error, as a part of that of the result. */
static double relative_error(const buffer *got, const exact *want) {
    double error = 0, square = 0;
    for (size_t i = 0; i < want->count; i++) {
        error += (got->data[i] - want->value[i]) * (got->data[i] - want->value[i]);
        square += want->value[i] * want->value[i];
    }
    return sqrt(error / square);
}

/* A factor rounded to 8 bits is off by 2^-9 at most and by 0.6 · 2^-9 · 2/3 or so in the mean square: both
 * together by 0.2 %, were they rounded to the nearest; by twice that, were they cut off. Winograd's
 * transforms take differences of rounded numbers and divide again: that costs a factor of about 10 in tiles
 * of 4 × 4. */
static void check_rounded(const conv_set *set, const void *argument) {
    if (!rounds(set)) return;
    const problem *p = argument;
    const double bound = strstr(set->name, "direct") ? 0.0027 : 0.03;
    const exact *wanted[] = {&p->forward, &p->data, &p->weights};
    const size_t counts[] = {p->ny, p->nx, p->nw};
    for (size_t d = 0; d < 3; d++) {
        buffer out = buffer_new(counts[d]);
        memset(out.data, 0, out.count * sizeof(float));
        run(set, p, (ich_direction)d, false, &out);
        const double error = relative_error(&out, wanted[d]);
        if (error > bound || error < 0.001) fail_msg("%s, direction %zu: error %.4f", set->name, d, error);
        buffer_free(&out);
    }
}

static void bfloat16_rounds_to_the_nearest(void **state) {
    (void)state;
    const ich_conv_shape shape = make_shape(2, 16, 16, 64, 64, 3, 1, 1, 1, 1);
    problem p = problem_new(&shape, 3000, false);
    visit_all(&p.shape, add_term, &p);
    for_each_set(check_rounded, &p);
    problem_free(&p);
}

/* -- same bytes ------------------------------------------------------------------------------------- */

static const ich_direction directions[] = {ICH_FORWARD, ICH_BACKWARD_DATA, ICH_BACKWARD_WEIGHTS};

static buffer run_from_zero(const conv_set *set, const problem *p, ich_direction direction) {
    const size_t counts[] = {p->ny, p->nx, p->nw};
    buffer out = buffer_new(counts[direction]);
    if (direction == ICH_BACKWARD_WEIGHTS) memset(out.data, 0, out.count * sizeof(float));
    run(set, p, direction, direction == ICH_FORWARD, &out);
    return out;
}

static void check_threads(const conv_set *set, const void *argument) {
    for (size_t d = 0; d < 3; d++) {
        omp_set_num_threads(1);
        buffer alone = run_from_zero(set, argument, directions[d]);
        for (int threads = 2; threads <= 3; threads++) {
            omp_set_num_threads(threads);
            buffer team = run_from_zero(set, argument, directions[d]);
            assert_memory_equal(alone.data, team.data, alone.count * sizeof(float));
            buffer_free(&team);
        }
        buffer_free(&alone);
    }
    omp_set_num_threads(omp_get_num_procs());
}

/* The batch's result for each image, against that image alone. */
static void check_images(const conv_set *set, const void *argument) {
    const problem *p = argument;
    const size_t in[] = {p->nx / p->shape.n, p->ny / p->shape.n}, out[] = {in[1], in[0]};
    for (size_t d = 0; d < 2; d++) {
        buffer batch = run_from_zero(set, p, directions[d]);
        for (size_t i = 0; i < (size_t)p->shape.n; i++) {
            problem one = *p;
            one.shape.n = 1;
            one.nx = in[0];
            one.ny = in[1];
            one.x.data += i * in[0];
            one.y.data += i * in[1];
            one.add.data += i * in[1];
            buffer alone = run_from_zero(set, &one, directions[d]);
            assert_memory_equal(alone.data, batch.data + i * out[d], out[d] * sizeof(float));
            buffer_free(&alone);
        }
        buffer_free(&batch);
    }
}

static const ich_conv_shape *steady_shapes(size_t *count) {
    static ich_conv_shape shapes[5];
    shapes[0] = make_shape(5, 7, 9, 33, 40, 3, 2, 1, 1, 1);
    shapes[1] = make_shape(4, 16, 16, 64, 64, 3, 1, 1, 1, 1);
    shapes[2] = make_shape(3, 7, 7, 256, 256, 3, 1, 1, 1, 1);
    shapes[3] = make_shape(4, 20, 20, 3, 64, 7, 2, 3, 1, 1);
    shapes[4] = make_shape(4, 9, 9, 64, 64, 3, 1, 1, 1, 64);
    *count = 5;
    return shapes;
}

static void check_steady(void (*check)(const conv_set *, const void *)) {
    size_t count;
    const ich_conv_shape *shapes = steady_shapes(&count);
    for (size_t i = 0; i < count; i++) {
        problem p = problem_new(&shapes[i], 2000 + i, false);
        for_each_set(check, &p);
        problem_free(&p);
    }
}

static void gives_the_same_bytes_for_any_number_of_threads(void **state) {
    (void)state;
    check_steady(check_threads);
}

static void gives_each_image_the_same_bytes_alone_or_in_a_batch(void **state) {
    (void)state;
    check_steady(check_images);
}

/* y may be add: the sum of a residual block is formed in place. */
static void check_in_place(const conv_set *set, const void *argument) {
    const problem *p = argument;
    buffer apart = run_from_zero(set, p, ICH_FORWARD), together = buffer_new(p->ny);
    buffer_copy(&together, &p->add);
    problem same = *p;
    same.add = together;
    run(set, &same, ICH_FORWARD, true, &together);
    assert_memory_equal(apart.data, together.data, p->ny * sizeof(float));
    buffer_free(&apart);
    buffer_free(&together);
}

static void adds_in_place(void **state) {
    (void)state;
    check_steady(check_in_place);
}

/* A plan for 32 images serves one: neither layout nor memory may grow when n shrinks. */
static void check_plan(const conv_set *set, const void *argument) {
    const ich_conv_shape *shape = argument;
    for (size_t d = 0; d < 3; d++) {
        size_t packed = 0, scratch = 0;
        for (int n = 1; n <= 32; n++) {
            ich_conv_shape s = *shape;
            s.n = n;
            if (n > 1) assert_int_equal(set->packed(&s, directions[d]), packed);
            assert_true(set->scratch(&s, directions[d]) >= scratch);
            packed = set->packed(&s, directions[d]);
            scratch = set->scratch(&s, directions[d]);
        }
    }
}

static void plans_for_many_images_serve_fewer(void **state) {
    (void)state;
    size_t count;
    const ich_conv_shape *shapes = steady_shapes(&count);
    for (size_t i = 0; i < count; i++) for_each_set(check_plan, &shapes[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_formula_over_random_shapes),
        cmocka_unit_test(agrees_with_the_formula_on_network_shapes),
        cmocka_unit_test(bfloat16_rounds_to_the_nearest),
        cmocka_unit_test(gives_the_same_bytes_for_any_number_of_threads),
        cmocka_unit_test(gives_each_image_the_same_bytes_alone_or_in_a_batch),
        cmocka_unit_test(adds_in_place),
        cmocka_unit_test(plans_for_many_images_serve_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
