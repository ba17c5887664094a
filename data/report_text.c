/* Words to sentences, and the sections that these stand in. Dictated reports end lines where a screen did,
 * lists end them where a thought does: which is which is told by bullets, headings, capital letters, and by
 * whether the next word would still have fitted. */
#include "report_internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_HEADING = 9 }; /* tokens, the colon included */

typedef struct reader {
    ich_prose *prose;
    const ich_lexicon *lexicon;
    size_t width;  /* bytes of the longest line */
    bool shouting; /* all in capitals */
    bool one_line;
} reader;

/* -- tokens -------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t n, size_t size, ich_error *err) {
    if (n & (n - 1)) return true; /* neither 0 nor a power of two: room is left */
    void *more = realloc(*array, (n ? 2 * n : 1) * size);
    if (!more) return ich_fail(err, "out of memory: a report's words");
    *array = more;
    return true;
}

static bool read_tokens(reader *r, ich_error *err) {
    ich_prose *p = r->prose;
    char word[ICH_WORD_BYTES];
    ich_token token;
    for (size_t at = 0; ich_word_next(p->text, p->count, &at, &token, word);) {
        if (!grow((void **)&p->tokens, p->n_tokens, sizeof *p->tokens, err)) return false;
        token.word = ich_lexicon_word(r->lexicon, word);
        p->tokens[p->n_tokens++] = token;
    }
    return true;
}

static void measure(reader *r) {
    const ich_prose *p = r->prose;
    size_t line = 0, small = 0, capital = 0;
    for (size_t i = 0; i < p->count; i++) {
        small += p->text[i] >= 'a' && p->text[i] <= 'z';
        capital += p->text[i] >= 'A' && p->text[i] <= 'Z';
        line = p->text[i] == '\n' ? 0 : line + 1;
        if (line > r->width) r->width = line;
    }
    r->shouting = capital > 4 * small;
    r->one_line = ich_word_lines(p->text, p->count, 0, p->count) == 0;
}

/* -- lines --------------------------------------------------------------------------------------------- */

static unsigned lines_before(const reader *r, size_t k) {
    const ich_prose *p = r->prose;
    const size_t from = k ? p->tokens[k - 1].end : 0;
    return k == 0 ? 2 : ich_word_lines(p->text, p->count, from, p->tokens[k].start);
}

static bool is_capital(const reader *r, size_t byte) { return isupper((unsigned char)r->prose->text[byte]); }

static bool adjacent(const ich_token *a, const ich_token *b) { return a->end == b->start; }

/* "1." or "2)", but no date */
static bool is_enumerator(const reader *r, size_t k) {
    const ich_token *t = r->prose->tokens;
    return k + 1 < r->prose->n_tokens && t[k].kind == 'n' && t[k].end - t[k].start <= 2 &&
           (t[k + 1].kind == '.' || t[k + 1].kind == ')') && adjacent(&t[k], &t[k + 1]);
}

/* Does a list's sign stand before the token on its line? */
static bool has_bullet(const reader *r, size_t k) {
    const ich_token *t = r->prose->tokens;
    if (is_enumerator(r, k) || t[k].kind == '-') return true;
    for (size_t i = t[k].start; i > (k ? t[k - 1].end : 0); i--) {
        const unsigned char c = (unsigned char)r->prose->text[i - 1];
        if (c == '\n') return false;
        if (c == '*' || c == '-' || c == '>' || c >= 0x80) return true;
    }
    return false;
}

/* The token behind the colon that ends a heading which begins at k; 0 where there is none. */
static size_t heading_end(const reader *r, size_t k) {
    const ich_prose *p = r->prose;
    for (size_t i = k; i < p->n_tokens && i < k + MOST_HEADING; i++) {
        const char kind = p->tokens[i].kind;
        if (i > k && lines_before(r, i)) return 0;
        if (kind == ':') return i > k ? i + 1 : 0;
        if (strchr(".;?!|", kind)) return 0;
    }
    return 0;
}

static bool is_section(const ich_phrase *phrase) {
    return phrase && phrase->cls >= ICH_SECTION_SILENT && phrase->cls <= ICH_SECTION_SUPERSEDED;
}

static const ich_phrase *section_at(const reader *r, size_t k) {
    const ich_phrase *phrase = ich_lexicon_match(r->lexicon, r->prose->tokens + k, r->prose->n_tokens - k);
    return is_section(phrase) ? phrase : NULL;
}

/* A section's name that fills its line. */
static bool is_bare_heading(const reader *r, size_t k) {
    const ich_phrase *phrase = section_at(r, k);
    return phrase && (k + phrase->n == r->prose->n_tokens || lines_before(r, k + phrase->n));
}

/* After "of", "no", "acute", "subdural" a thought cannot end. */
static bool expects_more(const reader *r, size_t k) {
    const ich_token *t = &r->prose->tokens[k];
    const ich_phrase *phrase = ich_lexicon_match(r->lexicon, t, 1);
    if (t->kind == ',' || t->kind == '/' || t->kind == '&') return true;
    if (!phrase || (k > 0 && strchr(":-|=", t[-1].kind))) return false; /* "SDH - no" is all */
    const int cls = phrase->cls;
    return cls == ICH_KIND || cls == ICH_KIND_NOUN || cls == ICH_ADJECTIVE || cls == ICH_SPECIFIC ||
           cls == ICH_LIMITING || cls == ICH_CONTINUING || cls == ICH_AND || cls == ICH_LINK ||
           cls == ICH_STOP || cls == ICH_DETERMINER || ich_is_sure(cls) || cls == ICH_DENY_BEFORE ||
           cls == ICH_DOUBT_BEFORE || cls == ICH_DOUBT_NEXT;
}

/* Would the word that begins the next line have fitted on this one? */
static bool would_have_fitted(const reader *r, size_t k) {
    const ich_prose *p = r->prose;
    size_t begin = p->tokens[k - 1].end;
    while (begin > 0 && p->text[begin - 1] != '\n' && p->tokens[k - 1].end - begin <= r->width) begin--;
    return p->tokens[k - 1].end - begin + 1 + (p->tokens[k].end - p->tokens[k].start) <= r->width;
}

static bool breaks_at_line(const reader *r, size_t k) {
    const ich_token *t = &r->prose->tokens[k];
    if (lines_before(r, k) > 1) return true;
    if (has_bullet(r, k) || heading_end(r, k) || is_bare_heading(r, k)) return true;
    if (t[-1].kind == ':' || expects_more(r, k - 1) || !is_capital(r, t->start)) return false;
    return !r->shouting || would_have_fitted(r, k);
}

/* -- sentences ----------------------------------------------------------------------------------------- */

/* Does the full stop before token k end a sentence? Not after an abbreviation, nor inside "e.g.". */
static bool ends_at_stop(const reader *r, size_t k) {
    const ich_token *t = r->prose->tokens;
    if (k < 2 || t[k - 2].kind != 'w') return true;
    if (ich_lexicon_abbreviation(r->lexicon, t[k - 2].word)) return false;
    const bool one_letter = t[k - 2].end - t[k - 2].start == 1;
    const bool inside =
        one_letter && adjacent(&t[k - 1], &t[k]) && t[k].kind == 'w' && t[k].end - t[k].start == 1;
    const bool last = one_letter && k >= 4 && t[k - 3].kind == '.' && adjacent(&t[k - 3], &t[k - 2]) &&
                      t[k - 4].end - t[k - 4].start == 1;
    return !inside && !last;
}

/* "?SAH" and "? SAH" ask, "SAH?" too, but only the latter ends a sentence. */
static bool is_leading_question(const reader *r, size_t mark) {
    const ich_token *t = r->prose->tokens;
    return mark == 0 || t[mark - 1].end < t[mark].start || t[mark - 1].kind == '(';
}

/* "Hemorrhage? None." "Blood? Not seen." */
static bool is_answer(const reader *r, size_t k) {
    const ich_phrase *phrase = ich_lexicon_match(r->lexicon, r->prose->tokens + k, r->prose->n_tokens - k);
    const int cls = phrase ? phrase->cls : ICH_PLAIN;
    const size_t end = k + (phrase ? phrase->n : 1);
    const bool ends =
        end == r->prose->n_tokens || strchr(".,;", r->prose->tokens[end].kind) || lines_before(r, end);
    return ends && (cls == ICH_DENY_BEFORE || cls == ICH_DENY_AFTER || cls == ICH_AFFIRMED);
}

/* "SDH on Monday; it has been drained", "... This is unchanged": a pronoun's verdict is on what stands before
 * it. */
static bool is_verdict(const reader *r, size_t k) {
    const ich_phrase *phrase = NULL;
    size_t at = k;
    for (; at < r->prose->n_tokens && !lines_before(r, at); at += phrase->n) {
        phrase = ich_lexicon_match(r->lexicon, r->prose->tokens + at, r->prose->n_tokens - at);
        if (!phrase || !(phrase->cls == ICH_FILLER || (at == k && phrase->cls == ICH_DETERMINER))) break;
    }
    if (!phrase || at == k) return false;
    const int cls = phrase->cls;
    return cls == ICH_CONTINUING || cls == ICH_DENY_AFTER || cls == ICH_PAST_AFTER || cls == ICH_DOUBT_AFTER;
}

/* "1) No fracture 2) SDH", but not "(series 2) shows". */
static bool in_brackets(const reader *r, size_t first, size_t k) {
    while (k-- > first)
        if (r->prose->tokens[k].kind == '(' || r->prose->tokens[k].kind == ')')
            return r->prose->tokens[k].kind == '(';
    return false;
}

static bool begins_sentence(const reader *r, size_t k, size_t first) {
    const char before = k ? r->prose->tokens[k - 1].kind : 0;
    if (k == 0 || k - first >= ICH_SENTENCE_TOKENS) return true;
    if (before == '.' && ends_at_stop(r, k)) return !is_verdict(r, k);
    if (before == '!' || before == ';') return !is_verdict(r, k);
    if (before == '?' && !is_leading_question(r, k - 1)) return !is_answer(r, k);
    if (lines_before(r, k)) return breaks_at_line(r, k);
    if (is_enumerator(r, k) && !in_brackets(r, first, k)) return true;
    const ich_phrase *section = is_capital(r, r->prose->tokens[k].start) ? section_at(r, k) : NULL;
    return section && k + section->n < r->prose->n_tokens && r->prose->tokens[k + section->n].kind == ':';
}

/* How many tokens of a list's sign begin the line at k: "1.", "-". */
static size_t bullet_length(const reader *r, size_t k) {
    if (is_enumerator(r, k)) return 2;
    return r->prose->tokens[k].kind == '-' && lines_before(r, k) ? 1 : 0;
}

static bool read_sentences(reader *r, ich_error *err) {
    ich_prose *p = r->prose;
    unsigned lines = 0; /* ends of lines before the sentence or its bullet */
    bool begins = true;
    for (size_t k = 0, first = 0; k < p->n_tokens; k++) {
        begins = begins || begins_sentence(r, k, first);
        if (!begins) {
            p->sentences[p->n_sentences - 1].end = (uint32_t)k + 1;
            continue;
        }
        first = k;
        if (lines_before(r, k)) lines = lines_before(r, k);
        const size_t bullet = bullet_length(r, k);
        if (bullet) {
            k += bullet - 1;
            continue;
        }
        if (!grow((void **)&p->sentences, p->n_sentences, sizeof *p->sentences, err)) return false;
        p->sentences[p->n_sentences++] = (ich_sentence){
            .first = (uint32_t)k, .end = (uint32_t)k + 1, .line = lines > 0, .paragraph = lines > 1};
        begins = false;
        lines = 0;
    }
    return true;
}

/* -- sections ------------------------------------------------------------------------------------------ */

static bool all_capital(const reader *r, size_t first, size_t end) {
    for (size_t k = first; k < end; k++)
        for (uint32_t b = r->prose->tokens[k].start; b < r->prose->tokens[k].end; b++)
            if (islower((unsigned char)r->prose->text[b])) return false;
    return true;
}

/* "Comparison with 2 Jan: the hematoma ..." is a sentence. */
static bool goes_on(const reader *r, size_t k) {
    const ich_phrase *phrase = ich_lexicon_match(r->lexicon, r->prose->tokens + k, 1);
    return phrase && (phrase->cls == ICH_LINK || phrase->cls == ICH_STOP || phrase->cls == ICH_FILLER);
}

/* Where the text of a section begins whose name the sentence begins with: behind "FINDINGS:", "Findings -",
 * "FINDINGS" on a line of its own, or in capitals before a text that is not. 0: it is no heading. */
static size_t behind_section_name(const reader *r, const ich_sentence *s, const ich_phrase *name) {
    const size_t after = s->first + name->n, colon = heading_end(r, s->first);
    const ich_token *t = r->prose->tokens;
    if (colon) return goes_on(r, after) ? 0 : colon;
    if (after >= s->end || lines_before(r, after)) return after;
    if (t[after].kind == '-' || (t[after].kind == '.' && after + 1 == s->end)) return after + 1;
    const bool shouted = !r->shouting && all_capital(r, s->first, after) && !all_capital(r, after, after + 1);
    return shouted && t[after].kind == 'w' ? after : 0;
}

/* "Ventricles:", "EXTRA-AXIAL SPACES:", "Hemorrhage:" lead back from the history to what was seen. */
static bool is_anatomical(const reader *r, const ich_sentence *s) {
    const size_t end = s->line ? heading_end(r, s->first) : 0;
    for (size_t k = s->first; k < end; k++) {
        const ich_phrase *phrase = ich_lexicon_match(r->lexicon, r->prose->tokens + k, end - k);
        if (phrase && phrase->cls >= ICH_BLOOD && phrase->cls <= ICH_COLLECTION) return true;
    }
    return false;
}

/* The last sentence, counted from 1, with a heading of this class; 0: none. */
static size_t last_section(const reader *r, int cls) {
    size_t last = 0;
    for (size_t i = 0; i < r->prose->n_sentences; i++) {
        const ich_sentence *s = &r->prose->sentences[i];
        const ich_phrase *name = section_at(r, s->first);
        if (name && name->cls == cls && behind_section_name(r, s, name)) last = i + 1;
    }
    return last;
}

/* History, technique and the like last until the next heading; but where no heading of findings leads back,
 * only to the end of their paragraph, or of their line. */
static void assign_sections(reader *r) {
    const size_t findings = last_section(r, ICH_SECTION_FINDINGS);
    const size_t impression = last_section(r, ICH_SECTION_IMPRESSION);
    const bool reading = findings > 0 || impression > 0;
    int section = ICH_PLAIN;
    size_t inside = 0; /* sentences of the section so far */
    for (size_t i = 0; i < r->prose->n_sentences; i++) {
        ich_sentence *s = &r->prose->sentences[i];
        const ich_phrase *name = section_at(r, s->first);
        const size_t behind = name ? behind_section_name(r, s, name) : 0;
        const bool untitled = findings <= i && impression > i; /* what was seen has no heading of its own */
        const bool left = s->paragraph || ((untitled || !reading) && (s->line || (!reading && r->one_line)));
        if (behind) {
            section = name->cls == ICH_SECTION_SUPERSEDED && !reading ? ICH_SECTION_FINDINGS : name->cls;
            inside = 0;
            s->first = (uint32_t)(behind < s->end ? behind : s->end);
        } else if (section == ICH_SECTION_SILENT && ((left && inside > 0) || is_anatomical(r, s))) {
            section = ICH_PLAIN;
        }
        s->section = (uint8_t)section;
        inside += s->first < s->end;
    }
}

bool ich_prose_read(ich_prose *prose, const ich_lexicon *lexicon, const char *text, size_t count,
                    ich_error *err) {
    *prose = (ich_prose){.text = text, .count = count};
    reader r = {.prose = prose, .lexicon = lexicon};
    measure(&r);
    const bool done = read_tokens(&r, err) && read_sentences(&r, err);
    if (done) assign_sections(&r);
    if (!done) ich_prose_free(prose);
    return done;
}

void ich_prose_free(ich_prose *prose) {
    free(prose->tokens);
    free(prose->sentences);
    *prose = (ich_prose){0};
}
