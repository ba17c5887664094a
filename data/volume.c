/* Voxels: streamed from the file, scaled to Hounsfield units, laid down in the network's orientation.
 *
 * The voxels are read in pieces and never held in the file's own type, which could be four times as large.
 */
#include "volume_internal.h"
#include <errno.h>
#include <math.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    PIECE = 1 << 18,    /* bytes of rows read at once */
    BLOCK = 256,        /* voxels converted at once */
    MOST_PACKED = 1032, /* a byte of deflate never unpacks to more (zlib's technical details) */
    BOMB = 200,         /* … and of a CT to a tenth of this at most, if it is large: */
    LARGE = 1 << 28,    /* bytes */
    PACKED_SLACK = 1 << 12,
};

/* -- from any type to HU --------------------------------------------------------------------------------- */

#define DEFINE_LOAD(type)                                                                                    \
    static void load_##type(const void *from, int n, double *to) {                                           \
        const type *values = from;                                                                           \
        for (int i = 0; i < n; i++) to[i] = (double)values[i];                                               \
    }
DEFINE_LOAD(uint8_t)
DEFINE_LOAD(int8_t)
DEFINE_LOAD(uint16_t)
DEFINE_LOAD(int16_t)
DEFINE_LOAD(uint32_t)
DEFINE_LOAD(int32_t)
DEFINE_LOAD(uint64_t)
DEFINE_LOAD(int64_t)
DEFINE_LOAD(float)
DEFINE_LOAD(double)

typedef void (*load_function)(const void *from, int n, double *to);

static load_function load_of(int datatype) {
    static const struct {
        int datatype;
        load_function load;
    } table[] = {
        {NIFTI_TYPE_UINT8, load_uint8_t},   {NIFTI_TYPE_INT8, load_int8_t},
        {NIFTI_TYPE_UINT16, load_uint16_t}, {NIFTI_TYPE_INT16, load_int16_t},
        {NIFTI_TYPE_UINT32, load_uint32_t}, {NIFTI_TYPE_INT32, load_int32_t},
        {NIFTI_TYPE_UINT64, load_uint64_t}, {NIFTI_TYPE_INT64, load_int64_t},
        {NIFTI_TYPE_FLOAT32, load_float},   {NIFTI_TYPE_FLOAT64, load_double},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].datatype == datatype) return table[i].load;
    return NULL; /* cannot be: volume_header.c lets no other type through */
}

/* One row of the file, at any address, to HU `step` apart. Returns how many of its voxels are numbers. */
static int64_t convert_row(const ich_nifti *nifti, load_function load, const unsigned char *from, int n,
                           int16_t *to, ptrdiff_t step) {
    double values[BLOCK];
    int64_t numbers = 0;
    for (int done = 0; done < n; done += BLOCK) {
        const int count = n - done < BLOCK ? n - done : BLOCK;
        uint64_t aligned[BLOCK]; /* of the widest type */
        memcpy(aligned, from + (ptrdiff_t)done * nifti->voxel_bytes,
               (size_t)count * (size_t)nifti->voxel_bytes);
        if (nifti->swapped && nifti->voxel_bytes > 1) nifti_swap_Nbytes(count, nifti->voxel_bytes, aligned);
        load(aligned, count, values);
        for (int i = 0; i < count; i++) {
            double hu = values[i] * nifti->slope + nifti->inter;
            const bool number = hu == hu;
            numbers += number;
            hu = number ? hu : -1024; /* air */
            hu = hu < INT16_MIN ? INT16_MIN : hu > INT16_MAX ? INT16_MAX : hu;
            to[(done + i) * step] = (int16_t)lrint(hu);
        }
    }
    return numbers;
}

/* -- from the file --------------------------------------------------------------------------------------- */

typedef struct source {
    gzFile file;
    const char *path;
} source;

/* Opens the data file and holds the header's claim against its size, before memory is taken. */
static bool source_open(source *s, const ich_nifti *nifti, ich_error *err) {
    const int64_t voxels = (int64_t)nifti->dim[0] * nifti->dim[1] * nifti->dim[2];
    const int64_t claimed = nifti->offset + voxels * nifti->voxel_bytes;
    int64_t size;
    s->path = nifti->data_path;
    if (!ich_nifti_stat(s->path, &size, err)) return false;
    s->file = gzopen(s->path, "rb");
    if (!s->file)
        return ich_fail(err, "%s: cannot be read (%s): check its permissions", s->path, strerror(errno));
    gzbuffer(s->file, PIECE);
    const bool plain = gzdirect(s->file);
    const bool bomb = !plain && claimed > LARGE && size < claimed / BOMB;
    if (!bomb && (plain ? size >= claimed : size >= (claimed - PACKED_SLACK) / MOST_PACKED)) return true;
    gzclose(s->file);
    return ich_fail(err,
                    "%s: is truncated or its header lies: %d × %d × %d voxels take %lld bytes, and its %lld "
                    "%s: copy it again",
                    s->path, nifti->dim[0], nifti->dim[1], nifti->dim[2], (long long)claimed, (long long)size,
                    bomb    ? "packed ones can only hold emptiness"
                    : plain ? "cannot hold them"
                            : "packed ones cannot hold them");
}

static bool source_skip(const source *s, int64_t bytes, ich_error *err) {
    return gzseek(s->file, bytes, SEEK_SET) == bytes || ich_nifti_fail_read(s->file, s->path, err);
}

static bool source_read(const source *s, void *to, size_t bytes, ich_error *err) {
    for (unsigned char *next = to; bytes;) { /* gzread counts in int */
        const unsigned piece = bytes < PIECE ? (unsigned)bytes : PIECE;
        const int got = gzread(s->file, next, piece);
        if (got != (int)piece) return ich_nifti_fail_read(s->file, s->path, err);
        next += piece;
        bytes -= piece;
    }
    return true;
}

/* Reads past the last voxel, so that zlib meets the check sum behind it. */
static bool source_finish(const source *s, ich_error *err) {
    char more;
    int code;
    gzread(s->file, &more, 1);
    gzerror(s->file, &code);
    return code == Z_OK || code == Z_STREAM_END || ich_nifti_fail_read(s->file, s->path, err);
}

/* -- the volume ------------------------------------------------------------------------------------------ */

/* Reads all rows in stored order into their places; counts voxels that are numbers. */
static bool read_rows(ich_volume *volume, const ich_nifti *nifti, const source *s, int64_t *numbers,
                      ich_error *err) {
    const size_t row = (size_t)nifti->dim[0] * (size_t)nifti->voxel_bytes;
    const int64_t rows = (int64_t)nifti->dim[1] * nifti->dim[2];
    const int64_t at_once = row < PIECE ? (int64_t)(PIECE / row) : 1;
    const ich_strides at = ich_volume_strides(volume);
    const load_function load = load_of(nifti->datatype);
    unsigned char *piece = ich_new((size_t)(at_once < rows ? at_once : rows), row, s->path, err);
    bool done = piece && source_skip(s, nifti->offset, err);
    for (int64_t first = 0; done && first < rows; first += at_once) {
        const int64_t count = rows - first < at_once ? rows - first : at_once;
        done = source_read(s, piece, (size_t)count * row, err);
        for (int64_t r = first; done && r < first + count; r++) {
            const int64_t j = r % nifti->dim[1], k = r / nifti->dim[1];
            int16_t *to = volume->hu + at.first + j * at.step[1] + k * at.step[2];
            *numbers +=
                convert_row(nifti, load, piece + (size_t)(r - first) * row, nifti->dim[0], to, at.step[0]);
        }
    }
    free(piece);
    return done;
}

static bool read_voxels(ich_volume *volume, const ich_nifti *nifti, ich_error *err) {
    source s;
    if (!source_open(&s, nifti, err)) return false;
    int64_t numbers = 0;
    bool done = ich_volume_lay_out(volume, nifti->dim, nifti->affine, s.path, err) &&
                read_rows(volume, nifti, &s, &numbers, err) && source_finish(&s, err);
    gzclose(s.file);
    if (done && numbers == 0)
        done = ich_fail(err, "%s: holds no number, every voxel is NaN: convert it again from its source",
                        nifti->data_path);
    return done;
}

bool ich_volume_read(ich_volume *volume, const char *path, ich_error *err) {
    return ich_volume_read_scaled(volume, path, 1, err);
}

bool ich_volume_read_scaled(ich_volume *volume, const char *path, double factor, ich_error *err) {
    *volume = (ich_volume){0};
    ich_nifti nifti;
    if (!ich_nifti_read(&nifti, path, err)) return false;
    nifti.slope *= factor;
    nifti.inter *= factor;
    const bool done = read_voxels(volume, &nifti, err);
    ich_nifti_free(&nifti);
    if (!done) ich_volume_free(volume);
    return done;
}

int ich_volume_count_slices(const char *path) {
    ich_nifti nifti;
    int axis[3];
    bool flipped[3];
    if (!ich_nifti_read(&nifti, path, NULL)) return 0;
    ich_nifti_orient(nifti.affine, axis, flipped);
    const int slices = nifti.dim[axis[2]];
    ich_nifti_free(&nifti);
    return slices;
}

void ich_volume_free(ich_volume *volume) {
    free(volume->hu);
    *volume = (ich_volume){0};
}
