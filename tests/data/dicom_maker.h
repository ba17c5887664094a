/* dicom_maker.h: DICOM files for tests, written byte by byte (explicit VR, little endian), so that any tag
 * can be wrong.
 */
#ifndef ICH_TEST_DICOM_MAKER_H
#define ICH_TEST_DICOM_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MADE_FRAMES = 16 };

typedef struct made_slice {
    const char *syntax, *sop_class, *image_type, *modality; /* NULL: not written */
    const char *study, *series, *image, *patient, *accession, *description, *kernel, *agent;
    const char *photometric, *slope, *intercept;
    int series_number, acquisition, instance; /* acquisition 0: not written */
    int samples, rows, columns, bits_allocated, bits_stored, high_bit, is_signed;
    const char *position, *orientation, *spacing, *thickness; /* as DICOM writes them: "0\\0\\5" */
    bool has_padding;
    uint16_t padding, padding_limit; /* the limit is written where it differs */
    const void *pixels;
    size_t pixel_bytes;
    const char *pixel_vr; /* NULL: as it should be */

    /* Of a file of many frames (enhanced CT): */
    int frames; /* 0: a plain file */
    const char *frame_position[MADE_FRAMES], *frame_slope[MADE_FRAMES], *frame_intercept[MADE_FRAMES];

    int nested; /* sequences inside each other, never closed */
} made_slice;

/* An axial slice of 4 × 3 pixels, 16 bits signed, slope 1, intercept 0, 5 mm thick, at z = 0. */
made_slice made_default(void);
/* Writes it to a path. */
void made_write(const char *path, const made_slice *slice);
/* Writes `n` slices folder/0.dcm … along z, 5 mm apart, in disorder; every pixel of slice k is 100 k + its
 * index. */
void made_series(const char *folder, const made_slice *like, int n);
/* "0\0\z", valid until the eighth call after this one. */
const char *made_position(double x, double y, double z);

#endif
