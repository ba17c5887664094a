/* Epochs: which model is the best, what the log and the folder hold, and that a run which was stopped, or
 * which broke off, ends where one that never was would have ended. What is learned is a toy: loops do not
 * look. */
#include "../data/scratch.h"
#include "data/csv.h"
#include "data/file.h"
#include "data/safetensors.h"
#include "train/loop.h"
#include "train/run.h"
#include "world.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 4, EPOCHS = 3 };

/* -- a learner whose figures are written down ------------------------------------------------------- */

typedef struct toy {
    ich_loop loop;
    ich_train_job job;
    int stop;
    const double *val;            /* [EPOCHS] validation losses; NULL: there is none */
    int stop_at, fail_at, odd_at; /* step of the run, from 1: raise *stop, fail, … */
    double odd_loss;              /* … the step's loss, and a gradient of it, that are odd */
    float odd_gradient;
    size_t begun_at, steps; /* step that the last epoch was begun at; steps done */
    float first[EPOCHS];    /* a weight as it was judged in each epoch */
} toy;

static bool begin(void *self, int epoch, size_t batch, ich_error *err) {
    (void)epoch, (void)err;
    ((toy *)self)->begun_at = batch;
    return true;
}

/* The gradient depends on epoch and step alone, as a real one's images do. */
static bool step(void *self, size_t batch, double *loss, const char **who, ich_error *err) {
    toy *t = self;
    const ich_graph *graph = &t->loop.model.graph;
    const int number = t->loop.at.epoch * STEPS + (int)batch + 1;
    *who = "study-7";
    *loss = number == t->odd_at ? t->odd_loss : 1.0 / number;
    if (number == t->fail_at) return ich_fail(err, "the disk is gone");
    ich_rng rng = ich_rng_make(1, ICH_RNG_TEST, (uint64_t)number);
    for (size_t i = 0; i < graph->n_values; i++) {
        assert_true(t->loop.gradients[i] == 0); /* each step starts from none */
        t->loop.gradients[i] = ich_rng_range(&rng, -1, 1);
    }
    if (number == t->odd_at) t->loop.gradients[graph->params[0].offset] = t->odd_gradient;
    const float logits[ICH_LABELS] = {(float)number}, labels[ICH_LABELS] = {(float)(number % 2)};
    ich_tally_add(&t->loop.tally, 1, *loss, logits, labels);
    t->loop.tally.images += 10;
    t->steps++;
    if (number == t->stop_at) t->stop = 1;
    return true;
}

static void changed(void *self) { (void)self; }

static bool validate(void *self, float *values, ich_tally *tally, ich_error *err) {
    (void)err;
    toy *t = self;
    const float logits[ICH_LABELS] = {0}, labels[ICH_LABELS] = {0};
    t->first[t->loop.at.epoch] = values[t->loop.model.graph.params[0].offset];
    ich_tally_add(tally, 1, t->val[t->loop.at.epoch], logits, labels);
    return true;
}

static double waited(void *self) { return (void)self, 0; }

/* -- a run of it ------------------------------------------------------------------------------------ */

static toy toy_in(const char *name) {
    toy t = {.odd_loss = 0.5};
    t.job =
        (ich_train_job){.recipe = world_recipe(ICH_FOR_FINETUNE), .dataset = "d", .out = scratch_path(name)};
    t.job.recipe.epochs = EPOCHS;
    return t;
}

/* What ich_loop_open does, without a dataset or a network. */
static void open_loop(toy *t) {
    ich_loop *loop = &t->loop;
    ich_error err = {""};
    *loop = (ich_loop){.job = &t->job, .verb = "finetune", .model = world_tiny_model(1), .at.best = NAN};
    loop->lr[ICH_GROUP_HEAD] = 0.01;
    loop->schedule = ICH_COSINE;
    loop->gradients = calloc(loop->model.graph.n_values, sizeof(float));
    assert_non_null(loop->gradients);
    if (!ich_run_claim(&t->job, "finetune", &loop->lock, &err) ||
        !ich_optimizer_init(&loop->optimizer, ICH_ADAMW, &loop->model.graph, t->job.recipe.ema, &err) ||
        !ich_loop_position(loop, STEPS, STEPS, &err))
        fail_msg("%s", err.text);
}

static bool run(toy *t, ich_train_result *result, ich_error *err) {
    char *out = strdup(t->job.out); /* the scratch path may be gone before the run is over */
    t->job.out = out;
    t->job.stop = &t->stop;
    open_loop(t);
    const ich_learner learner = {.self = t,
                                 .images = STEPS * 10,
                                 .begin = begin,
                                 .step = step,
                                 .changed = changed,
                                 .validate = t->val ? validate : NULL,
                                 .rows_val = 1,
                                 .waited = waited};
    const bool done = ich_loop_run(&t->loop, &learner, result, err);
    ich_loop_close(&t->loop);
    t->job.out = NULL;
    free(out);
    return done;
}

static ich_train_result finish(toy *t) {
    ich_train_result result;
    ich_error err = {""};
    if (!run(t, &result, &err)) fail_msg("%s", err.text);
    return result;
}

static const char *file_in(const char *run, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", run, name);
    return scratch_path(path);
}

static bool is_there(const char *run, const char *name) { return ich_path_exists(file_in(run, name)); }

static void assert_same_file(const char *a, const char *b, const char *name) {
    size_t n, m;
    unsigned char *one = read_bytes(file_in(a, name), &n), *two = read_bytes(file_in(b, name), &m);
    if (n != m || memcmp(one, two, n) != 0) fail_msg("%s of %s and of %s differ", name, a, b);
    free(one);
    free(two);
}

/* A weight of a model file: the one that validate looks at. */
static float weight_of(const char *run, const char *name) {
    char tensor[160];
    ich_safetensors st;
    ich_error err = {""};
    ich_model model = world_tiny_model(1);
    snprintf(tensor, sizeof tensor, "%s", model.graph.params[0].name);
    ich_model_free(&model);
    if (!ich_safetensors_read(&st, file_in(run, name), &err)) fail_msg("%s", err.text);
    const ich_st_tensor *found = ich_safetensors_find(&st, tensor);
    assert_non_null(found);
    const float weight = found->data[0];
    ich_safetensors_free(&st);
    return weight;
}

/* -- behaviours ------------------------------------------------------------------------------------- */

static void the_model_is_the_best_on_validation_and_last_is_the_last(void **state) {
    (void)state;
    static const double val[] = {0.5, 0.3, 0.3}; /* as good is not better */
    toy t = toy_in("best");
    t.val = val;
    const ich_train_result result = finish(&t);
    assert_false(result.stopped);
    assert_int_equal(result.best_epoch, 2);
    assert_true(result.best_loss == 0.3);
    assert_int_equal(t.steps, STEPS * EPOCHS);
    assert_true(weight_of("best", ICH_RUN_MODEL) == t.first[1]);
    assert_true(weight_of("best", ICH_RUN_LAST) == t.first[2] && t.first[1] != t.first[2]);
}

static void without_validation_the_model_is_the_last(void **state) {
    (void)state;
    toy t = toy_in("blind");
    const ich_train_result result = finish(&t);
    assert_int_equal(result.best_epoch, EPOCHS);
    assert_true(isnan(result.best_loss));
    assert_true(weight_of("blind", ICH_RUN_MODEL) == weight_of("blind", ICH_RUN_LAST));
}

static void averaged_weights_are_judged_and_saved(void **state) {
    (void)state;
    static const double val[] = {0.5, 0.4, 0.3};
    toy plain = toy_in("plain"), averaged = toy_in("averaged");
    plain.val = averaged.val = val;
    averaged.job.recipe.ema = 0.9;
    finish(&plain);
    finish(&averaged);
    assert_true(plain.first[2] != averaged.first[2]);
    assert_true(weight_of("averaged", ICH_RUN_MODEL) == averaged.first[2]);
}

static void the_log_has_a_row_for_each_epoch_and_split(void **state) {
    (void)state;
    static const double val[] = {0.5, 0.25, 0.75};
    toy t = toy_in("log");
    t.val = val;
    finish(&t);
    ich_csv csv;
    ich_error err = {""};
    if (!ich_csv_read(&csv, file_in("log", ICH_RUN_LOG), &err)) fail_msg("%s", err.text);
    assert_int_equal(csv.n_rows, 2 * EPOCHS);
    double lr_before = 1;
    for (size_t row = 0; row < csv.n_rows; row++) {
        double epoch = 0, loss = 0, lr = 0, expected = row % 2 ? val[row / 2] : 0;
        for (int i = 0; row % 2 == 0 && i < STEPS; i++)
            expected += 1.0 / ((double)(row / 2) * STEPS + i + 1) / STEPS;
        assert_true(ich_csv_number(&csv, row, ich_csv_column(&csv, "epoch"), &epoch, &err) &&
                    ich_csv_number(&csv, row, ich_csv_column(&csv, "loss"), &loss, &err) &&
                    ich_csv_number(&csv, row, ich_csv_column(&csv, "lr"), &lr, &err));
        assert_true(epoch == (double)(row / 2 + 1) && fabs(loss - expected) < 1e-6);
        assert_string_equal(ich_csv_cell(&csv, row, ich_csv_column(&csv, "split")),
                            row % 2 ? "val" : "train");
        assert_true(row % 2 ? lr == lr_before : lr < lr_before); /* the cosine falls */
        lr_before = lr;
    }
    ich_csv_free(&csv);
}

static void assert_same_end(const char *a, const char *b) {
    assert_same_file(a, b, ICH_RUN_MODEL);
    assert_same_file(a, b, ICH_RUN_LAST);
}

/* After any step, the first and the last of an epoch among them. */
static void a_run_that_was_stopped_goes_on_to_the_same_bytes(void **state) {
    (void)state;
    static const double val[] = {0.3, 0.5, 0.4};
    toy whole = toy_in("whole");
    whole.val = val;
    whole.job.recipe.ema = 0.5;
    finish(&whole);
    for (int at = 1; at <= STEPS * EPOCHS; at++) {
        toy t = toy_in("stopped");
        t.val = val;
        t.job.recipe.ema = 0.5;
        t.job.force = true;
        t.stop_at = at;
        assert_true(finish(&t).stopped);
        assert_int_equal(t.steps, at);
        t.job.out = scratch_path("stopped");
        t.job.resume = true;
        t.stop = t.stop_at = 0;
        t.begun_at = 99;
        const ich_train_result result = finish(&t);
        assert_false(result.stopped);
        assert_int_equal(result.best_epoch, 1);
        assert_true(result.best_loss == 0.3);
        assert_int_equal(t.steps, STEPS * EPOCHS);
        if (at > STEPS * (EPOCHS - 1) && at < STEPS * EPOCHS) assert_int_equal(t.begun_at, at % STEPS);
        assert_same_end("whole", "stopped");
    }
}

/* With a checkpoint after every step, what is lost by a crash is that step alone; without, the epoch. */
static void a_run_that_broke_off_goes_on_from_its_last_checkpoint(void **state) {
    (void)state;
    static const double val[] = {0.5, 0.4, 0.6};
    toy whole = toy_in("unbroken");
    whole.val = val;
    finish(&whole);
    for (int often = 0; often < 2; often++) {
        toy t = toy_in("broken");
        ich_train_result result;
        ich_error err = {""};
        t.val = val;
        t.job.force = true;
        t.job.checkpoint_minutes = often ? 1e-12 : 0;
        t.fail_at = STEPS + 3;
        assert_false(run(&t, &result, &err));
        assert_string_equal(err.text, "the disk is gone");
        t.job.out = scratch_path("broken");
        t.job.resume = true;
        t.steps = 0;
        t.fail_at = 0;
        finish(&t);
        assert_int_equal(t.steps, STEPS * EPOCHS - STEPS - (often ? 2 : 0));
        assert_same_end("unbroken", "broken");
    }
}

/* Each is told with epoch, step and study, and the model of the epoch before stays. */
static void numbers_that_are_not_finite_end_the_run(void **state) {
    (void)state;
    static const double good[] = {0.5, 0.4, 0.3}, bad[] = {0.5, NAN, 0.3};
    static const struct {
        double loss;
        float gradient;
        const double *val;
        const char *words;
    } cases[] = {
        {NAN, 0, good, "epoch 2, step 3 (first study study-7): the loss is not finite: lower --lr"},
        {INFINITY, 0, good, "epoch 2, step 3 (first study study-7): the loss is not finite: lower --lr"},
        {0.5, NAN, good,
         "epoch 2, step 3 (first study study-7): the gradient is not finite, first in "
         "the gradient of 'classifier.weight': lower --lr"},
        {0.5, INFINITY, good, "epoch 2, step 3 (first study study-7): the gradient is not finite"},
        {0.5, 0, bad, "epoch 2: the validation loss is not finite: lower --lr"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        toy t = toy_in("odd");
        ich_train_result result;
        ich_error err = {""};
        t.job.force = true;
        t.job.recipe.bad_steps = 0;
        t.val = cases[i].val;
        t.odd_at = STEPS + 3;
        t.odd_loss = cases[i].loss;
        t.odd_gradient = cases[i].gradient;
        assert_false(run(&t, &result, &err));
        if (!strstr(err.text, cases[i].words)) fail_msg("'%s' does not say '%s'", err.text, cases[i].words);
        assert_true(weight_of("odd", ICH_RUN_MODEL) == t.first[0]);
        assert_true(weight_of("odd", ICH_RUN_LAST) == t.first[0]);
    }
}

/* One bad step leaves weights and figures as they were, and where a run was stopped does not change that. */
static void a_bad_step_is_left_out_the_same_on_any_way(void **state) {
    (void)state;
    static const double val[] = {0.5, 0.4, 0.3};
    static const struct {
        double loss;
        float gradient;
    } cases[] = {{NAN, 0}, {0.5, INFINITY}, {100, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        toy whole = toy_in("left-out");
        whole.job.force = true;
        whole.val = val;
        whole.job.recipe.explode = 50;
        whole.odd_at = STEPS + 2;
        whole.odd_loss = cases[i].loss;
        whole.odd_gradient = cases[i].gradient;
        finish(&whole);
        size_t n;
        char *log = (char *)read_bytes(file_in("left-out", ICH_RUN_LOG), &n);
        int epoch = 0, seen = 0;
        for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
            if (!strstr(line, ",train,")) continue;
            epoch++;
            seen += !strcmp(strrchr(line, ','), epoch == 2 ? ",1" : ",0");
        }
        assert_int_equal(seen, EPOCHS);
        free(log);
        for (int at = STEPS + 1; at <= STEPS + 3; at++) {
            toy t = whole;
            t.steps = 0;
            t.job.out = scratch_path("left-out-stopped");
            t.stop_at = at;
            ich_train_result result;
            ich_error err = {""};
            if (!run(&t, &result, &err)) fail_msg("%s", err.text);
            assert_true(result.stopped);
            t.stop = t.stop_at = 0;
            t.job.out = scratch_path("left-out-stopped");
            t.job.resume = true;
            finish(&t);
            assert_same_end("left-out", "left-out-stopped");
        }
    }
}

static void a_run_stopped_in_its_first_epoch_has_no_model_yet(void **state) {
    (void)state;
    toy t = toy_in("early");
    t.stop_at = 1;
    assert_true(finish(&t).stopped);
    assert_true(is_there("early", ICH_RUN_STATE));
    assert_false(is_there("early", ICH_RUN_MODEL) || is_there("early", ICH_RUN_LAST) ||
                 is_there("early", ICH_RUN_LOG));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_is_the_best_on_validation_and_last_is_the_last),
        cmocka_unit_test(without_validation_the_model_is_the_last),
        cmocka_unit_test(averaged_weights_are_judged_and_saved),
        cmocka_unit_test(the_log_has_a_row_for_each_epoch_and_split),
        cmocka_unit_test(a_run_that_was_stopped_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_run_that_broke_off_goes_on_from_its_last_checkpoint),
        cmocka_unit_test(numbers_that_are_not_finite_end_the_run),
        cmocka_unit_test(a_bad_step_is_left_out_the_same_on_any_way),
        cmocka_unit_test(a_run_stopped_in_its_first_epoch_has_no_model_yet),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
