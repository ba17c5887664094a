/* Smooth random texture: white noise on a periodic lattice, blurred, read by trilinear interpolation.
 * Everything irregular in a phantom (sulci, bone, the rim of a clot) is a level set or an offset of it. */
#include "synth_internal.h"
#include <stdlib.h>

enum { MASK = ICH_FIELD - 1, COUNT = ICH_FIELD * ICH_FIELD * ICH_FIELD };

/* The sum of a word's four bytes is near enough to a normal number, and the blur takes it nearer. */
static float rough_normal(ich_rng *rng) {
    uint32_t w = ich_rng_u32(rng);
    int sum = (int)((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
    return (float)(sum - 510) * (1 / 147.8f);
}

/* [1 4 6 4 1] along the axis whose neighbours are `step` apart; returns its gain to the standard deviation
 * of white noise: sqrt(70) / 16. */
static void blur(const float *in, float *out, int step) {
    int around = MASK * step;
    for (int i = 0; i < COUNT; i++) {
        int base = i & ~around;
        int a = base | ((i - 2 * step) & around), b = base | ((i - step) & around);
        int c = base | ((i + step) & around), d = base | ((i + 2 * step) & around);
        out[i] = (in[a] + in[d] + 4 * (in[b] + in[c]) + 6 * in[i]) * (1 / 16.0f);
    }
}

bool ich_field_fill(ich_field *field, ich_rng *rng) {
    float *spare = malloc(sizeof *spare * COUNT);
    if (!spare) return false;
    const float gain = 1.9124f * 1.9124f * 1.9124f; /* (16 / sqrt(70))^3 undoes the three blurs */
    for (int i = 0; i < COUNT; i++) spare[i] = gain * rough_normal(rng);
    blur(spare, field->cell, 1);
    blur(field->cell, spare, ICH_FIELD);
    blur(spare, field->cell, ICH_FIELD * ICH_FIELD);
    free(spare);
    return true;
}

float ich_field_at(const ich_field *field, float x, float y, float z) {
    x += 1024, y += 1024, z += 1024; /* positive, so that the conversion rounds down */
    int i = (int)x, j = (int)y, k = (int)z;
    float fx = x - (float)i, fy = y - (float)j, fz = z - (float)k;
    int i0 = i & MASK, i1 = (i + 1) & MASK;
    int j0 = (j & MASK) * ICH_FIELD, j1 = ((j + 1) & MASK) * ICH_FIELD;
    const float *near = field->cell + (size_t)(k & MASK) * ICH_FIELD * ICH_FIELD;
    const float *far = field->cell + (size_t)((k + 1) & MASK) * ICH_FIELD * ICH_FIELD;
    float a =
        ich_mix(ich_mix(near[j0 + i0], near[j0 + i1], fx), ich_mix(near[j1 + i0], near[j1 + i1], fx), fy);
    float b = ich_mix(ich_mix(far[j0 + i0], far[j0 + i1], fx), ich_mix(far[j1 + i0], far[j1 + i1], fx), fy);
    return ich_mix(a, b, fz);
}
