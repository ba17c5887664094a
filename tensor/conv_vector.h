/* conv_vector.h: the fast float convolutions, one set for each instruction set.
 *
 * Signatures and rules: kernel_table.h. The files conv_*.c are compiled once per instruction set; a set
 * may be called only on a processor that has its instructions (kernels.c looks).
 *
 * Calls: OpenMP. Called by: the vector kernel tables, tests.
 */
#ifndef ICH_TENSOR_CONV_VECTOR_H
#define ICH_TENSOR_CONV_VECTOR_H

#include "kernels.h"

#define ICH_DECLARE_CONV2D(isa)                                                                              \
    size_t ich_conv2d_packed_##isa(const ich_conv_shape *shape, ich_direction direction);                    \
    size_t ich_conv2d_scratch_##isa(const ich_conv_shape *shape, ich_direction direction);                   \
    void ich_conv2d_pack_##isa(const ich_conv_shape *shape, ich_direction direction, const float *weight,    \
                               float *packed);                                                               \
    void ich_conv2d_forward_##isa(const ich_conv_shape *shape, const float *x, const float *packed,          \
                                  const float *bias, const float *add, bool relu, float *y, float *scratch); \
    void ich_conv2d_backward_data_##isa(const ich_conv_shape *shape, const float *dy, const float *packed,   \
                                        bool accumulate, float *dx, float *scratch);                         \
    void ich_conv2d_backward_weights_##isa(const ich_conv_shape *shape, const float *x, const float *dy,     \
                                           float *dw, float *scratch);

ICH_DECLARE_CONV2D(baseline)
ICH_DECLARE_CONV2D(avx2)
ICH_DECLARE_CONV2D(avx512)
ICH_DECLARE_CONV2D(direct_baseline)
ICH_DECLARE_CONV2D(direct_avx2)
ICH_DECLARE_CONV2D(direct_avx512)
ICH_DECLARE_CONV2D(baseline_bf16)
ICH_DECLARE_CONV2D(avx2_bf16)
ICH_DECLARE_CONV2D(avx512_bf16)
ICH_DECLARE_CONV2D(direct_baseline_bf16)
ICH_DECLARE_CONV2D(direct_avx2_bf16)
ICH_DECLARE_CONV2D(direct_avx512_bf16)

#endif
