/* dicom.h: one DICOM file as a CT picture: what it says of itself, where it lies, its Hounsfield units.
 *
 * A file that is no CT picture (a localizer, a secondary capture, another modality, a colour picture, no
 * DICOM at all) is refused with the reason. Names and birth dates are not even read; identifiers leave as
 * hashes unless the caller asks otherwise (dicom_series.h).
 *
 * Files are parsed and decoded by DCMTK and OpenJPEG, so call this from a worker process (dicom_worker.h),
 * but for ich_dicom_prepare.
 *
 * Calls: dicom_internal.h (DCMTK, OpenJPEG). Called by: dicom_series, import_dicom.
 */
#ifndef ICH_DATA_DICOM_H
#define ICH_DATA_DICOM_H

#include "tensor/error.h"
#include <stdint.h>

enum {
    ICH_DICOM_TEXT = 72,        /* a UID has at most 64 characters */
    ICH_DICOM_MOST_SIDE = 4096, /* rows, columns: CT has 256 to 1024 */
    ICH_DICOM_MOST_FRAMES = 1 << 14,
};

typedef struct ich_dicom_plane { /* of one frame */
    double position[3];          /* of the first pixel's centre: mm, towards left, back, head (LPS) */
    double along[2][3];          /* unit vectors along a row and down a column */
    double spacing[2];           /* mm between pixels along those */
    double slope, intercept;     /* stored value -> HU */
} ich_dicom_plane;

typedef struct ich_dicom {
    char *path;
    struct ich_dcm *dcm;
    char study[ICH_DICOM_TEXT], series[ICH_DICOM_TEXT], image[ICH_DICOM_TEXT]; /* instance UIDs */
    char patient[ICH_DICOM_TEXT], accession[ICH_DICOM_TEXT];                   /* "" where not given */
    int series_number, acquisition, instance;                                  /* 0 where not given */
    int rows, columns, frames, bits_allocated, bits_stored, high_bit;
    bool is_signed, has_padding, contrast, sharp; /* contrast agent given; a bone kernel */
    int padding[2];                               /* stored values from … to that stand for no picture */
    double thickness; /* mm from a slice to the next, or else of one; 0 where not given */
} ich_dicom;

bool ich_dicom_prepare(ich_error *err); /* once, before worker processes start */

/* Reads the header; `pixels`: ich_dicom_hu will be called. */
bool ich_dicom_open(ich_dicom *dicom, const char *path, bool pixels, ich_error *err);
void ich_dicom_close(ich_dicom *dicom);
bool ich_dicom_plane_of(const ich_dicom *dicom, int frame, ich_dicom_plane *plane, ich_error *err);
/* hu [rows][columns], in the file's order, rounded to the nearest and clamped to int16. */
bool ich_dicom_hu(const ich_dicom *dicom, const ich_dicom_plane *plane, int frame, int16_t *hu,
                  ich_error *err);

#endif
