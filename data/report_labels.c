/* A report's mentions to labels. Each label takes the strongest rank that the report has a mention of: what
 * the impression says comes before what the findings say, presence before doubt, doubt before denial, and
 * what names the type before what means any hemorrhage. "No acute" and "no new" deny no blood that the
 * findings describe; a reading that a later one replaces counts where that is silent. */
#include "report_labels.h"

#include "csv.h"
#include "file.h"
#include "report_internal.h"
#include <stdlib.h>
#include <string.h>

enum { QUOTE_BYTES = 240, MOST_REPORT = 1 << 26 };

enum { /* ranks, the strongest first; RANKS: the report says nothing of the label */
       IMPRESSION_PRESENT,
       IMPRESSION_DOUBTFUL,
       IMPRESSION_DENIED, /* this very type */
       IMPRESSION_OPEN,   /* blood that might be of this type is present or in doubt */
       IMPRESSION_NONE,   /* any hemorrhage is denied */
       PRESENT,
       IMPRESSION_PARTLY, /* denied in part: "no acute" */
       DOUBTFUL,
       DENIED,
       DENSE, /* "hyperdensity in the sulci": what no other word calls blood */
       OPEN,
       NONE,
       PARTLY,
       SUPERSEDED_PRESENT, /* in a reading that a later one replaces */
       SUPERSEDED_OPEN,    /* … or asked for only */
       RANKS
};

static const signed char meaning[RANKS] = {/* 1, 0, or -1: unknown */
                                           [IMPRESSION_PRESENT] = 1,
                                           [IMPRESSION_DOUBTFUL] = -1,
                                           [IMPRESSION_OPEN] = -1,
                                           [PRESENT] = 1,
                                           [DOUBTFUL] = -1,
                                           [DENSE] = 1,
                                           [OPEN] = -1,
                                           [SUPERSEDED_PRESENT] = 1,
                                           [SUPERSEDED_OPEN] = -1};

typedef struct quote { /* bytes of the report; `to` 0: none */
    uint32_t from, to;
    uint8_t types;
    bool doubtful;
} quote;

/* The first mention of each rank, for each label. */
typedef struct tally {
    quote first[ICH_LABELS][RANKS];
    uint8_t narrow; /* the fewest types that some blood is known to be of, where these are several; 0: none */
    quote unread;   /* where the report says that the scan could not be read */
} tally;

typedef struct answer {
    int value[ICH_LABELS]; /* 1, 0, -1: unknown */
    quote evidence[ICH_LABELS];
} answer;

typedef struct job {
    ich_lexicon *lexicon;
    ich_clause *clause;
    ich_csv csv;
    int id, report; /* columns */
    FILE *explain;  /* NULL: not wanted */
} job;

/* -- ranks --------------------------------------------------------------------------------------------- */

/* `single`: the mention names one type alone, or the label is `any`. */
static int rank_of(const ich_mention *m, bool single) {
    const bool impression = m->section == ICH_SECTION_IMPRESSION;
    const bool superseded = m->section == ICH_SECTION_SUPERSEDED, present = m->status == ICH_PRESENT;
    if (superseded && single && present) return SUPERSEDED_PRESENT;
    if (m->status == ICH_ASKED || (superseded && (present || m->status == ICH_DOUBTFUL)))
        return SUPERSEDED_OPEN;
    if (superseded) return PARTLY;
    if (m->cls == ICH_DENSE && m->status == ICH_PRESENT) return DENSE;
    if (m->status == ICH_DENIED_PARTLY) return impression ? IMPRESSION_PARTLY : PARTLY;
    if (m->status == ICH_DENIED && single) return impression ? IMPRESSION_DENIED : DENIED;
    if (m->status == ICH_DENIED) return impression ? IMPRESSION_NONE : NONE;
    if (!single) return impression ? IMPRESSION_OPEN : OPEN;
    if (m->status == ICH_DOUBTFUL) return impression ? IMPRESSION_DOUBTFUL : DOUBTFUL;
    return impression ? IMPRESSION_PRESENT : PRESENT;
}

/* Keeps the first of a rank, or the one that leaves fewer types open. */
static void keep(quote *kept, const ich_mention *m) {
    const bool narrower = (m->types | kept->types) == kept->types && m->types != kept->types;
    if (kept->to == 0 || narrower)
        *kept = (quote){m->from, m->to, m->types, m->status == ICH_DOUBTFUL || m->status == ICH_ASKED};
}

static void count(tally *t, const ich_mention *m) {
    const bool single = ich_is_type_single(m->types),
               denies = m->status != ICH_PRESENT && m->status != ICH_DOUBTFUL && m->status != ICH_ASKED;
    if (m->cls == ICH_NO_READING && m->section != ICH_SECTION_SILENT)
        t->unread = (quote){.from = m->from, .to = m->to};
    if (m->status == ICH_SILENT) return;
    for (int l = 1; l < ICH_LABELS; l++)
        if (m->types >> l & 1) keep(&t->first[l][rank_of(m, single)], m);
    if (m->status == ICH_PRESENT && !single && (!t->narrow || (m->types & t->narrow) == m->types))
        t->narrow = m->types;
    if (single && !denies) return; /* decide_any() looks at what came of its type */
    /* That one type is denied says little of all. */
    const int rank = denies && m->types != ICH_ALL_TYPES ? PARTLY : rank_of(m, !denies);
    keep(&t->first[ICH_ANY][rank], m);
}

/* -- labels -------------------------------------------------------------------------------------------- */

static int best_rank_from(const quote first[RANKS], int rank) {
    while (rank < RANKS && first[rank].to == 0) rank++;
    return rank;
}

static int best_rank(const quote first[RANKS]) { return best_rank_from(first, 0); }

/* The same, but "acute hemorrhage" in the impression means the type that the findings name. */
static int best_named_rank(const quote first[RANKS]) {
    const int rank = best_rank(first);
    return rank == IMPRESSION_OPEN && !first[rank].doubtful ? best_rank_from(first, rank + 1) : rank;
}

static void take(answer *a, int label, const quote first[RANKS], int rank) {
    a->value[label] = rank < RANKS ? meaning[rank] : 0;
    a->evidence[label] = rank < RANKS ? first[rank] : (quote){0};
}

static bool is_denied(const quote *q) { return q->to && q->types != ICH_ALL_TYPES; }

/* "Hemorrhage" leaves a type open unless that type is denied by name, or another that it may mean is present;
 * or, if it is in doubt itself, doubtful, or unless two others are. "Extra-axial" leaves subarachnoid open
 * unless "subdural or epidural" is said too. */
static void close_open(tally *t, int label, unsigned present, unsigned doubtful) {
    static const int open[] = {IMPRESSION_OPEN, OPEN};
    quote *first = t->first[label];
    const bool denied = first[IMPRESSION_DENIED].to || first[DENIED].to ||
                        is_denied(&first[IMPRESSION_NONE]) || is_denied(&first[NONE]); /* "no extra-axial" */
    for (int i = 0; i < 2; i++) {
        quote *q = &first[open[i]];
        const unsigned named = q->types & doubtful, several = named & (named - 1);
        const bool narrower = (q->types & t->narrow) == t->narrow && !(t->narrow >> label & 1);
        if (denied || (q->types & present) || (q->doubtful ? named : several) || (t->narrow && narrower))
            q->to = 0;
    }
}

static bool is_doubt(int rank) {
    return rank == DOUBTFUL || rank == IMPRESSION_DOUBTFUL || rank == SUPERSEDED_OPEN;
}

static void decide_types(tally *t, answer *a) {
    unsigned present = 0, doubtful = 0;
    for (int l = 1; l < ICH_LABELS; l++) {
        const int rank = best_named_rank(t->first[l]);
        if (rank < RANKS && meaning[rank] == 1) present |= 1U << l;
        if (is_doubt(rank)) doubtful |= 1U << l;
    }
    for (int l = 1; l < ICH_LABELS; l++) {
        close_open(t, l, present, doubtful);
        take(a, l, t->first[l], best_rank(t->first[l]));
    }
}

/* Present if a type is; else in doubt as far as a type is; else as the mentions of no type say. */
static void decide_any(tally *t, answer *a) {
    quote *any = t->first[ICH_ANY];
    int best = RANKS;
    for (int l = 1; l < ICH_LABELS; l++) {
        const int rank = best_rank(t->first[l]);
        if (is_doubt(rank)) any[rank] = t->first[l][rank];
        if (rank < best && meaning[rank] == 1) best = rank, any[IMPRESSION_PRESENT] = t->first[l][rank];
    }
    take(a, ICH_ANY, any, best < RANKS ? IMPRESSION_PRESENT : best_rank(any));
    for (int l = 1; a->value[ICH_ANY] == 0 && l < ICH_LABELS; l++) a->value[l] = 0;
}

/* A report without a word on hemorrhage is negative, unless it is empty or says that nothing could be read.
 */
static void decide(tally *t, bool empty, answer *a) {
    decide_types(t, a);
    decide_any(t, a);
    if (best_rank(t->first[ICH_ANY]) < RANKS || !(empty || t->unread.to)) return;
    for (int l = 0; l < ICH_LABELS; l++) {
        a->value[l] = -1;
        a->evidence[l] = t->unread;
    }
}

/* -- words quoted -------------------------------------------------------------------------------------- */

/* The report's words on one line: white space as one space, what would break a terminal or a table as '?'. */
static void copy_words(const char *text, quote q, char words[QUOTE_BYTES]) {
    size_t n = 0;
    for (uint32_t i = q.from; i < q.to && n < QUOTE_BYTES - 4; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (space && n > 0 && words[n - 1] == ' ') continue;
        words[n++] = (char)(space ? ' ' : c < ' ' || c == 127 ? '?' : c);
    }
    words[n] = '\0';
    if (n < QUOTE_BYTES - 4) return;
    while (n > 0 && ((unsigned char)words[n - 1] & 0xC0) == 0x80) n--; /* no half a character */
    if (n > 0 && (unsigned char)words[n - 1] >= 0xC0) n--;
    strcpy(words + n, "...");
}

/* -- explained ----------------------------------------------------------------------------------------- */

static const char *section_name(int section) {
    static const char *const names[] = {[ICH_PLAIN] = "text",
                                        [ICH_SECTION_SILENT] = "silent",
                                        [ICH_SECTION_FINDINGS] = "findings",
                                        [ICH_SECTION_IMPRESSION] = "impression",
                                        [ICH_SECTION_SUPERSEDED] = "superseded"};
    return names[section];
}

static void put_types(FILE *stream, unsigned types) {
    if (types == ICH_ALL_TYPES) {
        fputs("any", stream);
        return;
    }
    const char *between = "";
    for (int l = 1; l < ICH_LABELS; l++) {
        if (!(types >> l & 1)) continue;
        fprintf(stream, "%s%s", between, ich_label_names[l]);
        between = " or ";
    }
}

static void explain_clause(FILE *stream, const ich_clause *c) {
    static const char *const status[] = {
        [ICH_PRESENT] = "present", [ICH_DOUBTFUL] = "doubtful",    [ICH_ASKED] = "asked",
        [ICH_DENIED] = "denied",   [ICH_DENIED_PARTLY] = "denied", [ICH_SILENT] = "not counted"};
    const ich_prose *p = c->prose;
    const ich_sentence *s = c->sentence;
    char words[QUOTE_BYTES];
    if (s->first == s->end) return;
    copy_words(p->text, (quote){.from = p->tokens[s->first].start, .to = p->tokens[s->end - 1].end}, words);
    fprintf(stream, "  %-10s | %s\n", section_name(s->section), words);
    for (int i = 0; i < c->n_mentions; i++) {
        const ich_mention *m = &c->mentions[i];
        fprintf(stream, "  %-10s |   ", "");
        put_types(stream, m->types);
        copy_words(p->text, (quote){.from = m->from, .to = m->to}, words);
        fprintf(stream, ": %s (%s", status[m->status], m->rule);
        if (m->trigger >= 0) {
            char trigger[QUOTE_BYTES];
            const ich_item *item = &c->items[m->trigger];
            copy_words(p->text,
                       (quote){.from = p->tokens[item->first].start, .to = p->tokens[item->end - 1].end},
                       trigger);
            fprintf(stream, " by '%s'", trigger);
        }
        fprintf(stream, "): %s\n", words);
    }
}

/* What the words quoted for a label leave to be said. */
static const char *remark(int value, const quote *q) {
    if (q->to == 0) return value == 0 ? "(nothing is said of it)" : "(the report is empty)";
    if (value >= 0) return "";
    if (q->types == 0) return " (so nothing was read)";
    return q->doubtful ? " (in doubt)" : " (blood, of a type that is not told)";
}

static void explain_answer(FILE *stream, const answer *a, const char *text) {
    static const char *const values[] = {"?", "0", "1"};
    char words[QUOTE_BYTES];
    for (int l = 0; l < ICH_LABELS; l++) {
        copy_words(text, a->evidence[l], words);
        fprintf(stream, "  = %-16s %s  %s%s\n", ich_label_names[l], values[a->value[l] + 1], words,
                remark(a->value[l], &a->evidence[l]));
    }
    fputc('\n', stream);
}

/* -- one report ---------------------------------------------------------------------------------------- */

static bool label_text(const job *j, const char *text, answer *a, ich_error *err) {
    ich_prose prose;
    tally t = {0};
    ich_clause *c = j->clause;
    if (!ich_prose_read(&prose, j->lexicon, text, strlen(text), err)) return false;
    c->prose = &prose;
    c->blood = c->outside = c->answered = false;
    c->context = c->described = c->spoken = 0;
    for (size_t i = 0; i < prose.n_sentences; i++) {
        c->sentence = &prose.sentences[i];
        ich_clause_parse(c, j->lexicon);
        ich_clause_judge(c);
        for (int m = 0; m < c->n_mentions; m++) count(&t, &c->mentions[m]);
        if (j->explain) explain_clause(j->explain, c);
    }
    decide(&t, prose.n_tokens == 0, a);
    ich_prose_free(&prose);
    return true;
}

static bool label_row(const job *j, size_t row, answer *a, ich_error *err) {
    const char *text = ich_csv_cell(&j->csv, row, j->report);
    ich_error why = {0};
    if (strlen(text) > MOST_REPORT)
        return ich_fail(err, "%s: line %zu: the report is longer than %d bytes: is it one report?",
                        j->csv.path, j->csv.lines[row], MOST_REPORT);
    if (j->explain) fprintf(j->explain, "study %s\n", ich_csv_cell(&j->csv, row, j->id));
    if (!label_text(j, text, a, &why))
        return ich_fail(err, "%s: line %zu: %s", j->csv.path, j->csv.lines[row], why.text);
    if (j->explain) explain_answer(j->explain, a, text);
    return true;
}

/* -- the tables ---------------------------------------------------------------------------------------- */

typedef struct named {
    const char *id;
    size_t row;
} named;

static int by_id(const void *a, const void *b) {
    const named *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static bool check_ids(const job *j, ich_error *err) {
    const ich_csv *csv = &j->csv;
    named *ids = ich_new(csv->n_rows, sizeof *ids, csv->path, err);
    bool done = ids != NULL;
    for (size_t i = 0; done && i < csv->n_rows; i++) {
        ids[i] = (named){ich_csv_cell(csv, i, j->id), i};
        if (!*ids[i].id)
            done = ich_fail(err, "%s: line %zu: study_id is empty: name the study", csv->path, csv->lines[i]);
    }
    if (done) qsort(ids, csv->n_rows, sizeof *ids, by_id);
    for (size_t i = 1; done && i < csv->n_rows; i++)
        if (!strcmp(ids[i].id, ids[i - 1].id))
            done = ich_fail(err, "%s: line %zu: study '%.80s' comes twice: put its reports into one row",
                            csv->path, csv->lines[ids[i].row], ids[i].id);
    free(ids);
    return done;
}

static void put_header(FILE *stream) {
    fputs("study_id", stream);
    for (int l = 0; l < ICH_LABELS; l++) fprintf(stream, ",%s", ich_label_names[l]);
    for (int l = 0; l < ICH_LABELS; l++) fprintf(stream, ",%s_evidence", ich_label_names[l]);
    fputc('\n', stream);
}

static void put_row(FILE *stream, const job *j, size_t row, const answer *a) {
    static const char *const values[] = {"", "0", "1"};
    char words[QUOTE_BYTES];
    ich_csv_put(stream, ich_csv_cell(&j->csv, row, j->id), ',');
    for (int l = 0; l < ICH_LABELS; l++) ich_csv_put(stream, values[a->value[l] + 1], ',');
    for (int l = 0; l < ICH_LABELS; l++) {
        copy_words(ich_csv_cell(&j->csv, row, j->report), a->evidence[l], words);
        ich_csv_put(stream, words, l + 1 < ICH_LABELS ? ',' : '\n');
    }
}

static bool label_rows(const job *j, FILE *stream, ich_report_counts *counts, ich_error *err) {
    *counts = (ich_report_counts){.reports = j->csv.n_rows};
    put_header(stream);
    for (size_t row = 0; row < j->csv.n_rows; row++) {
        answer a;
        if (!label_row(j, row, &a, err)) return false;
        put_row(stream, j, row, &a);
        counts->positive += a.value[ICH_ANY] == 1;
        counts->negative += a.value[ICH_ANY] == 0;
        counts->unknown += a.value[ICH_ANY] < 0;
    }
    return true;
}

bool ich_label_reports(const char *reports, const char *out, const char *lexicon, FILE *explain,
                       ich_report_counts *counts, ich_error *err) {
    job j = {.explain = explain};
    ich_output output;
    j.clause = ich_new(1, sizeof *j.clause, "a sentence", err);
    bool done = j.clause && (j.lexicon = ich_lexicon_read(lexicon, err)) &&
                ich_csv_read(&j.csv, reports, err) && ich_csv_require(&j.csv, "study_id", &j.id, err) &&
                ich_csv_require(&j.csv, "report", &j.report, err) && check_ids(&j, err) &&
                ich_output_open(&output, out, err);
    if (done) {
        done = label_rows(&j, output.stream, counts, err) && ich_output_commit(&output, err);
        ich_output_abandon(&output);
    }
    ich_csv_free(&j.csv);
    ich_lexicon_free(j.lexicon);
    free(j.clause);
    return done;
}
