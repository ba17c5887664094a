/* Against Ichor's own figures (which its tests hold against sklearn's, R's and published
 * ones). */
#include "../check.h"
#include "exercise.h"

#include <ichor/infer/paired.h>
#include <ichor/infer/stats.h>
#include <math.h>
#include <stdio.h>

static bool check_wilson(void) {
    static const int cases[][2] = {{0, 10}, {1, 10}, {27, 30}, {40, 40}, {123, 491}};
    bool all = true;
    for (int i = 0; i < 5; i++) {
        char what[40];
        double got[2] = {-1, -1};
        const ich_figure f = ich_proportion((size_t)cases[i][0], (size_t)cases[i][1]);
        const double expected[2] = {f.low, f.high};
        wilson(cases[i][0], cases[i][1], &got[0], &got[1]);
        snprintf(what, sizeof what, "low and high of %d of %d", cases[i][0], cases[i][1]);
        all &= check_numbers("wilson", what, 2, got, expected, 1e-9);
    }
    return all;
}

static bool check_delong(void) {
    enum { N = 60 };
    double draw[2 * N], score[N], labels[N], got[2] = {0};
    int label[N];
    check_draw(15, 2 * N, draw, 0, 1);
    for (int i = 0; i < N; i++) {
        label[i] = draw[i] < 0.4;
        labels[i] = label[i];
        score[i] = floor(10 * (draw[N + i] + 0.4 * labels[i])) / 10; /* with ties */
    }
    const ich_figure f = ich_auc_delong(score, labels, N);
    const double expected[2] = {f.value, (f.high - f.low) / (2 * 1.959963984540054)};
    delong(N, score, label, &got[0], &got[1]);
    const bool right = check_numbers("delong", "AUC", 1, got, expected, 1e-12);
    return check_numbers("delong", "standard error", 1, got + 1, expected + 1, 1e-9) && right;
}

static bool check_mcnemar(void) {
    static const int pairs[][2] = {{1, 9}, {9, 1}, {12, 15}, {6, 6}, {0, 40}};
    double got[5], expected[5];
    for (int i = 0; i < 5; i++) {
        const ich_pairs right = {.both = 50,
                                 .only_a = (size_t)pairs[i][0],
                                 .only_b = (size_t)pairs[i][1],
                                 .neither = 3};
        got[i] = log(
            mcnemar(pairs[i][0], pairs[i][1])); /* small p's count as much as large ones */
        expected[i] = log(ich_mcnemar_exact(right).p);
    }
    return check_numbers("mcnemar", "log p", 5, got, expected, 1e-9);
}

int main(void) {
    bool all = check_wilson();
    all &= check_delong();
    all &= check_mcnemar();
    return check_end(all);
}
