/* Where blood lies, as far as a sentence tells: behind it, before it, or where something dense was described.
 */
#include "report_internal.h"

enum { FAR = 18 }; /* items between blood and the place it lies in */

/* -- behind -------------------------------------------------------------------------------------------- */

/* A place of one type settles a vague one beside it: "along the tentorium and the interhemispheric
 * fissure". */
static void add_types(ich_place_search *s, uint8_t types) {
    if (ich_is_type_single(types)) {
        if (s->types & types & ~s->each) s->types = s->each;
        s->types |= types;
        s->each |= types;
    } else if (!(s->types & types)) {
        s->types |= types;
    }
}

/* Takes an item that names a place; false: the search ends. */
static bool take_place(ich_place_search *s, const ich_item *item, int i) {
    if (!s->linked && !s->adjacent) return false;
    if (item->cls == ICH_OUTSIDE) {
        s->outside = !s->types; /* "left parietal scalp" is outside, "ventricles, scalp" not */
        if (s->outside) s->last = i;
        return false;
    }
    if (item->cls == ICH_LOBE) { /* "sulci of the frontal lobe" is in the sulci */
        const uint8_t types = s->over ? s->over : item->types;
        s->of_place = s->of_place || (s->certain && !s->joined);
        if (s->joined && !s->of_place)
            add_types(s, types);
        else if (!s->joined)
            s->lobe |= types;
    } else if (item->types != ICH_ALL_TYPES) { /* "frontal sulci" too */
        s->lobe = 0;
        add_types(s, item->types);
        s->certain = true;
    }
    s->placed = true;
    s->last = i;
    return true;
}

bool ich_place_only(const ich_clause *c, int i) {
    bool place = false;
    for (; i < c->n_items && c->items[i].cls != ICH_COMMA && c->items[i].cls != ICH_SIGN; i++) {
        const int cls = c->items[i].cls;
        place = place || cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_OUTSIDE;
        if (cls == ICH_WATERY) return false;
        if (!ich_is_modifier(cls) && cls != ICH_LINK && cls != ICH_DETERMINER && cls != ICH_AND &&
            cls != ICH_SPACE)
            return false;
    }
    return place;
}

/* A list of places goes on. */
static void join_place(ich_place_search *s) {
    if (s->lobe && !s->of_place) add_types(s, s->lobe);
    s->lobe = 0;
    s->joined = s->placed;
}

/* Does it describe the place that follows, as in "within effaced sulci"? */
static bool begins_place(const ich_clause *c, int i) {
    int k = i - 1;
    while (ich_class_at(c, k) >= 0 && ich_is_description(c->items[k].cls)) k--;
    if (ich_class_at(c, k) != ICH_LINK && ich_class_at(c, k) != ICH_DETERMINER) return false;
    for (i++; ich_class_at(c, i) >= 0 && ich_is_description(c->items[i].cls);) i++;
    return ich_class_at(c, i) == ICH_PLACE || ich_class_at(c, i) == ICH_LOBE;
}

static bool joins_other(const ich_clause *c, int i) {
    return ich_class_at(c, i - 1) == ICH_AND && !ich_is_or(c, i - 1);
}

/* Goes over what stands between blood and its place; false: the search ends. */
static bool pass(const ich_clause *c, ich_place_search *s, int i) {
    const int cls = c->items[i].cls, next = ich_class_at(c, i + 1);
    switch (cls) {
    case ICH_LINK:
        s->linked = true;
        s->adjacent = false;
        s->over = c->items[i].types;
        return true;
    case ICH_AND:
        join_place(s);
        if (!s->placed && !ich_is_description(ich_class_at(c, i - 1))) s->linked = s->adjacent = false;
        return true; /* "in the third and fourth ventricles" */
    case ICH_COMMA:
        if (s->placed && ich_place_only(c, i + 1)) { /* "in the thalamus, both ventricles and …" */
            join_place(s);
            return true;
        }
        s->linked = !s->placed && ich_place_only(c, i + 1);
        s->adjacent = s->adjacent && ich_class_at(c, i - 1) == ICH_AFFIRMED; /* "ICH: yes, right thalamus" */
        return !s->placed || next == ICH_AND || next == ICH_LINK;
    case ICH_PLAIN:
    case ICH_OTHER: /* "along the catheter in the frontal lobe", "blood and air in the cavity" */
        s->adjacent = false;
        return !s->placed && (cls == ICH_PLAIN || s->linked || joins_other(c, i));
    case ICH_FILLER:
        return !s->placed || s->joined; /* "the cistern and parts of both ventricles" */
    case ICH_KIND:                      /* "in the cerebral sulci" */
        return s->linked && (next == ICH_PLACE || next == ICH_LOBE);
    case ICH_STOP: /* "in the dilated left lateral ventricle" */
        return s->linked && !s->placed && begins_place(c, i);
    case ICH_SPACE: /* "in the subdural space and the sulci" */
        return s->placed;
    case ICH_DETERMINER:
    case ICH_SEPARATOR:
    case ICH_SIGN:
    case ICH_AFFIRMED:
    case ICH_DENY_AFTER:
    case ICH_DOUBT_AFTER:
    case ICH_EARLIER:
    case ICH_SURE:
    case ICH_BEING:
        return true;
    default:
        return ich_is_description(cls);
    }
}

/* "... and left convexity SDH": the place is that of another finding. */
static bool leads_to_head(const ich_clause *c, int i) {
    while (ich_class_at(c, i) >= 0 && ich_is_modifier(c->items[i].cls)) i++;
    const int cls = ich_class_at(c, i);
    return cls == ICH_BLOOD || cls == ICH_FINDING || cls == ICH_COLLECTION || cls == ICH_OTHER;
}

/* "hemorrhage … in the left thalamus and the third ventricle" */
ich_place_search ich_place_behind(const ich_clause *c, int head) {
    ich_place_search s = {.last = head, .adjacent = true};
    for (int i = head + 1; i < c->n_items && i <= head + FAR; i++) {
        const int cls = c->items[i].cls;
        const bool place =
            cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_OUTSIDE || (ich_is_kind(cls) && s.adjacent);
        if (place && s.joined && leads_to_head(c, i)) break;
        if (place ? !take_place(&s, &c->items[i], i) : !pass(c, &s, i)) break;
    }
    if (s.lobe && (!s.types || s.joined)) add_types(&s, s.lobe);
    return s;
}

/* -- before -------------------------------------------------------------------------------------------- */

static bool is_named_place(const ich_item *item) { /* "frontal" alone may be a bone */
    return item->cls == ICH_PLACE || (item->cls == ICH_LOBE && item->end - item->first > 1);
}

/* "The ventricles are dilated and contain blood": the first item of what is said of them before the verb. */
static int behind_subject(const ich_clause *c, int verb) {
    int i = verb;
    while (ich_class_at(c, i - 1) == ICH_STOP || ich_class_at(c, i - 1) == ICH_FILLER ||
           (ich_class_at(c, i - 1) >= 0 && ich_is_description(c->items[i - 1].cls)))
        i--;
    return i;
}

/* "the ventricles contain blood", "a lesion of the pons with hemorrhage": the latter only in the brain
 * itself, since "compression of the ventricle with hemorrhage" is not in the ventricle. */
uint8_t ich_place_before(const ich_clause *c, int first) {
    bool close = true;
    uint8_t lobe = 0; /* "the sulci of the frontal lobe" are sulci */
    for (int i = first - 1; i >= c->body; i--) {
        const ich_item *item = &c->items[i];
        const int cls = item->cls;
        if (cls == ICH_PLACE && close) return item->types;
        if (is_named_place(item) && !lobe && (close || item->types == 1 << ICH_INTRAPARENCHYMAL))
            lobe = item->types;
        const bool relative =
            cls == ICH_COMMA && ich_class_at(c, i + 1) == ICH_FILLER && ich_says(c, i + 1, "which");
        if (relative) continue; /* "the fourth ventricle, which contains blood" */
        if (close && cls == ICH_AND && ich_class_at(c, i + 1) == ICH_LINK) {
            i = behind_subject(c, i);
            continue;
        }
        if (cls == ICH_COMMA || (ich_is_break(cls) && !ich_says(c, i, "with")) || cls == ICH_DENY_BEFORE ||
            cls == ICH_BLOOD || cls == ICH_FINDING)
            break;
        if (cls != ICH_LINK && cls != ICH_DETERMINER && cls != ICH_AFFIRMED && cls != ICH_FILLER &&
            cls != ICH_SPACE && cls != ICH_LOBE && !ich_is_description(cls))
            close = false;
    }
    return lobe;
}

/* "hyperdensity in the left ventricle, consistent with hemorrhage": the place is that of what is dense. */
uint8_t ich_place_described(const ich_clause *c, int first) {
    uint8_t place = 0, lobe = 0;
    int dense = -1;
    for (int i = first - 1; i >= c->body; i--) {
        const ich_item *item = &c->items[i];
        const bool named = item->cls == ICH_PLACE || (ich_is_kind(item->cls) && !item->used);
        if (named && !place && item->types != ICH_ALL_TYPES) place = item->types;
        if (item->cls == ICH_LOBE && !lobe) lobe = item->types;
        if (item->cls == ICH_DENSE) dense = i;
        if (item->cls == ICH_OUTSIDE && !place && !lobe) return 0;
        if (item->cls == ICH_BLOOD || item->cls == ICH_FINDING || ich_is_break(item->cls) ||
            (item->cls == ICH_STOP && !place && !lobe) || item->cls == ICH_DENY_BEFORE)
            break;
    }
    if (dense < 0) return 0;
    const ich_place_search s = ich_place_behind(c, dense); /* which knows of lists */
    return s.types && !s.outside ? s.types : place ? place : lobe;
}

/* "scalp swelling and hematoma" */
bool ich_outside_before(const ich_clause *c, int first) {
    for (int i = first - 1; i >= c->body; i--) {
        const int cls = c->items[i].cls;
        if (cls == ICH_OUTSIDE) return true;
        if (cls == ICH_FINDING || ich_is_break(cls) || cls == ICH_PLACE || ich_is_kind(cls)) return false;
        if (cls == ICH_BLOOD && !(c->n_mentions > 1 && c->mentions[c->n_mentions - 2].outside)) return false;
    }
    return false;
}

/* "epidural hematoma in the cervical spine" */
bool ich_outside_behind(const ich_clause *c, int head) {
    int i = head + 1;
    if (ich_class_at(c, i) != ICH_LINK || c->items[i++].types) return false; /* not "along the bone" */
    while (ich_class_at(c, i) == ICH_DETERMINER ||
           (ich_class_at(c, i) >= 0 && ich_is_description(c->items[i].cls)))
        i++;
    return ich_class_at(c, i) == ICH_OUTSIDE;
}

/* The place of what is dense: "hyperdense focus in the left cerebellum without edema". */
uint8_t ich_place_seen(const ich_clause *c) {
    for (int i = c->body; i < c->n_items; i++) {
        if (c->items[i].cls != ICH_DENSE) continue;
        const ich_place_search s = ich_place_behind(c, i);
        if (s.types && !s.outside) return s.types;
    }
    return ich_place_described(c, c->n_items);
}
