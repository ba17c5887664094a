#include "infer/localisation.h"

#include "data/csv.h"
#include "data/file.h"
#include "data/labels.h"
#include "data/volume.h"
#include "infer/stats.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOPS = 3, CUTS = 9, HOT = 32767 /* heat 1, as the volume reader rounds it */ };
static const int tops[TOPS] = {1, 3, 5};
static const double tolerance = 3; /* mm */

typedef struct tally {
    size_t hits, n;
} tally;

static void count(tally *t, bool hit) {
    t->hits += hit;
    t->n++;
}

typedef struct figures {
    tally called, all, top, attended[TOPS];
    double dice[CUTS]; /* sums over studies */
    size_t studies;    /* that bleed */
} figures;

/* -- tables -------------------------------------------------------------------------------------------- */

typedef struct tables {
    ich_csv studies, slices;
    int id, study_score;                      /* columns of studies */
    int owner, index, slice_score, attention; /* … and of slices */
    int label;
} tables;

static bool read_named(ich_csv *csv, const char *folder, const char *name, ich_error *err) {
    char *path = ich_path_join(folder, name);
    const bool done = path != NULL ? ich_csv_read(csv, path, err) : ich_fail(err, "%s: no memory", folder);
    free(path);
    return done;
}

/* Whose evidence the heatmaps show: about.csv's row "heatmaps"; `any` where there is no such file. */
static int explained_label(const char *predictions) {
    ich_csv about = {0};
    int label = ICH_ANY;
    if (read_named(&about, predictions, "about.csv", NULL) && about.n_columns == 2) {
        for (size_t r = 0; r < about.n_rows; r++) {
            for (int l = 0; l < ICH_LABELS && !strcmp(ich_csv_cell(&about, r, 0), "heatmaps"); l++) {
                if (!strcmp(ich_csv_cell(&about, r, 1), ich_label_names[l])) label = l;
            }
        }
    }
    ich_csv_free(&about);
    return label;
}

static bool open_tables(tables *t, const char *predictions, ich_error *err) {
    t->label = explained_label(predictions);
    const char *score = ich_label_names[t->label];
    return read_named(&t->studies, predictions, "studies.csv", err) &&
           read_named(&t->slices, predictions, "slices.csv", err) &&
           ich_csv_require(&t->studies, "study_id", &t->id, err) &&
           ich_csv_require(&t->studies, score, &t->study_score, err) &&
           ich_csv_require(&t->slices, "study_id", &t->owner, err) &&
           ich_csv_require(&t->slices, "slice_index", &t->index, err) &&
           ich_csv_require(&t->slices, score, &t->slice_score, err) &&
           ich_csv_require(&t->slices, "attention", &t->attention, err);
}

static void close_tables(tables *t) {
    ich_csv_free(&t->studies);
    ich_csv_free(&t->slices);
}

/* -- a study ------------------------------------------------------------------------------------------- */

typedef struct study {
    const char *id;
    ich_volume mask, heat;
    bool called;
    double *score, *attention; /* [slices]; NaN: no such row */
    bool *bleeds;              /* [slices] */
} study;

static void free_study(study *s) {
    ich_volume_free(&s->mask);
    ich_volume_free(&s->heat);
    free(s->score);
    free(s->attention);
    free(s->bleeds);
}

static size_t pixels_of(const study *s) { return (size_t)s->mask.width * (size_t)s->mask.height; }

static bool is_same_grid(const ich_volume *a, const ich_volume *b) {
    return memcmp(a->stored, b->stored, sizeof a->stored) == 0 &&
           memcmp(a->axis, b->axis, sizeof a->axis) == 0 &&
           memcmp(a->flipped, b->flipped, sizeof a->flipped) == 0;
}

/* The voxels of the mask become 1 where the label bleeds, else 0. */
static void keep_label(study *s, int label) {
    const size_t pixels = pixels_of(s);
    for (int z = 0; z < s->mask.slices; z++) {
        int16_t *mask = s->mask.hu + (size_t)z * pixels;
        for (size_t i = 0; i < pixels; i++) {
            mask[i] = label == ICH_ANY ? mask[i] != 0 : mask[i] == label;
            s->bleeds[z] |= mask[i] != 0;
        }
    }
}

static bool read_numbers(study *s, const tables *t, ich_error *err) {
    for (int z = 0; z < s->mask.slices; z++) s->score[z] = s->attention[z] = NAN;
    for (size_t r = 0; r < t->slices.n_rows; r++) {
        double index, score, attention;
        if (strcmp(ich_csv_cell(&t->slices, r, t->owner), s->id) != 0) continue;
        if (!ich_csv_number(&t->slices, r, t->index, &index, err) ||
            !ich_csv_number(&t->slices, r, t->slice_score, &score, err) ||
            !ich_csv_number(&t->slices, r, t->attention, &attention, err))
            return false;
        for (int z = 0; z < s->mask.slices; z++) {
            if (ich_volume_stored_slice(&s->mask, z) != index) continue;
            s->score[z] = score;
            s->attention[z] = attention;
        }
    }
    return true;
}

static bool read_study(study *s, const tables *t, const char *mask_path, const char *heat_path,
                       ich_error *err) {
    if (!ich_volume_read(&s->mask, mask_path, err) || !ich_volume_read_scaled(&s->heat, heat_path, HOT, err))
        return false;
    if (!is_same_grid(&s->mask, &s->heat))
        return ich_fail(err, "%s: is not on the grid of %s: predict again", heat_path, mask_path);
    const size_t n = (size_t)s->mask.slices;
    s->score = ich_new(n, sizeof *s->score, "scores", err);
    s->attention = ich_new(n, sizeof *s->attention, "attention", err);
    s->bleeds = ich_new(n, sizeof *s->bleeds, "slices", err);
    if (s->score == NULL || s->attention == NULL || s->bleeds == NULL) return false;
    keep_label(s, t->label);
    return read_numbers(s, t, err);
}

/* The hottest spot of slice z lies in the bleed or near it. */
static bool points_at_bleed(const study *s, int z) {
    const size_t pixels = pixels_of(s);
    const int width = s->mask.width;
    const int16_t *heat = s->heat.hu + (size_t)z * pixels, *mask = s->mask.hu + (size_t)z * pixels;
    size_t peak = 0;
    for (size_t i = 1; i < pixels; i++) peak = heat[i] > heat[peak] ? i : peak;
    if (heat[peak] <= 0) return false;
    const int px = (int)(peak % (size_t)width), py = (int)(peak / (size_t)width);
    const int reach_x = (int)(tolerance / s->mask.spacing[0]),
              reach_y = (int)(tolerance / s->mask.spacing[1]);
    for (int y = py - reach_y; y <= py + reach_y; y++) {
        for (int x = px - reach_x; x <= px + reach_x; x++) {
            if (x < 0 || y < 0 || x >= width || y >= s->mask.height) continue;
            const double dx = s->mask.spacing[0] * (double)(x - px),
                         dy = s->mask.spacing[1] * (double)(y - py);
            if (mask[(size_t)y * (size_t)width + (size_t)x] && dx * dx + dy * dy <= tolerance * tolerance)
                return true;
        }
    }
    return false;
}

/* How many slices have more attention than z. */
static int rank_of(const study *s, int z) {
    int rank = 0;
    for (int other = 0; other < s->mask.slices; other++) rank += s->attention[other] > s->attention[z];
    return rank;
}

static void count_slices(const study *s, double threshold, figures *f) {
    int best = s->mask.slices; /* least rank of a slice that bleeds */
    for (int z = 0; z < s->mask.slices; z++) {
        if (isnan(s->attention[z])) continue;
        const int rank = rank_of(s, z);
        const bool points = s->bleeds[z] && points_at_bleed(s, z);
        if (rank == 0 && s->called) count(&f->top, points);
        if (!s->bleeds[z]) continue;
        best = rank < best ? rank : best;
        count(&f->all, points);
        if (s->score[z] >= threshold) count(&f->called, points);
    }
    for (int k = 0; k < TOPS; k++) count(&f->attended[k], best < tops[k]);
}

static void add_dice(const study *s, figures *f) {
    const size_t voxels = pixels_of(s) * (size_t)s->mask.slices;
    for (int c = 0; c < CUTS; c++) {
        const double cut = HOT * (c + 1) / 10.0;
        size_t both = 0, sum = 0;
        for (size_t i = 0; i < voxels; i++) {
            const bool hot = s->heat.hu[i] >= cut, blood = s->mask.hu[i] != 0;
            both += hot && blood;
            sum += (size_t)hot + (size_t)blood;
        }
        f->dice[c] += 2 * (double)both / (double)sum;
    }
}

static void judge(const study *s, double threshold, figures *f) {
    bool bleeds = false;
    for (int z = 0; z < s->mask.slices; z++) bleeds |= s->bleeds[z];
    if (!bleeds) return;
    f->studies++;
    count_slices(s, threshold, f);
    add_dice(s, f);
}

/* -- all studies --------------------------------------------------------------------------------------- */

/* *path: folder/<kind>/<study_id>.nii.gz if it is there; NULL if not. An id is never a way out of the folder.
 */
static bool find_volume(const char *folder, const char *kind, const char *id, char **path, ich_error *err) {
    *path = NULL;
    if (id[0] == '\0' || id[0] == '.' || strchr(id, '/') != NULL) return true;
    if (asprintf(path, "%s/%s/%s.nii.gz", folder, kind, id) < 0) {
        *path = NULL;
        return ich_fail(err, "%s: no memory for a path", folder);
    }
    if (ich_path_exists(*path)) return true;
    free(*path);
    *path = NULL;
    return true;
}

static bool add_study(const tables *t, size_t row, const char *predictions, const char *truth,
                      double threshold, figures *f, ich_error *err) {
    study s = {.id = ich_csv_cell(&t->studies, row, t->id)};
    double score;
    if (!ich_csv_number(&t->studies, row, t->study_score, &score, err)) return false;
    s.called = score >= threshold;
    char *mask = NULL, *heat = NULL;
    bool done = find_volume(truth, "masks", s.id, &mask, err) &&
                find_volume(predictions, "heatmaps", s.id, &heat, err);
    if (done && mask != NULL && heat != NULL) {
        done = read_study(&s, t, mask, heat, err);
        if (done) judge(&s, threshold, f);
    }
    free_study(&s);
    free(mask);
    free(heat);
    return done;
}

static void put_share(FILE *out, const char *level, int label, const char *metric, tally t) {
    const ich_figure f = ich_proportion(t.hits, t.n);
    fprintf(out, "%s,%s,%s,", level, ich_label_names[label], metric);
    if (f.why == NULL)
        fprintf(out, "%.10g,%.10g,%.10g,%s,%zu,%zu\n", f.value, f.low, f.high, f.method, t.n, t.n);
    else
        fprintf(out, ",,,%s,0,0\n", f.why);
}

static void put_figures(FILE *out, int label, const figures *f) {
    put_share(out, "slice", label, "pointing_game", f->called);
    put_share(out, "slice", label, "pointing_game_all", f->all);
    put_share(out, "study", label, "pointing_game", f->top);
    for (int k = 0; k < TOPS; k++) {
        char metric[32];
        snprintf(metric, sizeof metric, "hit_rate_top_%d", tops[k]);
        put_share(out, "study", label, metric, f->attended[k]);
    }
    for (int c = 0; c < CUTS; c++)
        fprintf(out, "study,%s,dice_at_0.%d,%.10g,,,mean over studies,%zu,%zu\n", ich_label_names[label],
                c + 1, f->dice[c] / (double)f->studies, f->studies, f->studies);
}

bool ich_localisation_write(const char *predictions, const char *truth, ich_part part, double threshold,
                            FILE *metrics, ich_error *err) {
    tables t = {0};
    ich_table splits = {0};
    figures f = {0};
    char *masks = ich_path_join(truth, "masks"), *heatmaps = ich_path_join(predictions, "heatmaps");
    bool done = (masks != NULL && heatmaps != NULL) || ich_fail(err, "%s: no memory for a path", truth);
    if (done && ich_path_exists(masks) && ich_path_exists(heatmaps)) {
        const bool all = !part.only && !part.except;
        done = open_tables(&t, predictions, err) &&
               (all || ich_table_read_folder(&splits, truth, ICH_LEVEL_STUDY, true, err));
        for (size_t r = 0; done && r < t.studies.n_rows; r++)
            if (all || ich_takes_part(&splits, ich_csv_cell(&t.studies, r, t.id), part))
                done = add_study(&t, r, predictions, truth, threshold, &f, err);
    }
    if (done && f.studies > 0) put_figures(metrics, t.label, &f);
    close_tables(&t);
    ich_table_free(&splits);
    free(masks);
    free(heatmaps);
    return done;
}
