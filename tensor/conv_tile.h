/* conv_tile.h: the micro-kernel under every convolution: a block of rows × columns of a matrix product held
 * in registers (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
 *
 * The left matrix A is read one number at a time and spread over a vector; the right matrix B lies in panels
 * of CONV_COLUMNS columns, row after row: [depth][CONV_COLUMNS]. Both hold words (conv_operand.h). With 32
 * vector registers a block is 14 rows of two vectors (28 sums, 2 of B, 1 of A); with 16 registers it is 6
 * rows of two. Each element of the result is one chain of multiply-adds in the order of depth, whatever the
 * number of rows in the block: so a row's bits never depend on its neighbours.
 */
#ifndef ICH_TENSOR_CONV_TILE_H
#define ICH_TENSOR_CONV_TILE_H

#include "conv_operand.h"

enum {
    CONV_ROWS = ICH_VECTOR_REGISTERS == 32 ? 14 : 6,
    CONV_COLUMNS = 2 * ICH_LANES,
};

/* sum += a · b for each lane of words b and one word a. */
#if defined(__AVX512BF16__) && defined(ICH_BF16)
ICH_INLINE ich_vec conv_multiply_add(ich_vec sum, conv_word a, ich_vec b) {
    return (ich_vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)a), (__m512bh)b);
}
#elif defined(ICH_BF16)
ICH_INLINE ich_vec conv_multiply_add(ich_vec sum, conv_word a, ich_vec b) {
    const ich_bits spread = a - (ich_bits){0}, words = (ich_bits)b;
    sum += (ich_vec)(spread << 16) * (ich_vec)(words << 16);
    return sum + (ich_vec)(spread & 0xffff0000) * (ich_vec)(words & 0xffff0000);
}
#else
ICH_INLINE ich_vec conv_multiply_add(ich_vec sum, conv_word a, ich_vec b) { return sum + ich_splat(a) * b; }
#endif

/* sums [rows][2] += A [rows, depth] · B [depth, CONV_COLUMNS], depth counted in words. A's element (i, d) is
 * a[i · row + d · step]. `rows` must be a constant: the loops over it are unrolled and the sums become
 * registers. */
ICH_INLINE void conv_tile_multiply(int rows, int depth, const conv_word *a, ptrdiff_t row, ptrdiff_t step,
                                   const conv_word *b, ich_vec sums[][2]) {
    for (int d = 0; d < depth; d++, a += step, b += CONV_COLUMNS) {
        const ich_vec b0 = ich_load((const float *)b), b1 = ich_load((const float *)b + ICH_LANES);
        ICH_UNROLL for (int i = 0; i < rows; i++) {
            const conv_word x = a[i * row];
            sums[i][0] = conv_multiply_add(sums[i][0], x, b0);
            sums[i][1] = conv_multiply_add(sums[i][1], x, b1);
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
