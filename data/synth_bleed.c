/* The five hemorrhages. Each form is a row: which label it gives, how it is drawn, which part of a point it
 * fills, and how it pushes the brain away.
 *
 * Shapes after the usual teaching (e.g. Osborn's Brain, chapters on trauma and spontaneous hemorrhage):
 * epidural blood is a lens under the bone; subdural a crescent that ignores sutures but not the midline, or a
 * film on falx or tentorium; subarachnoid blood fills sulci and cisterns; intraventricular blood sinks to a
 * level or casts the ventricle; a hematoma in the parenchyma is a lump with a dark rim of edema. */
#include "synth_internal.h"

static float draw(ich_rng *rng, float lo, float hi) { return ich_rng_range(rng, lo, hi); }

static float draw_side(ich_rng *rng) { return ich_rng_uniform(rng) < 0.5f ? -1.0f : 1.0f; }

/* Small bleeds are as common as large ones: uniform in the logarithm. */
static float draw_size(ich_rng *rng, float lo, float hi) {
    return lo * expf(ich_rng_uniform(rng) * logf(hi / lo));
}

static float irregular(const ich_bleed *b, const ich_head *head, ich_vec p, float cells_per_mm) {
    return ich_field_at(head->field, p.x * cells_per_mm + b->phase.x, p.y * cells_per_mm + b->phase.y,
                        p.z * cells_per_mm + b->phase.z);
}

/* Centre on the inner table in direction `way`, and the two directions along the bone there. */
static void seat_on_wall(ich_bleed *b, const ich_head *head, ich_vec way) {
    b->normal = ich_unit(way);
    float radius = 75;
    for (int i = 0; i < 4; i++)
        radius -= ich_head_place(head, ich_add((ich_vec){0, 0, 0}, radius, b->normal)).outside;
    b->centre = ich_add((ich_vec){0, 0, 0}, radius, b->normal);
    ich_vec n = b->normal;
    b->along = ich_unit((ich_vec){-n.y, n.x, 0});
    b->up = (ich_vec){-n.z * b->along.y, n.z * b->along.x, n.x * b->along.y - n.y * b->along.x};
}

/* -- epidural: a lens --------------------------------------------------------------------------------- */
static void draw_lens(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    ich_vec way = {draw_side(rng), draw(rng, -0.8f, 0.8f), draw(rng, -0.12f, 0.6f)};
    seat_on_wall(b, head, way);
    b->thickness = draw_size(rng, 7, 24);
    b->radius = 12 + b->thickness * draw(rng, 0.9f, 1.4f);
    b->reach = b->radius + b->thickness;
}

static float lens_thickness(const ich_bleed *b, ich_vec p) {
    ich_vec v = ich_add(p, -1, b->centre);
    float out = ich_dot(v, b->normal), s2 = ich_dot(v, v) - out * out;
    return b->thickness * (1 - s2 / (b->radius * b->radius));
}

static float lens_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    (void)head;
    float t = lens_thickness(b, site->p);
    return t > 0 ? ich_cover(site->depth - t, site->edge) : 0;
}

static ich_vec lens_push(const ich_bleed *b, const ich_head *head, ich_vec p, float depth) {
    (void)head;
    float s = ich_distance(p, b->centre) / (2.2f * b->radius);
    float fade = ich_clamp01(1 - depth * (1 / 75.0f));
    return ich_add(p, 0.9f * b->thickness * ich_bump(s * s) * fade, b->normal);
}

/* -- subdural: a crescent ------------------------------------------------------------------------------ */
static void draw_crescent(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    ich_vec way = {draw_side(rng), draw(rng, -0.35f, 0.45f), draw(rng, 0.05f, 0.75f)};
    seat_on_wall(b, head, way);
    b->side = way.x;
    b->thickness = draw_size(rng, 5, 17);
    b->width[0] = draw(rng, 0.55f, 0.97f); /* sines of the half angles along and up */
    b->width[1] = draw(rng, 0.25f, 0.6f);
    b->reach = 160;
}

static float crescent_thickness(const ich_bleed *b, const ich_head *head, ich_vec p) {
    ich_vec u = ich_unit(p);
    if (ich_dot(u, b->normal) < 0 || b->side * p.x < 2) return 0;
    float s = ich_dot(u, b->along) / b->width[0], t = ich_dot(u, b->up) / b->width[1];
    float profile = 1.7f * (1 - s * s - t * t);
    if (profile <= 0) return 0;
    float wave = 1 + 0.15f * irregular(b, head, ich_add((ich_vec){0, 0, 0}, 75, u), 0.07f);
    return b->thickness * fminf(profile, 1) * wave * ich_ramp(2, 12, b->side * p.x);
}

static float crescent_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    if (site->depth > 2 * b->thickness) return 0;
    float t = crescent_thickness(b, head, site->p);
    return t > 0 ? ich_cover(site->depth - t, site->edge) : 0;
}

static ich_vec crescent_push(const ich_bleed *b, const ich_head *head, ich_vec p, float depth) {
    float t = crescent_thickness(b, head, p) * ich_clamp01(1 - depth * (1 / 70.0f));
    return ich_add(p, 0.9f * t, b->normal);
}

/* -- subdural: a film on the falx or on the tentorium --------------------------------------------------- */
static void draw_film(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    (void)head;
    b->side = draw_side(rng);
    b->thickness = draw_size(rng, 4, 9);
    b->radius = draw(rng, 22, 45);
    b->reach = b->radius;
}

static void draw_falx_film(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    draw_film(b, head, rng);
    b->centre = (ich_vec){0, draw_side(rng) * draw(rng, 40, 65), draw(rng, 12, 45)};
}

static float falx_film_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    float x = b->side * site->p.x;
    if (x < -3 || x > 12) return 0;
    float r = ich_distance(site->p, b->centre) / b->radius;
    r += 0.15f * irregular(b, head, site->p, 0.12f);
    float t = b->thickness * ich_clamp01(2.5f * (1 - r));
    float inner =
        ich_head_falx(head, (ich_vec){0, site->p.y, site->p.z}, site->depth, site->edge); /* its extent */
    return t > 0 && inner > 0 ? ich_cover(fmaxf(x - t, -0.5f - x), site->edge) : 0;
}

static void draw_tent_film(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    draw_film(b, head, rng);
    b->thickness = fmaxf(b->thickness, 3.5f); /* it lies nearly in the slice's plane */
    b->centre = (ich_vec){b->side * draw(rng, 20, 38), draw(rng, 30, 52), 0};
    b->centre.z = ich_head_tentorium(b->centre);
}

static float tent_film_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    if (b->side * site->p.x < 2) return 0;
    float above = site->p.z - ich_head_tentorium(site->p);
    float r = ich_distance(site->p, b->centre) / b->radius + 0.15f * irregular(b, head, site->p, 0.12f);
    float t = b->thickness * ich_clamp01(2.5f * (1 - r));
    return t > 0 ? ich_cover(fmaxf(above - t, -above), site->edge) : 0;
}

/* -- subarachnoid: CSF that has turned to blood ---------------------------------------------------------- */
static void draw_sulcal(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    ich_vec way = {draw_side(rng), draw(rng, -1, 1), draw(rng, 0, 1.1f)};
    seat_on_wall(b, head, way);
    b->radius = draw_size(rng, 22, 46);
    b->reach = 1.3f * b->radius;
    b->thickness = draw(rng, 1.2f, 2.6f);
    b->hu = draw(rng, 58, 76); /* diluted when fresh, and soon washed out */
}

static void draw_cisternal(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    draw_sulcal(b, head, rng);
    const ich_vec seats[] = {{0, -5, -20}, {42 * draw_side(rng), -4, 3}, {0, 26, -5}, {0, -45, 5}};
    b->centre = seats[ich_rng_below(rng, 4)];
    b->radius = draw_size(rng, 22, 42);
    b->reach = 1.3f * b->radius;
}

static float sulcal_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    if (site->tissue.sulcal <= 0) return 0;
    float r = ich_distance(site->p, b->centre) / b->radius + 0.3f * irregular(b, head, site->p, 0.1f);
    return site->tissue.sulcal * ich_ramp(1, 0.7f, r);
}

/* -- intraventricular: a level, or a cast ---------------------------------------------------------------- */
static void draw_level(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    (void)head;
    b->centre = (ich_vec){0, 30, 5};
    b->reach = 60;
    b->radius = 60;
    b->side = ich_rng_uniform(rng) < 0.6f ? 0 : draw_side(rng); /* both horns, or one */
    b->level = draw(rng, 18, 38);
}

static void draw_cast(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    (void)head;
    const ich_vec seats[] = {{10, -15, 14}, {17, 25, 16}, {0, 2, -2}, {0, 31, -32}};
    uint32_t seat = ich_rng_below(rng, 4);
    b->side = seat < 2 ? draw_side(rng) : 0;
    b->centre = seats[seat];
    b->centre.x *= b->side;
    b->radius = draw_size(rng, 18, 48);
    b->reach = 1.2f * b->radius;
    b->level = -1e9f;
}

static float ventricle_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    if (site->tissue.ventricular <= 0 || b->side * site->p.x < 0) return 0;
    float r = ich_distance(site->p, b->centre) / b->radius + 0.12f * irregular(b, head, site->p, 0.15f);
    return site->tissue.ventricular * ich_cover(b->level - site->down, 2) * ich_ramp(1.05f, 0.9f, r);
}

/* -- intraparenchymal: a lump ---------------------------------------------------------------------------- */
static void draw_lump(ich_bleed *b, const ich_head *head, ich_rng *rng) {
    float side = draw_side(rng), where = ich_rng_uniform(rng);
    b->radius = draw_size(rng, 8, 26);
    if (where < 0.35f) { /* putamen and external capsule */
        b->centre = (ich_vec){side * draw(rng, 22, 30), draw(rng, -12, 10), draw(rng, -2, 14)};
    } else if (where < 0.5f) { /* thalamus */
        b->centre = (ich_vec){side * draw(rng, 11, 15), draw(rng, 5, 14), draw(rng, 3, 10)};
        b->radius = fminf(b->radius, 12);
    } else if (where < 0.62f) { /* cerebellum, pons */
        b->centre = (ich_vec){side * draw(rng, 0, 28), draw(rng, 14, 50), draw(rng, -42, -30)};
        b->radius = fminf(b->radius, 13);
    } else { /* lobar */
        seat_on_wall(b, head, (ich_vec){side, draw(rng, -1.4f, 1.4f), draw(rng, -0.1f, 1.1f)});
        b->centre = ich_add(b->centre, -(b->radius + draw(rng, 5, 16)), b->normal);
    }
    b->edema = draw(rng, 1, 7);
    b->width[0] = draw(rng, 0.75f, 1.3f); /* squeezed along y and z */
    b->width[1] = draw(rng, 0.75f, 1.2f);
    b->reach = 1.9f * b->radius + b->edema + 4;
}

static float lump_distance(const ich_bleed *b, const ich_head *head, ich_vec p) {
    ich_vec v = ich_add(p, -1, b->centre);
    v.y *= b->width[0], v.z *= b->width[1];
    return ich_norm(v) - b->radius * (1 + 0.14f * irregular(b, head, p, 1.4f / b->radius));
}

static float lump_cover(const ich_bleed *b, const ich_head *head, const ich_site *site) {
    float free = (1 - site->tissue.ventricular) * ich_ramp(1, 3, site->depth);
    return free * ich_cover(lump_distance(b, head, site->p), site->edge + 0.6f);
}

static ich_vec lump_push(const ich_bleed *b, const ich_head *head, ich_vec p, float depth) {
    (void)head, (void)depth;
    ich_vec v = ich_add(p, -1, b->centre);
    float s2 = ich_dot(v, v) / (9 * b->radius * b->radius);
    return ich_add(p, -0.45f * ich_bump(s2), v);
}

/* -- the table -------------------------------------------------------------------------------------- */
static const ich_bleed_form lens = {ICH_EPIDURAL, draw_lens, lens_cover, lens_push};
static const ich_bleed_form crescent = {ICH_SUBDURAL, draw_crescent, crescent_cover, crescent_push};
static const ich_bleed_form falx_film = {ICH_SUBDURAL, draw_falx_film, falx_film_cover, NULL};
static const ich_bleed_form tent_film = {ICH_SUBDURAL, draw_tent_film, tent_film_cover, NULL};
static const ich_bleed_form sulcal = {ICH_SUBARACHNOID, draw_sulcal, sulcal_cover, NULL};
static const ich_bleed_form cisternal = {ICH_SUBARACHNOID, draw_cisternal, sulcal_cover, NULL};
static const ich_bleed_form level = {ICH_INTRAVENTRICULAR, draw_level, ventricle_cover, NULL};
static const ich_bleed_form cast = {ICH_INTRAVENTRICULAR, draw_cast, ventricle_cover, NULL};
static const ich_bleed_form lump = {ICH_INTRAPARENCHYMAL, draw_lump, lump_cover, lump_push};

/* The forms of one type, and how often each is chosen, of 10. */
static const struct {
    const ich_bleed_form *forms[3];
    uint32_t weight[3];
    float often; /* how often the type is drawn, relative to the others */
} types[ICH_LABELS] = {
    [ICH_EPIDURAL] = {{&lens}, {10}, 0.8f},
    [ICH_INTRAPARENCHYMAL] = {{&lump}, {10}, 1.2f},
    [ICH_INTRAVENTRICULAR] = {{&level, &cast}, {6, 4}, 0.8f},
    [ICH_SUBARACHNOID] = {{&sulcal, &cisternal}, {5, 5}, 1.1f},
    [ICH_SUBDURAL] = {{&crescent, &falx_film, &tent_film}, {7, 2, 1}, 1.1f},
};

static const ich_bleed_form *draw_form(int label, ich_rng *rng) {
    uint32_t pick = ich_rng_below(rng, 10);
    int i = 0;
    while (pick >= types[label].weight[i]) pick -= types[label].weight[i++];
    return types[label].forms[i];
}

static int draw_type(const bool taken[ICH_LABELS], ich_rng *rng) {
    float sum = 0;
    for (int l = 1; l < ICH_LABELS; l++) sum += taken[l] ? 0 : types[l].often;
    float at = ich_rng_uniform(rng) * sum;
    int last = 0;
    for (int l = 1; l < ICH_LABELS; l++) {
        if (taken[l]) continue;
        last = l;
        at -= types[l].often;
        if (at < 0) break;
    }
    return last;
}

static void draw_bleed(ich_bleed *b, const ich_bleed_form *form, const ich_head *head, ich_rng *rng) {
    *b = (ich_bleed){.form = form};
    b->phase = (ich_vec){draw(rng, 0, 64), draw(rng, 0, 64), draw(rng, 0, 64)};
    bool fresh = ich_rng_uniform(rng) < 0.9f; /* else some days old, on its way to the brain's own density */
    b->hu = fresh ? draw(rng, 62, 82) : draw(rng, 48, 58);
    b->mottle = draw(rng, 1, 5);
    form->draw(b, head, rng);
}

int ich_bleeds_draw(ich_bleed bleeds[ICH_MAX_BLEEDS], const ich_head *head, ich_rng *rng) {
    bool taken[ICH_LABELS] = {false};
    float u = ich_rng_uniform(rng);
    int n_types = u < 0.66f ? 1 : u < 0.92f ? 2 : 3, n = 0;
    for (int i = 0; i < n_types; i++) {
        int label = draw_type(taken, rng);
        taken[label] = true;
        /* Subarachnoid blood and contusions come in several places. */
        bool again =
            (label == ICH_SUBARACHNOID || label == ICH_INTRAPARENCHYMAL) && ich_rng_uniform(rng) < 0.35f;
        for (int k = 0; k < 1 + again; k++, n++) draw_bleed(&bleeds[n], draw_form(label, rng), head, rng);
    }
    return n;
}

static bool near(const ich_bleed *b, ich_vec p, float factor) {
    ich_vec v = ich_add(p, -1, b->centre);
    return ich_dot(v, v) < factor * factor * b->reach * b->reach;
}

float ich_bleeds_swell(const ich_bleed *bleeds, int n, ich_vec p) {
    float swell = 0;
    for (int i = 0; i < n; i++) {
        const ich_bleed *b = &bleeds[i];
        if (b->form->label != ICH_SUBARACHNOID || !near(b, p, 1)) continue;
        float r = ich_distance(p, b->centre) / b->radius;
        swell = fmaxf(swell, b->thickness * ich_ramp(1.2f, 0.7f, r));
    }
    return swell;
}

ich_vec ich_bleeds_push(const ich_bleed *bleeds, int n, const ich_head *head, ich_vec p, float depth) {
    for (int i = 0; i < n; i++)
        if (bleeds[i].form->push && near(&bleeds[i], p, 2))
            p = bleeds[i].form->push(&bleeds[i], head, p, depth);
    return p;
}

static void add_edema(const ich_bleed *b, const ich_head *head, ich_site *site) {
    if (b->edema <= 0) return;
    float rim = ich_ramp(b->edema + 2, 0, lump_distance(b, head, site->p));
    float solid = (1 - site->tissue.ventricular) * (1 - site->tissue.sulcal);
    site->tissue.hu = ich_mix(site->tissue.hu, 19, 0.8f * rim * solid);
}

void ich_bleeds_apply(const ich_bleed *bleeds, int n, const ich_head *head, ich_site *site,
                      float cover[ICH_LABELS]) {
    for (int i = 0; i < n; i++)
        if (near(&bleeds[i], site->p, 1)) add_edema(&bleeds[i], head, site);
    float free = 1, tissue = site->tissue.hu;
    for (int i = 0; i < n; i++) {
        const ich_bleed *b = &bleeds[i];
        if (!near(b, site->p, 1)) continue;
        float part = fminf(b->form->cover(b, head, site), free);
        if (part <= 0) continue;
        float hu = b->hu + b->mottle * irregular(b, head, site->p, 0.25f);
        site->tissue.hu += part * (hu - tissue);
        cover[b->form->label] += part;
        free -= part;
    }
}
