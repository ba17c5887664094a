#include "audit/npy.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they stand in memory");

enum {
    PREFIX = 10, /* magic, version, length of the header */
    BLOCK = 64,
    MOST_HEADER = 1024
};
static const char magic[] = "\x93NUMPY\x01"; /* … and the version's second byte, 0, which ends the string */

/* "(35, 512)", and as Python writes a tuple of one, "(64,)" */
static void shape_text(char *text, size_t size, int rank, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, size, "(");
    for (int d = 0; d < rank && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, d ? ", " : "", dims[d]);
    if (used < size) snprintf(text + used, size - used, rank == 1 ? ",)" : ")");
}

void ich_npy_begin(FILE *stream, int rank, const int64_t *dims) {
    char shape[120], text[MOST_HEADER];
    shape_text(shape, sizeof shape, rank, dims);
    int length =
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }", shape);
    while ((PREFIX + length + 1) % BLOCK) text[length++] = ' ';
    text[length++] = '\n';
    fwrite(magic, 1, 8, stream);
    fputc(length & 255, stream);
    fputc(length >> 8, stream);
    fwrite(text, 1, (size_t)length, stream);
}

bool ich_npy_expect(FILE *stream, int rank, const int64_t *dims) {
    unsigned char prefix[PREFIX];
    char shape[120], want[160], text[MOST_HEADER + 1];
    if (fread(prefix, 1, PREFIX, stream) != PREFIX || memcmp(prefix, magic, 8) != 0) return false;
    const size_t length = prefix[8] | (size_t)prefix[9] << 8;
    if (length > MOST_HEADER || fread(text, 1, length, stream) != length) return false;
    text[length] = '\0';
    shape_text(shape, sizeof shape, rank, dims);
    snprintf(want, sizeof want, "'shape': %s", shape);
    return strstr(text, "'descr': '<f4'") && strstr(text, "'fortran_order': False") && strstr(text, want);
}
