/* What the elements of a DICOM file mean. Section numbers are those of DICOM PS3.3 (2023) where no other part
 * is named.
 */
#include "dicom.h"
#include "dicom_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IMAGE_TYPE = 0x00080008,
    SOP_CLASS = 0x00080016,
    SOP_INSTANCE = 0x00080018,
    ACCESSION = 0x00080050,
    MODALITY = 0x00080060,
    SERIES_DESCRIPTION = 0x0008103e,
    FRAME_TYPE = 0x00089007,
    PATIENT_ID = 0x00100020,
    CONTRAST_AGENT = 0x00180010,
    SLICE_THICKNESS = 0x00180050,
    SLICE_DISTANCE = 0x00180088,
    KERNEL = 0x00181210,
    FRAME_TYPE_GROUP = 0x00189329,
    STUDY_INSTANCE = 0x0020000d,
    SERIES_INSTANCE = 0x0020000e,
    SERIES_NUMBER = 0x00200011,
    ACQUISITION_NUMBER = 0x00200012,
    INSTANCE_NUMBER = 0x00200013,
    POSITION = 0x00200032,
    ORIENTATION = 0x00200037,
    POSITION_GROUP = 0x00209113,
    ORIENTATION_GROUP = 0x00209116,
    SAMPLES = 0x00280002,
    PHOTOMETRIC = 0x00280004,
    FRAMES = 0x00280008,
    ROWS = 0x00280010,
    COLUMNS = 0x00280011,
    PIXEL_SPACING = 0x00280030,
    BITS_ALLOCATED = 0x00280100,
    BITS_STORED = 0x00280101,
    HIGH_BIT = 0x00280102,
    PIXEL_SIGN = 0x00280103,
    PADDING = 0x00280120,
    PADDING_LIMIT = 0x00280121,
    INTERCEPT = 0x00281052,
    SLOPE = 0x00281053,
    MODALITY_LUT = 0x00283000,
    MEASURES_GROUP = 0x00289110,
    RESCALE_GROUP = 0x00289145,
    SHARED_GROUPS = 0x52009229,
    FRAME_GROUPS = 0x52009230,
};
enum { LONG_TEXT = 512 };
static const int64_t most_voxels = (int64_t)1 << 29; /* of a file: 2,048 slices of 512 × 512 */

#define AGAIN "it is damaged, copy it again from its source"

/* -- elements -------------------------------------------------------------------------------------------- */

static bool get_text(const ich_dicom *d, uint32_t tag, char *text, size_t size) {
    return ich_dcm_text(d->dcm, 0, ICH_DCM_DATASET, tag, text, size);
}

/* `n` finite numbers of an element, of the frame's functional group if it has one, else of the data set. */
static bool get_numbers(const ich_dicom *d, int frame, uint32_t group, uint32_t tag, int n, double *to) {
    char text[LONG_TEXT];
    if (!ich_dcm_text(d->dcm, frame, group, tag, text, sizeof text) && !get_text(d, tag, text, sizeof text))
        return false;
    char *next = text;
    for (int i = 0; i < n; i++) {
        char *end;
        to[i] = strtod(next, &end);
        if (end == next || !isfinite(to[i])) return false;
        next = end + strspn(end, " ");
        if (i + 1 < n && *next++ != '\\') return false;
    }
    return true;
}

/* Leaves `to` as it is where the element is absent or empty; fails where it is no number. */
static bool get_optional(const ich_dicom *d, int frame, uint32_t group, uint32_t tag, double *to) {
    char text[LONG_TEXT];
    if (!ich_dcm_text(d->dcm, frame, group, tag, text, sizeof text) && !get_text(d, tag, text, sizeof text))
        return true;
    return get_numbers(d, frame, group, tag, 1, to);
}

static int get_int(const ich_dicom *d, uint32_t tag, int otherwise) {
    double value;
    if (!get_numbers(d, 0, ICH_DCM_DATASET, tag, 1, &value) || fabs(value) > INT32_MAX) return otherwise;
    return (int)value;
}

/* -- is it a CT picture? --------------------------------------------------------------------------------- */

/* A file that cannot be DICOM is not handed to the parser, which would search it for elements. Files without
 * the preamble (PS3.10 7.1) begin with an element of a low group, in either byte order. */
static bool check_start(const char *path, ich_error *err) {
    unsigned char b[132] = {0};
    struct stat info;
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0)
        return ich_fail(err, "%s: cannot be read (%s): check its permissions", path, strerror(errno));
    const bool regular = fstat(file, &info) == 0 && S_ISREG(info.st_mode);
    const ssize_t got = regular ? read(file, b, sizeof b) : 0;
    close(file);
    if (!regular) return ich_fail(err, "%s: is no regular file: copy it to one first", path);
    const bool marked = got == sizeof b && !memcmp(b + 128, "DICM", 4);
    const bool bare = got == sizeof b &&
                      ((b[1] == 0 && (b[0] == 2 || b[0] == 8)) || (b[0] == 0 && (b[1] == 2 || b[1] == 8)));
    return marked || bare || ich_fail(err, "%s: is no DICOM file", path);
}

static bool check_class(const ich_dicom *d, ich_error *err) {
    static const char ct[] =
        "1.2.840.10008.5.1.4.1.1.2"; /* CT; .1: enhanced, .2: legacy converted enhanced */
    static const char capture[] = "1.2.840.10008.5.1.4.1.1.7";
    char class[ICH_DICOM_TEXT], modality[ICH_DICOM_TEXT];
    const bool has_class = get_text(d, SOP_CLASS, class, sizeof class); /* RSNA's files have none */
    const bool has_modality = get_text(d, MODALITY, modality, sizeof modality);
    if (has_class && !strncmp(class, capture, sizeof capture - 1) && strchr(".", class[sizeof capture - 1]))
        return ich_fail(err, "%s: is a secondary capture, a picture of a screen, not CT numbers", d->path);
    if (has_modality && strcmp(modality, "CT") != 0)
        return ich_fail(err, "%s: is of modality %s, not CT", d->path, modality);
    const bool is_ct = has_class && !strncmp(class, ct, sizeof ct - 1) && strchr(".", class[sizeof ct - 1]);
    if (has_class ? is_ct : has_modality) return true;
    return ich_fail(err,
                    has_class ? "%s: is no CT picture (its SOP class is %s)"
                              : "%s: does not say what it is (no modality, no SOP class)%s",
                    d->path, has_class ? class : "");
}

/* One of the values of a text is `word`. */
static bool has_value(const char *text, const char *word) {
    const size_t n = strlen(word);
    for (const char *at = text; at; at = strchr(at, '\\') ? strchr(at, '\\') + 1 : NULL)
        if (!strncasecmp(at, word, n) && (at[n] == '\0' || at[n] == '\\')) return true;
    return false;
}

static bool check_type(const ich_dicom *d, ich_error *err) {
    static const char *const plans[] = {"LOCALIZER", "SCOUT", "TOPOGRAM"};
    static const char *const captures[] = {"SCREEN SAVE", "DOSE_INFO", "DOSE INFO"};
    char type[2][LONG_TEXT];
    get_text(d, IMAGE_TYPE, type[0], LONG_TEXT);
    ich_dcm_text(d->dcm, 0, FRAME_TYPE_GROUP, FRAME_TYPE, type[1], LONG_TEXT);
    for (int t = 0; t < 2; t++) {
        for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
            if (has_value(type[t], plans[i]))
                return ich_fail(err, "%s: is a localizer, a projection to plan the scan by", d->path);
        for (size_t i = 0; i < sizeof captures / sizeof *captures; i++)
            if (has_value(type[t], captures[i]))
                return ich_fail(err, "%s: is a secondary capture, a picture of a screen, not CT numbers",
                                d->path);
    }
    return true;
}

/* -- pixels' form ---------------------------------------------------------------------------------------- */

static bool check_colour(const ich_dicom *d, ich_error *err) {
    char photometric[ICH_DICOM_TEXT];
    if (get_int(d, SAMPLES, 1) != 1) return ich_fail(err, "%s: is a colour picture, not CT numbers", d->path);
    if (get_text(d, PHOTOMETRIC, photometric, sizeof photometric) &&
        strncmp(photometric, "MONOCHROME", 10) != 0)
        return ich_fail(err, "%s: is a picture in %s, not CT numbers", d->path, photometric);
    if (ich_dcm_has(d->dcm, MODALITY_LUT))
        return ich_fail(err, "%s: gives its CT numbers by a lookup table, which is not supported", d->path);
    return true;
}

static bool read_shape(ich_dicom *d, ich_error *err) {
    d->rows = get_int(d, ROWS, 0), d->columns = get_int(d, COLUMNS, 0);
    d->frames = get_int(d, FRAMES, 1);
    if (d->rows < 1 || d->columns < 1 || d->frames < 1)
        return ich_fail(err, "%s: has no picture: %d frames of %d × %d pixels", d->path, d->frames,
                        d->columns, d->rows);
    if (d->rows > ICH_DICOM_MOST_SIDE || d->columns > ICH_DICOM_MOST_SIDE ||
        d->frames > ICH_DICOM_MOST_FRAMES || (int64_t)d->rows * d->columns > most_voxels / d->frames)
        return ich_fail(err, "%s: claims %d frames of %d × %d pixels, more than any head CT: " AGAIN, d->path,
                        d->frames, d->columns, d->rows);
    return true;
}

static bool read_bits(ich_dicom *d, ich_error *err) {
    d->bits_allocated = get_int(d, BITS_ALLOCATED, 0);
    d->bits_stored = get_int(d, BITS_STORED, d->bits_allocated);
    d->high_bit = get_int(d, HIGH_BIT, d->bits_stored - 1);
    d->is_signed = get_int(d, PIXEL_SIGN, 0) == 1;
    if (d->bits_allocated != 8 && d->bits_allocated != 16)
        return ich_fail(err, "%s: has pixels of %d bits: only 8 and 16 are supported", d->path,
                        d->bits_allocated);
    if (d->bits_stored < 1 || d->bits_stored > d->bits_allocated || d->high_bit >= d->bits_allocated ||
        d->high_bit < d->bits_stored - 1)
        return ich_fail(err, "%s: stores %d bits below bit %d of %d: " AGAIN, d->path, d->bits_stored,
                        d->high_bit, d->bits_allocated);
    return true;
}

/* C.7.5.1.1.2: a value, or all values between two. Given signed or unsigned, as the pixels are; but some
 * writers get the sign wrong, so only the 16 bits count. */
static void read_padding(ich_dicom *d) {
    d->has_padding = ich_dcm_has(d->dcm, PADDING);
    if (!d->has_padding) return;
    const int a = get_int(d, PADDING, INT32_MAX), b = get_int(d, PADDING_LIMIT, a);
    const int from = d->is_signed ? (int16_t)a : (uint16_t)a, to = d->is_signed ? (int16_t)b : (uint16_t)b;
    d->has_padding = a != INT32_MAX;
    d->padding[0] = from < to ? from : to;
    d->padding[1] = from < to ? to : from;
}

/* -- identity -------------------------------------------------------------------------------------------- */

static bool contains_any(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strcasestr(text, *words)) return true;
    return false;
}

/* Kernels that sharpen for bone, by the makers' names: GE's words, Siemens' two digits from 60 (H60s, Hr68h),
 * Canon's FC30 and up. Only a choice between series depends on it. */
static bool is_sharp(const char *kernel, const char *description) {
    static const char *const words[] = {"BONE", "EDGE", "LUNG", "DETAIL", NULL};
    if (contains_any(kernel, words) || strcasestr(description, "BONE")) return true;
    const size_t letters = strcspn(kernel, "0123456789");
    const int number = atoi(kernel + letters);
    return letters <= 2 && number >= (strncasecmp(kernel, "FC", 2) == 0 ? 30 : 60);
}

static bool is_contrast(const char *agent, const char *description) {
    static const char *const with[] = {"CONTRAST", "POST", "ANGIO", "CTA", "C+", NULL};
    static const char *const without[] = {"PRE", "NON", "W/O", "WITHOUT", "PLAIN", NULL};
    if (contains_any(description, without)) return false;
    return *agent || contains_any(description, with);
}

static bool read_identity(ich_dicom *d, ich_error *err) {
    char description[LONG_TEXT], kernel[LONG_TEXT], agent[LONG_TEXT];
    get_text(d, SERIES_INSTANCE, d->series, sizeof d->series);
    get_text(d, SOP_INSTANCE, d->image, sizeof d->image);
    get_text(d, PATIENT_ID, d->patient, sizeof d->patient);
    get_text(d, ACCESSION, d->accession, sizeof d->accession);
    get_text(d, SERIES_DESCRIPTION, description, sizeof description);
    get_text(d, KERNEL, kernel, sizeof kernel);
    get_text(d, CONTRAST_AGENT, agent, sizeof agent);
    d->series_number = get_int(d, SERIES_NUMBER, 0);
    d->acquisition = get_int(d, ACQUISITION_NUMBER, 0);
    d->instance = get_int(d, INSTANCE_NUMBER, 0);
    d->sharp = is_sharp(kernel, description);
    d->contrast = is_contrast(agent, description);
    if ((!get_numbers(d, 0, MEASURES_GROUP, SLICE_DISTANCE, 1, &d->thickness) || d->thickness <= 0) &&
        (!get_numbers(d, 0, MEASURES_GROUP, SLICE_THICKNESS, 1, &d->thickness) || d->thickness < 0))
        d->thickness = 0;
    return get_text(d, STUDY_INSTANCE, d->study, sizeof d->study) ||
           ich_fail(err, "%s: has no StudyInstanceUID, so its study is unknown", d->path);
}

/* -- geometry -------------------------------------------------------------------------------------------- */

/* C.7.6.2.1.1: two unit vectors at right angles; written with few digits, so made exact here. */
static bool read_orientation(const ich_dicom *d, int frame, ich_dicom_plane *p, ich_error *err) {
    double v[6], length[2] = {0}, between = 0;
    if (!get_numbers(d, frame, ORIENTATION_GROUP, ORIENTATION, 6, v))
        return ich_fail(err, "%s: does not say how it lies (ImageOrientationPatient)", d->path);
    for (int i = 0; i < 6; i++) length[i / 3] += v[i] * v[i];
    for (int i = 0; i < 3; i++) between += v[i] * v[3 + i];
    if (fabs(length[0] - 1) > 0.02 || fabs(length[1] - 1) > 0.02 || fabs(between) > 0.01)
        return ich_fail(err, "%s: lies along %g\\%g\\%g and %g\\%g\\%g, no right angle: " AGAIN, d->path,
                        v[0], v[1], v[2], v[3], v[4], v[5]);
    for (int i = 0; i < 6; i++) p->along[i / 3][i % 3] = v[i] / sqrt(length[i / 3]);
    return true;
}

static bool is_between(double value, double lo, double hi) { return value >= lo && value <= hi; }

bool ich_dicom_plane_of(const ich_dicom *d, int frame, ich_dicom_plane *p, ich_error *err) {
    *p = (ich_dicom_plane){.slope = 1};
    if (!get_numbers(d, frame, POSITION_GROUP, POSITION, 3, p->position))
        return ich_fail(err, "%s: does not say where it lies (ImagePositionPatient)", d->path);
    for (int i = 0; i < 3; i++)
        if (!is_between(p->position[i], -1e5, 1e5))
            return ich_fail(err, "%s: lies %g mm away: " AGAIN, d->path, p->position[i]);
    if (!read_orientation(d, frame, p, err)) return false;
    double down_along[2]; /* DICOM's order: between rows, between columns */
    if (!get_numbers(d, frame, MEASURES_GROUP, PIXEL_SPACING, 2, down_along))
        return ich_fail(err, "%s: does not give the size of its pixels (PixelSpacing)", d->path);
    p->spacing[0] = down_along[1], p->spacing[1] = down_along[0];
    if (!is_between(p->spacing[0], 1e-3, 1e2) || !is_between(p->spacing[1], 1e-3, 1e2))
        return ich_fail(err, "%s: has pixels of %g × %g mm: " AGAIN, d->path, p->spacing[0], p->spacing[1]);
    if (!get_optional(d, frame, RESCALE_GROUP, INTERCEPT, &p->intercept) ||
        !get_optional(d, frame, RESCALE_GROUP, SLOPE, &p->slope) || p->slope == 0)
        return ich_fail(err,
                        "%s: scales its pixels by no usable number (RescaleSlope, RescaleIntercept): " AGAIN,
                        d->path);
    return true;
}

/* -- a file ---------------------------------------------------------------------------------------------- */

bool ich_dicom_prepare(ich_error *err) { return ich_dcm_prepare(err); }

static bool read_header(ich_dicom *d, ich_error *err) {
    if (!check_class(d, err) || !check_type(d, err) || !check_colour(d, err)) return false;
    if (!read_shape(d, err) || !read_bits(d, err)) return false;
    read_padding(d);
    return read_identity(d, err);
}

bool ich_dicom_open(ich_dicom *dicom, const char *path, bool pixels, ich_error *err) {
    *dicom = (ich_dicom){.path = strdup(path)};
    bool done = dicom->path ? check_start(path, err) : ich_fail(err, "%s: out of memory: its name", path);
    if (done) dicom->dcm = ich_dcm_open(path, pixels, err);
    done = dicom->dcm && read_header(dicom, err);
    if (!done) ich_dicom_close(dicom);
    return done;
}

void ich_dicom_close(ich_dicom *dicom) {
    if (dicom->dcm) ich_dcm_close(dicom->dcm);
    free(dicom->path);
    *dicom = (ich_dicom){0};
}

/* -- HU -------------------------------------------------------------------------------------------------- */

/* Some scanners' files hold 12 unsigned bits whose intercept of about -1000 was added and left out, so that
 * what is below it has wrapped round at 4096. (Known from RSNA 2019; no head CT is without air, so an
 * intercept near 0 in such a file cannot be right.) */
static bool is_wrapped(const ich_dicom *d, const ich_dicom_plane *plane) {
    return d->bits_stored == 12 && !d->is_signed && plane->intercept > -100 && plane->slope == 1;
}

/* C.7.6.3.1.4: the value is in the bits up to the high bit; what is above them, old files used for overlays.
 */
static int value_of(const ich_dicom *d, uint16_t stored) {
    const uint32_t mask = (UINT32_C(1) << d->bits_stored) - 1, sign = d->is_signed ? (mask >> 1) + 1 : 0;
    return (int)((((uint32_t)stored >> (d->high_bit + 1 - d->bits_stored) & mask) ^ sign) - sign);
}

static bool is_padding(const ich_dicom *d, int value) {
    return d->has_padding && value >= d->padding[0] && value <= d->padding[1];
}

/* MONOCHROME1 asks for the lowest value to be shown white, after all windows (C.7.6.3.1.2): the numbers
 * themselves are the same, so it plays no part here. `whole`: see ich_dcm_frame. */
static void convert(const ich_dicom *d, const ich_dicom_plane *plane, const uint16_t *stored, bool whole,
                    size_t n, int16_t *hu) {
    const bool wrapped = is_wrapped(d, plane);
    const double intercept = wrapped ? -1000 : plane->intercept;
    for (size_t i = 0; i < n; i++) {
        const int all_bits = d->is_signed ? (int16_t)stored[i] : stored[i];
        int value = whole ? all_bits : value_of(d, stored[i]);
        const bool padded = is_padding(d, value) || is_padding(d, all_bits);
        if (wrapped) value = (value + 1000) & 4095;
        double scaled = value * plane->slope + intercept;
        if (padded && scaled > -1024) scaled = -1024; /* never brighter than air */
        scaled = scaled < INT16_MIN ? INT16_MIN : scaled > INT16_MAX ? INT16_MAX : scaled;
        hu[i] = (int16_t)lrint(scaled);
    }
}

bool ich_dicom_hu(const ich_dicom *dicom, const ich_dicom_plane *plane, int frame, int16_t *hu,
                  ich_error *err) {
    const ich_dcm_shape shape = {dicom->rows, dicom->columns, dicom->frames, dicom->bits_allocated,
                                 dicom->is_signed};
    const size_t n = (size_t)dicom->rows * (size_t)dicom->columns;
    bool whole;
    uint16_t *stored = ich_new(n, sizeof *stored, dicom->path, err);
    if (!stored) return false;
    const bool done = ich_dcm_frame(dicom->dcm, &shape, frame, stored, &whole, err);
    if (done) convert(dicom, plane, stored, whole, n, hu);
    free(stored);
    return done;
}
