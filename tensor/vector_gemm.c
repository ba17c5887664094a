/* vector_gemm.c: matrix products (compiled once per instruction set).
 *
 * Each element of C is summed over k in one order, whatever m is, so that a sample's result does not depend
 * on its company in the batch. BLAS does not promise that; it may get the products with A transposed, the
 * weight gradients, which sum over samples anyway. Three ways, chosen by the transposes alone:
 *
 *   A · B     tiles of rows × 2 vectors of columns summed in registers (Goto and van de Geijn 2008), k in
 *             blocks so that the block of B stays in cache
 *   A · Bᵀ    the rows of A and of B both lie along k: dot products of vectors, nothing to rearrange; this is
 *             what an LSTM does each step with a single row of A
 *   Aᵀ · B    BLAS by blocks of columns where it is trusted and vectors are short
 *
 * With AVX-512 the last are tiles, too: on a processor newer than itself OpenBLAS falls back to AVX2. Version
 * 0.3.21 gave 260 GF/s on two cores of a Zen 5 where the tiles gave 390 (512 × 512 × 600).
 */
#include "vector.h"

#include "blas.h"
#include "vector_kernels.h"

#include <cblas.h>

enum {
    TILE_ROWS = 6,
    COLUMNS = 2 * ICH_LANES,
    ROWS = 96,
    DEPTH = 256,
    DOT_ROWS = ICH_VECTOR_REGISTERS == 32 ? 6 : 3,
    DOT_COLUMNS = 4,
    BLAS_COLUMNS = 128,
    SMALL = 1 << 16, /* multiply-adds below which waking threads costs more than it saves; also below the
                        2^18 from which OpenBLAS would start threads of its own */
};

typedef struct matrix { /* element (i, j) lies at data[i · row + j · column] */
    const float *data;
    size_t row, column;
} matrix;

/* A block of C, and whether to add to what it holds. */
typedef struct target {
    float *data;
    size_t row;
    bool add;
} target;

static int least(int a, int b) { return a < b ? a : b; }

/* -- A · B --------------------------------------------------------------------------------------- */

/* C[rows × COLUMNS] (+)= A[rows × k] · B[k × COLUMNS]; rows ≤ TILE_ROWS is known when compiled. */
ICH_INLINE void tile(int rows, int k, matrix a, const float *b, size_t b_row, target c) {
    ich_vec sum[TILE_ROWS][2];
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        const float *from = c.data + (size_t)i * c.row;
        sum[i][0] = c.add ? ich_load(from) : (ich_vec){0};
        sum[i][1] = c.add ? ich_load(from + ICH_LANES) : (ich_vec){0};
    }
    for (int l = 0; l < k; l++) {
        const ich_vec b0 = ich_load(b + (size_t)l * b_row), b1 = ich_load(b + (size_t)l * b_row + ICH_LANES);
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            const float x = a.data[(size_t)i * a.row + (size_t)l * a.column];
            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
    }
    ICH_UNROLL for (int i = 0; i < rows; i++) {
        ich_store(c.data + (size_t)i * c.row, sum[i][0]);
        ich_store(c.data + (size_t)i * c.row + ICH_LANES, sum[i][1]);
    }
}

static void tile_rows(int rows, int k, matrix a, const float *b, size_t b_row, target c) {
    _Static_assert(TILE_ROWS == 6, "one case a number of rows");
    switch (rows) {
    case 6:
        tile(6, k, a, b, b_row, c);
        break;
    case 5:
        tile(5, k, a, b, b_row, c);
        break;
    case 4:
        tile(4, k, a, b, b_row, c);
        break;
    case 3:
        tile(3, k, a, b, b_row, c);
        break;
    case 2:
        tile(2, k, a, b, b_row, c);
        break;
    case 1:
        tile(1, k, a, b, b_row, c);
        break;
    }
}

/* The last columns, fewer than COLUMNS, by way of a full tile on the stack. */
static void tile_edge(int rows, int columns, int k, matrix a, const float *b, target c) {
    _Alignas(64) float block[TILE_ROWS * COLUMNS];
    for (int i = 0; c.add && i < rows; i++)
        memcpy(block + i * COLUMNS, c.data + (size_t)i * c.row, (size_t)columns * sizeof *block);
    tile_rows(rows, k, a, b, COLUMNS, (target){block, COLUMNS, c.add});
    for (int i = 0; i < rows; i++)
        memcpy(c.data + (size_t)i * c.row, block + i * COLUMNS, (size_t)columns * sizeof *block);
}

/* Rows [l, l + depth) of `columns` columns of B, beginning at `from`, as a dense panel; zeros fill it up. */
static void pack(matrix b, const float *from, int depth, int columns, float *panel) {
    for (int l = 0; l < depth; l++, from += b.row, panel += COLUMNS)
        for (int j = 0; j < COLUMNS; j++) panel[j] = j < columns ? from[(size_t)j * b.column] : 0;
}

/* One piece of C: `rows` rows of A, `columns` ≤ COLUMNS columns of B. */
static void tile_piece(int rows, int columns, int k, matrix a, matrix b, target c) {
    _Alignas(64) float panel[DEPTH * COLUMNS];
    for (int l = 0; l < k; l += DEPTH, c.add = true) {
        const int depth = least(k - l, DEPTH);
        const float *from = b.data + (size_t)l * b.row;
        const bool dense = columns == COLUMNS && b.column == 1;
        if (!dense) pack(b, from, depth, columns, panel);
        for (int i = 0; i < rows; i += TILE_ROWS) {
            const int count = least(rows - i, TILE_ROWS);
            const matrix part = {a.data + (size_t)i * a.row + (size_t)l * a.column, a.row, a.column};
            const target to = {c.data + (size_t)i * c.row, c.row, c.add};
            if (columns == COLUMNS)
                tile_rows(count, depth, part, dense ? from : panel, dense ? b.row : COLUMNS, to);
            else
                tile_edge(count, columns, depth, part, panel, to);
        }
    }
}

static void product(int m, int n, int k, matrix a, matrix b, target c) {
#pragma omp parallel for collapse(2) schedule(dynamic) if ((double)m * n * k > SMALL)
    for (int i = 0; i < m; i += ROWS)
        for (int j = 0; j < n; j += COLUMNS) {
            const matrix rows = {a.data + (size_t)i * a.row, a.row, a.column};
            const matrix columns = {b.data + (size_t)j * b.column, b.row, b.column};
            const target piece = {c.data + (size_t)i * c.row + j, c.row, c.add};
            tile_piece(least(m - i, ROWS), least(n - j, COLUMNS), k, rows, columns, piece);
        }
}

/* -- A · Bᵀ -------------------------------------------------------------------------------------- */

#ifdef __clang__ /* which the fuzzers are built with; it has no shuffle by a vector of lanes */
ICH_INLINE ich_vec shuffle(ich_vec v, ich_mask lane) {
    ich_vec to;
    ICH_UNROLL for (int i = 0; i < ICH_LANES; i++) to[i] = v[lane[i]];
    return to;
}
#else
#define shuffle __builtin_shuffle
#endif

/* The sum of a vector's lanes, by halves. */
ICH_INLINE float lane_sum(ich_vec v) {
    ich_mask lane = {0};
    ICH_UNROLL for (int i = 0; i < ICH_LANES; i++) lane[i] = i;
    ICH_UNROLL for (int half = ICH_LANES / 2; half > 0; half /= 2) v +=
        shuffle(v, (lane + half) & (ICH_LANES - 1));
    return v[0];
}

/* C[rows × columns] (+)= the dot products of rows of A and rows of B; rows and columns known when compiled.
 */
ICH_INLINE void dot(int rows, int columns, int k, matrix a, matrix b, target c) {
    ich_vec sum[DOT_ROWS][DOT_COLUMNS] = {0};
    int l = 0;
    for (; l + ICH_LANES <= k; l += ICH_LANES) ICH_UNROLL for (int j = 0; j < columns; j++) {
            const ich_vec y = ich_load(b.data + (size_t)j * b.row + l);
            ICH_UNROLL for (int i = 0; i < rows; i++) sum[i][j] +=
                ich_load(a.data + (size_t)i * a.row + l) * y;
        }
    if (l < k) ICH_UNROLL for (int j = 0; j < columns; j++) {
            const ich_vec y = ich_load_part(b.data + (size_t)j * b.row + l, k - l);
            ICH_UNROLL for (int i = 0; i < rows; i++) sum[i][j] +=
                ich_load_part(a.data + (size_t)i * a.row + l, k - l) * y;
        }
    ICH_UNROLL for (int i = 0; i < rows; i++) ICH_UNROLL for (int j = 0; j < columns; j++) {
        float *to = c.data + (size_t)i * c.row + j;
        *to = (c.add ? *to : 0) + lane_sum(sum[i][j]);
    }
}

/* One piece of C: a few rows of B after another meet all `rows` rows of A, which stay in cache. */
static void dot_piece(int rows, int columns, int k, matrix a, matrix b, target c) {
    for (int j = 0; j < columns; j += DOT_COLUMNS) {
        const int across = least(columns - j, DOT_COLUMNS);
        const matrix right = {b.data + (size_t)j * b.row, b.row, 1};
        int i = 0;
        for (; across == DOT_COLUMNS && i + DOT_ROWS <= rows; i += DOT_ROWS)
            dot(DOT_ROWS, DOT_COLUMNS, k, (matrix){a.data + (size_t)i * a.row, a.row, 1}, right,
                (target){c.data + (size_t)i * c.row + j, c.row, c.add});
        for (; i < rows; i++) {
            const matrix left = {a.data + (size_t)i * a.row, a.row, 1};
            const target to = {c.data + (size_t)i * c.row + j, c.row, c.add};
            if (across == DOT_COLUMNS) {
                dot(1, DOT_COLUMNS, k, left, right, to);
                continue;
            }
            for (int s = 0; s < across; s++)
                dot(1, 1, k, left, (matrix){right.data + (size_t)s * b.row, b.row, 1},
                    (target){to.data + s, c.row, c.add});
        }
    }
}

static void dot_product(int m, int n, int k, matrix a, matrix b, target c) {
#pragma omp parallel for collapse(2) schedule(dynamic) if ((double)m * n * k > SMALL)
    for (int i = 0; i < m; i += ROWS)
        for (int j = 0; j < n; j += COLUMNS)
            dot_piece(least(m - i, ROWS), least(n - j, COLUMNS), k,
                      (matrix){a.data + (size_t)i * a.row, a.row, 1},
                      (matrix){b.data + (size_t)j * b.row, b.row, 1},
                      (target){c.data + (size_t)i * c.row + j, c.row, c.add});
}

/* -- Aᵀ · B -------------------------------------------------------------------------------------- */

/* Single-threaded BLAS inside each piece: within a parallel region, or too small for it to start threads. */
static void blas(bool transpose_b, int m, int n, int k, const float *a, int lda, const float *b, int ldb,
                 target c) {
#pragma omp parallel for schedule(dynamic) if ((double)m * n * k > SMALL)
    for (int j = 0; j < n; j += BLAS_COLUMNS)
        cblas_sgemm(CblasRowMajor, CblasTrans, transpose_b ? CblasTrans : CblasNoTrans, m,
                    least(n - j, BLAS_COLUMNS), k, 1, a, lda,
                    b + (transpose_b ? (size_t)j * (size_t)ldb : (size_t)j), ldb, c.add ? 1 : 0, c.data + j,
                    (int)c.row);
}

void ICH_ISA(ich_gemm)(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
                       const float *b, int ldb, bool accumulate, float *c, int ldc) {
    const target to = {c, (size_t)ldc, accumulate};
    if (m < 1 || n < 1) return;
    if (k < 1) {
        for (int i = 0; !accumulate && i < m; i++) memset(c + (size_t)i * to.row, 0, (size_t)n * sizeof *c);
    } else if (!transpose_a && transpose_b) {
        dot_product(m, n, k, (matrix){a, (size_t)lda, 1}, (matrix){b, (size_t)ldb, 1}, to);
    } else if (transpose_a && ICH_LANES < 16 && ich_blas_trusted()) {
        blas(transpose_b, m, n, k, a, lda, b, ldb, to);
    } else {
        product(m, n, k, transpose_a ? (matrix){a, 1, (size_t)lda} : (matrix){a, (size_t)lda, 1},
                transpose_b ? (matrix){b, 1, (size_t)ldb} : (matrix){b, (size_t)ldb, 1}, to);
    }
}
