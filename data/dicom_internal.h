/* dicom_internal.h: what the files of the DICOM reader share; nobody outside data/dicom*.c includes it.
 *
 *   dicom_dcmtk.cc    elements and pixels of one file, through DCMTK: the only C++ in Ichor
 *   dicom_jpeg2000.c  one JPEG 2000 picture, through OpenJPEG, which Debian's DCMTK lacks
 *   dicom.c           what the elements mean: is it a CT slice, where does it lie, what are its HU
 *
 * Tags are written as DICOM's tables have them: 0x00280010 is (0028,0010).
 */
#ifndef ICH_DATA_DICOM_INTERNAL_H
#define ICH_DATA_DICOM_INTERNAL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "tensor/error.h"

typedef struct ich_dcm ich_dcm; /* an open file */

/* Registers decoders, loads the dictionary, silences the log. Once, before any worker process starts. */
bool ich_dcm_prepare(ich_error *err);

/* Parses the file; without `pixels` no further than their start, which is as fast as a file can be told
 * apart. Elements above 4 KiB stay on disk until they are asked for. */
ich_dcm *ich_dcm_open(const char *path, bool pixels, ich_error *err);
void ich_dcm_close(ich_dcm *dcm);

enum { ICH_DCM_DATASET = 0 };
/* The value of an element as text, several values with '\' between them. Looked up in the data set itself if
 * `sequence` is ICH_DCM_DATASET, else in that sequence of the frame's functional groups, or of those that all
 * frames share (PS3.3 C.7.6.16). False if it is absent, empty, or longer than size - 1. */
bool ich_dcm_text(ich_dcm *dcm, int frame, uint32_t sequence, uint32_t tag, char *text, size_t size);
bool ich_dcm_has(const ich_dcm *dcm, uint32_t tag); /* also an empty one */

/* How a frame's pixels must come out of the decoder. */
typedef struct ich_dcm_shape {
    int rows, columns, frames;
    int bits_allocated; /* 8 or 16 */
    bool is_signed;
} ich_dcm_shape;

/* The stored values of a frame into `to` [rows * columns], widened to 16 bits, whatever the transfer syntax.
 * Bits above those stored are the file's, or zero; with `*whole`, all 16 are the value, as JPEG 2000 has its
 * own idea of the width and, when it is lossy, overshoots that of DICOM. */
bool ich_dcm_frame(ich_dcm *dcm, const ich_dcm_shape *shape, int frame, uint16_t *to, bool *whole,
                   ich_error *err);

/* The same from a JPEG 2000 code stream in memory. */
bool ich_jpeg2000_decode(const char *path, const uint8_t *bytes, size_t count, const ich_dcm_shape *shape,
                         uint16_t *to, bool *whole, ich_error *err);

#ifdef __cplusplus
}
#endif
#endif
