/* volume_internal.h: what the files of the volume reader share; nobody outside data/volume*.c and cache.c
 * includes it.
 *
 *   volume_header.c  names, header: what a file claims, checked
 *   volume_grid.c    affine, axes, and volumes out of memory
 *   volume.c         voxels: what a file holds
 *   volume_write.c   the way back
 */
#ifndef ICH_DATA_VOLUME_INTERNAL_H
#define ICH_DATA_VOLUME_INTERNAL_H

#include "volume.h"
#include <stddef.h>
#include <zlib.h>

/* What a header says, checked against the formats' rules, in this machine's byte order. */
typedef struct ich_nifti {
    char *header_path, *data_path; /* the same for a single file; fresh memory */
    bool swapped;                  /* voxels are in the other byte order */
    int datatype;                  /* NIFTI_TYPE_… of one number a voxel */
    int voxel_bytes;
    int dim[3];
    int64_t offset; /* of the first voxel in data_path */
    double slope, inter;
    double affine[4][4]; /* voxel -> mm, RAS; finite and invertible */
} ich_nifti;

/* Reads and checks the header of `path` (.nii, .nii.gz, .hdr, .img, …), not yet against the amount of data.
 */
bool ich_nifti_read(ich_nifti *nifti, const char *path, ich_error *err);
void ich_nifti_free(ich_nifti *nifti);

/* The files that make up the volume at `path`: header and data, in fresh memory, each NULL if memory is out.
 * Fails on a name that is neither NIfTI's nor Analyze's. */
bool ich_nifti_files(const char *path, char **header, char **data, ich_error *err);

/* Fails unless `path` is a regular file with something in it; gives its size. */
bool ich_nifti_stat(const char *path, int64_t *bytes, ich_error *err);

/* Says why the last read of a gzFile (zlib's, plain files too) gave less than was asked for; returns false.
 */
bool ich_nifti_fail_read(gzFile file, const char *path, ich_error *err);

enum { ICH_MAX_VOXELS = 1 << 29 }; /* 2,048 slices of 512 × 512: 1 GiB of HU */

/* Fails, naming `name`, on an affine that is not finite, is far off, or squashes its axes into a plane. */
bool ich_affine_check(const double affine[4][4], const char *name, ich_error *err);

/* For patient axis a (0: right-left, 1: front-back, 2: foot-head) the stored axis closest to it, and whether
 * the network's direction (L, P, S) runs against the stored one. */
void ich_nifti_orient(const double affine[4][4], int axis[3], bool flipped[3]);

/* Stored voxel (i, j, k) lies at first + i step[0] + j step[1] + k step[2] of the network's array. */
typedef struct ich_strides {
    ptrdiff_t first, step[3];
} ich_strides;
ich_strides ich_volume_strides(const ich_volume *volume);

/* The volume of a stored grid whose size and affine are checked; its voxels are zero. */
bool ich_volume_lay_out(ich_volume *volume, const int size[3], const double affine[4][4], const char *name,
                        ich_error *err);

#endif
