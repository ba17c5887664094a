/* Studies like training's pass, others are named with what is unusual about them; the statistics travel in
 * the model file, and predict lists what is unlike them but answers it all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/volume.h"
#include "infer/likeness.h"
#include "infer/predict.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

enum { SIZE = 16 };

/* Shares of a slice: air, fat, brain, dense (200 HU), bone. */
typedef struct tissue {
    double air, fat, dense, bone;
    int slices;
    float brain; /* HU */
} tissue;

static const tissue head = {0.5, 0.02, 0.01, 0.08, 30, 35};

static uint8_t byte_of(const ich_preprocess *p, int c, float hu) {
    const float v = (hu - p->center[c]) / p->width[c] + 0.5F;
    return (uint8_t)(255 * (v < 0 ? 0 : v > 1 ? 1 : v) + 0.5F);
}

static float pixel_of(const tissue *t, double u) {
    if (u < t->air) return -1000;
    if (u < t->air + t->fat) return -100;
    if (u < t->air + t->fat + t->dense) return 200;
    return u < t->air + t->fat + t->dense + t->bone ? 900 : t->brain;
}

static ich_look look_at(const tissue *t, const ich_preprocess *p, uint64_t index) {
    ich_look look = {0};
    ich_rng rng = ich_rng_make(4, ICH_RNG_TEST, index);
    uint8_t bytes[SIZE * SIZE * 3];
    const double more_air = 0.1 * ((double)ich_rng_uniform(&rng) - 0.5); /* heads and fields of view vary */
    for (int z = 0; z < t->slices; z++) {
        for (int i = 0; i < SIZE * SIZE; i++) {
            const float hu = pixel_of(t, (double)ich_rng_uniform(&rng) - more_air);
            for (int c = 0; c < 3; c++) bytes[i * 3 + c] = byte_of(p, c, hu);
        }
        ich_look_add(&look, p, bytes);
    }
    return look;
}

static ich_likeness learn(const ich_preprocess *p, int studies) {
    ich_likeness l = {0};
    for (int i = 0; i < studies; i++) {
        const ich_look look = look_at(&head, p, (uint64_t)i);
        ich_likeness_learn(&l, p, &look);
    }
    assert_int_equal(l.studies, studies);
    return l;
}

static void studies_like_training_pass(void **state) {
    (void)state;
    char reason[200] = "";
    const ich_preprocess p = ich_preprocess_default(SIZE);
    const ich_likeness many = learn(&p, 100), few = learn(&p, 2), one = learn(&p, 1);
    for (uint64_t i = 1000; i < 1500; i++) {
        const ich_look look = look_at(&head, &p, i);
        if (!ich_likeness_judge(&many, &p, &look, reason, sizeof reason)) fail_msg("%s", reason);
        if (i < 1010 && !ich_likeness_judge(&few, &p, &look, reason, sizeof reason)) fail_msg("%s", reason);
    }
    const ich_look same = look_at(&head, &p, 0);
    assert_true(ich_likeness_judge(&one, &p, &same, reason, sizeof reason));
    assert_true(ich_likeness_judge(&many, &p, &(ich_look){0}, reason, sizeof reason)); /* nothing seen */
}

static void others_are_named_with_what_is_unusual(void **state) {
    (void)state;
    static const struct {
        tissue seen;
        const char *reason;
    } table[] = {{{0.5, 0.02, 0.01, 0.08, 5, 35}, "5 slices, there 30 to 30"},
                 {{0.5, 0.02, 0.01, 0.08, 200, 35}, "200 slices"},
                 {{0.8, 0.02, 0.01, 0.02, 30, 35}, "% of it is below"},
                 {{0.2, 0.3, 0.01, 0.05, 30, 55}, "HU, there"},             /* an abdomen */
                 {{0.5, 0.02, 0.10, 0.08, 30, 35}, "contrast medium?"},     /* vessels */
                 {{0.5, 0.02, 0.01, 0.08, 30, 60}, "HU its mean is 60 HU"}, /* brain too bright */
                 {{0.5, 0.02, 0.01, 0.40, 30, 35}, "% of it is above"}};    /* wrong units */
    const ich_preprocess p = ich_preprocess_default(SIZE);
    const ich_likeness l = learn(&p, 100);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char reason[200] = "";
        const ich_look look = look_at(&table[i].seen, &p, 7);
        assert_false(ich_likeness_judge(&l, &p, &look, reason, sizeof reason));
        if (!strstr(reason, table[i].reason)) fail_msg("'%s' does not say '%s'", reason, table[i].reason);
    }
}

static void the_statistics_travel_as_text(void **state) {
    (void)state;
    ich_error err = {0};
    const ich_preprocess p = ich_preprocess_default(SIZE);
    const ich_likeness l = learn(&p, 20);
    ich_likeness read;
    char *text = ich_likeness_text(&l, &err), *again = NULL;
    assert_true(ich_likeness_parse(&read, &p, text, &err));
    again = ich_likeness_text(&read, &err);
    assert_string_equal(again, text);
    static const char *const damaged[] = {
        "", "x", "0 1 2 3 4", "-3", "5", "99999999999999999999 1", "4 1 2 3 nan 1"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        assert_false(ich_likeness_parse(&read, &p, damaged[i], &err));
        assert_non_null(strstr(err.text, "'inputs' is damaged"));
    }
    ich_preprocess other = p;
    other.channels = 2;
    assert_false(ich_likeness_parse(&read, &other, text, &err)); /* more numbers than traits */
    text[strlen(text) / 2] = '\0';
    assert_false(ich_likeness_parse(&read, &p, text, &err));
    free(text);
    free(again);
}

/* A model that has learned from scans of noise like `scan`. */
static void make_model(ich_model *model, const char *scan) {
    ich_error err = {0};
    ich_volume volume;
    ich_preprocess p;
    ich_look look = {0};
    ich_likeness l = {0};
    test_model(model, false, true, 3);
    assert_true(ich_recipe_preprocess(&model->recipe, &p, &err) && ich_volume_read(&volume, scan, &err));
    uint8_t *bytes = malloc((size_t)p.size * (size_t)p.size * (size_t)p.channels);
    assert_non_null(bytes);
    for (int z = 0; z < volume.slices; z++) {
        assert_true(ich_preprocess_slice(&p, &volume, z, bytes, &err));
        ich_look_add(&look, &p, bytes);
    }
    ich_likeness_learn(&l, &p, &look);
    char *text = ich_likeness_text(&l, &err);
    assert_true(ich_model_set_meta(model, ICH_INPUTS, text, &err));
    free(text);
    free(bytes);
    ich_volume_free(&volume);
}

static void predict_lists_what_is_unlike_and_answers_it(void **state) {
    ich_model model;
    ich_error err = {0};
    ich_skipped skipped = {0}, flagged = {0};
    char out[300];
    const char *alike = test_path(*state, "alike.nii.gz"), *few = test_path(*state, "few.nii.gz");
    test_scan(alike, (int[]){24, 24, 12}, (double[]){1, 1, 5}, (int[]){1, 1, 1}, 9);
    test_scan(few, (int[]){24, 24, 2}, (double[]){1, 1, 5}, (int[]){1, 1, 1}, 9);
    make_model(&model, alike);
    snprintf(out, sizeof out, "%s/out", (char *)*state);
    const ich_predict_options options = {.flagged = &flagged};
    assert_true(ich_predict(&model, few, out, &options, NULL, NULL, &skipped, &err));
    assert_int_equal(skipped.n_rows, 0);
    assert_int_equal(flagged.n_rows, 1);
    assert_string_equal(flagged.rows[0].study_id, "few");
    char *text = test_read(test_path(out, "flagged.csv"), NULL);
    assert_non_null(strstr(text, "path,study_id,reason\n"));
    assert_non_null(strstr(text, ",few,\"unlike the training studies: 2 slices, there 12 to 12\"\n"));
    free(text);
    text = test_read(test_path(out, "studies.csv"), NULL);
    assert_non_null(strstr(text, "\nfew,2,0."));
    free(text);
    ich_skipped_free(&flagged);
    assert_true(ich_predict(&model, alike, out, &options, NULL, NULL, &skipped, &err));
    assert_int_equal(flagged.n_rows, 0);
    assert_false(ich_path_exists(test_path(out, "flagged.csv")));
    assert_true(ich_model_set_meta(&model, ICH_INPUTS, "12 monkeys", &err));
    assert_false(ich_predict(&model, alike, out, &options, NULL, NULL, &skipped, &err));
    assert_non_null(strstr(err.text, "'inputs' is damaged"));
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(studies_like_training_pass),
        cmocka_unit_test(others_are_named_with_what_is_unusual),
        cmocka_unit_test(the_statistics_travel_as_text),
        cmocka_unit_test(predict_lists_what_is_unlike_and_answers_it),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
