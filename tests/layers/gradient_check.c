#include "gradient_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What rounding leaves, about 1e-16 / h, and what the series leaves, about h⁴, are both small here. */
static const double step = 2e-4;

/* Σ probe · (out at value + delta - out at value - delta) */
static double difference(layer_run *run, double *value, double delta, double *above) {
    double held = *value, sum = 0;
    *value = held + delta;
    layer_run_forward(run);
    memcpy(above, run->out, run->out_count * sizeof *above);
    *value = held - delta;
    layer_run_forward(run);
    for (size_t i = 0; i < run->out_count; i++) sum += run->probe[i] * (above[i] - run->out[i]);
    *value = held;
    return sum;
}

static double largest(size_t n, const double *a, const double *b) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fmax(fabs(a[i]), fabs(b[i])));
    return most;
}

static void check_tensor(layer_run *run, const layer_tensor *t, double bound, double *above,
                         gradient_result *result) {
    double *numeric = malloc(t->count * sizeof *numeric);
    assert_non_null(numeric);
    for (size_t i = 0; i < t->count; i++) {
        double h = step * fmax(1, fabs(t->value[i]));
        double near = difference(run, &t->value[i], h, above);
        double far = difference(run, &t->value[i], 2 * h, above);
        numeric[i] = (8 * near - far) / (12 * h);
    }
    double floor = fmax(1e-4 * largest(t->count, t->gradient, numeric), 1e-5);
    int reported = 0;
    for (size_t i = 0; i < t->count; i++) {
        double scale = fmax(fmax(fabs(t->gradient[i]), fabs(numeric[i])), floor);
        double error = fabs(t->gradient[i] - numeric[i]) / scale;
        result->checked++;
        if (!(error <= result->worst)) result->worst = error;
        if (error <= bound) continue; /* NaN goes on */
        result->wrong++;
        if (reported++ < GRADIENT_REPORTS)
            print_error("%s (%s): d %s[%zu]: backward %.12g, numerical %.12g, relative error %.2g\n",
                        run->c->op, run->c->what, t->name, i, t->gradient[i], numeric[i], error);
    }
    free(numeric);
}

gradient_result gradient_check_run(layer_run *run, double bound) {
    gradient_result result = {0};
    double *above = malloc(run->out_count * sizeof *above);
    assert_non_null(above);
    layer_run_forward(run);
    layer_run_backward(run);
    for (int i = 0; i < run->n_tensors; i++)
        if (run->tensors[i].wants) check_tensor(run, &run->tensors[i], bound, above, &result);
    free(above);
    return result;
}

gradient_result gradient_check(const layer_case *c, double bound) {
    layer_run run;
    layer_run_init(&run, c, ICH_F64, ich_kernels_f64_active(), layer_run_smooth_seed(c));
    gradient_result result = gradient_check_run(&run, bound);
    layer_run_free(&run);
    return result;
}
