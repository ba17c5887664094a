/* Volumes to files: NIfTI-1, one file, compressed where the name says so, in one go by libdeflate: it takes
 * less than half of zlib's time (imports, phantoms and heatmaps are as fast as this).
 */
#include "file.h"
#include "volume_internal.h"
#include <libdeflate.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DATA_OFFSET = 352 }; /* header, and four bytes that say: no extension */

static bool ends_with(const char *text, const char *tail) {
    size_t n = strlen(text), m = strlen(tail);
    return n > m && strcasecmp(text + n - m, tail) == 0;
}

/* The affine goes into the sform as it is; into the qform go its rotation and spacing, without shear, for
 * readers that look there only. */
static void put_affine(nifti_1_header *header, const double affine[4][4]) {
    nifti_dmat44 matrix;
    memcpy(matrix.m, affine, sizeof matrix.m);
    double b, c, d, x, y, z, dx, dy, dz, qfac;
    nifti_dmat44_to_quatern(matrix, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &qfac);
    header->qform_code = header->sform_code = NIFTI_XFORM_SCANNER_ANAT;
    header->quatern_b = (float)b, header->quatern_c = (float)c, header->quatern_d = (float)d;
    header->qoffset_x = (float)x, header->qoffset_y = (float)y, header->qoffset_z = (float)z;
    const double pixdim[4] = {qfac, dx, dy, dz};
    for (int i = 0; i < 4; i++) {
        header->pixdim[i] = (float)pixdim[i];
        header->srow_x[i] = (float)affine[0][i];
        header->srow_y[i] = (float)affine[1][i];
        header->srow_z[i] = (float)affine[2][i];
    }
}

static nifti_1_header make_header(const int dim[3], int datatype, int bits, const double affine[4][4]) {
    nifti_1_header header = {.sizeof_hdr = sizeof header, .regular = 'r'};
    header.dim[0] = 3;
    for (int i = 1; i < 8; i++) header.dim[i] = i < 4 ? (short)dim[i - 1] : 1;
    header.datatype = (short)datatype;
    header.bitpix = (short)bits;
    header.vox_offset = DATA_OFFSET;
    header.scl_slope = 1;
    header.xyzt_units = NIFTI_UNITS_MM;
    memcpy(header.magic, "n+1", 4);
    put_affine(&header, affine);
    return header;
}

/* The header, and four bytes that say: no extension. */
typedef struct preamble {
    nifti_1_header header;
    char no_extension[DATA_OFFSET - sizeof(nifti_1_header)];
} preamble;

static bool check(const char *path, const int dim[3], bool *packed, ich_error *err) {
    *packed = ends_with(path, ".nii.gz");
    if (!*packed && !ends_with(path, ".nii"))
        return ich_fail(err, "%s: a volume is written to a name that ends in .nii or .nii.gz", path);
    for (int i = 0; i < 3; i++)
        if (dim[i] < 1 || dim[i] > INT16_MAX)
            return ich_fail(err, "%s: NIfTI-1 holds 1 to 32767 voxels along an axis, not %d: resample it",
                            path, dim[i]);
    return true;
}

/* -- a file -----------------------------------------------------------------------------------------------
 */

static void put_number(FILE *stream, uint32_t value, int bytes) { /* gzip's order: the lowest byte first */
    for (int i = 0; i < bytes; i++) fputc((int)(value >> 8 * i & 0xff), stream);
}

/* A gzip file (RFC 1952) of one deflate stream (RFC 1951): the preamble as a stored block, so that it need
 * not stand before the voxels in memory, and the voxels' packed blocks. */
static bool put_packed(FILE *stream, const preamble *start, const void *voxels, size_t bytes) {
    static const unsigned char gzip[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    enum { FASTEST = 1 }; /* noise packs little better above it */
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(FASTEST);
    if (!compressor) return false;
    const size_t room = libdeflate_deflate_compress_bound(compressor, bytes);
    void *packed = malloc(room);
    const size_t count = packed ? libdeflate_deflate_compress(compressor, voxels, bytes, packed, room) : 0;
    if (count > 0) {
        const uint32_t sum = libdeflate_crc32(libdeflate_crc32(0, start, sizeof *start), voxels, bytes);
        fwrite(gzip, 1, sizeof gzip, stream);
        put_number(stream, 0, 1); /* stored, and not the last block */
        put_number(stream, sizeof *start, 2);
        put_number(stream, ~(uint32_t)sizeof *start, 2);
        fwrite(start, 1, sizeof *start, stream);
        fwrite(packed, 1, count, stream);
        put_number(stream, sum, 4);
        put_number(stream, (uint32_t)(sizeof *start + bytes), 4);
    }
    free(packed);
    libdeflate_free_compressor(compressor);
    return count > 0;
}

/* What a voxel is, in the file and in memory. */
typedef struct voxel_type {
    int datatype;
    size_t bytes;
} voxel_type;
static const voxel_type hu_type = {NIFTI_TYPE_INT16, sizeof(int16_t)};
static const voxel_type map_type = {NIFTI_TYPE_FLOAT32, sizeof(float)};

static bool write_voxels(const char *path, voxel_type type, const void *voxels, const int dim[3],
                         const double affine[4][4], ich_error *err) {
    const size_t bytes = (size_t)dim[0] * (size_t)dim[1] * (size_t)dim[2] * type.bytes;
    bool packed;
    ich_output out;
    if (!check(path, dim, &packed, err) || !ich_output_open(&out, path, err)) return false;
    const preamble start = {.header = make_header(dim, type.datatype, 8 * (int)type.bytes, affine)};
    bool done = true;
    if (packed) {
        done = put_packed(out.stream, &start, voxels, bytes) ||
               ich_fail(err, "%s: out of memory: packing its voxels", path);
    } else {
        fwrite(&start, sizeof start, 1, out.stream);
        fwrite(voxels, 1, bytes, out.stream);
    }
    if (done) return ich_output_commit(&out, err); /* which looks at the stream's state */
    ich_output_abandon(&out);
    return false;
}

bool ich_volume_write_hu(const char *path, const int16_t *hu, int nx, int ny, int nz,
                         const double affine[4][4], ich_error *err) {
    return write_voxels(path, hu_type, hu, (const int[3]){nx, ny, nz}, affine, err);
}

/* -- voxels in the order of the file that they came from ---------------------------------------------------
 */

static void copy_row(size_t bytes, int count, const unsigned char *from, int64_t step, unsigned char *to) {
    if (step == 1) {
        memcpy(to, from, (size_t)count * bytes);
        return;
    }
    step *= (int64_t)bytes;
    if (bytes == sizeof(float)) /* a size that the compiler knows: one move, not a call */
        for (int i = 0; i < count; i++)
            memcpy(to + (size_t)i * sizeof(float), from + i * step, sizeof(float));
    else
        for (int i = 0; i < count; i++)
            memcpy(to + (size_t)i * sizeof(int16_t), from + i * step, sizeof(int16_t));
}

/* `voxels` lie as the volume's HU do. */
static bool write_stored(const char *path, const ich_volume *volume, voxel_type type, const void *voxels,
                         ich_error *err) {
    const int *n = volume->stored;
    const ich_strides at = ich_volume_strides(volume);
    const size_t rows = (size_t)n[1] * (size_t)n[2];
    unsigned char *stored = ich_new((size_t)n[0] * rows, type.bytes, path, err), *to = stored;
    if (!stored) return false;
    for (size_t r = 0; r < rows; r++) {
        const int64_t j = (int64_t)(r % (size_t)n[1]), k = (int64_t)(r / (size_t)n[1]);
        const size_t row = (size_t)(at.first + j * at.step[1] + k * at.step[2]) * type.bytes;
        copy_row(type.bytes, n[0], (const unsigned char *)voxels + row, at.step[0], to);
        to += (size_t)n[0] * type.bytes;
    }
    const bool done = write_voxels(path, type, stored, n, volume->affine, err);
    free(stored);
    return done;
}

bool ich_volume_write(const char *path, const ich_volume *volume, ich_error *err) {
    return write_stored(path, volume, hu_type, volume->hu, err);
}

bool ich_volume_write_map(const char *path, const ich_volume *volume, const float *values, ich_error *err) {
    return write_stored(path, volume, map_type, values, err);
}
