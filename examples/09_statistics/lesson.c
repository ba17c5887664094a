/* Lesson 9: do intervals keep what they promise? For a proportion, by the book; for an AUC of
 * slices, when slices belong to patients; and what pairing two models gains.
 *
 *   09_statistics [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/infer/distributions.h>
#include <ichor/infer/paired.h>
#include <ichor/infer/stats.h>
#include <ichor/tensor/rng.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double z95 = 1.959963984540054;

/* -- a proportion: exact coverage, no simulation --------------------------------------- */

enum { CASES = 40, POINTS = 991 };

/* P(the interval holds p) when k of n are right, k binomial(n, p) */
static double coverage(double p, bool wilson) {
    double sum = 0;
    for (size_t k = 0; k <= CASES; k++) {
        const double share = (double)k / CASES,
                     half = z95 * sqrt(share * (1 - share) / CASES);
        const ich_figure f = ich_proportion(k, CASES);
        const double low = wilson ? f.low : share - half,
                     high = wilson ? f.high : share + half;
        if (low <= p && p <= high) sum += ich_binomial(k, CASES, p);
    }
    return sum;
}

static bool draw_coverage(const char *folder) {
    static double p[POINTS], wald[POINTS], wilson[POINTS];
    double worst[2] = {1, 1};
    for (int i = 0; i < POINTS; i++) {
        p[i] = 0.5 + 0.49 * i / (POINTS - 1);
        wald[i] = coverage(p[i], false);
        wilson[i] = coverage(p[i], true);
        worst[0] = fmin(worst[0], wald[i]);
        worst[1] = fmin(worst[1], wilson[i]);
    }
    printf("95 %% intervals from %d cases, true share 0.50 to 0.99, hold it in the worst "
           "case:\n",
           CASES);
    printf("  plain (Wald) %.1f %%    Wilson %.1f %%\n\n", 100 * worst[0], 100 * worst[1]);
    static const double ends[2] = {0.5, 1}, promised[2] = {0.95, 0.95};
    plot picture = {.title = "How often a 95 % interval from 40 cases holds the truth",
                    .x_label = "true sensitivity",
                    .y_label = "coverage",
                    .x_low = 0.5,
                    .x_high = 1,
                    .y_low = 0.5,
                    .y_high = 1};
    plot_add(&picture, PLOT_LINE, "p ± 1.96 sqrt(p (1 - p) / n)", POINTS, p, wald);
    plot_add(&picture, PLOT_LINE, "Wilson 1927", POINTS, p, wilson);
    plot_add(&picture, PLOT_DASHED, "promised", 2, ends, promised);
    return plot_write(&picture, folder, "09-coverage.svg");
}

/* -- slices belong to patients --------------------------------------------------------- */

enum { PATIENTS = 60, EACH = 30, SLICES = PATIENTS * EACH, WORLDS = 400, DRAWS = 200 };

/* A score is 1.2 for a bleeding slice, plus the patient's own offset, plus noise. */
static void draw_world(uint64_t seed, double *score, double *label) {
    ich_rng rng = ich_rng_make(seed, ICH_RNG_TEST, 9);
    for (int p = 0; p < PATIENTS; p++) {
        const double own = (double)ich_rng_normal(&rng);
        for (int s = p * EACH; s < (p + 1) * EACH; s++) {
            label[s] = p % 2 && ich_rng_uniform(&rng) < 0.4f;
            score[s] = 1.2 * label[s] + own + (double)ich_rng_normal(&rng);
        }
    }
}

static double spread(const double *x, int n) {
    double squares = 0;
    const double mean = ich_mean(x, (size_t)n);
    for (int i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    return sqrt(squares / (n - 1));
}

/* Draws patients with replacement, each with all slices (Field and Welsh 2007). */
static double bootstrap_error(uint64_t seed, const double *score, const double *label) {
    static double s[SLICES], l[SLICES], auc[DRAWS];
    ich_rng rng = ich_rng_make(seed, ICH_RNG_BOOTSTRAP, 9);
    for (int d = 0; d < DRAWS; d++) {
        for (int p = 0; p < PATIENTS; p++) {
            const size_t from = ich_rng_below(&rng, PATIENTS) * (size_t)EACH,
                         to = (size_t)p * EACH;
            memcpy(s + to, score + from, EACH * sizeof *s);
            memcpy(l + to, label + from, EACH * sizeof *l);
        }
        auc[d] = ich_auc_delong(s, l, SLICES).value;
    }
    return spread(auc, DRAWS);
}

static void slices_of_patients(void) {
    static double score[SLICES], label[SLICES], auc[WORLDS], delong[WORLDS];
    double bootstrap = 0;
    for (int w = 0; w < WORLDS; w++) {
        draw_world((uint64_t)w, score, label);
        const ich_figure f = ich_auc_delong(score, label, SLICES);
        auc[w] = f.value;
        delong[w] = (f.high - f.low) / (2 * z95);
        if (w < 20) bootstrap += bootstrap_error((uint64_t)w, score, label) / 20;
    }
    printf("AUC of %d slices of %d patients: standard error\n", SLICES, PATIENTS);
    printf("  true, over %d repeated studies     %.4f\n", WORLDS, spread(auc, WORLDS));
    printf("  DeLong, every slice a case          %.4f\n", ich_mean(delong, WORLDS));
    printf("  bootstrap of patients               %.4f\n\n", bootstrap);
}

/* -- two models on the same cases ------------------------------------------------------ */

static void two_models(void) {
    enum { N = 200 };
    double a[N], b[N], label[N];
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 10);
    for (int i = 0; i < N; i++) {
        const double hard =
            (double)ich_rng_normal(&rng); /* hard for one, hard for the other */
        label[i] = i % 2;
        a[i] = 1.5 * label[i] + hard + 0.4 * (double)ich_rng_normal(&rng);
        b[i] = 1.2 * label[i] + hard + 0.4 * (double)ich_rng_normal(&rng);
    }
    const ich_figure fa = ich_auc_delong(a, label, N), fb = ich_auc_delong(b, label, N);
    const ich_test paired = ich_delong_paired(a, b, label, N);
    const double error_a = (fa.high - fa.low) / (2 * z95),
                 error_b = (fb.high - fb.low) / (2 * z95);
    const double z = (fa.value - fb.value) / sqrt(error_a * error_a + error_b * error_b);
    printf("two models, %d cases: AUC %.3f (%.3f to %.3f) and %.3f (%.3f to %.3f)\n", N,
           fa.value, fa.low, fa.high, fb.value, fb.low, fb.high);
    printf("  as if on different cases: p = %.3f\n  paired (DeLong 1988):     p = %.5f\n",
           ich_normal_two_sided(z), paired.p);
}

int main(int argc, char **argv) {
    const bool drawn = draw_coverage(argc > 1 ? argv[1] : ".");
    slices_of_patients();
    two_models();
    return drawn ? 0 : 1;
}
