/* One row after another: a graph of one layer, an exec for it, the clock, and the reference for its error. */
#include "train/bench_ops.h"

#include "data/labels.h"
#include "layers/exec.h"
#include "layers/zoo.h"
#include "tensor/rng.h"
#include "tensor/team.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TIMES = 2000, LEAST_TIMES = 3, MOST_SEEN = 1024, ROW = 320 };

/* One direction of one layer. */
typedef enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, DIRECTIONS } direction;
static const char *const direction_names[DIRECTIONS] = {"forward", "backward_data", "backward_weights"};

/* A node of a model in a graph of its own. */
typedef struct single {
    ich_graph graph;
    const ich_layer *layer;
    ich_attr attr;
    ich_shape in[ICH_MAX_INPUTS];
    int inputs[ICH_MAX_INPUTS], node;
    bool per_study; /* it needs offsets */
    char shape[160];
} single;

/* What is measured: a single node on some kernels, with numbers in its values and gradients. */
typedef struct run {
    ich_exec *exec;
    float *values, *gradients;
    int rows, offsets[2];
    const single *s;
    direction direction;
} run;

/* -- the peak ------------------------------------------------------------------------------------------ */

/* Multiply-adds a second on all threads, twice as many operations. */
static double peak_flops(const ich_kernels_f32 *kernels) {
    enum { ROUNDS = 400000 };
    double done = 0;
    const double from = ich_seconds();
#pragma omp parallel reduction(+ : done)
    {
        _Alignas(64) float sink[2] = {0};
        done += kernels->multiply_add_peak(ROUNDS, sink);
    }
    return 2 * done / (ich_seconds() - from);
}

/* -- a node by itself ---------------------------------------------------------------------------------- */

static void describe(single *s, int rows) {
    const ich_attr *a = &s->attr;
    int n = snprintf(s->shape, sizeof s->shape, "%dx%dx%dx%d", rows, s->in[0].h, s->in[0].w, s->in[0].c);
    const ich_shape out = s->graph.nodes[s->node].shape;
    if (a->kernel)
        n += snprintf(s->shape + n, sizeof s->shape - (size_t)n, " k%d s%d%s", a->kernel,
                      a->stride ? a->stride : 1, a->groups > 1 ? " grouped" : "");
    snprintf(s->shape + n, sizeof s->shape - (size_t)n, " -> %dx%dx%d", out.h, out.w, out.c);
}

static bool isolate(single *s, const ich_graph *from, int index, int rows, ich_error *err) {
    const ich_node *node = &from->nodes[index];
    memset(s, 0, sizeof *s);
    ich_graph_init(&s->graph);
    s->layer = ich_layers(ICH_F32)[node->op];
    s->attr = node->attr;
    s->per_study = node->domain == ICH_PER_STUDY || !strcmp(s->layer->op, "lstm") ||
                   !strcmp(s->layer->op, "attention"); /* mix the slices of a study */
    static const char *const names[ICH_MAX_INPUTS] = {"a", "b", "c"};
    for (int i = 0; i < node->n_inputs; i++) {
        s->in[i] = from->nodes[node->inputs[i]].shape;
        s->inputs[i] = ich_graph_input(&s->graph, names[i], s->in[i]);
    }
    s->node = node->n_inputs == 2
                  ? ich_graph_add2(&s->graph, s->layer->op, "it", s->attr, s->inputs[0], s->inputs[1])
                  : ich_graph_add(&s->graph, s->layer->op, "it", s->attr, s->inputs[0]);
    if (s->node < 0) return ich_fail(err, "%s", s->graph.error.text);
    describe(s, rows);
    return true;
}

static void close_run(run *r) {
    ich_exec_free(r->exec);
    free(r->values);
    free(r->gradients);
}

static void fill(float *to, size_t n, uint64_t stream) {
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, stream);
    for (size_t i = 0; i < n; i++) to[i] = ich_rng_range(&rng, -1, 1);
}

static size_t out_count(const run *r) {
    const ich_node *node = &r->s->graph.nodes[r->s->node];
    return (size_t)(node->domain == ICH_PER_STUDY ? 1 : r->rows) * ich_shape_count(node->shape);
}

/* Inputs, parameters and, for backward, the output's gradient; forward runs once, for what backward needs. */
static bool open_run(run *r, const single *s, direction way, int rows, const ich_kernels_f32 *kernels,
                     ich_error *err) {
    const ich_graph *graph = &s->graph;
    *r = (run){.rows = rows, .offsets = {0, rows}, .s = s, .direction = way};
    ich_exec_options options = {.outputs = {s->node},
                                .n_inputs = s->layer->inputs,
                                .n_outputs = 1,
                                .max_rows = rows,
                                .max_studies = s->per_study ? 1 : 0,
                                .gradient = way != FORWARD,
                                .input_gradient = way == BACKWARD_DATA,
                                .frozen_params = way == BACKWARD_DATA,
                                .batch_statistics = true,
                                .training = true,
                                .kernels = kernels};
    memcpy(options.inputs, s->inputs, sizeof s->inputs);
    r->exec = ich_exec_create(graph, &options, err);
    r->values = ich_new(graph->n_values + 16, sizeof(float), "parameters", err);
    r->gradients = ich_new(graph->n_values + 16, sizeof(float), "gradients", err);
    if (!r->exec || !r->values || !r->gradients) return false;
    ich_graph_initialize(graph, 1, r->values);
    ich_exec_bind(r->exec, r->values, r->gradients);
    ich_exec_prepare(r->exec);
    for (int i = 0; i < s->layer->inputs; i++)
        fill(ich_exec_value(r->exec, s->inputs[i]), (size_t)rows * ich_shape_count(s->in[i]), (uint64_t)i);
    ich_exec_forward(r->exec, rows, s->per_study, s->per_study ? r->offsets : NULL);
    return true;
}

static void work(run *r) {
    if (r->direction == FORWARD)
        ich_exec_forward(r->exec, r->rows, r->s->per_study, r->s->per_study ? r->offsets : NULL);
    else
        ich_exec_backward(r->exec);
}

/* Backward may overwrite the gradient it starts from, so each repetition gets it anew, unmeasured. */
static void refill(run *r, const float *gradient) {
    if (r->direction == FORWARD) return;
    memcpy(ich_exec_gradient(r->exec, r->s->node), gradient, out_count(r) * sizeof *gradient);
}

/* -- time ---------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(run *r, const float *gradient, double seconds) {
    static double times[MOST_TIMES];
    int n = 0;
    refill(r, gradient);
    work(r); /* warms up */
    for (double spent = 0; n < MOST_TIMES && (n < LEAST_TIMES || spent < seconds); n++) {
        refill(r, gradient);
        const double from = ich_seconds();
        work(r);
        spent += times[n] = ich_seconds() - from;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    return times[n / 2];
}

/* -- error --------------------------------------------------------------------------------------------- */

/* What a direction computes: the output, the inputs' gradients, or the parameters'. */
static const float *result(run *r, int part, size_t *count) {
    const single *s = r->s;
    if (r->direction == FORWARD) {
        *count = part ? 0 : out_count(r);
        return ich_exec_value(r->exec, s->node);
    }
    if (r->direction == BACKWARD_WEIGHTS) {
        *count = part ? 0 : s->graph.n_values;
        return r->gradients;
    }
    *count = part < s->layer->inputs ? (size_t)r->rows * ich_shape_count(s->in[part]) : 0;
    return *count ? ich_exec_gradient(r->exec, s->inputs[part]) : NULL;
}

static double worst_error(run *fast, run *plain) {
    double worst = 0, largest = 0;
    for (int part = 0; part < ICH_MAX_INPUTS; part++) {
        size_t n, same;
        const float *a = result(fast, part, &n), *b = result(plain, part, &same);
        for (size_t i = 0; i < n; i++) {
            worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
            largest = fmax(largest, fabs((double)b[i]));
        }
    }
    return largest > 0 ? worst / largest : worst;
}

/* One image, or the whole study, by the kernels and by the reference. */
static bool compare(const single *s, direction way, int rows, const ich_kernels_f32 *kernels, double *error,
                    ich_error *err) {
    run fast = {0}, plain = {0};
    bool done = open_run(&fast, s, way, rows, kernels, err) &&
                open_run(&plain, s, way, rows, ich_kernels_f32_named("reference"), err);
    float *gradient = done ? ich_new(out_count(&fast), sizeof *gradient, "a gradient", err) : NULL;
    done = done && gradient;
    if (done) {
        run *const both[] = {&fast, &plain};
        fill(gradient, out_count(&fast), 9);
        for (int i = 0; i < 2; i++) {
            refill(both[i], gradient);
            work(both[i]);
        }
        *error = worst_error(&fast, &plain);
    }
    free(gradient);
    close_run(&fast);
    close_run(&plain);
    return done;
}

/* -- a row --------------------------------------------------------------------------------------------- */

static double flops_of(const single *s, int rows) {
    const ich_shape out = s->graph.nodes[s->node].shape;
    const int64_t macs =
        s->layer->macs ? s->layer->macs(&s->attr, s->in, &out) : (int64_t)ich_shape_count(out);
    return 2.0 * (double)macs * rows;
}

/* Inputs and output once; backward also reads or writes as many gradients. */
static double bytes_of(const single *s, direction way, int rows) {
    double elements = (double)ich_shape_count(s->graph.nodes[s->node].shape);
    for (int i = 0; i < s->layer->inputs; i++) elements += (double)ich_shape_count(s->in[i]);
    return elements * rows * sizeof(float) +
           (way == FORWARD ? 1 : 2) * (double)s->graph.n_values * sizeof(float);
}

static bool measure(const ich_bench_ops *bench, const single *s, direction way, int rows,
                    const ich_kernels_f32 *kernels, FILE *out, ich_error *err) {
    run r = {0};
    double error = 0;
    bool done = compare(s, way, s->per_study ? rows : 1, kernels, &error, err) &&
                open_run(&r, s, way, rows, kernels, err);
    float *gradient = done ? ich_new(out_count(&r), sizeof *gradient, "a gradient", err) : NULL;
    done = done && gradient;
    if (done) {
        fill(gradient, out_count(&r), 9);
        double peak = peak_flops(kernels);
        const double seconds = median_seconds(&r, gradient, bench->seconds);
        peak = fmax(peak, peak_flops(kernels));
        const double flops = flops_of(s, rows) / seconds;
        fprintf(out, "%s,%s,%s,%.4f,%.2f,%.1f,%.2e,%.2f,%s\n", s->layer->op, s->shape, direction_names[way],
                1e3 * seconds, 1e-9 * flops, 100 * flops / peak, error,
                1e-9 * bytes_of(s, way, rows) / seconds, kernels->name);
        fflush(out);
    }
    free(gradient);
    close_run(&r);
    return done;
}

/* -- the models ---------------------------------------------------------------------------------------- */

/* The table without Winograd's algorithm, where that makes a difference for this node; else NULL. */
static const ich_kernels_f32 *other_algorithm(const single *s, const ich_kernels_f32 *kernels) {
    char name[40];
    snprintf(name, sizeof name, "%s-direct", kernels->name);
    const ich_kernels_f32 *direct = ich_kernels_f32_named(name);
    if (!direct || !s->layer->prepared) return NULL;
    ich_call call = {.attr = &s->attr,
                     .rows = 1,
                     .n_inputs = 1,
                     .in_shape = {s->in[0]},
                     .out_shape = s->graph.nodes[s->node].shape,
                     .kernels = kernels};
    const size_t bytes = s->layer->prepared(&call);
    call.kernels = direct;
    return s->layer->prepared(&call) == bytes ? NULL : direct;
}

typedef struct seen { /* rows that are done: models share many */
    char rows[MOST_SEEN][ROW];
    int n;
} seen;

/* Whether the filter asks for this row and nobody did before. */
static bool is_new(const ich_bench_ops *bench, seen *all, const single *s, direction way,
                   const ich_kernels_f32 *kernels) {
    char row[ROW];
    snprintf(row, sizeof row, "%s,%s,%s,%s", s->layer->op, s->shape, direction_names[way], kernels->name);
    if (all->n == MOST_SEEN || (bench->filter && !strstr(row, bench->filter))) return false;
    for (int i = 0; i < all->n; i++)
        if (!strcmp(all->rows[i], row)) return false;
    memcpy(all->rows[all->n++], row, sizeof row);
    return true;
}

static bool bench_node(const ich_bench_ops *bench, const ich_graph *graph, int node, seen *all, FILE *out,
                       ich_error *err) {
    const int rows = graph->nodes[node].group == ICH_GROUP_HEAD ? bench->slices : bench->batch;
    const ich_kernels_f32 *active = ich_kernels_f32_active();
    single s;
    bool done = isolate(&s, graph, node, rows, err);
    const ich_kernels_f32 *const tables[] = {active, done ? other_algorithm(&s, active) : NULL};
    for (int t = 0; t < 2; t++) {
        for (direction way = FORWARD; tables[t] && way < DIRECTIONS; way++) {
            if (way == BACKWARD_WEIGHTS && s.graph.n_params == 0) continue;
            if (!done || (bench->stop && *bench->stop) || !is_new(bench, all, &s, way, tables[t])) continue;
            done = measure(bench, &s, way, rows, tables[t], out, err);
        }
    }
    ich_graph_free(&s.graph);
    return done;
}

static bool bench_model(const ich_bench_ops *bench, const char *arch, seen *all, FILE *out, ich_error *err) {
    const ich_study_head head = {.hidden = 128, .attention = 128, .heads = 1, .gated = true};
    ich_graph graph;
    ich_graph_init(&graph);
    const int features = ich_zoo_cnn(&graph, arch, bench->size, 3);
    ich_zoo_study_head(&graph, features, &head, ICH_LABELS);
    bool done = graph.error.text[0] == 0 || ich_fail(err, "%s", graph.error.text);
    for (int n = 0; done && n < graph.n_nodes; n++)
        if (graph.nodes[n].op >= 0) done = bench_node(bench, &graph, n, all, out, err);
    ich_graph_free(&graph);
    return done;
}

bool ich_bench_ops_run(const ich_bench_ops *bench, FILE *out, ich_error *err) {
    seen *all = ich_new(1, sizeof *all, "the list of rows", err);
    bool done = all != NULL;
    fprintf(
        out,
        "op,shape,direction,milliseconds,gflops,percent_of_peak,max_error,gigabytes_per_second,kernels\n");
    for (int i = 0; done && ich_zoo_arch(i); i++) done = bench_model(bench, ich_zoo_arch(i), all, out, err);
    free(all);
    return done;
}
