/* One JPEG 2000 code stream (ISO 15444-1) in memory, decoded by OpenJPEG. Its header is held against what the
 * DICOM file says before OpenJPEG takes memory for the picture.
 */
#include "dicom_internal.h"
#include <openjpeg.h>
#include <string.h>

/* -- a stream in memory ---------------------------------------------------------------------------------- */

typedef struct memory {
    const uint8_t *bytes;
    size_t count, at;
} memory;

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T wanted, void *self) {
    memory *m = self;
    const size_t left = m->count - m->at;
    if (left == 0) return (OPJ_SIZE_T)-1;
    const size_t n = wanted < left ? wanted : left;
    memcpy(to, m->bytes + m->at, n);
    m->at += n;
    return n;
}

static OPJ_BOOL seek_bytes(OPJ_OFF_T to, void *self) {
    memory *m = self;
    if (to < 0 || (uint64_t)to > m->count) return OPJ_FALSE;
    m->at = (size_t)to;
    return OPJ_TRUE;
}

static OPJ_OFF_T skip_bytes(OPJ_OFF_T by, void *self) {
    const memory *m = self;
    return seek_bytes((OPJ_OFF_T)m->at + by, self) ? by : -1;
}

static opj_stream_t *open_stream(memory *m) {
    opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);
    if (!stream) return NULL;
    opj_stream_set_read_function(stream, read_bytes);
    opj_stream_set_seek_function(stream, seek_bytes);
    opj_stream_set_skip_function(stream, skip_bytes);
    opj_stream_set_user_data(stream, m, NULL);
    opj_stream_set_user_data_length(stream, m->count);
    return stream;
}

/* Some writers wrap the code stream in a JP2 file, against PS3.5 A.4.4. */
static opj_codec_t *open_codec(const memory *m) {
    static const uint8_t signature[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    const bool wrapped = m->count > sizeof signature && !memcmp(m->bytes, signature, sizeof signature);
    opj_codec_t *codec = opj_create_decompress(wrapped ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    if (codec && opj_setup_decoder(codec, &parameters)) return codec;
    if (codec) opj_destroy_codec(codec);
    return NULL;
}

/* -- the picture ----------------------------------------------------------------------------------------- */

static bool check(const opj_image_t *image, const char *path, const ich_dcm_shape *shape, ich_error *err) {
    if (image->numcomps != 1)
        return ich_fail(err, "%s: its JPEG 2000 picture has %u colours where one is promised: it is damaged",
                        path, image->numcomps);
    const opj_image_comp_t *c = &image->comps[0];
    if (c->w != (OPJ_UINT32)shape->columns || c->h != (OPJ_UINT32)shape->rows || c->prec < 1 || c->prec > 16)
        return ich_fail(err,
                        "%s: its JPEG 2000 picture is %u × %u of %u bits where %d × %d of at most 16 are "
                        "promised: it is damaged",
                        path, c->w, c->h, c->prec, shape->columns, shape->rows);
    return true;
}

static bool decode(opj_codec_t *codec, opj_stream_t *stream, const char *path, const ich_dcm_shape *shape,
                   uint16_t *to, bool *whole, ich_error *err) {
    opj_image_t *image = NULL;
    bool done = opj_read_header(stream, codec, &image) && image;
    if (!done) ich_fail(err, "%s: its JPEG 2000 header is damaged: copy it again from its source", path);
    done = done && check(image, path, shape, err);
    if (done && (!opj_decode(codec, stream, image) || !image->comps[0].data))
        done = ich_fail(err, "%s: its JPEG 2000 picture is damaged: copy it again from its source", path);
    /* Where both agree on the sign, the numbers are what they are; else the DICOM header says what the bits
     * mean. */
    if (done) *whole = (image->comps[0].sgnd != 0) == shape->is_signed;
    const size_t n = (size_t)shape->rows * (size_t)shape->columns;
    for (size_t i = 0; done && i < n; i++) to[i] = (uint16_t)image->comps[0].data[i];
    if (image) opj_image_destroy(image);
    return done;
}

bool ich_jpeg2000_decode(const char *path, const uint8_t *bytes, size_t count, const ich_dcm_shape *shape,
                         uint16_t *to, bool *whole, ich_error *err) {
    memory m = {bytes, count, 0};
    opj_stream_t *stream = open_stream(&m);
    opj_codec_t *codec = open_codec(&m);
    const bool done = stream && codec ? decode(codec, stream, path, shape, to, whole, err)
                                      : ich_fail(err, "%s: out of memory: a JPEG 2000 decoder", path);
    if (codec) opj_destroy_codec(codec);
    if (stream) opj_stream_destroy(stream);
    return done;
}
