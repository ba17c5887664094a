/* zoo_densenet.c: densely connected networks, whose layers read all that the layers before them in a block
 * made. Huang et al. 2016, arXiv 1608.06993, as torchvision builds and names them.
 *
 * The growing stack of channels is a chain of concatenations, each two inputs wide, which the plan lays in
 * one piece of memory: only new channels move. The batch norm behind each is cheap: the plan drops it after
 * forward and makes it again for backward, which is what Pleiss et al. 2017 (arXiv 1707.06990) do by hand. */
#include "zoo_internal.h"

#include <stdio.h>

static int norm_relu_conv(const ich_scope *in, int number, ich_window window, int x) {
    char norm[16], relu[16], conv[16];
    snprintf(norm, sizeof norm, "norm%d", number);
    snprintf(relu, sizeof relu, "relu%d", number);
    snprintf(conv, sizeof conv, "conv%d", number);
    return ich_zoo_conv(in, conv, window,
                        ich_zoo_op(in, "relu", relu, (ich_attr){0}, ich_zoo_norm(in, norm, x)));
}

static int dense_layer(const ich_scope *in, int growth, int x) {
    const int inner = norm_relu_conv(in, 1, (ich_window){4 * growth, 1, 1, 1}, x);
    return ich_zoo_op2(in, "concat", "concat", x,
                       norm_relu_conv(in, 2, (ich_window){growth, 3, 1, 1}, inner));
}

/* Half the channels, half the side. */
static int transition(const ich_scope *in, int x) {
    if (x < 0) return -1;
    const int half = in->graph->nodes[x].shape.c / 2;
    const int y = ich_zoo_op(in, "relu", "relu", (ich_attr){0}, ich_zoo_norm(in, "norm", x));
    return ich_zoo_op(in, "average_pool", "pool", (ich_attr){.kernel = 2, .stride = 2},
                      ich_zoo_conv(in, "conv", (ich_window){half, 1, 1, 1}, y));
}

int ich_zoo_densenet(ich_graph *graph, const void *settings, int input) {
    const ich_densenet *net = settings;
    const ich_scope top = {.graph = graph, .prefix = "features"};
    int y =
        ich_zoo_norm(&top, "norm0", ich_zoo_conv(&top, "conv0", (ich_window){net->first, 7, 2, 1}, input));
    y = ich_zoo_op(&top, "relu", "relu0", (ich_attr){0}, y);
    y = ich_zoo_op(&top, "max_pool", "pool0", (ich_attr){.kernel = 3, .stride = 2, .pad = 1}, y);
    for (int b = 0; b < 4; b++) {
        ich_scope in = {.graph = graph};
        for (int i = 0; i < net->blocks[b]; i++) {
            snprintf(in.prefix, sizeof in.prefix, "features.denseblock%d.denselayer%d", b + 1, i + 1);
            y = dense_layer(&in, net->growth, y);
        }
        snprintf(in.prefix, sizeof in.prefix, "features.transition%d", b + 1);
        if (b < 3) y = transition(&in, y);
    }
    return ich_zoo_op(&top, "relu", "relu5", (ich_attr){0}, ich_zoo_norm(&top, "norm5", y));
}
