/* real.h: one source, two precisions.
 *
 * The reference kernels and every layer are compiled twice: as they stand for float, the type that
 * trains and predicts; and with -DICH_DOUBLE for double, the type that checks gradients. A file says
 * `real` for its numbers and ICH_NAME(x) for the few symbols it exports.
 * Use <tgmath.h> for exp, tanh, sqrt: it follows the type.
 */
#ifndef ICH_TENSOR_REAL_H
#define ICH_TENSOR_REAL_H

#include "kernels.h"

#ifdef ICH_DOUBLE
typedef double real;
typedef ich_kernels_f64 ich_kernels;
#define ICH_NAME(symbol) symbol##_f64
#else
typedef float real;
typedef ich_kernels_f32 ich_kernels;
#define ICH_NAME(symbol) symbol##_f32
#endif

#endif
