/* vector_kernels.h: the vector tables and the parts they are put together from; for kernels.c and the vector
 * files only.
 *
 * vector_*.c are compiled once per instruction set; every name below exists for each of them (ICH_ISA).
 */
#ifndef ICH_TENSOR_VECTOR_KERNELS_H
#define ICH_TENSOR_VECTOR_KERNELS_H

#include "kernels.h"

extern const ich_kernels_f32 ich_vector_kernels_baseline, ich_vector_kernels_direct_baseline;
extern const ich_kernels_f32 ich_vector_kernels_avx2, ich_vector_kernels_direct_avx2;
extern const ich_kernels_f32 ich_vector_kernels_avx512, ich_vector_kernels_direct_avx512;
extern const ich_kernels_f32 ich_vector_kernels_baseline_bf16, ich_vector_kernels_direct_baseline_bf16;
extern const ich_kernels_f32 ich_vector_kernels_avx2_bf16, ich_vector_kernels_direct_avx2_bf16;
extern const ich_kernels_f32 ich_vector_kernels_avx512_bf16, ich_vector_kernels_direct_avx512_bf16;

#ifdef ICH_BASE
/* vector_gemm.c */
void ICH_BASE(ich_gemm)(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
                        const float *b, int ldb, bool accumulate, float *c, int ldc);
/* vector_norm.c */
size_t ICH_BASE(ich_channel_scratch)(int64_t rows, int c);
void ICH_BASE(ich_channel_moments)(int64_t rows, int c, const float *x, int ldx, float *mean, float *variance,
                                   float *scratch);
void ICH_BASE(ich_channel_affine)(int64_t rows, int c, const float *x, int ldx, const float *scale,
                                  const float *shift, const float *add, bool relu, float *y);
void ICH_BASE(ich_channel_sum)(int64_t rows, int c, const float *x, float *sum, float *scratch);
void ICH_BASE(ich_batch_norm_sums)(int64_t rows, int c, const float *x, int ldx, const float *y,
                                   const float *dy, const float *mean, const float *invstd, double *sums,
                                   float *scratch);
void ICH_BASE(ich_batch_norm_backward)(int64_t rows, int c, const float *x, int ldx, const float *y,
                                       const float *dy, const float *mean, const float *invstd,
                                       const float *gamma, const double *means, float *dx, bool accumulate,
                                       float *d_add, bool accumulate_add, float *scratch);
/* vector_elementwise.c */
void ICH_BASE(ich_relu)(size_t n, const float *x, float *y);
void ICH_BASE(ich_relu_backward)(size_t n, const float *y, const float *dy, bool accumulate, float *dx);
void ICH_BASE(ich_sigmoid)(size_t n, const float *x, float *y);
void ICH_BASE(ich_tanh)(size_t n, const float *x, float *y);
void ICH_BASE(ich_add)(size_t n, const float *a, const float *b, bool relu, float *y);
void ICH_BASE(ich_copy)(size_t n, const float *x, bool accumulate, float *y);
void ICH_BASE(ich_sgd)(size_t n, const ich_update *u, const float *gradient, float *velocity, float *value);
void ICH_BASE(ich_adamw)(size_t n, const ich_update *u, const float *gradient, float *m, float *v,
                         float *value);
double ICH_BASE(ich_sum_squares)(size_t n, const float *x);
/* vector_peak.c */
double ICH_BASE(ich_multiply_add_peak)(int64_t rounds, float *sink);
/* vector_pool.c */
void ICH_BASE(ich_max_pool)(const ich_pool_shape *shape, const float *x, float *y, uint8_t *argmax);
void ICH_BASE(ich_max_pool_backward)(const ich_pool_shape *shape, const float *dy, const uint8_t *argmax,
                                     bool accumulate, float *dx);
void ICH_BASE(ich_global_average)(int n, int pixels, int c, const float *x, float *y);
void ICH_BASE(ich_global_average_backward)(int n, int pixels, int c, const float *dy, bool accumulate,
                                           float *dx);
#endif

#endif
