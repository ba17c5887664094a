/* report_pictures.h: the slices of one study, as small as the report's page wants them.
 *
 * Where the scan can be read, each slice is a grey JPEG whose tones hold all windows at once
 * (ich_report_tones), with the heat beside it as a coarse map, so that the page chooses window and opacity.
 * Where it cannot, they are the overlays that predict drew, as they are.
 *
 * Calls: picture, script_json, data (volume, preprocess, file). Called by: report.
 */
#ifndef ICH_INFER_REPORT_PICTURES_H
#define ICH_INFER_REPORT_PICTURES_H

#include "tensor/error.h"
#include <stddef.h>
#include <stdio.h>

typedef struct ich_report_stack {
    const char *study_id;
    const char *scan;     /* its file; NULL: not at hand */
    const char *heatmaps; /* predict's folder of them; NULL: there is none */
    size_t n;
    const int *index;        /* [n] stored slice_index, as in slices.csv */
    const double *attention; /* [n]; where not all fit, the slices of most attention stay */
} ich_report_stack;

/* Hounsfield units and the grey value that stands for them, rising; straight lines between. */
enum { ICH_REPORT_TONES = 7, ICH_REPORT_HEAT_SIDE = 32 };
extern const short ich_report_tones[ICH_REPORT_TONES][2];

/* Writes one JSON object:
 *   kind    "scan", "overlay" or "none"
 *   side    pixels of a picture's side (scan)
 *   mm      the same in millimetres
 *   turned  whether rising slice_index runs from head to foot (scan)
 *   why     what could not be read; ""
 *   images  [n] base64 of JPEG (scan) or PNG (overlay); null: left out
 *   heat    [n] ICH_REPORT_HEAT_SIDE² base64 digits, row by row, each a level of 0 … 63; "": cold; null: none
 * with at most `share` bytes of pictures before base64. False, with the reason, where not all that is at hand
 * could be shown. */
bool ich_report_pictures(FILE *stream, const ich_report_stack *stack, size_t share, ich_error *why);

#endif
