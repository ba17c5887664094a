#ifndef EXAMPLES_01_EXERCISE_H
#define EXAMPLES_01_EXERCISE_H

#include <stddef.h>

/* x [n,c,h,w] -> y [n,h,w,c]: the same numbers in another order. */
void nchw_to_nhwc(int n, int c, int h, int w, const float *x, float *y);

/* Memory needed from time `birth` to `death`, both included. */
typedef struct buffer {
    size_t bytes, offset;
    int birth, death;
} buffer;

/* Gives each buffer its offset, so that buffers alive at the same time do not overlap;
 * returns the bytes of the block that holds them all. */
size_t place_buffers(int n, buffer *buffers);

#endif
