#ifndef EXAMPLES_07_EXERCISE_H
#define EXAMPLES_07_EXERCISE_H

/* Step t = 1, 2, … of AdamW (Loshchilov and Hutter 2019) on n parameters, beta1 = 0.9, beta2
 * = 0.999, eps = 1e-8: updates m, v and value. The decay is decoupled: it takes lr · decay ·
 * value, and is no part of the gradient. */
void adamw_step(int n, int t, double lr, double decay, const double *gradient, double *m,
                double *v, double *value);

/* One cycle (Smith and Topin 2018, in torch's form): the factor at `step` 0 … steps-1. From
 * 1/25 up to 1 along half a cosine; the peak is at step 0.3 · steps - 1; then along half a
 * cosine down to 1/250000 at the last step. */
double one_cycle(int step, int steps);

#endif
