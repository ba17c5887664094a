/* Lesson 1: where the numbers of a tensor lie, what it costs to fetch them in the wrong
 * order, and how little memory a network needs when someone plans it.
 *
 *   01_tensors [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/layers/exec.h>
#include <ichor/layers/zoo.h>
#include <ichor/tensor/arena.h>
#include <ichor/tensor/team.h>

#include <stdio.h>

/* -- a tensor: a shape, and the rule that turns indices into a place ------------------- */

typedef struct shape {
    int n, h, w, c; /* images, rows, columns, channels */
} shape;

static size_t at_nhwc(shape s, int n, int i, int j, int c) {
    return (((size_t)n * (size_t)s.h + (size_t)i) * (size_t)s.w + (size_t)j) * (size_t)s.c +
           (size_t)c;
}

static size_t at_nchw(shape s, int n, int i, int j, int c) {
    return (((size_t)n * (size_t)s.c + (size_t)c) * (size_t)s.h + (size_t)i) * (size_t)s.w +
           (size_t)j;
}

static void show_strides(shape s) {
    printf("x [%d,%d,%d,%d]: how far apart in memory are neighbours?\n", s.n, s.h, s.w, s.c);
    printf("  %-8s %8s %8s %8s %8s\n", "layout", "channel", "column", "row", "image");
    printf("  %-8s %8zu %8zu %8zu %8zu\n", "NHWC", at_nhwc(s, 0, 0, 0, 1),
           at_nhwc(s, 0, 0, 1, 0), at_nhwc(s, 0, 1, 0, 0), at_nhwc(s, 1, 0, 0, 0));
    printf("  %-8s %8zu %8zu %8zu %8zu\n", "NCHW", at_nchw(s, 0, 0, 0, 1),
           at_nchw(s, 0, 0, 1, 0), at_nchw(s, 0, 1, 0, 0), at_nchw(s, 1, 0, 0, 0));
}

/* -- the same sum, twice --------------------------------------------------------------- */

/* Adds `rows` × `columns` numbers, along memory or across it. */
static float sum_of(const float *x, int rows, int columns, bool along) {
    float sum = 0;
    for (int i = 0; i < (along ? rows : columns); i++)
        for (int j = 0; j < (along ? columns : rows); j++)
            sum += along ? x[(size_t)i * (size_t)columns + (size_t)j]
                         : x[(size_t)j * (size_t)columns + (size_t)i];
    return sum;
}

static bool walk(ich_error *err) {
    enum { SIDE = 4096 };
    ich_arena arena;
    if (!ich_arena_init(&arena, sizeof(float) * SIDE * SIDE, err)) return false;
    float *x = ich_arena_take(&arena, sizeof(float) * SIDE * SIDE);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++) x[i] = 1; /* and sum exactly to 2^24 */
    double seconds[2];
    float sum[2];
    for (int along = 0; along < 2; along++) {
        const double start = ich_seconds();
        sum[along] = sum_of(x, SIDE, SIDE, along);
        seconds[along] = ich_seconds() - start;
    }
    printf("\n%d numbers added along memory: %.0f in %.0f ms; across it: %.0f in %.0f ms\n",
           SIDE * SIDE, sum[1], 1e3 * seconds[1], sum[0], 1e3 * seconds[0]);
    ich_arena_free(&arena);
    return true;
}

/* -- a network's memory ---------------------------------------------------------------- */

typedef struct purpose {
    const char *name;
    bool keep_all, gradient;
} purpose;

static bool plan(const char *folder, ich_error *err) {
    static const purpose purposes[] = {{"inference, all kept", true, false},
                                       {"inference, planned", false, false},
                                       {"training, all kept", true, true},
                                       {"training, planned", false, true}};
    ich_graph graph;
    ich_graph_init(&graph);
    const int features = ich_zoo_cnn(&graph, "resnet18", 224, 3);
    const int logits = ich_zoo_image_head(&graph, features, 6);
    const char *names[4];
    double mib[4];
    bool done = logits >= 0 || ich_fail(err, "%s", graph.error.text);
    printf("\nresnet18, 16 images of 224 x 224: memory beside weights and optimizer\n");
    for (int i = 0; done && i < 4; i++) {
        ich_exec_options options = {.inputs = {ich_graph_find(&graph, "input")},
                                    .n_inputs = 1,
                                    .outputs = {logits},
                                    .n_outputs = 1,
                                    .max_rows = 16,
                                    .gradient = purposes[i].gradient,
                                    .batch_statistics = purposes[i].gradient,
                                    .pack_on_use = true,
                                    .no_fusing = purposes[i].keep_all,
                                    .keep_all = purposes[i].keep_all};
        const size_t bytes = ich_exec_plan_bytes(&graph, &options, err);
        done = bytes > 0;
        names[i] = purposes[i].name;
        mib[i] = (double)bytes / (1 << 20);
        printf("  %-20s %7.0f MiB\n", names[i], mib[i]);
    }
    ich_graph_free(&graph);
    return done && plot_bars(folder, "01-memory.svg",
                             "resnet18, 16 images: memory of one pass", 4, names, mib, "MiB");
}

int main(int argc, char **argv) {
    ich_error err = {0};
    show_strides((shape){2, 224, 224, 3});
    if (walk(&err) && plan(argc > 1 ? argv[1] : ".", &err)) return 0;
    if (err.text[0]) fprintf(stderr, "%s\n", err.text);
    return 1;
}
