/* Lesson 8: a network learns from "this study bleeds" alone. Then it is asked which slice,
 * and where.
 *
 *   08_localisation [FOLDER for the pictures]      (phantoms go to the folder it is started
 * in)
 */
#include "../plot.h"
#include "lesson_train.h"

#include <ichor/infer/stats.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUDIES = 200, TEST = 60 };

/* -- asking ---------------------------------------------------------------------------- */

typedef struct finding {
    float study, slice[LONGEST], attention[LONGEST]; /* logits, and the attention */
    float heat[LONGEST][CELLS * CELLS];
} finding;

/* Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) of the study's logit, all slices as one
 * volume. */
static void ask(network *n, const study *s, finding *f) {
    const int offsets[] = {0, s->slices};
    memcpy(ich_exec_value(n->explain, n->input), s->x,
           (size_t)s->slices * PIXELS * sizeof(float));
    ich_exec_forward(n->explain, s->slices, 1, offsets);
    f->study = *(float *)ich_exec_value(n->explain, n->study);
    memcpy(f->slice, ich_exec_value(n->explain, n->slice), (size_t)s->slices * sizeof(float));
    memcpy(f->attention, ich_exec_value(n->explain, n->attention),
           (size_t)s->slices * sizeof(float));

    memset(ich_exec_gradient(n->explain, n->slice), 0, (size_t)s->slices * sizeof(float));
    memset(ich_exec_gradient(n->explain, n->attention), 0, (size_t)s->slices * sizeof(float));
    *(float *)ich_exec_gradient(n->explain, n->study) = 1;
    ich_exec_backward(n->explain);
    const float *maps = ich_exec_value(n->explain, n->maps),
                *d = ich_exec_gradient(n->explain, n->maps);
    const int all = s->slices * CELLS * CELLS;
    float weight[MAPS] = {0};
    for (int i = 0; i < all; i++)
        for (int c = 0; c < MAPS; c++) weight[c] += d[i * MAPS + c];
    for (int i = 0; i < all; i++) {
        float heat = 0;
        for (int c = 0; c < MAPS; c++) heat += weight[c] * maps[i * MAPS + c];
        f->heat[i / (CELLS * CELLS)][i % (CELLS * CELLS)] = fmaxf(heat, 0);
    }
}

static int greatest(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Whether blood lies within a cell of the hottest one. */
static bool points_at_blood(const study *s, const finding *f, int z) {
    const int cell = greatest(f->heat[z], CELLS * CELLS), row = cell / CELLS * STRIDE,
              column = cell % CELLS * STRIDE;
    for (int i = 0; i < SIDE * SIDE; i++)
        if (s->mask[(size_t)z * SIDE * SIDE + (size_t)i] && abs(i / SIDE - row) <= STRIDE &&
            abs(i % SIDE - column) <= STRIDE)
            return true;
    return false;
}

static void judge(network *n, const study *studies) {
    static float study_score[TEST], study_label[TEST], score[TEST * LONGEST],
        label[TEST * LONGEST];
    static finding f;
    size_t slices = 0;
    int bleeding = 0, hit = 0, pointed = 0, bleeding_slices = 0;
    for (int i = 0; i < TEST; i++) {
        const study *s = &studies[i];
        ask(n, s, &f);
        study_score[i] = f.study, study_label[i] = s->label;
        for (int z = 0; z < s->slices; z++) {
            score[slices] = f.slice[z], label[slices++] = s->bleeds[z];
            if (s->bleeds[z] > 0) bleeding_slices++, pointed += points_at_blood(s, &f, z);
        }
        if (s->label > 0) bleeding++, hit += s->bleeds[greatest(f.attention, s->slices)] > 0;
    }
    printf("studies: AUC %.3f\n", ich_auc(study_score, study_label, TEST).value);
    printf("slices:  AUC %.3f, and no slice ever had a label\n",
           ich_auc(score, label, slices).value);
    printf("slice of most attention bleeds in %d of %d bleeding studies\n", hit, bleeding);
    printf("hottest cell at blood in %d of %d bleeding slices\n", pointed, bleeding_slices);
}

/* -- pictures: the first two studies of the test that bleed ---------------------------- */

static float *heat_on_pixels(const finding *f, int z) {
    static float out[2][SIDE * SIDE];
    static int turn;
    float *to = out[turn++ % 2];
    const float most = f->heat[z][greatest(f->heat[z], CELLS * CELLS)];
    for (int i = 0; i < SIDE * SIDE; i++) {
        /* cell k lies on pixel k · STRIDE: with padding 1 and stride 2, nothing is shifted */
        const float row = fminf((float)(i / SIDE) / STRIDE, CELLS - 1),
                    column = fminf((float)(i % SIDE) / STRIDE, CELLS - 1);
        const int r = (int)fminf(row, CELLS - 2), c = (int)fminf(column, CELLS - 2);
        const float down = row - (float)r, right = column - (float)c,
                    *h = f->heat[z] + r * CELLS + c;
        to[i] = ((1 - down) * ((1 - right) * h[0] + right * h[1]) +
                 down * ((1 - right) * h[CELLS] + right * h[CELLS + 1])) /
                fmaxf(most, 1e-20f);
    }
    return to;
}

static bool draw(network *n, const study *studies, const char *folder) {
    static finding f;
    static float grey[2][SIDE * SIDE], truth[2][SIDE * SIDE];
    static double slice[LONGEST], attention[LONGEST], said[LONGEST], blood[LONGEST];
    plot_image images[6];
    int found = 0, slices = 0;
    for (int i = 0; i < TEST && found < 2; i++) {
        if (studies[i].label == 0) continue;
        ask(n, &studies[i], &f);
        const int z = greatest(f.attention, studies[i].slices);
        for (int p = 0; p < SIDE * SIDE; p++) { /* the brain window, scaled back to 0 … 1 */
            grey[found][p] =
                studies[i].x[(size_t)z * PIXELS + (size_t)p * CHANNELS] * 0.25f + 0.5f;
            truth[found][p] = studies[i].mask[(size_t)z * SIDE * SIDE + (size_t)p];
        }
        images[3 * found] = (plot_image){SIDE, SIDE, grey[found], false};
        images[3 * found + 1] = (plot_image){SIDE, SIDE, heat_on_pixels(&f, z), true};
        images[3 * found + 2] = (plot_image){SIDE, SIDE, truth[found], false};
        for (int t = 0; found == 0 && t < studies[i].slices; t++, slices++) {
            slice[t] = t;
            attention[t] = (double)(f.attention[t] / f.attention[z]);
            said[t] = 1 / (1 + exp(-(double)f.slice[t]));
            blood[t] = studies[i].bleeds[t] > 0 ? 1 : (double)NAN;
        }
        found++;
    }
    plot stack = {.title = "One study, slice by slice, from foot to head",
                  .x_label = "slice",
                  .y_label = ""};
    plot_add(&stack, PLOT_LINE, "attention, its greatest as 1", (size_t)slices, slice,
             attention);
    plot_add(&stack, PLOT_LINE, "the classifier, asked about the slice", (size_t)slices,
             slice, said);
    plot_add(&stack, PLOT_DOTS, "slices that bleed", (size_t)slices, slice, blood);
    return plot_write(&stack, folder, "08-stack.svg") &&
           plot_images(folder, "08-heat.png", 3 * found, images, 3);
}

int main(int argc, char **argv) {
    ich_error err = {0};
    network n = {0};
    study *training = make_studies("phantoms-train", STUDIES, 1, &err);
    study *test = training ? make_studies("phantoms-test", TEST, 2, &err) : NULL;
    bool done = test && make_network(&n, &err) && train(&n, STUDIES, training, &err);
    if (!done) fprintf(stderr, "%s\n", err.text[0] ? err.text : "memory is out");
    if (done) {
        ich_exec_prepare(n.explain);
        judge(&n, test);
        done = draw(&n, test, argc > 1 ? argv[1] : ".");
    }
    free_network(&n);
    free_studies(training, STUDIES);
    free_studies(test, TEST);
    return done ? 0 : 1;
}
