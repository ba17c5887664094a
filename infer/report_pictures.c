#include "infer/report_pictures.h"

#include "data/file.h"
#include "data/preprocess.h"
#include "infer/picture.h"
#include "infer/script_json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Most grey values go where blood shows: 0.75 a unit in the brain window, 0.4 around it, the rest for bone
 * and air. JPEG at this quality then errs by about 2 HU in the brain. */
const short ich_report_tones[ICH_REPORT_TONES][2] = {{-1024, 0}, {-150, 20}, {-20, 40},  {100, 190},
                                                     {180, 220}, {400, 235}, {2000, 255}};
enum {
    QUALITY = 85,
    FINE = 64, /* steps to a grey value while it is resampled */
    HEAT = 16384,
    LEVELS = 64,
    CELLS = ICH_REPORT_HEAT_SIDE * ICH_REPORT_HEAT_SIDE,
    MOST_SIDE = 512, /* pixels of a picture */
    LEAST_SIDE = 128,
    SIDE_STEP = 16,
    LONGEST_SIDE = 1 << 14 /* of a scan's slice */
};

typedef struct shot {
    unsigned char *bytes; /* NULL: left out */
    size_t count;
    char heat[CELLS + 1];
} shot;

typedef struct roll {
    const ich_report_stack *stack;
    shot *shots; /* [stack->n] */
    const char *kind;
    int side;
    double mm;
    bool turned, has_heat;
    ich_error why;
} roll;

static void drop_bytes(roll *r) {
    for (size_t i = 0; i < r->stack->n; i++) {
        free(r->shots[i].bytes);
        r->shots[i].bytes = NULL;
        r->shots[i].count = 0;
    }
}

/* -- what fits ----------------------------------------------------------------------------------------- */

typedef struct rank {
    double attention;
    size_t shot;
} rank;

static int falling(const void *a, const void *b) {
    const rank *x = a, *y = b;
    if (x->attention != y->attention) return x->attention < y->attention ? 1 : -1;
    return (x->shot > y->shot) - (x->shot < y->shot);
}

/* The shots by falling attention, in fresh memory. */
static rank *rank_shots(const ich_report_stack *stack, ich_error *why) {
    rank *ranks = ich_new(stack->n, sizeof *ranks, "the order of pictures", why);
    if (ranks == NULL) return NULL;
    for (size_t i = 0; i < stack->n; i++)
        ranks[i] = (rank){isnan(stack->attention[i]) ? -1 : stack->attention[i], i};
    qsort(ranks, stack->n, sizeof *ranks, falling);
    return ranks;
}

static size_t bytes_of(const shot *s) { return s->count + strlen(s->heat) * 3 / 4; }

/* -- from the scan ------------------------------------------------------------------------------------- */

static void map_tones(ich_volume *volume) {
    int16_t table[1 << 16]; /* by the bits of a Hounsfield unit */
    const short(*t)[2] = ich_report_tones;
    int at = 0;
    for (int hu = INT16_MIN; hu <= INT16_MAX; hu++) {
        while (at < ICH_REPORT_TONES - 2 && hu >= t[at + 1][0]) at++;
        const double part = (double)(hu - t[at][0]) / (t[at + 1][0] - t[at][0]);
        const double tone = t[at][1] + fmin(fmax(part, 0), 1) * (t[at + 1][1] - t[at][1]);
        table[(uint16_t)hu] = (int16_t)lrint(FINE * tone);
    }
    const size_t voxels = (size_t)volume->width * (size_t)volume->height * (size_t)volume->slices;
    for (size_t i = 0; i < voxels; i++) volume->hu[i] = table[(uint16_t)volume->hu[i]];
}

/* Network slice of a stored slice_index, -1 if the scan has none. */
static int find_slice(const ich_volume *volume, int index) {
    if (index < 0 || index >= volume->slices) return -1;
    return ich_volume_stored_slice(volume, 0) == 0 ? index : volume->slices - 1 - index;
}

/* All slices as squares of `side` pixels; stops when they take more than `share`. Returns about how many
 * bytes they all would. */
static double shoot(roll *r, const ich_volume *volume, int side, size_t share) {
    const ich_preprocess square = {
        .size = side, .channels = 1, .center = {FINE * 255 / 2.0f}, .width = {FINE * 255}};
    uint8_t *grey = ich_new((size_t)side, (size_t)side, "a picture", &r->why);
    size_t sum = 0, i = 0;
    drop_bytes(r);
    for (; grey && i < r->stack->n && sum <= share; i++) {
        shot *s = &r->shots[i];
        const int z = find_slice(volume, r->stack->index[i]);
        if (z < 0 || !ich_preprocess_slice(&square, volume, z, grey, &r->why)) continue;
        s->bytes = ich_picture_jpeg(grey, side, QUALITY, &s->count);
        if (s->bytes == NULL) {
            s->count = 0;
            ich_fail(&r->why, "%s: no memory for a picture", r->stack->scan);
        }
        sum += bytes_of(s);
    }
    free(grey);
    r->side = side;
    return i > 0 ? (double)sum * (double)r->stack->n / (double)i : 0;
}

/* At the smallest side, one at a time while there is room. */
static void leave_out(roll *r, size_t share) {
    rank *ranks = rank_shots(r->stack, &r->why);
    size_t sum = 0;
    for (size_t i = 0; i < r->stack->n; i++) {
        shot *s = &r->shots[ranks ? ranks[i].shot : i];
        sum += bytes_of(s);
        if (sum <= share) continue;
        free(s->bytes);
        *s = (shot){0};
    }
    free(ranks);
}

/* Pictures as large as their share allows, none larger than the scan itself. */
static void choose_side(roll *r, const ich_volume *volume, size_t share) {
    const int longest = volume->width > volume->height ? volume->width : volume->height;
    const int least = longest < LEAST_SIDE ? longest : LEAST_SIDE;
    int side = longest < MOST_SIDE ? longest : MOST_SIDE;
    while (side > least) {
        const double bytes = shoot(r, volume, side, share);
        if (bytes <= (double)share) return;
        /* Bytes go with the area. */
        const int next = (int)(side * sqrt((double)share / bytes)) / SIDE_STEP * SIDE_STEP;
        side = next < side - SIDE_STEP ? next : side - SIDE_STEP;
    }
    shoot(r, volume, least, SIZE_MAX);
    leave_out(r, share);
}

static bool same_grid(const ich_volume *a, const ich_volume *b) {
    return memcmp(a->stored, b->stored, sizeof a->stored) == 0 &&
           memcmp(a->axis, b->axis, sizeof a->axis) == 0;
}

static void read_heat(roll *r, const ich_volume *heat) {
    const ich_preprocess square = {
        .size = ICH_REPORT_HEAT_SIDE, .channels = 1, .center = {HEAT / 2}, .width = {HEAT}};
    uint8_t cells[CELLS];
    for (size_t i = 0; i < r->stack->n; i++) {
        char *text = r->shots[i].heat;
        int hottest = 0;
        const int z = find_slice(heat, r->stack->index[i]);
        if (z < 0 || !ich_preprocess_slice(&square, heat, z, cells, &r->why)) continue;
        for (int c = 0; c < CELLS; c++) {
            const int level = (cells[c] * (LEVELS - 1) + 127) / 255;
            text[c] = ich_base64_digits[level];
            hottest = level > hottest ? level : hottest;
        }
        if (hottest == 0) text[0] = '\0';
    }
    r->has_heat = true;
}

static void add_heat(roll *r, const ich_volume *volume) {
    char *path = NULL;
    ich_volume heat;
    if (r->stack->heatmaps == NULL) return;
    if (asprintf(&path, "%s/%s.nii.gz", r->stack->heatmaps, r->stack->study_id) < 0) {
        ich_fail(&r->why, "%s: no memory for a path", r->stack->heatmaps);
        return;
    }
    if (ich_path_exists(path) && ich_volume_read_scaled(&heat, path, HEAT, &r->why)) {
        if (same_grid(volume, &heat))
            read_heat(r, &heat);
        else
            ich_fail(&r->why, "%s: is not on the grid of %s: predict again", path, r->stack->scan);
        ich_volume_free(&heat);
    }
    free(path);
}

static bool from_scan(roll *r, size_t share) {
    ich_volume volume;
    if (r->stack->scan == NULL || !ich_volume_read(&volume, r->stack->scan, &r->why)) return false;
    const bool fits = volume.width <= LONGEST_SIDE && volume.height <= LONGEST_SIDE;
    if (fits) {
        const float across = (float)volume.width * volume.spacing[0];
        r->mm = fmaxf(across, (float)volume.height * volume.spacing[1]);
        r->turned = ich_volume_stored_slice(&volume, 0) != 0;
        r->kind = "scan";
        add_heat(r, &volume);
        map_tones(&volume);
        choose_side(r, &volume, share);
    }
    ich_volume_free(&volume);
    return fits;
}

/* -- from predict's pictures --------------------------------------------------------------------------- */

static void from_overlays(roll *r, size_t share) {
    rank *ranks = r->stack->heatmaps ? rank_shots(r->stack, &r->why) : NULL;
    for (size_t i = 0; ranks && i < r->stack->n; i++) {
        char *path = NULL;
        shot *s = &r->shots[ranks[i].shot];
        if (asprintf(&path, "%s/%s/%03d.png", r->stack->heatmaps, r->stack->study_id,
                     r->stack->index[ranks[i].shot]) < 0) {
            ich_fail(&r->why, "%s: no memory for a path", r->stack->heatmaps);
            break;
        }
        if (ich_path_exists(path)) {
            r->kind = "overlay";
            s->bytes = (unsigned char *)ich_file_read(path, share, &s->count, NULL);
            if (s->bytes == NULL) s->count = 0;
            share -= s->count;
        }
        free(path);
    }
    free(ranks);
}

/* -- both ---------------------------------------------------------------------------------------------- */

static void put_roll(FILE *stream, const roll *r) {
    const size_t n = r->stack->n;
    fprintf(stream, "{\"kind\":\"%s\",\"side\":%d,\"mm\":", r->kind, r->side);
    ich_json_real(stream, r->mm);
    fprintf(stream, ",\"turned\":%s,\"why\":", r->turned ? "true" : "false");
    ich_json_text(stream, r->why.text);
    fputs(",\"images\":[", stream);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) fputc(',', stream);
        if (r->shots && r->shots[i].bytes)
            ich_json_base64(stream, r->shots[i].bytes, r->shots[i].count);
        else
            fputs("null", stream);
    }
    fputs("],\"heat\":", stream);
    if (r->has_heat) {
        for (size_t i = 0; i < n; i++) fprintf(stream, "%c\"%s\"", i > 0 ? ',' : '[', r->shots[i].heat);
        fputc(']', stream);
    } else {
        fputs("null", stream);
    }
    fputc('}', stream);
}

bool ich_report_pictures(FILE *stream, const ich_report_stack *stack, size_t share, ich_error *why) {
    roll r = {.stack = stack, .kind = "none"};
    /* A study_id is a name, not a way to other folders. */
    const bool is_name = stack->study_id[0] != '\0' && strchr(stack->study_id, '/') == NULL &&
                         strcmp(stack->study_id, ".") != 0 && strcmp(stack->study_id, "..") != 0;
    ich_report_stack safe = *stack;
    if (!is_name) safe.heatmaps = NULL;
    r.stack = &safe;
    r.shots = stack->n > 0 ? ich_new(stack->n, sizeof *r.shots, "pictures", &r.why) : NULL;
    if (r.shots && !from_scan(&r, share)) from_overlays(&r, share);
    put_roll(stream, &r);
    if (r.shots) drop_bytes(&r);
    free(r.shots);
    *why = r.why;
    return r.why.text[0] == '\0';
}
