/* lesson_data.h: phantoms of heads as a network sees them, in memory. */
#ifndef EXAMPLES_08_LESSON_DATA_H
#define EXAMPLES_08_LESSON_DATA_H

#include <ichor/tensor/error.h>

enum { SIDE = 48, CHANNELS = 3, PIXELS = SIDE * SIDE * CHANNELS };

typedef struct study {
    int slices;
    float label;   /* of the study: what training may see */
    float *x;      /* [slices][SIDE][SIDE][CHANNELS]: the network's input */
    float *bleeds; /* [slices] 0 or 1: for judging only */
    bool *mask;    /* [slices][SIDE][SIDE]: where blood is, for judging and pictures only */
} study;

/* Makes a folder of phantoms and reads them. NULL when that fails; free with free_studies. */
study *make_studies(const char *folder, int count, unsigned long long seed, ich_error *err);
void free_studies(study *studies, int count);

#endif
