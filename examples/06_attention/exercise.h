#ifndef EXAMPLES_06_EXERCISE_H
#define EXAMPLES_06_EXERCISE_H

/* z = Σ_t a_t h_t, a = softmax(s). h [T,C], a [T], and dz = dL/dz [C] are given: set dh =
 * dL/dh [T,C] and ds = dL/ds [T].
 */
void attention_backward(int T, int C, const double *h, const double *a, const double *dz,
                        double *dh, double *ds);

/* Noisy-or: a bag is positive with P = 1 - Π_t (1 - σ(x_t)). Returns -log P for label 1, -log
 * (1 - P) for label 0, and sets dx = d loss / dx [T]. Finite for any logits, however many. */
double noisy_or(int T, const double *x, int label, double *dx);

#endif
