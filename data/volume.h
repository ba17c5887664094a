/* volume.h: one head CT in memory, in the network's orientation.
 *
 * Orientation by the affine: columns run from the patient's right to left, rows from front to back, slices
 * from foot to head (DICOM's LPS, radiological display: the patient's right is on the viewer's left). Oblique
 * affines are taken to the nearest axes. Input: any NIfTI-1/2 or Analyze pair (.nii, .nii.gz, .hdr/.img, also
 * .hdr.gz/.img.gz) of integers or floats; every size in the header is checked against the file before memory
 * is taken.
 *
 * Where the formats leave a choice, files mean what they mean to nibabel: the sform if its code is set, else
 * the qform, else the spacing alone, with the origin in the middle and the first axis running to the
 * patient's left (Analyze: always so, with SPM's origin and slope where given); slope 0 or NaN: no scaling.
 *
 * Calls: niftiio (structures, byte order, matrices), zlib, libdeflate, file. Called by: cache, infer/predict,
 * infer/heatmap.
 */
#ifndef ICH_DATA_VOLUME_H
#define ICH_DATA_VOLUME_H

#include "tensor/error.h"
#include <stdint.h>

typedef struct ich_volume {
    int width, height, slices; /* network orientation */
    float spacing[3];          /* mm along width, height, slices */
    int16_t *hu; /* [slices][height][width], Hounsfield units, clamped to -32768 … 32767; NaN in the file ->
                    -1024 */

    int stored[3];       /* the file's nx, ny, nz */
    int axis[3];         /* the stored axis (0, 1, 2) that width, height and slices run along */
    bool flipped[3];     /* … and whether against it */
    double affine[4][4]; /* stored voxel -> mm, RAS (NIfTI's) */
} ich_volume;

/* Fails with one line (file, what, cure) on a missing, truncated, non-NIfTI, 2-D, 4-D (more than one volume),
 * zero-size, all-NaN or lying file, on a singular or NaN affine, on more than 2^29 voxels, and on a
 * packed file that would unpack to hundreds of times its size and of MiB. */
bool ich_volume_read(ich_volume *volume, const char *path, ich_error *err);
/* The same for numbers that are no HU, such as a heatmap's: each times `factor` before it is rounded. */
bool ich_volume_read_scaled(ich_volume *volume, const char *path, double factor, ich_error *err);
/* The same out of memory: hu [size[2]][size[1]][size[0]], Hounsfield units on the stored grid in NIfTI's
 * order (the first axis runs fastest); affine: stored voxel -> mm, RAS. Copies. Fails on a size below 1, on
 * more than 2^29 voxels, and on an affine that is not finite or singular. */
bool ich_volume_make(ich_volume *volume, const int size[3], const double affine[4][4], const int16_t *hu,
                     ich_error *err);
void ich_volume_free(ich_volume *volume);

/* How many slices a volume has, by its header alone; 0 where that cannot be read or is refused. */
int ich_volume_count_slices(const char *path);

/* slice_index of the contract (along the stored third axis) of network slice z, and back. Where the slices do
 * not run along the third axis (a sagittally stored volume) it counts along the axis they do run along. */
int ich_volume_stored_slice(const ich_volume *volume, int z);

/* Writes int16 (hu) with its affine, or float32 values given in the network's orientation back on the stored
 * grid of `volume`. Path ends in .nii or .nii.gz; written whole or not at all. */
bool ich_volume_write_hu(const char *path, const int16_t *hu, int nx, int ny, int nz,
                         const double affine[4][4], ich_error *err);
/* The same for a volume that was read: on the grid it was stored on. */
bool ich_volume_write(const char *path, const ich_volume *volume, ich_error *err);
bool ich_volume_write_map(const char *path, const ich_volume *volume, const float *values, ich_error *err);

#endif
