/* Findings of all kinds become rows of one table; without --op, those of one op, check and table are one row
 * that shows the worst. */
#include "audit/ops.h"

#include "audit/kernel_problem.h"
#include "audit/layer_cases.h"
#include "audit/layer_check.h"
#include "audit/loss_check.h"
#include "audit/typed_shape.h"
#include "data/csv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
    char op[32], check[32], shape[200], where[100];
    const char *kernels, *mistake;
    size_t cases, checked;
    double error, bound, share;
} row;

typedef struct audit {
    const ich_ops_options *options;
    row *rows;
    size_t n_rows, room;
    char shape[200]; /* of the case at work */
    const char *op;
    ich_error error; /* sticky */
    ich_error left_out;
} audit;

/* -- rows ---------------------------------------------------------------------------------------------- */

static row *same_row(audit *a, const row *r) {
    for (size_t i = 0; i < a->n_rows && !a->options->op; i++)
        if (!strcmp(a->rows[i].op, r->op) && !strcmp(a->rows[i].check, r->check) &&
            !strcmp(a->rows[i].kernels, r->kernels))
            return &a->rows[i];
    return NULL;
}

static bool stopped(const audit *a) { return a->options->stop && *a->options->stop; }

static void add(audit *a, const row *r) {
    row *old = same_row(a, r);
    if (old) {
        const size_t cases = old->cases + r->cases, checked = old->checked + r->checked;
        if (r->share > old->share || (r->mistake && !old->mistake)) *old = *r;
        old->cases = cases;
        old->checked = checked;
        return;
    }
    if (a->n_rows == a->room) {
        const size_t room = a->room ? 2 * a->room : 64;
        row *more = realloc(a->rows, room * sizeof *more);
        if (!more) {
            ich_fail(&a->error, "no memory for %zu rows", room);
            return;
        }
        a->rows = more;
        a->room = room;
    }
    a->rows[a->n_rows++] = *r;
}

static double share_of(double error, double bound) {
    return error == 0 ? 0 : bound > 0 ? error / bound : INFINITY;
}

/* "conv2d forward" is op conv2d, check "kernel forward". */
static void add_kernel(void *self, const ich_kernel_finding *f) {
    audit *a = self;
    const size_t length = strcspn(f->problem->kernel, " ");
    row r = {.kernels = f->kernels,
             .mistake = f->mistake,
             .cases = 1,
             .checked = f->checked,
             .error = f->error,
             .bound = f->bound,
             .share = share_of(f->error, f->bound)};
    snprintf(r.op, sizeof r.op, "%.*s", (int)length, f->problem->kernel);
    snprintf(r.check, sizeof r.check, "kernel%s", f->problem->kernel + length);
    snprintf(r.shape, sizeof r.shape, "%s", f->problem->what);
    snprintf(r.where, sizeof r.where, "%s", f->where);
    if (!stopped(a)) add(a, &r);
}

static void add_layer(void *self, const ich_layer_finding *f) {
    audit *a = self;
    row r = {.kernels = f->kernels,
             .mistake = f->wrong ? "is beyond its bound" : NULL,
             .cases = 1,
             .checked = f->checked,
             .error = f->error,
             .bound = f->bound,
             .share = share_of(f->error, f->bound)};
    snprintf(r.op, sizeof r.op, "%s", a->op);
    snprintf(r.check, sizeof r.check, "%s", f->check);
    snprintf(r.shape, sizeof r.shape, "%s", a->shape);
    snprintf(r.where, sizeof r.where, "%s", f->where);
    add(a, &r);
}

/* -- cases --------------------------------------------------------------------------------------------- */

/* "5x7x3 + 5x7x3, slices 4 1 3: two directions" */
static void describe(const ich_layer_case *c, char text[200]) {
    int used = 0, inputs = ich_layers(ICH_F32)[ich_layer_index(c->op)]->inputs;
    for (int i = 0; i < inputs; i++)
        used += snprintf(text + used, 200 - (size_t)used, "%s%d x %d x %d", i ? " + " : "", c->in[i].h,
                         c->in[i].w, c->in[i].c);
    used += snprintf(text + used, 200 - (size_t)used, ", slices");
    for (int s = 0; s < ICH_CASE_STUDIES && c->lengths[s]; s++)
        used += snprintf(text + used, 200 - (size_t)used, " %d", c->lengths[s]);
    if (*c->what) snprintf(text + used, 200 - (size_t)used, ": %s", c->what);
}

/* Is this case asked for? Remembers it as the one at work. */
static bool begin(audit *a, const char *op, const char *shape) {
    const ich_ops_options *o = a->options;
    if (stopped(a) || a->error.text[0] || (o->op && strcmp(o->op, op) != 0)) return false;
    if (o->shape && !strstr(shape, o->shape)) return false;
    a->op = op;
    snprintf(a->shape, sizeof a->shape, "%s", shape);
    return true;
}

static void try_layers(audit *a) {
    for (const ich_layer_case *c = ich_small_cases; c->op; c++) {
        char shape[200];
        describe(c, shape);
        if (begin(a, c->op, shape)) ich_layer_check(c, add_layer, a, &a->error);
    }
}

static void try_losses(audit *a) {
    static const int shapes[][2] = {{1, 1}, {1, 6}, {3, 5}, {7, 6}};
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        char shape[200];
        const int *s = shapes[i / 2];
        const bool noisy = i % 2;
        snprintf(shape, sizeof shape, "%d x %d", s[0], s[1]);
        if (begin(a, noisy ? "noisy_loss" : "loss", shape)) ich_loss_check(s[0], s[1], noisy, add_layer, a);
    }
}

/* -- a shape that somebody typed ------------------------------------------------------------------------ */

/* The layer, its numerical gradient included, if that does not take hours. */
static void try_typed_layer(audit *a, const ich_typed_shape *typed) {
    static const double most = 5e10;
    ich_layer_case c;
    if (!ich_typed_layer(typed, &c, &a->error)) return;
    const double operations = ich_layer_check_operations(&c);
    describe(&c, a->shape);
    if (operations <= most)
        ich_layer_check(&c, add_layer, a, &a->left_out);
    else
        ich_fail(&a->left_out,
                 "%s: no numerical gradient: %.2g operations, and it is given %.2g: make the shape smaller",
                 a->op, operations, most);
}

static void try_typed(audit *a) {
    ich_typed_shape typed;
    a->op = a->options->op;
    if (!ich_typed_parse(&typed, a->op, a->options->shape, &a->error)) return;
    const bool noisy = !strcmp(a->op, "noisy_loss");
    if (noisy || !strcmp(a->op, "loss")) {
        snprintf(a->shape, sizeof a->shape, "%s", typed.text);
        ich_loss_check(ich_typed_get(&typed, "n"), ich_typed_get(&typed, "labels"), noisy, add_layer, a);
    }
    try_typed_layer(a, &typed);
    if (!a->error.text[0]) ich_kernel_typed(a->op, &typed, add_kernel, a, &a->error);
    if (!a->error.text[0] && a->n_rows == 0) a->error = a->left_out;
}

static void try_known(audit *a) {
    try_layers(a);
    try_losses(a);
    if (!a->error.text[0] && !stopped(a))
        ich_kernel_cases(a->options->op, a->options->shape, add_kernel, a, &a->error);
}

/* -- the table ----------------------------------------------------------------------------------------- */

static void print(const audit *a, FILE *out, ich_ops_result *result) {
    fputs("op,check,kernels,cases,checked,worst_error,bound,share,shape,where\n", out);
    *result = (ich_ops_result){.rows = a->n_rows, .left_out = a->left_out};
    for (size_t i = 0; i < a->n_rows; i++) {
        const row *r = &a->rows[i];
        fprintf(out, "%s,%s,%s,%zu,%zu,%.3g,%.3g,%.3g,", r->op, r->check, r->kernels, r->cases, r->checked,
                r->error, r->bound, r->share);
        ich_csv_put(out, r->shape, ',');
        ich_csv_put(out, r->where, '\n');
        if (!r->mistake || result->broken++) continue;
        snprintf(result->first, sizeof result->first, "%s, %s, %s kernels, %.60s, %.40s: %s", r->op, r->check,
                 r->kernels, r->shape, r->where, r->mistake);
    }
}

bool ich_ops_audit(const ich_ops_options *options, FILE *out, ich_ops_result *result, ich_error *err) {
    audit a = {.options = options};
    if (ich_shape_is_typed(options->shape))
        try_typed(&a);
    else
        try_known(&a);
    bool done = !a.error.text[0] || ich_fail(err, "%s", a.error.text);
    if (done && stopped(&a)) done = ich_fail(err, "stopped before every op was tried");
    if (done && a.n_rows == 0)
        done = ich_fail(err, "there is no op '%s' with a case '%s': without both, the table names them all",
                        options->op ? options->op : "", options->shape ? options->shape : "");
    if (done) print(&a, out, result);
    free(a.rows);
    return done;
}
