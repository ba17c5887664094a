/* The head as a whole: who it is (ich_head_draw), where a point lies in it (ich_head_place), and the wall
 * around the brain: vault, scalp, air. */
#include "synth_internal.h"

static float draw(ich_rng *rng, float lo, float hi) { return ich_rng_range(rng, lo, hi); }

static bool chance(ich_rng *rng, float p) { return ich_rng_uniform(rng) < p; }

/* What is bright or odd without being a bleed: what keeps a detector honest. */
static void draw_distractors(ich_head *head, ich_rng *rng) {
    if (chance(rng, 0.3f + 0.4f * head->age))
        head->pineal = (ich_ball){{draw(rng, -1, 1), draw(rng, 20, 24), draw(rng, 0, 5)},
                                  draw(rng, 1.5f, 3.5f),
                                  draw(rng, 90, 260)};
    bool plexus = chance(rng, 0.25f + 0.45f * head->age);
    for (int side = 0; side < 2 && plexus; side++)
        head->choroid[side] = (ich_ball){{side ? 21.0f : -21.0f, draw(rng, 30, 36), draw(rng, 8, 14)},
                                         draw(rng, 2, 5),
                                         draw(rng, 70, 220)};
    if (chance(rng, 0.2f))
        head->plaque =
            (ich_ball){{0, draw(rng, -60, 10), draw(rng, 35, 60)}, draw(rng, 4, 12), draw(rng, 120, 400)};
    if (chance(rng, 0.12f)) /* an old infarct: dark, at the cortex */
        head->infarct = (ich_ball){{chance(rng, 0.5f) ? 48.0f : -48.0f, draw(rng, -35, 45), draw(rng, 0, 45)},
                                   draw(rng, 12, 26),
                                   draw(rng, 12, 20)};
    if (chance(rng, 0.25f)) { /* scalp hematoma, with or without blood inside */
        ich_vec way = {draw(rng, -1, 1), draw(rng, -1, 1), draw(rng, 0, 0.7f)};
        head->swelling =
            (ich_ball){ich_add((ich_vec){0, 0, 0}, 85, ich_unit(way)), draw(rng, 18, 40), draw(rng, 45, 70)};
    }
    if (chance(rng, 0.05f + 0.1f * head->age)) head->hygroma = draw(rng, 3, 9);
    head->hygroma_side = chance(rng, 0.5f) ? 1.0f : -1.0f;
}

void ich_head_draw(ich_head *head, const ich_field *field, ich_rng *rng) {
    *head = (ich_head){.field = field};
    float size = draw(rng, 0.94f, 1.05f);
    head->half[0] = size * draw(rng, 62, 68);
    head->half[1] = size * draw(rng, 79, 87);
    head->half[2] = size * draw(rng, 74, 82);
    head->square = draw(rng, 0, 0.35f);
    head->egg = draw(rng, 0.02f, 0.14f);
    head->bone = draw(rng, 4.5f, 8);
    head->scalp = draw(rng, 4, 7.5f);
    head->table = draw(rng, 1050, 1500);
    head->diploe = draw(rng, 400, 750);
    head->air = draw(rng, 0.2f, 1);
    head->white = draw(rng, 25.5f, 28.5f);
    head->grey = head->white + draw(rng, 7, 10);
    head->csf = draw(rng, 4, 10);
    head->blood = draw(rng, 42, 62);
    head->age = ich_rng_uniform(rng);
    head->sulcus = 0.35f + 1.1f * head->age * draw(rng, 0.6f, 1.1f);
    float ventricle = 0.75f + 0.8f * head->age * draw(rng, 0.6f, 1.2f);
    for (int side = 0; side < 2; side++) head->ventricle[side] = ventricle * draw(rng, 0.9f, 1.12f);
    head->falx = draw(rng, 0.5f, 1.1f);
    draw_distractors(head, rng);
}

/* The floor of the cavity: three fossae, each lower than the one before it, the petrous ridges between the
 * last two, the clivus in the middle. */
static float floor_height(const ich_field *field, ich_vec p) {
    float rough = ich_field_at(field, p.x * 0.09f, p.y * 0.09f, 31);
    float x = fabsf(p.x), behind_ridge = p.y - (0.55f * x - 3) + 2 * rough;
    float wing = -19 + 3 * rough - 11 * ich_bump((x - 32) * (x - 32) * (1 / 500.0f)); /* of the sphenoid */
    float roof =
        5 * ich_bump(((x - 30) * (x - 30) + (p.y + 55) * (p.y + 55)) * (1 / 900.0f)); /* of the orbit */
    float floor = ich_mix(-27 - 0.1f * p.y + roof + 2.5f * rough, -42, ich_ramp(-5, 5, p.y - wing));
    floor = ich_mix(floor, -85, ich_ramp(4, 14, behind_ridge));
    float ridge = (behind_ridge - 2) * (1 / 9.0f);
    if (floor < -29) floor += (-29 - floor) * ich_bump(ridge * ridge);
    float u = x * (1 / 15.0f), v = (p.y + 10) * (1 / 17.0f);
    if (floor < -25) floor += (-25 - floor) * ich_bump(u * u + v * v);
    return floor;
}

ich_place ich_head_place(const ich_head *head, ich_vec p) {
    float height = p.z > 0 ? head->half[2] : 150; /* below, the sides go on into face and neck */
    float u = p.x / (head->half[0] * (1 + head->egg * p.y * (1 / 85.0f))), v = p.y / head->half[1],
          w = p.z / height;
    float s2 = u * u + v * v + w * w, s4 = u * u * u * u + v * v * v * v + w * w * w * w;
    float rho = sqrtf(sqrtf(ich_mix(s2 * s2, s4, head->square)));
    float radius = ich_norm(p) + 1e-3f, k = 6 / radius;
    rho *= 1 + 0.012f * ich_field_at(head->field, p.x * k, p.y * k, p.z * k);
    ich_place place = {.radius = radius};
    place.outside = radius * (1 - 1 / (rho + 1e-4f));
    /* The floor matters only below: anywhere higher it is farther than any wall. */
    place.below = p.z < 0 ? floor_height(head->field, p) - p.z : -60;
    place.cavity = fmaxf(place.outside, place.below);
    return place;
}

/* Skin, fat, and muscle or galea, from the outside in; t = 0 at the bone, 1 at the skin's surface. */
static float scalp_hu(float t, float muscle) {
    float fat = ich_ramp(muscle - 0.1f, muscle + 0.1f, t) * ich_ramp(0.95f, 0.75f, t);
    return ich_mix(45, -75, fat);
}

typedef struct wall { /* thickness of the layers in one direction, mm */
    float bone, scalp, muscle, frontal, swelling;
} wall;

static wall wall_here(const ich_head *head, ich_vec p, float radius) {
    float k = 9 / radius, x = fabsf(p.x);
    float rough = ich_field_at(head->field, p.x * k + 20, p.y * k, p.z * k);
    float temple =
        ich_bump(((p.y + 18) * (p.y + 18) + (p.z + 8) * (p.z + 8)) * (1 / 2300.0f)) * ich_ramp(30, 50, x);
    wall w = {.muscle = 0.3f};
    w.bone = fmaxf(2, head->bone * (1 + 0.22f * rough) * (1 - 0.5f * temple));
    float nape = ich_ramp(-12, -45, p.z) * ich_ramp(10, 50, p.y);
    w.scalp = head->scalp * (1 - 0.15f * rough) + 6 * temple + 16 * nape;
    w.muscle += 0.4f * fmaxf(temple, nape);
    if (p.y < 0)
        w.frontal = ich_bump(p.x * p.x * (1 / 600.0f) + (p.z + 16) * (p.z + 16) * (1 / 320.0f)) * head->air;
    w.bone += 9 * w.frontal;
    if (head->swelling.hu > 0) {
        float r = ich_distance(p, head->swelling.centre) / head->swelling.radius;
        w.swelling = 9 * ich_bump(r * r);
    }
    return w;
}

static float vault_hu(const ich_head *head, ich_vec p, const wall *w, float outside) {
    float t = outside / w->bone, middle = (t - 0.5f) * (1 / 0.42f);
    float grain = 1 + 0.2f * ich_field_at(head->field, p.x * 0.6f, p.y * 0.6f, p.z * 0.6f + 11);
    float hu = ich_mix(head->table, head->diploe * grain, ich_bump(middle * middle));
    return w->frontal > 0.3f ? ich_mix(hu, -900, ich_bump(middle * middle * 1.3f)) : hu;
}

float ich_head_wall(const ich_head *head, ich_vec p, ich_place place, float edge) {
    const float air = -1000;
    if (place.outside > 45) return air;
    wall w = wall_here(head, p, place.radius);
    float above_bone = place.outside - w.bone, skin = above_bone - w.scalp - w.swelling;
    if (skin > edge) return air;
    float soft = scalp_hu((above_bone - w.swelling) / w.scalp, w.muscle);
    soft = ich_mix(soft, head->swelling.hu, w.swelling > 0.5f ? ich_cover(above_bone - w.swelling, edge) : 0);
    float hu = ich_mix(air, soft, ich_cover(skin, edge));
    float bone = ich_cover(above_bone, edge);
    /* The face has no vault around it: only islands of bone. */
    float face = ich_ramp(-22, -32, p.z) * ich_ramp(12, -2, p.y - 0.3f * fabsf(p.x));
    if (face > 0 && bone > 0)
        bone *= 1 - face * (ich_field_at(head->field, p.x * 0.09f, p.y * 0.09f, p.z * 0.09f) < 0.4f);
    if (bone > 0) hu = ich_mix(hu, vault_hu(head, p, &w, place.outside), bone);
    float inside = ich_cover(place.outside, edge);
    return inside > 0 ? ich_mix(hu, ich_head_base(head, p, place, edge), inside) : hu;
}
