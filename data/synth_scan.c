/* The scanner: a head lies in it somehow, is cut into thick slices, blurred by the kernel, streaked by bone
 * and metal, made noisy, shifted by an imperfect calibration, and stored in one of eight orientations.
 * Labels are what was drawn, where enough of it can be seen. */
#include "synth_internal.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_STREAKS = 24, MAX_ATTEMPTS = 8, MARGIN = 2 };

/* A type is on a slice when at least this much of it is, and this much brighter than what was there,
 * or than grey matter, whichever is brighter. */
static const float least_area = 40, least_contrast = 8; /* mm², HU */

static const ich_population populations[] = {
    ['a' - 'a'] = {.prevalence = 0.5,
                   .field_of_view = {215, 240},
                   .thickness = {5, 5},
                   .noise = {2.2f, 3.4f},
                   .kernel = 0.75f,
                   .offset = 0.5f,
                   .scale = 0,
                   .motion = 0.15f,
                   .metal = 0.06f},
    ['b' - 'a'] = {.prevalence = 0.35,
                   .field_of_view = {195, 215},
                   .thickness = {3.6f, 4.2f},
                   .noise = {4.8f, 6.6f},
                   .kernel = 0.5f,
                   .offset = 4,
                   .scale = 0.03f,
                   .motion = 0.25f,
                   .metal = 0.12f},
};

const ich_population *ich_population_find(char name, ich_error *err) {
    if (name == 'a' || name == 'b') return &populations[name - 'a'];
    ich_fail(err, "synth: population '%c' is unknown; choose a or b", name);
    return NULL;
}

ich_rng ich_scan_rng(const ich_scan_key *key, uint32_t study, unsigned part) {
    return ich_rng_make(key->seed, ICH_RNG_SYNTH,
                        (uint64_t)study << 16 | part << 8 | (unsigned char)key->population);
}

typedef struct streak { /* a line in the plane of some slices, with its profile across */
    float z[2];         /* mm, scanner */
    float x, y, dx, dy; /* a point on it, its direction */
    float hu, half;     /* amplitude, half width in mm */
    bool ray;           /* only from the point onwards, fading */
} streak;

typedef struct shot { /* everything about one acquisition */
    ich_head head;
    ich_bleed bleeds[ICH_MAX_BLEEDS];
    int n_bleeds;
    ich_vec row[3], shift;          /* head = rows · (scanner - shift) */
    ich_vec down;                   /* gravity, in the head frame */
    float pixel, thickness, bottom; /* mm */
    int size, slices, samples;      /* samples along a slice's thickness */
    float noise, kernel, offset, scale, cupping;
    streak streaks[MAX_STREAKS];
    int n_streaks;
    int moved[2];    /* first and last slice blurred by motion; none: last < first */
    int jump[2];     /* by so many pixels */
    bool flipped[3]; /* stored against the network's orientation */
    float origin[3]; /* mm, scanner */
} shot;

typedef struct canvas {       /* one slice while it is made; margins keep the filters free of borders */
    float *hu, *gain, *spare; /* [size²] */
    float *cover[ICH_LABELS]; /* [size²] each; [0] unused */
    float *white;             /* [(size + 2 MARGIN)²] */
    void *memory;
} canvas;

static float draw(ich_rng *rng, float lo, float hi) { return ich_rng_range(rng, lo, hi); }

/* -- the acquisition ------------------------------------------------------------------------------------- */
static void draw_pose(shot *s, ich_rng *rng) {
    const float degree = 0.0174533f;
    float yaw = draw(rng, -9, 9) * degree, pitch = draw(rng, -9, 9) * degree,
          roll = draw(rng, -5, 5) * degree;
    float ca = cosf(yaw), sa = sinf(yaw), cb = cosf(roll), sb = sinf(roll), cc = cosf(pitch),
          sc = sinf(pitch);
    s->row[0] = (ich_vec){ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc};
    s->row[1] = (ich_vec){sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc};
    s->row[2] = (ich_vec){-sb, cb * sc, cb * cc};
    s->shift = (ich_vec){draw(rng, -7, 7), draw(rng, -7, 7), 0};
    s->down = (ich_vec){s->row[0].y, s->row[1].y, s->row[2].y};
    for (int a = 0; a < 3; a++) {
        s->flipped[a] = ich_rng_uniform(rng) < (a == 2 ? 0.2f : 0.45f);
        s->origin[a] = draw(rng, -30, 30);
    }
}

static void draw_protocol(shot *s, const ich_population *at, int size, ich_rng *rng) {
    s->size = size;
    s->pixel = draw(rng, at->field_of_view[0], at->field_of_view[1]) / (float)size;
    s->thickness = draw(rng, at->thickness[0], at->thickness[1]);
    s->samples = 2;
    s->bottom = draw(rng, -54, -44);
    float top = s->head.half[2] + s->head.bone + s->head.scalp + draw(rng, -16, -3);
    s->slices = (int)((top - s->bottom) / s->thickness) + 1;
    s->noise = draw(rng, at->noise[0], at->noise[1]);
    s->kernel = at->kernel;
    s->offset = draw(rng, -at->offset, at->offset);
    s->scale = 1 + draw(rng, -at->scale, at->scale);
    s->cupping = draw(rng, 0, 6);
}

static void add_streak(shot *s, streak line) {
    if (s->n_streaks < MAX_STREAKS) s->streaks[s->n_streaks++] = line;
}

/* Bands between the petrous bones, rays from dense corners, and sometimes a fan from metal or a tooth. */
static void draw_artefacts(shot *s, const ich_population *at, ich_rng *rng) {
    for (int i = 0; i < 7; i++) {
        float z = draw(rng, -46, -24), tilt = draw(rng, -0.25f, 0.25f);
        add_streak(s, (streak){{z - 7, z + 7},
                               s->shift.x,
                               s->shift.y + draw(rng, -8, 34),
                               1,
                               tilt,
                               draw(rng, -14, 9),
                               draw(rng, 1.5f, 5),
                               false});
    }
    if (ich_rng_uniform(rng) < at->metal) {
        float x = draw(rng, -60, 60), y = draw(rng, -70, 70), z = draw(rng, -30, 60);
        for (int i = 0; i < 12; i++) {
            float angle = draw(rng, 0, 6.2832f);
            add_streak(s, (streak){{z - 5, z + 5},
                                   x,
                                   y,
                                   cosf(angle),
                                   sinf(angle),
                                   draw(rng, -30, 30),
                                   draw(rng, 1, 3),
                                   true});
        }
    }
    s->moved[0] = 1, s->moved[1] = 0;
    if (ich_rng_uniform(rng) < at->motion) {
        s->moved[0] = (int)ich_rng_below(rng, (uint32_t)s->slices);
        s->moved[1] = s->moved[0] + (int)ich_rng_below(rng, 4);
        float reach = 4 / s->pixel; /* mm to pixels */
        s->jump[0] = (int)draw(rng, -reach, reach), s->jump[1] = (int)draw(rng, -reach, reach);
    }
}

/* -- one slice -------------------------------------------------------------------------------------- */
static bool canvas_make(canvas *c, int size, ich_error *err) {
    size_t n = (size_t)size * (size_t)size, wide = (size_t)size + 2 * MARGIN;
    float *at = c->memory =
        ich_new((ICH_LABELS + 2) * n + wide * wide, sizeof(float), "a phantom's slice", err);
    if (!at) return false;
    c->hu = at, c->gain = at + n, c->spare = at + 2 * n;
    for (int l = 1; l < ICH_LABELS; l++) c->cover[l] = at + (size_t)(2 + l) * n;
    c->white = at + (ICH_LABELS + 2) * n;
    return true;
}

/* HU at a point of the head; adds the blood's part to cover and its brightening to gain. */
static float look(const shot *s, ich_vec p, float edge, float cover[ICH_LABELS], float *gain) {
    const ich_head *head = &s->head;
    ich_place place = ich_head_place(head, p);
    if (place.cavity > 0.5f * edge) return ich_head_wall(head, p, place, edge);
    float depth = -place.cavity, tissue_depth = depth;
    ich_vec from = ich_bleeds_push(s->bleeds, s->n_bleeds, head, p, depth);
    if (from.x != p.x || from.y != p.y || from.z != p.z)
        tissue_depth = fmaxf(0, -ich_head_place(head, from).cavity);
    float swell = ich_bleeds_swell(s->bleeds, s->n_bleeds, p);
    ich_site site = {.p = p, .depth = depth, .down = ich_dot(p, s->down), .edge = edge};
    site.tissue = ich_head_brain(head, from, tissue_depth, swell, edge);
    site.tissue.hu = ich_mix(site.tissue.hu, 47, ich_head_falx(head, p, depth, edge));
    float before = fmaxf(site.tissue.hu, head->grey); /* blood shows against grey matter */
    float inside = ich_cover(place.cavity, edge), blood[ICH_LABELS] = {0};
    ich_bleeds_apply(s->bleeds, s->n_bleeds, head, &site, blood);
    for (int l = 1; l < ICH_LABELS; l++) cover[l] += inside * blood[l];
    float hu = site.tissue.hu;
    *gain += inside * (hu - before);
    hu += s->cupping * ich_bump(depth * depth * (1 / 144.0f)); /* beam hardening inside the bone's ring */
    return inside < 1 ? ich_mix(ich_head_wall(head, p, place, edge), hu, inside) : hu;
}

static ich_vec to_head(const shot *s, ich_vec scanner) {
    ich_vec v = ich_add(scanner, -1, s->shift);
    return (ich_vec){ich_dot(s->row[0], v), ich_dot(s->row[1], v), ich_dot(s->row[2], v)};
}

static float slice_height(const shot *s, int slice) {
    return s->bottom + ((float)slice + 0.5f) * s->thickness;
}

static void cut_slice(const shot *s, int slice, canvas *c) {
    float middle = 0.5f * (float)(s->size - 1), share = 1 / (float)s->samples;
    for (int i = 0; i < s->size * s->size; i++) {
        float sum = 0, gain = 0, cover[ICH_LABELS] = {0};
        ich_vec at = {((float)(i % s->size) - middle) * s->pixel, ((float)(i / s->size) - middle) * s->pixel,
                      0};
        for (int k = 0; k < s->samples; k++) {
            at.z = slice_height(s, slice) + (((float)k + 0.5f) * share - 0.5f) * s->thickness;
            sum += look(s, to_head(s, at), s->pixel, cover, &gain);
        }
        c->hu[i] = sum * share;
        c->gain[i] = gain * share;
        for (int l = 1; l < ICH_LABELS; l++) c->cover[l][i] = cover[l] * share;
    }
}

/* Each row or column of `image` becomes side · before + (1 - 2 side) · itself + side · after. */
static void blur3(float *image, float *spare, int size, float side) {
    for (int pass = 0; pass < 2; pass++) {
        int step = pass ? size : 1;
        for (int i = 0; i < size * size; i++) {
            int at = pass ? i / size : i % size;
            float a = image[at > 0 ? i - step : i], b = image[at < size - 1 ? i + step : i];
            spare[i] = image[i] + side * (a + b - 2 * image[i]);
        }
        memcpy(image, spare, sizeof *image * (size_t)size * (size_t)size);
    }
}

static void add_streaks(const shot *s, int slice, float *hu) {
    float z = slice_height(s, slice), middle = 0.5f * (float)(s->size - 1);
    for (int k = 0; k < s->n_streaks; k++) {
        const streak *line = &s->streaks[k];
        if (z < line->z[0] || z > line->z[1]) continue;
        float length = sqrtf(line->dx * line->dx + line->dy * line->dy);
        for (int i = 0; i < s->size * s->size; i++) {
            float x = ((float)(i % s->size) - middle) * s->pixel - line->x;
            float y = ((float)(i / s->size) - middle) * s->pixel - line->y;
            float across = (x * line->dy - y * line->dx) / length,
                  along = (x * line->dx + y * line->dy) / length;
            float width = line->ray ? line->half + 0.06f * fmaxf(along, 0) : line->half;
            float fade = line->ray ? ich_ramp(-2, 2, along) * ich_clamp01(1 - along * (1 / 140.0f))
                                   : ich_bump(along * along * (1 / 3000.0f));
            if (hu[i] > -300) hu[i] += line->hu * fade * ich_bump(across * across / (4 * width * width));
        }
    }
}

/* A head that moved during the slice is seen twice. */
static void add_motion(const shot *s, int slice, canvas *c) {
    if (slice < s->moved[0] || slice > s->moved[1]) return;
    memcpy(c->spare, c->hu, sizeof *c->hu * (size_t)s->size * (size_t)s->size);
    for (int y = 0; y < s->size; y++)
        for (int x = 0; x < s->size; x++) {
            int u = x + s->jump[0], v = y + s->jump[1];
            if (u < 0 || v < 0 || u >= s->size || v >= s->size) continue;
            c->hu[y * s->size + x] = ich_mix(c->hu[y * s->size + x], c->spare[v * s->size + u], 0.4f);
        }
}

/* White noise through [k 1 k] both ways, scaled back to deviation 1: the grain of a reconstruction kernel. */
static void add_noise(const shot *s, int slice, canvas *c, ich_rng *rng) {
    int wide = s->size + 2 * MARGIN;
    for (int i = 0; i < wide * wide; i++) {
        uint32_t w = ich_rng_u32(rng); /* the sum of four bytes is near enough to normal before the filter */
        c->white[i] = (float)(int)((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24)) - 510;
    }
    float k = 0.62f * fminf(1, s->kernel / s->pixel + 0.3f);
    float base = 1 + 0.5f * ich_ramp(-20, -45, slice_height(s, slice)); /* more bone, fewer photons */
    float sigma = s->noise * base / (147.8f * (1 + 2 * k * k)), middle = 0.5f * (float)(s->size - 1);
    for (int y = 0; y < s->size; y++)
        for (int x = 0; x < s->size; x++) {
            const float *w = c->white + (y + MARGIN) * wide + x + MARGIN;
            float sides = w[-1] + w[1] + w[-wide] + w[wide];
            float corners = w[-wide - 1] + w[-wide + 1] + w[wide - 1] + w[wide + 1];
            float u = ((float)x - middle) * s->pixel * 0.01f, v = ((float)y - middle) * s->pixel * 0.01f;
            float centre = 0.8f + 0.3f * ich_bump(u * u + v * v);
            c->hu[y * s->size + x] += sigma * centre * (w[0] + k * sides + k * k * corners);
        }
}

/* -- what is there ---------------------------------------------------------------------------------- */
static int main_type(const canvas *c, int i) {
    int best = 0;
    float most = 0.5f; /* less than half a voxel of blood is no mask */
    for (int l = 1; l < ICH_LABELS; l++)
        if (c->cover[l][i] >= most) best = l, most = c->cover[l][i];
    return best;
}

/* Labels of a slice, and its mask in network orientation: only what is labelled is masked. */
static void judge_slice(const shot *s, const canvas *c, uint8_t *mask, uint8_t label[ICH_LABELS]) {
    int n = s->size * s->size, count[ICH_LABELS] = {0};
    double gain[ICH_LABELS] = {0};
    for (int i = 0; i < n; i++) {
        mask[i] = (uint8_t)main_type(c, i);
        count[mask[i]]++;
        gain[mask[i]] += c->gain[i];
    }
    memset(label, 0, ICH_LABELS);
    for (int l = 1; l < ICH_LABELS; l++) {
        bool seen =
            (float)count[l] * s->pixel * s->pixel >= least_area && gain[l] >= least_contrast * count[l];
        label[l] = seen;
        label[ICH_ANY] |= seen;
    }
    for (int i = 0; i < n; i++)
        if (!label[mask[i]]) mask[i] = 0;
}

/* -- storing ---------------------------------------------------------------------------------------- */
static size_t stored_place(const shot *s, int x, int y, int z) {
    int i = s->flipped[0] ? s->size - 1 - x : x, j = s->flipped[1] ? s->size - 1 - y : y;
    int k = s->flipped[2] ? s->slices - 1 - z : z;
    return ((size_t)k * (size_t)s->size + (size_t)j) * (size_t)s->size + (size_t)i;
}

static void store_slice(const shot *s, int z, const float *hu, const uint8_t *mask, ich_scan *scan) {
    for (int y = 0; y < s->size; y++)
        for (int x = 0; x < s->size; x++) {
            int i = y * s->size + x;
            size_t to = stored_place(s, x, y, z);
            float value = hu[i] * s->scale + s->offset;
            scan->hu[to] = (int16_t)lrintf(fmaxf(-1024, fminf(value, 3071))); /* the scanner's 12 bits */
            scan->mask[to] = mask[i];
        }
}

/* Unflipped, voxels run to the left, back and head; NIfTI's axes point right, front and head. */
static void store_affine(const shot *s, double affine[4][4]) {
    const float spacing[3] = {s->pixel, s->pixel, s->thickness};
    const int count[3] = {s->size, s->size, s->slices};
    memset(affine, 0, sizeof(double[4][4]));
    for (int a = 0; a < 3; a++) {
        double sign = (a < 2) == s->flipped[a] ? 1 : -1;
        affine[a][a] = sign * (double)spacing[a];
        affine[a][3] = (double)s->origin[a] - affine[a][a] * 0.5 * (count[a] - 1);
    }
    affine[3][3] = 1;
}

static bool scan_allocate(ich_scan *scan, const shot *s, ich_error *err) {
    size_t n = (size_t)s->size * (size_t)s->size * (size_t)s->slices;
    ich_scan_free(scan);
    scan->size = s->size;
    scan->slices = s->slices;
    scan->hu = ich_new(n, sizeof *scan->hu, "a phantom", err);
    scan->mask = scan->hu ? ich_new(n, 1, "a phantom's mask", err) : NULL;
    scan->label =
        scan->mask ? ich_new((size_t)s->slices, sizeof *scan->label, "a phantom's labels", err) : NULL;
    return scan->label != NULL;
}

static bool expose(const shot *s, ich_scan *scan, ich_rng noise, ich_error *err) {
    canvas c;
    if (!canvas_make(&c, s->size, err)) return false;
    uint8_t *mask = ich_new((size_t)s->size * (size_t)s->size, 1, "a phantom's mask", err);
    float sigma = s->kernel / s->pixel;
    for (int z = 0; mask && z < s->slices; z++) {
        cut_slice(s, z, &c);
        blur3(c.hu, c.spare, s->size, fminf(0.25f, 0.5f * sigma * sigma)); /* variance of the taps: 2 side */
        add_streaks(s, z, c.hu);
        add_motion(s, z, &c);
        add_noise(s, z, &c, &noise);
        uint8_t label[ICH_LABELS];
        judge_slice(s, &c, mask, label);
        memcpy(scan->label[s->flipped[2] ? s->slices - 1 - z : z], label, sizeof label);
        store_slice(s, z, c.hu, mask, scan);
        for (int l = 0; l < ICH_LABELS; l++) scan->study_label[l] |= label[l];
    }
    store_affine(s, scan->affine);
    free(mask);
    free(c.memory);
    return mask != NULL;
}

static bool prepare(shot *s, ich_field *field, const ich_scan_key *key, int size, ich_error *err) {
    const ich_population *at = ich_population_find(key->population, err);
    if (!at) return false;
    ich_rng texture = ich_scan_rng(key, key->patient, ICH_PART_FIELD);
    ich_rng anatomy = ich_scan_rng(key, key->patient, ICH_PART_HEAD);
    ich_rng pose = ich_scan_rng(key, key->study, ICH_PART_POSE);
    ich_rng artefacts = ich_scan_rng(key, key->study, ICH_PART_ARTEFACTS);
    if (!ich_field_fill(field, &texture))
        return ich_fail(err, "out of memory for a phantom's texture; use fewer threads");
    ich_head_draw(&s->head, field, &anatomy);
    draw_pose(s, &pose);
    draw_protocol(s, at, size, &pose);
    draw_artefacts(s, at, &artefacts);
    return true;
}

bool ich_scan_make(ich_scan *scan, const ich_scan_key *key, int size, bool positive, ich_error *err) {
    *scan = (ich_scan){0};
    ich_field *field = ich_new(1, sizeof *field, "a phantom's texture", err);
    shot s = {0};
    bool done = field && prepare(&s, field, key, size, err);
    /* A bleed may turn out too small or too faint to label; then another is drawn. */
    for (unsigned attempt = 0; done && attempt < MAX_ATTEMPTS; attempt++) {
        ich_rng bleeds = ich_scan_rng(key, key->study, ICH_PART_BLEEDS + attempt);
        if (positive) s.n_bleeds = ich_bleeds_draw(s.bleeds, &s.head, &bleeds);
        done = scan_allocate(scan, &s, err) &&
               expose(&s, scan, ich_scan_rng(key, key->study, ICH_PART_NOISE), err);
        if (scan->study_label[ICH_ANY] == positive) break;
    }
    free(field);
    if (!done) ich_scan_free(scan);
    return done;
}

void ich_scan_free(ich_scan *scan) {
    free(scan->hu);
    free(scan->mask);
    free(scan->label);
    *scan = (ich_scan){0};
}
