/* Inside the skull: cortex and white matter, sulci, ventricles, cisterns, cerebellum, falx and tentorium, and
 * the calcifications that every reader learns not to call blood. */
#include "synth_internal.h"

typedef struct knot { /* of a ventricle's centre line, on the left */
    float x, y, z, radius;
} knot;

/* Lateral ventricle: frontal horn, body, atrium; then occipital and temporal horns. */
static const knot lateral_path[] = {{9, -34, 6, 3.0f},  {7, -20, 13, 4.6f}, {8, 0, 20, 4.4f},
                                    {13, 18, 20, 4.8f}, {21, 33, 11, 6.2f}, {20, 52, 8, 2.8f}};
static const knot temporal_path[] = {{21, 33, 11, 5.0f}, {29, 20, -8, 2.4f}, {29, -2, -17, 1.6f}};

static float distance_to_path(const knot *path, int n, ich_vec p) {
    float least = 1e9f;
    for (int i = 0; i + 1 < n; i++) {
        ich_vec a = {path[i].x, path[i].y, path[i].z}, b = {path[i + 1].x, path[i + 1].y, path[i + 1].z};
        ich_vec ab = ich_add(b, -1, a), ap = ich_add(p, -1, a);
        float t = ich_clamp01(ich_dot(ap, ab) / ich_dot(ab, ab));
        float d = ich_norm(ich_add(ap, -t, ab)) - ich_mix(path[i].radius, path[i + 1].radius, t);
        least = fminf(least, d);
    }
    return least;
}

static float ventricle_distance(const ich_head *head, ich_vec p) {
    float x = fabsf(p.x);
    if (x > 45 || p.y < -50 || p.y > 70 || p.z < -40 || p.z > 42) return 20;
    ich_vec q = {x, p.y, p.z};
    float grown = 2.6f * (head->ventricle[p.x > 0] - 1); /* mm */
    float lateral =
        fminf(distance_to_path(lateral_path, 6, q), distance_to_path(temporal_path, 3, q) + 0.5f) - grown;
    lateral = fmaxf(lateral, 0.9f - x); /* septum pellucidum */
    float third = fmaxf(x - 0.9f - 1.2f * head->age, fmaxf(fabsf(p.y - 3) - 12, fabsf(p.z + 1) - 9));
    float fourth = x + fabsf(p.y - 31) + 0.5f * fabsf(p.z + 32) - 9;
    return fminf(lateral, fminf(third, 0.6f * fourth));
}

/* Distance to the nearest sulcus: the zeros of a texture that is stretched towards the middle, so that folds
 * run inwards from the surface; they end some way in. */
static float sulcus_distance(const ich_head *head, ich_vec p, float depth, float side) {
    float k = (1 + 0.5f * depth / (ich_norm(p) + 1)) * (1 / 2.9f);
    float n = ich_field_at(head->field, p.x * k + 9 * side, p.y * k, p.z * k);
    return 2.4f * fabsf(n) + 5 * ich_ramp(11, 22, depth);
}

/* The Sylvian fissure, a sheet from the surface to the insula, and the insula's own cleft. */
static float sylvian_distance(const ich_head *head, ich_vec p) {
    float x = fabsf(p.x), side = p.x > 0 ? 7 : 0;
    float bend = 2.2f * ich_field_at(head->field, p.y * 0.13f, p.z * 0.13f, 3 + side);
    float sheet = fmaxf(fabsf(p.z - 4 - 0.4f * p.y - bend) - 0.3f, fmaxf(fabsf(p.y + 2) - 24, 38 - x));
    float arch = x - 35 - 0.014f * (p.y + 4) * (p.y + 4) - bend;
    float insula = fmaxf(fabsf(arch) - 0.2f, fmaxf(fabsf(p.y + 4) - 17, fabsf(p.z - 3) - 12));
    return fminf(sheet, insula);
}

/* Suprasellar star, the gap around the brain stem, the quadrigeminal cistern. */
static float cistern_distance(const ich_head *head, ich_vec p) {
    if (p.z > 12 || p.z < -62 || p.y < -30 || p.y > 45) return 20;
    float x = fabsf(p.x), wide = 1 + head->age;
    float star = fmaxf(fabsf(p.z + 20) - 6, sqrtf(p.x * p.x + (p.y + 7) * (p.y + 7)) - 9 - wide +
                                                0.25f * fabsf(x - fabsf(p.y + 7)));
    float stem = sqrtf(p.x * p.x + (p.y - 14) * (p.y - 14)) - ich_mix(17, 15, ich_ramp(-15, -35, p.z));
    float patchy = ich_field_at(head->field, p.x * 0.1f, p.y * 0.1f, p.z * 0.1f + 17);
    float around = fmaxf(fabsf(stem + 1.5f * patchy) - (0.5f + 0.9f * patchy) * wide, p.z + 4);
    /* The cerebellum hangs on the stem: no gap behind it, lower down. */
    around = fmaxf(around, fminf(18 - p.y, -14 - p.z) * 0.5f + 0.5f * (p.y - 18 > 0 ? 8 : 0));
    float plate = fmaxf(sqrtf(p.x * p.x + (p.y - 26) * (p.y - 26)) - 5 - wide, fabsf(p.z + 4) - 7);
    return fminf(star, fminf(around, plate));
}

float ich_head_tentorium(ich_vec p) {
    float x = fabsf(p.x), behind = fmaxf(0, p.y - 22);
    return -2 - 0.42f * x - 0.28f * behind;
}

float ich_head_falx(const ich_head *head, ich_vec p, float depth, float edge) {
    if (fabsf(p.x) > 6 || p.z < -18) return 0;
    float reach = ich_mix(26, 40, ich_ramp(-20, 50, p.y)); /* deeper at the back */
    float bend = 0.8f * ich_field_at(head->field, 5, p.y * 0.05f, p.z * 0.05f);
    float sheet = fmaxf(fabsf(p.x - bend) - head->falx, depth - reach);
    return p.y > 0 || p.z > 0 ? ich_cover(sheet, edge) : 0;
}

static float deep_grey(ich_vec p) { /* thalamus, lentiform nucleus, head of the caudate */
    float x = fabsf(p.x), t, l, c;
    t = (x - 10) * (x - 10) * (1 / 60.0f) + (p.y - 10) * (p.y - 10) * (1 / 180.0f) +
        (p.z - 6) * (p.z - 6) * (1 / 80.0f);
    l = (x - 23 - 0.2f * p.y) * (x - 23 - 0.2f * p.y) * (1 / 45.0f) + (p.y + 4) * (p.y + 4) * (1 / 280.0f) +
        (p.z - 4) * (p.z - 4) * (1 / 100.0f);
    c = (x - 14) * (x - 14) * (1 / 25.0f) + (p.y + 22) * (p.y + 22) * (1 / 80.0f) +
        (p.z - 9) * (p.z - 9) * (1 / 90.0f);
    float m = fminf(t, fminf(l, c));
    return ich_ramp(1.25f, 0.8f, m);
}

/* Cerebrum: a ribbon of grey along surface and sulci, white under it, grey nuclei deep. */
static float cerebrum_hu(const ich_head *head, ich_vec p, float depth, float sulcus, float ventricle) {
    float ribbon = fmaxf(ich_cover(sulcus - 3.2f, 2), ich_cover(depth - 4, 2));
    float nuclei = depth > 20 ? deep_grey(p) : 0;
    float hu = ich_mix(head->white, head->grey, fmaxf(ribbon, nuclei));
    float around = ich_clamp01(1 - ventricle * (1 / 9.0f)); /* small-vessel disease */
    return hu - 5 * head->age * around * (1 - nuclei);
}

static float cerebellum_hu(const ich_head *head, ich_vec p, float depth) {
    float folia = ich_field_at(head->field, p.x * 0.25f, p.y * 0.25f, p.z * 0.9f);
    float stem = sqrtf(p.x * p.x + (p.y - 14) * (p.y - 14)) - 15;
    float white = stem < 0 ? 0.6f : ich_ramp(8, 20, depth) * 0.7f;
    return ich_mix(head->grey, head->white, white) + 1.2f * folia;
}

static float add_ball(float hu, const ich_ball *ball, ich_vec p, float edge) {
    if (ball->hu == 0) return hu;
    float d = ich_distance(p, ball->centre) - ball->radius;
    return d > edge ? hu : ich_mix(hu, ball->hu, ich_cover(d, edge));
}

/* Sagittal and transverse sinus, and the larger arteries at the base. */
static float add_vessels(const ich_head *head, float hu, ich_vec p, float depth, float edge) {
    float x = fabsf(p.x), sagittal = 1e9f;
    if (p.z > -12 && (p.z > 15 || p.y > 0)) sagittal = x + 0.6f * depth - 4.5f;
    float transverse = p.y > 25 ? fmaxf(fabsf(p.z - ich_head_tentorium(p)) - 3, depth - 5) : 1e9f;
    hu = ich_mix(hu, head->blood, ich_cover(fminf(sagittal, transverse), edge));
    float basilar = p.z < -12 ? sqrtf(p.x * p.x + (p.y + 2) * (p.y + 2)) - 1.7f : 1e9f;
    float middle = fmaxf(sqrtf((p.z + 17) * (p.z + 17) + (p.y + 9) * (p.y + 9)) - 1.3f, fabsf(x - 20) - 12);
    return ich_mix(hu, head->blood, ich_cover(fminf(basilar, middle), edge));
}

static float add_infarct(const ich_head *head, float hu, ich_vec p) {
    if (head->infarct.hu == 0) return hu;
    float r = ich_distance(p, head->infarct.centre) / head->infarct.radius;
    if (r > 2) return hu;
    r += 0.2f * ich_field_at(head->field, p.x * 0.2f, p.y * 0.2f, p.z * 0.2f);
    return ich_mix(hu, head->infarct.hu, ich_ramp(1.1f, 0.8f, r));
}

/* Cover of an old collection over one hemisphere, tapering to the middle and downwards. */
static float hygroma(const ich_head *head, ich_vec p, float depth, float edge) {
    if (head->hygroma == 0) return 0;
    float taper = ich_ramp(2, 25, p.x * head->hygroma_side) * ich_ramp(-5, 25, p.z);
    return ich_cover(depth - head->hygroma * taper, edge) * (taper > 0);
}

/* Every gap that opens to the surface of the cerebrum. */
static float cleft_distance(const ich_head *head, ich_vec p, float depth) {
    float d = depth < 24 ? sulcus_distance(head, p, depth, p.x > 0 ? 1 : 0) : 9;
    if (fabsf(p.x) < 5) { /* between the hemispheres, but not through the corpus callosum */
        float u = p.y * (1 / 38.0f), v = (p.z - 5) * (1 / 25.0f);
        d = fminf(d, fmaxf(fabsf(p.x), 20 * (1 - sqrtf(u * u + v * v))));
    }
    if (depth < 40 && fabsf(p.x) > 30) d = fminf(d, sylvian_distance(head, p) - 0.3f);
    return d;
}

ich_tissue ich_head_brain(const ich_head *head, ich_vec p, float depth, float swell, float edge) {
    float over_tent = p.z - ich_head_tentorium(p);
    bool behind = p.y > 0.55f * fabsf(p.x) - 3 && p.z < 0;
    bool stem = p.x * p.x + (p.y - 14) * (p.y - 14) < 300 && p.z < -6;
    float ventricle = ventricle_distance(head, p);
    float rim = depth - 0.8f - 1.6f * head->age - 0.3f * swell;
    float csf = ich_cover(fminf(rim, cistern_distance(head, p)), edge), hu;
    if (behind && (over_tent < 0 || stem)) {
        hu = cerebellum_hu(head, p, depth);
    } else {
        float cleft = cleft_distance(head, p, depth);
        hu = cerebrum_hu(head, p, depth, cleft, ventricle);
        csf = fmaxf(csf, ich_cover(cleft - head->sulcus - swell, edge));
    }
    csf = fmaxf(csf, hygroma(head, p, depth, edge));
    float inside = ich_cover(ventricle, edge);
    ich_tissue tissue = {.sulcal = csf * (1 - inside), .ventricular = inside};
    hu = ich_mix(add_infarct(head, hu, p), head->csf, fmaxf(csf, inside));
    hu = add_ball(hu, &head->pineal, p, edge);
    hu = add_ball(hu, &head->choroid[0], p, edge);
    hu = add_ball(hu, &head->choroid[1], p, edge);
    hu = add_vessels(head, hu, p, depth, edge);
    if (behind && p.y > 5) hu = ich_mix(hu, 48, ich_cover(fabsf(over_tent) - 0.6f, edge));
    tissue.hu = hu + 1.2f * ich_field_at(head->field, p.x * 0.12f, p.y * 0.12f, p.z * 0.12f);
    return tissue;
}
