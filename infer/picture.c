#include "infer/picture.h"

#include "data/file.h"
#include <libdeflate.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* stb_image_write, private to this file, deflating through libdeflate: its own deflate takes many times as
 * long for the same size. */
static unsigned char *deflate_bytes(unsigned char *data, int count, int *out_count, int quality);
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBIW_ZLIB_COMPRESS deflate_bytes
#define STBIWDEF            static __attribute__((unused)) /* it knows more formats than are used here */
#include <stb_image_write.h>

enum {
    DEFLATE_LEVEL = 1, /* of 12: a CT is noise to deflate; level 6 takes 3 times as long to save 8 % */
    PNG_FILTER = 2,
    MAX_BYTES = INT_MAX / 2, /* stb counts bytes in int */
    GLYPH_COLUMNS = ICH_GLYPH_WIDTH - 1,
    GLYPH_ROWS = ICH_GLYPH_HEIGHT - 1
};

static unsigned char *deflate_bytes(unsigned char *data, int count, int *out_count, int quality) {
    (void)quality; /* stb's scale is not libdeflate's */
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    if (compressor == NULL) return NULL;
    const size_t room = libdeflate_zlib_compress_bound(compressor, (size_t)count);
    unsigned char *out = malloc(room);
    const size_t size =
        out != NULL ? libdeflate_zlib_compress(compressor, data, (size_t)count, out, room) : 0;
    libdeflate_free_compressor(compressor);
    if (size == 0) {
        free(out);
        return NULL;
    }
    *out_count = (int)size;
    return out;
}

/* stb would try all five filters on each row, which takes longer than deflating. */
__attribute__((constructor)) static void choose_filter(void) { stbi_write_force_png_filter = PNG_FILTER; }

bool ich_picture_init(ich_picture *picture, int width, int height, ich_error *err) {
    *picture = (ich_picture){.width = width, .height = height};
    if (width < 1 || height < 1 || width > MAX_BYTES / 3 / height - 1) {
        return ich_fail(err, "a picture of %d × %d pixels is out of range", width, height);
    }
    picture->rgb = ich_new((size_t)width * (size_t)height, 3, "a picture", err);
    return picture->rgb != NULL;
}

void ich_picture_free(ich_picture *picture) {
    free(picture->rgb);
    *picture = (ich_picture){0};
}

void ich_picture_fill(ich_picture *picture, int x, int y, int width, int height, const uint8_t colour[3]) {
    const int x0 = x < 0 ? 0 : x, x1 = x + width > picture->width ? picture->width : x + width;
    const int y0 = y < 0 ? 0 : y, y1 = y + height > picture->height ? picture->height : y + height;
    for (int row = y0; row < y1; row++) {
        for (int column = x0; column < x1; column++) {
            memcpy(picture->rgb + 3 * ((size_t)row * (size_t)picture->width + (size_t)column), colour, 3);
        }
    }
}

/* -- letters ------------------------------------------------------------------------------------------- */

/* Rows from the top; bit 4 is the left column. */
static const struct {
    char character;
    uint8_t rows[GLYPH_ROWS];
} glyphs[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 6, 8, 16, 31}},    {'3', {14, 17, 1, 6, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},
    {'8', {14, 17, 17, 14, 17, 17, 14}}, {'9', {14, 17, 17, 15, 1, 2, 12}},
    {'A', {14, 17, 17, 31, 17, 17, 17}}, {'L', {16, 16, 16, 16, 16, 16, 31}},
    {'P', {30, 17, 17, 30, 16, 16, 16}}, {'R', {30, 17, 17, 30, 20, 18, 17}},
    {'c', {0, 0, 14, 16, 16, 17, 14}},   {'m', {0, 0, 26, 21, 21, 21, 21}},
};

static const uint8_t *find_glyph(char character) {
    for (size_t i = 0; i < sizeof glyphs / sizeof glyphs[0]; i++) {
        if (glyphs[i].character == character) return glyphs[i].rows;
    }
    return NULL;
}

/* Every dot of the text as a square `rim` pixels larger on each side. */
static void draw_dots(ich_picture *picture, int x, int y, int scale, const char *text, int rim,
                      const uint8_t colour[3]) {
    for (; *text != '\0'; text++, x += ICH_GLYPH_WIDTH * scale) {
        const uint8_t *rows = find_glyph(*text);
        for (int i = 0; rows != NULL && i < GLYPH_ROWS * GLYPH_COLUMNS; i++) {
            const int row = i / GLYPH_COLUMNS, column = i % GLYPH_COLUMNS;
            if ((rows[row] >> (GLYPH_COLUMNS - 1 - column) & 1) == 0) continue;
            ich_picture_fill(picture, x + column * scale - rim, y + row * scale - rim, scale + 2 * rim,
                             scale + 2 * rim, colour);
        }
    }
}

void ich_picture_text(ich_picture *picture, int x, int y, int scale, const char *text) {
    static const uint8_t dark[3] = {0, 0, 0}, white[3] = {255, 255, 255};
    draw_dots(picture, x, y, scale, text, 1, dark);
    draw_dots(picture, x, y, scale, text, 0, white);
}

/* -- colour -------------------------------------------------------------------------------------------- */

/* Nine points on a path through CIE Lab whose L* runs 2, 14, 25, … 95 while the hue turns from blue to
 * yellow, at most the chroma that sRGB holds. */
void ich_picture_colour(float value, uint8_t colour[3]) {
    static const uint8_t anchors[9][3] = {{7, 3, 34},     {54, 11, 84},    {114, 2, 97},
                                          {170, 0, 98},   {228, 3, 85},    {255, 85, 70},
                                          {255, 148, 85}, {252, 198, 132}, {247, 240, 223}};
    const float at = value > 0 ? (value < 1 ? value * 8 : 8) : 0; /* NaN too is 0 */
    const int i = at < 8 ? (int)at : 7;
    for (int c = 0; c < 3; c++) {
        const float low = anchors[i][c], high = anchors[i + 1][c];
        colour[c] = (uint8_t)(low + (at - (float)i) * (high - low) + 0.5f);
    }
}

bool ich_picture_write(const ich_picture *picture, const char *path, ich_error *err) {
    int count = 0;
    unsigned char *png =
        stbi_write_png_to_mem(picture->rgb, picture->width * 3, picture->width, picture->height, 3, &count);
    if (png == NULL) return ich_fail(err, "%s: no memory for a picture", path);
    const bool done = ich_file_write(path, png, (size_t)count, err);
    free(png);
    return done;
}

/* -- JPEG ---------------------------------------------------------------------------------------------- */

typedef struct growing {
    unsigned char *bytes; /* NULL: memory is out */
    size_t count, room;
} growing;

/* stb's callback. */
static void grow(void *context, void *data, int size) {
    growing *g = context;
    if (g->bytes != NULL && g->count + (size_t)size > g->room) {
        g->room = 2 * g->room + (size_t)size;
        unsigned char *bigger = realloc(g->bytes, g->room);
        if (bigger == NULL) free(g->bytes);
        g->bytes = bigger;
    }
    if (g->bytes != NULL) memcpy(g->bytes + g->count, data, (size_t)size);
    g->count += (size_t)size;
}

unsigned char *ich_picture_jpeg(const uint8_t *grey, int side, int quality, size_t *count) {
    growing g = {.room = 1 << 14};
    g.bytes = malloc(g.room);
    stbi_write_jpg_to_func(grow, &g, side, side, 1, grey, quality);
    *count = g.count;
    return g.bytes;
}
