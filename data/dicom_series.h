/* dicom_series.h: from loose slices to a volume: which belong together, in which order, and where they lie.
 *
 * Everything is told by the tags, nothing by file names. A series' slices of one size, pixel spacing and
 * orientation are sorted along their normal; the rest is left out with a reason. The affine is exact: a
 * tilted gantry gives a sheared one, as the slices lie. Where slices are missing, or lie closer in one part
 * of the head than in another, the stack is filled up by linear interpolation, so that its slices are evenly
 * spaced; a hole too wide for that is refused.
 *
 * Stored as dcm2niix stores it: first axis along the rows, second up the columns, third along the normal
 * (row × column), from the lowest slice.
 *
 * Calls: dicom.h (types). Called by: import_dicom.
 */
#ifndef ICH_DATA_DICOM_SERIES_H
#define ICH_DATA_DICOM_SERIES_H

#include "dicom.h"

typedef struct ich_frame { /* a slice that may become part of a volume */
    size_t file;           /* the caller's number for it */
    int frame;             /* of that file */
    int rows, columns, acquisition, instance;
    double thickness; /* mm, or where given the distance to the next slice; 0 unknown */
    ich_dicom_plane plane;
} ich_frame;

typedef enum ich_fate {
    ICH_KEPT,
    ICH_OTHER_SIZE,
    ICH_OTHER_ANGLE,
    ICH_OTHER_SPACING,
    ICH_OTHER_ACQUISITION,
    ICH_BEYOND_HOLE,
    ICH_DUPLICATE,
    ICH_FATES
} ich_fate;
extern const char *const ich_fate_reasons[ICH_FATES];

typedef struct ich_level { /* a slice of the volume: (1 - weight) × source[below] + weight × source[above] */
    int below, above;
    float weight;
    int own; /* the source that this slice stands for, whose labels it has; -1: filled in */
} ich_level;

typedef struct ich_stack {
    int columns, rows, n_sources, n_levels;
    size_t *source;   /* [n_sources] indices of frames, in order along the normal */
    ich_level *level; /* [n_levels] the volume's slices */
    ich_fate *fate;   /* [frames] */
    double affine[4][4];
    double step;   /* mm along the normal */
    double tilt;   /* degrees between the normal and the line of the slices */
    int n_filled;  /* levels that stand for no source */
    double gap[2]; /* smallest and largest distance between neighbouring sources, mm */
} ich_stack;

/* Fails (with a reason that begins in the middle of a sentence: "its slices …") if the frames make no
 * volume. */
bool ich_stack_arrange(ich_stack *stack, const ich_frame *frames, size_t n, ich_error *err);
void ich_stack_free(ich_stack *stack);

/* Blends two sources [rows][columns] (as DICOM has them) into level z of the volume (as it is stored). */
void ich_stack_blend(const ich_stack *stack, int z, const int16_t *below, const int16_t *above,
                     int16_t *level);

#endif
