#include "infer/likeness.h"

#include "data/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- traits -------------------------------------------------------------------------------------------- */

void ich_look_add(ich_look *look, const ich_preprocess *p, const uint8_t *bytes) {
    const size_t pixels = (size_t)p->size * (size_t)p->size;
    for (int c = 0; c < p->channels; c++) {
        uint64_t below = 0, above = 0, inside = 0;
        for (size_t i = 0; i < pixels; i++) {
            const uint8_t byte = bytes[i * (size_t)p->channels + (size_t)c];
            below += byte == 0;
            above += byte == 255;
            inside += byte < 255 ? byte : 0;
        }
        look->below[c] += below;
        look->above[c] += above;
        look->inside[c] += inside;
    }
    look->slices++;
    look->pixels += pixels;
}

static float top(const ich_preprocess *p, int c) { return p->center[c] + p->width[c] / 2; }

static int channel_of_top(const ich_preprocess *p, bool highest) {
    int best = 0;
    for (int c = 1; c < p->channels; c++)
        if (highest ? top(p, c) > top(p, best) : top(p, c) < top(p, best)) best = c;
    return best;
}

/* Pixels between the tops of the lowest and the highest window, for each pixel inside the lowest. */
static double dense(const ich_preprocess *p, const ich_look *look) {
    const int low = channel_of_top(p, false), high = channel_of_top(p, true);
    const double between = (double)look->above[low] - (double)look->above[high];
    return between / fmax(1, (double)look->pixels - (double)look->below[low] - (double)look->above[low]);
}

static int n_traits(const ich_preprocess *p) { return 2 + 3 * p->channels; }

/* Slices by their logarithm, since half as many are as far away as twice as many; then three of each channel.
 */
static void traits_of(const ich_preprocess *p, const ich_look *look, double *trait) {
    const double pixels = (double)look->pixels;
    trait[0] = log((double)look->slices);
    for (int c = 0; c < p->channels; c++) {
        const double rest = pixels - (double)look->below[c] - (double)look->above[c];
        trait[1 + 3 * c] = (double)look->below[c] / pixels;
        trait[2 + 3 * c] = (double)look->above[c] / pixels;
        trait[3 + 3 * c] = rest > 0 ? (double)look->inside[c] / rest / 255 : 0.5;
    }
    trait[1 + 3 * p->channels] = dense(p, look);
}

/* Least distance that counts: half as many slices again; 2 % as much dense as brain; 3 % of all pixels; 8 %
 * of a window's width. */
static double least_distance(int trait, int traits) {
    if (trait == 0) return log(1.5);
    if (trait == traits - 1) return 0.02;
    return trait % 3 == 0 ? 0.08 : 0.03;
}

/* -- learning ------------------------------------------------------------------------------------------ */

void ich_likeness_learn(ich_likeness *l, const ich_preprocess *p, const ich_look *look) {
    double trait[ICH_TRAITS];
    if (!look->slices) return;
    l->traits = n_traits(p);
    traits_of(p, look, trait);
    for (int t = 0; t < l->traits; t++) {
        l->low[t] = l->studies ? fmin(l->low[t], trait[t]) : trait[t];
        l->high[t] = l->studies ? fmax(l->high[t], trait[t]) : trait[t];
        l->sum[t] += trait[t];
        l->squares[t] += trait[t] * trait[t];
    }
    l->studies++;
}

char *ich_likeness_text(const ich_likeness *l, ich_error *err) {
    ich_text text;
    if (!ich_text_open(&text, "the statistics of the inputs", err)) return NULL;
    fprintf(text.stream, "%d", l->studies);
    for (int t = 0; t < l->traits; t++)
        fprintf(text.stream, " %.9g %.9g %.9g %.9g", l->low[t], l->high[t], l->sum[t], l->squares[t]);
    return ich_text_close(&text, err);
}

bool ich_likeness_parse(ich_likeness *l, const ich_preprocess *p, const char *text, ich_error *err) {
    char *at;
    *l = (ich_likeness){.traits = n_traits(p)};
    const long studies = strtol(text, &at, 10);
    bool whole = at > text && studies > 0 && studies <= ICH_LIKENESS_STUDIES;
    l->studies = (int)studies;
    for (int i = 0; whole && i < 4 * l->traits; i++) {
        double *const fields[4] = {l->low, l->high, l->sum, l->squares};
        const char *from = at;
        double *to = &fields[i % 4][i / 4];
        *to = strtod(from, &at);
        whole = at > from && isfinite(*to);
    }
    return (whole && *at == '\0') ||
           ich_fail(err, "metadata 'inputs' is damaged: use another copy of the model");
}

/* -- judging ------------------------------------------------------------------------------------------- */

static double margin(const ich_likeness *l, int t) {
    const double n = l->studies, mean = l->sum[t] / n;
    const double deviation = sqrt(fmax(0, l->squares[t] / n - mean * mean));
    return 0.5 * (l->high[t] - l->low[t]) + 2 * deviation + least_distance(t, l->traits);
}

static void describe(const ich_likeness *l, const ich_preprocess *p, int t, double value, char *reason,
                     size_t room) {
    const int c = (t - 1) / 3;
    if (t == 0) {
        snprintf(reason, room, "unlike the training studies: %.0f slices, there %.0f to %.0f", exp(value),
                 exp(l->low[t]), exp(l->high[t]));
        return;
    }
    if (t == l->traits - 1) {
        snprintf(reason, room,
                 "unlike the training studies: %.1f %% as much between %.0f and %.0f HU as below, there %.1f "
                 "to %.1f "
                 "%%: contrast medium?",
                 100 * value, (double)top(p, channel_of_top(p, false)),
                 (double)top(p, channel_of_top(p, true)), 100 * l->low[t], 100 * l->high[t]);
        return;
    }
    const double center = (double)p->center[c], width = (double)p->width[c], low = center - width / 2;
    if (t % 3 == 0)
        snprintf(reason, room,
                 "unlike the training studies: between %.0f and %.0f HU its mean is %.0f HU, there %.0f "
                 "to %.0f",
                 low, low + width, low + width * value, low + width * l->low[t], low + width * l->high[t]);
    else
        snprintf(reason, room,
                 "unlike the training studies: %.1f %% of it is %s %.0f HU, there %.1f to %.1f %%",
                 100 * value, t % 3 == 1 ? "below" : "above", t % 3 == 1 ? low : low + width, 100 * l->low[t],
                 100 * l->high[t]);
}

bool ich_likeness_judge(const ich_likeness *l, const ich_preprocess *p, const ich_look *look, char *reason,
                        size_t room) {
    double trait[ICH_TRAITS], farthest = 1;
    int worst = -1;
    if (!look->slices) return true;
    traits_of(p, look, trait);
    for (int t = 0; t < l->traits; t++) {
        const double outside = fmax(l->low[t] - trait[t], trait[t] - l->high[t]),
                     far = outside / margin(l, t);
        if (far <= farthest) continue;
        farthest = far;
        worst = t;
    }
    if (worst >= 0) describe(l, p, worst, trait[worst], reason, room);
    return worst < 0;
}
