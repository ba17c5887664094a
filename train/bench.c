/* The same exec and optimizer as in training, fed with noise. Memory is read from /proc, where the system's
 * own peak can be set back. */
#include "train/bench.h"

#include "data/labels.h"
#include "data/recipe.h"
#include "layers/exec.h"
#include "layers/loss.h"
#include "layers/zoo.h"
#include "optim/optimizer.h"
#include "tensor/rng.h"
#include "tensor/team.h"
#include <stdlib.h>
#include <string.h>

enum { WARM_UP = 2, MIN_STEPS = 3 };

typedef struct bench_state {
    ich_graph graph;
    float *values, *gradients; /* of the parameters */
    int input, output;         /* nodes */
    int rows, studies;         /* of the output: images, or the one study whose slices the rows are */
    int offsets[2];
    ich_exec *exec;
    ich_optimizer optimizer;
    float *images, *targets;
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
    free(state->values);
    ich_graph_free(&state->graph);
}

static size_t pixels_of(const ich_bench *bench, const bench_state *state) {
    return (size_t)bench->batch * ich_shape_count(state->graph.nodes[state->input].shape);
}

static void fill_random(const ich_bench *bench, bench_state *state) {
    const size_t pixels = pixels_of(bench, state);
    ich_rng rng = ich_rng_make(0, ICH_RNG_TEST, 0);
    for (size_t i = 0; i < pixels; i++) state->images[i] = ich_rng_range(&rng, -2, 2);
    for (int i = 0; i < state->rows * ICH_LABELS; i++) state->targets[i] = (float)ich_rng_below(&rng, 2);
}

/* A CNN with its image head, or the study head by itself on made-up features. */
static bool build(const ich_bench *bench, bench_state *state, ich_error *err) {
    ich_graph *graph = &state->graph;
    ich_graph_init(graph);
    if (strcmp(bench->arch, ICH_BENCH_HEAD) == 0) {
        const ich_study_head head = {.hidden = 128, .attention = 128, .heads = 1, .gated = true};
        state->input = ich_graph_input(graph, "features", (ich_shape){1, 1, bench->size});
        state->output = ich_zoo_study_head(graph, state->input, &head, ICH_LABELS);
        state->rows = state->studies = 1;
        state->offsets[1] = bench->batch;
    } else {
        const int channels = 3; /* windows */
        const int features = ich_zoo_cnn(graph, bench->arch, bench->size, channels);
        state->output = ich_zoo_image_head(graph, features, ICH_LABELS);
        state->input = ich_graph_find(graph, "input");
        state->rows = bench->batch;
    }
    if (graph->error.text[0] != '\0') return ich_fail(err, "%s", graph->error.text);
    state->values = ich_new(graph->n_values, sizeof(float), "a model", err);
    if (state->values == NULL) return false;
    ich_graph_initialize(graph, 0, state->values);
    return true;
}

static bool open_bench(const ich_bench *bench, bench_state *state, ich_error *err) {
    if (!build(bench, state, err)) return false;
    const bool head = state->studies > 0;
    ich_recipe usual;
    ich_recipe_default(&usual, ICH_FOR_PRETRAIN);
    const ich_exec_options options = {.inputs = {state->input},
                                      .n_inputs = 1,
                                      .outputs = {state->output},
                                      .n_outputs = 1,
                                      .max_rows = bench->batch,
                                      .max_studies = state->studies,
                                      .gradient = bench->train,
                                      .input_gradient = bench->train && head, /* where the CNN goes on */
                                      .batch_statistics = bench->train,
                                      .parts = head ? 1 : usual.parts,
                                      .pack_on_use = bench->train,
                                      .training = bench->train};
    const ich_graph *graph = &state->graph;
    state->exec = ich_exec_create(graph, &options, err);
    state->targets = ich_new((size_t)state->rows, ICH_LABELS * sizeof(float), "targets", err);
    state->images = ich_new(pixels_of(bench, state), sizeof(float), "images", err);
    if (state->exec == NULL || state->targets == NULL || state->images == NULL) return false;
    if (bench->train) {
        state->gradients = ich_new(graph->n_values, sizeof(float), "gradients", err);
        if (state->gradients == NULL) return false;
        if (!ich_optimizer_init(&state->optimizer, ICH_ADAMW, graph, 0, err)) return false;
    }
    ich_exec_bind(state->exec, state->values, state->gradients);
    ich_exec_prepare(state->exec);
    fill_random(bench, state);
    return true;
}

static void step(const ich_bench *bench, bench_state *state) {
    /* Filled anew each time, as in real work: the plan reuses the input's memory. */
    memcpy(ich_exec_value(state->exec, state->input), state->images, pixels_of(bench, state) * sizeof(float));
    ich_exec_forward(state->exec, bench->batch, state->studies, state->studies > 0 ? state->offsets : NULL);
    if (!bench->train) return;
    const ich_graph *graph = &state->graph;
    const double lr[ICH_GROUPS] = {1e-6, 1e-6};
    memset(state->gradients, 0, graph->n_values * sizeof(float));
    ich_loss_bce_f32(state->rows, ICH_LABELS, ich_exec_value(state->exec, state->output), state->targets,
                     ich_label_weights, 1.0 / (7 * state->rows),
                     ich_exec_gradient(state->exec, state->output));
    ich_exec_backward(state->exec);
    if (state->studies > 0) return; /* the head's row is forward and backward */
    ich_optimizer_step(&state->optimizer, graph, lr, state->gradients, state->values);
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
