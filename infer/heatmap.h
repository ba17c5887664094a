/* heatmap.h: where in the slices an answer comes from.
 *
 * Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) on the CNN's last feature maps A: alpha_c = mean over
 * space of d logit / d A_c; heat = max(0, sum over c of alpha_c · A_c). The logit is the study's, so the
 * gradient comes back through classifier, attention and BiLSTM, which train on study labels alone.
 *
 * The features are f_c = mean over space of A_c, so d logit / d A_c is the same everywhere, (d logit / d f_c)
 * / (h · w): no backward pass through the CNN is needed, only through the head.
 *
 * Calls: layers (graph), data (volume, preprocess, file), picture. Called by: study, predict.
 */
#ifndef ICH_INFER_HEATMAP_H
#define ICH_INFER_HEATMAP_H

#include "data/preprocess.h"
#include "data/volume.h"
#include "layers/graph.h"

/* Cells of the feature maps, and which input pixel (column or row) each is centred on:
 * pixel = offset + stride · cell. */
typedef struct ich_heatmap_grid {
    int height, width;
    float stride, offset;
} ich_heatmap_grid;

/* The grid of `node`, from the windows between it and `input`. Strided layers with symmetric padding centre
 * cell 0 on pixel 0, not half a cell inside: stretching the map over the square, as is often done, would
 * shift every finding by half a cell (1.7 cm on a head at stride 32). */
bool ich_heatmap_locate(const ich_graph *graph, int input, int node, ich_heatmap_grid *grid, ich_error *err);

/* maps [slices][cells][channels] and d logit / d features [slices][channels] -> heat [slices][cells], scaled
 * so that the study's largest is 1 (all 0 where nothing speaks for the label). */
void ich_heatmap_cam(int slices, int cells, int channels, const float *maps, const float *gradient,
                     float *heat);

/* One slice's heat [grid] onto the pixels of the volume's slice [height][width]: bilinear between the cells'
 * centres. */
bool ich_heatmap_place(const ich_preprocess *preprocess, const ich_volume *volume,
                       const ich_heatmap_grid *grid, const float *heat, float *out, ich_error *err);

/* Writes folder/<study_id>.nii.gz (0 … 1 on the input's own grid) and folder/<study_id>/<slice_index>.png
 * (the brain window with the heat over it) for every slice. */
bool ich_heatmap_write(const ich_preprocess *preprocess, const ich_volume *volume,
                       const ich_heatmap_grid *grid, const float *heat, const char *folder,
                       const char *study_id, ich_error *err);

#endif
