/* report_internal.h: what the files of the report labeller share; nobody outside data/report_*.c includes it.
 *
 *   report_words.c     bytes to words: UTF-8, lower case, numbers, signs
 *   report_lexicon.c   the lexicon's file to a table of phrases, and a text's words to those phrases
 *   report_text.c      words to sentences, sentences to sections
 *   report_items.c     a sentence's words, sorted into items
 *   report_places.c    where in or out of the brain blood lies
 *   report_mentions.c  of what a sentence speaks: blood, and of which types
 *   report_reach.c     what the words before and behind a mention say of it
 *   report_status.c    what the sentence says of it: present, denied, doubtful, past …
 *   report_labels.c    a report's mentions to six labels with their evidence; the tables
 *
 * What the words mean stands in report_lexicon.txt; here are the classes that it sorts them into.
 */
#ifndef ICH_DATA_REPORT_INTERNAL_H
#define ICH_DATA_REPORT_INTERNAL_H

#include "labels.h"
#include "report_labels.h"
#include <stdint.h>

/* -- words --------------------------------------------------------------------------------------------- */

enum { ICH_WORD_BYTES = 48 }; /* longer words are cut */

typedef struct ich_token {
    uint32_t start, end; /* bytes of the text */
    int32_t word;        /* its number in the lexicon's vocabulary, -1: not there */
    char kind;           /* 'w' word, 'n' number, else a sign: itself */
} ich_token;

/* The next token at or after *at, and its letters in lower case without accents; false at the text's end. */
bool ich_word_next(const char *text, size_t count, size_t *at, ich_token *token, char word[ICH_WORD_BYTES]);

/* Ends of lines between two bytes. */
unsigned ich_word_lines(const char *text, size_t count, size_t from, size_t to);

/* -- lexicon ------------------------------------------------------------------------------------------- */

/* Classes of phrases, in the order of the table in report_lexicon.c; report_lexicon.txt explains each. */
typedef enum ich_phrase_class {
    ICH_PLAIN, /* in no class */
    ICH_SECTION_SILENT,
    ICH_SECTION_FINDINGS,
    ICH_SECTION_IMPRESSION,
    ICH_SECTION_SUPERSEDED,
    ICH_BLOOD,
    ICH_FINDING,
    ICH_KIND,
    ICH_KIND_NOUN,
    ICH_PLACE,
    ICH_LOBE,
    ICH_OUTSIDE,
    ICH_COLLECTION,
    ICH_DENSE,
    ICH_WATERY,
    ICH_SPACE,
    ICH_OTHER,
    ICH_LOOKALIKE,
    ICH_EXTENSION,
    ICH_ABNORMALITY,
    ICH_NORMAL,
    ICH_NO_READING,
    ICH_ADJECTIVE,
    ICH_SPECIFIC,
    ICH_LIMITING,
    ICH_CONTINUING,
    ICH_CHANGE,
    ICH_AND,
    ICH_VERSUS,
    ICH_LINK,
    ICH_STOP,
    ICH_BREAK,
    ICH_BECAUSE,
    ICH_SURE,
    ICH_BEING,
    ICH_DETERMINER,
    ICH_FILLER,
    ICH_DENY_BEFORE,
    ICH_DENY_AFTER,
    ICH_DOUBT_BEFORE,
    ICH_DOUBT_NEXT,
    ICH_DOUBT_AFTER,
    ICH_PAST_BEFORE,
    ICH_PAST_AFTER,
    ICH_EARLIER,
    ICH_HYPOTHETICAL,
    ICH_HYPOTHETICAL_AFTER,
    ICH_AFFIRMED,
    ICH_SITE,
    ICH_KNOWN,
    ICH_CLASSES,
    /* classes of items that are no phrases */
    ICH_NUMBER = ICH_CLASSES,
    ICH_COMMA,
    ICH_SEPARATOR, /* : - = | between a finding and its value */
    ICH_SIGN
} ich_phrase_class;

enum { /* sets of types: bit 1 << label */
       ICH_ALL_TYPES = 1 << ICH_EPIDURAL | 1 << ICH_INTRAPARENCHYMAL | 1 << ICH_INTRAVENTRICULAR |
                       1 << ICH_SUBARACHNOID | 1 << ICH_SUBDURAL,
};

typedef struct ich_phrase {
    int32_t *words;
    uint32_t n;
    uint8_t cls, types;
} ich_phrase;

typedef struct ich_lexicon ich_lexicon;

/* The lexicon at `path`, or the built-in one where it is NULL. Fails naming file, line and what is wrong. */
ich_lexicon *ich_lexicon_read(const char *path, ich_error *err);
void ich_lexicon_free(ich_lexicon *lexicon);

/* A word's number: after the spelling rules, and with one or two mistyped letters forgiven in long words of
 * hemorrhage. -1: unknown. */
int32_t ich_lexicon_word(const ich_lexicon *lexicon, const char *word);
bool ich_lexicon_abbreviation(const ich_lexicon *lexicon, int32_t word);
/* The longest phrase that the tokens begin with, NULL if none. */
const ich_phrase *ich_lexicon_match(const ich_lexicon *lexicon, const ich_token *tokens, size_t n);

/* -- sentences ----------------------------------------------------------------------------------------- */

enum { ICH_SENTENCE_TOKENS = 250 }; /* a longer one is cut: work grows with its square */

typedef struct ich_sentence {
    uint32_t first, end; /* tokens */
    uint8_t section;     /* ICH_SECTION_*; ICH_PLAIN: under no heading */
    bool line;           /* begins a line */
    bool paragraph;      /* … after an empty one */
} ich_sentence;

typedef struct ich_prose {
    const char *text;
    size_t count;
    ich_token *tokens;
    ich_sentence *sentences;
    size_t n_tokens, n_sentences;
} ich_prose;

bool ich_prose_read(ich_prose *prose, const ich_lexicon *lexicon, const char *text, size_t count,
                    ich_error *err);
void ich_prose_free(ich_prose *prose);

/* -- mentions ------------------------------------------------------------------------------------------ */

typedef struct ich_item { /* a phrase, or a word that is in none */
    uint8_t cls, types;
    bool used;           /* belongs to a mention, or to what is none */
    uint32_t first, end; /* tokens */
} ich_item;

typedef enum ich_status {
    ICH_PRESENT,
    ICH_DOUBTFUL,
    ICH_ASKED, /* what the scan was asked for: doubtful if nothing answers */
    ICH_DENIED,
    ICH_DENIED_PARTLY, /* "no acute", "no new": what was there before may still be */
    ICH_SILENT,        /* says nothing of this scan: look-alike, past, hypothetical, not a reading … */
} ich_status;

typedef struct ich_mention {
    uint8_t types;           /* one of these */
    uint8_t cls;             /* of its head */
    uint8_t status, section; /* ich_status, ICH_SECTION_* */
    bool outside;            /* lies outside the cavity of the skull, or is no blood at all */
    bool loosely_outside;    /* … as far as what is said before it in the sentence tells */
    bool regional;           /* in a "frontal region" and the like */
    bool watery;             /* a collection that may hold no blood */
    int first, head, last;   /* items: of the noun phrase; `last`: of the place that follows */
    int trigger;             /* the item that decided the status, -1: none */
    const char *rule;        /* the rule that decided, for people */
    uint32_t from, to;       /* bytes of the text that tell all this */
} ich_mention;

/* One sentence at work. */
typedef struct ich_clause {
    const ich_prose *prose;
    const ich_sentence *sentence;
    ich_item items[ICH_SENTENCE_TOKENS];
    ich_mention mentions[ICH_SENTENCE_TOKENS];
    int n_items, n_mentions;
    int body;          /* first item behind a heading as "Ventricles:" */
    uint8_t context;   /* types that the heading names, or those of a heading before */
    bool outside;      /* … or that it names something outside the skull's cavity */
    bool blood;        /* an earlier sentence spoke of blood */
    bool answered;     /* … or said anything of the scan */
    uint8_t spoken;    /* the type that was spoken of last */
    uint8_t described; /* types of the place where the sentence before saw something dense */
} ich_clause;

/* Sorts the sentence's words into items and finds what it mentions. `context`, `outside` and `blood` are
 * carried from sentence to sentence. */
void ich_clause_parse(ich_clause *clause, const ich_lexicon *lexicon);
/* Decides the status of each mention. */
void ich_clause_judge(ich_clause *clause);

/* -- items --------------------------------------------------------------------------------------------- */

/* Fills clause->items from its sentence. */
void ich_clause_sort(ich_clause *clause, const ich_lexicon *lexicon);
/* Does the item begin with this very word or sign? */
bool ich_says(const ich_clause *clause, int i, const char *word);
bool ich_is_head(int cls); /* of a noun phrase */
bool ich_is_or(const ich_clause *clause, int i);
/* Does the clause end behind the item? "SDH: no", "SAH possible", "hemorrhage is difficult to exclude". */
bool ich_ends_clause(const ich_clause *clause, int i);

static inline int ich_class_at(const ich_clause *c, int i) {
    return i >= 0 && i < c->n_items ? c->items[i].cls : -1;
}

/* Words that describe a thing and leave it what it is. */
static inline bool ich_is_description(int cls) {
    return cls == ICH_ADJECTIVE || cls == ICH_SPECIFIC || cls == ICH_LIMITING || cls == ICH_CONTINUING ||
           cls == ICH_DENSE || cls == ICH_WATERY || cls == ICH_NUMBER;
}

static inline bool ich_is_sure(int cls) { return cls == ICH_SURE || cls == ICH_BEING; }

static inline bool ich_is_break(int cls) { return cls == ICH_BREAK || cls == ICH_BECAUSE; }

static inline bool ich_is_kind(int cls) { return cls == ICH_KIND || cls == ICH_KIND_NOUN; }

static inline bool ich_is_modifier(int cls) {
    return ich_is_kind(cls) || ich_is_description(cls) || cls == ICH_PLACE || cls == ICH_LOBE ||
           cls == ICH_OUTSIDE;
}

static inline bool ich_is_type_single(unsigned types) { return types && !(types & (types - 1)); }

/* -- places -------------------------------------------------------------------------------------------- */

/* The way from blood to the place it lies in. */
typedef struct ich_place_search {
    uint8_t types; /* of the places found, 0: none */
    bool outside;  /* of the brain's coverings */
    uint8_t each;  /* … of these, those that a place has by itself; the others come from vague places */
    bool of_place; /* a lobe only tells more of a place: "sulci of the frontal lobe" */
    bool certain;  /* a place of the brain by itself, not "frontal", which may be a scalp's */
    int last;      /* item of the place */
    /* on the way */
    uint8_t lobe, over; /* over: the types that "along the convexity of" leaves */
    bool linked, adjacent, placed, joined;
} ich_place_search;

ich_place_search ich_place_behind(const ich_clause *clause, int head);
uint8_t ich_place_before(const ich_clause *clause, int first);
uint8_t ich_place_described(const ich_clause *clause, int first);
uint8_t ich_place_seen(const ich_clause *clause); /* of what is dense, wherever in the sentence */
bool ich_outside_before(const ich_clause *clause, int first);
bool ich_outside_behind(const ich_clause *clause, int head);
/* Nothing but a place from here to the next comma or the end: "hemorrhage, left thalamus". */
bool ich_place_only(const ich_clause *clause, int first);

/* -- reach --------------------------------------------------------------------------------------------- */

/* The items that decide from before a mention or from behind it, -1: none. */
typedef struct ich_verdict {
    int denied, doubted, past, earlier, hypothetical, continuing;
} ich_verdict;

void ich_look_before(const ich_clause *clause, const ich_mention *mention, ich_verdict *verdict);
void ich_look_behind(const ich_clause *clause, const ich_mention *mention, ich_verdict *verdict);

#endif
