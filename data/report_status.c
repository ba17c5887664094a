/* What a sentence says of each mention. As in NegEx, words before it ("no evidence of") or behind it ("is not
 * seen") decide, if nothing between breaks their reach; the nearest counts. What the code adds is where a
 * list of what is denied ends: ", small left subdural hematoma" was seen, whatever was denied before the
 * comma. */
#include "report_internal.h"

enum { FAR_BEFORE = 80, FAR_BEHIND = 40 }; /* items */

static bool is_head(int cls) {
    return cls == ICH_BLOOD || cls == ICH_FINDING || cls == ICH_COLLECTION || cls == ICH_KIND_NOUN ||
           cls == ICH_OTHER || cls == ICH_ABNORMALITY;
}

/* -- what was found ------------------------------------------------------------------------------------ */

static void decide(ich_mention *m, ich_status status, const char *rule, int trigger) {
    m->status = (uint8_t)status;
    m->rule = rule;
    m->trigger = trigger;
}

/* The item that decides from before or behind, -1: none. */
typedef struct verdict {
    int denied, doubted, past, earlier, hypothetical, continuing;
} verdict;

static const verdict nothing = {-1, -1, -1, -1, -1, -1};

/* Does the clause end behind the item? "SDH: no", "SAH possible", "hemorrhage is difficult to exclude". */
static bool ends_clause(const ich_clause *c, int i) {
    const int next = ich_class_at(c, i + 1);
    return next < 0 || next == ICH_COMMA || next == ICH_SIGN ||
           (next == ICH_AND && ich_says(c, i + 1, "/")) ||
           (ich_is_break(next) && c->items[i].cls != ICH_DENY_BEFORE);
}

static bool is_or(const ich_clause *c, int i) {
    return ich_class_at(c, i) == ICH_AND && ich_says(c, i, "or");
}

/* -- before -------------------------------------------------------------------------------------------- */

/* Does what follows the joint describe something seen? ", stable ...", ", left ...", ", 5 mm ...", not "or
 * residual". */
static bool is_fresh(const ich_clause *c, int joint, const ich_mention *m) {
    const int next = ich_class_at(c, joint + 1);
    bool seen = false, head = false;
    if (c->items[joint].cls == ICH_AND && !ich_says(c, joint, "and")) return false;
    const int behind = m->last + (ich_class_at(c, m->last + 1) == ICH_COMMA ? 2 : 1);
    if (ich_class_at(c, behind) == ICH_AND && ich_says(c, behind, "or")) return false; /* the list goes on */
    if (next == ICH_NUMBER || ich_is_sure(next)) return true;
    if (next == ICH_LINK) return false;
    for (int i = joint + 1; i <= m->head; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_COMMA || cls == ICH_AND)
            return seen && head; /* "no acute, residual or recurrent ..." */
        if (cls == ICH_SPECIFIC || cls == ICH_CONTINUING) seen = true;
        if (is_head(cls)) head = true;
    }
    return seen;
}

/* "no change in", "without significant increase": says that it is there. */
static bool denies_change(const ich_clause *c, int deny) {
    int i = deny + 1;
    while (i < c->n_items && ich_is_description(c->items[i].cls)) i++;
    const int next = ich_class_at(c, i + 1);
    return ich_class_at(c, i) == ICH_CHANGE && next != ICH_AND && next != ICH_COMMA;
}

/* "no acute component in the subdural hematoma": what stands behind "in the" is taken to exist. */
static bool is_presupposed(const ich_clause *c, const ich_mention *m) {
    const int link = m->first - 2, article = m->first - 1;
    return ich_class_at(c, article) == ICH_DETERMINER && ich_class_at(c, link) == ICH_LINK &&
           !ich_says(c, article, "a") && !ich_says(c, article, "an") && /* "no features of a bleed" */
           ich_class_at(c, link - 1) != ICH_AND &&                      /* "resolution of this and of that" */
           (m->cls == ICH_BLOOD || m->cls == ICH_FINDING) && !m->outside;
}

/* "Mass effect from the hematoma has resolved": what is denied behind it is something else. */
static bool is_cause(const ich_clause *c, const ich_mention *m) {
    const int before = m->first - 1 - (ich_class_at(c, m->first - 1) == ICH_DETERMINER);
    return before > c->body && ich_class_at(c, before) == ICH_BECAUSE;
}

/* Is it the first thing in its clause that tells of a finding? "Resolved subdural hematoma", "appearances are
 * equivocal for hemorrhage": what stands behind a finding as a rule stands before it. */
static bool leads_clause(const ich_clause *c, int i) {
    for (int k = i - 1; k >= c->body && c->items[k].cls != ICH_COMMA && !ich_is_break(c->items[k].cls); k--)
        if (is_head(c->items[k].cls)) return false;
    return true;
}

static bool is_turned(const ich_clause *c, int deny, const ich_mention *m) {
    const int gap = m->first - 1 - deny, between = ich_class_at(c, deny + 1);
    return (gap == 0 || (gap == 1 && (between == ICH_DETERMINER || between == ICH_SEPARATOR))) &&
           leads_clause(c, deny);
}

/* "There is not, on this scan, any hemorrhage": "any" belongs to a denial, however far. */
static bool is_of_any(const ich_clause *c, const ich_mention *m) {
    for (int i = m->first; i <= m->head; i++)
        if (ich_says(c, i, "any")) return true;
    return false;
}

/* "Mycotic aneurysms suspected: bleed", "concern for abuse: bilateral SDH": what is in doubt stands before
 * the colon. */
static bool is_of_another(const ich_clause *c, int doubt, const ich_mention *m) {
    bool named = c->items[doubt].cls == ICH_DOUBT_NEXT && doubt > c->body;
    for (int i = doubt + 1; i < m->first; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_SEPARATOR) return named;
        named = named || cls == ICH_OTHER || (cls == ICH_PLAIN && !ich_says(c, i, "following"));
    }
    return false;
}

/* "Favored to be hygroma over SDH": leads "over" from the likelier to the less likely? */
static bool is_outweighed(const ich_clause *c, int over) {
    if (ich_class_at(c, over) != ICH_LINK || !ich_says(c, over, "over")) return false;
    if (ich_class_at(c, over - 1) != ICH_OTHER) return false;
    for (int i = over - 2; i >= c->body && c->items[i].cls != ICH_COMMA; i--)
        if (ich_is_sure(c->items[i].cls)) return true;
    return false;
}

static void look_before(const ich_clause *c, const ich_mention *m, verdict *v) {
    bool near = true; /* no comma, no "and", no link but "of" so far */
    bool comma = false, fresh = false;
    for (int i = m->first - 1; i >= c->body && i > m->first - FAR_BEFORE; i--) {
        const int cls = c->items[i].cls;
        if (ich_is_break(cls)) return;
        if (cls == ICH_HYPOTHETICAL) v->hypothetical = i;
        if (cls == ICH_DENY_BEFORE && ends_clause(c, i) && !is_of_any(c, m))
            return; /* "SDH (no), SAH": a value of what is before it */
        if (cls == ICH_DENY_BEFORE && v->denied < 0 && !fresh) {
            if (denies_change(c, i))
                v->continuing = i;
            else if (!is_presupposed(c, m) && (v->doubted < 0 || near))
                v->denied = i;
        }
        if (cls == ICH_DENY_BEFORE) return;
        if (cls == ICH_DENY_AFTER && is_turned(c, i, m)) v->denied = i;
        if (cls == ICH_DOUBT_BEFORE && v->doubted < 0 && !is_of_another(c, i, m)) v->doubted = i, near = true;
        if (cls == ICH_DOUBT_NEXT && v->doubted < 0 && near && !is_of_another(c, i, m)) v->doubted = i;
        if (cls == ICH_DOUBT_AFTER && v->doubted < 0 && near && leads_clause(c, i)) v->doubted = i;
        if ((cls == ICH_VERSUS || is_outweighed(c, i)) && v->doubted < 0 && near) v->doubted = i;
        const bool of_list =
            !comma && c->items[i].end - c->items[i].first > 1; /* "history of infarct and SDH" */
        if (cls == ICH_PAST_BEFORE && (near || of_list)) v->past = i;
        if (cls == ICH_EARLIER && near) v->earlier = i;
        if ((cls == ICH_CONTINUING || cls == ICH_CHANGE) && near) v->continuing = i;
        if (cls == ICH_STOP) near = false;
        if (cls == ICH_COMMA || cls == ICH_AND) {
            const int before = ich_class_at(c, i - 1); /* "possible SDH and SAH" */
            near = near && cls == ICH_AND && (is_head(before) || before == ICH_PLACE || before == ICH_LOBE ||
                                                 before == ICH_DOUBT_NEXT);
            comma = comma || cls == ICH_COMMA;
            fresh = fresh || is_fresh(c, i, m);
        }
    }
}

/* -- behind -------------------------------------------------------------------------------------------- */

/* Is the mention part of a list that the head at i belongs to? "SDH and SAH have resolved", not "hemorrhage,
 * metastasis suspected". */
static bool is_listed(const ich_clause *c, const ich_mention *m, int head) {
    const int next = ich_class_at(c, head + 1);
    bool joined = next == ICH_AND || next == ICH_COMMA || c->items[head].cls != ICH_OTHER;
    for (int i = m->last + 1; i < head; i++) {
        const int cls = c->items[i].cls;
        joined = joined || cls == ICH_AND;
        if (cls != ICH_AND && cls != ICH_COMMA && cls != ICH_KIND && cls != ICH_PLACE && cls != ICH_LOBE &&
            !ich_is_description(cls) && !is_head(cls))
            return false;
    }
    return joined;
}

/* "Subdural: -", "SDH (-)", "SDH -." */
static bool is_minus(const ich_clause *c, int i) {
    const ich_token *tokens = c->prose->tokens;
    const int left = ich_class_at(c, i - 1), next = ich_class_at(c, i + 1);
    return ich_class_at(c, i) == ICH_SEPARATOR && tokens[c->items[i].first].kind == '-' &&
           ends_clause(c, i) &&
           (left == ICH_SEPARATOR || left == ICH_SIGN || next == ICH_SIGN || next == ICH_COMMA);
}

/* "but, given the motion, cannot be excluded": the last item of what stands between the commas. */
static int beyond_aside(const ich_clause *c, int but) {
    if (ich_class_at(c, but + 1) != ICH_COMMA) return but;
    for (int i = but + 2; i < c->n_items; i++)
        if (c->items[i].cls == ICH_COMMA) return i;
    return but;
}

static void look_behind(const ich_clause *c, const ich_mention *m, verdict *v) {
    bool crossed = false; /* a comma or "and": from here on another thing may be meant */
    bool broken = false;  /* denied, or a "but": only "it cannot be excluded" still reaches back */
    bool headed = false;  /* within another finding of the same list */
    bool other = false;   /* an adjective of type without a noun: what follows is said of that */
    for (int i = m->head + 1; i < c->n_items && i < m->last + FAR_BEHIND; i++) {
        const int cls = c->items[i].cls;
        const bool alone = ends_clause(c, i);
        if (cls == ICH_DOUBT_AFTER || (alone && (cls == ICH_DOUBT_NEXT || cls == ICH_DOUBT_BEFORE))) {
            if (v->doubted < 0) v->doubted = i;
            return;
        }
        if (is_head(cls) && !is_listed(c, m, i)) return;
        headed = is_head(cls) || (headed && cls != ICH_COMMA && cls != ICH_AND);
        if (cls == ICH_AND || is_head(cls)) other = false;
        other = other || (crossed && cls == ICH_KIND);
        if (cls == ICH_HYPOTHETICAL_AFTER) v->hypothetical = i;
        if (ich_is_break(cls) || cls == ICH_HYPOTHETICAL || cls == ICH_DOUBT_BEFORE) broken = true;
        if (i > m->last && (cls == ICH_COMMA || cls == ICH_AND || ich_is_break(cls))) crossed = true;
        if (ich_is_break(cls)) i = beyond_aside(c, i);
        if (crossed && (cls == ICH_PLAIN || (cls == ICH_LOBE && !headed) || v->continuing >= 0)) return;
        if (broken) continue;
        if ((cls == ICH_DENY_BEFORE && !alone) || (cls == ICH_DENY_AFTER && other)) return;
        if (cls == ICH_DENY_AFTER && is_or(c, i - 1) && !alone) return; /* "SDH or normal sinus" */
        if (cls == ICH_DENY_AFTER || cls == ICH_DENY_BEFORE || is_minus(c, i)) {
            if (v->denied < 0) v->denied = i;
            broken = true;
            continue;
        }
        const bool compares = ich_class_at(c, i + 1) == ICH_NUMBER; /* "6 mm vs 9 mm" */
        if (cls == ICH_VERSUS && !compares && (!crossed || i == m->last + 2) && v->doubted < 0)
            v->doubted = i;
        const bool clause =
            c->items[i].end - c->items[i].first > 1; /* "has been evacuated", not "SDH evacuation" */
        if (cls == ICH_PAST_AFTER && (i == m->last + 1 || clause)) v->past = i;
        if ((cls == ICH_CONTINUING || cls == ICH_CHANGE) && v->continuing < 0) v->continuing = i;
        const int left = ich_class_at(c, i - 1);
        if (cls == ICH_STOP && left == ICH_COMMA)
            other = true; /* "hemorrhage, mass effect and shift are absent" */
        if ((cls == ICH_STOP && left != ICH_COMMA && left != ICH_AND) || cls == ICH_DOUBT_NEXT) return;
    }
}

/* -- the verdict --------------------------------------------------------------------------------------- */

/* "no acute", "no new", "no large" deny but part. */
static bool is_partial(const ich_clause *c, const ich_mention *m, int deny) {
    for (int i = deny + 1; i <= m->head; i++)
        if (c->items[i].cls == ICH_LIMITING) return true;
    return m->cls == ICH_ABNORMALITY;
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
    if (is_or(c, behind)) {
        const int cls = ich_class_at(c, beyond(c, behind + 1, 1));
        if (is_other(cls) || cls == ICH_PLAIN) return true;
    }
    if (!is_or(c, before)) return false;
    const int cls = ich_class_at(c, beyond(c, before - 1, -1));
    return is_other(cls) || cls == ICH_PLAIN || m->cls == ICH_EXTENSION;
}

/* "The suspected SDH is a normal sinus": the item that says so, -1: none. */
static int explained_at(const ich_clause *c, const ich_mention *m) {
    for (int i = m->last + 1; i < c->n_items && !ich_is_break(c->items[i].cls); i++)
        if (c->items[i].cls == ICH_BEING) return is_other(ich_class_at(c, beyond(c, i + 1, 1))) ? i : -1;
    return -1;
}

/* "?SAH" before anything was said of the scan: what the scan was asked for. */
static bool is_asked(const ich_clause *c, const ich_mention *m, int doubt) {
    if (c->answered || m->section == ICH_SECTION_IMPRESSION || !ich_says(c, doubt, "?")) return false;
    for (int i = c->body; i < m->first; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_DENSE || cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_STOP || is_other(cls))
            return false;
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
        decide(m, ICH_ASKED, "asked", trigger);
    else
        decide(m, ICH_DOUBTFUL, "in doubt", trigger);
}

static void judge(const ich_clause *c, ich_mention *m) {
    verdict before = nothing, behind = nothing;
    look_before(c, m, &before);
    look_behind(c, m, &behind);
    if (is_cause(c, m)) behind.denied = -1;
    if (ich_is_sure(ich_class_at(c, m->last + 1)) && ends_clause(c, m->last + 1))
        before.doubted = -1; /* "suspicious density: SDH likely" */
    const bool denied = before.denied >= 0 || behind.denied >= 0;
    const int near = behind.continuing >= 0 ? behind.continuing : before.continuing;
    const int there = near >= 0 ? near : find_within(c, m, ICH_CONTINUING);
    const int past = before.past >= 0 ? before.past : before.earlier >= 0 ? before.earlier : behind.past;
    const int explained = before.doubted >= 0 || past >= 0 ? explained_at(c, m) : -1;
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
        joined = joined || is_or(c, i);
        if (!is_or(c, i) && !is_head(cls) && !ich_is_modifier(cls) && cls != ICH_DETERMINER) return;
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
