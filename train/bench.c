/* The same exec and optimizer as in training, fed with noise. Memory is read from /proc, where the system's
 * own peak can be set back. */
#include "train/bench.h"

#include "data/labels.h"
#include "infer/model.h"
#include "layers/exec.h"
#include "layers/loss.h"
#include "optim/optimizer.h"
#include "tensor/rng.h"
#include "tensor/team.h"
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 2, MIN_STEPS = 3 };

typedef struct bench_state {
    ich_model model;
    ich_exec *exec;
    ich_optimizer optimizer;
    float *images, *gradients, *targets;
} bench_state;

/* -- memory -------------------------------------------------------------------------------------------- */

/* A line of /proc/self/status such as "VmHWM:     1234 kB", in KiB; 0 where the system has no such file. */
static long status_kib(const char *key) {
    FILE *status = fopen("/proc/self/status", "r");
    if (status == NULL) return 0;
    char line[256];
    long kib = 0;
    while (kib == 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) kib = strtol(line + strlen(key), NULL, 10);
    }
    fclose(status);
    return kib;
}

/* Lowers the recorded peak to what is held now, so that nothing before the model counts (proc(5)). */
static void reset_peak(void) {
    FILE *refs = fopen("/proc/self/clear_refs", "w");
    if (refs == NULL) return; /* an old or locked kernel: the peak then includes the start of the program */
    fputs("5", refs);
    fclose(refs);
}

/* -- a step -------------------------------------------------------------------------------------------- */

static void close_bench(bench_state *state) {
    ich_exec_free(state->exec);
    ich_optimizer_free(&state->optimizer);
    free(state->images);
    free(state->gradients);
    free(state->targets);
    ich_model_free(&state->model);
}

static size_t pixels_of(const ich_bench *bench, const bench_state *state) {
    return (size_t)bench->batch * ich_shape_count(state->model.graph.nodes[state->model.input].shape);
}

static void fill_random(const ich_bench *bench, bench_state *state) {
    const size_t pixels = pixels_of(bench, state);
    ich_rng rng = ich_rng_make(0, ICH_RNG_TEST, 0);
    for (size_t i = 0; i < pixels; i++) state->images[i] = ich_rng_range(&rng, -2, 2);
    for (int i = 0; i < bench->batch * ICH_LABELS; i++) state->targets[i] = (float)ich_rng_below(&rng, 2);
}

static bool open_bench(const ich_bench *bench, bench_state *state, ich_error *err) {
    ich_recipe recipe;
    ich_recipe_default(&recipe, ICH_FOR_PRETRAIN);
    char size[16];
    snprintf(size, sizeof size, "%d", bench->size);
    if (!ich_recipe_set(&recipe, "arch", bench->arch, "--arch", err) ||
        !ich_recipe_set(&recipe, "size", size, "--size", err) ||
        !ich_model_create(&state->model, &recipe, true, false, err)) {
        return false;
    }
    const ich_exec_options options = {.inputs = {state->model.input},
                                      .n_inputs = 1,
                                      .outputs = {state->model.fc},
                                      .n_outputs = 1,
                                      .max_rows = bench->batch,
                                      .gradient = bench->train,
                                      .batch_statistics = bench->train,
                                      .pack_on_use = bench->train,
                                      .training = bench->train};
    const ich_graph *graph = &state->model.graph;
    state->exec = ich_exec_create(graph, &options, err);
    state->targets = ich_new((size_t)bench->batch, ICH_LABELS * sizeof(float), "targets", err);
    state->images = ich_new(pixels_of(bench, state), sizeof(float), "images", err);
    if (state->exec == NULL || state->targets == NULL || state->images == NULL) return false;
    if (bench->train) {
        state->gradients = ich_new(graph->n_values, sizeof(float), "gradients", err);
        if (state->gradients == NULL) return false;
        if (!ich_optimizer_init(&state->optimizer, ICH_ADAMW, graph, 0, err)) return false;
    }
    ich_exec_bind(state->exec, state->model.values, state->gradients);
    ich_exec_prepare(state->exec);
    fill_random(bench, state);
    return true;
}

static void step(const ich_bench *bench, bench_state *state) {
    /* Filled anew each time, as in real work: the plan reuses the input's memory. */
    memcpy(ich_exec_value(state->exec, state->model.input), state->images,
           pixels_of(bench, state) * sizeof(float));
    ich_exec_forward(state->exec, bench->batch, 0, NULL);
    if (!bench->train) return;
    const ich_graph *graph = &state->model.graph;
    const double lr[ICH_GROUPS] = {1e-6, 1e-6};
    memset(state->gradients, 0, graph->n_values * sizeof(float));
    ich_loss_bce_f32(bench->batch, ICH_LABELS, ich_exec_value(state->exec, state->model.fc), state->targets,
                     ich_label_weights, 1.0 / (7 * bench->batch),
                     ich_exec_gradient(state->exec, state->model.fc));
    ich_exec_backward(state->exec);
    ich_optimizer_step(&state->optimizer, graph, lr, state->gradients, state->model.values);
    ich_exec_prepare(state->exec);
}

static double measure(const ich_bench *bench, bench_state *state) {
    for (int i = 0; i < WARM_UP; i++) step(bench, state);
    const double start = ich_seconds();
    double elapsed = 0;
    int steps = 0;
    while (steps < MIN_STEPS || elapsed < bench->seconds) {
        step(bench, state);
        steps++;
        elapsed = ich_seconds() - start;
    }
    return (double)steps * bench->batch / elapsed;
}

bool ich_bench_model(const ich_bench *bench, FILE *out, ich_error *err) {
    if (bench->batch < 1 || bench->batch > 4096) {
        return ich_fail(err, "bench: a batch of %d is out of range: choose 1 to 4096", bench->batch);
    }
    ich_kernels_f32_active(); /* checks BLAS, which is no part of the model */
    reset_peak();
    const long before = status_kib("VmRSS:");
    bench_state state = {0};
    const bool done = open_bench(bench, &state, err);
    if (done) {
        const double rate = measure(bench, &state);
        const double rss = (double)(status_kib("VmHWM:") - before) / 1024;
        fprintf(out, "arch,mode,batch,size,threads,images_per_second,rss_mib\n");
        fprintf(out, "%s,%s,%d,%d,%d,%.2f,%.1f\n", bench->arch, bench->train ? "train" : "infer",
                bench->batch, bench->size, ich_team_size(), rate, rss);
    }
    close_bench(&state);
    return done;
}
