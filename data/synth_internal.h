/* synth_internal.h: the pieces of the phantom generator; nobody outside data/synth*.c includes it.
 *
 *   synth_field.c  smooth random texture                 synth_bleed.c  hemorrhages: shapes, mass effect
 *   synth_head.c   skull, scalp, where things are        synth_scan.c   scanner: pose, slices, artefacts,
 * noise synth_base.c   skull base and face                   synth.c        which studies; files of the
 * dataset synth_brain.c  brain, ventricles, cisterns, falx
 *
 * Head frame, in mm: x to the patient's left, y to the back, z to the vertex, origin between the foramina of
 * Monro. Distances are signed, negative inside; a "cover" is the part of a small neighbourhood that lies
 * inside. Shapes follow what atlases and textbooks of neuroradiology show, in round numbers.
 */
#ifndef ICH_DATA_SYNTH_INTERNAL_H
#define ICH_DATA_SYNTH_INTERNAL_H

#include "labels.h"
#include "synth.h"
#include "tensor/rng.h"
#include <math.h>

typedef struct ich_vec {
    float x, y, z;
} ich_vec;

/* -- texture ------------------------------------------------------------------------------------------- */
enum { ICH_FIELD = 64 };   /* cells a side, periodic; a power of two */
typedef struct ich_field { /* mean 0, variance near 1, features of about three cells */
    float cell[ICH_FIELD * ICH_FIELD * ICH_FIELD];
} ich_field;
bool ich_field_fill(ich_field *field, ich_rng *rng);                   /* false: memory is out */
float ich_field_at(const ich_field *field, float x, float y, float z); /* in cells, within ±1000 */

/* -- head ---------------------------------------------------------------------------------------------- */
typedef struct ich_ball { /* a round thing: calcification, lesion, swelling; hu 0: absent */
    ich_vec centre;
    float radius, hu;
} ich_ball;

typedef struct ich_head {
    const ich_field *field;
    float half[3];                 /* inner table: half axes along x, y and up */
    float square;                  /* 0: ellipsoid (exponent 2) … 1: superellipsoid of exponent 4 */
    float egg;                     /* how much wider the back is than the front */
    float bone, scalp;             /* mm */
    float table, diploe;           /* HU */
    float air;                     /* how far the mastoid and the sinuses are pneumatised, 0 … 1 */
    float white, grey, csf, blood; /* HU; blood: flowing, in the sinuses */
    float age;                     /* 0 … 1: wider sulci and ventricles, darker white matter around them */
    float sulcus;                  /* half width, mm */
    float ventricle[2];            /* size of the right and left one */
    float falx;                    /* half thickness, mm */
    ich_ball pineal, choroid[2], plaque, infarct, swelling;
    float hygroma, hygroma_side; /* old collection of CSF density over one hemisphere, mm; ±1 */
} ich_head;

typedef struct ich_place { /* a point against the skull */
    float radius;          /* from the origin, mm */
    float outside;         /* mm beyond the inner table of the vault */
    float below;           /* mm under the floor of the cranial cavity */
    float cavity;          /* the larger of the two: beyond the cavity's wall */
} ich_place;

typedef struct ich_tissue {
    float hu;
    float sulcal, ventricular; /* parts filled with CSF of sulci and cisterns, of ventricles */
} ich_tissue;

void ich_head_draw(ich_head *head, const ich_field *field, ich_rng *rng);
ich_place ich_head_place(const ich_head *head, ich_vec p);
float ich_head_wall(const ich_head *head, ich_vec p, ich_place place, float edge); /* HU outside the cavity */
float ich_head_base(const ich_head *head, ich_vec p, ich_place place, float edge); /* … under its floor */
float ich_head_tentorium(ich_vec p);                                               /* its height at (x, y) */
float ich_head_falx(const ich_head *head, ich_vec p, float depth, float edge);     /* cover */
/* HU inside the cavity, `depth` mm from its wall, with sulci widened by `swell` mm. */
ich_tissue ich_head_brain(const ich_head *head, ich_vec p, float depth, float swell, float edge);

/* -- hemorrhages --------------------------------------------------------------------------------------- */
enum { ICH_MAX_BLEEDS = 6 };

typedef struct ich_site { /* a point as a hemorrhage sees it */
    ich_vec p;
    float depth; /* mm from the cavity's wall */
    float down;  /* mm along gravity */
    ich_tissue tissue;
    float edge;
} ich_site;

typedef struct ich_bleed ich_bleed;
typedef struct ich_bleed_form {
    int label;
    void (*draw)(ich_bleed *bleed, const ich_head *head, ich_rng *rng);
    float (*cover)(const ich_bleed *bleed, const ich_head *head, const ich_site *site);
    /* NULL: no mass effect; else moves p back to where the tissue now found there came from. */
    ich_vec (*push)(const ich_bleed *bleed, const ich_head *head, ich_vec p, float depth);
} ich_bleed_form;

struct ich_bleed {
    const ich_bleed_form *form;
    ich_vec centre, normal, along, up; /* up completes normal and along */
    float reach;                       /* nothing of it, nor of its edema, beyond this distance of centre */
    float radius, thickness, width[2], edema, level, side;
    float hu, mottle;
    ich_vec phase; /* where in the texture field its irregularities are */
};

/* Draws one to three types of hemorrhage; returns how many pieces. */
int ich_bleeds_draw(ich_bleed bleeds[ICH_MAX_BLEEDS], const ich_head *head, ich_rng *rng);
float ich_bleeds_swell(const ich_bleed *bleeds, int n, ich_vec p); /* mm by which blood widens the sulci */
ich_vec ich_bleeds_push(const ich_bleed *bleeds, int n, const ich_head *head, ich_vec p, float depth);
/* Adds blood and edema to site->tissue.hu; cover[label] receives each type's part. */
void ich_bleeds_apply(const ich_bleed *bleeds, int n, const ich_head *head, ich_site *site,
                      float cover[ICH_LABELS]);

/* -- scanner ------------------------------------------------------------------------------------------- */
typedef struct ich_population {
    double prevalence;
    float field_of_view[2], thickness[2]; /* mm: least, greatest */
    float noise[2];                       /* HU, standard deviation after the kernel */
    float kernel;                         /* in-plane blur, mm (standard deviation) */
    float offset, scale;                  /* calibration: ± HU, ± fraction */
    float motion, metal;                  /* part of studies with a moved slice, with streaks */
} ich_population;
const ich_population *ich_population_find(char name, ich_error *err); /* NULL: unknown */

typedef struct ich_scan { /* one study, in stored order */
    int size, slices;
    double affine[4][4];
    int16_t *hu;                     /* [slices][size][size] */
    uint8_t *mask;                   /* the same; 0 or a type's label */
    uint8_t (*label)[ICH_LABELS];    /* [slices] */
    uint8_t study_label[ICH_LABELS]; /* any slice */
} ich_scan;

typedef struct ich_scan_key { /* names the random streams of a study */
    uint64_t seed;
    char population;
    uint32_t study, patient;
} ich_scan_key;

/* Makes one study; with `positive`, one whose hemorrhage shows on at least one slice. */
bool ich_scan_make(ich_scan *scan, const ich_scan_key *key, int size, bool positive, ich_error *err);
void ich_scan_free(ich_scan *scan);

enum { /* parts of a study's randomness; ICH_RNG_SYNTH's index is study << 16 | part << 8 | population */
       ICH_PART_PLAN, /* here the index counts blocks of studies */
       ICH_PART_PATIENT,
       ICH_PART_FIELD,
       ICH_PART_HEAD,
       ICH_PART_POSE,
       ICH_PART_ARTEFACTS,
       ICH_PART_NOISE,
       ICH_PART_BLEEDS /* and above: one for each attempt */
};
ich_rng ich_scan_rng(const ich_scan_key *key, uint32_t study, unsigned part);

/* -- small mathematics --------------------------------------------------------------------------------- */
static inline float ich_clamp01(float t) { return t < 0 ? 0 : t > 1 ? 1 : t; }
static inline float ich_mix(float a, float b, float t) { return a + (b - a) * t; }
static inline float ich_cover(float distance,
                              float edge) { /* of a wall seen through an aperture `edge` wide */
    return ich_clamp01(0.5f - distance / edge);
}
static inline float ich_ramp(float from, float to, float t) { /* smooth step: 0 at `from`, 1 at `to` */
    float s = ich_clamp01((t - from) / (to - from));
    return s * s * (3 - 2 * s);
}
static inline float ich_bump(float r2) { /* 1 at 0, smoothly 0 from r2 = 1 on */
    return r2 >= 1 ? 0 : (1 - r2) * (1 - r2);
}
static inline ich_vec ich_add(ich_vec a, float s, ich_vec b) { /* a + s b */
    return (ich_vec){a.x + s * b.x, a.y + s * b.y, a.z + s * b.z};
}
static inline float ich_dot(ich_vec a, ich_vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline float ich_norm(ich_vec a) { return sqrtf(ich_dot(a, a)); }
static inline ich_vec ich_unit(ich_vec a) {
    return ich_add((ich_vec){0, 0, 0}, 1 / (ich_norm(a) + 1e-6f), a);
}
static inline float ich_distance(ich_vec a, ich_vec b) { return ich_norm(ich_add(a, -1, b)); }

#endif
