#include "schedule.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

/* From `from` to `to` along half a cosine; at: 0 … 1. */
static double half_cosine(double from, double to, double at) {
    return to + (from - to) * (1 + cos(pi * at)) / 2;
}

/* `warm` steps up, the last of them at the peak. */
static double linear_warm_up(double step, double warm) { return step + 1 < warm ? (step + 1) / warm : 1; }

static double constant(double step, double steps, double warmup) {
    return linear_warm_up(step, warmup * steps);
}

static double cosine(double step, double steps, double warmup) {
    const double warm = warmup * steps;
    return step < warm ? linear_warm_up(step, warm) : half_cosine(1, 0, (step - warm) / (steps - warm));
}

/* The peak is reached at step warmup · steps - 1, which may be a fraction, or before the run: torch's
 * OneCycleLR with its defaults anneal_strategy "cos", div_factor 25, final_div_factor 10000. */
static double onecycle(double step, double steps, double warmup) {
    const double first = 1.0 / 25, last = first / 1e4, peak = warmup * steps - 1;
    if (peak > 0 && step <= peak) return half_cosine(first, 1, step / peak);
    const double down = steps - 1 - peak;
    return down > 0 ? half_cosine(1, last, (step - peak) / down) : 1;
}

double ich_schedule_factor(ich_schedule schedule, uint64_t step, uint64_t steps, double warmup) {
    static double (*const factor[])(double, double, double) = {
        [ICH_CONSTANT] = constant, [ICH_COSINE] = cosine, [ICH_ONECYCLE] = onecycle};
    return factor[schedule]((double)step, (double)steps, warmup);
}
