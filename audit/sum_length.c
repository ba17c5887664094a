/* One row an op. Each number is a sum's length, and a few more for what follows it: a bias, a shortcut, a
 * division. An exponential counts as eight roundings: vector versions are right to a few units in the last
 * place. */
#include "audit/sum_length.h"

#include <math.h>
#include <string.h>

enum { EXPONENTIAL = 8, FEW = 4 };

typedef struct sizes {
    double in, out;      /* numbers of a row of the first input, of the output */
    double pixels, rows; /* of the input; rows: slices or studies */
    double channels, slices;
} sizes;

static sizes sizes_of(const ich_layer_run *run) {
    const ich_shape in = run->call.in_shape[0], out = run->call.out_shape;
    int longest = 0;
    for (int s = 0; s < run->call.studies; s++)
        longest = run->c->lengths[s] > longest ? run->c->lengths[s] : longest;
    return (sizes){.in = (double)in.h * in.w * in.c,
                   .out = (double)out.h * out.w * out.c,
                   .pixels = (double)in.h * in.w,
                   .rows = run->call.rows,
                   .channels = in.c,
                   .slices = longest};
}

static double one(const ich_layer_run *run) { return (void)run, FEW; }
static double exponential(const ich_layer_run *run) { return (void)run, EXPONENTIAL + FEW; }

static double groups_of(const ich_layer_run *run) { return run->c->attr.groups ? run->c->attr.groups : 1; }

static double window(const ich_layer_run *run) {
    return (double)run->c->attr.kernel * run->c->attr.kernel + FEW;
}

static double conv_forward(const ich_layer_run *run) {
    return (window(run) - FEW) * sizes_of(run).channels / groups_of(run) + FEW;
}

/* The data's gradient sums over the window and the output channels, the weights' over all output pixels. */
static double conv_backward(const ich_layer_run *run) {
    const ich_shape out = run->call.out_shape;
    const double data = (window(run) - FEW) * out.c / groups_of(run);
    return fmax(data, sizes_of(run).rows * out.h * out.w) + FEW;
}

/* Mean, then variance, then the quotient. */
static double norm_forward(const ich_layer_run *run) {
    return 2 * sizes_of(run).rows * sizes_of(run).pixels + 2 * FEW;
}
static double norm_backward(const ich_layer_run *run) { return 2 * norm_forward(run); }

static double average(const ich_layer_run *run) { return sizes_of(run).pixels + FEW; }

static double linear_forward(const ich_layer_run *run) { return sizes_of(run).in + FEW; }
static double linear_backward(const ich_layer_run *run) {
    return fmax(sizes_of(run).out, sizes_of(run).rows) + FEW;
}

/* The gates' sum, and a step that passes through h and c for each slice. */
static double lstm_forward(const ich_layer_run *run) {
    const sizes s = sizes_of(run);
    return s.in + s.slices * (run->c->attr.hidden + 2 * EXPONENTIAL + FEW);
}
static double lstm_backward(const ich_layer_run *run) {
    const sizes s = sizes_of(run);
    return lstm_forward(run) + s.slices * (4 * run->c->attr.hidden + EXPONENTIAL + 2 * FEW) + s.rows;
}

/* V h, then w m, then the softmax's sum. */
static double attention_forward(const ich_layer_run *run) {
    const sizes s = sizes_of(run);
    return s.in + run->c->attr.out + s.slices + 2 * EXPONENTIAL + 2 * FEW;
}
static double attention_backward(const ich_layer_run *run) {
    const sizes s = sizes_of(run);
    return 2 * attention_forward(run) + run->c->attr.heads + s.rows;
}

static double pool_heads(const ich_layer_run *run) {
    return fmax(sizes_of(run).slices, sizes_of(run).in) + run->call.in_shape[1].c + FEW;
}

static double slices(const ich_layer_run *run) { return sizes_of(run).slices + FEW; }

static double top(const ich_layer_run *run) { return run->c->attr.top + FEW; }

/* Softplus, the sum, and two exponentials behind it. */
static double noisy_or(const ich_layer_run *run) { return sizes_of(run).slices + 4 * EXPONENTIAL + FEW; }

/* The logarithm, two Laplacians, and the sum. */
static double smoothness(const ich_layer_run *run) {
    return sizes_of(run).slices + run->call.in_shape[0].c + EXPONENTIAL + 4 * FEW;
}

static double row_norm_forward(const ich_layer_run *run) { return 2 * sizes_of(run).in + 2 * FEW; }
static double row_norm_backward(const ich_layer_run *run) {
    return 2 * row_norm_forward(run) + sizes_of(run).rows;
}

/* q and k, their product, the softmax, the mean of v, and the last product. */
static double self_forward(const ich_layer_run *run) {
    const sizes s = sizes_of(run);
    return 3 * s.in + 2 * s.slices + EXPONENTIAL + 3 * FEW;
}
static double self_backward(const ich_layer_run *run) {
    return 2 * self_forward(run) + 2 * sizes_of(run).in + sizes_of(run).rows;
}

/* The kernel, A (in double), and the sums over points; exp of deviation and amplitude. */
static double gp_forward(const ich_layer_run *run) { return run->c->attr.hidden + 3 * EXPONENTIAL + 3 * FEW; }
static double gp_backward(const ich_layer_run *run) {
    return 2 * gp_forward(run) + run->c->attr.out + run->c->attr.hidden + sizes_of(run).rows;
}

static double labels(const ich_layer_run *run) { return sizes_of(run).channels + FEW; }

static const struct row {
    const char *op;
    double (*forward)(const ich_layer_run *run), (*backward)(const ich_layer_run *run);
    bool has_bf16; /* tables of that precision round its factors */
} table[] = {
    {"conv2d", conv_forward, conv_backward, true},
    {"batch_norm", norm_forward, norm_backward, false},
    {"relu", one, one, false},
    {"sigmoid", exponential, exponential, false},
    {"tanh", exponential, exponential, false},
    {"silu", exponential, exponential, false},
    {"max_pool", one, window, false},
    {"average_pool", window, window, false},
    {"global_average", average, one, false},
    {"add", one, one, false},
    {"concat", one, one, false},
    {"linear", linear_forward, linear_backward, false},
    {"dropout", one, one, false},
    {"lstm", lstm_forward, lstm_backward, false},
    {"attention", attention_forward, attention_backward, false},
    {"attention_pool", pool_heads, pool_heads, false},
    {"mean_slices", slices, one, false},
    {"max_slices", one, one, false},
    {"top_slices", top, one, false},
    {"noisy_or", noisy_or, noisy_or, false},
    {"smoothness", smoothness, smoothness, false},
    {"layer_norm", row_norm_forward, row_norm_backward, false},
    {"self_attention", self_forward, self_backward, false},
    {"gp", gp_forward, gp_backward, false},
    {"moderate", exponential, exponential, false},
    {"gp_kl", labels, one, false},
};

static const struct row *find(const ich_layer_run *run) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, run->c->op)) return &table[i];
    return NULL;
}

double ich_forward_roundings(const ich_layer_run *run) {
    const struct row *row = find(run);
    return row ? row->forward(run) : 0;
}

double ich_backward_roundings(const ich_layer_run *run) {
    const struct row *row = find(run);
    return row ? row->backward(run) : 0;
}

bool ich_has_bf16(const char *op) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, op)) return table[i].has_bf16;
    return false;
}
