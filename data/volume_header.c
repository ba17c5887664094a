/* What a NIfTI-1, NIfTI-2 or Analyze header says, and whether to believe it.
 *
 * niftiio trusts headers, takes memory by them, and prints; so the bytes are checked here first, and of
 * niftiio only what cannot fail is used: its structures, byte swapping and matrix functions. Where the
 * formats leave a choice, nibabel's reading is followed, so that a file means the same here and in Python.
 */
#include "volume_internal.h"
#include <errno.h>
#include <math.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

enum { NIFTI1_BYTES = 348, NIFTI2_BYTES = 540, MAGIC1 = 344, SPM_ORIGIN = 253, EXTENDER = 4 };

/* -- names ----------------------------------------------------------------------------------------------- */

typedef struct ending {
    const char *text;
    bool pair;
    int letter; /* of a pair: where hdr or img begins, from the end of the name */
} ending;
static const ending endings[] = {
    {".nii.gz", false, 0}, {".nii", false, 0},   {".hdr", true, 3},
    {".img", true, 3},     {".hdr.gz", true, 6}, {".img.gz", true, 6},
};

static const ending *ending_of(const char *path) {
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i].text);
        if (n > m && strcasecmp(path + n - m, endings[i].text) == 0) return &endings[i];
    }
    return NULL;
}

/* The name with hdr or img (`part`) in its place, in the case it had; packed or not, whichever exists. */
static char *pair_name(const char *path, const ending *end, const char *part) {
    static const char zip[] = ".gz";
    size_t stem = strlen(path) - (size_t)end->letter;
    char *name = malloc(stem + sizeof "img.gz");
    if (!name) return NULL;
    memcpy(name, path, stem);
    bool upper = path[stem] < 'a';
    for (int i = 0; i < 3; i++) name[stem + (size_t)i] = (char)(upper ? part[i] - 'a' + 'A' : part[i]);
    strcpy(name + stem + 3, end->letter == 6 ? zip : "");
    struct stat info;
    if (stat(name, &info) == 0) return name;
    strcpy(name + stem + 3, end->letter == 6 ? "" : zip);
    if (stat(name, &info) != 0) strcpy(name + stem + 3, end->letter == 6 ? zip : "");
    return name;
}

bool ich_nifti_files(const char *path, char **header, char **data, ich_error *err) {
    const ending *end = ending_of(path);
    *header = *data = NULL;
    if (!end) {
        struct stat info;
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            return ich_fail(err, "%s: is a folder, not a volume: name a .nii, .nii.gz, .hdr or .img file",
                            path);
        return ich_fail(err,
                        "%s: is no NIfTI or Analyze file by its name: convert it (dcm2niix does DICOM) to "
                        ".nii, .nii.gz or .hdr/.img",
                        path);
    }
    *header = end->pair ? pair_name(path, end, "hdr") : strdup(path);
    *data = end->pair ? pair_name(path, end, "img") : strdup(path);
    if (*header && *data) return true;
    free(*header);
    free(*data);
    *header = *data = NULL;
    return ich_fail(err, "%s: out of memory: its name", path);
}

bool ich_nifti_stat(const char *path, int64_t *bytes, ich_error *err) {
    struct stat info;
    if (stat(path, &info) != 0)
        return ich_fail(err, "%s: cannot be read (%s): check the path", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return ich_fail(err, "%s: is a folder, not a volume: name a .nii, .nii.gz, .hdr or .img file", path);
    if (!S_ISREG(info.st_mode)) return ich_fail(err, "%s: is no regular file: copy it to one first", path);
    if (info.st_size == 0) return ich_fail(err, "%s: is empty: copy it again from its source", path);
    *bytes = info.st_size;
    return true;
}

/* -- bytes ----------------------------------------------------------------------------------------------- */

bool ich_nifti_fail_read(gzFile file, const char *path, ich_error *err) {
    int code;
    gzerror(file, &code);
    if (code == Z_ERRNO)
        return ich_fail(err, "%s: cannot be read (%s): check the disk", path, strerror(errno));
    if (code == Z_DATA_ERROR)
        return ich_fail(err,
                        "%s: is damaged (its gzip data do not agree with their check sum or form): copy it "
                        "again from its source",
                        path);
    if (code == Z_MEM_ERROR) return ich_fail(err, "%s: out of memory: unpacking it", path);
    return ich_fail(err, "%s: is truncated: it ends before its last voxel: copy it again from its source",
                    path);
}

/* The first bytes of a file, unpacked if it is packed; short only at its end. */
static bool read_start(const char *path, unsigned char *bytes, int wanted, int *got, ich_error *err) {
    int64_t size;
    if (!ich_nifti_stat(path, &size, err)) return false;
    gzFile file = gzopen(path, "rb");
    if (!file) return ich_fail(err, "%s: cannot be read (%s): check its permissions", path, strerror(errno));
    *got = gzread(file, bytes, (unsigned)wanted);
    if (*got < 0) ich_nifti_fail_read(file, path, err);
    gzclose(file);
    return *got >= 0;
}

/* NIfTI-1, and the part of Analyze it grew from, in NIfTI-2's wider fields, so that one path checks both. */
static nifti_2_header widen(const nifti_1_header *h) {
    nifti_2_header wide = {.datatype = h->datatype,
                           .bitpix = h->bitpix,
                           .scl_slope = h->scl_slope,
                           .scl_inter = h->scl_inter,
                           .qform_code = h->qform_code,
                           .sform_code = h->sform_code,
                           .quatern_b = h->quatern_b,
                           .quatern_c = h->quatern_c,
                           .quatern_d = h->quatern_d,
                           .qoffset_x = h->qoffset_x,
                           .qoffset_y = h->qoffset_y,
                           .qoffset_z = h->qoffset_z};
    /* An offset is a number of bytes; one that is not becomes -1, which no file may have. */
    const float offset = h->vox_offset;
    wide.vox_offset = offset >= 0 && offset < 0x1p40f && offset == floorf(offset) ? (int64_t)offset : -1;
    for (int i = 0; i < 8; i++) wide.dim[i] = h->dim[i], wide.pixdim[i] = h->pixdim[i];
    for (int i = 0; i < 4; i++) {
        wide.srow_x[i] = h->srow_x[i];
        wide.srow_y[i] = h->srow_y[i];
        wide.srow_z[i] = h->srow_z[i];
    }
    return wide;
}

typedef enum format { SINGLE, PAIR, ANALYZE } format;

typedef struct raw_header {
    nifti_2_header h;
    format format;
    int version;
    bool swapped;
    int16_t origin[3]; /* Analyze: SPM's voxel of origin, from 1 */
} raw_header;

static void parse1(const unsigned char *bytes, raw_header *raw) {
    nifti_1_header narrow;
    memcpy(&narrow, bytes, sizeof narrow);
    memcpy(raw->origin, bytes + SPM_ORIGIN, sizeof raw->origin);
    if (raw->swapped) {
        swap_nifti_header(&narrow, 1);
        nifti_swap_2bytes(3, raw->origin);
    }
    raw->h = widen(&narrow);
    raw->format = memcmp(bytes + MAGIC1, "n+1", 4) == 0   ? SINGLE
                  : memcmp(bytes + MAGIC1, "ni1", 4) == 0 ? PAIR
                                                          : ANALYZE;
}

static bool parse2(const char *path, const unsigned char *bytes, raw_header *raw, ich_error *err) {
    memcpy(&raw->h, bytes, sizeof raw->h);
    if (raw->swapped) swap_nifti_header(&raw->h, 2);
    raw->format = raw->h.magic[1] == '+' ? SINGLE : PAIR;
    if (memcmp(bytes + 4, raw->format == SINGLE ? "n+2\0\r\n\032\n" : "ni2\0\r\n\032\n", 8) != 0)
        return ich_fail(
            err, "%s: has a NIfTI-2 header with a damaged signature: copy it again, in binary mode", path);
    return true;
}

static bool parse(const char *path, bool pair, raw_header *raw, ich_error *err) {
    unsigned char bytes[NIFTI2_BYTES];
    int got = 0;
    if (!read_start(path, bytes, sizeof bytes, &got, err)) return false;
    int32_t size = 0;
    if (got >= (int)sizeof size) memcpy(&size, bytes, sizeof size);
    const int32_t other = (int32_t)__builtin_bswap32((uint32_t)size);
    raw->swapped = other == NIFTI1_BYTES || other == NIFTI2_BYTES;
    if (raw->swapped) size = other;
    if (size != NIFTI1_BYTES && size != NIFTI2_BYTES)
        return ich_fail(
            err,
            "%s: is not a NIfTI or Analyze file (its first number is neither 348 nor 540): convert "
            "it, for instance with dcm2niix",
            path);
    if (got < size)
        return ich_fail(err, "%s: is truncated: it ends after %d of the header's %d bytes: copy it again",
                        path, got, size);
    raw->version = size == NIFTI2_BYTES ? 2 : 1;
    if (raw->version == 1)
        parse1(bytes, raw);
    else if (!parse2(path, bytes, raw, err))
        return false;
    if (!pair && raw->format == ANALYZE)
        return ich_fail(err,
                        "%s: is not a NIfTI file (no \"n+1\" at byte 344): convert it, for instance with "
                        "dcm2niix",
                        path);
    if (!pair && raw->format == PAIR)
        return ich_fail(
            err, "%s: says that its voxels are in an .img file: rename it to .hdr and put that beside", path);
    if (pair && raw->format == SINGLE)
        return ich_fail(err, "%s: says that its voxels are in the same file: rename it to .nii", path);
    return true;
}

/* -- size and type --------------------------------------------------------------------------------------- */

static bool check_dims(const char *path, const int64_t dim[8], int out[3], ich_error *err) {
    if (dim[0] < 1 || dim[0] > 7)
        return ich_fail(err, "%s: its header claims %lld dimensions: it is damaged, copy it again", path,
                        (long long)dim[0]);
    if (dim[0] < 3)
        return ich_fail(err,
                        "%s: is %lld-D, one picture: join a scan's slices into one volume (dcm2niix does)",
                        path, (long long)dim[0]);
    for (int i = 1; i <= dim[0]; i++)
        if (dim[i] < 1)
            return ich_fail(err, "%s: has %lld voxels along axis %d, so it holds nothing: convert it again",
                            path, (long long)dim[i], i);
    for (int i = 4; i <= dim[0]; i++)
        if (dim[i] > 1)
            return ich_fail(
                err, "%s: is %lld-D, %lld volumes along axis %d: take out the one to read (fslroi does)",
                path, (long long)dim[0], (long long)dim[i], i);
    int64_t voxels = 1;
    for (int i = 0; i < 3; i++) {
        if (dim[i + 1] > INT32_MAX || voxels > ICH_MAX_VOXELS / dim[i + 1])
            return ich_fail(err,
                            "%s: claims %lld × %lld × %lld voxels, above the limit of 2^29: its header is "
                            "damaged, or resample it",
                            path, (long long)dim[1], (long long)dim[2], (long long)dim[3]);
        out[i] = (int)dim[i + 1];
        voxels *= dim[i + 1];
    }
    return true;
}

static bool check_type(const char *path, const nifti_2_header *h, ich_nifti *nifti, ich_error *err) {
    switch (h->datatype) {
    case NIFTI_TYPE_UINT8:
    case NIFTI_TYPE_INT8:
        nifti->voxel_bytes = 1;
        break;
    case NIFTI_TYPE_UINT16:
    case NIFTI_TYPE_INT16:
        nifti->voxel_bytes = 2;
        break;
    case NIFTI_TYPE_UINT32:
    case NIFTI_TYPE_INT32:
    case NIFTI_TYPE_FLOAT32:
        nifti->voxel_bytes = 4;
        break;
    case NIFTI_TYPE_UINT64:
    case NIFTI_TYPE_INT64:
    case NIFTI_TYPE_FLOAT64:
        nifti->voxel_bytes = 8;
        break;
    default:
        return ich_fail(
            err,
            "%s: has voxels of type %d (%s), not one integer or float of up to 64 bits each: convert "
            "it to int16",
            path, h->datatype, nifti_datatype_string(h->datatype));
    }
    if (h->bitpix != 8 * nifti->voxel_bytes)
        return ich_fail(err, "%s: claims %d bits a voxel, but its type %s has %d: its header is damaged",
                        path, h->bitpix, nifti_datatype_string(h->datatype), 8 * nifti->voxel_bytes);
    nifti->datatype = h->datatype;
    return true;
}

/* NIfTI: slope 0 means none, and so does NaN, which nibabel and others write for it. Analyze has no scaling
 * of its own; SPM put its slope into the same place, where an intercept is optional. */
static bool check_scaling(const char *path, const raw_header *raw, ich_nifti *nifti, ich_error *err) {
    nifti->slope = 1, nifti->inter = 0;
    const double slope = raw->h.scl_slope, inter = raw->h.scl_inter;
    if (slope == 0 || isnan(slope)) return true;
    if (raw->format == ANALYZE && !isfinite(slope)) return true;
    const bool no_intercept = raw->format == ANALYZE && !isfinite(inter);
    if (!isfinite(slope) || (!isfinite(inter) && !no_intercept))
        return ich_fail(err, "%s: scales its voxels by slope %g and intercept %g: its header is damaged",
                        path, slope, inter);
    nifti->slope = slope;
    nifti->inter = no_intercept ? 0 : inter;
    return true;
}

static bool check_offset(const char *path, const raw_header *raw, ich_nifti *nifti, ich_error *err) {
    const int64_t header = (raw->version == 2 ? NIFTI2_BYTES : NIFTI1_BYTES) + EXTENDER;
    const int64_t least = raw->format == SINGLE ? header : 0;
    if (raw->h.vox_offset < least || raw->h.vox_offset >= (int64_t)1 << 40)
        return ich_fail(err,
                        "%s: its header puts the voxels in an impossible place (vox_offset; at least %lld): "
                        "it is damaged, convert it again",
                        path, (long long)least);
    nifti->offset = raw->h.vox_offset;
    return true;
}

/* -- affine ---------------------------------------------------------------------------------------------- */

/* Without a form: spacing only, with the origin at the volume's centre (Analyze: or SPM's voxel). The first
 * axis then runs to the patient's left, as SPM and nibabel read it, Analyze and NIfTI alike. */
static nifti_dmat44 base_affine(const raw_header *raw, const double spacing[3]) {
    nifti_dmat44 m = {{{0}}};
    bool use_origin = false;
    if (raw->format == ANALYZE) {
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            use_origin |= raw->origin[i] != 0;
            inside &= raw->origin[i] > -raw->h.dim[i + 1] && raw->origin[i] < 2 * raw->h.dim[i + 1];
        }
        use_origin &= inside;
    }
    for (int i = 0; i < 3; i++) {
        const double voxel = use_origin ? raw->origin[i] - 1 : (double)(raw->h.dim[i + 1] - 1) / 2;
        m.m[i][i] = i == 0 ? -spacing[i] : spacing[i];
        m.m[i][3] = -voxel * m.m[i][i];
    }
    m.m[3][3] = 1;
    return m;
}

static nifti_dmat44 choose_affine(const raw_header *raw) {
    const nifti_2_header *h = &raw->h;
    double spacing[3];
    for (int i = 0; i < 3; i++) /* as nibabel mends them */
        spacing[i] = h->pixdim[i + 1] == 0 ? 1 : fabs(h->pixdim[i + 1]);
    if (raw->format == ANALYZE) return base_affine(raw, spacing);
    if (h->sform_code > 0) {
        nifti_dmat44 m = {{{0}, {0}, {0}, {0, 0, 0, 1}}};
        memcpy(m.m[0], h->srow_x, sizeof m.m[0]);
        memcpy(m.m[1], h->srow_y, sizeof m.m[1]);
        memcpy(m.m[2], h->srow_z, sizeof m.m[2]);
        return m;
    }
    if (h->qform_code > 0)
        return nifti_quatern_to_dmat44(h->quatern_b, h->quatern_c, h->quatern_d, h->qoffset_x, h->qoffset_y,
                                       h->qoffset_z, spacing[0], spacing[1], spacing[2], h->pixdim[0]);
    return base_affine(raw, spacing);
}

static bool check_affine(const char *path, const raw_header *raw, ich_nifti *nifti, ich_error *err) {
    const nifti_dmat44 m = choose_affine(raw);
    memcpy(nifti->affine, m.m, sizeof nifti->affine);
    return ich_affine_check(nifti->affine, path, err);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static bool check_header(ich_nifti *nifti, const raw_header *raw, ich_error *err) {
    const char *path = nifti->header_path;
    return check_dims(path, raw->h.dim, nifti->dim, err) && check_type(path, &raw->h, nifti, err) &&
           check_scaling(path, raw, nifti, err) && check_offset(path, raw, nifti, err) &&
           check_affine(path, raw, nifti, err);
}

bool ich_nifti_read(ich_nifti *nifti, const char *path, ich_error *err) {
    *nifti = (ich_nifti){0};
    if (!ich_nifti_files(path, &nifti->header_path, &nifti->data_path, err)) return false;
    raw_header raw = {0};
    bool done = parse(nifti->header_path, strcmp(nifti->header_path, nifti->data_path) != 0, &raw, err) &&
                check_header(nifti, &raw, err);
    nifti->swapped = raw.swapped;
    if (!done) ich_nifti_free(nifti);
    return done;
}

void ich_nifti_free(ich_nifti *nifti) {
    free(nifti->header_path);
    free(nifti->data_path);
    *nifti = (ich_nifti){0};
}
