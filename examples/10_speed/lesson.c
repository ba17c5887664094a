/* Lesson 10: one matrix product, from loops as one writes them to what the processor can do;
 * and why the same numbers should come out on any number of threads.
 *
 *   10_speed [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/tensor/kernels.h>
#include <ichor/tensor/rng.h>
#include <ichor/tensor/team.h>

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum { N = 768 };
static const double patience =
    0.4; /* seconds for each: the best counts, others use this machine, too */

/* The same C code compiled for several processors; the loader takes the best that this one
 * runs. */
#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#define EVERY_PROCESSOR                                                                      \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_PROCESSOR
#endif

/* -- 1: as the formula says ------------------------------------------------------------ */

static void by_formula(const float *a, const float *b, float *c) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i * N + k] * b[k * N + j]; /* b: across memory */
            c[i * N + j] = sum;
        }
}

/* -- 2: two loops exchanged: everything runs along memory ------------------------------ */

static void along_memory(const float *a, const float *b, float *c) {
    memset(c, 0, sizeof(float) * N * N);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++) c[i * N + j] += a[i * N + k] * b[k * N + j];
}

/* -- 3: a tile of C stays in registers ------------------------------------------------- */

enum { ROWS = 6, COLUMNS = 32 };

EVERY_PROCESSOR static void in_tiles(const float *a, const float *b, float *c) {
    for (int j = 0; j < N; j += COLUMNS)
        for (int i = 0; i < N; i += ROWS) {
            float sum[ROWS][COLUMNS] = {{0}};
            for (int k = 0; k < N; k++)
                for (int r = 0; r < ROWS; r++)
                    for (int s = 0; s < COLUMNS; s++)
                        sum[r][s] += a[(i + r) * N + k] * b[k * N + j + s];
            for (int r = 0; r < ROWS; r++) memcpy(c + (i + r) * N + j, sum[r], sizeof sum[r]);
        }
}

/* -- 4: Ichor's, on one thread and on all ---------------------------------------------- */

static void by_ichor(const float *a, const float *b, float *c) {
    ich_kernels_f32_active()->gemm(false, false, N, N, N, a, N, b, N, false, c, N);
}

static void on_one_thread(const float *a, const float *b, float *c) {
    ich_team_set(1);
    by_ichor(a, b, c);
    ich_team_set(0);
}

/* -- the yardstick --------------------------------------------------------------------- */

/* Multiply-adds in registers, nothing fetched: no program on one core is faster. */
static double peak(void) {
    float sink[2] = {0};
    double best = 0;
    for (const double begin = ich_seconds(); ich_seconds() - begin < patience;) {
        const double start = ich_seconds();
        const double done = ich_kernels_f32_active()->multiply_add_peak(500000, sink);
        best = fmax(best, 2 * done / (ich_seconds() - start));
    }
    return best;
}

static bool race(const char *folder) {
    static _Alignas(64) float a[N * N], b[N * N], c[N * N];
    static const char *const names[] = {"as the formula says", "along memory",
                                        "tiles in registers",  "Ichor, one thread",
                                        "Ichor, all threads",  "peak of one core"};
    void (*const ways[])(const float *, const float *, float *) = {
        by_formula, along_memory, in_tiles, on_one_thread, by_ichor};
    double speed[6], sum[5] = {0};
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 10);
    for (int i = 0; i < N * N;
         i++) { /* small integers: each way must give the same sums, exactly */
        a[i] = (float)ich_rng_below(&rng, 8) - 3;
        b[i] = (float)ich_rng_below(&rng, 8) - 3;
    }
    printf("%d x %d x %d, %s\n", N, N, N, ich_kernels_f32_active()->name);
    for (int w = 0; w < 5; w++) {
        double best = INFINITY;
        for (const double begin = ich_seconds(); ich_seconds() - begin < patience;) {
            const double start = ich_seconds();
            ways[w](a, b, c);
            best = fmin(best, ich_seconds() - start);
        }
        for (int i = 0; i < N * N; i++) sum[w] += (double)c[i] * (i % 7);
        speed[w] = 2e-9 * N * N * N / best;
    }
    speed[5] = 1e-9 * peak();
    for (int w = 0; w < 6; w++)
        printf("  %-22s %8.1f GF/s %6.1f %%%s\n", names[w], speed[w],
               100 * speed[w] / speed[5], w < 5 && sum[w] != sum[0] ? "  WRONG" : "");
    return plot_bars(folder, "10-speed.svg", "A matrix product of 768 x 768", 6, names, speed,
                     "GF/s");
}

/* -- the same bits --------------------------------------------------------------------- */

enum { LONG = 1 << 22, PIECE = 4096 };

/* One partial sum a thread: the tempting way. */
static float sum_by_threads(const float *x, int threads) {
    float part[64] = {0}, sum = 0;
#pragma omp parallel for num_threads(threads)
    for (int t = 0; t < threads; t++)
        for (int i = (int)((long)LONG * t / threads);
             i < (int)((long)LONG * (t + 1) / threads); i++)
            part[t] += x[i];
    for (int t = 0; t < threads; t++) sum += part[t];
    return sum;
}

/* One partial sum a piece, however many threads there are; added in the pieces' order. */
static float sum_by_pieces(const float *x, int threads) {
    static float part[LONG / PIECE];
    float sum = 0;
#pragma omp parallel for num_threads(threads)
    for (int p = 0; p < LONG / PIECE; p++) {
        part[p] = 0;
        for (int i = p * PIECE; i < (p + 1) * PIECE; i++) part[p] += x[i];
    }
    for (int p = 0; p < LONG / PIECE; p++) sum += part[p];
    return sum;
}

static void same_bits(void) {
    static float x[LONG];
    double exact = 0;
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, 10);
    for (int i = 0; i < LONG; i++) exact += (double)(x[i] = ich_rng_uniform(&rng));
    printf("\nsum of %d numbers, in double %.2f\n%8s %18s %18s\n", LONG, exact, "threads",
           "a part a thread", "a part a piece");
    for (int threads = 1; threads <= 4; threads++)
        printf("%8d %18.2f %18.2f\n", threads, (double)sum_by_threads(x, threads),
               (double)sum_by_pieces(x, threads));
}

int main(int argc, char **argv) {
    same_bits();
    printf("\n");
    return race(argc > 1 ? argv[1] : ".") ? 0 : 1;
}
