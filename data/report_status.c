/* What a sentence says of each mention: present, denied, doubtful, past. The words before and behind it
 * decide (report_reach.c), then what the mention itself is, and what it is one of two of. */
#include "report_internal.h"

static void decide(ich_mention *m, ich_status status, const char *rule, int trigger) {
    m->status = (uint8_t)status;
    m->rule = rule;
    m->trigger = trigger;
}

static const ich_verdict nothing = {-1, -1, -1, -1, -1, -1};

/* -- the verdict --------------------------------------------------------------------------------------- */

/* "no acute", "no new", "no large" deny but part. */
static bool is_partial(const ich_clause *c, const ich_mention *m, int deny) {
    for (int i = deny + 1; i <= m->head; i++)
        if (c->items[i].cls == ICH_LIMITING) return true;
    return m->cls == ICH_ABNORMALITY;
}

/* "Mass effect from the hematoma has resolved": what is denied behind it is something else. */
static bool is_cause(const ich_clause *c, const ich_mention *m) {
    const int before = m->first - 1 - (ich_class_at(c, m->first - 1) == ICH_DETERMINER);
    return before > c->body && ich_class_at(c, before) == ICH_BECAUSE;
}

static bool is_other(int cls) { return cls == ICH_OTHER || cls == ICH_LOOKALIKE; }

/* The first item at or beyond i that neither describes nor points. */
static int beyond(const ich_clause *c, int i, int step) {
    while (ich_class_at(c, i) == ICH_DETERMINER || ich_class_at(c, i) == ICH_DENY_AFTER ||
           (ich_class_at(c, i) >= 0 && ich_is_description(c->items[i].cls)))
        i += step;
    return i;
}

/* "hemorrhage or melanin", "laminar necrosis or hemorrhage", "compression or breakthrough": one or the other,
 * unless both are blood. */
static bool is_alternative(const ich_clause *c, const ich_mention *m) {
    const int behind = beyond(c, m->last + 1, 1), before = beyond(c, m->first - 1, -1);
    if (m->cls == ICH_COLLECTION && ich_class_at(c, behind) == ICH_COMMA) { /* ", hygroma versus hematoma" */
        const int named = beyond(c, behind + 1, 1);
        if (is_other(ich_class_at(c, named)) && ich_class_at(c, named + 1) == ICH_VERSUS) return true;
    }
    if (ich_is_or(c, behind)) {
        const int cls = ich_class_at(c, beyond(c, behind + 1, 1));
        if (is_other(cls) || cls == ICH_PLAIN) return true;
    }
    if (!ich_is_or(c, before)) return false;
    const int cls = ich_class_at(c, beyond(c, before - 1, -1));
    return is_other(cls) || cls == ICH_PLAIN || m->cls == ICH_EXTENSION;
}

/* "The suspected SDH is a normal sinus": the item that says so, -1: none. */
static int explained_at(const ich_clause *c, const ich_mention *m) {
    for (int i = m->last + 1; i < c->n_items && !ich_is_break(c->items[i].cls); i++)
        if (c->items[i].cls == ICH_BEING) {
            const int cls = ich_class_at(c, beyond(c, i + 1, 1));
            return is_other(cls) || cls == ICH_OUTSIDE ? i : -1;
        }
    return -1;
}

/* "?SAH" before anything was said of the scan: what the scan was asked for. */
static bool is_asked(const ich_clause *c, const ich_mention *m, int doubt) {
    if (c->answered || m->section == ICH_SECTION_IMPRESSION || !ich_says(c, doubt, "?")) return false;
    for (int i = 0; i < m->first; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_DENSE) return false; /* in "Faint density: small bleed?" too */
        if (i < c->body) continue;
        if (cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_STOP || is_other(cls)) return false;
    }
    return true;
}

/* "Hemorrhage:" before what is said of it in the same sentence, or in the lines below. */
static bool is_title(const ich_clause *c, const ich_mention *m) {
    const int colon = m->last + 1;
    if (ich_class_at(c, colon) != ICH_SEPARATOR || c->prose->tokens[c->items[colon].first].kind != ':')
        return false;
    for (int i = 0; i < c->n_mentions; i++)
        if (c->mentions[i].head > colon && (c->mentions[i].types & ~m->types) == 0) return true;
    return colon + 1 == c->n_items;
}

static void deny(const ich_clause *c, ich_mention *m, int trigger) {
    if (trigger < m->first && is_partial(c, m, trigger))
        decide(m, ICH_DENIED_PARTLY, "denied in part", trigger);
    else
        decide(m, ICH_DENIED, "denied", trigger);
}

/* An item of this class in the noun phrase itself, -1: none. */
static int find_within(const ich_clause *c, const ich_mention *m, int cls) {
    for (int i = m->first; i <= m->head; i++)
        if (c->items[i].cls == cls) return i;
    return -1;
}

static void doubt(const ich_clause *c, ich_mention *m, int trigger) {
    if (is_asked(c, m, trigger))
        decide(m, ICH_ASKED, "what the scan is to answer", trigger);
    else
        decide(m, ICH_DOUBTFUL, "in doubt", trigger);
}

static void judge(const ich_clause *c, ich_mention *m) {
    ich_verdict before = nothing, behind = nothing;
    ich_look_before(c, m, &before);
    ich_look_behind(c, m, &behind);
    if (is_cause(c, m)) behind.denied = -1;
    if (ich_is_sure(ich_class_at(c, m->last + 1)) && ich_ends_clause(c, m->last + 1))
        before.doubted = -1; /* "suspicious density: SDH likely" */
    const bool denied = before.denied >= 0 || behind.denied >= 0;
    const int near = behind.continuing >= 0 ? behind.continuing : before.continuing;
    const int there = near >= 0 ? near : find_within(c, m, ICH_CONTINUING);
    const int past = before.past >= 0 ? before.past : before.earlier >= 0 ? before.earlier : behind.past;
    const bool presumed = ich_is_sure(ich_class_at(c, m->first - 1));
    const int explained = before.doubted >= 0 || past >= 0 || presumed ? explained_at(c, m) : -1;
    const bool reported =
        before.past >= 0 && before.past < before.doubted; /* "another CT showed possible SDH" */
    if (m->outside || (m->loosely_outside && !denied))
        decide(m, ICH_SILENT, "a look-alike, or outside the brain's coverings", -1);
    else if (m->cls == ICH_NO_READING)
        decide(m, ICH_SILENT, "says that nothing was read", m->head);
    else if (before.hypothetical >= 0 || behind.hypothetical >= 0)
        decide(m, ICH_SILENT, "hypothetical",
               before.hypothetical >= 0 ? before.hypothetical : behind.hypothetical);
    else if (m->cls == ICH_NORMAL)
        decide(m, denied ? ICH_SILENT : ICH_DENIED_PARTLY, "said to be normal", m->head);
    else if (m->cls == ICH_ABNORMALITY && !denied)
        decide(m, ICH_SILENT, "names no hemorrhage", -1);
    else if (is_title(c, m))
        decide(m, ICH_SILENT, "a title", -1);
    else if (behind.doubted >= 0)
        doubt(c, m, behind.doubted);
    else if (denied)
        deny(c, m, behind.denied >= 0 ? behind.denied : before.denied);
    else if (explained >= 0)
        decide(m, ICH_DENIED, "explained as something else", explained);
    else if (before.doubted >= 0 && !reported)
        doubt(c, m, before.doubted);
    else if (past >= 0 && there < 0)
        decide(m, ICH_SILENT, "of an earlier time", past);
    else if (m->watery)
        decide(m, ICH_DOUBTFUL, "a collection that may hold no blood", -1);
    else if (is_alternative(c, m))
        decide(m, ICH_DOUBTFUL, "one of two, of which the other is no blood", -1);
    else
        decide(m, ICH_PRESENT, there >= 0 ? "still there" : "said without doubt", there);
}

static void measure(const ich_clause *c, ich_mention *m) {
    const ich_token *tokens = c->prose->tokens;
    int first = m->first, last = m->last;
    if (m->trigger >= 0 && m->trigger < first) first = m->trigger;
    if (m->trigger > last) last = m->trigger;
    m->from = tokens[c->items[first].first].start;
    m->to = tokens[c->items[last].end - 1].end;
}

/* Blood of no type of its own is that spoken of before, if it is what remains of it ("SDH evacuated; residual
 * blood") or the same sentence goes on to doubt it ("artifact favored over SAH, but blood is not
 * excluded"). */
static void refer(ich_clause *c, ich_mention *m) {
    if (m->regional && m->status != ICH_DOUBTFUL) m->types = 1 << ICH_INTRAPARENCHYMAL;
    if (m->types != ICH_ALL_TYPES || m->cls != ICH_BLOOD || find_within(c, m, ICH_LIMITING) >= 0) return;
    if (m->status == ICH_PRESENT && find_within(c, m, ICH_CONTINUING) >= 0 && c->spoken) m->types = c->spoken;
    for (const ich_mention *k = c->mentions; k < m && m->status == ICH_DOUBTFUL; k++)
        if (k->status == ICH_DOUBTFUL && ich_is_type_single(k->types)) m->types = k->types;
}

/* "An epidural or a subdural hematoma": blood for certain, of one type or the other. */
static void join_or(const ich_clause *c, ich_mention *a, ich_mention *b) {
    bool joined = false;
    if (a->status != ICH_PRESENT || b->status != ICH_PRESENT || a->outside || b->outside) return;
    for (int i = a->first; i <= b->head; i++) {
        const int cls = c->items[i].cls;
        joined = joined || ich_is_or(c, i);
        if (!ich_is_or(c, i) && !ich_is_head(cls) && !ich_is_modifier(cls) && cls != ICH_DETERMINER) return;
    }
    if (joined) a->types |= b->types, b->types = a->types;
}

static void carry(ich_clause *c, const ich_mention *m) {
    const bool denied = m->status == ICH_DENIED || m->status == ICH_DENIED_PARTLY;
    c->blood = c->blood || (!m->outside && m->status == ICH_PRESENT);
    if (ich_is_type_single(m->types) && !m->outside && !denied) c->spoken = m->types;
}

/* Does the sentence tell of the brain, as a reading does and the reason for a scan does not? */
static bool answers(const ich_clause *c) {
    if (c->sentence->section == ICH_SECTION_SILENT) return false;
    for (int i = 0; i < c->n_mentions; i++)
        if (c->mentions[i].status != ICH_SILENT && c->mentions[i].status != ICH_ASKED) return true;
    for (int i = c->body; i < c->n_items; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_DENSE || cls == ICH_WATERY || cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_STOP ||
            cls == ICH_SPACE)
            return true;
    }
    return false;
}

void ich_clause_judge(ich_clause *c) {
    for (int i = 0; i < c->n_mentions; i++) {
        ich_mention *m = &c->mentions[i];
        if (m->section == ICH_SECTION_SILENT)
            decide(m, ICH_SILENT, "its section tells no findings", -1);
        else
            judge(c, m);
        refer(c, m);
        if (i > 0) join_or(c, m - 1, m);
        measure(c, m);
        carry(c, m);
    }
    c->answered = c->answered || answers(c);
}
