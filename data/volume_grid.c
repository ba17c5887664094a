/* Where voxels lie: the affine and whether to believe it, the way from the stored grid to the network's
 * orientation, and a volume out of numbers that are in memory already. */
#include "volume_internal.h"
#include <math.h>
#include <nifti2_io.h>
#include <string.h>

/* -- affine ---------------------------------------------------------------------------------------------- */

static double determinant(const double m[3][3]) {
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
           m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

static double spacing_of(const double affine[4][4], int axis) {
    return hypot(hypot(affine[0][axis], affine[1][axis]), affine[2][axis]);
}

/* Directions of the stored axes, as columns. */
static void directions(const double affine[4][4], double unit[3][3]) {
    for (int j = 0; j < 3; j++) {
        const double length =
            sqrt(affine[0][j] * affine[0][j] + affine[1][j] * affine[1][j] + affine[2][j] * affine[2][j]);
        for (int i = 0; i < 3; i++) unit[i][j] = affine[i][j] / length;
    }
}

bool ich_affine_check(const double affine[4][4], const char *name, ich_error *err) {
    static const double shortest = 1e-6, longest = 1e6; /* mm: also keeps squares finite */
    static const double farthest = 1e9;                 /* … and a NIfTI-1 header's floats, when written */
    static const double flat = 1e-4;                    /* gantry tilt leaves cos 30° = 0.87 */
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            if (!isfinite(affine[i][j]) || fabs(affine[i][j]) > farthest)
                return ich_fail(err, "%s: its affine holds %g: its header is damaged, convert it again", name,
                                affine[i][j]);
    for (int j = 0; j < 3; j++) {
        const double step = spacing_of(affine, j);
        if (!(step >= shortest && step <= longest))
            return ich_fail(err,
                            "%s: its affine is singular (axis %d has a spacing of %g mm): convert it again",
                            name, j + 1, step);
    }
    double unit[3][3];
    directions(affine, unit);
    if (fabs(determinant(unit)) < flat)
        return ich_fail(err, "%s: its affine is singular (its axes lie in a plane): convert it again", name);
    return true;
}

/* nibabel's io_orientation: the rotation closest to the affine (polar decomposition), then, for each stored
 * axis in turn, the patient axis it moves along most among those left; of two that it moves along alike, the
 * first, lest the last digit of a copy in floats decide. */
void ich_nifti_orient(const double affine[4][4], int axis[3], bool flipped[3]) {
    static const double alike = 1e-5;
    nifti_dmat33 m;
    directions(affine, m.m);
    m = nifti_dmat33_polar(m);
    bool taken[3] = {false};
    for (int stored = 0; stored < 3; stored++) {
        int best = -1;
        for (int i = 0; i < 3; i++)
            if (!taken[i] && (best < 0 || fabs(m.m[i][stored]) > fabs(m.m[best][stored]) + alike)) best = i;
        taken[best] = true;
        axis[best] = stored;
        const bool positive = m.m[best][stored] >= -alike; /* towards right, front, head in RAS terms */
        flipped[best] = best == 2 ? !positive : positive;  /* … whereas the network goes left, back, head */
    }
}

/* -- the two grids --------------------------------------------------------------------------------------- */

ich_strides ich_volume_strides(const ich_volume *volume) {
    const ptrdiff_t network[3] = {1, volume->width, (ptrdiff_t)volume->width * volume->height};
    ich_strides at = {0, {0}};
    for (int a = 0; a < 3; a++) {
        const int stored = volume->axis[a];
        at.step[stored] = volume->flipped[a] ? -network[a] : network[a];
        if (volume->flipped[a]) at.first += network[a] * (volume->stored[stored] - 1);
    }
    return at;
}

bool ich_volume_lay_out(ich_volume *volume, const int size[3], const double affine[4][4], const char *name,
                        ich_error *err) {
    *volume = (ich_volume){0};
    memcpy(volume->stored, size, sizeof volume->stored);
    memcpy(volume->affine, affine, sizeof volume->affine);
    ich_nifti_orient(affine, volume->axis, volume->flipped);
    volume->width = size[volume->axis[0]];
    volume->height = size[volume->axis[1]];
    volume->slices = size[volume->axis[2]];
    for (int a = 0; a < 3; a++) volume->spacing[a] = (float)spacing_of(affine, volume->axis[a]);
    const size_t slice = (size_t)volume->width * (size_t)volume->height;
    volume->hu = ich_new((size_t)volume->slices, slice * sizeof *volume->hu, name, err);
    return volume->hu != NULL;
}

int ich_volume_stored_slice(const ich_volume *volume, int z) {
    return volume->flipped[2] ? volume->slices - 1 - z : z;
}

/* -- from memory ----------------------------------------------------------------------------------------- */

static bool check_size(const int size[3], ich_error *err) {
    int64_t voxels = 1;
    for (int i = 0; i < 3; i++) {
        if (size[i] < 1 || voxels > ICH_MAX_VOXELS / size[i])
            return ich_fail(err, "the volume: has %d × %d × %d voxels: give 1 to 2^29, three axes", size[0],
                            size[1], size[2]);
        voxels *= size[i];
    }
    return true;
}

bool ich_volume_make(ich_volume *volume, const int size[3], const double affine[4][4], const int16_t *hu,
                     ich_error *err) {
    static const char name[] = "the volume";
    *volume = (ich_volume){0};
    if (!check_size(size, err) || !ich_affine_check(affine, name, err) ||
        !ich_volume_lay_out(volume, size, affine, name, err))
        return false;
    const ich_strides at = ich_volume_strides(volume);
    for (int k = 0; k < size[2]; k++)
        for (int j = 0; j < size[1]; j++) {
            int16_t *to = volume->hu + at.first + j * at.step[1] + k * at.step[2];
            for (int i = 0; i < size[0]; i++) to[i * at.step[0]] = *hu++;
        }
    return true;
}
