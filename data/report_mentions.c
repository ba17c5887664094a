/* Of what a sentence speaks. A head ("hemorrhage", "SDH", "collection") takes the types of the adjectives
 * before it: "subdural, epidural or intraventricular hemorrhage" is three mentions of one head. Without such
 * it takes that of the place before or behind it: "thalamic hemorrhage", "blood layering in the occipital
 * horns". Where nothing tells, it may be any type. */
#include "report_internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    EXTENSIONS = 1 << ICH_INTRAVENTRICULAR | 1 << ICH_SUBARACHNOID | 1 << ICH_SUBDURAL,
    MOST_GROUPS = 8,
    NEAR = 14, /* … between "extending" and where to */
    LONG_HEADING = 9
};

static bool is_joint(int cls) { return cls == ICH_AND || cls == ICH_COMMA || cls == ICH_VERSUS; }

/* -- headings ------------------------------------------------------------------------------------------ */

/* "Ventricles and sulci:" and "Subarachnoid: no blood" begin with a heading; "Subdural: no", "Subdural
 * hematoma:" and "No evidence of:" do not. */
static bool may_head(const ich_clause *c, int i) {
    const int cls = c->items[i].cls, next = ich_class_at(c, i + 1);
    const bool answered = next == ICH_SEPARATOR && ich_class_at(c, i + 2) == ICH_DENY_BEFORE &&
                          ich_class_at(c, i + 3) == ICH_BLOOD;
    if (cls == ICH_KIND_NOUN) return next == ICH_SPACE || next == ICH_OTHER || answered;
    return cls == ICH_KIND || cls == ICH_PLAIN || cls == ICH_PLACE || cls == ICH_LOBE || cls == ICH_OUTSIDE ||
           cls == ICH_SPACE || cls == ICH_OTHER || cls == ICH_AND || cls == ICH_COMMA || cls == ICH_SIGN ||
           ich_is_description(cls) || cls == ICH_DETERMINER || cls == ICH_STOP || cls == ICH_LINK ||
           cls == ICH_SITE;
}

static void read_heading(ich_clause *c) {
    int colon = 0;
    c->body = 0;
    while (colon < c->n_items && colon < LONG_HEADING && c->items[colon].cls != ICH_SEPARATOR) {
        if (!may_head(c, colon)) return;
        colon++;
    }
    if (colon == 0 || ich_class_at(c, colon) != ICH_SEPARATOR ||
        c->prose->tokens[c->items[colon].first].kind != ':')
        return;
    c->body = colon + 1;
    c->context = 0;
    c->outside = false;
    for (int i = 0; i < colon; i++) {
        if (ich_is_kind(c->items[i].cls) || c->items[i].cls == ICH_PLACE) c->context |= c->items[i].types;
        if (c->items[i].cls == ICH_OUTSIDE) c->outside = true;
    }
}

/* -- groups of modifiers ------------------------------------------------------------------------------- */

/* One part of "left frontal scalp and subdural": what stands between two joints. */
typedef struct group {
    int first, end; /* items */
    uint8_t kinds, place, lobe;
    bool outside, versus; /* versus: what joins it to the group behind it */
} group;

static void add_modifier(group *g, const ich_item *item) {
    if (ich_is_kind(item->cls)) /* "extra-axial subdural": what both allow */
        g->kinds = g->kinds & item->types ? g->kinds & item->types : g->kinds | item->types;
    if (item->cls == ICH_PLACE) g->place |= item->types;
    if (item->cls == ICH_LOBE) g->lobe |= item->types;
    if (item->cls == ICH_OUTSIDE) g->outside = true;
}

/* "Extra-axial" leaves three types, its shape or place perhaps one: "crescentic extra-axial". */
static void narrow(group *g) {
    if (!ich_is_type_single(g->kinds) && g->kinds & g->place) g->kinds &= g->place;
}

/* The groups before `head`, the nearest first. */
static int read_groups(const ich_clause *c, int head, group groups[MOST_GROUPS]) {
    int n = 0;
    groups[0] = (group){.first = head, .end = head};
    for (int i = head - 1; i >= c->body; i--) {
        if (ich_is_modifier(c->items[i].cls)) {
            add_modifier(&groups[n], &c->items[i]);
            groups[n].first = i;
            continue;
        }
        if (n == 0 && c->items[i].cls == ICH_PLAIN && ich_is_kind(ich_class_at(c, i - 1)) &&
            i == groups[0].first - 1)
            continue; /* "intraventricular catheter-related hemorrhage" */
        bool versus = false;
        int joint = i;
        for (; joint >= c->body && is_joint(c->items[joint].cls); joint--)
            versus = versus || c->items[joint].cls == ICH_VERSUS;
        if (joint == i || joint < c->body || !ich_is_modifier(c->items[joint].cls) || n == MOST_GROUPS - 1)
            break;
        groups[++n] = (group){.first = joint + 1, .end = joint + 1, .versus = versus};
        i = joint + 1;
    }
    for (int g = 0; g <= n; g++) narrow(&groups[g]);
    return n + 1;
}

static void use(ich_clause *c, const group *g) {
    for (int i = g->first; i < g->end; i++) c->items[i].used = true;
}

/* -- mentions ------------------------------------------------------------------------------------------ */

static ich_mention *add_mention(ich_clause *c, int first, int head, unsigned types) {
    if (c->n_mentions == ICH_SENTENCE_TOKENS) c->n_mentions--; /* a sentence has fewer heads than tokens */
    ich_mention *m = &c->mentions[c->n_mentions++];
    *m = (ich_mention){.types = (uint8_t)types,
                       .cls = c->items[head].cls,
                       .section = c->sentence->section,
                       .first = first,
                       .head = head,
                       .last = head,
                       .trigger = -1};
    c->items[head].used = true;
    return m;
}

/* -- heads --------------------------------------------------------------------------------------------- */

static bool has_class(const ich_clause *c, int cls) {
    for (int i = c->body; i < c->n_items; i++)
        if (c->items[i].cls == cls) return true;
    return false;
}

/* "This may represent hemorrhage", "hemorrhage versus calcium": speaks of what the sentence before
 * described. */
static bool is_referring(const ich_clause *c, int first) {
    for (int i = first - 1; i >= c->body; i--)
        if (ich_is_sure(c->items[i].cls) || c->items[i].cls == ICH_DOUBT_BEFORE ||
            c->items[i].cls == ICH_DOUBT_NEXT)
            return true;
    return has_class(c, ICH_VERSUS) || has_class(c, ICH_DOUBT_AFTER);
}

/* "subdural collection, chronic hematoma or hygroma" */
static uint8_t collection_before(const ich_clause *c) {
    for (int i = c->n_mentions - 2; i >= 0; i--) /* the last one is that of the head in question */
        if (c->mentions[i].cls == ICH_COLLECTION) return c->mentions[i].types;
    return 0;
}

/* "Hemorrhage in the thalamus and the third ventricle" is both, not one of them. */
static void add_each(ich_clause *c, ich_mention *m) {
    const ich_mention all = *m;
    for (unsigned left = all.types; left; left &= left - 1) {
        if (left != all.types) m = add_mention(c, all.first, all.head, 0), *m = all;
        m->types = (uint8_t)(left & -left);
    }
}

/* Blood without an adjective that tells its type. */
static void add_untyped(ich_clause *c, int head, int first, const group *g) {
    ich_mention *m = add_mention(c, first, head, c->items[head].types);
    const ich_place_search s = ich_place_behind(c, head);
    const bool named =
        m->cls == ICH_FINDING && ich_is_type_single(m->types); /* "EDH under the temporal bone" */
    if (g->outside || (named ? ich_outside_behind(c, head) : s.outside && !g->place)) m->outside = true;
    if (m->outside) m->last = s.last;
    if (m->outside || m->types != ICH_ALL_TYPES) return;
    const bool elsewhere = !g->place && s.types;
    unsigned types = g->place && g->place != ICH_ALL_TYPES ? g->place
                     : s.types                             ? s.types
                     : c->outside                          ? 0
                                                           : g->lobe;
    if (elsewhere) m->last = s.last;
    if (!types) types = ich_place_before(c, first);
    if (!types) types = collection_before(c);
    if (!types) types = ich_place_described(c, first);
    if (!types && is_referring(c, first)) types = c->described;
    m->loosely_outside = (c->outside && !g->place && !s.certain) || (!types && ich_outside_before(c, first));
    m->regional = types == ICH_ALL_TYPES; /* no other place leaves all */
    if (!types) types = c->context;
    if (types) m->types = (uint8_t)types;
    if (elsewhere && s.types == s.each) add_each(c, m);
}

/* Where the noun phrase begins: with the farthest group that tells a type, or "acute versus". */
static int first_of(const group groups[MOST_GROUPS], int n) {
    int first = groups[0].first;
    for (int g = 1; g < n; g++)
        if (groups[g].kinds || groups[g].versus) first = groups[g].first;
    return first;
}

/* A head of blood, or a kind that stands alone, with all its groups. */
static void add_head(ich_clause *c, int head) {
    group groups[MOST_GROUPS];
    const int n = read_groups(c, head, groups), first = first_of(groups, n);
    const uint8_t own = c->items[head].types;
    if (ich_is_kind(c->items[head].cls)) groups[0].kinds = own;
    const bool outside = ich_outside_behind(c, head);
    const ich_place_search behind = ich_place_behind(c, head);
    ich_mention *latest = NULL;
    for (int g = 0; g < n; g++) {
        const group *at = &groups[g];
        const int before = ich_class_at(c, at->first - 1);
        const bool place = g > 0 && ich_class_at(c, at->end) == ICH_AND && at->place &&
                           at->place != ICH_ALL_TYPES && before != ICH_LINK &&
                           before != ICH_DETERMINER; /* "thalamic and subdural hemorrhage" */
        if (g == 0 && !at->kinds) {
            add_untyped(c, head, first, at);
        } else if (at->versus && at->kinds && latest) { /* "subdural versus epidural": one of them */
            latest->types |= at->kinds;
        } else if (at->kinds || place) {
            const uint8_t types = at->kinds ? at->kinds : at->place, both = types & own ? types & own : types;
            latest = add_mention(c, first, head, both);
            if (!ich_is_type_single(both) &&
                both & behind.types) /* "extra-axial blood in the subdural space" */
                latest->types &= behind.types, latest->last = behind.last;
            latest->outside = at->outside || outside;
        }
        use(c, at);
    }
}

/* "low-density collections in keeping with hygromas" */
static bool is_named_other(const ich_clause *c, int head) {
    bool sure = false;
    for (int i = head + 1; i < c->n_items; i++) {
        if (ich_is_sure(c->items[i].cls)) sure = true;
        if (c->items[i].cls == ICH_OTHER && sure) return true;
    }
    return false;
}

/* "SDH evacuated. Residual collection" */
static bool is_residual(const ich_clause *c, const group *g) {
    for (int i = g->first; i < g->end; i++)
        if (c->items[i].cls == ICH_CONTINUING) return true;
    return false;
}

/* "extra-axial collection": blood if it is dense, or "chronic subdural"; water if it is like water. */
static void add_collection(ich_clause *c, int head) {
    group groups[MOST_GROUPS];
    const int n = read_groups(c, head, groups);
    for (int g = 0; g < n; g++) {
        const uint8_t said = c->context ? c->context : is_residual(c, &groups[0]) ? c->spoken : 0;
        const uint8_t kinds = n == 1 && !groups[g].kinds ? said : groups[g].kinds;
        const uint8_t types = kinds & c->items[head].types;
        if (types) {
            ich_mention *m = add_mention(c, groups[n - 1].first, head, types);
            const bool dense =
                has_class(c, ICH_DENSE) || ich_class_at(c, groups[n - 1].first - 1) == ICH_BLOOD;
            m->watery = !dense && (has_class(c, ICH_WATERY) || !ich_is_type_single(types));
            m->outside =
                groups[g].outside || ich_outside_behind(c, head) || (m->watery && is_named_other(c, head));
        }
        use(c, &groups[g]);
    }
}

/* "subdural hygroma", "epidural and subdural drains": the adjective is no hemorrhage. In a "space" it is a
 * place. */
static void take_others(ich_clause *c) {
    for (int i = c->body; i < c->n_items; i++) {
        const int cls = c->items[i].cls;
        if (cls != ICH_OTHER && cls != ICH_SPACE && cls != ICH_LOOKALIKE) continue;
        group groups[MOST_GROUPS];
        const int n = read_groups(c, i, groups);
        for (int g = 0; g < n && groups[0].kinds; g++) {
            use(c, &groups[g]);
            for (int k = groups[g].first; k < groups[g].end; k++)
                if (ich_is_kind(c->items[k].cls)) c->items[k].cls = cls == ICH_SPACE ? ICH_PLACE : ICH_OTHER;
        }
    }
}

/* "with intraventricular extension", "extending into the third ventricle and sulci", of blood spoken of
 * before. */
static void add_extension(ich_clause *c, int head) {
    group groups[MOST_GROUPS];
    read_groups(c, head, groups);
    if (!c->blood && c->n_mentions == 0) return;
    unsigned types = groups[0].kinds;
    int last = head;
    for (int i = head + 1; !groups[0].kinds && i < c->n_items && i <= head + NEAR; i++) {
        const ich_item *item = &c->items[i];
        if (item->cls == ICH_PLACE || ich_is_kind(item->cls)) last = i;
        if (last == i && ich_is_type_single(item->types)) types |= item->types;
        if (item->cls == ICH_STOP || ich_is_break(item->cls) || item->cls == ICH_BLOOD ||
            item->cls == ICH_FINDING || item->cls == ICH_OTHER || (item->cls == ICH_COMMA && types))
            break;
    }
    for (int l = 1; l < ICH_LABELS; l++)
        if (types & EXTENSIONS & 1U << l) add_mention(c, groups[0].first, head, 1U << l)->last = last;
    use(c, &groups[0]);
}

/* "hyperdensity in the sulci" with no other word for blood in the sentence. */
static void add_density(ich_clause *c, int head) {
    const unsigned liquor = 1 << ICH_SUBARACHNOID | 1 << ICH_INTRAVENTRICULAR;
    const ich_place_search s = ich_place_behind(c, head);
    if (c->n_mentions > 0 || has_class(c, ICH_OTHER) || has_class(c, ICH_LOOKALIKE)) return;
    if (ich_says(c, head, "density") || ich_says(c, head, "densities")) return; /* how dense? */
    if (ich_is_type_single(s.types) && s.types & liquor) add_mention(c, head, head, s.types)->last = s.last;
}

/* "hemorrhage, mostly intraventricular": an adjective that needs a head has one before it; or
 * "Intraventricular: yes", "Intraparenchymal: left frontal lobe, 12 mL", where the value is its head. */
static void add_trailing_kind(ich_clause *c, int i) {
    const int next = ich_class_at(c, i + 1), value = next == ICH_SEPARATOR ? ich_class_at(c, i + 2) : next;
    const bool ends = next < 0 || next == ICH_COMMA || next == ICH_SIGN || next == ICH_AND;
    const bool located = c->blood && next == ICH_SEPARATOR && ich_place_only(c, i + 2);
    if (ich_is_type_single(c->items[i].types) &&
        (value == ICH_AFFIRMED || located || (ends && c->n_mentions > 0)))
        add_mention(c, i, i, c->items[i].types);
}

/* "Hemorrhage: yes. Location: left thalamus." */
static void add_site(ich_clause *c) {
    const bool named = c->n_items > 0 && c->items[0].end - c->items[0].first > 1; /* "Hemorrhage location:" */
    if (!(c->blood || named) || ich_class_at(c, 0) != ICH_SITE) return;
    const ich_place_search s = ich_place_behind(c, 0);
    if (ich_is_type_single(s.types)) add_mention(c, 0, 0, s.types)->last = s.last;
}

static int by_place(const void *a, const void *b) {
    const ich_mention *x = a, *y = b;
    if (x->head != y->head) return x->head - y->head;
    return x->types - y->types; /* qsort may reorder equals */
}

/* "SDH versus EDH", "subdural versus epidural hematoma": blood for certain, of one type or the other. */
static void join_versus(ich_clause *c) {
    int n = 0;
    for (int i = 0; i < c->n_mentions; i++) {
        const ich_mention *m = &c->mentions[i];
        ich_mention *before = n ? &c->mentions[n - 1] : NULL;
        bool versus = false;
        for (int k = before ? before->head + 1 : m->head; k < m->head; k++) {
            if (c->items[k].cls == ICH_VERSUS) versus = true;
            const int cls = c->items[k].cls;
            if (!ich_is_modifier(cls) && cls != ICH_VERSUS && cls != ICH_SIGN && cls != ICH_DETERMINER)
                before = NULL;
        }
        if (before && versus && !before->outside && !m->outside) {
            before->types |= m->types;
            before->head = before->last = m->head;
        } else {
            c->mentions[n++] = *m;
        }
    }
    c->n_mentions = n;
}

void ich_clause_parse(ich_clause *c, const ich_lexicon *lexicon) {
    if (c->sentence->paragraph) c->context = 0, c->outside = false;
    c->n_mentions = 0;
    ich_clause_sort(c, lexicon);
    read_heading(c);
    take_others(c);
    add_site(c);
    for (int i = c->body; i < c->n_items; i++) {
        const int cls = c->items[i].cls;
        if (cls == ICH_BLOOD || cls == ICH_FINDING) add_head(c, i);
        if (cls == ICH_COLLECTION) add_collection(c, i);
        if (cls == ICH_EXTENSION) add_extension(c, i);
        if (cls == ICH_ABNORMALITY || cls == ICH_NORMAL || cls == ICH_NO_READING)
            add_mention(c, i, i, ICH_ALL_TYPES);
    }
    for (int i = c->n_items - 1; i >= c->body; i--) /* the last of "epidural or subdural" leads the others */
        if (c->items[i].cls == ICH_KIND_NOUN && !c->items[i].used) add_head(c, i);
    for (int i = 0; i < c->n_items; i++) /* a heading's too */
        if (c->items[i].cls == ICH_KIND && !c->items[i].used) add_trailing_kind(c, i);
    for (int i = c->body; i < c->n_items; i++)
        if (c->items[i].cls == ICH_DENSE && !c->items[i].used) add_density(c, i);
    c->described = ich_place_seen(c);
    qsort(c->mentions, (size_t)c->n_mentions, sizeof *c->mentions, by_place);
    join_versus(c);
}
