/* Exercise 3: two backward passes. Ichor's gradient check is the judge. */
#include "exercise.h"

void linear_backward(int n, int in, int out, const double *x, const double *w,
                     const double *dy, double *dx, double *dw, double *db) {
    /* your code here: three loops, or three pairs of them */
}

void silu_backward(int n, const double *x, const double *dy, double *dx) {
    /* your code here: what is the derivative of x σ(x)? */
}
