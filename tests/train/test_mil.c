/* One gradient from study labels: however a group is cut into chunks, it is the gradient of the whole, and
 * nothing but gradients changes. */
#include "../data/scratch.h"
#include "layers/loss.h"
#include "layers/zoo.h"
#include "train/mil.h"
#include "world.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STUDIES = 4, MOST = 64 };
static const int slices[STUDIES] = {5, 1, 6, 3};

/* The world that all tests look at. */
static ich_dataset dataset;
static ich_cache cache;
static ich_model model;

static int make_world(void **state) {
    if (scratch_make(state)) return -1;
    world_open(world_make("mil", slices, STUDIES, 0), &dataset, &cache);
    model = world_small_model(1);
    for (int p = 0; p < model.graph.n_params;
         p++) { /* running statistics that are not those of a new model */
        const ich_param *param = &model.graph.params[p];
        ich_rng rng = ich_rng_make(4, ICH_RNG_TEST, (uint64_t)p);
        for (size_t i = 0; param->rank == 1 && i < param->count; i++)
            model.values[param->offset + i] += ich_rng_range(&rng, -0.3f, 0.3f);
    }
    return 0;
}

static int remove_world(void **state) {
    ich_model_free(&model);
    ich_cache_free(&cache);
    ich_dataset_free(&dataset);
    return scratch_remove(state);
}

/* -- a group, and one step on it -------------------------------------------------------------------- */

typedef struct group {
    uint32_t study[STUDIES];
    int offsets[STUDIES + 1];
    float label[STUDIES][ICH_LABELS];
    ich_mil_group it;
} group;

/* The studies whose numbers are the digits of `which`. */
static void make_group(group *g, const char *which) {
    const int n = (int)strlen(which);
    g->offsets[0] = 0;
    for (int i = 0; i < n; i++) {
        const uint32_t s = (uint32_t)(which[i] - '0');
        g->study[i] = s;
        g->offsets[i + 1] = g->offsets[i] + cache.slices[s];
        memcpy(g->label[i], dataset.studies[s].label, sizeof g->label[i]);
    }
    g->it = (ich_mil_group){
        .n = n, .study = g->study, .offsets = g->offsets, .label = (const float(*)[ICH_LABELS])g->label};
}

typedef struct step {
    double loss;
    float logits[STUDIES * ICH_LABELS];
    float *gradients; /* [model.graph.n_values] */
    size_t batches;   /* that the CNN was given */
} step;

static const ich_augment augment = {true, 15, 0.1f, 0.05f, 4, 0.1f};

/* `options` but for rows and studies. */
static step run(const char *which, ich_mil_options options) {
    group g;
    ich_mil mil;
    ich_feed feed;
    ich_error err = {""};
    step s = {.gradients = calloc(model.graph.n_values, sizeof(float))};
    assert_non_null(s.gradients);
    make_group(&g, which);
    const int rows = g.offsets[g.it.n];
    options.rows = rows;
    options.studies = g.it.n;
    if (!ich_mil_open(&mil, &model, &options, &err) ||
        !ich_feed_open(&feed, &cache, options.learns ? &augment : NULL, mil.chunk, 2 * (size_t)rows,
                       ich_mil_batches(mil.chunk, rows), &err))
        fail_msg("%s", err.text);
    ich_mil_bind(&mil, model.values, s.gradients);
    ich_mil_key(&mil, 1, 2);
    ich_mil_plan(&mil, &feed, &g.it, 1, options.learns);
    s.batches = feed.n_batches;
    ich_feed_start(&feed, 7);
    if (!ich_mil_features(&mil, &feed, rows, ich_mil_head_input(&mil), &err)) fail_msg("%s", err.text);
    const float *logits;
    s.loss = ich_mil_head(&mil, &g.it, options.learns, &logits);
    memcpy(s.logits, logits, (size_t)g.it.n * ICH_LABELS * sizeof(float));
    if (options.learns && !ich_mil_backward(&mil, &feed, rows, &err)) fail_msg("%s", err.text);
    assert_null(ich_feed_next(&feed, &err)); /* all that was planned has been taken */
    ich_feed_close(&feed);
    ich_mil_close(&mil);
    return s;
}

static step learn(const char *which, int chunk) {
    return run(which, (ich_mil_options){.chunk = chunk, .learns = true, .cnn_learns = true});
}

static double norm_of(const double *numbers, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += numbers[i] * numbers[i];
    return sqrt(sum);
}

/* Each parameter's gradient in `a` is that in `b`, but for `tolerance` of its norm (that of one slice's
 * attention is rounding alone); what is not trained has none. */
static void assert_same_gradient(const float *a, const double *b, double tolerance, const char *what) {
    const double whole = norm_of(b, model.graph.n_values);
    assert_true(whole > 0);
    for (int p = 0; p < model.graph.n_params; p++) {
        const ich_param *param = &model.graph.params[p];
        double difference = 0;
        for (size_t i = param->offset; i < param->offset + param->count; i++)
            difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        const double norm = norm_of(b + param->offset, param->count);
        if (sqrt(difference) > tolerance * (norm + 1e-4 * whole) || (norm > 0 && !param->trainable))
            fail_msg("%s: %s: norm %g, difference %g", what, param->name, norm, sqrt(difference));
    }
}

static double *in_double(const float *numbers) {
    double *copy = malloc(model.graph.n_values * sizeof *copy);
    assert_non_null(copy);
    for (size_t i = 0; i < model.graph.n_values; i++) copy[i] = numbers[i];
    return copy;
}

/* -- chunks ----------------------------------------------------------------------------------------- */

static void chunks_of_any_size_give_the_same_loss_and_gradient(void **state) {
    (void)state;
    step whole = learn("0213", MOST); /* 15 slices: studies begin at 0, 5, 11, 12 */
    double *expected = in_double(whole.gradients);
    assert_int_equal(whole.batches, 1);
    static const int chunks[] = {1, 2, 3, 4, 7, 8, 14, 15};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        char what[24];
        snprintf(what, sizeof what, "chunks of %d", chunks[i]);
        step cut = learn("0213", chunks[i]);
        assert_true(cut.loss == whole.loss);
        assert_memory_equal(cut.logits, whole.logits, sizeof cut.logits);
        assert_same_gradient(cut.gradients, expected, 1e-5, what);
        const size_t pass = (size_t)(15 + chunks[i] - 1) / (size_t)chunks[i];
        assert_int_equal(cut.batches, 2 * pass - 1); /* the last chunk is not computed twice */
        free(cut.gradients);
    }
    free(expected);
    free(whole.gradients);
}

/* Images of a group as the feed gives them, into `out`. */
static void take_images(const group *g, double *out) {
    ich_feed feed;
    ich_error err = {""};
    const size_t pixels = (size_t)WORLD_SIZE * WORLD_SIZE * 3;
    const int rows = g->offsets[g->it.n];
    if (!ich_feed_open(&feed, &cache, &augment, rows, (size_t)rows, 1, &err)) fail_msg("%s", err.text);
    const ich_mil mil = {.chunk = rows};
    ich_mil_plan(&mil, &feed, &g->it, 1, false);
    ich_feed_start(&feed, 7);
    const ich_batch *batch = ich_feed_next(&feed, &err);
    if (!batch) fail_msg("%s", err.text);
    assert_int_equal(batch->rows, rows);
    for (size_t i = 0; i < (size_t)rows * pixels; i++) out[i] = batch->images[i];
    ich_feed_close(&feed);
}

/* The whole model in one piece and in double precision; returns the loss. */
static double learn_in_double(const char *which, double *gradients) {
    group g;
    ich_error err = {""};
    make_group(&g, which);
    const int rows = g.offsets[g.it.n], out = model.classifier;
    const ich_exec_options options = {.precision = ICH_F64,
                                      .inputs = {model.input},
                                      .n_inputs = 1,
                                      .outputs = {out},
                                      .n_outputs = 1,
                                      .max_rows = rows,
                                      .max_studies = g.it.n,
                                      .gradient = true,
                                      .training = true};
    ich_exec *exec = ich_exec_create(&model.graph, &options, &err);
    if (!exec) fail_msg("%s", err.text);
    double *values = in_double(model.values), label[STUDIES * ICH_LABELS], weight[ICH_LABELS];
    for (int l = 0; l < ICH_LABELS; l++) {
        weight[l] = ich_label_weights[l];
        for (int i = 0; i < g.it.n; i++) label[i * ICH_LABELS + l] = g.label[i][l];
    }
    memset(gradients, 0, model.graph.n_values * sizeof *gradients);
    ich_exec_bind(exec, values, gradients);
    ich_exec_prepare(exec);
    take_images(&g, ich_exec_value(exec, model.input));
    ich_exec_forward(exec, rows, g.it.n, g.offsets);
    const double loss = ich_loss_bce_f64(g.it.n, ICH_LABELS, ich_exec_value(exec, out), label, weight,
                                         1.0 / (7 * g.it.n), ich_exec_gradient(exec, out));
    ich_exec_backward(exec);
    ich_exec_free(exec);
    free(values);
    return loss;
}

/* Groups of one and of many studies, one of them a single slice; chunks that end inside a study, at its end,
 * and at the end of the group. */
static void the_gradient_is_that_of_the_whole_model_in_double(void **state) {
    (void)state;
    static const struct {
        const char *which;
        int chunk;
    } cases[] = {{"1", 1}, {"1", 8}, {"0", 2}, {"13", 3}, {"31", 3}, {"012", 5}};
    double *expected = malloc(model.graph.n_values * sizeof *expected);
    assert_non_null(expected);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[40];
        snprintf(what, sizeof what, "studies %s, chunks of %d", cases[i].which, cases[i].chunk);
        step s = learn(cases[i].which, cases[i].chunk);
        const double loss = learn_in_double(cases[i].which, expected);
        if (fabs(s.loss - loss) > 1e-5 * loss) fail_msg("%s: loss %.9g, not %.9g", what, s.loss, loss);
        assert_same_gradient(s.gradients, expected, 1e-3, what);
        free(s.gradients);
    }
    free(expected);
}

static void a_group_learns_the_mean_of_its_studies(void **state) {
    (void)state;
    step both = learn("02", 4), a = learn("0", 4), b = learn("2", 4);
    double *mean = malloc(model.graph.n_values * sizeof *mean);
    assert_non_null(mean);
    for (size_t i = 0; i < model.graph.n_values; i++)
        mean[i] = ((double)a.gradients[i] + (double)b.gradients[i]) / 2;
    assert_true(fabs(both.loss - (a.loss + b.loss) / 2) < 1e-6);
    assert_same_gradient(both.gradients, mean, 1e-4, "the group");
    free(mean);
    free(both.gradients);
    free(a.gradients);
    free(b.gradients);
}

/* -- weights, terms, labels ------------------------------------------------------------------------ */

/* The head alone on a group's features, which are drawn; returns the loss, the gradients are added. */
static double head_step(const ich_model *m, group *g, ich_label_noise noise, float *gradients) {
    ich_mil mil;
    ich_error err = {""};
    const float *logits;
    const ich_mil_options options = {
        .chunk = 1, .rows = g->offsets[g->it.n], .studies = g->it.n, .learns = true, .noise = noise};
    if (!ich_mil_open(&mil, m, &options, &err)) fail_msg("%s", err.text);
    ich_mil_bind(&mil, m->values, gradients);
    ich_rng rng = ich_rng_make(6, ICH_RNG_TEST, 0);
    for (size_t i = 0; i < (size_t)options.rows * mil.width; i++)
        ich_mil_head_input(&mil)[i] = ich_rng_range(&rng, 0, 2);
    memset(gradients, 0, m->graph.n_values * sizeof *gradients);
    const double loss = ich_mil_head(&mil, &g->it, true, &logits);
    ich_mil_close(&mil);
    return loss;
}

static float *new_gradients(const ich_model *m) {
    float *gradients = calloc(m->graph.n_values, sizeof *gradients);
    assert_non_null(gradients);
    return gradients;
}

/* A study of weight 3 counts as three. */
static void studies_weigh_what_they_are_given(void **state) {
    (void)state;
    group g;
    make_group(&g, "02");
    const double weight[] = {3, 1};
    float *gradients = new_gradients(&model);
    double single[2];
    for (int i = 0; i < 2; i++) {
        g.it.weight = (const double[]){i == 0, i == 1};
        single[i] = head_step(&model, &g, (ich_label_noise){0, 0}, gradients);
    }
    g.it.weight = weight;
    const double both = head_step(&model, &g, (ich_label_noise){0, 0}, gradients);
    assert_true(fabs(both - (3 * single[0] + single[1])) < 1e-6 * both);
    free(gradients);
}

/* Whatever an unknown label would have been, nothing is learned from it; nor is anything from a study of
 * unknown labels alone. */
static void partly_labelled_studies_teach_what_is_known(void **state) {
    (void)state;
    group g;
    make_group(&g, "02");
    for (int l = 0; l < ICH_LABELS; l++) g.label[1][l] = l == ICH_ANY ? 1 : NAN;
    float *gradients = new_gradients(&model);
    const ich_label_noise noise = {0.1, 0.2};
    const double loss = head_step(&model, &g, noise, gradients);
    assert_true(isfinite(loss) && loss > 0);
    const int bias = ich_graph_find_param(&model.graph, "classifier.bias");
    const float *d_bias = gradients + model.graph.params[bias].offset;
    float two[ICH_LABELS];
    memcpy(two, d_bias, sizeof two);
    g.label[1][ICH_ANY] = NAN;
    head_step(&model, &g, noise, gradients);
    for (int l = 0; l < ICH_LABELS; l++) assert_int_equal(d_bias[l] != two[l], l == ICH_ANY);
    for (int l = 0; l < ICH_LABELS; l++) g.label[0][l] = NAN;
    assert_true(head_step(&model, &g, noise, gradients) == 0);
    for (size_t i = 0; i < model.graph.n_values; i++) assert_true(gradients[i] == 0);
    free(gradients);
}

/* The attention's roughness is a part of the loss and of the gradient, in proportion to its weight. */
static void roughness_is_learned_from(void **state) {
    (void)state;
    group g;
    make_group(&g, "02");
    double loss[3];
    float *gradients[3];
    for (int i = 0; i < 3; i++) {
        ich_model smooth = {.recipe = world_recipe(ICH_FOR_FINETUNE)};
        const ich_study_head head = {
            .hidden = 8, .attention = 8, .heads = 1, .gated = true, .smooth = (float)i, .smooth_order = 1};
        smooth.input = smooth.features = ich_graph_input(&smooth.graph, "avgpool", (ich_shape){1, 1, 10});
        smooth.classifier = ich_zoo_study_head(&smooth.graph, smooth.features, &head, ICH_LABELS);
        world_give_values(&smooth, 1);
        gradients[i] = new_gradients(&smooth);
        loss[i] = head_step(&smooth, &g, (ich_label_noise){0, 0}, gradients[i]);
        if (i == 2) {
            const int p = ich_graph_find_param(&smooth.graph, "attention.w.weight");
            const size_t at = smooth.graph.params[p].offset;
            const double once = (double)gradients[1][at] - gradients[0][at],
                         twice = (double)gradients[2][at] - gradients[0][at];
            assert_true(fabs(once) > 0 && fabs(twice - 2 * once) < 1e-3 * fabs(twice));
        }
        ich_model_free(&smooth);
    }
    assert_true(loss[1] > loss[0] && fabs(loss[2] - loss[0] - 2 * (loss[1] - loss[0])) < 1e-6);
    for (int i = 0; i < 3; i++) free(gradients[i]);
}

/* -- what stays as it is ---------------------------------------------------------------------------- */

/* Batch norm works with its running statistics, and the second pass through the CNN leaves them alone too. */
static void a_step_changes_no_value_of_the_model(void **state) {
    (void)state;
    const size_t bytes = model.graph.n_values * sizeof(float);
    float *before = malloc(bytes);
    assert_non_null(before);
    memcpy(before, model.values, bytes);
    step s = learn("0213", 4);
    assert_memory_equal(before, model.values, bytes);
    free(s.gradients);
    free(before);
}

static void a_frozen_cnn_gets_no_gradient_and_its_head_the_same(void **state) {
    (void)state;
    group g;
    ich_mil judging, head;
    ich_feed feed;
    ich_error err = {""};
    make_group(&g, "012");
    const int rows = g.offsets[3];
    const ich_mil_options judge = {.chunk = 5, .rows = rows, .studies = 3},
                          learns = {.chunk = 5, .rows = rows, .studies = 3, .learns = true};
    float *gradients = calloc(model.graph.n_values, sizeof *gradients);
    if (!ich_mil_open(&judging, &model, &judge, &err) || !ich_mil_open(&head, &model, &learns, &err) ||
        !ich_feed_open(&feed, &cache, &augment, judging.chunk, (size_t)rows, ich_mil_batches(5, rows), &err))
        fail_msg("%s", err.text);
    assert_non_null(gradients);
    assert_null(head.cnn);
    ich_mil_bind(&judging, model.values, NULL);
    ich_mil_bind(&head, model.values, gradients);
    ich_mil_plan(&judging, &feed, &g.it, 1, false);
    ich_feed_start(&feed, 7);
    if (!ich_mil_features(&judging, &feed, rows, ich_mil_head_input(&head), &err)) fail_msg("%s", err.text);
    const float *logits;
    ich_mil_head(&head, &g.it, true, &logits);
    step all = learn("012", 5);
    double *expected = in_double(all.gradients);
    for (int p = 0; p < model.graph.n_params; p++) {
        const ich_param *param = &model.graph.params[p];
        if (param->group == ICH_GROUP_CNN) memset(expected + param->offset, 0, param->count * sizeof(double));
    }
    assert_same_gradient(gradients, expected, 1e-4, "a frozen CNN");
    free(expected);
    free(all.gradients);
    free(gradients);
    ich_feed_close(&feed);
    ich_mil_close(&judging);
    ich_mil_close(&head);
}

/* Folding batch norm into the convolutions, for judging, changes no answer; nor do chunks. */
static void judging_gives_the_same_answer_in_chunks_of_any_size(void **state) {
    (void)state;
    const step whole = run("0213", (ich_mil_options){.chunk = MOST});
    for (int chunk = 1; chunk < 8; chunk += 3) {
        const step cut = run("0213", (ich_mil_options){.chunk = chunk});
        assert_true(cut.loss == whole.loss);
        assert_memory_equal(cut.logits, whole.logits, sizeof cut.logits);
        assert_int_equal(cut.batches, (15 + chunk - 1) / chunk);
        for (size_t i = 0; i < model.graph.n_values; i++) assert_true(cut.gradients[i] == 0);
        free(cut.gradients);
    }
    free(whole.gradients);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_any_size_give_the_same_loss_and_gradient),
        cmocka_unit_test(the_gradient_is_that_of_the_whole_model_in_double),
        cmocka_unit_test(a_group_learns_the_mean_of_its_studies),
        cmocka_unit_test(studies_weigh_what_they_are_given),
        cmocka_unit_test(partly_labelled_studies_teach_what_is_known),
        cmocka_unit_test(roughness_is_learned_from),
        cmocka_unit_test(a_step_changes_no_value_of_the_model),
        cmocka_unit_test(a_frozen_cnn_gets_no_gradient_and_its_head_the_same),
        cmocka_unit_test(judging_gives_the_same_answer_in_chunks_of_any_size),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
