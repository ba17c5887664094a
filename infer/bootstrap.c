#include "bootstrap.h"

#include "tensor/rng.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ich_metric_names[ICH_METRICS] = {
    "auc",   "ppv", "npv",     "sensitivity", "specificity", "accuracy", "average_precision",
    "brier", "ece", "log_loss"};

typedef struct unit { /* a case */
    double score, loss;
    size_t owner;
    bool positive;
    unsigned char bin;
} unit;

struct ich_sample {
    double threshold;
    size_t patients, n[ICH_LABELS];
    unit *units[ICH_LABELS]; /* falling scores */
    bool in_macro[ICH_LABELS][ICH_METRICS];
};

/* -- cases --------------------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    const double x = ((const unit *)a)->score, y = ((const unit *)b)->score;
    return (x < y) - (x > y);
}

static void fill(unit *units, const double *score, const double *label, const size_t *owner, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const double p = fmin(fmax(score[i], DBL_EPSILON), 1 - DBL_EPSILON); /* as ich_log_loss */
        const int bins = ICH_CALIBRATION_BINS;
        units[i] = (unit){.score = score[i],
                          .loss = label[i] > 0.5 ? -log(p) : -log1p(-p),
                          .owner = owner[i],
                          .positive = label[i] > 0.5,
                          .bin = (unsigned char)fmin(fmax(score[i] * bins, 0), bins - 1)};
    }
    qsort(units, n, sizeof *units, falling);
}

/* The types that have a figure. In a draw that leaves one of them without, the mean has none either: it would
 * be another mean. */
static void choose_types(ich_sample *s) {
    ich_figures all;
    ich_sample_figures(s, NULL, &all);
    for (int l = ICH_ANY + 1; l < ICH_LABELS; l++)
        for (int m = 0; m < ICH_METRICS; m++) s->in_macro[l][m] = !isnan(all.value[l][m]);
}

ich_sample *ich_sample_make(const ich_joined *j, double threshold, ich_error *err) {
    ich_sample *s = ich_new(1, sizeof *s, "the cases", err);
    if (!s) return NULL;
    s->threshold = threshold;
    s->patients = j->patients;
    for (int l = 0; l < ICH_LABELS; l++) {
        s->n[l] = j->n[l];
        s->units[l] = ich_new(j->n[l], sizeof *s->units[l], "the cases", err);
        if (!s->units[l]) {
            ich_sample_free(s);
            return NULL;
        }
        fill(s->units[l], j->score[l], j->label[l], j->owner[l], j->n[l]);
    }
    choose_types(s);
    return s;
}

void ich_sample_free(ich_sample *s) {
    if (!s) return;
    for (int l = 0; l < ICH_LABELS; l++) free(s->units[l]);
    free(s);
}

/* -- figures ------------------------------------------------------------------------------------------- */

/* What one pass from the highest score down adds up; cases count as often as they were drawn. */
typedef struct sums {
    double ones, zeros; /* so far */
    double tp, fp;      /* of those, called positive */
    double pairs;       /* positive and negative in the right order, ties half */
    double precision;   /* sum over distinct scores of (new positives) · precision */
    double squares, loss;
    double scores[ICH_CALIBRATION_BINS], labels[ICH_CALIBRATION_BINS];
} sums;

static void add_unit(sums *s, const unit *u, double times) {
    const double label = u->positive, error = u->score - label;
    s->squares += times * error * error;
    s->loss += times * u->loss;
    s->scores[u->bin] += times * u->score;
    s->labels[u->bin] += times * label;
}

/* Units of one score, together. */
static void add_ties(sums *s, double ones, double zeros, bool called) {
    s->pairs += zeros * (s->ones + 0.5 * ones);
    s->ones += ones;
    s->zeros += zeros;
    if (ones > 0) s->precision += ones * s->ones / (s->ones + s->zeros);
    if (called) {
        s->tp += ones;
        s->fp += zeros;
    }
}

static sums add_up(const unit *units, size_t n, const uint32_t *times, double threshold) {
    sums s = {0};
    for (size_t i = 0; i < n;) {
        const double score = units[i].score;
        double of[2] = {0, 0};
        for (; i < n && units[i].score == score; i++) {
            const double weight = times ? times[units[i].owner] : 1;
            of[units[i].positive] += weight;
            add_unit(&s, &units[i], weight);
        }
        add_ties(&s, of[1], of[0], score >= threshold);
    }
    return s;
}

/* 0 / 0 is NaN: no such figure. The formulas are those of stats.c, which the tests hold them to. */
static void divide(const sums *s, double value[ICH_METRICS]) {
    const double n = s->ones + s->zeros, fn = s->ones - s->tp, tn = s->zeros - s->fp;
    double gaps = 0;
    for (int b = 0; b < ICH_CALIBRATION_BINS; b++) gaps += fabs(s->scores[b] - s->labels[b]);
    value[ICH_AUC] = s->pairs / (s->ones * s->zeros);
    value[ICH_PPV] = s->tp / (s->tp + s->fp);
    value[ICH_NPV] = tn / (tn + fn);
    value[ICH_SENSITIVITY] = s->tp / s->ones;
    value[ICH_SPECIFICITY] = tn / s->zeros;
    value[ICH_ACCURACY] = (s->tp + tn) / n;
    value[ICH_AVERAGE_PRECISION] = s->precision / s->ones;
    value[ICH_BRIER] = s->squares / n;
    value[ICH_ECE] = gaps / n;
    value[ICH_LOG_LOSS] = s->loss / n;
}

void ich_sample_figures(const ich_sample *sample, const uint32_t *times, ich_figures *f) {
    double loss = 0, weights = 0;
    for (int l = 0; l < ICH_LABELS; l++) {
        const sums s = add_up(sample->units[l], sample->n[l], times, sample->threshold);
        divide(&s, f->value[l]);
        loss += (double)ich_label_weights[l] * s.loss;
        weights += (double)ich_label_weights[l] * (s.ones + s.zeros);
    }
    f->rsna_loss = loss / weights;
    for (int m = 0; m < ICH_METRICS; m++) {
        double sum = 0;
        int types = 0;
        for (int l = ICH_ANY + 1; l < ICH_LABELS; l++) {
            if (!sample->in_macro[l][m]) continue;
            sum += f->value[l][m];
            types++;
        }
        f->value[ICH_MACRO][m] = types ? sum / types : NAN;
    }
}

/* -- drawing ------------------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between order statistics as R's type 7 and numpy's default. */
static double quantile(const double *values, size_t n, double p) {
    const double at = p * (double)(n - 1), below = floor(at);
    const size_t i = (size_t)below;
    return i + 1 < n ? values[i] + (at - below) * (values[i + 1] - values[i]) : values[i];
}

/* Of one figure, `column` doubles into each draw's ich_figures. */
static void span(const ich_figures *draws, int repeats, size_t column, double *scratch, ich_intervals *out) {
    size_t n = 0;
    for (int r = 0; r < repeats; r++) {
        const double value = ((const double *)&draws[r])[column];
        if (!isnan(value)) scratch[n++] = value;
    }
    const bool enough = n > 0 && (double)n >= 0.95 * repeats;
    if (enough) qsort(scratch, n, sizeof *scratch, rising);
    ((double *)&out->low)[column] = enough ? quantile(scratch, n, 0.025) : NAN;
    ((double *)&out->high)[column] = enough ? quantile(scratch, n, 0.975) : NAN;
}

static bool draw(const ich_sample *sample, uint64_t seed, int repeat, ich_figures *figures) {
    ich_rng rng = ich_rng_make(seed, ICH_RNG_BOOTSTRAP, (uint64_t)repeat);
    uint32_t *times = calloc(sample->patients + 1, sizeof *times);
    if (!times) return false;
    for (size_t i = 0; i < sample->patients; i++) times[ich_rng_below(&rng, (uint32_t)sample->patients)]++;
    ich_sample_figures(sample, times, figures);
    free(times);
    return true;
}

bool ich_bootstrap(const ich_sample *sample, int repeats, uint64_t seed, ich_intervals *out, ich_error *err) {
    _Static_assert(sizeof(ich_figures) % sizeof(double) == 0, "figures are walked as doubles");
    ich_figures *draws = ich_new((size_t)repeats, sizeof *draws, "the bootstrap", err);
    double *scratch = ich_new((size_t)repeats, sizeof *scratch, "the bootstrap", err);
    int drawn = 0;
    if (draws && scratch) {
#pragma omp parallel for schedule(dynamic, 8) reduction(+ : drawn)
        for (int r = 0; r < repeats; r++) drawn += draw(sample, seed, r, &draws[r]);
        if (drawn < repeats) ich_fail(err, "out of memory: the bootstrap of %zu patients", sample->patients);
    }
    const bool done = draws && scratch && drawn == repeats;
    for (size_t c = 0; done && c < sizeof *draws / sizeof(double); c++) span(draws, repeats, c, scratch, out);
    free(draws);
    free(scratch);
    return done;
}
