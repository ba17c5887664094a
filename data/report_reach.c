/* What the words before a mention and behind it say of it. As in NegEx, they reach as far as nothing between
 * breaks it; the nearest counts. What the code adds is where a list of what is denied ends: ", small left
 * subdural hematoma" was seen, whatever was denied before the comma. */
#include "report_internal.h"

enum { FAR_BEFORE = 80, FAR_BEHIND = 40 }; /* items */

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
        if (ich_is_head(cls)) head = true;
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

/* Is it the first thing in its clause that tells of a finding? "Resolved subdural hematoma", "appearances are
 * equivocal for hemorrhage": what stands behind a finding as a rule stands before it. */
static bool leads_clause(const ich_clause *c, int i) {
    for (int k = i - 1; k >= c->body && c->items[k].cls != ICH_COMMA && !ich_is_break(c->items[k].cls); k--)
        if (ich_is_head(c->items[k].cls)) return false;
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

void ich_look_before(const ich_clause *c, const ich_mention *m, ich_verdict *v) {
    bool near = true; /* no comma, no "and", no link but "of" so far */
    bool comma = false, fresh = false;
    for (int i = m->first - 1; i >= c->body && i > m->first - FAR_BEFORE; i--) {
        const int cls = c->items[i].cls;
        if (ich_is_break(cls)) return;
        if (cls == ICH_HYPOTHETICAL) v->hypothetical = i;
        if (cls == ICH_DENY_BEFORE && ich_ends_clause(c, i) && !is_of_any(c, m))
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
            near = near && cls == ICH_AND &&
                   (ich_is_head(before) || before == ICH_PLACE || before == ICH_LOBE ||
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
            !ich_is_description(cls) && !ich_is_head(cls))
            return false;
    }
    return joined;
}

/* "Subdural: -", "SDH (-)", "SDH -." */
static bool is_minus(const ich_clause *c, int i) {
    const ich_token *tokens = c->prose->tokens;
    const int left = ich_class_at(c, i - 1), next = ich_class_at(c, i + 1);
    return ich_class_at(c, i) == ICH_SEPARATOR && tokens[c->items[i].first].kind == '-' &&
           ich_ends_clause(c, i) &&
           (left == ICH_SEPARATOR || left == ICH_SIGN || next == ICH_SIGN || next == ICH_COMMA);
}

/* "but, given the motion, cannot be excluded": the last item of what stands between the commas. */
static int beyond_aside(const ich_clause *c, int but) {
    if (ich_class_at(c, but + 1) != ICH_COMMA) return but;
    for (int i = but + 2; i < c->n_items; i++)
        if (c->items[i].cls == ICH_COMMA) return i;
    return but;
}

void ich_look_behind(const ich_clause *c, const ich_mention *m, ich_verdict *v) {
    bool crossed = false; /* a comma or "and": from here on another thing may be meant */
    bool broken = false;  /* denied, or a "but": only "it cannot be excluded" still reaches back */
    bool headed = false;  /* within another finding of the same list */
    bool other = false;   /* an adjective of type without a noun: what follows is said of that */
    for (int i = m->head + 1; i < c->n_items && i < m->last + FAR_BEHIND; i++) {
        const int cls = c->items[i].cls;
        const bool alone = ich_ends_clause(c, i);
        if (cls == ICH_DOUBT_AFTER || (alone && (cls == ICH_DOUBT_NEXT || cls == ICH_DOUBT_BEFORE))) {
            if (v->doubted < 0) v->doubted = i;
            return;
        }
        if (ich_is_head(cls) && !is_listed(c, m, i)) return;
        headed = ich_is_head(cls) || (headed && cls != ICH_COMMA && cls != ICH_AND);
        if (cls == ICH_AND || ich_is_head(cls)) other = false;
        other = other || (crossed && cls == ICH_KIND);
        if (cls == ICH_HYPOTHETICAL_AFTER) v->hypothetical = i;
        if (ich_is_break(cls) || cls == ICH_HYPOTHETICAL || cls == ICH_DOUBT_BEFORE) broken = true;
        if (i > m->last && (cls == ICH_COMMA || cls == ICH_AND || ich_is_break(cls))) crossed = true;
        if (ich_is_break(cls)) i = beyond_aside(c, i);
        if (crossed && (cls == ICH_PLAIN || (cls == ICH_LOBE && !headed) || v->continuing >= 0)) return;
        if (broken) continue;
        if ((cls == ICH_DENY_BEFORE && !alone) || (cls == ICH_DENY_AFTER && other)) return;
        if (cls == ICH_DENY_AFTER && ich_is_or(c, i - 1) && !alone) return; /* "SDH or normal sinus" */
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
