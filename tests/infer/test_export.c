/* An exported model is a well-formed protobuf message whose graph is whole: every value is made before it is
 * read, every weight has as many numbers as its dimensions say, and is the model's. What ONNX Runtime answers
 * is tested by tests/cli/test_export.sh. */
#include "infer/export.h"
#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- protobuf ------------------------------------------------------------------------------------------ */

typedef struct message {
    const unsigned char *at, *end;
} message;

typedef struct field {
    int number, type;
    uint64_t value; /* varint, or the length of */
    message part;
} field;

static uint64_t take_varint(message *m) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        assert_true(m->at < m->end);
        const unsigned char byte = *m->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    fail_msg("a varint of more than ten bytes");
    return 0;
}

static bool next(message *m, field *f) {
    if (m->at == m->end) return false;
    const uint64_t key = take_varint(m);
    *f = (field){.number = (int)(key >> 3), .type = (int)(key & 7)};
    assert_true(f->number > 0);
    if (f->type == 0) {
        f->value = take_varint(m);
        return true;
    }
    assert_true(f->type == 2 || f->type == 5);
    f->value = f->type == 5 ? 4 : take_varint(m);
    assert_true(f->value <= (uint64_t)(m->end - m->at));
    f->part = (message){m->at, m->at + f->value};
    m->at += f->value;
    return true;
}

/* The first field of that number; fails if there is none. */
static field find(message m, int number) {
    field f;
    while (next(&m, &f))
        if (f.number == number) return f;
    fail_msg("field %d is missing", number);
    return (field){0};
}

static bool is_text(message m, const char *text) {
    return (size_t)(m.end - m.at) == strlen(text) && !memcmp(m.at, text, strlen(text));
}

/* -- the graph ----------------------------------------------------------------------------------------- */

enum { NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12, MOST = 2000 };

typedef struct names {
    message name[MOST];
    size_t count;
} names;

static bool knows(const names *n, message name) {
    for (size_t i = 0; i < n->count; i++)
        if (n->name[i].end - n->name[i].at == name.end - name.at &&
            !memcmp(n->name[i].at, name.at, (size_t)(name.end - name.at)))
            return true;
    return false;
}

static void learn(names *n, message name) {
    assert_true(n->count < MOST && name.at < name.end);
    if (knows(n, name)) fail_msg("%.*s is made twice", (int)(name.end - name.at), (const char *)name.at);
    n->name[n->count++] = name;
}

static size_t check_tensor(const ich_model *model, message tensor, names *values) {
    field f;
    uint64_t count = 1;
    const message name = find(tensor, 8).part, raw = find(tensor, 9).part;
    const uint64_t type = find(tensor, 2).value;
    for (message m = tensor; next(&m, &f);)
        if (f.number == 1) count *= f.value;
    assert_true(type == 1 || type == 7);
    assert_int_equal(raw.end - raw.at, count * (type == 1 ? 4 : 8));
    learn(values, name);
    for (int p = 0; p < model->graph.n_params; p++) {
        const ich_param *param = &model->graph.params[p];
        if (!is_text(name, param->name)) continue;
        assert_int_equal(count, param->count);
        assert_memory_equal(raw.at, model->values + param->offset, count * 4);
        return 1;
    }
    return 0;
}

static void check_node(message node, names *values) {
    field f;
    for (message m = node; next(&m, &f);)
        if (f.number == 1 && !knows(values, f.part))
            fail_msg("%.*s is read before it is made", (int)f.value, (const char *)f.part.at);
    for (message m = node; next(&m, &f);)
        if (f.number == 2) learn(values, f.part);
    assert_true(find(node, 4).value > 1);
    for (message m = node; next(&m, &f);)
        if (f.number == 5) assert_true(find(f.part, 1).value > 0 && find(f.part, 20).value > 0);
}

/* Returns how many of the model's weights the graph holds under their own names. */
static size_t check_graph(const ich_model *model, message graph) {
    static names values;
    field f;
    size_t weights = 0, nodes = 0, outputs = 0;
    values.count = 0;
    for (message m = graph; next(&m, &f);)
        if (f.number == INITIALIZER) weights += check_tensor(model, f.part, &values);
    for (message m = graph; next(&m, &f);)
        if (f.number == INPUT) learn(&values, find(f.part, 1).part);
    for (message m = graph; next(&m, &f);)
        if (f.number == NODE) nodes++, check_node(f.part, &values);
    for (message m = graph; next(&m, &f);)
        if (f.number == OUTPUT) outputs++, assert_true(knows(&values, find(f.part, 1).part));
    assert_int_equal(outputs, 3);
    assert_true(nodes > 60);
    return weights;
}

static size_t check_file(const ich_model *model, const char *path) {
    ich_error err = {0};
    size_t count, entries = 0;
    field f;
    if (!ich_export_onnx(model, path, &err)) fail_msg("%s", err.text);
    char *bytes = test_read(path, &count);
    const message file = {(unsigned char *)bytes, (unsigned char *)bytes + count};
    assert_int_equal(find(file, 1).value, 7);
    assert_int_equal(find(find(file, 8).part, 2).value, 13);
    for (message m = file; next(&m, &f);)
        if (f.number == 14) entries++, assert_true(find(f.part, 1).value && find(f.part, 2).value);
    assert_true(entries >= 6);
    const size_t weights = check_graph(model, find(file, 7).part);
    free(bytes);
    return weights;
}

static void heads_are_exported_whole(void **state) {
    for (int heads = 1; heads <= 3; heads++) {
        ich_model model;
        size_t lstm = 0, unused = 0;
        test_model(&model, heads & 1, heads & 2, 3);
        for (int p = 0; p < model.graph.n_params; p++) {
            lstm += !strncmp(model.graph.params[p].name, "lstm.", 5);
            unused += heads == 3 && !strncmp(model.graph.params[p].name, "fc.", 3);
        }
        assert_int_equal(check_file(&model, test_path(*state, "m.onnx")),
                         (size_t)model.graph.n_params - lstm - unused);
        ich_model_free(&model);
    }
}

static void every_arch_is_exported_whole(void **state) {
    static const char *const archs[] = {"resnet50", "resnext50_32x4d", "densenet121"};
    for (int a = 0; a < 3; a++) {
        ich_model model;
        ich_error err = {0};
        ich_recipe recipe = test_recipe();
        snprintf(recipe.arch, sizeof recipe.arch, "%s", archs[a]);
        recipe.gated = a > 0;
        recipe.heads = 1 + a;
        if (!ich_model_create(&model, &recipe, false, true, &err)) fail_msg("%s", err.text);
        assert_true(check_file(&model, test_path(*state, "m.onnx")) > 150);
        ich_model_free(&model);
    }
}

static void every_layer_can_be_exported(void **state) {
    (void)state;
    for (const ich_layer *const *layer = ich_layers(ICH_F32); *layer; layer++)
        if (!(*layer)->loss_term && !ich_export_knows((*layer)->op)) fail_msg("layer '%s' cannot be exported", (*layer)->op);
}

static void a_place_that_cannot_be_written_is_named(void **state) {
    ich_model model;
    ich_error err = {0};
    test_model(&model, true, false, 3);
    assert_false(ich_export_onnx(&model, test_path(*state, "nowhere/m.onnx"), &err));
    assert_non_null(strstr(err.text, "nowhere/m.onnx"));
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_exported_whole),
        cmocka_unit_test(every_arch_is_exported_whole),
        cmocka_unit_test(every_layer_can_be_exported),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
    };
    return cmocka_run_group_tests_name("export", tests, test_folder_make, test_folder_remove);
}
