/* picture.h: small RGB pictures: pixels, a few letters, lines, one perceptually even colour scale, PNG; grey
 * JPEG.
 *
 * Calls: stb_image_write, zlib, data/file. Called by: heatmap, report_pictures.
 */
#ifndef ICH_INFER_PICTURE_H
#define ICH_INFER_PICTURE_H

#include "tensor/error.h"
#include <stdint.h>

typedef struct ich_picture {
    int width, height;
    uint8_t *rgb; /* [height][width][3] */
} ich_picture;

enum { ICH_GLYPH_WIDTH = 6, ICH_GLYPH_HEIGHT = 8 }; /* of one letter at scale 1, with its gap */

bool ich_picture_init(ich_picture *picture, int width, int height, ich_error *err); /* black */
void ich_picture_free(ich_picture *picture);

/* Everything drawn is cut off at the edges. Text is white on a dark rim, so that it reads on any ground; it
 * knows the characters of " 0123456789ALPRcm" and leaves a gap for others. */
void ich_picture_fill(ich_picture *picture, int x, int y, int width, int height, const uint8_t colour[3]);
void ich_picture_text(ich_picture *picture, int x, int y, int scale, const char *text);

/* Colour of 0 … 1: from near black through purple, red and orange to near white, lightness rising evenly
 * (CIE L*), so that equal steps of the value look like equal steps, in grey print and to colour-blind eyes
 * too. */
void ich_picture_colour(float value, uint8_t colour[3]);

bool ich_picture_write(const ich_picture *picture, const char *path, ich_error *err); /* PNG, atomic */

/* A square of `side` × `side` grey bytes as JPEG in fresh memory, NULL if there is none. `quality`: 1 … 100.
 */
unsigned char *ich_picture_jpeg(const uint8_t *grey, int side, int quality, size_t *count);

#endif
