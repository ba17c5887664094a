/* cam.h: class activation maps: which cells of a layer's maps speak for an answer.
 *
 * Of one slice: maps A and G = d answer / d A, both [cells][channels].
 *   Grad-CAM    heat_i = relu(sum over c of alpha_c A_ic), alpha_c = mean over i of G_ic
 *               Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2
 *   Grad-CAM++  alpha_c = sum over i of a_ic relu(G_ic), a = G² / (2 G² + G³ · sum over j of A_jc)
 *               Chattopadhay et al. 2018, arXiv 1710.11063, equations 5 and 19 (of exp(answer), whose factor
 * is the same in every cell and channel) LayerCAM    heat_i = relu(sum over c of relu(G_ic) A_ic) Jiang et
 * al. 2021, IEEE TIP 30:5875, equations 5 to 7
 *
 * Calls: nothing. Called by: explain.
 */
#ifndef ICH_INFER_CAM_H
#define ICH_INFER_CAM_H

/* `weights` [channels] is free to use. */
typedef void ich_cam_rule(int cells, int channels, const float *maps, const float *gradient, float *weights,
                          float *heat);
ich_cam_rule ich_cam_grad, ich_cam_grad_plus, ich_cam_layer;

/* weights[c] += mean over the cells of gradient. */
void ich_cam_add_mean(int cells, int channels, const float *gradient, float *weights);
/* heat_i = relu(sum over c of weights_c · maps_ic) */
void ich_cam_weigh(int cells, int channels, const float *maps, const float *weights, float *heat);

#endif
