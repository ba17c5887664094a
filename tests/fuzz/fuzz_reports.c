/* Radiology reports under the built-in lexicon: sentences, what they mention, and what they say of it. */
#include "data/report_internal.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

static void check_mentions(const ich_clause *c) {
    for (int i = 0; i < c->n_mentions; i++) {
        const ich_mention *m = &c->mentions[i];
        fuzz_hold(m->types && m->status <= ICH_SILENT && m->rule, "a mention has types, a status and a rule");
        fuzz_hold(m->from < m->to && m->to <= c->prose->count, "its words are the report's");
        fuzz_hold(m->trigger >= -1 && m->trigger < c->n_items, "what decided is one of the items");
    }
}

/* Once, and before the time of an input begins. */
static ich_lexicon *lexicon;
__attribute__((constructor)) static void read_lexicon(void) {
    ich_error err = {""};
    lexicon = ich_lexicon_read(NULL, &err);
    if (!lexicon) fuzz_hold(false, err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static ich_clause clause;
    ich_error err = {""};
    char *text = malloc(count + 1); /* of its exact length, so that reading beyond is seen */
    fuzz_hold(text != NULL, "there is memory");
    for (size_t i = 0; i < count; i++) text[i] = (char)(bytes[i] ? bytes[i] : ' '); /* no CSV has it */
    text[count] = '\0';
    ich_prose prose;
    fuzz_hold(ich_prose_read(&prose, lexicon, text, count, &err), "there is memory for the sentences");
    clause.prose = &prose;
    clause.blood = clause.outside = false;
    clause.context = clause.described = 0;
    for (size_t i = 0; i < prose.n_sentences; i++) {
        clause.sentence = &prose.sentences[i];
        ich_clause_parse(&clause, lexicon);
        ich_clause_judge(&clause);
        check_mentions(&clause);
    }
    ich_prose_free(&prose);
    free(text);
    return 0;
}
