#include "infer/script_json.h"

#include <math.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `text` (RFC 3629: no overlong forms, no surrogates), 0 if it is none. */
static int sequence_length(const unsigned char *text) {
    const unsigned char a = text[0], b = a ? text[1] : 0;
    const int n = a < 0x80 ? 1 : a >= 0xc2 && a < 0xe0 ? 2 : a >= 0xe0 && a < 0xf0 ? 3 : 4;
    if (n == 4 && (a < 0xf0 || a > 0xf4)) return 0;
    if ((a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) ||
        (a == 0xf4 && b > 0x8f))
        return 0;
    for (int i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    return n;
}

void ich_json_text(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const int n = sequence_length(at);
        if (n == 0)
            fputs("\\ufffd", stream);
        else if (n == 1 && (*at < ' ' || strchr("\"\\<\x7f", *at)))
            fprintf(stream, "\\u%04x", *at);
        else
            fwrite(at, 1, (size_t)n, stream);
        at += n ? n : 1;
    }
    fputc('"', stream);
}

void ich_json_real(FILE *stream, double value) {
    if (isfinite(value))
        fprintf(stream, "%.4g", value);
    else
        fputs("null", stream);
}

const char ich_base64_digits[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ich_json_base64(FILE *stream, const unsigned char *bytes, size_t count) {
    fputc('"', stream);
    for (size_t i = 0; i < count; i += 3) {
        const size_t left = count - i;
        const unsigned three = (unsigned)bytes[i] << 16 | (unsigned)(left > 1 ? bytes[i + 1] : 0) << 8 |
                               (left > 2 ? bytes[i + 2] : 0);
        const char four[4] = {ich_base64_digits[three >> 18], ich_base64_digits[three >> 12 & 63],
                              left > 1 ? ich_base64_digits[three >> 6 & 63] : '=',
                              left > 2 ? ich_base64_digits[three & 63] : '='};
        fwrite(four, 1, sizeof four, stream);
    }
    fputc('"', stream);
}
