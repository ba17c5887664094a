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

/* How often a label says 1 of what is 0, and 0 of what is 1: each from 0 to below 1/2. */
typedef struct ich_label_noise {
    double false_positives, false_negatives;
} ich_label_noise;

/* The same against labels with errors: the loss of what the label is expected to be, given σ(x) (forward
 * correction: Patrini et al. 2017, arXiv 1609.03683, theorem 2). Without noise it is ich_loss_bce. */
double ich_loss_noisy_bce_f32(int rows, int labels, const float *logit, const float *target,
                              const float *weight, ich_label_noise noise, double scale, float *d_logit);
double ich_loss_noisy_bce_f64(int rows, int labels, const double *logit, const double *target,
                              const double *weight, ich_label_noise noise, double scale, double *d_logit);

#endif
