/* The lexicon's file: headings in brackets open a class, each line below is a phrase, or a pattern of phrases
 * that is written out here. Phrases are kept sorted by their words' numbers, so that the longest that a text
 * begins with is found by narrowing a range. */
#include "file.h"
#include "report_internal.h"
#include <ctype.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

extern const char ich_report_lexicon[]; /* report_lexicon.txt, embedded by the build */

enum {
    MOST_BYTES = 1 << 22,
    MOST_PHRASES = 1 << 18,
    MOST_WORDS = 16,     /* of a phrase */
    MOST_PATTERN = 4096, /* bytes of a pattern with its definitions written out */
    MOST_RULES = 64,     /* spelling rules and definitions */
    LEAST_FORGIVEN = 7,  /* letters of a word whose misspelling is forgiven */
    LEAST_FORGIVEN_TWO = 10
};

static const struct class_name {
    const char *name;
    bool typed;     /* "[name: types]" */
    bool forgiving; /* its long words are recognised misspelt */
} classes[ICH_CLASSES] = {
    [ICH_SECTION_SILENT] = {"section silent", false, false},
    [ICH_SECTION_FINDINGS] = {"section findings", false, false},
    [ICH_SECTION_IMPRESSION] = {"section impression", false, false},
    [ICH_SECTION_SUPERSEDED] = {"section superseded", false, false},
    [ICH_BLOOD] = {"blood", true, true},
    [ICH_FINDING] = {"finding", true, false},
    [ICH_KIND] = {"kind", true, true},
    [ICH_KIND_NOUN] = {"kind noun", true, true},
    [ICH_PLACE] = {"place", true, false},
    [ICH_LOBE] = {"lobe", true, false},
    [ICH_OUTSIDE] = {"outside", false, false},
    [ICH_COLLECTION] = {"collection", true, false},
    [ICH_DENSE] = {"dense", false, false},
    [ICH_WATERY] = {"watery", false, false},
    [ICH_SPACE] = {"space", false, false},
    [ICH_OTHER] = {"other thing", false, false},
    [ICH_LOOKALIKE] = {"look-alike", false, false},
    [ICH_EXTENSION] = {"extension", false, false},
    [ICH_ABNORMALITY] = {"abnormality", false, false},
    [ICH_NORMAL] = {"normal", false, false},
    [ICH_NO_READING] = {"no reading", false, false},
    [ICH_ADJECTIVE] = {"adjective", false, false},
    [ICH_SPECIFIC] = {"specific", false, false},
    [ICH_LIMITING] = {"limiting", false, false},
    [ICH_CONTINUING] = {"continuing", false, false},
    [ICH_CHANGE] = {"change", false, false},
    [ICH_AND] = {"and", false, false},
    [ICH_VERSUS] = {"versus", false, false},
    [ICH_LINK] = {"link", true, false},
    [ICH_STOP] = {"stop", false, false},
    [ICH_BREAK] = {"break", false, false},
    [ICH_BECAUSE] = {"because", false, false},
    [ICH_SURE] = {"sure", false, false},
    [ICH_BEING] = {"being", false, false},
    [ICH_DETERMINER] = {"determiner", false, false},
    [ICH_FILLER] = {"filler", false, false},
    [ICH_DENY_BEFORE] = {"deny before", false, false},
    [ICH_DENY_AFTER] = {"deny after", false, false},
    [ICH_DOUBT_BEFORE] = {"doubt before", false, false},
    [ICH_DOUBT_NEXT] = {"doubt next", false, false},
    [ICH_DOUBT_AFTER] = {"doubt after", false, false},
    [ICH_PAST_BEFORE] = {"past before", false, false},
    [ICH_PAST_AFTER] = {"past after", false, false},
    [ICH_EARLIER] = {"earlier", false, false},
    [ICH_HYPOTHETICAL] = {"hypothetical", false, false},
    [ICH_HYPOTHETICAL_AFTER] = {"hypothetical after", false, false},
    [ICH_AFFIRMED] = {"affirmed", false, false},
    [ICH_SITE] = {"site", false, false},
    [ICH_KNOWN] = {"known words", false, false},
};

typedef struct rule { /* spelling: from, to; definition: name, text */
    char *from, *to;
} rule;

typedef struct vocable {
    int32_t number; /* in the order of reading */
    bool abbreviation;
    bool forgiven; /* recognised misspelt */
    char text[];
} vocable;

struct ich_lexicon {
    ich_phrase *phrases; /* sorted by words */
    size_t n_phrases;
    void *tree; /* words by their text */
    vocable **words;
    size_t n_words;
    int32_t *forgiven;
    size_t n_forgiven;
    rule spelling[MOST_RULES];
    size_t n_spelling;
};

/* -- words and phrases --------------------------------------------------------------------------------- */

enum { CLASS_SPELLING = ICH_CLASSES, CLASS_DEFINE, CLASS_ABBREVIATION }; /* headings that hold no phrases */

typedef struct reader {
    ich_lexicon *lexicon;
    const char *path;
    ich_error *err;
    uint32_t line;
    int cls;
    uint8_t types;
    rule define[MOST_RULES];
    size_t n_define;
} reader;

static bool fail_line(const reader *r, const char *what, const char *text) {
    return ich_fail(r->err, "%s: line %u: %s '%.80s'", r->path, r->line, what, text);
}

static bool out_of_memory(const reader *r) {
    return ich_fail(r->err, "%s: out of memory: its phrases", r->path);
}

/* Applies the spelling rules, each once from left to right, in place: no rule makes a word longer. */
static void respell(const ich_lexicon *lexicon, char *word) {
    for (size_t i = 0; i < lexicon->n_spelling; i++) {
        const rule *s = &lexicon->spelling[i];
        const size_t from = strlen(s->from), to = strlen(s->to);
        for (char *at = word; (at = strstr(at, s->from)) != NULL; at += to) {
            memcpy(at, s->to, to);
            memmove(at + to, at + from, strlen(at + from) + 1);
        }
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(((const vocable *)a)->text, ((const vocable *)b)->text);
}

/* A word as tfind compares it. */
typedef union key {
    vocable vocable;
    char bytes[sizeof(vocable) + ICH_WORD_BYTES];
} key;

/* `text` is shorter than ICH_WORD_BYTES. */
static vocable *find_word(const ich_lexicon *lexicon, const char *text) {
    key sought;
    strcpy(sought.bytes + offsetof(vocable, text), text);
    vocable *const *found = tfind(&sought, &lexicon->tree, by_text);
    return found ? *found : NULL;
}

/* Room for one element more in an array of `n`, which grows at powers of two; NULL without memory. */
static void *grown(void *array, size_t n, size_t size) {
    return n & (n - 1) ? array : realloc(array, (n ? 2 * n : 1) * size);
}

/* The word of this text, added if it is new; NULL without memory. */
static vocable *add_word(ich_lexicon *x, const char *text) {
    vocable *known = find_word(x, text);
    if (known) return known;
    vocable **words = grown(x->words, x->n_words, sizeof *words);
    if (!words) return NULL;
    x->words = words;
    vocable *added = calloc(1, sizeof *added + strlen(text) + 1);
    if (!added) return NULL;
    strcpy(added->text, text);
    if (!tsearch(added, &x->tree, by_text)) {
        free(added);
        return NULL;
    }
    added->number = (int32_t)x->n_words;
    x->words[x->n_words++] = added;
    return added;
}

static bool forgive_word(ich_lexicon *x, vocable *word) {
    if (word->forgiven) return true;
    int32_t *forgiven = grown(x->forgiven, x->n_forgiven, sizeof *forgiven);
    if (!forgiven) return false;
    x->forgiven = forgiven;
    x->forgiven[x->n_forgiven++] = word->number;
    word->forgiven = true;
    return true;
}

/* The words of `text`, after the spelling rules; 0 with a message if there are none, or too many. */
static uint32_t read_words(reader *r, const char *text, vocable *words[MOST_WORDS]) {
    char letters[ICH_WORD_BYTES];
    ich_token token;
    uint32_t n = 0;
    for (size_t at = 0, count = strlen(text); ich_word_next(text, count, &at, &token, letters); n++) {
        if (n == MOST_WORDS) return fail_line(r, "a phrase has too many words:", text);
        respell(r->lexicon, letters);
        if (!(words[n] = add_word(r->lexicon, letters))) return out_of_memory(r);
    }
    return n > 0 ? n : fail_line(r, "a phrase has no words:", text);
}

static bool add_phrase(reader *r, const char *text) {
    ich_lexicon *x = r->lexicon;
    vocable *words[MOST_WORDS];
    if (x->n_phrases == MOST_PHRASES) return fail_line(r, "too many phrases by", text);
    const uint32_t n = read_words(r, text, words);
    if (n == 0) return false;
    ich_phrase *phrases = grown(x->phrases, x->n_phrases, sizeof *phrases);
    if (!phrases) return out_of_memory(r);
    x->phrases = phrases;
    ich_phrase *phrase = &x->phrases[x->n_phrases];
    *phrase = (ich_phrase){
        .words = malloc(n * sizeof *phrase->words), .n = n, .cls = (uint8_t)r->cls, .types = r->types};
    if (!phrase->words) return out_of_memory(r);
    x->n_phrases++;
    for (uint32_t w = 0; w < n; w++) {
        phrase->words[w] = words[w]->number;
        const bool forgiving = classes[r->cls].forgiving && strlen(words[w]->text) >= LEAST_FORGIVEN;
        if (forgiving && !forgive_word(x, words[w])) return out_of_memory(r);
    }
    return true;
}

/* -- patterns ------------------------------------------------------------------------------------------ */

/* The bracket that closes the one at `open`, NULL if none does. */
static const char *closing(const char *open) {
    int depth = 0;
    for (const char *c = open; *c; c++) {
        depth += (*c == '(') - (*c == ')');
        if (depth == 0) return c;
    }
    return NULL;
}

/* Writes out "(a|b|)": the pattern with each alternative of its first group in turn, and so on with that. */
static bool expand(reader *r, const char *pattern) {
    const char *open = strchr(pattern, '(');
    if (!open) return add_phrase(r, pattern);
    const char *close = closing(open), *from = open + 1;
    if (!close) return fail_line(r, "a bracket is not closed in", pattern);
    char *text = malloc(strlen(pattern) + 1);
    bool done = text || out_of_memory(r);
    int depth = 0;
    for (const char *at = from; done && at <= close; at++) {
        depth += (*at == '(') - (at < close && *at == ')');
        if (at < close && (depth > 0 || *at != '|')) continue;
        char *to = mempcpy(text, pattern, (size_t)(open - pattern));
        to = mempcpy(to, from, (size_t)(at - from));
        strcpy(to, close + 1);
        done = expand(r, text);
        from = at + 1;
    }
    free(text);
    return done;
}

/* Replaces "<name>" by "(its definition)" until none is left. */
static bool substitute(reader *r, const char *line) {
    char text[MOST_PATTERN], next[MOST_PATTERN];
    if (snprintf(text, sizeof text, "%s", line) >= (int)sizeof text) return fail_line(r, "too long:", line);
    for (char *open; (open = strchr(text, '<')) != NULL;) {
        const size_t length = strcspn(open, ">");
        const char *found = NULL;
        for (size_t i = 0; i < r->n_define; i++)
            if (strlen(r->define[i].from) == length - 1 && !strncmp(r->define[i].from, open + 1, length - 1))
                found = r->define[i].to;
        if (!found || !open[length]) return fail_line(r, "nothing is defined by the name in", open);
        if (snprintf(next, sizeof next, "%.*s(%s)%s", (int)(open - text), text, found, open + length + 1) >=
            (int)sizeof next)
            return fail_line(r, "too long with its definitions:", line);
        memcpy(text, next, sizeof text);
    }
    return expand(r, text);
}

/* -- lines --------------------------------------------------------------------------------------------- */

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1])) n--;
    text[n] = '\0';
    return text;
}

static bool add_rule(reader *r, rule *rules, size_t *n, char *line) {
    char *equals = strchr(line, '=');
    if (!equals) return fail_line(r, "this is not of the form 'name = text':", line);
    *equals = '\0';
    const char *from = trim(line), *to = trim(equals + 1);
    if (!*from || *n == MOST_RULES) return fail_line(r, "too many, or no name:", to);
    if (rules == r->lexicon->spelling && strlen(to) > strlen(from))
        return fail_line(r, "a spelling may not grow longer:", to);
    rule *added = &rules[(*n)++]; /* whole or not, it is freed with the others */
    *added = (rule){strdup(from), strdup(to)};
    return (added->from && added->to) || out_of_memory(r);
}

static bool read_types(reader *r, char *text) {
    for (char *next, *name = strtok_r(text, " ", &next); name; name = strtok_r(NULL, " ", &next)) {
        int label = ICH_LABELS;
        for (int l = 0; l < ICH_LABELS; l++)
            if (!strcmp(name, ich_label_names[l])) label = l;
        if (label == ICH_LABELS) return fail_line(r, "there is no type", name);
        r->types |= label == ICH_ANY ? ICH_ALL_TYPES : 1 << label;
    }
    return true;
}

/* "[place: intraventricular]" */
static bool read_heading(reader *r, char *line) {
    static const char *const others[] = {"spelling", "define", "abbreviations"};
    char *end = strchr(line, ']');
    if (!end || end[1]) return fail_line(r, "this heading is not closed:", line);
    *end = '\0';
    char *colon = strchr(line, ':');
    if (colon) *colon = '\0';
    const char *name = trim(line + 1);
    r->cls = -1;
    r->types = 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(name, others[i])) r->cls = CLASS_SPELLING + i;
    for (int c = 0; c < ICH_CLASSES; c++)
        if (classes[c].name && !strcmp(name, classes[c].name)) r->cls = c;
    if (r->cls < 0) return fail_line(r, "there is no class", name);
    const bool typed = r->cls < ICH_CLASSES && classes[r->cls].typed;
    if (!colon)
        return !typed || r->cls == ICH_LINK ||
               fail_line(r, "types must follow, as in [place: subdural], after", name);
    return (typed || fail_line(r, "no types may follow", name)) && read_types(r, colon + 1);
}

static bool add_abbreviation(reader *r, const char *line) {
    vocable *words[MOST_WORDS];
    const uint32_t n = read_words(r, line, words);
    if (n == 1) words[0]->abbreviation = true;
    return n == 1 || (n > 1 && fail_line(r, "an abbreviation is one word, not", line));
}

static bool read_line(reader *r, char *line) {
    line[strcspn(line, "#")] = '\0';
    line = trim(line);
    if (!*line) return true;
    if (*line == '[') return read_heading(r, line);
    switch (r->cls) {
    case CLASS_SPELLING:
        return add_rule(r, r->lexicon->spelling, &r->lexicon->n_spelling, line);
    case CLASS_DEFINE:
        return add_rule(r, r->define, &r->n_define, line);
    case CLASS_ABBREVIATION:
        return add_abbreviation(r, line);
    case ICH_PLAIN:
        return fail_line(r, "a heading as [blood: any] must come before", line);
    default:
        return substitute(r, line);
    }
}

static bool read_lines(reader *r, char *text) {
    for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end) *end = '\0';
        r->line++;
        if (!read_line(r, line)) return false;
    }
    return r->lexicon->n_phrases > 0 || ich_fail(r->err, "%s: holds no phrases: is it a lexicon?", r->path);
}

/* -- the table ----------------------------------------------------------------------------------------- */

static int compare_words(const ich_phrase *a, const ich_phrase *b) {
    for (uint32_t i = 0; i < a->n && i < b->n; i++)
        if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}

static int by_words(const void *a, const void *b) { return compare_words(a, b); }

/* One phrase cannot mean two things. */
static bool check_phrases(const reader *r) {
    const ich_lexicon *x = r->lexicon;
    for (size_t i = 1; i < x->n_phrases; i++) {
        const ich_phrase *a = &x->phrases[i - 1], *b = &x->phrases[i];
        if (compare_words(a, b) != 0 || (a->cls == b->cls && a->types == b->types)) continue;
        char text[200] = "";
        for (uint32_t w = 0; w < a->n; w++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", w ? " " : "",
                     x->words[a->words[w]]->text);
        return ich_fail(r->err,
                        "%s: '%s' stands under [%s] and under [%s]: remove one, or make their types the same",
                        r->path, text, classes[a->cls].name, classes[b->cls].name);
    }
    return true;
}

static bool sort_phrases(const reader *r) {
    qsort(r->lexicon->phrases, r->lexicon->n_phrases, sizeof *r->lexicon->phrases, by_words);
    return check_phrases(r);
}

static void free_rules(rule *rules, size_t n) {
    for (size_t i = 0; i < n; i++) free(rules[i].from), free(rules[i].to);
}

/* The file's, or the built-in one's, in fresh memory. */
static char *text_of(const char *path, ich_error *err) {
    size_t count;
    if (path) return ich_file_read(path, MOST_BYTES, &count, err);
    char *text = strdup(ich_report_lexicon);
    if (!text) ich_fail(err, "out of memory: the lexicon");
    return text;
}

ich_lexicon *ich_lexicon_read(const char *path, ich_error *err) {
    reader *r = ich_new(1, sizeof *r, "the lexicon", err);
    char *text = r ? text_of(path, err) : NULL;
    bool done = text != NULL;
    if (done) {
        *r = (reader){.path = path ? path : "the built-in lexicon", .err = err, .cls = ICH_PLAIN};
        r->lexicon = ich_new(1, sizeof *r->lexicon, r->path, err);
        done = r->lexicon && read_lines(r, text) && sort_phrases(r);
        free_rules(r->define, r->n_define);
    }
    ich_lexicon *lexicon = r ? r->lexicon : NULL;
    if (!done) ich_lexicon_free(lexicon);
    free(text);
    free(r);
    return done ? lexicon : NULL;
}

void ich_lexicon_free(ich_lexicon *lexicon) {
    if (!lexicon) return;
    for (size_t i = 0; i < lexicon->n_phrases; i++) free(lexicon->phrases[i].words);
    free_rules(lexicon->spelling, lexicon->n_spelling);
    tdestroy(lexicon->tree, free);
    free(lexicon->phrases);
    free(lexicon->words);
    free(lexicon->forgiven);
    free(lexicon);
}

/* -- looking up ---------------------------------------------------------------------------------------- */

/* Letters left out, put in, replaced, or two exchanged, that lead from a to b (Damerau 1964), of words
 * shorter than ICH_WORD_BYTES. */
static int typing_distance(const char *a, const char *b) {
    int rows[3][ICH_WORD_BYTES + 1];
    const int n = (int)strlen(b);
    for (int j = 0; j <= n; j++) rows[0][j] = j;
    int i = 1;
    for (; a[i - 1]; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int least = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < least) least = above[j] + 1;
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two_above[j - 2] + 1 < least)
                least = two_above[j - 2] + 1;
            row[j] = least;
        }
    }
    return rows[(i + 2) % 3][n];
}

/* The word of hemorrhage that `word` is a misspelling of; its first letter must be right. */
static int32_t forgive(const ich_lexicon *lexicon, const char *word) {
    const size_t length = strlen(word);
    int32_t best = -1;
    int distance = 3;
    if (length < LEAST_FORGIVEN - 1) return -1;
    for (size_t i = 0; i < lexicon->n_forgiven; i++) {
        const char *known = lexicon->words[lexicon->forgiven[i]]->text;
        if (*known != *word) continue;
        const size_t n = strlen(known);
        const int most = n >= LEAST_FORGIVEN_TWO ? 2 : 1;
        if (length + 2 < n || n + 2 < length) continue;
        const int d = typing_distance(word, known);
        if (d <= most && d < distance) distance = d, best = lexicon->forgiven[i];
    }
    return best;
}

int32_t ich_lexicon_word(const ich_lexicon *lexicon, const char *text) {
    char letters[ICH_WORD_BYTES];
    snprintf(letters, sizeof letters, "%s", text);
    respell(lexicon, letters);
    const vocable *known = find_word(lexicon, letters);
    return known ? known->number : forgive(lexicon, letters);
}

bool ich_lexicon_abbreviation(const ich_lexicon *lexicon, int32_t word) {
    return word >= 0 && lexicon->words[word]->abbreviation;
}

/* The first phrase in [low, high) whose word number `w` is at least `word`. */
static size_t lower_bound(const ich_lexicon *lexicon, size_t low, size_t high, uint32_t w, int32_t word) {
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const ich_phrase *p = &lexicon->phrases[middle];
        if (p->n <= w || p->words[w] < word)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const ich_phrase *ich_lexicon_match(const ich_lexicon *lexicon, const ich_token *tokens, size_t n) {
    const ich_phrase *longest = NULL;
    size_t low = 0, high = lexicon->n_phrases;
    for (uint32_t w = 0; w < n && tokens[w].word >= 0; w++) {
        low = lower_bound(lexicon, low, high, w, tokens[w].word);
        high = lower_bound(lexicon, low, high, w, tokens[w].word + 1);
        if (low == high) break;
        if (lexicon->phrases[low].n == w + 1) longest = &lexicon->phrases[low];
    }
    return longest;
}
