/* zoo.c: the models by name, the parts that they are built of, and their heads. */
#include "zoo_internal.h"

#include <stdio.h>
#include <string.h>

static const struct model {
    const char *arch;
    int (*build)(ich_graph *graph, const void *settings, int input);
    const void *settings;
} models[] = {
    {"resnet18", ich_zoo_resnet, &(ich_resnet){false, {2, 2, 2, 2}, 1, 64}},
    {"resnet34", ich_zoo_resnet, &(ich_resnet){false, {3, 4, 6, 3}, 1, 64}},
    {"resnet50", ich_zoo_resnet, &(ich_resnet){true, {3, 4, 6, 3}, 1, 64}},
    {"resnext50_32x4d", ich_zoo_resnet, &(ich_resnet){true, {3, 4, 6, 3}, 32, 4}},
    {"densenet121", ich_zoo_densenet, &(ich_densenet){32, {6, 12, 24, 16}, 64}},
};
enum { MODELS = sizeof models / sizeof *models };

const char *ich_zoo_arch(int index) { return index >= 0 && index < MODELS ? models[index].arch : NULL; }

static const char *name_in(const ich_scope *in, const char *name, char full[80]) {
    snprintf(full, 80, "%s%s%s", in->prefix, *in->prefix ? "." : "", name);
    return full;
}

int ich_zoo_op(const ich_scope *in, const char *op, const char *name, ich_attr attr, int input) {
    char full[80];
    return ich_graph_add(in->graph, op, name_in(in, name, full), attr, input);
}

int ich_zoo_op2(const ich_scope *in, const char *op, const char *name, int input, int second) {
    char full[80];
    return ich_graph_add2(in->graph, op, name_in(in, name, full), (ich_attr){0}, input, second);
}

int ich_zoo_conv(const ich_scope *in, const char *name, ich_window w, int input) {
    const ich_attr attr = {.out = w.out,
                           .kernel = w.kernel,
                           .stride = w.stride,
                           .pad = w.kernel / 2,
                           .dilation = 1,
                           .groups = w.groups};
    return ich_zoo_op(in, "conv2d", name, attr, input);
}

int ich_zoo_norm(const ich_scope *in, const char *name, int input) {
    return ich_zoo_op(in, "batch_norm", name, (ich_attr){.eps = 1e-5f, .momentum = 0.1f}, input);
}

static const struct model *find(const char *arch, ich_error *err) {
    char known[160] = "";
    for (int i = 0; i < MODELS; i++) {
        if (!strcmp(arch, models[i].arch)) return &models[i];
        strcat(strcat(known, i ? ", " : ""), models[i].arch);
    }
    ich_fail(err, "model: there is no arch '%s': choose one of %s", arch, known);
    return NULL;
}

bool ich_zoo_knows(const char *arch, ich_error *err) { return find(arch, err) != NULL; }

int ich_zoo_cnn(ich_graph *graph, const char *arch, int size, int channels) {
    const struct model *model = find(arch, &graph->error);
    if (!model) return -1;
    graph->group = ICH_GROUP_CNN;
    const int input = ich_graph_input(graph, "input", (ich_shape){size, size, channels});
    const int maps = model->build(graph, model->settings, input);
    return ich_graph_add(graph, "global_average", "avgpool", (ich_attr){0}, maps);
}

int ich_zoo_image_head(ich_graph *graph, int features, int labels) {
    graph->group = ICH_GROUP_HEAD;
    return ich_graph_add(graph, "linear", "fc", (ich_attr){.out = labels, .bias = true}, features);
}
