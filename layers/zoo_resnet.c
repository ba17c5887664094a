/* zoo_resnet.c: residual networks. He et al. 2015, arXiv 1512.03385, as torchvision builds and names them (in
 * a bottleneck the 3 × 3 convolution strides); ResNeXt, the same with grouped convolutions: Xie et al. 2016,
 * arXiv 1611.05431. */
#include "zoo_internal.h"

#include <stdio.h>

static int conv_norm(const ich_scope *in, const char *conv, const char *norm, ich_window window, int input) {
    return ich_zoo_norm(in, norm, ich_zoo_conv(in, conv, window, input));
}

static int relu(const ich_scope *in, const char *name, int input) {
    return ich_zoo_op(in, "relu", name, (ich_attr){0}, input);
}

/* out = relu(F(x) + shortcut(x)); the shortcut is x itself where the shapes agree. */
static int block(const ich_scope *in, const ich_resnet *net, int planes, int stride, int x) {
    const int out = net->bottleneck ? 4 * planes : planes, inner = planes * net->width / 64 * net->groups;
    int y;
    if (x < 0) return -1;
    if (net->bottleneck) {
        y = relu(in, "relu1", conv_norm(in, "conv1", "bn1", (ich_window){inner, 1, 1, 1}, x));
        y = relu(in, "relu2", conv_norm(in, "conv2", "bn2", (ich_window){inner, 3, stride, net->groups}, y));
        y = conv_norm(in, "conv3", "bn3", (ich_window){out, 1, 1, 1}, y);
    } else {
        y = relu(in, "relu1", conv_norm(in, "conv1", "bn1", (ich_window){planes, 3, stride, 1}, x));
        y = conv_norm(in, "conv2", "bn2", (ich_window){out, 3, 1, 1}, y);
    }
    if (stride != 1 || in->graph->nodes[x].shape.c != out)
        x = conv_norm(in, "downsample.0", "downsample.1", (ich_window){out, 1, stride, 1}, x);
    return relu(in, net->bottleneck ? "relu3" : "relu2", ich_zoo_op2(in, "add", "add", y, x));
}

int ich_zoo_resnet(ich_graph *graph, const void *settings, int input) {
    const ich_resnet *net = settings;
    const ich_scope top = {.graph = graph};
    int y = relu(&top, "relu", conv_norm(&top, "conv1", "bn1", (ich_window){64, 7, 2, 1}, input));
    y = ich_zoo_op(&top, "max_pool", "maxpool", (ich_attr){.kernel = 3, .stride = 2, .pad = 1}, y);
    for (int stage = 0; stage < 4; stage++)
        for (int i = 0; i < net->blocks[stage]; i++) {
            ich_scope in = {.graph = graph};
            snprintf(in.prefix, sizeof in.prefix, "layer%d.%d", stage + 1, i);
            y = block(&in, net, 64 << stage, stage > 0 && i == 0 ? 2 : 1, y);
        }
    return y;
}
