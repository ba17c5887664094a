/* Lesson 7: three ways down a narrow valley, and how the learning rate moves over a run.
 *
 *   07_optimizers [FOLDER for the pictures]
 */
#include "../plot.h"

#include <ichor/optim/schedule.h>
#include <ichor/tensor/kernels.h>

#include <math.h>
#include <stdio.h>

enum { STEPS = 60, CONTOURS = 5, AROUND = 121, WAYS = 3 };

static const double pi = 3.14159265358979323846;
static const double steep = 40; /* f = (u² + 40 v²) / 2, its axes turned by some angle */

static double valley(double angle, const double p[2], double gradient[2]) {
    const double c = cos(angle), s = sin(angle);
    const double u = c * p[0] + s * p[1], v = c * p[1] - s * p[0];
    gradient[0] = c * u - s * steep * v;
    gradient[1] = s * u + c * steep * v;
    return (u * u + steep * v * v) / 2;
}

/* -- optimizers ------------------------------------------------------------------------ */

typedef struct way {
    const char *name;
    ich_update update;
    bool adam;
} way;

static const way ways[WAYS] = {
    {"SGD, rate 0.045", {.lr = 0.045, .gradient_scale = 1}, false},
    {"SGD, rate 0.012, momentum 0.9",
     {.lr = 0.012, .momentum = 0.9, .gradient_scale = 1},
     false},
    {"AdamW, rate 0.3",
     {.lr = 0.3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .gradient_scale = 1},
     true}};

/* Path of a ball, and the height at which it ends. */
static double descend(const way *w, double angle, double path[2][STEPS + 1]) {
    const ich_kernels_f64 *kernels = ich_kernels_f64_active();
    const double u0 = -4, v0 = 1.2, c = cos(angle), s = sin(angle);
    _Alignas(64) double p[2] = {c * u0 - s * v0,
                                s * u0 + c * v0}; /* the same place of the valley */
    _Alignas(64) double g[2], first[2] = {0}, second[2] = {0};
    for (int t = 1; t <= STEPS; t++) {
        path[0][t - 1] = p[0], path[1][t - 1] = p[1];
        valley(angle, p, g);
        ich_update u = w->update;
        if (w->adam) {
            u.bias1 = 1 - pow(u.beta1, t);
            u.bias2 = 1 - pow(u.beta2, t);
            kernels->adamw(2, &u, g, first, second, p);
        } else {
            kernels->sgd(2, &u, g, first, p);
        }
    }
    path[0][STEPS] = p[0], path[1][STEPS] = p[1];
    return valley(angle, p, g);
}

static bool draw_paths(const char *folder) {
    static double path[WAYS][2][STEPS + 1], ring[CONTOURS][2][AROUND];
    plot picture = {.title = "60 steps down a valley 40 times as steep one way as the other",
                    .x_label = "first parameter",
                    .y_label = "second parameter",
                    .x_low = -5,
                    .x_high = 2,
                    .y_low = -1.6,
                    .y_high = 1.6};
    for (int k = 0; k < CONTOURS; k++) {
        const double height = (const double[]){0.3, 2, 8, 20, 40}[k];
        for (int i = 0; i < AROUND; i++) {
            ring[k][0][i] = sqrt(2 * height) * cos(2 * pi * i / (AROUND - 1));
            ring[k][1][i] = sqrt(2 * height / steep) * sin(2 * pi * i / (AROUND - 1));
        }
        plot_add(&picture, PLOT_LINE, NULL, AROUND, ring[k][0], ring[k][1]);
    }
    printf("%-32s %18s %18s\n", "height after 60 steps", "along the axes",
           "turned by 45 deg");
    for (int k = 0; k < WAYS; k++) {
        const double turned = descend(&ways[k], pi / 4, path[k]);
        printf("%-32s %18.2e %18.2e\n", ways[k].name, descend(&ways[k], 0, path[k]), turned);
        plot_add(&picture, PLOT_LINE, ways[k].name, STEPS + 1, path[k][0], path[k][1]);
    }
    return plot_write(&picture, folder, "07-paths.svg");
}

/* -- schedules ------------------------------------------------------------------------- */

static bool draw_schedules(const char *folder) {
    enum { RUN = 200 };
    static double step[RUN], factor[3][RUN];
    static const char *const names[] = {"constant after a warm-up", "cosine after a warm-up",
                                        "one cycle"};
    plot picture = {.title = "The learning rate over a run of 200 steps",
                    .x_label = "step",
                    .y_label = "part of the peak"};
    for (int k = 0; k < 3; k++) {
        for (int t = 0; t < RUN; t++) {
            step[t] = t;
            factor[k][t] = ich_schedule_factor((ich_schedule)k, (uint64_t)t, RUN,
                                               k == ICH_ONECYCLE ? 0.3 : 0.1);
        }
        plot_add(&picture, PLOT_LINE, names[k], RUN, step, factor[k]);
    }
    return plot_write(&picture, folder, "07-schedules.svg");
}

/* -- Adam's first steps ---------------------------------------------------------------- */

static void first_steps(void) {
    const ich_kernels_f64 *kernels = ich_kernels_f64_active();
    printf(
        "\na gradient that is always 0.001: how far does AdamW move, in learning rates?\n");
    printf("%6s %18s %22s\n", "step", "with correction", "without correction");
    _Alignas(64) double p[2][1] = {{0}}, m[2][1] = {{0}}, v[2][1] = {{0}}, g[1] = {0.001};
    for (int t = 1; t <= 1000; t++) {
        const double before[2] = {p[0][0], p[1][0]};
        for (int k = 0; k < 2; k++) {
            ich_update u = {
                .lr = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .gradient_scale = 1};
            u.bias1 = k == 0 ? 1 - pow(u.beta1, t) : 1;
            u.bias2 = k == 0 ? 1 - pow(u.beta2, t) : 1;
            kernels->adamw(1, &u, g, m[k], v[k], p[k]);
        }
        if (t == 1 || t == 10 || t == 100 || t == 1000)
            printf("%6d %18.3f %22.3f\n", t, before[0] - p[0][0], before[1] - p[1][0]);
    }
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : ".";
    const bool drawn = draw_paths(folder) && draw_schedules(folder);
    first_steps();
    return drawn ? 0 : 1;
}
