/* Against Ichor's own kernel and schedule. */
#include "../check.h"
#include "exercise.h"

#include <ichor/optim/schedule.h>
#include <math.h>

enum { N = 8, STEPS = 25, RUN = 100 };

static bool check_adamw(void) {
    static _Alignas(64) double gradient[N], value[N], m[N], v[N];
    double mine[N], my_m[N] = {0}, my_v[N] = {0};
    bool all = true;
    check_draw(12, N, value, -1, 1);
    for (int i = 0; i < N; i++) mine[i] = value[i];
    for (int t = 1; t <= STEPS; t++) {
        check_draw(100 + (unsigned long long)t, N, gradient, -0.01, 0.01);
        const ich_update u = {.lr = 0.05,
                              .weight_decay = 0.1,
                              .beta1 = 0.9,
                              .beta2 = 0.999,
                              .eps = 1e-8,
                              .bias1 = 1 - pow(0.9, t),
                              .bias2 = 1 - pow(0.999, t),
                              .gradient_scale = 1};
        ich_kernels_f64_active()->adamw(N, &u, gradient, m, v, value);
        adamw_step(N, t, 0.05, 0.1, gradient, my_m, my_v, mine);
        if (t == 1)
            all &=
                check_numbers("adamw", "value after the first step", N, mine, value, 1e-10);
    }
    all &= check_numbers("adamw", "value after 25 steps", N, mine, value, 1e-10);
    all &= check_numbers("adamw", "m", N, my_m, m, 1e-10);
    return check_numbers("adamw", "v", N, my_v, v, 1e-10) && all;
}

int main(void) {
    double got[RUN], expected[RUN];
    bool all = check_adamw();
    for (int t = 0; t < RUN; t++) {
        got[t] = one_cycle(t, RUN);
        expected[t] = ich_schedule_factor(ICH_ONECYCLE, (uint64_t)t, RUN, 0.3);
    }
    all &= check_numbers("one_cycle", "factor", RUN, got, expected, 1e-12);
    return check_end(all);
}
