/* A checkpoint holds everything exactly, and whatever is not this run's checkpoint is refused by name and
 * changes nothing. */
#include "../data/scratch.h"
#include "data/file.h"
#include "tensor/hash.h"
#include "train/keep.h"
#include "train/run.h"
#include "world.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 9 };

static bool damaged; /* as the last loading found the file */

/* -- where a run stands ----------------------------------------------------------------------------- */

typedef struct stand {
    ich_model model;
    ich_optimizer optimizer;
    ich_tally tally;
    ich_log log;
    ich_position position;
    ich_checkpoint it;
} stand;

static void randomise(float *numbers, size_t n, uint64_t index) {
    ich_rng rng = ich_rng_make(9, ICH_RNG_TEST, index);
    for (size_t i = 0; i < n; i++) numbers[i] = ich_rng_range(&rng, -3, 3);
}

/* A run that has only begun. */
static void begin(stand *s, ich_optimizer_kind kind, double ema) {
    ich_error err = {""};
    *s = (stand){.model = world_tiny_model(1), .position = {.best = NAN}};
    if (!ich_optimizer_init(&s->optimizer, kind, &s->model.graph, ema, &err) ||
        !ich_tally_init(&s->tally, ROWS, &err))
        fail_msg("%s", err.text);
    s->it = (ich_checkpoint){.verb = "finetune",
                             .fingerprint = "0123456789abcdef",
                             .steps = 7,
                             .rows = ROWS,
                             .epochs = 5,
                             .model = &s->model,
                             .optimizer = &s->optimizer,
                             .tally = &s->tally,
                             .log = &s->log,
                             .position = &s->position};
}

/* … and one that has gone on for a while. */
static void advance(stand *s) {
    ich_error err = {""};
    const size_t n = s->optimizer.n_values;
    randomise(s->model.values, n, 1);
    for (int i = 0; i < 2; i++)
        if (s->optimizer.state[i]) randomise(s->optimizer.state[i], n, 2 + (uint64_t)i);
    if (s->optimizer.average) randomise(s->optimizer.average, n, 4);
    randomise(s->tally.score, 5, 5);
    randomise(s->tally.label, 5, 6);
    s->optimizer.step = UINT64_MAX - 1;
    s->tally.known = 5;
    s->tally.rows = ((size_t)1 << 53) + 1; /* which no double can hold */
    s->tally.images = SIZE_MAX;
    s->tally.loss = 1.0 / 3;
    s->position = (ich_position){.epoch = 3,
                                 .batch = 6,
                                 .best = nextafter(0.1, 1),
                                 .best_epoch = 2,
                                 .bad_steps = 4,
                                 .seconds = 1e300,
                                 .waited = DBL_TRUE_MIN};
    const ich_log_row row = {.epoch = 1, .split = "val", .loss = 0.25, .auc = NAN};
    if (!ich_log_add(&s->log, &row, &err) ||
        !ich_model_set_meta(&s->model, "parent", "feedbeef00000000", &err))
        fail_msg("%s", err.text);
}

static void end(stand *s) {
    ich_model_free(&s->model);
    ich_optimizer_free(&s->optimizer);
    ich_tally_free(&s->tally);
    ich_log_free(&s->log);
}

static const char *saved(const stand *s, const char *name) {
    ich_error err = {""};
    const char *path = scratch_path(name);
    if (!ich_checkpoint_save(&s->it, path, &err)) fail_msg("%s", err.text);
    return path;
}

static void assert_same_file(const char *a, const char *b) {
    size_t n, m;
    unsigned char *one = read_bytes(a, &n), *two = read_bytes(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
    free(one);
    free(two);
}

static bool same_double(double a, double b) {
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void assert_same_position(const ich_position *a, const ich_position *b) {
    assert_int_equal(a->epoch, b->epoch);
    assert_true(a->batch == b->batch && a->bad_steps == b->bad_steps);
    assert_int_equal(a->best_epoch, b->best_epoch);
    assert_true(same_double(a->best, b->best) && same_double(a->seconds, b->seconds) &&
                same_double(a->waited, b->waited));
}

/* -- what is kept ----------------------------------------------------------------------------------- */

static void saved_and_loaded_it_is_the_same_to_the_byte(void **state) {
    (void)state;
    static const ich_optimizer_kind kinds[] = {ICH_SGD, ICH_ADAMW, ICH_ADAMW};
    for (int i = 0; i < 3; i++) {
        stand a, b;
        ich_error err = {""};
        begin(&a, kinds[i], i == 2 ? 0.99 : 0);
        begin(&b, kinds[i], i == 2 ? 0.99 : 0);
        advance(&a);
        const char *path = saved(&a, "a.safetensors");
        if (!ich_checkpoint_load(&b.it, path, &damaged, &err)) fail_msg("%s", err.text);
        const size_t bytes = a.optimizer.n_values * sizeof(float);
        assert_memory_equal(a.model.values, b.model.values, bytes);
        for (int k = 0; k < 2; k++)
            if (a.optimizer.state[k]) assert_memory_equal(a.optimizer.state[k], b.optimizer.state[k], bytes);
        if (a.optimizer.average) assert_memory_equal(a.optimizer.average, b.optimizer.average, bytes);
        assert_true(b.optimizer.step == UINT64_MAX - 1 && b.tally.rows == a.tally.rows);
        assert_true(b.tally.images == SIZE_MAX && b.tally.known == 5 && b.tally.loss == 1.0 / 3);
        assert_memory_equal(a.tally.score, b.tally.score, 5 * sizeof(float));
        assert_memory_equal(a.tally.label, b.tally.label, 5 * sizeof(float));
        assert_same_position(&a.position, &b.position);
        assert_string_equal(ich_log_text(&a.log), ich_log_text(&b.log));
        assert_string_equal(ich_model_meta(&b.model, "parent"), "feedbeef00000000");
        assert_same_file(path, saved(&b, "b.safetensors"));
        end(&a);
        end(&b);
    }
}

static void a_run_that_has_only_begun_can_be_kept_too(void **state) {
    (void)state;
    stand a, b;
    ich_error err = {""};
    begin(&a, ICH_ADAMW, 0);
    begin(&b, ICH_ADAMW, 0);
    advance(&b);
    b.tally.known = 0;
    const char *path = saved(&a, "a.safetensors");
    if (!ich_checkpoint_load(&b.it, path, &damaged, &err)) fail_msg("%s", err.text);
    assert_same_position(&a.position, &b.position);
    assert_true(b.optimizer.step == 0 && b.tally.rows == 0 && b.tally.known == 0);
    assert_string_equal(ich_log_text(&b.log), ich_log_text(&a.log));
    end(&a);
    end(&b);
}

static void every_double_is_exact(void **state) {
    (void)state;
    static const double numbers[] = {NAN,
                                     0.0,
                                     -0.0,
                                     0.1,
                                     1.0 / 3,
                                     DBL_MAX,
                                     DBL_MIN,
                                     DBL_TRUE_MIN,
                                     DBL_EPSILON,
                                     -1e-310,
                                     0x1.fffffffffffffp0,
                                     123456789.123456789};
    stand a, b;
    ich_error err = {""};
    begin(&a, ICH_SGD, 0);
    begin(&b, ICH_SGD, 0);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        a.position.best = a.position.seconds = a.position.waited = a.tally.loss = numbers[i];
        if (!ich_checkpoint_load(&b.it, saved(&a, "a.safetensors"), &damaged, &err)) fail_msg("%s", err.text);
        assert_same_position(&a.position, &b.position);
        assert_true(same_double(a.tally.loss, b.tally.loss));
    }
    end(&a);
    end(&b);
}

/* -- what is refused -------------------------------------------------------------------------------- */

/* A run that goes on for another while, whose state is known byte by byte. */
typedef struct guarded {
    stand now, before;
} guarded;

static void guard(guarded *g) {
    begin(&g->now, ICH_ADAMW, 0.9);
    begin(&g->before, ICH_ADAMW, 0.9);
    advance(&g->now);
    advance(&g->before);
}

static void assert_unchanged(const guarded *g) {
    const stand *a = &g->now, *b = &g->before;
    const size_t bytes = a->optimizer.n_values * sizeof(float);
    assert_memory_equal(a->model.values, b->model.values, bytes);
    assert_memory_equal(a->optimizer.state[0], b->optimizer.state[0], bytes);
    assert_memory_equal(a->optimizer.state[1], b->optimizer.state[1], bytes);
    assert_memory_equal(a->optimizer.average, b->optimizer.average, bytes);
    assert_memory_equal(a->tally.score, b->tally.score, ROWS * sizeof(float));
    assert_memory_equal(a->tally.label, b->tally.label, ROWS * sizeof(float));
    assert_true(a->optimizer.step == b->optimizer.step && a->tally.rows == b->tally.rows &&
                a->tally.images == b->tally.images && a->tally.known == b->tally.known &&
                a->tally.loss == b->tally.loss);
    assert_same_position(&a->position, &b->position);
    assert_string_equal(ich_log_text(&a->log), ich_log_text(&b->log));
    assert_string_equal(ich_model_meta(&a->model, "parent"), ich_model_meta(&b->model, "parent"));
}

static void refuse(guarded *g, const char *path, const char *word) {
    ich_error err = {""};
    assert_false(ich_checkpoint_load(&g->now.it, path, &damaged, &err));
    if (strncmp(err.text, path, strlen(path)) != 0 || !strstr(err.text, word))
        fail_msg("'%s' does not begin with the file and say '%s'", err.text, word);
    assert_unchanged(g);
}

/* A file whose seal does not fit: another may be taken instead. */
static void refuse_damaged(guarded *g, const char *path) {
    refuse(g, path, "damaged");
    assert_true(damaged);
}

/* A file of another run, as such a run saves it. */
static const char *of_another(void (*change)(stand *), ich_optimizer_kind kind, double ema) {
    stand s;
    begin(&s, kind, ema);
    advance(&s);
    change(&s);
    const char *path = saved(&s, "other.safetensors");
    end(&s);
    return path;
}

static void other_verb(stand *s) { s->it.verb = "pretrain"; }
static void other_dataset(stand *s) { s->it.fingerprint = "0123456789abcdee"; }
static void other_steps(stand *s) { s->it.steps = 8; }
static void other_rows(stand *s) { s->it.rows = ROWS - 1; }
static void other_epochs(stand *s) { s->it.epochs = 6; }
static void epoch_beyond(stand *s) { s->position.epoch = 6; }
static void batch_beyond(stand *s) { s->position.batch = 8; }
static void best_beyond(stand *s) { s->position.best_epoch = 6; }
static void negative_epoch(stand *s) { s->position.epoch = -1; }
static void not_a_number(stand *s) { s->model.values[3] = NAN; }
static void infinite_average(stand *s) { s->optimizer.average[s->optimizer.n_values - 1] = INFINITY; }
static void nothing(stand *s) { (void)s; }

static void a_checkpoint_of_another_run_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        void (*change)(stand *);
        const char *word;
    } cases[] = {
        {other_verb, "another verb, not of finetune"},
        {other_dataset, "the dataset is not the one"},
        {other_steps, "an epoch had 9 samples in 8 steps and now has 9 in 7"},
        {other_rows, "an epoch had 8 samples in 7 steps and now has 9 in 7"},
        {other_epochs, "of another recipe"},
        {epoch_beyond, "damaged"},
        {batch_beyond, "damaged"},
        {best_beyond, "damaged"},
        {negative_epoch, "damaged"},
        {not_a_number, "'values' holds a value that is not finite"},
        {infinite_average, "'average' holds a value that is not finite"},
    };
    guarded g;
    guard(&g);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(&g, of_another(cases[i].change, ICH_ADAMW, 0.9), cases[i].word);
    refuse(&g, of_another(nothing, ICH_ADAMW, 0), "'average' is missing");
    refuse(&g, of_another(nothing, ICH_SGD, 0.9), "'state.1' is missing");
    end(&g.now);
    end(&g.before);
}

static void more_scores_than_there_is_room_for_are_refused(void **state) {
    (void)state;
    stand s;
    guarded g;
    ich_error err = {""};
    guard(&g);
    begin(&s, ICH_ADAMW, 0.9);
    ich_tally_free(&s.tally);
    if (!ich_tally_init(&s.tally, ROWS + 1, &err)) fail_msg("%s", err.text);
    s.tally.known = ROWS + 1;
    refuse(&g, saved(&s, "other.safetensors"), "damaged");
    end(&s);
    end(&g.now);
    end(&g.before);
}

static void a_foreign_file_is_refused_by_name(void **state) {
    (void)state;
    guarded g;
    ich_error err = {""};
    guard(&g);
    const char *path = scratch_path("model.safetensors");
    if (!ich_model_save(&g.now.model, path, &err)) fail_msg("%s", err.text);
    refuse(&g, path, "no sealed file");
    refuse(&g, scratch_path("nowhere.safetensors"), "No such file");
    refuse(&g, scratch_write("text.safetensors", "this is no tensor\n", 18), "damaged");
    refuse(&g, scratch_write("empty.safetensors", "", 0), "damaged");
    end(&g.now);
    end(&g.before);
}

static void a_file_cut_short_anywhere_is_refused_by_name(void **state) {
    (void)state;
    guarded g;
    size_t n;
    guard(&g);
    unsigned char *bytes = read_bytes(saved(&g.now, "whole.safetensors"), &n);
    for (size_t length = 0; length < n; length += 1 + n / 400)
        refuse_damaged(&g, scratch_write("cut.safetensors", bytes, length));
    refuse_damaged(&g, scratch_write("cut.safetensors", bytes, n - 1));
    free(bytes);
    end(&g.now);
    end(&g.before);
}

/* One bit of any byte of the header, of the seal, and of many places between: told, and nothing changed. */
static void a_flipped_bit_anywhere_is_noticed(void **state) {
    (void)state;
    guarded g;
    size_t n;
    guard(&g);
    unsigned char *bytes = read_bytes(saved(&g.now, "whole.safetensors"), &n);
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    for (size_t at = 0; at < n; at += at < 8 + header || at >= n - 16 ? 1 : 1 + n / 500) {
        const unsigned char bit = (unsigned char)(1u << at % 8);
        bytes[at] ^= bit;
        refuse_damaged(&g, scratch_write("flipped.safetensors", bytes, n));
        bytes[at] ^= bit;
    }
    for (size_t at = n - 16; at < n; at++) { /* the loop above may step over its beginning */
        bytes[at] ^= 1;
        refuse_damaged(&g, scratch_write("flipped.safetensors", bytes, n));
        bytes[at] ^= 1;
    }
    free(bytes);
    end(&g.now);
    end(&g.before);
}

/* A number that only begins like one, or that 64 bits cannot hold. */
static void a_counter_that_is_no_number_is_refused_by_name(void **state) {
    (void)state;
    static const char counter[] = "\"optimizer_step\":\"18446744073709551614\"";
    static const char *const others[] = {
        "\"optimizer_step\":\"18446744073709551616\"", "\"optimizer_step\":\"-8446744073709551614\"",
        "\"optimizer_step\":\" -446744073709551614\"", "\"optimizer_step\":\"1844674407370955161x\"",
        "\"optimizer_step\":\"0x44674407370955161\" ", "\"optimizer_step\":\"\"                    "};
    guarded g;
    size_t n;
    guard(&g);
    unsigned char *bytes = read_bytes(saved(&g.now, "whole.safetensors"), &n);
    unsigned char *at = memmem(bytes, n, counter, sizeof counter - 1);
    assert_non_null(at);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(strlen(others[i]), sizeof counter - 1);
        memcpy(at, others[i], sizeof counter - 1);
        const uint64_t seal = ich_fnv(ich_fnv_start, bytes, n - sizeof seal);
        memcpy(bytes + n - sizeof seal, &seal, sizeof seal);
        refuse(&g, scratch_write("counter.safetensors", bytes, n), "'optimizer_step' is not a number");
    }
    free(bytes);
    end(&g.now);
    end(&g.before);
}

/* -- the last few ----------------------------------------------------------------------------------- */

static const char *folder_of_run(void) {
    ich_error err = {""};
    if (!ich_folder_make(scratch_path("run/checkpoint"), &err)) fail_msg("%s", err.text);
    return scratch_path("run");
}

static const char *kept(int i) {
    char name[ICH_KEEP_NAME], path[ICH_KEEP_NAME + 4];
    ich_keep_name(name, i);
    snprintf(path, sizeof path, "run/%s", name);
    return scratch_path(path);
}

/* Saves checkpoints of steps first … last, of which 3 are kept. */
static void keep_steps(stand *s, int *from, size_t first, size_t last) {
    ich_error err = {""};
    for (s->position.batch = first; s->position.batch <= last; s->position.batch++)
        if (!ich_keep_save(&s->it, folder_of_run(), 3, from, &err)) fail_msg("%s", err.text);
}

/* The step that a run goes on from. */
static size_t found(int *from) {
    stand s;
    ich_error err = {""};
    begin(&s, ICH_SGD, 0);
    if (!ich_keep_load(&s.it, folder_of_run(), from, NULL, &err)) fail_msg("%s", err.text);
    const size_t batch = s.position.batch;
    end(&s);
    return batch;
}

static void damage(const char *path) {
    size_t n;
    unsigned char *bytes = read_bytes(path, &n);
    ich_error err = {""};
    bytes[n / 2] ^= 4;
    if (!ich_file_write(path, bytes, n, &err)) fail_msg("%s", err.text);
    free(bytes);
}

static void the_newest_that_is_whole_is_taken(void **state) {
    (void)state;
    stand s;
    int from = 0;
    begin(&s, ICH_SGD, 0);
    assert_false(ich_keep_any(folder_of_run()));
    keep_steps(&s, &from, 1, 5);
    assert_true(ich_path_exists(kept(2)) && !ich_path_exists(kept(3)));
    assert_int_equal(found(&from), 5);
    assert_int_equal(from, 0);
    damage(kept(0));
    assert_int_equal(found(&from), 4);
    assert_int_equal(from, 1);
    damage(kept(1));
    assert_int_equal(found(&from), 3);
    assert_int_equal(from, 2);
    keep_steps(&s, &from, 4, 4); /* in place of the damaged ones, the whole one before it */
    assert_int_equal(from, 0);
    assert_int_equal(found(&from), 4);
    damage(kept(0));
    assert_int_equal(found(&from), 3);
    assert_false(ich_path_exists(kept(2)));
    ich_error err = {""};
    damage(kept(1));
    assert_false(ich_keep_load(&s.it, folder_of_run(), &from, NULL, &err));
    if (!strstr(err.text, ICH_RUN_STATE) || !strstr(err.text, "no older checkpoint is whole"))
        fail_msg("%s", err.text);
    assert_true(ich_keep_any(folder_of_run()) && ich_keep_remove(folder_of_run(), &err));
    assert_false(ich_keep_any(folder_of_run()));
    end(&s);
}

/* What a crash between two renames leaves: gaps. */
static void a_gap_is_stepped_over(void **state) {
    (void)state;
    stand s;
    int from = 0;
    ich_error err = {""};
    begin(&s, ICH_SGD, 0);
    keep_steps(&s, &from, 1, 3);
    assert_int_equal(rename(kept(0), kept(5)), 0);
    assert_int_equal(found(&from), 2);
    assert_true(ich_keep_any(folder_of_run()));
    keep_steps(&s, &from, 6, 6);
    assert_int_equal(found(&from), 6);
    assert_false(ich_path_exists(kept(5)));
    assert_true(ich_keep_remove(folder_of_run(), &err));
    end(&s);
}

/* A whole checkpoint of another run is no reason to take an older one. */
static void another_runs_checkpoint_is_not_stepped_over(void **state) {
    (void)state;
    stand s;
    int from = 0;
    ich_error err = {""};
    begin(&s, ICH_SGD, 0);
    keep_steps(&s, &from, 1, 2);
    s.it.verb = "pretrain";
    keep_steps(&s, &from, 3, 3);
    s.it.verb = "finetune";
    assert_false(ich_keep_load(&s.it, folder_of_run(), &from, NULL, &err));
    if (!strstr(err.text, "another verb")) fail_msg("%s", err.text);
    assert_true(ich_keep_remove(folder_of_run(), &err));
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_and_loaded_it_is_the_same_to_the_byte),
        cmocka_unit_test(a_run_that_has_only_begun_can_be_kept_too),
        cmocka_unit_test(every_double_is_exact),
        cmocka_unit_test(a_checkpoint_of_another_run_is_refused_by_name),
        cmocka_unit_test(more_scores_than_there_is_room_for_are_refused),
        cmocka_unit_test(a_foreign_file_is_refused_by_name),
        cmocka_unit_test(a_file_cut_short_anywhere_is_refused_by_name),
        cmocka_unit_test(a_flipped_bit_anywhere_is_noticed),
        cmocka_unit_test(a_counter_that_is_no_number_is_refused_by_name),
        cmocka_unit_test(the_newest_that_is_whole_is_taken),
        cmocka_unit_test(a_gap_is_stepped_over),
        cmocka_unit_test(another_runs_checkpoint_is_not_stepped_over),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
