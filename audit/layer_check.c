#include "audit/layer_check.h"

#include "audit/sum_length.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What rounding leaves, about 1e-16 / h, and what the series leaves, about h⁴, are both small here. */
static const double step = 2e-4;

/* Of every result of a run in double: its value, its sensitivity; of every gradient: the numerical one. */
typedef struct measured {
    ich_layer_run *run;
    size_t results;            /* outputs, then gradients, tensor by tensor */
    double *value, *kappa;     /* [results] */
    double *numeric, *shorter; /* [results]; of outputs unused */
    double *above, *below;     /* [results], of the number at work */
} measured;

static size_t count_results(const ich_layer_run *run) {
    size_t n = run->out_count;
    for (int t = 0; t < run->n_tensors; t++) n += run->tensors[t].count;
    return n;
}

/* Place of tensor t's first gradient among the results. */
static size_t place_of(const ich_layer_run *run, int t) {
    size_t at = run->out_count;
    for (int i = 0; i < t; i++) at += run->tensors[i].count;
    return at;
}

static void pass(ich_layer_run *run, bool forward, double *results) {
    if (forward) ich_layer_run_forward(run);
    if (!run->c->inference) ich_layer_run_backward(run);
    memcpy(results, run->out, run->out_count * sizeof *results);
    for (int t = 0; t < run->n_tensors && !run->c->inference; t++)
        memcpy(results + place_of(run, t), run->tensors[t].gradient, run->tensors[t].count * sizeof *results);
}

static bool open_measured(measured *m, ich_layer_run *run, ich_error *err) {
    *m = (measured){.run = run, .results = count_results(run)};
    double *memory = ich_new(6 * m->results, sizeof *memory, "a gradient check", err);
    if (!memory) return false;
    double **const parts[] = {&m->value, &m->kappa, &m->numeric, &m->shorter, &m->above, &m->below};
    for (int i = 0; i < 6; i++) *parts[i] = memory + (size_t)i * m->results;
    return true;
}

static void close_measured(measured *m) { free(m->value); }

/* -- measuring ----------------------------------------------------------------------------------------- */

/* Both sides of *number, which is `kind`: a value, which forward reads, or a number of the probe. */
static void move(measured *m, double *number, double h, bool is_value) {
    const double held = *number;
    *number = held + h;
    pass(m->run, is_value, m->above);
    *number = held - h;
    pass(m->run, is_value, m->below);
    *number = held;
}

static double probed_difference(const measured *m) {
    double sum = 0;
    for (size_t i = 0; i < m->run->out_count; i++) sum += m->run->probe[i] * (m->above[i] - m->below[i]);
    return sum;
}

static void add_sensitivity(measured *m, double number, double h) {
    for (size_t r = 0; r < m->results; r++)
        m->kappa[r] += fabs((m->above[r] - m->below[r]) / (2 * h) * number);
}

static void measure_tensor(measured *m, int t) {
    ich_layer_tensor *tensor = &m->run->tensors[t];
    const size_t place = place_of(m->run, t);
    for (size_t i = 0; i < tensor->count; i++) {
        const double h = step * fmax(1, fabs(tensor->value[i]));
        move(m, &tensor->value[i], h, true);
        const double near = probed_difference(m);
        add_sensitivity(m, tensor->value[i], h);
        move(m, &tensor->value[i], 2 * h, true);
        m->numeric[place + i] = (8 * near - probed_difference(m)) / (12 * h);
        m->shorter[place + i] = near / (2 * h);
    }
}

/* Leaves the run as it was: forward and backward on its own numbers. */
static void measure(measured *m) {
    ich_layer_run *run = m->run;
    for (int t = 0; t < run->n_tensors; t++) measure_tensor(m, t);
    pass(run, true, m->value);
    for (size_t i = 0; i < run->out_count && !run->c->inference; i++) {
        const double h = step * fmax(1, fabs(run->probe[i]));
        move(m, &run->probe[i], h, false);
        add_sensitivity(m, run->probe[i], h);
    }
    pass(run, true, m->value);
    for (size_t r = 0; r < m->results; r++) m->kappa[r] += fabs(m->value[r]);
}

/* -- judging ------------------------------------------------------------------------------------------- */

void ich_layer_judge(ich_layer_finding *f, double got, double expected, double bound, const char *what,
                     size_t i) {
    const double error = fabs(got - expected);
    const double before = f->checked ? f->error / f->bound : -1;
    f->checked++;
    if (!(error <= bound)) f->wrong++;
    if (error / bound <= before) return; /* NaN goes on */
    f->error = error;
    f->bound = bound;
    f->got = got;
    f->expected = expected;
    snprintf(f->where, sizeof f->where, "%s[%zu]", what, i);
}

/* Σ |probe · κ(out)|: how large the sums behind a difference of f are. */
static double weight_of(const measured *m) {
    double sum = 0;
    for (size_t i = 0; i < m->run->out_count; i++) sum += fabs(m->run->probe[i]) * m->kappa[i];
    return sum;
}

static void judge_gradient(const measured *m, ich_layer_finding *f) {
    const ich_layer_run *run = m->run;
    const double forward = ich_gamma(ich_forward_roundings(run), ICH_ROUNDOFF_F64);
    const double backward = ich_gamma(ich_backward_roundings(run), ICH_ROUNDOFF_F64);
    const double weight = weight_of(m);
    *f = (ich_layer_finding){.c = run->c, .kernels = "double", .check = "gradient"};
    for (int t = 0; t < run->n_tensors; t++) {
        const ich_layer_tensor *tensor = &run->tensors[t];
        char what[80];
        snprintf(what, sizeof what, "d %s", tensor->name);
        for (size_t i = 0; tensor->wants && i < tensor->count; i++) {
            const size_t r = place_of(run, t) + i;
            const double h = step * fmax(1, fabs(tensor->value[i]));
            const double rounding = 9 / (12 * h) * 2 * forward * weight;
            const double series = fabs(m->numeric[r] - m->shorter[r]);
            ich_layer_judge(f, m->value[r], m->numeric[r], rounding + series + backward * m->kappa[r], what,
                            i);
        }
    }
}

bool ich_gradient_check(ich_layer_run *run, ich_layer_finding *finding, ich_error *err) {
    measured m;
    if (!open_measured(&m, run, err)) return false;
    measure(&m);
    judge_gradient(&m, finding);
    close_measured(&m);
    return true;
}

/* What is added to a gradient that accumulates, and taken off again, rounds too (layer_run.c). */
static const double already_there = 0.25;

static void judge_float(const measured *m, const ich_layer_run *run, double factors, ich_layer_finding *f,
                        bool outputs) {
    const double n = outputs ? ich_forward_roundings(run) : ich_backward_roundings(run);
    const double gamma = ich_gamma(n, ICH_ROUNDOFF_F32) + factors;
    const double tiny = 0x1p-126; /* below it floats lose digits */
    if (outputs)
        for (size_t i = 0; i < run->out_count; i++)
            ich_layer_judge(f, run->out[i], m->value[i], gamma * m->kappa[i] + tiny, "out", i);
    for (int t = 0; t < run->n_tensors && !outputs; t++) {
        const ich_layer_tensor *tensor = &run->tensors[t];
        char what[80];
        snprintf(what, sizeof what, "d %s", tensor->name);
        for (size_t i = 0; i < tensor->count; i++) {
            const size_t r = place_of(run, t) + i;
            ich_layer_judge(f, tensor->gradient[i], m->value[r], gamma * (m->kappa[r] + already_there) + tiny,
                            what, i);
        }
    }
}

/* `factors`: what the table rounds the factors of products by, beyond float. */
static bool check_float(const measured *m, const char *kernels, double factors, uint64_t seed,
                        ich_layer_visit *visit, void *self, ich_error *err) {
    ich_layer_run run;
    const ich_layer_case *c = m->run->c;
    bool done = ich_layer_run_init(&run, c, ICH_F32, ich_kernels_f32_named(kernels), seed, err);
    if (done) {
        ich_layer_run_forward(&run);
        if (!c->inference) ich_layer_run_backward(&run);
        for (int backward = 0; backward < (c->inference ? 1 : 2); backward++) {
            ich_layer_finding f = {.c = c, .kernels = kernels, .check = backward ? "backward" : "forward"};
            judge_float(m, &run, factors, &f, !backward);
            visit(self, &f);
        }
    }
    ich_layer_run_free(&run);
    return done;
}

bool ich_layer_check(const ich_layer_case *c, ich_layer_visit *visit, void *self, ich_error *err) {
    const uint64_t seed = ich_layer_run_smooth_seed(c);
    ich_layer_run run;
    measured m = {0};
    bool done = ich_layer_run_init(&run, c, ICH_F64, ich_kernels_f64_active(), seed, err);
    if (done && seed == 0)
        done = ich_fail(err,
                        "%s, %s: no random numbers keep all outputs away from relu's kink: fewer, or no relu",
                        c->op, c->what);
    if (done && ich_forward_roundings(&run) == 0)
        done = ich_fail(err, "op '%s' has no row in audit/sum_length.c: add one", c->op);
    done = done && open_measured(&m, &run, err);
    if (done) measure(&m);
    if (done && !c->inference) {
        ich_layer_finding f;
        judge_gradient(&m, &f);
        visit(self, &f);
    }
    for (const char *const *name = ich_kernels_available(); done && *name; name++)
        done = check_float(&m, *name, 0, seed, visit, self, err);
    for (const char *const *name = ich_kernels_available_bf16(); done && *name && ich_has_bf16(c->op); name++)
        done = check_float(&m, *name, ICH_ROUNDOFF_BF16, seed, visit, self, err);
    close_measured(&m);
    ich_layer_run_free(&run);
    return done;
}
