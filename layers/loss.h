/* loss.h: losses on logits, both precisions.
 *
 * Calls: tensor. Called by: train, infer/audit, tests.
 */
#ifndef ICH_LAYERS_LOSS_H
#define ICH_LAYERS_LOSS_H

/* Weighted binary cross-entropy on logits [rows, labels] against targets [rows, labels] in 0 … 1, NaN =
 * unknown: loss = scale · sum over rows and known labels of weight[l] · (max(x,0) - x t + log(1 + exp(-|x|)))
 *   d_logit = scale · weight[l] · (sigmoid(x) - t), 0 where unknown
 * d_logit may be NULL. Returns the loss. Weights and scale are chosen by the caller: RSNA's metric is
 * weight 2 for any, 1 for the types, scale 1 / (7 rows). */
double ich_loss_bce_f32(int rows, int labels, const float *logit, const float *target, const float *weight,
                        double scale, float *d_logit);
double ich_loss_bce_f64(int rows, int labels, const double *logit, const double *target, const double *weight,
                        double scale, double *d_logit);

#endif
