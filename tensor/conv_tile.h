/* conv_tile.h: the micro-kernel under every convolution: a block of rows × columns of a matrix product held
 * in registers (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
 *
 * The left matrix A is read one number at a time and spread over a vector; the right matrix B lies in panels
 * of CONV_COLUMNS columns, row after row: [depth][CONV_COLUMNS]. With 32 vector registers a block is 14 rows
 * of two vectors (28 sums, 2 of B, 1 of A); with 16 registers it is 6 rows of two.
 * Each element of the result is one chain of multiply-adds in the order of depth, whatever the number of
 * rows in the block: so a row's bits never depend on its neighbours.
 */
#ifndef ICH_TENSOR_CONV_TILE_H
#define ICH_TENSOR_CONV_TILE_H

#include "vector.h"

enum {
    CONV_ROWS = ICH_VECTOR_REGISTERS == 32 ? 14 : 6,
    CONV_COLUMNS = 2 * ICH_LANES,
};

/* sums [rows][2] += A [rows, depth] · B [depth, CONV_COLUMNS]. A's element (i, d) is a[i · row + d · step].
 * `rows` must be a constant: the loops over it are unrolled and the sums become registers. */
ICH_INLINE void conv_tile_multiply(int rows, int depth, const float *a, ptrdiff_t row, ptrdiff_t step,
                                   const float *b, ich_vec sums[][2]) {
    for (int d = 0; d < depth; d++, a += step, b += CONV_COLUMNS) {
        const ich_vec b0 = ich_load(b), b1 = ich_load(b + ICH_LANES);
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            const ich_vec spread = ich_splat(a[i * row]);
            sums[i][0] += spread * b0;
            sums[i][1] += spread * b1;
        }
    }
}

/* Expands CASE(n) for each number of rows that a block can have, for tables of specialised kernels. */
#if ICH_VECTOR_REGISTERS == 32
#define CONV_FOR_EACH_ROWS(CASE)                                                                             \
    CASE(1)                                                                                                  \
    CASE(2)                                                                                                  \
    CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#else
#define CONV_FOR_EACH_ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

#endif
