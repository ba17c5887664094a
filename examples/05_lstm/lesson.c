/* Lesson 5: how far back in time does a gradient reach? Through a plain recurrent layer, and
 * through an LSTM with several biases of its forget gate.
 *
 *   05_lstm [FOLDER for the picture]
 */
#include "../plot.h"

#include <ichor/layers/exec.h>
#include <ichor/tensor/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 60, F = 8, H = 32, CURVES = 4 }; /* slices, features, units */

/* -- Ichor's LSTM ---------------------------------------------------------------------- */

/* size[t] = |dL/dx_t| for L = sum of h_T, with `bias` added to the forget gate's. */
static bool through_lstm(const float *x, double bias, double *size, ich_error *err) {
    ich_graph graph;
    ich_graph_init(&graph);
    const int input = ich_graph_input(&graph, "x", (ich_shape){1, 1, F});
    const int lstm = ich_graph_add(&graph, "lstm", "lstm", (ich_attr){.hidden = H}, input);
    ich_exec_options options = {.inputs = {input},
                                .n_inputs = 1,
                                .outputs = {lstm},
                                .n_outputs = 1,
                                .max_rows = T,
                                .max_studies = 1,
                                .gradient = true,
                                .input_gradient = true};
    ich_exec *exec = lstm < 0 ? NULL : ich_exec_create(&graph, &options, err);
    float *values = aligned_alloc(64, graph.n_values * sizeof(float));
    float *gradients = aligned_alloc(64, graph.n_values * sizeof(float));
    const bool made = exec && values && gradients;
    if (made) {
        ich_graph_initialize(&graph, 1, values);
        /* gates lie in the order i, f, g, o */
        float *b =
            values + graph.params[ich_graph_find_param(&graph, "lstm.bias_hh_l0")].offset;
        for (int u = 0; u < H; u++) b[H + u] += (float)bias;
        ich_exec_bind(exec, values, gradients);
        ich_exec_prepare(exec);

        float *in = ich_exec_value(exec, input), *d_out = ich_exec_gradient(exec, lstm);
        for (int i = 0; i < T * F; i++) in[i] = x[i];
        const int offsets[] = {0, T};
        ich_exec_forward(exec, T, 1, offsets);
        /* only the last slice speaks */
        for (int i = 0; i < T * H; i++) d_out[i] = i / H == T - 1;
        ich_exec_backward(exec);

        const float *dx = ich_exec_gradient(exec, input);
        for (int t = 0; t < T; t++) {
            double squares = 0;
            for (int f = 0; f < F; f++)
                squares += (double)dx[t * F + f] * (double)dx[t * F + f];
            size[t] = sqrt(squares);
        }
    }
    free(values);
    free(gradients);
    ich_exec_free(exec);
    ich_graph_free(&graph);
    return made;
}

/* -- a plain recurrent layer: h_t = tanh(W x_t + U h_{t-1}) ---------------------------- */

static void through_plain(const float *x, double *size) {
    static double w[H][F], u[H][H], h[T + 1][H];
    ich_rng rng = ich_rng_make(2, ICH_RNG_TEST, 5);
    const float scale = 1 / sqrtf(H); /* as the LSTM's weights */
    for (int i = 0; i < H; i++) {
        for (int f = 0; f < F; f++) w[i][f] = (double)ich_rng_range(&rng, -scale, scale);
        for (int j = 0; j < H; j++) u[i][j] = (double)ich_rng_range(&rng, -scale, scale);
    }
    for (int t = 0; t < T; t++)
        for (int i = 0; i < H; i++) {
            double a = 0;
            for (int f = 0; f < F; f++) a += w[i][f] * (double)x[t * F + f];
            for (int j = 0; j < H; j++) a += u[i][j] * h[t][j];
            h[t + 1][i] = tanh(a);
        }
    double dh[H], da[H];
    for (int i = 0; i < H; i++) dh[i] = 1;
    for (int t = T - 1; t >= 0; t--) { /* back through time */
        double squares = 0;
        for (int i = 0; i < H; i++) da[i] = dh[i] * (1 - h[t + 1][i] * h[t + 1][i]);
        for (int f = 0; f < F; f++) {
            double dx = 0;
            for (int i = 0; i < H; i++) dx += da[i] * w[i][f];
            squares += dx * dx;
        }
        for (int j = 0; j < H; j++) {
            dh[j] = 0;
            for (int i = 0; i < H; i++) dh[j] += da[i] * u[i][j]; /* what step t-1 receives */
        }
        size[t] = sqrt(squares);
    }
}

int main(int argc, char **argv) {
    static const double bias[CURVES] = {-1, 0, 1, 3};
    static const char *const names[CURVES] = {"LSTM, forget gate's bias -1", "bias 0",
                                              "bias 1", "bias 3"};
    static double size[CURVES + 1][T], ago[T];
    static float x[T * F];
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, 5);
    ich_error err = {0};
    for (int i = 0; i < T * F; i++) x[i] = ich_rng_normal(&rng);
    for (int t = 0; t < T; t++) ago[t] = T - 1 - t;

    plot picture = {.title = "How much the last answer listens to an earlier slice",
                    .x_label = "slices before the last",
                    .y_label = "size of dL/dx",
                    .log_y = true,
                    .y_low = 1e-12,
                    .y_high = 10,
                    .x_low = 0,
                    .x_high = T};
    through_plain(x, size[CURVES]);
    plot_add(&picture, PLOT_DASHED, "plain recurrent layer, tanh", T, ago, size[CURVES]);
    printf("%-28s %10s %10s %10s\n", "size of dL/dx", "now", "20 ago", "50 ago");
    for (int k = 0; k < CURVES; k++) {
        if (!through_lstm(x, bias[k], size[k], &err)) {
            fprintf(stderr, "%s\n", err.text[0] ? err.text : "memory is out");
            return 1;
        }
        plot_add(&picture, PLOT_LINE, names[k], T, ago, size[k]);
    }
    for (int k = 0; k <= CURVES; k++)
        printf("%-28s %10.1e %10.1e %10.1e\n", k < CURVES ? names[k] : "plain, tanh",
               size[k][T - 1], size[k][T - 21], size[k][T - 51]);
    return plot_write(&picture, argc > 1 ? argv[1] : ".", "05-reach.svg") ? 0 : 1;
}
