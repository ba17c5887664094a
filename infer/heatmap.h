/* heatmap.h: where a map's cells lie, and how its heat gets onto the scan: NIfTI and overlays.
 *
 * What the heat is, explain.h says.
 *
 * Calls: layers (graph), data (volume, preprocess, file), picture. Called by: skull, explain, study, predict.
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

/* A map on the cells of `from` -> out on the cells of `to`: bilinear between the cells' centres. */
bool ich_heatmap_regrid(const ich_heatmap_grid *from, const float *map, const ich_heatmap_grid *to,
                        float *out, ich_error *err);

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
