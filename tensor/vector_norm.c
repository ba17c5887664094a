/* vector_norm.c: per-channel sums and batch norm (compiled once per instruction set).
 *
 * All of this is bound by memory, so each number is fetched as seldom as the formula allows. Rows are cut
 * into pieces of 64 to 256 KiB, which fit the second-level cache: a second look at a piece costs little.
 * Within a piece a few vectors of channels go down the rows with their sums in registers. Each piece leaves
 * its sums in scratch; they are put together in the pieces' order, in double, whoever computed them.
 */
#include "vector.h"

#include "vector_kernels.h"

enum {
    BLOCK = ICH_VECTOR_REGISTERS / 8, /* vectors of channels that go down the rows together */
    PIECE_FLOATS = 16384,
    PIECE_ROWS = 32, /* at least, so that the pieces' sums are few beside the rows they sum */
    TOGETHER = 64,   /* channels whose pieces are put together by one thread */
    SMALL = 1 << 16, /* numbers below which waking threads costs more than it saves */
};

static int64_t piece_rows(int c) { return c < PIECE_FLOATS / PIECE_ROWS ? PIECE_FLOATS / c : PIECE_ROWS; }
static int64_t piece_count(int64_t rows, int c) { return (rows + piece_rows(c) - 1) / piece_rows(c); }
static int64_t rows_from(int64_t first, int64_t rows, int c) {
    return rows - first < piece_rows(c) ? rows - first : piece_rows(c);
}

/* Two sums of c channels for each piece, and three coefficients a channel. */
size_t ICH_ISA(ich_channel_scratch)(int64_t rows, int c) {
    return (size_t)((2 * piece_count(rows, c) + 3) * c);
}

ICH_INLINE ich_vec load(const float *p, int lanes) {
    return lanes == ICH_LANES ? ich_load(p) : ich_load_part(p, lanes);
}

ICH_INLINE void store(float *p, ich_vec v, int lanes) {
    if (lanes == ICH_LANES)
        ich_store(p, v);
    else
        ich_store_part(p, v, lanes);
}

/* Runs the statement for all c channels, from channel j on `vectors` vectors of `lanes` lanes at a time: both
 * are constants to the compiler, but for the lanes of the last, incomplete vector. */
#define FOR_CHANNELS(c, statement)                                                                           \
    do {                                                                                                     \
        int j = 0;                                                                                           \
        for (; j + BLOCK * ICH_LANES <= (c); j += BLOCK * ICH_LANES) {                                       \
            enum { vectors = BLOCK, lanes = ICH_LANES };                                                     \
            statement;                                                                                       \
        }                                                                                                    \
        for (; j + ICH_LANES <= (c); j += ICH_LANES) {                                                       \
            enum { vectors = 1, lanes = ICH_LANES };                                                         \
            statement;                                                                                       \
        }                                                                                                    \
        if (j < (c)) {                                                                                       \
            const int vectors = 1, lanes = (c)-j;                                                            \
            statement;                                                                                       \
        }                                                                                                    \
    } while (0)

/* -- mean and variance ---------------------------------------------------------------------------------- */

/* Mean and sum of squared deviations over a piece's rows: two looks, for one would lose the variance of
 * channels whose mean is large (Chan, Golub and LeVeque 1983, The American Statistician 37). */
ICH_INLINE void piece_moments(int vectors, int lanes, int64_t rows, const float *x, int ldx, float *mean,
                              float *squares) {
    ich_vec center[BLOCK] = {0}, sum[BLOCK] = {0};
    for (int64_t i = 0; i < rows; i++)
        ICH_UNROLL for (int v = 0; v < vectors; v++) center[v] += load(x + i * ldx + v * ICH_LANES, lanes);
    ICH_UNROLL for (int v = 0; v < vectors; v++) center[v] /= (float)rows;
    for (int64_t i = 0; i < rows; i++) ICH_UNROLL for (int v = 0; v < vectors; v++) {
            const ich_vec deviation = load(x + i * ldx + v * ICH_LANES, lanes) - center[v];
            sum[v] += deviation * deviation;
        }
    ICH_UNROLL for (int v = 0; v < vectors; v++) {
        store(mean + v * ICH_LANES, center[v], lanes);
        store(squares + v * ICH_LANES, sum[v], lanes);
    }
}

/* Joins the pieces' moments of channels [first, first + count), count ≤ TOGETHER, by the same authors' rule:
 * with delta = mean_b - mean_a, M2 = M2_a + M2_b + delta² · n_a · n_b / (n_a + n_b). */
static void join_moments(int64_t rows, int c, int first, int count, const float *parts, float *mean,
                         float *variance) {
    double center[TOGETHER] = {0}, squares[TOGETHER] = {0}, seen = 0;
    for (int64_t row = 0; row < rows; row += piece_rows(c), parts += 2 * c) {
        const double n = (double)rows_from(row, rows, c), share = n / (seen + n);
        for (int j = 0; j < count; j++) {
            const double delta = (double)parts[first + j] - center[j];
            squares[j] += (double)parts[c + first + j] + delta * delta * seen * share;
            center[j] += delta * share;
        }
        seen += n;
    }
    for (int j = 0; j < count; j++) {
        mean[first + j] = (float)center[j];
        variance[first + j] = (float)(squares[j] / seen);
    }
}

void ICH_ISA(ich_channel_moments)(int64_t rows, int c, const float *x, int ldx, float *mean, float *variance,
                                  float *scratch) {
    const int64_t pieces = piece_count(rows, c);
#pragma omp parallel for schedule(static) if (rows * c > SMALL)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t first = p * piece_rows(c), count = rows_from(first, rows, c);
        const float *from = x + first * ldx;
        float *part = scratch + 2 * p * c;
        FOR_CHANNELS(c, piece_moments(vectors, lanes, count, from + j, ldx, part + j, part + c + j));
    }
#pragma omp parallel for schedule(static) if (pieces * c > SMALL)
    for (int j = 0; j < c; j += TOGETHER)
        join_moments(rows, c, j, c - j < TOGETHER ? c - j : TOGETHER, scratch, mean, variance);
}

/* -- sums ----------------------------------------------------------------------------------------------- */

ICH_INLINE void piece_sum(int vectors, int lanes, int64_t rows, int c, const float *x, float *part) {
    ich_vec sum[BLOCK] = {0};
    for (int64_t i = 0; i < rows; i++)
        ICH_UNROLL for (int v = 0; v < vectors; v++) sum[v] += load(x + i * c + v * ICH_LANES, lanes);
    ICH_UNROLL for (int v = 0; v < vectors; v++) store(part + v * ICH_LANES, sum[v], lanes);
}

/* total[j] = the sum of parts[p][2][c]'s first (or, from parts + c, second) row at channel first + j. */
static void join_sums(int64_t pieces, int c, int first, int count, const float *parts, double *total) {
    for (int j = 0; j < count; j++) total[j] = 0;
    for (int64_t p = 0; p < pieces; p++)
        for (int j = 0; j < count; j++) total[j] += (double)parts[2 * p * c + first + j];
}

void ICH_ISA(ich_channel_sum)(int64_t rows, int c, const float *x, float *sum, float *scratch) {
    const int64_t pieces = piece_count(rows, c);
#pragma omp parallel for schedule(static) if (rows * c > SMALL)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t first = p * piece_rows(c), count = rows_from(first, rows, c);
        const float *from = x + first * c;
        float *part = scratch + 2 * p * c;
        FOR_CHANNELS(c, piece_sum(vectors, lanes, count, c, from + j, part + j));
    }
#pragma omp parallel for schedule(static) if (pieces * c > SMALL)
    for (int j = 0; j < c; j += TOGETHER) {
        const int count = c - j < TOGETHER ? c - j : TOGETHER;
        double total[TOGETHER];
        join_sums(pieces, c, j, count, scratch, total);
        for (int i = 0; i < count; i++) sum[j + i] += (float)total[i];
    }
}

/* -- scale and shift ------------------------------------------------------------------------------------ */

ICH_INLINE void piece_affine(int64_t rows, int c, const float *x, int ldx, const float *scale,
                             const float *shift, const float *add, bool relu, float *y) {
    for (int64_t i = 0; i < rows; i++) ICH_NO_OVERLAP for (int j = 0; j < c; j++) {
            float z = x[i * ldx + j] * scale[j] + shift[j];
            if (add) z += add[i * c + j];
            y[i * c + j] = relu && z < 0 ? 0 : z;
        }
}

void ICH_ISA(ich_channel_affine)(int64_t rows, int c, const float *x, int ldx, const float *scale,
                                 const float *shift, const float *add, bool relu, float *y) {
#pragma omp parallel for schedule(static) if (rows * c > SMALL)
    for (int64_t first = 0; first < rows; first += piece_rows(c)) {
        const int64_t count = rows_from(first, rows, c), at = first * c;
        const float *from = x + first * ldx;
        if (add && relu)
            piece_affine(count, c, from, ldx, scale, shift, add + at, true, y + at);
        else if (add)
            piece_affine(count, c, from, ldx, scale, shift, add + at, false, y + at);
        else if (relu)
            piece_affine(count, c, from, ldx, scale, shift, NULL, true, y + at);
        else
            piece_affine(count, c, from, ldx, scale, shift, NULL, false, y + at);
    }
}

/* -- batch norm's backward: one pass for the sums, one for the gradients --------------------------------- */

/* Sums over rows of dz and of dz · (x - mean). */
ICH_INLINE void piece_gradient_sums(int vectors, int lanes, int64_t rows, int c, const float *x, int ldx,
                                    const float *y, const float *dy, const float *mean, float *sums) {
    ich_vec center[BLOCK], sum[BLOCK] = {0}, product[BLOCK] = {0};
    ICH_UNROLL for (int v = 0; v < vectors; v++) center[v] = load(mean + v * ICH_LANES, lanes);
    for (int64_t i = 0; i < rows; i++) ICH_UNROLL for (int v = 0; v < vectors; v++) {
            const int64_t at = i * c + v * ICH_LANES;
            ich_vec dz = load(dy + at, lanes);
            if (y) dz = ich_select(load(y + at, lanes) > 0, dz, (ich_vec){0});
            sum[v] += dz;
            product[v] += dz * (load(x + i * ldx + v * ICH_LANES, lanes) - center[v]);
        }
    ICH_UNROLL for (int v = 0; v < vectors; v++) {
        store(sums + v * ICH_LANES, sum[v], lanes);
        store(sums + c + v * ICH_LANES, product[v], lanes);
    }
}

void ICH_ISA(ich_batch_norm_sums)(int64_t rows, int c, const float *x, int ldx, const float *y,
                                  const float *dy, const float *mean, const float *invstd, double *sums,
                                  float *scratch) {
    const int64_t pieces = piece_count(rows, c);
#pragma omp parallel for schedule(static) if (rows * c > SMALL)
    for (int64_t p = 0; p < pieces; p++) {
        const int64_t first = p * piece_rows(c), count = rows_from(first, rows, c), at = first * c;
        const float *px = x + first * ldx, *py = y ? y + at : NULL, *pdy = dy + at;
        float *part = scratch + 2 * p * c;
        if (y)
            FOR_CHANNELS(c, piece_gradient_sums(vectors, lanes, count, c, px + j, ldx, py + j, pdy + j,
                                                mean + j, part + j));
        else
            FOR_CHANNELS(c, piece_gradient_sums(vectors, lanes, count, c, px + j, ldx, NULL, pdy + j,
                                                mean + j, part + j));
    }
#pragma omp parallel for schedule(static) if (pieces * c > SMALL)
    for (int first = 0; first < c; first += TOGETHER) {
        const int count = c - first < TOGETHER ? c - first : TOGETHER;
        join_sums(pieces, c, first, count, scratch, sums + first);
        join_sums(pieces, c, first, count, scratch + c, sums + c + first);
        for (int j = first; j < first + count; j++) sums[c + j] *= (double)invstd[j];
    }
}

/* What the second pass needs: dx = gain · dz + slope · (x - mean) + level, one number of each a channel. */
typedef struct coefficients {
    const float *mean;
    float *gain, *slope, *level;
} coefficients;

ICH_INLINE void piece_gradient(int64_t rows, int c, const float *x, int ldx, const float *y, const float *dy,
                               const coefficients *k, float *dx, bool accumulate, float *d_add,
                               bool accumulate_add) {
    const float *mean = k->mean, *gain = k->gain, *slope = k->slope, *level = k->level;
    for (int64_t i = 0; i < rows; i++) ICH_NO_OVERLAP for (int j = 0; j < c; j++) {
            const int64_t at = i * c + j, in = i * ldx + j;
            const float dz = y && !(y[at] > 0) ? 0 : dy[at];
            const float back = dx ? gain[j] * dz + slope[j] * (x[in] - mean[j]) + level[j] : 0;
            if (d_add) d_add[at] = accumulate_add ? d_add[at] + dz : dz;
            if (dx) dx[in] = accumulate ? dx[in] + back : back;
        }
}

/* One copy of the loop for each combination that a network asks for; the rest share the general one. */
static void piece_gradient_of(int64_t rows, int c, const float *x, int ldx, const float *y, const float *dy,
                              const coefficients *k, float *dx, bool accumulate, float *d_add,
                              bool accumulate_add) {
    if (y && dx && accumulate && !d_add)
        piece_gradient(rows, c, x, ldx, y, dy, k, dx, true, NULL, false);
    else if (y && dx && !accumulate && !d_add)
        piece_gradient(rows, c, x, ldx, y, dy, k, dx, false, NULL, false);
    else if (y && dx && !accumulate && accumulate_add)
        piece_gradient(rows, c, x, ldx, y, dy, k, dx, false, d_add, true);
    else if (y && dx && !accumulate)
        piece_gradient(rows, c, x, ldx, y, dy, k, dx, false, d_add, false);
    else if (dx && !accumulate && !d_add)
        piece_gradient(rows, c, x, ldx, NULL, dy, k, dx, false, NULL, false);
    else
        piece_gradient(rows, c, x, ldx, y, dy, k, dx, accumulate, d_add, accumulate_add);
}

/* With s = invstd, and xhat = (x - mean) · s, kernel_table.h's formula is dx = gamma · s · dz - gamma · s² ·
 * mean(dz · xhat) · (x - mean) - gamma · s · mean(dz). */
static void make_coefficients(int c, const double *means, const float *invstd, const float *gamma,
                              const coefficients *k) {
    for (int j = 0; j < c; j++) {
        const double s = (double)invstd[j], gain = (double)gamma[j] * s;
        k->gain[j] = (float)gain;
        k->slope[j] = (float)(-gain * s * means[c + j]);
        k->level[j] = (float)(-gain * means[j]);
    }
}

void ICH_ISA(ich_batch_norm_backward)(int64_t rows, int c, const float *x, int ldx, const float *y,
                                      const float *dy, const float *mean, const float *invstd,
                                      const float *gamma, const double *means, float *dx, bool accumulate,
                                      float *d_add, bool accumulate_add, float *scratch) {
    const coefficients k = {.mean = mean, .gain = scratch, .slope = scratch + c, .level = scratch + 2 * c};
    make_coefficients(c, means, invstd, gamma, &k);
#pragma omp parallel for schedule(static) if (rows * c > SMALL)
    for (int64_t first = 0; first < rows; first += piece_rows(c)) {
        const int64_t count = rows_from(first, rows, c), at = first * c;
        piece_gradient_of(count, c, x + first * ldx, ldx, y ? y + at : NULL, dy + at, &k,
                          dx ? dx + first * ldx : NULL, accumulate, d_add ? d_add + at : NULL,
                          accumulate_add);
    }
}
