/* preprocess.h: from Hounsfield units to what the network sees.
 *
 * Each slice: the window (centre, width) of each channel maps HU to 0 … 1, clipped; then an antialiased
 * (triangle filter, support scaled by the reduction, as in PIL and torch's antialias=True) resampling in
 * physical units onto a square of `size` pixels that covers the longer side, centred, padded with air; stored
 * as 8 bits. The network's input is (v/255 - 0.5) / 0.25. One code path serves training, prediction and
 * audit.
 *
 * Calls: volume, rng. Called by: cache, loader, infer.
 */
#ifndef ICH_DATA_PREPROCESS_H
#define ICH_DATA_PREPROCESS_H

#include "tensor/rng.h"
#include "volume.h"

enum { ICH_MAX_CHANNELS = 8 };

typedef struct ich_preprocess {
    int size;                                                /* pixels */
    int channels;                                            /* 3 */
    float center[ICH_MAX_CHANNELS], width[ICH_MAX_CHANNELS]; /* HU: 40/80, 80/200, 40/380 */
} ich_preprocess;

typedef struct ich_augment { /* each drawn uniformly from ± its value, once a slice or once a study */
    bool flip;               /* left-right, half of the time */
    float rotate;            /* degrees */
    float scale;             /* fraction */
    float shift;             /* fraction of the size */
    float hu;                /* offset, HU */
    float contrast;          /* fraction */
} ich_augment;

ich_preprocess ich_preprocess_default(int size);

/* Network slice z of the volume -> out [size][size][channels] bytes. False only when memory is out. */
bool ich_preprocess_slice(const ich_preprocess *p, const ich_volume *volume, int z, uint8_t *out,
                          ich_error *err);

/* Bytes -> network input [size][size][channels], normalised; with `augment` (NULL: none) warped and jittered
 * by rng. */
void ich_preprocess_finish(const ich_preprocess *p, const uint8_t *bytes, const ich_augment *augment,
                           ich_rng rng, float *out);

/* Place of an input pixel (column, row of the network's square) in the volume's slice, and the square's pixel
 * size in mm. */
void ich_preprocess_place(const ich_preprocess *p, const ich_volume *volume, float column, float row,
                          float *x, float *y, float *mm);

#endif
