/* vector.h: one vector type, whatever the processor.
 *
 * Fast kernels are written once with GCC's vector extensions and compiled once per instruction set
 * (tensor/CMakeLists.txt passes the flags and -DICH_ISA_NAME=baseline, avx2 or avx512). The type's width
 * follows the flags; exported names get the instruction set as a suffix through ICH_ISA. Intrinsics appear
 * only here, for what the extensions cannot say: loading and storing part of a vector.
 *
 * Calls: nothing. Called by: the vector kernels; not for other files.
 */
#ifndef ICH_TENSOR_VECTOR_H
#define ICH_TENSOR_VECTOR_H

#include <stddef.h>
#include <string.h>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#ifndef ICH_ISA_NAME
#error "compile vector kernels with -DICH_ISA_NAME=baseline, avx2 or avx512"
#endif
#define ICH_ISA_PASTE(symbol, isa)  symbol##_##isa
#define ICH_ISA_EXPAND(symbol, isa) ICH_ISA_PASTE(symbol, isa)
#define ICH_ISA(symbol)             ICH_ISA_EXPAND(symbol, ICH_ISA_NAME)
/* Where a source is compiled for two precisions of one instruction set (conv_operand.h): the set itself. */
#ifndef ICH_ISA_BASE
#define ICH_ISA_BASE ICH_ISA_NAME
#endif
#define ICH_BASE(symbol)     ICH_ISA_EXPAND(symbol, ICH_ISA_BASE)
#define ICH_ISA_QUOTE(name)  #name
#define ICH_ISA_QUOTED(name) ICH_ISA_QUOTE(name)
#define ICH_BASE_TEXT        ICH_ISA_QUOTED(ICH_ISA_BASE) /* "avx2" */

#if defined(__AVX512F__)
#define ICH_LANES 16
#elif defined(__AVX2__)
#define ICH_LANES 8
#else
#define ICH_LANES 4
#endif

/* Vector registers that a kernel may count on. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define ICH_VECTOR_REGISTERS 32
#else
#define ICH_VECTOR_REGISTERS 16
#endif

#define ICH_INLINE          static inline __attribute__((always_inline))
#define ICH_STRINGIFY(text) #text
/* ICH_UNROLL: unrolls the next loop completely; for loops over registers. ICH_NO_OVERLAP: what the next loop
 * reads it does not write at another index. */
#ifdef __clang__
#define ICH_UNROLL     _Pragma("unroll")
#define ICH_NO_OVERLAP _Pragma("clang loop vectorize(assume_safety)")
#else
#define ICH_UNROLL     _Pragma("GCC unroll 64")
#define ICH_NO_OVERLAP _Pragma("GCC ivdep")
#endif

typedef float ich_vec __attribute__((vector_size(4 * ICH_LANES)));
/* The same for any address: float arrays alias it and need no alignment. */
typedef float ich_vec_anywhere __attribute__((vector_size(4 * ICH_LANES), aligned(4), may_alias));

ICH_INLINE ich_vec ich_load(const float *p) { return *(const ich_vec_anywhere *)p; }

ICH_INLINE void ich_store(float *p, ich_vec v) { *(ich_vec_anywhere *)p = v; }

ICH_INLINE ich_vec ich_splat(float x) { return x - (ich_vec){0}; }

/* A comparison of vectors gives a vector of integers, all ones where it holds. */
typedef int ich_mask __attribute__((vector_size(4 * ICH_LANES)));

ICH_INLINE ich_vec ich_select(ich_mask mask, ich_vec yes, ich_vec no) {
    return (ich_vec)((mask & (ich_mask)yes) | (~mask & (ich_mask)no));
}

/* max(0, v); a NaN stays one, so that a diverged network is seen. */
ICH_INLINE ich_vec ich_relu(ich_vec v) { return (ich_vec)((ich_mask)v & ~(v < 0)); }

/* The first n floats at p (0 ≤ n ≤ ICH_LANES), zeros behind; touches no memory past them. */
ICH_INLINE ich_vec ich_load_part(const float *p, int n) {
#if defined(__AVX512F__)
    return (ich_vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
    ich_vec v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
#endif
}

/* Stores the first n lanes only. */
ICH_INLINE void ich_store_part(float *p, ich_vec v, int n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
    memcpy(p, &v, (size_t)n * sizeof *p);
#endif
}

#endif
