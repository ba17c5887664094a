/* Bytes to words. Reports come from many systems: bytes that are no UTF-8 count as spaces, accents and
 * ligatures are taken off, typographers' dashes, quotes and bullets are what they look like. */
#include "report_internal.h"
#include <string.h>

static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* One character: how many bytes it takes, and what it counts as: a lower-case letter, a digit, a sign, '\n',
 * '\t', or ' ' for all that says nothing. `second` is the other letter of a ligature. */
typedef struct glyph {
    char c, second;
    unsigned bytes;
} glyph;

/* A code point of two or three bytes (those of four are emoji and dead scripts); 0 if it is no UTF-8. */
static uint32_t decode(const unsigned char *b, size_t left, unsigned *bytes) {
    *bytes = 1;
    if (left >= 2 && b[0] >= 0xC2 && b[0] <= 0xDF && (b[1] & 0xC0) == 0x80) {
        *bytes = 2;
        return (uint32_t)(b[0] & 0x1F) << 6 | (b[1] & 0x3F);
    }
    if (left >= 3 && (b[0] & 0xF0) == 0xE0 && (b[1] & 0xC0) == 0x80 && (b[2] & 0xC0) == 0x80) {
        const uint32_t code = (uint32_t)(b[0] & 0x0F) << 12 | (uint32_t)(b[1] & 0x3F) << 6 | (b[2] & 0x3F);
        if (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF)) return 0;
        *bytes = 3;
        return code;
    }
    return 0;
}

static char fold(uint32_t code) {
    static const char latin[] = "aaaaaaaceeeeiiiidnooooox" /* U+00C0 … : À to × */
                                "ouuuuypsaaaaaaaceeeeiiiidnooooo ouuuuypy";
    static const struct {
        uint32_t first, last;
        char c;
    } ranges[] = {{0xB4, 0xB4, '\''},     {0xB7, 0xB7, '*'},     {0x2012, 0x2015, '-'},
                  {0x2018, 0x2019, '\''}, {0x2022, 0x2023, '*'}, {0x2026, 0x2026, '.'},
                  {0x2028, 0x2029, '\n'}, {0x2043, 0x2043, '*'}, {0x2212, 0x2212, '-'},
                  {0x25A0, 0x25FF, '*'}};
    if (code >= 0xC0 && code <= 0xFF) return latin[code - 0xC0];
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last) return ranges[i].c;
    return ' ';
}

static glyph ascii(unsigned char b) {
    char c = (char)b;
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    if (c == '[') c = '(';
    if (c == ']') c = ')';
    const bool kept = is_letter(c) || is_digit(c) || (c && strchr("\n\t,.;:?!()/&+-=|'", c));
    return (glyph){.c = kept ? c : ' ', .bytes = 1};
}

static glyph glyph_at(const char *text, size_t count, size_t at) {
    const unsigned char *b = (const unsigned char *)text + at;
    if (at >= count) return (glyph){.c = '\n', .bytes = 1};
    if (*b == '\\' && at + 1 < count && (b[1] == 'n' || b[1] == 'r')) /* some exports write line ends out */
        return (glyph){.c = '\n', .bytes = 2};
    if (*b < 0x80) return ascii(*b);
    glyph g = {.c = ' '};
    const uint32_t code = decode(b, count - at, &g.bytes);
    if (code) g.c = fold(code);
    if (code == 0xC6 || code == 0xE6 || code == 0x152 || code == 0x153) /* Æ æ Œ œ */
        g.c = code < 0x100 ? 'a' : 'o', g.second = 'e';
    return g;
}

/* The character before `at`, told from its last byte alone: that suffices for letters and digits. */
static bool alphanumeric_before(const char *text, size_t at) {
    if (at == 0) return false;
    const unsigned char b = (unsigned char)text[at - 1];
    return b >= 0x80 || is_letter(ascii(b).c) || is_digit(ascii(b).c);
}

/* A hyphen joins ("extra-axial", "intra- or extra-axial") or begins a list's line; a dash stands by itself.
 */
static bool is_dash(const char *text, size_t count, size_t at, const glyph *g) {
    const char next = glyph_at(text, count, at + g->bytes).c;
    if (g->bytes > 1) return !(is_digit(next) && alphanumeric_before(text, at));
    return !alphanumeric_before(text, at) && !is_letter(next) && !is_digit(next);
}

/* A tab between two fields of a line, not one that indents it. */
static bool is_column(const char *text, size_t at) { return at > 0 && !strchr(" \t\r\n", text[at - 1]); }

/* "h/o", "s/p", "c/w" */
static bool is_shorthand(const char *text, size_t count, size_t at) {
    return at > 0 && is_letter(ascii((unsigned char)text[at - 1]).c) && !alphanumeric_before(text, at - 1) &&
           is_letter(glyph_at(text, count, at + 1).c) && !is_letter(glyph_at(text, count, at + 2).c) &&
           !is_digit(glyph_at(text, count, at + 2).c);
}

static bool is_sign(const char *text, size_t count, size_t at, const glyph *g) {
    if (g->c == '-') return is_dash(text, count, at, g);
    if (g->c == '\t') return is_column(text, at);
    if (g->c == '/' && is_shorthand(text, count, at)) return false;
    return strchr(",.;:?!()/&+=|", g->c) != NULL;
}

static void put(char word[ICH_WORD_BYTES], size_t *n, char c) {
    if (*n < ICH_WORD_BYTES - 1) word[(*n)++] = c;
    word[*n] = '\0';
}

static size_t read_letters(const char *text, size_t count, size_t at, char word[ICH_WORD_BYTES], size_t n) {
    for (;;) {
        const glyph g = glyph_at(text, count, at);
        const bool inside = g.c == '\'' && is_letter(glyph_at(text, count, at + g.bytes).c);
        if (!is_letter(g.c) && !is_digit(g.c) && !inside) return at;
        put(word, &n, g.c);
        if (g.second) put(word, &n, g.second);
        at += g.bytes;
    }
}

/* "3", "1.5", "10:35", "1/2/2024"; "4th" is a word. */
static size_t read_digits(const char *text, size_t count, size_t at, ich_token *token,
                          char word[ICH_WORD_BYTES]) {
    size_t n = 0;
    for (;; at++) {
        const char c = glyph_at(text, count, at).c;
        const bool inside = strchr(".,:/", c) && is_digit(glyph_at(text, count, at + 1).c);
        if (!is_digit(c) && !inside) break;
        put(word, &n, c);
    }
    char end[3] = {glyph_at(text, count, at).c, glyph_at(text, count, at + 1).c, 0};
    const bool ordinal = !strcmp(end, "st") || !strcmp(end, "nd") || !strcmp(end, "rd") || !strcmp(end, "th");
    token->kind = 'n';
    if (!ordinal || is_letter(glyph_at(text, count, at + 2).c)) return at;
    token->kind = 'w';
    return read_letters(text, count, at, word, n);
}

unsigned ich_word_lines(const char *text, size_t count, size_t from, size_t to) {
    unsigned lines = 0;
    for (glyph g; from < to; from += g.bytes) {
        g = glyph_at(text, count, from);
        lines += g.c == '\n';
    }
    return lines;
}

bool ich_word_next(const char *text, size_t count, size_t *at, ich_token *token, char word[ICH_WORD_BYTES]) {
    for (; *at < count; *at += glyph_at(text, count, *at).bytes) {
        const glyph g = glyph_at(text, count, *at);
        *token = (ich_token){.start = (uint32_t)*at, .word = -1, .kind = 'w'};
        size_t end = *at;
        if (is_letter(g.c)) {
            end = read_letters(text, count, *at, word, 0);
        } else if (is_digit(g.c)) {
            end = read_digits(text, count, *at, token, word);
        } else if (is_sign(text, count, *at, &g)) {
            end = *at + g.bytes;
            token->kind = g.c == '\t' ? '|' : g.c;
            size_t n = 0;
            put(word, &n, token->kind);
        }
        if (end == *at) continue;
        token->end = (uint32_t)end;
        *at = end;
        return true;
    }
    return false;
}
