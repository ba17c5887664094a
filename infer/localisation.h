/* localisation.h: heatmaps and attention against masks: rows of metrics.csv.
 *
 * TRUTH/masks/<study_id>.nii.gz, on the scan's grid: 0, or the type of hemorrhage (1 … 5, in the order of the
 * label columns), as `ichor synth --masks` writes them; PREDICTIONS/heatmaps/<study_id>.nii.gz as predict
 * does. What bleeds is the label that the heatmaps explain (about.csv): any type, or one.
 *
 *   pointing_game   share of slices whose hottest spot lies in the bleed or within 3 mm of it, in the slice's
 *                   plane; a slice without heat misses. Zhang et al. 2016, arXiv 1608.00507.
 *                   Level slice: those that bleed and are called positive, and (…_all) all that bleed.
 *                   Level study: the slice of most attention, of studies that bleed and are called positive;
 *                   a slice that does not bleed misses
 *   hit_rate_top_K  share of studies that bleed, one of whose K slices of most attention does
 *   dice_at_T       2 |heat ≥ T and bleed| / (|heat ≥ T| + |bleed|) over a study's voxels (Dice 1945), the
 *                   mean over the studies that bleed
 *
 * Calls: stats, tables, data (csv, file, volume). Called by: evaluate.
 */
#ifndef ICH_INFER_LOCALISATION_H
#define ICH_INFER_LOCALISATION_H

#include "infer/tables.h"
#include <stdio.h>

/* Adds the rows of the studies that take part; none where the truth has no masks, or no predicted study has
 * both mask and heatmap. A score ≥ `threshold` is called positive. Fails on a mask or heatmap that cannot be
 * read, or not laid over the other.
 */
bool ich_localisation_write(const char *predictions, const char *truth, ich_part part, double threshold,
                            FILE *metrics, ich_error *err);

#endif
