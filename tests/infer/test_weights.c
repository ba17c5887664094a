/* A CNN's weights as torchvision and timm save them: read whatever lies beside them, refused by name if an
 * array is missing or has another shape. */
#include "data/safetensors.h"
#include "infer/weights.h"
#include "support.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 256 };

/* The model's CNN as another program would write it, with a classifier of 1000 classes. `change` may touch
 * the array named `name`: leave it out (rank 0) or give it other dims. */
static void write_foreign(const ich_model *model, const char *path, const char *name, int rank,
                          const int64_t *dims) {
    static float classes[1000];
    ich_st_tensor tensors[MOST];
    size_t n = 0;
    ich_error err = {0};
    for (int i = 0; i < model->graph.n_params; i++) {
        const ich_param *param = &model->graph.params[i];
        if (param->group != ICH_GROUP_CNN) continue;
        ich_st_tensor t = {.name = (char *)param->name, .rank = param->rank, .count = param->count};
        for (int d = 0; d < param->rank; d++) t.dims[d] = param->dims[d];
        t.data = model->values + param->offset;
        if (name != NULL && !strcmp(name, param->name)) {
            if (rank == 0) continue;
            t.rank = rank;
            t.count = 1;
            for (int d = 0; d < rank; d++) t.count *= (size_t)(t.dims[d] = dims[d]);
        }
        assert_true(n < MOST);
        tensors[n++] = t;
    }
    tensors[n++] =
        (ich_st_tensor){.name = "fc.bias", .rank = 1, .dims = {1000}, .count = 1000, .data = classes};
    const char *keys[] = {"format"}, *values[] = {"pt"};
    if (!ich_safetensors_write(path, tensors, n, keys, values, 1, &err)) fail_msg("%s", err.text);
}

static void the_cnn_is_taken_and_the_classifier_left(void **state) {
    ich_model from, to;
    ich_error err = {0};
    int copied = 0, cnn = 0;
    test_model(&from, true, false, 1);
    test_model(&to, true, false, 2);
    const char *path = test_path(*state, "resnet18.safetensors");
    write_foreign(&from, path, NULL, 0, NULL);
    assert_true(ich_weights_are_foreign(path));
    if (!ich_weights_adopt(&to, path, &copied, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < to.graph.n_params; i++) {
        const ich_param *param = &to.graph.params[i];
        const size_t bytes = param->count * sizeof *to.values;
        const bool same = !memcmp(to.values + param->offset, from.values + param->offset, bytes);
        cnn += param->group == ICH_GROUP_CNN;
        if (param->group == ICH_GROUP_CNN) assert_true(same);
    }
    assert_int_equal(copied, cnn);
    assert_non_null(strstr(ich_model_meta(&to, "ancestry"), "resnet18.safetensors"));
    ich_model_free(&from);
    ich_model_free(&to);
}

static void expect_refusal(void **state, const char *array, int rank, const int64_t *dims, const char *says) {
    ich_model from, to;
    ich_error err = {0};
    int copied;
    test_model(&from, true, false, 1);
    test_model(&to, true, false, 2);
    const char *path = test_path(*state, "other.safetensors");
    write_foreign(&from, path, array, rank, dims);
    assert_false(ich_weights_adopt(&to, path, &copied, &err));
    if (!strstr(err.text, array) || !strstr(err.text, says)) fail_msg("%s", err.text);
    ich_model_free(&from);
    ich_model_free(&to);
}

static void arrays_that_do_not_fit_are_named(void **state) {
    expect_refusal(state, "layer2.0.conv1.weight", 0, NULL, "has no array");
    expect_refusal(state, "conv1.weight", 4, (const int64_t[]){64, 1, 7, 7}, "64×1×7×7 there and 64×3×7×7");
    expect_refusal(state, "bn1.running_var", 2, (const int64_t[]){8, 8}, "8×8 there and 64");
}

static void models_and_folders_are_not_foreign(void **state) {
    ich_model model;
    ich_error err = {0};
    test_model(&model, true, false, 1);
    const char *path = test_path(*state, "model.safetensors");
    if (!ich_model_save(&model, path, &err)) fail_msg("%s", err.text);
    assert_false(ich_weights_are_foreign(path));
    assert_false(ich_weights_are_foreign(*state));
    assert_false(ich_weights_are_foreign(test_path(*state, "nothing")));
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cnn_is_taken_and_the_classifier_left),
        cmocka_unit_test(arrays_that_do_not_fit_are_named),
        cmocka_unit_test(models_and_folders_are_not_foreign),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
