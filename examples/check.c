#include "check.h"

#include <ichor/tensor/rng.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool check_numbers(const char *layer, const char *what, size_t n, const double *got,
                   const double *expected, double tolerance) {
    double largest = 0, worst = -1;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < n; i++) {
        const double distance = fabs(got[i] - expected[i]);
        const double error = largest > 0 ? distance / largest : distance;
        if (error > worst || isnan(error)) worst = isnan(error) ? INFINITY : error, at = i;
    }
    if (worst <= tolerance) {
        printf("  right   %s: %s (%zu), worst relative error %.1e\n", layer, what, n, worst);
        return true;
    }
    char index[24] = "";
    if (n > 1) snprintf(index, sizeof index, "[%zu]", at);
    printf("  wrong   %s: %s%s is %.6g, should be %.6g: relative error %.1e, allowed %.0e\n",
           layer, what, index, got[at], expected[at], worst, tolerance);
    return false;
}

bool check_gradient(const char *layer, const char *what, size_t n, double *value,
                    const double *got, double (*loss)(void *self), void *self,
                    double tolerance) {
    const double h = 1e-3;
    double *numerical = malloc(n * sizeof *numerical);
    if (!numerical) return check_that(layer, what, false, "memory is out");
    for (size_t i = 0; i < n; i++) {
        const double v = value[i];
        double f[4];
        for (int k = 0; k < 4; k++) {
            value[i] = v + h * (double[]){-2, -1, 1, 2}[k];
            f[k] = loss(self);
        }
        value[i] = v;
        numerical[i] = (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h);
    }
    const bool kept = check_numbers(layer, what, n, got, numerical, tolerance);
    free(numerical);
    return kept;
}

bool check_layer(const ich_layer_case *c, void (*backward)(const ich_call *)) {
    ich_error err = {0};
    ich_layer_run run;
    ich_layer_finding f = {0};
    bool done = ich_layer_run_init(&run, c, ICH_F64, ich_kernels_f64_active(), 1, &err);
    if (done) {
        ich_layer mine = *run.layer;
        mine.backward = backward;
        run.layer = &mine;
        done = ich_gradient_check(&run, &f, &err);
    }
    ich_layer_run_free(&run);
    if (!done) return check_that(c->op, c->what, false, err.text);
    const double error =
        isfinite(f.got) ? f.error / fmax(fabs(f.got), fabs(f.expected)) : INFINITY;
    if (f.wrong == 0)
        printf("  right   %s, %s: %zu numbers, worst relative error %.1e\n", c->op, c->what,
               f.checked, error);
    else
        printf("  wrong   %s, %s: %zu of %zu numbers; %s is %.6g, numerical gradient %.6g: "
               "relative error "
               "%.1e\n",
               c->op, c->what, f.wrong, f.checked, f.where, f.got, f.expected, error);
    return f.wrong == 0;
}

bool check_that(const char *layer, const char *what, bool kept, const char *text) {
    if (kept)
        printf("  right   %s: %s\n", layer, what);
    else
        printf("  wrong   %s: %s: %s\n", layer, what, text);
    return kept;
}

void check_draw(unsigned long long seed, size_t n, double *out, double lo, double hi) {
    ich_rng rng = ich_rng_make(seed, ICH_RNG_TEST, 0);
    for (size_t i = 0; i < n; i++) out[i] = lo + (hi - lo) * (double)ich_rng_uniform(&rng);
}

int check_end(bool all) {
    printf(all ? "All right.\n" : "Not yet: see the lines marked wrong.\n");
    return all ? 0 : 1;
}
