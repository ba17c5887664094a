#include "stats.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double Z95 = 1.959963984540054; /* standard normal quantile of 0.975 */

/* -- cases in the order of their scores ---------------------------------------------------------------- */

typedef struct pair {
    double score;
    bool positive;
} pair;

typedef struct cases {
    pair *pairs; /* falling scores; NULL: none, or memory is out */
    size_t n, positives, negatives;
} cases;

static int falling(const void *a, const void *b) {
    const double x = ((const pair *)a)->score, y = ((const pair *)b)->score;
    return (x < y) - (x > y);
}

static cases count_classes(const double *label, size_t n) {
    cases c = {.n = n};
    for (size_t i = 0; i < n; i++) c.positives += label[i] > 0.5;
    c.negatives = n - c.positives;
    return c;
}

/* Free c->pairs. */
static bool sort(cases *c, const double *score, const double *label) {
    if (c->n == 0 || c->n > SIZE_MAX / sizeof *c->pairs) return false;
    c->pairs = malloc(c->n * sizeof *c->pairs);
    if (!c->pairs) return false;
    for (size_t i = 0; i < c->n; i++) c->pairs[i] = (pair){score[i], label[i] > 0.5};
    qsort(c->pairs, c->n, sizeof *c->pairs, falling);
    return true;
}

/* A run of equal scores, and how many of either class came before it. Begin with {0}; false at the end. */
typedef struct run {
    size_t end;
    double score;
    size_t ones, zeros, ones_before, zeros_before;
} run;

static bool next_run(const cases *c, run *r) {
    if (r->end == c->n) return false;
    *r = (run){.end = r->end,
               .score = c->pairs[r->end].score,
               .ones_before = r->ones_before + r->ones,
               .zeros_before = r->zeros_before + r->zeros};
    for (; r->end < c->n && c->pairs[r->end].score == r->score; r->end++) {
        r->ones += c->pairs[r->end].positive;
        r->zeros += !c->pairs[r->end].positive;
    }
    return true;
}

static ich_figure nothing(const char *method, const char *why) {
    return (ich_figure){NAN, NAN, NAN, method, why};
}

static ich_figure plain(double value, const char *method) {
    return (ich_figure){value, NAN, NAN, method, NULL};
}

static const char no_case[] = "no labelled case";
const char ich_no_memory[] = "out of memory";

/* -- ranking ------------------------------------------------------------------------------------------- */

/* Sums and sums of squares of DeLong's placement values: for each positive the share of negatives below it
 * (V10), for each negative the share of positives above it (V01), ties half. With sorted cases each run of
 * ties is one step. */
typedef struct placements {
    double v10, v10_squares, v01, v01_squares;
} placements;

static placements place(const cases *c) {
    placements p = {0};
    for (run r = {0}; next_run(c, &r);) {
        const double below = (double)(c->negatives - r.zeros_before - r.zeros);
        const double v10 = (below + 0.5 * (double)r.zeros) / (double)c->negatives;
        const double v01 = ((double)r.ones_before + 0.5 * (double)r.ones) / (double)c->positives;
        p.v10 += (double)r.ones * v10;
        p.v10_squares += (double)r.ones * v10 * v10;
        p.v01 += (double)r.zeros * v01;
        p.v01_squares += (double)r.zeros * v01 * v01;
    }
    return p;
}

ich_figure ich_auc_delong(const double *score, const double *label, size_t n) {
    static const char method[] = "DeLong 1988; plain interval";
    cases c = count_classes(label, n);
    if (!n) return nothing(method, no_case);
    if (!c.positives) return nothing(method, "no positive case");
    if (!c.negatives) return nothing(method, "no negative case");
    if (!sort(&c, score, label)) return nothing(method, ich_no_memory);
    const placements p = place(&c);
    free(c.pairs);
    const double m = (double)c.positives, k = (double)c.negatives, auc = p.v10 / m;
    if (m < 2) return (ich_figure){auc, NAN, NAN, method, "no interval: one positive case only"};
    if (k < 2) return (ich_figure){auc, NAN, NAN, method, "no interval: one negative case only"};
    /* Var = S10 / m + S01 / k, with S the sample variances of the placement values. */
    const double s10 = (p.v10_squares - m * auc * auc) / (m - 1);
    const double s01 = (p.v01_squares - k * auc * auc) / (k - 1);
    const double half = Z95 * sqrt(fmax(0, s10 / m + s01 / k));
    return (ich_figure){auc, fmax(0, auc - half), fmin(1, auc + half), method, NULL};
}

ich_figure ich_auc(const float *score, const float *label, size_t n) {
    double *scores = calloc(n ? n : 1, 2 * sizeof *scores);
    if (!scores) return nothing("DeLong 1988", ich_no_memory);
    double *labels = scores + n;
    for (size_t i = 0; i < n; i++) scores[i] = (double)score[i], labels[i] = (double)label[i];
    const ich_figure auc = ich_auc_delong(scores, labels, n);
    free(scores);
    return auc;
}

ich_figure ich_average_precision(const double *score, const double *label, size_t n) {
    static const char method[] = "steps at distinct scores";
    cases c = count_classes(label, n);
    if (!n) return nothing(method, no_case);
    if (!c.positives) return nothing(method, "no positive case");
    if (!sort(&c, score, label)) return nothing(method, ich_no_memory);
    double area = 0;
    for (run r = {0}; next_run(&c, &r);) {
        const double precision = (double)(r.ones_before + r.ones) / (double)r.end;
        area += (double)r.ones / (double)c.positives * precision;
    }
    free(c.pairs);
    return plain(area, method);
}

size_t ich_roc(const double *score, const double *label, size_t n, double *threshold, double *fpr,
               double *tpr) {
    cases c = count_classes(label, n);
    if (!c.positives || !c.negatives) return 0;
    if (!sort(&c, score, label)) return SIZE_MAX;
    size_t points = 1;
    threshold[0] = INFINITY;
    fpr[0] = tpr[0] = 0;
    for (run r = {0}; next_run(&c, &r); points++) {
        threshold[points] = r.score;
        fpr[points] = (double)(r.zeros_before + r.zeros) / (double)c.negatives;
        tpr[points] = (double)(r.ones_before + r.ones) / (double)c.positives;
    }
    free(c.pairs);
    return points;
}

/* -- at a threshold ------------------------------------------------------------------------------------ */

ich_figure ich_proportion(size_t k, size_t n) {
    static const char method[] = "Wilson 1927";
    if (!n) return nothing(method, "no case to count");
    const double size = (double)n, p = (double)k / size, z2 = Z95 * Z95;
    const double center = (p + z2 / (2 * size)) / (1 + z2 / size);
    const double half = Z95 / (1 + z2 / size) * sqrt(p * (1 - p) / size + z2 / (4 * size * size));
    /* At the ends the exact bound is 0 or 1; rounding would leave it a hair off. */
    return (ich_figure){p, k == 0 ? 0 : fmax(0, center - half), k == n ? 1 : fmin(1, center + half), method,
                        NULL};
}

ich_confusion ich_confusion_at(const double *score, const double *label, size_t n, double threshold) {
    ich_confusion c = {0};
    for (size_t i = 0; i < n; i++) {
        const bool called = score[i] >= threshold, is = label[i] > 0.5;
        c.tp += called && is;
        c.fp += called && !is;
        c.tn += !called && !is;
        c.fn += !called && is;
    }
    return c;
}

/* Shares are divided out, not multiplied up: 55 of 100 reaches a target of 0.55, though 0.55 · 100 > 55. */
double ich_threshold_for_ppv(const double *score, const double *label, size_t n, double target) {
    cases c = count_classes(label, n);
    double best = NAN;
    if (!c.positives || !sort(&c, score, label)) return NAN;
    for (run r = {0}; next_run(&c, &r);)
        if ((double)(r.ones_before + r.ones) / (double)r.end >= target) best = r.score;
    free(c.pairs);
    return best;
}

double ich_threshold_for_sensitivity(const double *score, const double *label, size_t n, double target) {
    cases c = count_classes(label, n);
    double best = NAN;
    if (!c.positives || !sort(&c, score, label)) return NAN;
    for (run r = {0}; isnan(best) && next_run(&c, &r);)
        if ((double)(r.ones_before + r.ones) / (double)c.positives >= target) best = r.score;
    free(c.pairs);
    return best;
}

/* Sensitivity + specificity - 1, times both counts: whole numbers, so that equal is equal. */
double ich_threshold_youden(const double *score, const double *label, size_t n) {
    cases c = count_classes(label, n);
    double best = -INFINITY, threshold = NAN;
    if (!c.positives || !c.negatives || !sort(&c, score, label)) return NAN;
    for (run r = {0}; next_run(&c, &r);) {
        const double index = (double)(r.ones_before + r.ones) * (double)c.negatives -
                             (double)(r.zeros_before + r.zeros) * (double)c.positives;
        if (index <= best) continue;
        best = index;
        threshold = r.score;
    }
    free(c.pairs);
    return threshold;
}

/* -- probabilities ------------------------------------------------------------------------------------- */

ich_figure ich_brier(const double *score, const double *label, size_t n) {
    static const char method[] = "Brier 1950";
    double sum = 0;
    if (!n) return nothing(method, no_case);
    for (size_t i = 0; i < n; i++) sum += (score[i] - label[i]) * (score[i] - label[i]);
    return plain(sum / (double)n, method);
}

ich_figure ich_log_loss(const double *score, const double *label, size_t n) {
    static const char method[] = "natural logarithm";
    double sum = 0;
    if (!n) return nothing(method, no_case);
    for (size_t i = 0; i < n; i++) {
        const double p = fmin(fmax(score[i], DBL_EPSILON), 1 - DBL_EPSILON);
        sum -= label[i] > 0.5 ? log(p) : log1p(-p);
    }
    return plain(sum / (double)n, method);
}

void ich_bins(const double *score, const double *label, size_t n, int count, ich_bin *bins) {
    memset(bins, 0, (size_t)count * sizeof *bins);
    for (size_t i = 0; i < n; i++) {
        ich_bin *bin = &bins[(int)fmin(fmax(score[i] * count, 0), count - 1)];
        bin->cases++;
        bin->scores += score[i];
        bin->labels += label[i];
    }
}

ich_figure ich_calibration_error(const ich_bin *bins, int count) {
    static const char method[] = "Naeini 2015; equal-width bins";
    size_t n = 0;
    double gaps = 0; /* cases · |mean score - frequency| = |sum of scores - sum of labels| */
    for (int b = 0; b < count; b++) {
        n += bins[b].cases;
        gaps += fabs(bins[b].scores - bins[b].labels);
    }
    return n ? plain(gaps / (double)n, method) : nothing(method, no_case);
}
