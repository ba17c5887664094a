/* Exercise 7: AdamW with its bias correction, and the one-cycle schedule. */
#include "exercise.h"

void adamw_step(int n, int t, double lr, double decay, const double *gradient, double *m,
                double *v, double *value) {
    /* your code here */
}

double one_cycle(int step, int steps) {
    /* your code here */
    return 1;
}
