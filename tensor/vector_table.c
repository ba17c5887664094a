/* vector_table.c: the fast kernels of one instruction set as a table (compiled once per instruction set); and
 * again with direct convolutions only (conv_vector.c); and both again with convolutions that multiply in
 * bfloat16 (conv_operand.h). */
#include "vector.h"

#include "conv_vector.h"
#include "vector_kernels.h"

#if defined(ICH_BF16)
#define NAME ICH_BASE_TEXT "-bf16"
#else
#define NAME ICH_BASE_TEXT
#endif

#define TABLE(suffix, text)                                                                                  \
    .name = text, .gemm = ICH_BASE(ich_gemm), .conv2d_packed = ICH_ISA(ich_conv2d_packed##suffix),           \
    .conv2d_scratch = ICH_ISA(ich_conv2d_scratch##suffix), .conv2d_pack = ICH_ISA(ich_conv2d_pack##suffix),  \
    .conv2d_forward = ICH_ISA(ich_conv2d_forward##suffix),                                                   \
    .conv2d_backward_data = ICH_ISA(ich_conv2d_backward_data##suffix),                                       \
    .conv2d_backward_weights = ICH_ISA(ich_conv2d_backward_weights##suffix),                                 \
    .channel_scratch = ICH_BASE(ich_channel_scratch), .channel_moments = ICH_BASE(ich_channel_moments),      \
    .channel_affine = ICH_BASE(ich_channel_affine), .channel_sum = ICH_BASE(ich_channel_sum),                \
    .batch_norm_sums = ICH_BASE(ich_batch_norm_sums),                                                        \
    .batch_norm_backward = ICH_BASE(ich_batch_norm_backward), .relu = ICH_BASE(ich_relu),                    \
    .relu_backward = ICH_BASE(ich_relu_backward), .sigmoid = ICH_BASE(ich_sigmoid),                          \
    .tanh = ICH_BASE(ich_tanh), .add = ICH_BASE(ich_add), .copy = ICH_BASE(ich_copy),                        \
    .max_pool = ICH_BASE(ich_max_pool), .max_pool_backward = ICH_BASE(ich_max_pool_backward),                \
    .global_average = ICH_BASE(ich_global_average),                                                          \
    .global_average_backward = ICH_BASE(ich_global_average_backward), .sgd = ICH_BASE(ich_sgd),              \
    .adamw = ICH_BASE(ich_adamw), .sum_squares = ICH_BASE(ich_sum_squares),                                  \
    .multiply_add_peak = ICH_BASE(ich_multiply_add_peak),

const ich_kernels_f32 ICH_ISA(ich_vector_kernels) = {TABLE(, NAME)};
const ich_kernels_f32 ICH_ISA(ich_vector_kernels_direct) = {TABLE(_direct, NAME "-direct")};
