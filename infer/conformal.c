#include "conformal.h"

#include "distributions.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct loss {
    double score, weight;
} loss;

static int rising(const void *a, const void *b) {
    const double x = ((const loss *)a)->score, y = ((const loss *)b)->score;
    return (x > y) - (x < y);
}

/* Lowest score first; weight NULL: 1 each. NULL for none, or when memory is out. Caller frees. */
static loss *sorted(const double *score, const double *weight, size_t n) {
    loss *losses = n > 0 && n <= SIZE_MAX / sizeof *losses ? malloc(n * sizeof *losses) : NULL;
    if (!losses) return NULL;
    for (size_t i = 0; i < n; i++) losses[i] = (loss){score[i], weight ? weight[i] : 1};
    qsort(losses, n, sizeof *losses, rising);
    return losses;
}

/* The k-th smallest score, so that at most k - 1 are missed. */
static ich_promise at_order(const double *score, size_t n, size_t k, size_t needed) {
    ich_promise p = {.threshold = NAN, .needed = needed};
    if (k == 0 || n == 0) return p;
    loss *losses = sorted(score, NULL, n);
    if (!losses) {
        p.threshold = INFINITY;
        return p;
    }
    p.threshold = losses[k - 1].score;
    p.missed = k - 1;
    free(losses);
    return p;
}

/* A new score is equally likely to fall between any two: k / (n + 1) of it lies below the k-th smallest. The
 * small number keeps 0.05 · 20 from being 0.9999999. */
ich_promise ich_promise_on_average(const double *positive, size_t n, double most) {
    const double k = floor(most * ((double)n + 1) * (1 + 1e-12));
    return at_order(positive, n, (size_t)fmin(k, (double)n), (size_t)ceil((1 / most - 1) * (1 - 1e-12)));
}

ich_promise ich_promise_sure(const double *positive, size_t n, double most, double confidence) {
    const double chance = 1 - confidence;
    size_t k = 0;
    while (k < n && ich_binomial_cdf(k, n, most) <= chance * (1 + 1e-12)) k++;
    return at_order(positive, n, k, (size_t)ceil(log(chance) / log1p(-most) * (1 - 1e-12)));
}

double ich_risk_control(const double *score, const double *weight, size_t n, size_t cases, double most) {
    loss *losses = sorted(score, weight, n);
    double lost = 1, threshold = NAN; /* the one that the new case may lose */
    if (!losses) return n > 0 ? INFINITY : NAN;
    for (size_t i = 0; i < n && lost <= most * ((double)cases + 1) * (1 + 1e-12); i++) {
        threshold = losses[i].score;
        lost += losses[i].weight;
    }
    free(losses);
    return threshold;
}
