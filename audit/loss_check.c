#include "audit/loss_check.h"

#include "audit/sum_length.h"
#include "layers/loss.h"
#include "tensor/rng.h"
#include <math.h>
#include <stdio.h>

enum { MOST = ICH_LOSS_ROWS * ICH_LOSS_LABELS, ROUNDINGS = 16 }; /* of a term: exp, log, σ and a few more */
static const double step = 2e-4, scale = 1.0 / 7;

typedef struct problem {
    int rows, labels, count;
    bool noisy; /* ich_loss_noisy_bce, else ich_loss_bce */
    double logit[MOST], target[MOST], weight[ICH_LOSS_LABELS];
    double loss, gradient[MOST];
} problem;

static const ich_label_noise noise = {0.1, 0.05};

static double loss_of(problem *p, double *gradient) {
    if (p->noisy)
        return ich_loss_noisy_bce_f64(p->rows, p->labels, p->logit, p->target, p->weight, noise, scale,
                                      gradient);
    return ich_loss_bce_f64(p->rows, p->labels, p->logit, p->target, p->weight, scale, gradient);
}

/* Floats, so that both precisions get the same numbers; every fifth label is unknown. */
static problem make(int rows, int labels, bool noisy) {
    problem p = {.rows = rows, .labels = labels, .count = rows * labels, .noisy = noisy};
    ich_rng rng = ich_rng_make(5, ICH_RNG_TEST, (uint64_t)p.count);
    for (int i = 0; i < p.count; i++) {
        p.logit[i] = (double)(4 * ich_rng_normal(&rng));
        p.target[i] = i % 5 == 4 ? NAN : (double)ich_rng_below(&rng, 2);
    }
    for (int l = 0; l < labels; l++) p.weight[l] = l ? 1 : 2;
    p.loss = loss_of(&p, p.gradient);
    return p;
}

/* As in layer_check.h: rounding of the differences, and what the series drops. */
static ich_layer_finding check_gradient(problem *p) {
    ich_layer_finding f = {.kernels = "double", .check = "gradient"};
    const double gamma = ich_gamma(p->count + ROUNDINGS, ICH_ROUNDOFF_F64);
    for (int i = 0; i < p->count; i++) {
        const double held = p->logit[i], h = step * fmax(1, fabs(held)), moves[4] = {h, -h, 2 * h, -2 * h};
        double at[4];
        for (int s = 0; s < 4; s++) {
            p->logit[i] = held + moves[s];
            at[s] = loss_of(p, NULL);
        }
        p->logit[i] = held;
        const double near = at[0] - at[1], numeric = (8 * near - (at[2] - at[3])) / (12 * h);
        const double rounding = 9 / (12 * h) * 2 * gamma * p->loss + gamma * fabs(p->gradient[i]);
        ich_layer_judge(&f, p->gradient[i], numeric, rounding + fabs(numeric - near / (2 * h)), "d logit", i);
    }
    return f;
}

static ich_layer_finding check_float(const problem *p) {
    ich_layer_finding f = {.kernels = "float", .check = "backward"};
    float logit[MOST], target[MOST], weight[ICH_LOSS_LABELS], gradient[MOST];
    for (int i = 0; i < p->count; i++) logit[i] = (float)p->logit[i], target[i] = (float)p->target[i];
    for (int l = 0; l < p->labels; l++) weight[l] = (float)p->weight[l];
    const double gamma = ich_gamma(ROUNDINGS, ICH_ROUNDOFF_F32);
    const double loss =
        p->noisy ? ich_loss_noisy_bce_f32(p->rows, p->labels, logit, target, weight, noise, scale, gradient)
                 : ich_loss_bce_f32(p->rows, p->labels, logit, target, weight, scale, gradient);
    ich_layer_judge(&f, loss, p->loss, gamma * p->loss, "loss", 0);
    for (int i = 0; i < p->count; i++)
        ich_layer_judge(&f, (double)gradient[i], p->gradient[i], gamma * fabs(p->gradient[i]) + 0x1p-126,
                        "d logit", i);
    return f;
}

void ich_loss_check(int rows, int labels, bool noisy, ich_layer_visit *visit, void *self) {
    problem p = make(rows, labels, noisy);
    const ich_layer_finding numerical = check_gradient(&p), in_float = check_float(&p);
    visit(self, &numerical);
    visit(self, &in_float);
}
