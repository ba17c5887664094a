/* A sentence's words, sorted by the lexicon into items, and what can be asked of one. */
#include "report_internal.h"
#include <string.h>
#include <strings.h>

static int class_of_sign(char kind) {
    if (kind == 'n') return ICH_NUMBER;
    if (kind == ',') return ICH_COMMA;
    if (strchr("/&+", kind)) return ICH_AND;
    if (strchr(":-=|", kind)) return ICH_SEPARATOR;
    return kind == 'w' ? ICH_PLAIN : ICH_SIGN;
}

static bool is_value(int cls) {
    return cls == ICH_DENY_BEFORE || cls == ICH_DENY_AFTER || cls == ICH_AFFIRMED;
}

void ich_clause_sort(ich_clause *c, const ich_lexicon *lexicon) {
    const ich_token *tokens = c->prose->tokens;
    c->n_items = 0;
    for (uint32_t k = c->sentence->first; k < c->sentence->end;) {
        const ich_phrase *phrase = ich_lexicon_match(lexicon, tokens + k, c->sentence->end - k);
        ich_item item = {.first = k, .end = k + (phrase ? phrase->n : 1)};
        if (!phrase) {
            item.cls = (uint8_t)class_of_sign(tokens[k].kind);
        } else if (phrase->cls >= ICH_BLOOD &&
                   phrase->cls < ICH_KNOWN) { /* a section's name is a plain word here */
            item.cls = phrase->cls;
            item.types = phrase->types;
        }
        const ich_item *question = c->n_items ? &c->items[c->n_items - 1] : NULL;
        if (question && tokens[question->first].kind == '?' && is_value(item.cls)) /* "Hemorrhage? None." */
            c->items[c->n_items - 1].cls = ICH_SEPARATOR;
        c->items[c->n_items++] = item;
        k = item.end;
    }
}

bool ich_says(const ich_clause *c, int i, const char *word) {
    const ich_token *t = &c->prose->tokens[c->items[i].first];
    return strlen(word) == t->end - t->start &&
           !strncasecmp(c->prose->text + t->start, word, t->end - t->start);
}

bool ich_is_head(int cls) {
    return cls == ICH_BLOOD || cls == ICH_FINDING || cls == ICH_COLLECTION || cls == ICH_KIND_NOUN ||
           cls == ICH_OTHER || cls == ICH_ABNORMALITY;
}

/* Does the clause end behind the item? "SDH: no", "SAH possible", "hemorrhage is difficult to exclude". */
bool ich_ends_clause(const ich_clause *c, int i) {
    const int next = ich_class_at(c, i + 1);
    return next < 0 || next == ICH_COMMA || next == ICH_SIGN ||
           (next == ICH_AND && ich_says(c, i + 1, "/")) ||
           (ich_is_break(next) && c->items[i].cls != ICH_DENY_BEFORE);
}

bool ich_is_or(const ich_clause *c, int i) { return ich_class_at(c, i) == ICH_AND && ich_says(c, i, "or"); }
