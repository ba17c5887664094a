/* Elements and pixels of one DICOM file, through DCMTK (dicom.offis.de/dcmtk).
 *
 * The parser and the decoders are large and read hostile bytes, so all of this runs in worker processes with
 * limits (dicom_worker.h): what crashes or hangs here costs one file. Exceptions (no memory is one) end here.
 */
#include "dicom_internal.h"

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace {

const Uint32 MOST_HELD = 4096; // bytes of an element that is read at once; larger ones stay on disk
const DcmTagKey SHARED_GROUPS(0x5200, 0x9229), FRAME_GROUPS(0x5200, 0x9230);

DcmTagKey key_of(uint32_t tag) { return DcmTagKey(Uint16(tag >> 16), Uint16(tag & 0xffff)); }

} // namespace

struct ich_dcm {
    std::string path;
    DcmFileFormat file;
    DcmFileCache cache;
    // Found once a file, since DCMTK walks a list from its start to the item that is asked for:
    std::vector<DcmItem *> groups; // functional groups of each frame
    std::vector<Uint32> fragments; // [frames + 1] where each frame's fragments begin
    bool has_groups = false;
    DcmDataset *dataset() const { return const_cast<DcmFileFormat &>(file).getDataset(); }
};

extern "C" bool ich_dcm_prepare(ich_error *err) try {
    static bool ready = false;
    if (ready) return true;
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    if (!dcmDataDict.isDictionaryLoaded())
        return ich_fail(err,
                        "DCMTK's dictionary dicom.dic cannot be loaded: install the package libdcmtk17, and "
                        "unset DCMDICTPATH if it is set");
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs();
    DJLSDecoderRegistration::registerCodecs();
    return ready = true;
} catch (...) {
    return ich_fail(err, "out of memory: DCMTK's dictionary and decoders");
}

// Is there a decoder for the file's pixels? One whose syntax is unknown has been parsed as if it were plain.
static bool check_syntax(ich_dcm *dcm, ich_error *err) {
    static const E_TransferSyntax others[] = {EXS_RLELossless, EXS_JPEGLSLossless, EXS_JPEGLSLossy,
                                              EXS_JPEG2000LosslessOnly, EXS_JPEG2000};
    OFString uid;
    const bool told =
        dcm->file.getMetaInfo()->findAndGetOFString(DCM_TransferSyntaxUID, uid).good() && !uid.empty();
    const DcmXfer syntax = told ? DcmXfer(uid.c_str()) : DcmXfer(dcm->dataset()->getOriginalXfer());
    const E_TransferSyntax xfer = syntax.getXfer();
    bool known = xfer != EXS_Unknown && !syntax.isEncapsulated();
    known = known || (xfer >= EXS_JPEGProcess1 && xfer <= EXS_JPEGProcess14SV1);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) known = known || xfer == others[i];
    return known ||
           ich_fail(err,
                    "%s: is written in a way that is not supported (transfer syntax %s): convert it with "
                    "dcmdjpeg or gdcmconv",
                    dcm->path.c_str(), uid.c_str());
}

extern "C" ich_dcm *ich_dcm_open(const char *path, bool pixels, ich_error *err) try {
    std::unique_ptr<ich_dcm> dcm(new ich_dcm);
    dcm->path = path;
    const DcmTagKey stop = pixels ? DCM_UndefinedTagKey : DCM_PixelData;
    const OFCondition got =
        dcm->file.loadFileUntilTag(path, EXS_Unknown, EGL_noChange, MOST_HELD, ERM_autoDetect, stop);
    if (got.bad())
        ich_fail(err, "%s: is damaged, or no DICOM file (%s): copy it again from its source", path,
                 got.text());
    return got.good() && check_syntax(dcm.get(), err) ? dcm.release() : NULL;
} catch (...) {
    ich_fail(err, "%s: takes more memory than a slice may: it is damaged, copy it again from its source",
             path);
    return NULL;
}

extern "C" void ich_dcm_close(ich_dcm *dcm) { delete dcm; }

// -- elements --------------------------------------------------------------------------------------------

// The functional groups of `frame`, NULL if it has none.
static DcmItem *frame_groups(ich_dcm *dcm, int frame) {
    DcmSequenceOfItems *frames = NULL;
    if (!dcm->has_groups && dcm->dataset()->findAndGetSequence(FRAME_GROUPS, frames).good() && frames)
        for (DcmObject *at = NULL; (at = frames->nextInContainer(at)) != NULL;)
            dcm->groups.push_back(dynamic_cast<DcmItem *>(at));
    dcm->has_groups = true;
    return frame >= 0 && static_cast<size_t>(frame) < dcm->groups.size()
               ? dcm->groups[static_cast<size_t>(frame)]
               : NULL;
}

// The first item of `sequence` in the functional groups of `frame`, or in those of all frames.
static DcmItem *find_group(ich_dcm *dcm, int frame, uint32_t sequence) {
    DcmItem *groups = frame_groups(dcm, frame), *found = NULL;
    if (groups && groups->findAndGetSequenceItem(key_of(sequence), found, 0).good() && found) return found;
    if (dcm->dataset()->findAndGetSequenceItem(SHARED_GROUPS, groups, 0).bad() || !groups) return NULL;
    return groups->findAndGetSequenceItem(key_of(sequence), found, 0).good() ? found : NULL;
}

extern "C" bool ich_dcm_text(ich_dcm *dcm, int frame, uint32_t sequence, uint32_t tag, char *text,
                             size_t size) try {
    DcmItem *item = sequence == ICH_DCM_DATASET ? dcm->dataset() : find_group(dcm, frame, sequence);
    DcmElement *element = NULL;
    OFString value;
    *text = '\0';
    if (!item || item->findAndGetElement(key_of(tag), element).bad() || !element) return false;
    if (element->getLength() > MOST_HELD || element->getOFStringArray(value).bad()) return false;
    while (!value.empty() && (value[value.size() - 1] == ' ' || value[value.size() - 1] == '\0'))
        value.erase(value.size() - 1);
    if (value.empty() || value.size() >= size) return false;
    OFStandard::strlcpy(text, value.c_str(), size);
    return true;
} catch (...) {
    return false;
}

extern "C" bool ich_dcm_has(const ich_dcm *dcm, uint32_t tag) {
    return dcm->dataset()->tagExists(key_of(tag));
}

// -- compressed pixels -----------------------------------------------------------------------------------

// Does a frame begin here? JPEG and JPEG-LS open with SOI, JPEG 2000 with SOC.
static bool begins_frame(const Uint8 *bytes, Uint32 count) {
    return count > 2 && bytes[0] == 0xff && (bytes[1] == 0xd8 || bytes[1] == 0x4f);
}

// A fragment's bytes are used and let go: those of a file together may be more than a worker can hold.
template <class Use> static bool use_fragment(DcmObject *object, Use use) {
    DcmPixelItem *item = dynamic_cast<DcmPixelItem *>(object);
    Uint8 *bytes = NULL;
    if (!item || item->getUint8Array(bytes).bad() || !bytes) return false;
    const bool used = use(bytes, static_cast<Uint32>(item->getLength()));
    item->compact();
    return used;
}

// Where each frame's fragments begin. The offset table, fragment 0, is not believed: it is optional, and
// wrong in practice. One fragment a frame is the rule; where there are more, frames show by how they begin.
static void find_fragments(ich_dcm *dcm, DcmPixelSequence *fragments, int frames) {
    const Uint32 n = static_cast<Uint32>(fragments->card());
    const bool one_each = n == static_cast<Uint32>(frames) + 1;
    std::vector<Uint32> &starts = dcm->fragments;
    Uint32 i = 0;
    for (DcmObject *at = NULL; (at = fragments->nextInContainer(at)) != NULL; i++) {
        if (i == 0 || starts.size() == static_cast<size_t>(frames)) continue;
        if (one_each || (frames == 1 && i == 1) || (frames > 1 && use_fragment(at, begins_frame)))
            starts.push_back(i);
    }
    starts.resize(static_cast<size_t>(frames) + 1, n);
}

// The code stream of a frame, and its first fragment.
static bool frame_stream(ich_dcm *dcm, DcmPixelSequence *fragments, int frames, int frame,
                         std::vector<Uint8> &stream, Uint32 *first) {
    if (dcm->fragments.empty()) find_fragments(dcm, fragments, frames);
    const Uint32 from = dcm->fragments[static_cast<size_t>(frame)];
    const Uint32 to = dcm->fragments[static_cast<size_t>(frame) + 1];
    DcmPixelItem *item = NULL;
    *first = 0;
    if (from == to || fragments->getItem(item, from).bad()) return false;
    DcmObject *at = item;
    for (Uint32 i = from; i < to && at; i++, at = fragments->nextInContainer(at)) {
        const bool has_bytes = use_fragment(at, [&stream](const Uint8 *bytes, Uint32 count) {
            stream.insert(stream.end(), bytes, bytes + count);
            return true;
        });
        if (has_bytes && *first == 0) *first = i;
    }
    return *first != 0;
}

// Finds the frame header of a JPEG or JPEG-LS stream (ISO 10918-1 B.2.2, 14495-1 C.2.2).
static bool jpeg_header(const std::vector<Uint8> &s, int *bits, int *rows, int *columns) {
    for (size_t at = 2; at + 9 < s.size() && s[at] == 0xff;) {
        const Uint8 marker = s[at + 1];
        if (marker == 0xff) { // filling
            at++;
            continue;
        }
        const bool is_frame =
            (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) ||
            marker == 0xf7;
        if (is_frame) {
            *bits = s[at + 4];
            *rows = s[at + 5] << 8 | s[at + 6];
            *columns = s[at + 7] << 8 | s[at + 8];
            return true;
        }
        at += 2 + static_cast<size_t>(s[at + 2] << 8 | s[at + 3]);
    }
    return false;
}

static bool check_jpeg(const char *path, const std::vector<Uint8> &stream, const ich_dcm_shape *shape,
                       int *bits, ich_error *err) {
    int rows = 0, columns = 0;
    if (!jpeg_header(stream, bits, &rows, &columns))
        return ich_fail(err, "%s: its JPEG header is damaged: copy it again from its source", path);
    if (rows != shape->rows || columns != shape->columns || *bits > shape->bits_allocated)
        return ich_fail(
            err, "%s: its JPEG is %d × %d of %d bits where %d × %d of at most %d are promised: it is damaged",
            path, columns, rows, *bits, shape->columns, shape->rows, shape->bits_allocated);
    return true;
}

// The header of an RLE frame (DICOM PS3.5, annex G.5): how many segments, one for each byte of a pixel, and
// where each begins. DCMTK's decoder believes it and would read outside the frame.
static bool check_rle(const char *path, const std::vector<Uint8> &s, const ich_dcm_shape *shape,
                      ich_error *err) {
    enum { HEADER = 64, ENTRY = 4 };
    const size_t segments = static_cast<size_t>(shape->bits_allocated / 8);
    const auto entry = [&s](size_t i) {
        const Uint8 *b = &s[i * ENTRY];
        return static_cast<size_t>(b[0]) | static_cast<size_t>(b[1]) << 8 | static_cast<size_t>(b[2]) << 16 |
               static_cast<size_t>(b[3]) << 24;
    };
    bool right = s.size() > HEADER && entry(0) == segments && entry(1) >= HEADER;
    for (size_t i = 1; right && i <= segments; i++)
        right = entry(i) < s.size() && (i == 1 || entry(i) > entry(i - 1));
    return right || ich_fail(err, "%s: its RLE header is damaged: copy it again from its source", path);
}

// -- pixels ----------------------------------------------------------------------------------------------

static bool decode(ich_dcm *dcm, DcmPixelData *pixels, int frame, Uint32 first, void *to, size_t bytes,
                   ich_error *err) {
    OFString model;
    const OFCondition got = pixels->getUncompressedFrame(dcm->dataset(), static_cast<Uint32>(frame), first,
                                                         to, static_cast<Uint32>(bytes), model, &dcm->cache);
    return got.good() || ich_fail(err, "%s: its pixels cannot be decoded (%s): copy it again from its source",
                                  dcm->path.c_str(), got.text());
}

static bool decode_widened(ich_dcm *dcm, DcmPixelData *pixels, int frame, Uint32 first, size_t count,
                           uint16_t *to, ich_error *err) {
    std::vector<Uint8> narrow(count + (count & 1)); // DCMTK swaps words, so it wants an even number
    if (!decode(dcm, pixels, frame, first, narrow.data(), narrow.size(), err)) return false;
    for (size_t i = 0; i < count; i++) to[i] = narrow[i];
    return true;
}

static bool decode_compressed(ich_dcm *dcm, DcmPixelData *pixels, E_TransferSyntax syntax,
                              const ich_dcm_shape *shape, int frame, uint16_t *to, bool *whole,
                              ich_error *err) {
    const size_t count = static_cast<size_t>(shape->rows) * static_cast<size_t>(shape->columns);
    const char *path = dcm->path.c_str();
    DcmPixelSequence *fragments = NULL;
    std::vector<Uint8> stream;
    Uint32 first = 0;
    int bits = shape->bits_allocated;
    if (pixels->getEncapsulatedRepresentation(syntax, NULL, fragments).bad() || !fragments ||
        !frame_stream(dcm, fragments, shape->frames, frame, stream, &first))
        return ich_fail(err, "%s: frame %d has no pixels: copy it again from its source", path, frame + 1);
    if (syntax == EXS_JPEG2000 || syntax == EXS_JPEG2000LosslessOnly)
        return ich_jpeg2000_decode(path, stream.data(), stream.size(), shape, to, whole, err);
    const bool rle = syntax == EXS_RLELossless;
    if (rle ? !check_rle(path, stream, shape, err) : !check_jpeg(path, stream, shape, &bits, err))
        return false;
    if (bits <= 8) return decode_widened(dcm, pixels, frame, first, count, to, err);
    return decode(dcm, pixels, frame, first, to, count * sizeof *to, err);
}

static bool decode_native(ich_dcm *dcm, DcmPixelData *pixels, E_TransferSyntax syntax,
                          const ich_dcm_shape *shape, int frame, uint16_t *to, ich_error *err) {
    const size_t count = static_cast<size_t>(shape->rows) * static_cast<size_t>(shape->columns);
    const size_t promised =
        count * static_cast<size_t>(shape->frames) * static_cast<size_t>(shape->bits_allocated / 8);
    const size_t held = pixels->getLength(syntax);
    if (held < promised)
        return ich_fail(
            err,
            "%s: is truncated: %d × %d pixels of %d bits, %d times, take %zu bytes, and it has %zu: copy "
            "it again from its source",
            dcm->path.c_str(), shape->columns, shape->rows, shape->bits_allocated, shape->frames, promised,
            held);
    if (shape->bits_allocated == 8) return decode_widened(dcm, pixels, frame, 0, count, to, err);
    return decode(dcm, pixels, frame, 0, to, count * sizeof *to, err);
}

extern "C" bool ich_dcm_frame(ich_dcm *dcm, const ich_dcm_shape *shape, int frame, uint16_t *to, bool *whole,
                              ich_error *err) try {
    *whole = false;
    DcmElement *element = NULL;
    if (dcm->dataset()->findAndGetElement(DCM_PixelData, element).bad() || !element)
        return ich_fail(err, "%s: has no pixels: copy it again from its source", dcm->path.c_str());
    DcmPixelData *pixels = dynamic_cast<DcmPixelData *>(element); // of another class if its type is wrong
    if (!pixels)
        return ich_fail(err, "%s: its pixels are marked as something else: it is damaged", dcm->path.c_str());
    const E_TransferSyntax syntax = dcm->dataset()->getOriginalXfer();
    if (DcmXfer(syntax).isEncapsulated())
        return decode_compressed(dcm, pixels, syntax, shape, frame, to, whole, err);
    return decode_native(dcm, pixels, syntax, shape, frame, to, err);
} catch (...) {
    return ich_fail(err, "%s: its pixels take more memory than a slice may: it is damaged",
                    dcm->path.c_str());
}
