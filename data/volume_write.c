/* Volumes to files: NIfTI-1, one file, compressed where the name says so.
 *
 * HU are packed in one go by libdeflate, which takes half of zlib's time (imports and phantoms are as fast as
 * this). Maps are packed row by row by zlib, since no second copy of one need fit into memory.
 */
#include "file.h"
#include "volume_internal.h"
#include <errno.h>
#include <libdeflate.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

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

/* -- HU -------------------------------------------------------------------------------------------------- */

static void put_number(FILE *stream, uint32_t value, int bytes) { /* gzip's order: the lowest byte first */
    for (int i = 0; i < bytes; i++) fputc((int)(value >> 8 * i & 0xff), stream);
}

/* A gzip file (RFC 1952) of one deflate stream (RFC 1951): the preamble as a stored block, so that it need
 * not stand before the voxels in memory, and the voxels' packed blocks. */
static bool put_packed(FILE *stream, const preamble *start, const int16_t *hu, size_t bytes) {
    static const unsigned char gzip[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    enum { FASTEST = 1 }; /* noise packs little better above it */
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(FASTEST);
    if (!compressor) return false;
    const size_t room = libdeflate_deflate_compress_bound(compressor, bytes);
    void *packed = malloc(room);
    const size_t count = packed ? libdeflate_deflate_compress(compressor, hu, bytes, packed, room) : 0;
    if (count > 0) {
        const uint32_t sum = libdeflate_crc32(libdeflate_crc32(0, start, sizeof *start), hu, bytes);
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

bool ich_volume_write_hu(const char *path, const int16_t *hu, int nx, int ny, int nz,
                         const double affine[4][4], ich_error *err) {
    const int dim[3] = {nx, ny, nz};
    const size_t bytes = (size_t)nx * (size_t)ny * (size_t)nz * sizeof *hu;
    bool packed;
    ich_output out;
    if (!check(path, dim, &packed, err) || !ich_output_open(&out, path, err)) return false;
    const preamble start = {.header = make_header(dim, NIFTI_TYPE_INT16, 8 * sizeof *hu, affine)};
    bool done = true;
    if (packed) {
        done = put_packed(out.stream, &start, hu, bytes) ||
               ich_fail(err, "%s: out of memory: packing its voxels", path);
    } else {
        fwrite(&start, sizeof start, 1, out.stream);
        fwrite(hu, 1, bytes, out.stream);
    }
    if (done) return ich_output_commit(&out, err); /* which looks at the stream's state */
    ich_output_abandon(&out);
    return false;
}

bool ich_volume_write(const char *path, const ich_volume *volume, ich_error *err) {
    const int *n = volume->stored;
    const ich_strides at = ich_volume_strides(volume);
    int16_t *stored = ich_new((size_t)n[0] * (size_t)n[1] * (size_t)n[2], sizeof *stored, path, err);
    if (!stored) return false;
    int16_t *to = stored;
    for (int k = 0; k < n[2]; k++)
        for (int j = 0; j < n[1]; j++) {
            const int16_t *from = volume->hu + at.first + j * at.step[1] + k * at.step[2];
            for (int i = 0; i < n[0]; i++) *to++ = from[i * at.step[0]];
        }
    const bool done = ich_volume_write_hu(path, stored, n[0], n[1], n[2], volume->affine, err);
    free(stored);
    return done;
}

/* -- maps ------------------------------------------------------------------------------------------------ */

/* A file that is being written: zlib writes through the stream's descriptor, packed or as it is. */
typedef struct writer {
    ich_output out;
    gzFile zipped;
} writer;

static bool writer_fail(writer *w, ich_error *err) {
    int code;
    const char *why = w->zipped ? gzerror(w->zipped, &code) : "";
    ich_fail(err, "%s: cannot be written (%s): check that the disk has room", w->out.path,
             *why ? why : strerror(errno));
    if (w->zipped) gzclose(w->zipped);
    ich_output_abandon(&w->out);
    return false;
}

static bool writer_open(writer *w, const char *path, const int dim[3], const double affine[4][4],
                        ich_error *err) {
    bool packed;
    if (!check(path, dim, &packed, err)) return false;
    *w = (writer){0};
    if (!ich_output_open(&w->out, path, err)) return false;
    int descriptor = dup(fileno(w->out.stream));
    /* Level 4: noise packs no better above it. T: no packing at all. */
    if (descriptor >= 0) w->zipped = gzdopen(descriptor, packed ? "wb4" : "wbT");
    if (!w->zipped) {
        if (descriptor >= 0) close(descriptor);
        return writer_fail(w, err);
    }
    const preamble start = {.header = make_header(dim, NIFTI_TYPE_FLOAT32, 8 * sizeof(float), affine)};
    return gzwrite(w->zipped, &start, sizeof start) == (int)sizeof start || writer_fail(w, err);
}

static bool writer_put(writer *w, const void *bytes, size_t count, ich_error *err) {
    return gzfwrite(bytes, 1, count, w->zipped) == count || writer_fail(w, err);
}

static bool writer_close(writer *w, ich_error *err) {
    int code = gzclose(w->zipped);
    w->zipped = NULL;
    if (code != Z_OK) return writer_fail(w, err);
    return ich_output_commit(&w->out, err);
}

bool ich_volume_write_map(const char *path, const ich_volume *volume, const float *values, ich_error *err) {
    const int *n = volume->stored;
    const ich_strides at = ich_volume_strides(volume);
    writer w;
    float *row = ich_new((size_t)n[0], sizeof *row, "a row of a map", err);
    if (!row) return false;
    bool done = writer_open(&w, path, n, volume->affine, err);
    for (int k = 0; done && k < n[2]; k++)
        for (int j = 0; done && j < n[1]; j++) {
            const float *from = values + at.first + j * at.step[1] + k * at.step[2];
            for (int i = 0; i < n[0]; i++) row[i] = from[i * at.step[0]];
            done = writer_put(&w, row, (size_t)n[0] * sizeof *row, err);
        }
    free(row);
    return done && writer_close(&w, err);
}
