/* One table of settings: what is printed reads back the same, and what cannot be is named with what may. */
#include "data/recipe.h"
#include "scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(const ich_recipe *recipe) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    ich_recipe_print(recipe, stream);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void assert_same(const ich_recipe *a, const ich_recipe *b) {
    char *one = printed(a), *two = printed(b);
    assert_string_equal(one, two);
    free(one);
    free(two);
}

static void set(ich_recipe *recipe, const char *name, const char *text) {
    ich_error err = {""};
    if (!ich_recipe_set(recipe, name, text, "test", &err)) fail_msg("%s", err.text);
}

/* -- the table ------------------------------------------------------------------------------------------- */

static void every_default_is_allowed_and_explained(void **state) {
    (void)state;
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const ich_setting *s = &settings[i];
        ich_recipe recipe;
        ich_recipe_default(&recipe, ICH_FOR_PRETRAIN);
        set(&recipe, s->name, s->pretrain);
        set(&recipe, s->name, s->finetune);
        assert_true(s->offset + s->size <= sizeof recipe && s->verbs != 0);
        assert_true(strlen(s->help) > 10 && *s->section);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(s->name, settings[j].name);
            assert_true(s->offset >= settings[j].offset + settings[j].size ||
                        settings[j].offset >= s->offset + s->size);
        }
    }
}

static void each_verb_has_its_own_defaults(void **state) {
    (void)state;
    ich_recipe pretrain, finetune;
    ich_recipe_default(&pretrain, ICH_FOR_PRETRAIN);
    ich_recipe_default(&finetune, ICH_FOR_FINETUNE);
    assert_true(pretrain.lr == 9e-4 && finetune.lr == 1e-3 && finetune.lr_cnn == 3e-5);
    assert_true(pretrain.weight_decay == 1e-2 && pretrain.warmup == 0.3);
    assert_string_equal(pretrain.arch, "resnet18");
    assert_string_equal(pretrain.optimizer, "adamw");
    assert_string_equal(pretrain.schedule, "onecycle");
    assert_true(pretrain.size == 224 && pretrain.batch == 32 && finetune.studies == 4);
    assert_true(finetune.hidden == 128 && finetune.attention == 128 && finetune.heads == 1 && finetune.gated);
    const ich_augment augment = ich_recipe_augment(&finetune);
    assert_true(augment.flip && augment.rotate > 0 && augment.scale > 0 && augment.shift > 0 &&
                augment.hu > 0);
    ich_preprocess windows;
    const ich_preprocess usual = ich_preprocess_default(224);
    ich_error err = {""};
    assert_true(ich_recipe_preprocess(&finetune, &windows, &err));
    assert_memory_equal(&windows, &usual, sizeof usual);
}

/* -- there and back -------------------------------------------------------------------------------------- */

static void a_printed_recipe_reads_back_the_same(void **state) {
    (void)state;
    static const double hard[] = {0.1, 1.0 / 3, 9e-4, 3e-5, 1e-300, 0.30000000000000004, 0.99989999999999990};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        ich_recipe recipe, back;
        ich_error err = {""};
        ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
        set(&recipe, "arch", "resnet50");
        set(&recipe, "windows", "-1.5/80.25,40/380");
        set(&recipe, "freeze-cnn", "true");
        set(&recipe, "flip", "false");
        set(&recipe, "seed", "18446744073709551615");
        recipe.lr = recipe.momentum = recipe.shift = hard[i];
        char *text = printed(&recipe);
        ich_recipe_default(&back, ICH_FOR_PRETRAIN);
        if (!ich_recipe_parse(&back, text, "test", &err)) fail_msg("%s", err.text);
        assert_same(&recipe, &back);
        assert_true(back.lr == hard[i] && back.seed == UINT64_MAX);
        const char *path = scratch_path("recipe.ini");
        assert_true(ich_recipe_write(&recipe, path, &err));
        ich_recipe_default(&back, ICH_FOR_PRETRAIN);
        if (!ich_recipe_read(&back, path, &err)) fail_msg("%s", err.text);
        assert_same(&recipe, &back);
        free(text);
    }
}

static void numbers_are_printed_as_people_write_them(void **state) {
    (void)state;
    ich_recipe recipe;
    ich_recipe_default(&recipe, ICH_FOR_PRETRAIN);
    char *text = printed(&recipe);
    assert_non_null(strstr(text, "\nlr = 0.0009\n"));
    assert_non_null(strstr(text, "\nlr-cnn = 3e-05\n"));
    assert_non_null(strstr(text, "\nrotate = 10\n"));
    assert_non_null(strstr(text, "\ngated = true\n"));
    assert_true(!strncmp(text, "[model]\n", 8));
    size_t count;
    const ich_setting *settings = ich_settings(&count);
    for (size_t i = 0; i < count; i++) {
        char line[64];
        snprintf(line, sizeof line, "\n%s = ", settings[i].name);
        if (!strstr(text, line)) fail_msg("%s is not printed", settings[i].name);
    }
    free(text);
}

static void a_file_overrides_what_it_names_and_nothing_else(void **state) {
    (void)state;
    ich_recipe recipe, expected;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_PRETRAIN);
    expected = recipe;
    expected.size = 96;
    expected.lr = 0.5;
    expected.gated = false;
    const char *text = "\xEF\xBB\xBF; a comment\r\n\r\n[model]\r\n   size=96 ; pixels\r\n\tgated = no\r\n"
                       "[training]\r\nlr : 5e-1\r\n# the end";
    if (!ich_recipe_parse(&recipe, text, "mine.ini", &err)) fail_msg("%s", err.text);
    assert_same(&recipe, &expected);
    assert_true(ich_recipe_parse(&recipe, "", "empty.ini", &err));
    assert_same(&recipe, &expected);
}

/* -- mistakes -------------------------------------------------------------------------------------------- */

/* The message is one line that holds each of the words. */
static void assert_says(const ich_error *err, const char *const *words) {
    assert_null(strchr(err->text, '\n'));
    for (; *words; words++)
        if (!strstr(err->text, *words)) fail_msg("'%s' is not in: %s", *words, err->text);
}

static void a_mistake_is_named_with_what_is_allowed(void **state) {
    (void)state;
    static const struct {
        const char *text, *says[5];
    } wrong[] = {
        {"size = -4", {"it.ini", "size", "'-4'", "whole number from 16 to 2048"}},
        {"size = 15", {"'15'", "16"}},
        {"size = 2049", {"'2049'"}},
        {"size = 96px", {"'96px'"}},
        {"size = 96.5", {"'96.5'"}},
        {"size = 0x60", {"'0x60'"}},
        {"size = 99999999999999999999", {"'99999999999999999999'"}},
        {"size =", {"size", "''"}},
        {"lr = fast", {"lr", "'fast'", "number from 0 to 10"}},
        {"lr = nan", {"'nan'"}},
        {"lr = inf", {"'inf'"}},
        {"lr = -1e-9", {"'-1e-9'"}},
        {"lr = 1e999", {"'1e999'"}},
        {"lr = 1e-3 1e-4", {"'1e-3 1e-4'"}},
        {"gated = maybe", {"gated", "'maybe'", "true or false"}},
        {"seed = -1", {"seed", "'-1'", "18446744073709551615"}},
        {"seed = 18446744073709551616", {"'18446744073709551616'"}},
        {"optimizer = adam", {"optimizer", "'adam'", "adamw|sgd"}},
        {"optimizer = adamw|sgd", {"'adamw|sgd'"}},
        {"schedule = one", {"schedule", "'one'", "onecycle|cosine|constant"}},
        {"arch = ../../etc", {"arch", "'../../etc'", "a-z"}},
        {"arch = a234567890123456789012345678901234", {"arch", "1 to 31"}},
        {"windows = 40", {"windows", "'40'", "centre/width", "HU"}},
        {"windows = 40/0", {"'40/0'"}},
        {"windows = 40/80,", {"'40/80,'"}},
        {"windows = 40/80/1", {"'40/80/1'"}},
        {"windows = 1/2,1/2,1/2,1/2,1/2,1/2,1/2,1/2,1/2", {"windows", "1 to 8"}},
        {"windows = nan/80", {"'nan/80'"}},
        {"sise = 96", {"it.ini", "'sise'", "arch, size, windows", "kernels"}},
        {"size = 96\n[training]\nsize = 64", {"it.ini", "size", "twice", "'64'"}},
        {"size = 96\nnothing", {"it.ini", "line 2", "name = value"}},
        {"[model\nsize = 96", {"it.ini", "line 1"}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ich_recipe recipe, before;
        ich_error err = {""};
        ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
        before = recipe;
        if (ich_recipe_parse(&recipe, wrong[i].text, "it.ini", &err)) fail_msg("accepted: %s", wrong[i].text);
        assert_says(&err, wrong[i].says);
        assert_same(&recipe, &before); /* all or nothing */
    }
}

static void the_first_of_many_mistakes_is_told(void **state) {
    (void)state;
    ich_recipe recipe;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    assert_false(ich_recipe_parse(&recipe, "epochs = 0\nsize = 1\nrubbish", "it.ini", &err));
    assert_says(&err, (const char *const[]){"epochs", "'0'", NULL});
    assert_false(ich_recipe_parse(&recipe, "epochs = 0", "it.ini", NULL));
}

static void an_option_is_named_once(void **state) {
    (void)state;
    ich_recipe recipe;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    assert_false(ich_recipe_set(&recipe, "batch", "1", "--batch", &err));
    assert_string_equal(err.text, "--batch is '1': give a whole number from 2 to 4096");
}

static void a_line_too_long_is_not_taken_for_two(void **state) {
    (void)state;
    ich_recipe recipe;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    char text[600];
    for (int length = 150; length < 450; length++) { /* "size = 64" may begin where a buffer ends */
        memset(text, ' ', sizeof text);
        memcpy(text, "epochs = 3\n;", 12);
        memcpy(text + length, "size = 64\n", 11);
        ich_recipe_parse(&recipe, text, "long.ini", &err);
        assert_int_equal(recipe.size, 224);
    }
    assert_says(&err, (const char *const[]){"long.ini", "line 2", NULL});
}

static void files_that_are_none_are_refused(void **state) {
    (void)state;
    ich_recipe recipe, before;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    before = recipe;
    assert_false(ich_recipe_read(&recipe, scratch_path("none.ini"), &err));
    assert_says(&err, (const char *const[]){"none.ini", NULL});
    assert_false(ich_recipe_read(&recipe, scratch_write("zero.ini", "size = 96\n\0rubbish", 18), &err));
    assert_says(&err, (const char *const[]){"zero.ini", "no text", NULL});
    assert_same(&recipe, &before);
    strcpy(recipe.windows, "forty");
    ich_preprocess preprocess;
    assert_false(ich_recipe_preprocess(&recipe, &preprocess, &err));
    assert_says(&err, (const char *const[]){"windows", "'forty'", "centre/width", NULL});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_allowed_and_explained),
        cmocka_unit_test(each_verb_has_its_own_defaults),
        cmocka_unit_test(a_printed_recipe_reads_back_the_same),
        cmocka_unit_test(numbers_are_printed_as_people_write_them),
        cmocka_unit_test(a_file_overrides_what_it_names_and_nothing_else),
        cmocka_unit_test(a_mistake_is_named_with_what_is_allowed),
        cmocka_unit_test(the_first_of_many_mistakes_is_told),
        cmocka_unit_test(an_option_is_named_once),
        cmocka_unit_test(a_line_too_long_is_not_taken_for_two),
        cmocka_unit_test(files_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
