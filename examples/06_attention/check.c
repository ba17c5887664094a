#include "../check.h"
#include "exercise.h"

#include <math.h>
#include <stdio.h>

enum { T = 6, C = 4 };

typedef struct problem {
    double h[T * C], s[T], dz[C], a[T], x[T], dx[T];
    int label;
} problem;

static double attended(void *self) {
    problem *p = self;
    double total = 0, loss = 0;
    for (int t = 0; t < T; t++) total += exp(p->s[t]);
    for (int t = 0; t < T; t++) {
        p->a[t] = exp(p->s[t]) / total;
        for (int c = 0; c < C; c++) loss += p->dz[c] * p->a[t] * p->h[t * C + c];
    }
    return loss;
}

static bool check_attention(void) {
    problem p = {0};
    double dh[T * C] = {0}, ds[T] = {0};
    check_draw(8, T * C, p.h, -1, 1);
    check_draw(9, T, p.s, -2, 2);
    check_draw(10, C, p.dz, -1, 1);
    attended(&p);
    attention_backward(T, C, p.h, p.a, p.dz, dh, ds);
    const bool right = check_gradient("attention", "d h", T * C, p.h, dh, attended, &p, 1e-8);
    return check_gradient("attention", "d s", T, p.s, ds, attended, &p, 1e-8) && right;
}

/* As the formula says, in numbers that are harmless. */
static double plain(void *self) {
    problem *p = self;
    double none = 1;
    for (int t = 0; t < T; t++) none *= 1 - 1 / (1 + exp(-p->x[t]));
    return -log(p->label ? 1 - none : none);
}

static bool check_noisy_or(void) {
    bool all = true;
    for (int label = 0; label < 2; label++) {
        problem p = {.label = label};
        check_draw(11, T, p.x, -3, 1);
        const double got = noisy_or(T, p.x, label, p.dx), expected = plain(&p);
        all &= check_numbers("noisy-or", label ? "loss, label 1" : "loss, label 0", 1, &got,
                             &expected, 1e-10);
        all &= check_gradient("noisy-or", label ? "d x, label 1" : "d x, label 0", T, p.x,
                              p.dx, plain, &p, 1e-8);
    }
    /* Logits of a sure network, and long bags: 1 - P is 10^-300 or less, and P may be 10^-15.
     */
    enum { LONG = 400 };
    double sure[LONG], never[LONG], d_sure[LONG] = {0}, d_never[LONG] = {0};
    for (int t = 0; t < LONG; t++) sure[t] = 800, never[t] = -40;
    double loss = noisy_or(LONG, sure, 0, d_sure), right = 800.0 * LONG, slope = 1;
    all &=
        check_numbers("noisy-or", "loss, 400 logits of 800, label 0", 1, &loss, &right, 1e-9);
    all &=
        check_numbers("noisy-or", "d x, 400 logits of 800, label 0", 1, d_sure, &slope, 1e-9);
    loss = noisy_or(LONG, never, 1, d_never), right = 40 - log(LONG), slope = -1.0 / LONG;
    all &=
        check_numbers("noisy-or", "loss, 400 logits of -40, label 1", 1, &loss, &right, 1e-9);
    return check_numbers("noisy-or", "d x, 400 logits of -40, label 1", 1, d_never, &slope,
                         1e-9) &&
           all;
}

int main(void) {
    bool all = check_attention();
    all &= check_noisy_or();
    return check_end(all);
}
