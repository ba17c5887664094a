/* gp.h: the kernel of the Gaussian-process layer, which its export needs as well (formulas: gp.c).
 *
 * Calls: tensor. Called by: gp.c, infer/export.
 */
#ifndef ICH_LAYERS_GP_H
#define ICH_LAYERS_GP_H

/* Length scale of the kernel for points of `features` numbers from -1 to 1. */
double ich_gp_length(int features);

/* w [points][points] = L⁻¹, lower triangular, where L Lᵀ is the kernel matrix of the inducing points z
 * [points][features]. */
void ich_gp_whiten_f32(int points, int features, const float *z, double *w);
void ich_gp_whiten_f64(int points, int features, const double *z, double *w);

#endif
