/* conv_operand.h: what the two factors of a convolution's product are made of; the sums are always float.
 *
 * The files conv_*.c are compiled once more for each instruction set with -DICH_BF16. Then the factors are
 * rounded to bfloat16 (8 bits of significand; float's exponent) as they are gathered and packed, and two
 * neighbours along the product's depth share a word of 4 bytes:
 *     float: a word is one operand           bfloat16: the even depth in the low half, the odd in the high
 * A product of words then takes CONV_PAIR steps of depth at once. Arrays of words have the same size and
 * layout either way, so that everything around this file is written once.
 *
 * Calls: vector. Called by: conv_tile and the conv files.
 */
#ifndef ICH_TENSOR_CONV_OPERAND_H
#define ICH_TENSOR_CONV_OPERAND_H

#include "vector.h"

#include <stdint.h>

#if defined(ICH_BF16)

enum { CONV_PAIR = 2 };
typedef uint16_t conv_operand;
typedef uint32_t conv_word;

typedef unsigned ich_bits __attribute__((vector_size(4 * ICH_LANES)));
typedef unsigned ich_bits_anywhere __attribute__((vector_size(4 * ICH_LANES), aligned(4), may_alias));
typedef uint16_t ich_halves __attribute__((vector_size(2 * ICH_LANES)));
typedef uint16_t ich_halves_anywhere __attribute__((vector_size(2 * ICH_LANES), aligned(2), may_alias));

/* To the nearest bfloat16, ties to even, in the high half; the low half is rubbish. Infinity stays itself and
 * so do the NaNs that arithmetic makes. */
ICH_INLINE ich_bits conv_round_high(ich_vec v) {
    const ich_bits bits = (ich_bits)v;
    return bits + 0x7fff + (bits >> 16 & 1);
}

ICH_INLINE conv_operand conv_round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (conv_operand)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* LANES operands that follow one another along depth. */
ICH_INLINE void conv_store(conv_operand *to, ich_vec v) {
#if defined(__AVX512BF16__)
    const __m256i halves = (__m256i)_mm512_cvtneps_pbh((__m512)v);
    memcpy(to, &halves, sizeof halves);
#else
    *(ich_halves_anywhere *)to = __builtin_convertvector(conv_round_high(v) >> 16, ich_halves);
#endif
}

ICH_INLINE void conv_store_part(conv_operand *to, ich_vec v, int n) {
#if defined(__AVX512BF16__)
    _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    conv_operand all[ICH_LANES];
    conv_store(all, v);
    memcpy(to, all, (size_t)n * sizeof *all);
#endif
}

/* LANES operands of the same depth, one in each of LANES words: half 0 first, then half 1. */
ICH_INLINE void conv_store_half(conv_word *to, int half, ich_vec v) {
    const ich_bits high = conv_round_high(v);
    ich_bits_anywhere *words = (ich_bits_anywhere *)to;
    if (half == 0)
        *words = high >> 16;
    else
        *words = (*words & 0xffff) | (high & 0xffff0000);
}

#else

enum { CONV_PAIR = 1 };
typedef float conv_operand, conv_word;

ICH_INLINE conv_operand conv_round(float x) { return x; }

ICH_INLINE void conv_store(conv_operand *to, ich_vec v) { ich_store(to, v); }

ICH_INLINE void conv_store_part(conv_operand *to, ich_vec v, int n) { ich_store_part(to, v, n); }

ICH_INLINE void conv_store_half(conv_word *to, int half, ich_vec v) {
    (void)half;
    ich_store(to, v);
}

#endif

/* Words that hold so many steps of depth. */
static inline int conv_words(int depth) { return (depth + CONV_PAIR - 1) / CONV_PAIR; }

#endif
