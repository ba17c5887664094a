/* Under the brain: petrous and sphenoid bone, air cells, orbits, muscle. Only roughly a face, but with what
 * makes the lowest slices of a head CT hard: dense bone, air beside it, and fat. */
#include "synth_internal.h"

static float petrous(const ich_head *head, ich_vec p, float hu, float edge) {
    float x = fabsf(p.x), across = p.y - (0.55f * x - 3);
    across += 2.5f * ich_field_at(head->field, p.x * 0.1f, p.y * 0.1f, p.z * 0.1f + 40);
    float half = ich_mix(7, 14, ich_ramp(15, 55, x));
    float box = fmaxf(fabsf(across - 2) - half, fmaxf(9 - x, fmaxf(x - 66, -62 - p.z)));
    float bone = ich_cover(box, edge);
    if (bone <= 0) return hu;
    float cells = ich_field_at(head->field, p.x * 0.5f, p.y * 0.5f, p.z * 0.5f);
    float mastoid = ich_ramp(34, 44, x) * ich_ramp(0.8f, 0.2f, cells - 0.9f * head->air + 0.4f);
    float canal =
        ich_bump(((x - 42) * (x - 42) + (p.y - 16) * (p.y - 16)) * (1 / 30.0f)) * ich_ramp(-36, -40, p.z);
    return ich_mix(hu, ich_mix(head->table + 250, -850, fmaxf(mastoid, canal)), bone);
}

/* Sphenoid and ethmoid: thin plates of bone around air. */
static float midline(const ich_head *head, ich_vec p, float hu, float edge) {
    float x = fabsf(p.x);
    float clivus = ich_cover(fmaxf(x - 15, fmaxf(-14 - p.y, p.y - 7)), edge);
    hu = ich_mix(hu, 650, clivus);
    float sphenoid = fmaxf(x - 12 * head->air, fmaxf(-30 - p.y, fmaxf(p.y + 11, p.z + 29)));
    float ethmoid = fmaxf(x - 12, fmaxf(-74 - p.y, fmaxf(p.y + 32, p.z + 24)));
    float box = fminf(sphenoid, ethmoid);
    hu = ich_mix(hu, 450, ich_cover(box - 1.5f, edge));
    float septa = fabsf(ich_field_at(head->field, p.x * 0.35f, p.y * 0.25f, p.z * 0.25f));
    float air = ich_cover(box, edge) * (p.y < -31 ? ich_ramp(0.1f, 0.35f, septa) : 1);
    return ich_mix(hu, -950, air);
}

static float orbit(ich_vec p, float hu, float edge) {
    float x = fabsf(p.x) - 31;
    /* A cone that opens to the front. */
    float wide = ich_mix(3, 19, ich_ramp(-22, -58, p.y)), z = p.z + 39;
    float wall =
        fmaxf(sqrtf((x + 6 * ich_ramp(-60, -25, p.y)) * (x + 6 * ich_ramp(-60, -25, p.y)) + z * z) - wide,
              p.y + 22);
    if (wall > 4) return hu;
    hu = ich_mix(hu, 700, ich_cover(wall - 2, edge));
    hu = ich_mix(hu, -85, ich_cover(wall, edge));
    float lateral = x + 6 * ich_ramp(-60, -25, p.y);
    float nerve = sqrtf(lateral * lateral + z * z) - 2, rectus = fabsf(fabsf(lateral) - 0.62f * wide) - 1.6f;
    hu = ich_mix(hu, 35, ich_cover(fmaxf(nerve, -62 - p.y), edge));
    hu = ich_mix(hu, 50, ich_cover(fmaxf(fmaxf(rectus, fabsf(z) - 4), -66 - p.y), edge));
    float globe = sqrtf(x * x + (p.y + 69) * (p.y + 69) + z * z) - 12;
    float lens = sqrtf(x * x + 4 * (p.y + 78) * (p.y + 78) + z * z) - 4.5f;
    hu = ich_mix(hu, 45, ich_cover(globe - 1, edge));
    hu = ich_mix(hu, 12, ich_cover(globe, edge));
    return ich_mix(hu, 85, ich_cover(lens, edge));
}

float ich_head_base(const ich_head *head, ich_vec p, ich_place place, float edge) {
    float fat = ich_field_at(head->field, p.x * 0.16f, p.y * 0.16f, p.z * 0.16f + 5);
    float hu = ich_mix(52, -70, ich_ramp(0.5f, 0.9f, fat)); /* muscles, and fat between them */
    hu = petrous(head, p, hu, edge);
    if (p.y < 8) hu = midline(head, p, hu, edge);
    if (p.y < -20) hu = orbit(p, hu, edge);
    float plate = (2.2f + 1.2f * fat) * (p.y < -22 ? 0.5f : 1); /* orbits have a thin roof */
    return ich_mix(hu, ich_mix(hu, 950, 0.9f), ich_cover(place.below - plate, edge));
}
