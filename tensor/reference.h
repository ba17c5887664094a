/* reference.h: the reference kernels' names, in the precision compiled for; for the reference files and
 * kernels.c only. */
#ifndef ICH_TENSOR_REFERENCE_H
#define ICH_TENSOR_REFERENCE_H

#include "real.h"

extern const ich_kernels_f32 ich_reference_kernels_f32;
extern const ich_kernels_f64 ich_reference_kernels_f64;

size_t ICH_NAME(ich_reference_conv_packed)(const ich_conv_shape *p, ich_direction direction);
size_t ICH_NAME(ich_reference_conv_scratch)(const ich_conv_shape *p, ich_direction direction);
void ICH_NAME(ich_reference_conv_pack)(const ich_conv_shape *p, ich_direction direction, const real *weight,
                                       real *packed);
void ICH_NAME(ich_reference_conv_forward)(const ich_conv_shape *p, const real *x, const real *w,
                                          const real *bias, const real *add, bool relu, real *y,
                                          real *scratch);
void ICH_NAME(ich_reference_conv_backward_data)(const ich_conv_shape *p, const real *dy, const real *w,
                                                bool accumulate, real *dx, real *scratch);
void ICH_NAME(ich_reference_conv_backward_weights)(const ich_conv_shape *p, const real *x, const real *dy,
                                                   real *dw, real *scratch);

#endif
