#include "exercise.h"

#include <math.h>

/* (k/n - p)² = z² p (1 - p) / n, solved for p */
void wilson(int k, int n, double *low, double *high) {
    const double z2 = 1.959963984540054 * 1.959963984540054, p = (double)k / n;
    const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
    const double half = sqrt(z2 * (p * (1 - p) / n + z2 / (4.0 * n * n))) / (1 + z2 / n);
    *low = fmax(0, center - half);
    *high = fmin(1, center + half);
}

/* Mean and sample variance, over the cases of one class, of the share of the other class on
 * the right side. */
static void placements(int n, const double *score, const int *label, int class, double *mean,
                       double *variance) {
    double sum = 0, squares = 0;
    int cases = 0;
    for (int i = 0; i < n; i++) {
        if (label[i] != class) continue;
        double wins = 0;
        int others = 0;
        for (int j = 0; j < n; j++) {
            if (label[j] == class) continue;
            const double ahead = class ? score[i] - score[j] : score[j] - score[i];
            wins += ahead > 0 ? 1 : ahead == 0 ? 0.5 : 0;
            others++;
        }
        sum += wins / others;
        squares += wins / others * wins / others;
        cases++;
    }
    *mean = sum / cases;
    *variance = (squares - sum * sum / cases) / (cases - 1) / cases;
}

void delong(int n, const double *score, const int *label, double *auc, double *error) {
    double v10, v01;
    placements(n, score, label, 1, auc, &v10);
    placements(n, score, label, 0, auc, &v01);
    *error = sqrt(v10 + v01);
}

double mcnemar(int b, int c) {
    const int n = b + c, fewer = b < c ? b : c;
    double tail = 0;
    for (int k = 0; k <= fewer; k++)
        tail += exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) - n * log(2));
    return fmin(1, 2 * tail);
}
