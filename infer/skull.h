/* skull.h: which part of a slice lies inside the skull, since blood that this is about does.
 *
 * A pixel is inside if bone lies beyond it in at least seven of eight directions (one may pass a surgeon's
 * hole), and it is itself neither bone nor air or fat. Blood's attenuation grows with its haemoglobin and
 * stays below 100 HU when clotted (New and Aronow 1976, Radiology 121:635); the skull's is several hundred.
 *
 * Calls: heatmap (grid), data (volume, preprocess). Called by: explain.
 */
#ifndef ICH_INFER_SKULL_H
#define ICH_INFER_SKULL_H

#include "infer/heatmap.h"

/* How much of each cell of `grid`, 0 … 1, is inside the skull in network slice z; all 1 where nothing is: a
 * slice above or below the skull, or no head. False only when memory is out. */
bool ich_skull_weigh(const ich_preprocess *preprocess, const ich_volume *volume, int z,
                     const ich_heatmap_grid *grid, float *weight, ich_error *err);

#endif
