/* Exercise 9: an interval, a variance, a test. */
#include "exercise.h"

void wilson(int k, int n, double *low, double *high) {
    /* your code here: a quadratic equation in p */
}

void delong(int n, const double *score, const int *label, double *auc, double *error) {
    /* your code here: two loops over pairs are fast enough */
}

double mcnemar(int b, int c) {
    /* your code here */
    return 0;
}
