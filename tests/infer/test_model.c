#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/safetensors.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void save(const ich_model *model, const char *path) {
    ich_error err = {0};
    if (!ich_model_save(model, path, &err)) fail_msg("%s", err.text);
}

static void a_model_comes_back_byte_for_byte(void **state) {
    const char *first = test_path(*state, "a.safetensors"), *second = test_path(*state, "b.safetensors");
    ich_model model, loaded;
    ich_error err = {0};
    test_model(&model, true, true, 7);
    assert_true(ich_model_set_meta(&model, "fingerprint", "0123456789abcdef", &err));
    assert_true(ich_model_set_meta(&model, "parent", "none", &err));
    assert_true(ich_model_set_meta(&model, "parent", "a \"quoted\" one", &err));
    save(&model, first);
    if (!ich_model_load(&loaded, first, &err)) fail_msg("%s", err.text);
    assert_int_equal(loaded.graph.n_values, model.graph.n_values);
    assert_memory_equal(loaded.values, model.values, model.graph.n_values * sizeof *model.values);
    assert_int_equal(loaded.recipe.size, 32);
    assert_int_equal(loaded.recipe.hidden, 8);
    assert_string_equal(ich_model_meta(&loaded, "parent"), "a \"quoted\" one");
    assert_null(ich_model_meta(&loaded, "no such key"));
    save(&loaded, second);
    test_assert_same_file(first, second);
    ich_model_free(&loaded);
    ich_model_free(&model);
}

static void the_heads_of_the_file_are_the_heads_of_the_model(void **state) {
    const char *path = test_path(*state, "heads.safetensors");
    for (int heads = 1; heads <= 3; heads++) {
        ich_model model, loaded;
        ich_error err = {0};
        test_model(&model, (heads & 1) != 0, (heads & 2) != 0, 1);
        save(&model, path);
        assert_true(ich_model_load(&loaded, path, &err));
        assert_int_equal(loaded.fc >= 0, (heads & 1) != 0);
        assert_int_equal(loaded.classifier >= 0, (heads & 2) != 0);
        assert_int_equal(loaded.slices >= 0, (heads & 2) != 0);
        assert_int_equal(loaded.weights >= 0, (heads & 2) != 0);
        assert_true(loaded.input >= 0 && loaded.features > loaded.input);
        ich_model_free(&loaded);
        ich_model_free(&model);
    }
    ich_model model;
    ich_error err = {0};
    const ich_recipe recipe = test_recipe();
    assert_false(ich_model_create(&model, &recipe, false, false, &err));
}

static void a_run_folder_stands_for_its_best_model(void **state) {
    ich_model model, loaded;
    ich_error err = {0};
    const char *run = test_path(*state, "run");
    assert_true(ich_folder_make(run, &err));
    assert_false(ich_model_load(&loaded, run, &err));
    assert_non_null(strstr(err.text, "no model.safetensors"));
    test_model(&model, true, false, 2);
    save(&model, test_path(run, "model.safetensors"));
    assert_true(ich_model_load(&loaded, run, &err));
    ich_model_free(&loaded);
    ich_model_free(&model);
}

/* -- damaged files ------------------------------------------------------------------------------------- */

static char *good_file; /* an image-head model that the following tests damage */

typedef struct damage {
    const char *drop_tensor, *drop_key;
    const char *set_key, *set_value;
    const char *reshape; /* this tensor gets one axis more of length 1 */
    const char *poison;  /* this tensor's element 1 becomes `value` */
    float value;
    const char *says[3]; /* what the message must name */
} damage;

static size_t damage_tensors(const damage *d, const ich_safetensors *st, ich_st_tensor *out, float **fresh) {
    size_t n = 0;
    for (size_t i = 0; i < st->n_tensors; i++) {
        ich_st_tensor tensor = st->tensors[i];
        if (d->drop_tensor != NULL && strcmp(tensor.name, d->drop_tensor) == 0) continue;
        if (d->reshape != NULL && strcmp(tensor.name, d->reshape) == 0) tensor.dims[tensor.rank++] = 1;
        if (d->poison != NULL && strcmp(tensor.name, d->poison) == 0) {
            *fresh = malloc(tensor.count * sizeof **fresh);
            assert_non_null(*fresh);
            memcpy(*fresh, tensor.data, tensor.count * sizeof **fresh);
            (*fresh)[1] = d->value;
            tensor.data = *fresh;
        }
        out[n++] = tensor;
    }
    return n;
}

static size_t damage_metadata(const damage *d, const ich_safetensors *st, const char **keys,
                              const char **values) {
    size_t n = 0;
    for (size_t i = 0; i < st->n_metadata; i++) {
        if (d->drop_key != NULL && strcmp(st->keys[i], d->drop_key) == 0) continue;
        const bool set = d->set_key != NULL && strcmp(st->keys[i], d->set_key) == 0;
        keys[n] = st->keys[i];
        values[n++] = set ? d->set_value : st->values[i];
    }
    return n;
}

static void write_damaged(const damage *d, const char *path) {
    ich_safetensors st;
    ich_error err = {0};
    if (!ich_safetensors_read(&st, good_file, &err)) fail_msg("%s", err.text);
    ich_st_tensor *tensors = calloc(st.n_tensors, sizeof *tensors);
    const char *keys[32], *values[32];
    float *fresh = NULL;
    assert_non_null(tensors);
    const size_t n = damage_tensors(d, &st, tensors, &fresh);
    const size_t n_metadata = damage_metadata(d, &st, keys, values);
    if (!ich_safetensors_write(path, tensors, n, keys, values, n_metadata, &err)) fail_msg("%s", err.text);
    free(fresh);
    free(tensors);
    ich_safetensors_free(&st);
}

static void every_damage_is_named(void **state) {
    static const damage cases[] = {
        {.drop_tensor = "layer1.0.conv1.weight",
         .says = {"layer1.0.conv1.weight", "[64, 64, 3, 3]", "missing"}},
        {.reshape = "fc.weight", .says = {"fc.weight", "[6, 512, 1]", "[6, 512]"}},
        {.poison = "bn1.weight", .value = NAN, .says = {"bn1.weight", "not finite", "element 1"}},
        {.poison = "fc.weight", .value = -INFINITY, .says = {"fc.weight", "not finite", "element 1"}},
        {.drop_key = "format", .says = {"not a model of this program", "pretrain", "format"}},
        {.set_key = "format",
         .set_value = "pt",
         .says = {"not a model of this program", "pretrain", "format"}},
        {.set_key = "format", .set_value = "ichor/2", .says = {"ichor/2", "ichor/1", "program"}},
        {.drop_key = "recipe", .says = {"recipe", "damaged", "copy"}},
        {.set_key = "recipe", .set_value = "[model]\narch = vgg99\n", .says = {"vgg99", "", ""}},
        {.set_key = "recipe", .set_value = "[model]\nsize = -4\n", .says = {"size", "-4", ""}},
        {.drop_key = "heads", .says = {"heads", "absent", "image"}},
        {.set_key = "heads", .set_value = "study", .says = {"lstm.weight_ih_l0", "missing", ""}},
        {.set_key = "heads", .set_value = "feet", .says = {"heads", "feet", "image"}},
    };
    const char *path = test_path(*state, "damaged.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_damaged(&cases[i], path);
        ich_model model;
        ich_error err = {0};
        if (ich_model_load(&model, path, &err)) fail_msg("case %zu was loaded", i);
        assert_non_null(strstr(err.text, "damaged.safetensors"));
        for (int s = 0; s < 3; s++) {
            if (strstr(err.text, cases[i].says[s]) == NULL) fail_msg("case %zu: %s", i, err.text);
        }
        ich_model_free(&model); /* harmless after a failure */
    }
}

static void tensors_that_no_layer_asks_for_are_ignored(void **state) {
    ich_safetensors st;
    ich_error err = {0};
    assert_true(ich_safetensors_read(&st, good_file, &err));
    ich_st_tensor *tensors = calloc(st.n_tensors + 1, sizeof *tensors);
    assert_non_null(tensors);
    memcpy(tensors, st.tensors, st.n_tensors * sizeof *tensors);
    const float batches = 12;
    char name[] = "bn1.num_batches_tracked";
    tensors[st.n_tensors] = (ich_st_tensor){.name = name, .rank = 0, .count = 1, .data = &batches};
    const char *path = test_path(*state, "extra.safetensors");
    assert_true(ich_safetensors_write(path, tensors, st.n_tensors + 1, (const char *const *)st.keys,
                                      (const char *const *)st.values, st.n_metadata, &err));
    ich_model model;
    if (!ich_model_load(&model, path, &err)) fail_msg("%s", err.text);
    ich_model_free(&model);
    free(tensors);
    ich_safetensors_free(&st);
}

static void a_file_that_is_not_there_or_cut_short_is_named(void **state) {
    ich_model model;
    ich_error err = {0};
    assert_false(ich_model_load(&model, test_path(*state, "nowhere.safetensors"), &err));
    assert_non_null(strstr(err.text, "nowhere.safetensors"));
    size_t count;
    char *bytes = test_read(good_file, &count);
    const size_t cuts[] = {0, 7, 8, 100, count / 2, count - 1};
    const char *path = test_path(*state, "cut.safetensors");
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_true(ich_file_write(path, bytes, cuts[i], &err));
        assert_false(ich_model_load(&model, path, &err));
        assert_non_null(strstr(err.text, "cut.safetensors"));
    }
    free(bytes);
}

/* -- adopting, metadata -------------------------------------------------------------------------------- */

static const float *param(const ich_model *model, const char *name, size_t *count) {
    const int i = ich_graph_find_param(&model->graph, name);
    assert_true(i >= 0);
    *count = model->graph.params[i].count;
    return model->values + model->graph.params[i].offset;
}

static void a_study_model_takes_the_cnn_of_a_pretrained_one(void **state) {
    (void)state;
    ich_model pretrained, fresh, model;
    ich_error err = {0};
    size_t n;
    test_model(&pretrained, true, false, 3);
    test_model(&fresh, false, true, 4);
    test_model(&model, false, true, 4);
    int copied;
    assert_true(ich_model_adopt(&model, &pretrained, &copied, &err));
    assert_int_equal(copied, pretrained.graph.n_params - 2); /* all but fc's weight and bias */
    const float *mine = param(&model, "layer4.1.conv2.weight", &n);
    assert_memory_equal(mine, param(&pretrained, "layer4.1.conv2.weight", &n), n * sizeof *mine);
    mine = param(&model, "bn1.running_var", &n);
    assert_memory_equal(mine, param(&pretrained, "bn1.running_var", &n), n * sizeof *mine);
    mine = param(&model, "classifier.weight", &n);
    assert_memory_equal(mine, param(&fresh, "classifier.weight", &n), n * sizeof *mine);
    ich_model_free(&pretrained);
    ich_model_free(&fresh);
    ich_model_free(&model);
}

static void another_cnn_is_refused_and_nothing_changed(void **state) {
    (void)state;
    ich_model model, other;
    ich_error err = {0};
    test_model(&model, false, true, 4);
    float *before = malloc(model.graph.n_values * sizeof *before);
    assert_non_null(before);
    memcpy(before, model.values, model.graph.n_values * sizeof *before);
    ich_recipe recipe = test_recipe();
    snprintf(recipe.arch, sizeof recipe.arch, "resnet34");
    int copied;
    assert_true(ich_model_create(&other, &recipe, true, false, &err));
    assert_false(ich_model_adopt(&model, &other, &copied, &err));
    assert_non_null(strstr(err.text, "resnet34"));
    ich_model_free(&other);
    recipe = test_recipe();
    snprintf(recipe.windows, sizeof recipe.windows, "40/80");
    assert_true(ich_model_create(&other, &recipe, true, false, &err));
    assert_false(ich_model_adopt(&model, &other, &copied, &err));
    assert_non_null(strstr(err.text, "[64, 1, 7, 7]"));
    assert_non_null(strstr(err.text, "[64, 3, 7, 7]"));
    assert_int_equal(copied, 0);
    assert_memory_equal(before, model.values, model.graph.n_values * sizeof *before);
    free(before);
    ich_model_free(&other);
    ich_model_free(&model);
}

static void metadata_has_limits(void **state) {
    (void)state;
    ich_model model;
    ich_error err = {0};
    test_model(&model, true, false, 1);
    assert_false(ich_model_set_meta(&model, "recipe", "x", &err));
    assert_non_null(strstr(err.text, "recipe"));
    char key[16];
    for (int i = 0; i < 16; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_true(ich_model_set_meta(&model, key, "v", &err));
    }
    assert_false(ich_model_set_meta(&model, "one more", "v", &err));
    assert_non_null(strstr(err.text, "one more"));
    assert_true(ich_model_set_meta(&model, "key3", "again", &err));
    assert_string_equal(ich_model_meta(&model, "key3"), "again");
    ich_model_free(&model);
}

static int make_good_file(void **state) {
    if (test_folder_make(state) != 0) return -1;
    good_file = strdup(test_path(*state, "good.safetensors"));
    ich_model model;
    test_model(&model, true, false, 5);
    save(&model, good_file);
    ich_model_free(&model);
    return 0;
}

static int remove_good_file(void **state) {
    free(good_file);
    return test_folder_remove(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_comes_back_byte_for_byte),
        cmocka_unit_test(the_heads_of_the_file_are_the_heads_of_the_model),
        cmocka_unit_test(a_run_folder_stands_for_its_best_model),
        cmocka_unit_test(every_damage_is_named),
        cmocka_unit_test(tensors_that_no_layer_asks_for_are_ignored),
        cmocka_unit_test(a_file_that_is_not_there_or_cut_short_is_named),
        cmocka_unit_test(a_study_model_takes_the_cnn_of_a_pretrained_one),
        cmocka_unit_test(another_cnn_is_refused_and_nothing_changed),
        cmocka_unit_test(metadata_has_limits),
    };
    return cmocka_run_group_tests(tests, make_good_file, remove_good_file);
}
