#include "paired.h"

#include "distributions.h"
#include "stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_RANKS = 50 };                   /* differences whose signs are all tried */
static const double Z95 = 1.959963984540054; /* standard normal quantile of 0.975 */

static ich_test nothing(const char *method, const char *why) {
    return (ich_test){NAN, NAN, NAN, NAN, NAN, method, why};
}

/* -- sorting ------------------------------------------------------------------------------------------- */

typedef struct item {
    double value;
    size_t at;
} item;

static int rising(const void *a, const void *b) {
    const double x = ((const item *)a)->value, y = ((const item *)b)->value;
    return (x > y) - (x < y);
}

/* Values with their places, lowest first; NULL for none, or when memory is out. Caller frees. */
static item *sorted(const double *values, size_t n) {
    item *items = n > 0 && n <= SIZE_MAX / sizeof *items ? malloc(n * sizeof *items) : NULL;
    if (!items) return NULL;
    for (size_t i = 0; i < n; i++) items[i] = (item){values[i], i};
    qsort(items, n, sizeof *items, rising);
    return items;
}

static size_t end_of_ties(const item *items, size_t n, size_t first) {
    size_t end = first + 1;
    while (end < n && items[end].value == items[first].value) end++;
    return end;
}

double ich_mean(const double *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return n ? sum / (double)n : NAN;
}

double ich_median(const double *values, size_t n) {
    item *items = sorted(values, n);
    if (!items) return NAN;
    const double median = 0.5 * (items[(n - 1) / 2].value + items[n / 2].value);
    free(items);
    return median;
}

/* -- AUC ----------------------------------------------------------------------------------------------- */

/* Adds sign · placement of each case: of a positive the share of negatives below it, of a negative the share
 * of positives above it, ties half (DeLong's V10 and V01), in the order of one sort (Sun and Xu 2014). */
static bool add_placements(const double *score, const double *label, size_t n, double positives, double sign,
                           double *value) {
    item *items = sorted(score, n);
    if (!items) return false;
    double ones_below = 0, zeros_below = 0;
    for (size_t first = 0, end; first < n; first = end) {
        double ones = 0, zeros = 0;
        end = end_of_ties(items, n, first);
        for (size_t i = first; i < end; i++) label[items[i].at] > 0.5 ? ones++ : zeros++;
        const double below = (zeros_below + 0.5 * zeros) / ((double)n - positives);
        const double above = (positives - ones_below - 0.5 * ones) / positives;
        for (size_t i = first; i < end; i++)
            value[items[i].at] += sign * (label[items[i].at] > 0.5 ? below : above);
        ones_below += ones;
        zeros_below += zeros;
    }
    free(items);
    return true;
}

/* Mean, and its squared standard error, of the values of one class. */
static void mean_of_class(const double *value, const double *label, size_t n, bool positive, double count,
                          double *mean, double *squared_error) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        if ((label[i] > 0.5) == positive) sum += value[i];
    *mean = sum / count;
    for (size_t i = 0; i < n; i++)
        if ((label[i] > 0.5) == positive) squares += (value[i] - *mean) * (value[i] - *mean);
    *squared_error = squares / (count - 1) / count;
}

/* var(A) + var(B) - 2 cov(A, B) is the variance of the differences of placements: taken so, it is exactly 0
 * where a and b rank alike. */
static ich_test compare_placements(const double *difference, const double *label, size_t n,
                                   double positives) {
    static const char method[] = "DeLong 1988, paired";
    double estimate, mean, s10, s01;
    mean_of_class(difference, label, n, true, positives, &estimate, &s10);
    mean_of_class(difference, label, n, false, (double)n - positives, &mean, &s01);
    const double error = sqrt(s10 + s01);
    ich_test t = {estimate, estimate - Z95 * error, estimate + Z95 * error, 0, 1, method, NULL};
    if (error > 1e-12) {
        t.statistic = estimate / error;
        t.p = ich_normal_two_sided(t.statistic);
    } else if (fabs(estimate) > 1e-12) {
        t = nothing(method, "no p: the difference has no variance");
        t.estimate = estimate;
    }
    return t;
}

ich_test ich_delong_paired(const double *a, const double *b, const double *label, size_t n) {
    static const char method[] = "DeLong 1988, paired";
    size_t positives = 0;
    for (size_t i = 0; i < n; i++) positives += label[i] > 0.5;
    if (!n) return nothing(method, "no labelled case");
    if (!positives) return nothing(method, "no positive case");
    if (positives == n) return nothing(method, "no negative case");
    if (positives == 1) return nothing(method, "one positive case only");
    if (positives == n - 1) return nothing(method, "one negative case only");
    double *difference = calloc(n, sizeof *difference);
    const double ones = (double)positives;
    const bool done = difference && add_placements(a, label, n, ones, 1, difference) &&
                      add_placements(b, label, n, ones, -1, difference);
    const ich_test t = done ? compare_placements(difference, label, n, ones) : nothing(method, ich_no_memory);
    free(difference);
    return t;
}

/* -- shares -------------------------------------------------------------------------------------------- */

/* Correlation of the two readers' rightness, its positive values drawn towards 0 (Newcombe's method 10). */
static double correlation(double both, double only_a, double only_b, double neither) {
    const double n = both + only_a + only_b + neither;
    double top = both * neither - only_a * only_b;
    if (top > 0) top = fmax(top - n / 2, 0);
    const double margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither);
    return margins > 0 ? top / sqrt(margins) : 0;
}

static double hypotenuse(double x, double y, double correlation) {
    return sqrt(fmax(0, x * x - 2 * correlation * x * y + y * y));
}

static ich_test difference_of_shares(ich_pairs right, const char *method) {
    const size_t n = right.both + right.only_a + right.only_b + right.neither;
    if (!n) return nothing(method, "no case to count");
    const ich_figure a = ich_proportion(right.both + right.only_a, n);
    const ich_figure b = ich_proportion(right.both + right.only_b, n);
    const double phi =
        correlation((double)right.both, (double)right.only_a, (double)right.only_b, (double)right.neither);
    const size_t least = right.only_a < right.only_b ? right.only_a : right.only_b;
    const double estimate = a.value - b.value;
    return (ich_test){.estimate = estimate,
                      .low = estimate - hypotenuse(a.value - a.low, b.high - b.value, phi),
                      .high = estimate + hypotenuse(a.high - a.value, b.value - b.low, phi),
                      .statistic = (double)least,
                      .method = method};
}

/* Twice the probability of so few or fewer, `share` of the observed count's own included. */
static ich_test mcnemar(ich_pairs right, double share, const char *method) {
    ich_test t = difference_of_shares(right, method);
    if (t.why) return t;
    const size_t discordant = right.only_a + right.only_b, least = (size_t)t.statistic;
    const double tail =
        ich_binomial_cdf(least, discordant, 0.5) - (1 - share) * ich_binomial(least, discordant, 0.5);
    t.p = discordant ? fmin(1, 2 * tail) : 1;
    return t;
}

ich_test ich_mcnemar_exact(ich_pairs right) { return mcnemar(right, 1, "McNemar 1947, exact"); }

ich_test ich_mcnemar_mid_p(ich_pairs right) { return mcnemar(right, 0.5, "McNemar, mid-p (Fagerland 2013)"); }

/* -- agreement ----------------------------------------------------------------------------------------- */

/* Fleiss, Cohen and Everitt 1969, equations 13 (any kappa) and 14 (kappa = 0), times n (1 - chance)². */
static double kappa_variance(const double share[2][2], const double row[2], const double column[2],
                             double kappa, double chance) {
    double agree = 0, differ = 0;
    for (int i = 0; i < 2; i++) {
        const double margins = 1 - (row[i] + column[i]) * (1 - kappa);
        agree += share[i][i] * margins * margins;
        for (int j = 0; j < 2; j++)
            if (i != j) differ += share[i][j] * (column[i] + row[j]) * (column[i] + row[j]);
    }
    const double rest = kappa - chance * (1 - kappa);
    return agree + (1 - kappa) * (1 - kappa) * differ - rest * rest;
}

static double kappa_variance_by_chance(const double row[2], const double column[2], double chance) {
    double sum = 0;
    for (int i = 0; i < 2; i++) sum += row[i] * column[i] * (row[i] + column[i]);
    return chance + chance * chance - sum;
}

ich_test ich_kappa(ich_pairs said) {
    static const char method[] = "Cohen 1960; Fleiss 1969";
    const double n = (double)(said.both + said.only_a + said.only_b + said.neither);
    if (!(n > 0)) return nothing(method, "no case to count");
    const double share[2][2] = {{(double)said.both / n, (double)said.only_a / n},
                                {(double)said.only_b / n, (double)said.neither / n}};
    const double row[2] = {share[0][0] + share[0][1], share[1][0] + share[1][1]};
    const double column[2] = {share[0][0] + share[1][0], share[0][1] + share[1][1]};
    const double chance = row[0] * column[0] + row[1] * column[1];
    if (said.both == (size_t)n || said.neither == (size_t)n)
        return nothing(method, "both say the same of every case");
    const double kappa = (share[0][0] + share[1][1] - chance) / (1 - chance);
    const double scale = n * (1 - chance) * (1 - chance);
    const double half = Z95 * sqrt(fmax(0, kappa_variance(share, row, column, kappa, chance)) / scale);
    const double by_chance = kappa_variance_by_chance(row, column, chance) / scale;
    if (by_chance < 1e-15) {
        ich_test t = nothing(method, "no p: one of them says the same of every case");
        t.estimate = kappa;
        return t;
    }
    const double z = kappa / sqrt(by_chance);
    return (ich_test){kappa, kappa - half, kappa + half, z, ich_normal_two_sided(z), method, NULL};
}

/* -- times --------------------------------------------------------------------------------------------- */

ich_test ich_paired_t(const double *a, const double *b, size_t n) {
    static const char method[] = "Student 1908, paired";
    double squares = 0, mean = 0;
    if (n < 2) return nothing(method, n ? "one case only" : "no case has both times");
    for (size_t i = 0; i < n; i++) mean += (a[i] - b[i]) / (double)n;
    for (size_t i = 0; i < n; i++) squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
    const double freedom = (double)n - 1, error = sqrt(squares / freedom / (double)n);
    if (error <= 1e-12 * fabs(mean) || error == 0) {
        ich_test t = nothing(method, "no p: all differences are equal");
        t.estimate = mean;
        return t;
    }
    const double half = error * ich_student_quantile(0.975, freedom);
    return (ich_test){
        mean,   mean - half, mean + half, mean / error, ich_student_two_sided(mean / error, freedom),
        method, NULL};
}

/* Ranks of |difference| from 1, ties at their middle, doubled so that they are whole; sum of t³ - t over runs
 * of t ties. */
static double doubled_ranks(const item *items, size_t n, size_t *ranks) {
    double ties = 0;
    for (size_t first = 0, end; first < n; first = end) {
        end = end_of_ties(items, n, first);
        const double run = (double)(end - first);
        ties += run * run * run - run;
        for (size_t i = first; i < end; i++) ranks[i] = first + 1 + end;
    }
    return ties;
}

/* P(sum of a random subset of the ranks ≤ sum): each sign is + or - with probability 1/2. */
static double chance_of_ranks(const size_t *ranks, size_t n, size_t sum) {
    double chance[EXACT_RANKS * (EXACT_RANKS + 1) + 1] = {1}, total = 0;
    size_t top = 0;
    for (size_t i = 0; i < n; i++) {
        top += ranks[i];
        for (size_t s = top + 1; s-- > 0;)
            chance[s] = 0.5 * (chance[s] + (s >= ranks[i] ? chance[s - ranks[i]] : 0));
    }
    for (size_t s = 0; s <= sum && s <= top; s++) total += chance[s];
    return total;
}

static ich_test judge_ranks(const item *items, const double *difference, size_t n, size_t *ranks) {
    ich_test t = {.method = n <= EXACT_RANKS ? "Wilcoxon 1945, exact" : "Wilcoxon 1945, normal"};
    const double ties = doubled_ranks(items, n, ranks), size = (double)n;
    size_t plus = 0;
    for (size_t i = 0; i < n; i++)
        if (difference[items[i].at] > 0) plus += ranks[i];
    const size_t minus = n * (n + 1) - plus, least = plus < minus ? plus : minus;
    t.statistic = 0.5 * (double)least;
    if (n <= EXACT_RANKS) {
        t.p = fmin(1, 2 * chance_of_ranks(ranks, n, least));
    } else {
        const double variance = (size * (size + 1) * (2 * size + 1) - 0.5 * ties) / 24;
        t.p = ich_normal_two_sided((t.statistic - size * (size + 1) / 4) / sqrt(variance));
    }
    return t;
}

ich_test ich_signed_rank(const double *a, const double *b, size_t n) {
    static const char method[] = "Wilcoxon 1945";
    double *difference = calloc(n ? n : 1, 2 * sizeof *difference), *size = difference + n;
    size_t count = 0;
    if (!n) {
        free(difference);
        return nothing(method, "no case has both times");
    }
    if (!difference) return nothing(method, ich_no_memory);
    for (size_t i = 0; i < n; i++) difference[i] = a[i] - b[i];
    const double median = ich_median(difference, n);
    if (isnan(median)) {
        free(difference);
        return nothing(method, ich_no_memory);
    }
    for (size_t i = 0; i < n; i++)
        if (difference[i] != 0) difference[count++] = difference[i];
    for (size_t i = 0; i < count; i++) size[i] = fabs(difference[i]);
    item *items = sorted(size, count);
    size_t *ranks = calloc(count ? count : 1, sizeof *ranks);
    ich_test t = nothing(method, count ? ich_no_memory : "no p: all differences are 0");
    if (items && ranks) t = judge_ranks(items, difference, count, ranks);
    t.estimate = median;
    t.low = t.high = NAN;
    free(items);
    free(ranks);
    free(difference);
    return t;
}
