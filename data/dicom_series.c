#include "dicom_series.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

const char *const ich_fate_reasons[ICH_FATES] = {
    [ICH_KEPT] = "",
    [ICH_OTHER_SIZE] = "has another number of pixels than most slices of its series",
    [ICH_OTHER_ANGLE] = "lies at another angle than most slices of its series",
    [ICH_OTHER_SPACING] = "has pixels of another size than most slices of its series",
    [ICH_OTHER_ACQUISITION] =
        "is of another acquisition of its series, which covers the same part of the body",
    [ICH_BEYOND_HOLE] = "lies beyond a hole of more than 30 mm from most slices of its series",
    [ICH_DUPLICATE] = "is a duplicate: another slice of its series lies at the same place",
};

enum {
    MOST_FRAMES = 1 << 14,
    MOST_FILLED = 3, /* levels for each source, at most, besides its own */
};
/* mm, or as a fraction of the distance between slices */
static const double same_place = 0.02, near_fraction = 0.1, near_mm = 0.5, widest_hole = 30;
static const double strays_left = 0.6; /* of the slices must be on one side of all holes */

/* -- vectors --------------------------------------------------------------------------------------------- */

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static double distance(const double a[3], const double b[3]) {
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

static void cross(const double a[3], const double b[3], double out[3]) {
    for (int i = 0; i < 3; i++) out[i] = a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3];
}

/* -- which belong together ------------------------------------------------------------------------------- */

/* How b differs from a, in the order in which it is worth telling. */
static ich_fate compare(const ich_frame *a, const ich_frame *b) {
    if (a->rows != b->rows || a->columns != b->columns) return ICH_OTHER_SIZE;
    for (int i = 0; i < 2; i++)
        if (distance(a->plane.along[i], b->plane.along[i]) > 0.01) return ICH_OTHER_ANGLE;
    for (int i = 0; i < 2; i++)
        if (fabs(a->plane.spacing[i] - b->plane.spacing[i]) > 1e-3 * a->plane.spacing[i])
            return ICH_OTHER_SPACING;
    return ICH_KEPT;
}

/* The frame whose like is most frequent. Each kind is counted once, against its first frame: nearly always
 * there is one. */
static size_t most_common(const ich_frame *frames, size_t n, ich_fate *fate) {
    size_t best = 0, most = 0;
    for (size_t i = 0; i < n; i++) fate[i] = ICH_FATES; /* not counted yet */
    for (size_t i = 0; i < n; i++) {
        if (fate[i] != ICH_FATES) continue;
        size_t count = 0;
        for (size_t j = i; j < n; j++) {
            if (fate[j] != ICH_FATES || compare(&frames[i], &frames[j]) != ICH_KEPT) continue;
            fate[j] = ICH_KEPT;
            count++;
        }
        if (count > most) most = count, best = i;
    }
    return best;
}

typedef struct place {
    const ich_frame *frame;
    size_t index;
    double at; /* mm along the normal */
} place;

static int by_place(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static int by_rank(const void *a, const void *b) {
    const place *x = a, *y = b;
    if (x->frame->acquisition != y->frame->acquisition)
        return x->frame->acquisition < y->frame->acquisition ? -1 : 1;
    if (x->frame->instance != y->frame->instance) return x->frame->instance < y->frame->instance ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The end of the places that are the same place as the one at `from`. */
static size_t end_of_place(const place *places, size_t n, size_t from) {
    size_t end = from + 1;
    while (end < n && places[end].at - places[from].at <= same_place) end++;
    return end;
}

/* Along the normal; of those at the same place, the first taken comes first. */
static void sort_places(place *places, size_t n) {
    qsort(places, n, sizeof *places, by_place);
    for (size_t i = 0, end; i < n; i = end) {
        end = end_of_place(places, n, i);
        if (end - i > 1) qsort(places + i, end - i, sizeof *places, by_rank);
    }
}

/* Drops the places whose fate is not ICH_KEPT any more. */
static size_t compact(place *places, size_t n, const ich_fate *fate) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (fate[places[i].index] == ICH_KEPT) places[kept++] = places[i];
    return kept;
}

/* Acquisitions that follow each other along the body make one volume. Where they cover the same part (a
 * perfusion scan, a repetition), sorting mixes them up, and only the largest is kept. */
static size_t keep_one_acquisition(place *places, size_t n, ich_fate *fate) {
    size_t changes = 0, kinds = 0, most = 0;
    int best = 0;
    for (size_t i = 0; i < n; i++) {
        const int acquisition = places[i].frame->acquisition;
        size_t count = 0, first = i;
        changes += i > 0 && acquisition != places[i - 1].frame->acquisition;
        for (size_t j = 0; j < n; j++) {
            if (places[j].frame->acquisition != acquisition) continue;
            if (j < first) first = j;
            count++;
        }
        kinds += first == i;
        if (count > most || (count == most && acquisition < best)) most = count, best = acquisition;
    }
    if (changes < kinds) return n;
    for (size_t i = 0; i < n; i++)
        if (places[i].frame->acquisition != best) fate[places[i].index] = ICH_OTHER_ACQUISITION;
    return compact(places, n, fate);
}

static size_t drop_duplicates(place *places, size_t n, ich_fate *fate) {
    sort_places(places, n);
    for (size_t i = 0, end; i < n; i = end) {
        end = end_of_place(places, n, i);
        for (size_t j = i + 1; j < end; j++) fate[places[j].index] = ICH_DUPLICATE;
    }
    return compact(places, n, fate);
}

static bool is_hole(const place *places, size_t i) { /* below slice i */
    return places[i].at - places[i - 1].at > widest_hole;
}

/* A few slices far from all others are no part of the volume. Where the series falls into halves, nothing is
 * dropped here, and measure() refuses it. */
static size_t drop_strays(place *places, size_t n, ich_fate *fate) {
    size_t from = 0, most = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !is_hole(places, end);) end++;
        if (end - i > most) most = end - i, from = i;
    }
    if (most == n || (double)most < strays_left * (double)n) return n;
    for (size_t i = 0; i < n; i++)
        if (i < from || i >= from + most) fate[places[i].index] = ICH_BEYOND_HOLE;
    return compact(places, n, fate);
}

/* The frames that make the volume, sorted; returns how many. */
static size_t choose(const ich_frame *frames, size_t n, place *places, double normal[3], ich_fate *fate) {
    const ich_frame *like = &frames[most_common(frames, n, fate)];
    size_t kept = 0;
    cross(like->plane.along[0], like->plane.along[1], normal);
    for (size_t i = 0; i < n; i++) {
        fate[i] = compare(like, &frames[i]);
        if (fate[i] == ICH_KEPT)
            places[kept++] = (place){&frames[i], i, dot(frames[i].plane.position, normal)};
    }
    sort_places(places, kept);
    kept = keep_one_acquisition(places, kept, fate);
    kept = drop_duplicates(places, kept, fate);
    return drop_strays(places, kept, fate);
}

/* -- how they lie ---------------------------------------------------------------------------------------- */

/* The line that the slices' corners lie on must be straight; it need not be the normal. `drift` is how far it
 * goes sideways for each mm along the normal. */
static bool find_drift(const place *places, size_t n, const double normal[3], double drift[3],
                       ich_error *err) {
    const place *first = &places[0], *last = &places[n - 1];
    double worst = 0;
    for (int i = 0; i < 3; i++)
        drift[i] = n < 2 ? 0
                         : (last->frame->plane.position[i] - first->frame->plane.position[i]) /
                                   (last->at - first->at) -
                               normal[i];
    for (size_t s = 0; s < n; s++) {
        double expected[3];
        for (int i = 0; i < 3; i++)
            expected[i] =
                first->frame->plane.position[i] + (places[s].at - first->at) * (normal[i] + drift[i]);
        const double off = distance(expected, places[s].frame->plane.position);
        if (off > worst) worst = off;
    }
    return worst <= near_mm ||
           ich_fail(err,
                    "its slices are shifted sideways against each other, by up to %.1f mm from a straight "
                    "line: it is no volume",
                    worst);
}

/* Do the places lie on a grid of `cells` equal steps from the first to the last, each on a point of its own?
 */
static bool fits(const place *places, size_t n, size_t cells) {
    const double step = (places[n - 1].at - places[0].at) / (double)cells;
    const double tolerance = fmin(near_fraction * step, near_mm);
    double before = -1;
    for (size_t i = 0; i < n; i++) {
        const double at = (places[i].at - places[0].at) / step, point = round(at);
        if (fabs(at - point) * step > tolerance || point <= before) return false;
        before = point;
    }
    return true;
}

/* The number of equal steps that the volume needs: one less than it has slices, or more where slices are
 * missing, or where they lie at distances that are no multiples of each other. */
static size_t count_cells(const place *places, size_t n, double smallest) {
    const double length = places[n - 1].at - places[0].at;
    if (fits(places, n, n - 1)) return n - 1;
    double sum = 0;
    size_t count = 0; /* of the gaps that are probably one step */
    for (size_t i = 1; i < n; i++) {
        const double g = places[i].at - places[i - 1].at;
        if (g <= 1.25 * smallest) sum += g, count++;
    }
    const size_t multiple = (size_t)fmax(1, round(length * (double)count / sum));
    if (fits(places, n, multiple)) return multiple;
    return (size_t)fmax(1, ceil(length / smallest - 0.02));
}

static bool measure(const place *places, size_t n, double gap[2], size_t *cells, ich_error *err) {
    gap[0] = INFINITY, gap[1] = 0;
    for (size_t i = 1; i < n; i++) {
        gap[0] = fmin(gap[0], places[i].at - places[i - 1].at);
        gap[1] = fmax(gap[1], places[i].at - places[i - 1].at);
    }
    if (gap[1] > widest_hole)
        return ich_fail(err,
                        "has a hole of %.0f mm between slices that are elsewhere %.4g mm apart: get the "
                        "missing ones",
                        gap[1], gap[0]);
    *cells = count_cells(places, n, gap[0]);
    return *cells < (size_t)(1 + MOST_FILLED) * n ||
           ich_fail(err, "its slices lie from %.4g to %.4g mm apart, too unevenly for a volume", gap[0],
                    gap[1]);
}

/* -- the volume ------------------------------------------------------------------------------------------ */

/* Each level from the one or two sources it lies between. */
static void set_levels(ich_stack *stack, const place *places) {
    const double step = stack->step, tolerance = fmin(near_fraction * step, near_mm);
    int below = 0;
    for (int z = 0; z < stack->n_levels; z++) {
        const double at = places[0].at + z * step;
        while (below + 1 < stack->n_sources && places[below + 1].at <= at + tolerance) below++;
        const int above = below + 1 < stack->n_sources ? below + 1 : below;
        const double width = places[above].at - places[below].at, past = at - places[below].at;
        const bool exact = past <= tolerance || width <= 0;
        stack->level[z] = (ich_level){.below = below,
                                      .above = exact ? below : above,
                                      .weight = exact ? 0 : (float)(past / width),
                                      .own = -1};
    }
    for (int s = 0; s < stack->n_sources; s++) {
        const int z = step > 0 ? (int)lround((places[s].at - places[0].at) / step) : s;
        if (stack->level[z].own < 0) stack->level[z].own = s;
    }
    for (int z = 0; z < stack->n_levels; z++) stack->n_filled += stack->level[z].own < 0;
}

/* DICOM's axes point left and back, NIfTI's right and front. Rows are stored from the last one up. */
static void set_affine(ich_stack *stack, const ich_frame *lowest, const double normal[3],
                       const double drift[3]) {
    const ich_dicom_plane *p = &lowest->plane;
    for (int i = 0; i < 3; i++) {
        const double sign = i < 2 ? -1 : 1;
        const double down = p->along[1][i] * p->spacing[1];
        stack->affine[i][0] = sign * p->along[0][i] * p->spacing[0];
        stack->affine[i][1] = -sign * down;
        stack->affine[i][2] = sign * stack->step * (normal[i] + drift[i]);
        stack->affine[i][3] = sign * (p->position[i] + down * (stack->rows - 1));
    }
    stack->affine[3][3] = 1;
}

static bool build(ich_stack *stack, const place *places, size_t n, const double normal[3], ich_error *err) {
    double drift[3];
    size_t cells = 0;
    if (!find_drift(places, n, normal, drift, err)) return false;
    if (n > 1 && !measure(places, n, stack->gap, &cells, err)) return false;
    const ich_frame *lowest = places[0].frame;
    stack->rows = lowest->rows, stack->columns = lowest->columns;
    stack->n_sources = (int)n;
    stack->n_levels = (int)cells + 1;
    stack->step = n > 1                   ? (places[n - 1].at - places[0].at) / (double)cells
                  : lowest->thickness > 0 ? lowest->thickness
                                          : 1;
    stack->tilt = atan(sqrt(dot(drift, drift))) * 180 / pi;
    stack->source = ich_new(n, sizeof *stack->source, "a series' slices", err);
    stack->level = ich_new(cells + 1, sizeof *stack->level, "a series' slices", err);
    if (!stack->source || !stack->level) return false;
    for (size_t i = 0; i < n; i++) stack->source[i] = places[i].index;
    set_levels(stack, places);
    set_affine(stack, lowest, normal, drift);
    return true;
}

bool ich_stack_arrange(ich_stack *stack, const ich_frame *frames, size_t n, ich_error *err) {
    *stack = (ich_stack){0};
    if (n == 0) return ich_fail(err, "has no slice that can be used");
    if (n > MOST_FRAMES)
        return ich_fail(err, "has %zu slices, more than any head CT (limit %d)", n, MOST_FRAMES);
    double normal[3];
    place *places = ich_new(n, sizeof *places, "a series' slices", err);
    stack->fate = ich_new(n, sizeof *stack->fate, "a series' slices", err);
    bool done = places && stack->fate;
    if (done) {
        const size_t kept = choose(frames, n, places, normal, stack->fate);
        done = build(stack, places, kept, normal, err);
    }
    free(places);
    if (!done) ich_stack_free(stack);
    return done;
}

void ich_stack_free(ich_stack *stack) {
    free(stack->source);
    free(stack->level);
    free(stack->fate);
    *stack = (ich_stack){0};
}

void ich_stack_blend(const ich_stack *stack, int z, const int16_t *below, const int16_t *above,
                     int16_t *level) {
    const size_t width = (size_t)stack->columns;
    const float weight = stack->level[z].weight;
    for (int y = 0; y < stack->rows; y++) {
        int16_t *to = level + (size_t)y * width;
        const size_t from = (size_t)(stack->rows - 1 - y) * width;
        if (weight == 0) {
            memcpy(to, below + from, width * sizeof *to);
            continue;
        }
        for (size_t x = 0; x < width; x++)
            to[x] = (int16_t)lrintf((1 - weight) * below[from + x] + weight * above[from + x]);
    }
}
