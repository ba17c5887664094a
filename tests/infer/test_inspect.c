#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/csv.h"
#include "data/labels.h"
#include "infer/inspect.h"
#include "layers/zoo.h"
#include "support.h"
#include <stdlib.h>
#include <string.h>

static ich_totals totals_of(const char *arch, int labels) {
    ich_graph graph;
    ich_graph_init(&graph);
    const int features = ich_zoo_cnn(&graph, arch, 224, 3);
    ich_zoo_image_head(&graph, features, labels);
    if (graph.error.text[0] != '\0') fail_msg("%s", graph.error.text);
    const ich_totals sum = ich_inspect_totals(&graph);
    ich_graph_free(&graph);
    return sum;
}

/* Published figures of torchvision's models: 1000 classes, 224 pixels. */
static void totals_are_those_of_torchvision(void **state) {
    (void)state;
    static const struct {
        const char *arch;
        int64_t parameters, macs;
    } known[] = {
        {"resnet18", 11689512, 1814073344},
        {"resnet34", 21797672, 3663761408},
        {"resnet50", 25557032, 4089184256},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const ich_totals sum = totals_of(known[i].arch, 1000);
        assert_int_equal(sum.parameters, known[i].parameters);
        assert_true(llabs(sum.macs - known[i].macs) <= known[i].macs / 1000);
    }
}

static void running_statistics_are_not_parameters(void **state) {
    (void)state;
    const ich_totals sum = totals_of("resnet18", ICH_LABELS);
    assert_int_equal(sum.parameters, 11179590);
    assert_int_equal(sum.buffers, 2 * 4800);
}

static char *print_graph(const ich_graph *graph, bool csv) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    ich_error err = {0};
    assert_true(ich_inspect_graph(graph, csv, stream, &err));
    fclose(stream);
    return text;
}

static int64_t sum_column(const ich_csv *csv, const char *name) {
    ich_error err = {0};
    int column;
    assert_true(ich_csv_require(csv, name, &column, &err));
    double sum = 0, value;
    for (size_t row = 0; row < csv->n_rows; row++) {
        assert_true(ich_csv_number(csv, row, column, &value, &err));
        sum += value;
    }
    return (int64_t)sum;
}

static void the_csv_has_a_row_for_each_node_and_adds_up(void **state) {
    ich_model model;
    test_model(&model, true, true, 1);
    char *text = print_graph(&model.graph, true);
    const char *path = test_path(*state, "nodes.csv");
    test_write_text(path, text);
    ich_csv csv;
    ich_error err = {0};
    assert_true(ich_csv_read(&csv, path, &err));
    assert_int_equal(csv.n_rows, model.graph.n_nodes);
    const ich_totals sum = ich_inspect_totals(&model.graph);
    assert_int_equal(sum_column(&csv, "parameters"), sum.parameters);
    assert_int_equal(sum_column(&csv, "macs"), sum.macs);
    assert_int_equal(sum_column(&csv, "bytes"), sum.bytes);
    const int name = ich_csv_column(&csv, "name"), output = ich_csv_column(&csv, "output");
    assert_string_equal(ich_csv_cell(&csv, 0, name), "input");
    assert_string_equal(ich_csv_cell(&csv, 0, output), "32x32x3");
    ich_csv_free(&csv);
    free(text);
    ich_model_free(&model);
}

static void shared_weights_are_counted_once(void **state) {
    (void)state;
    ich_model model;
    test_model(&model, false, true, 1);
    size_t params = 0;
    for (int i = 0; i < model.graph.n_params; i++) params += model.graph.params[i].count;
    const ich_totals sum = ich_inspect_totals(&model.graph);
    assert_int_equal(sum.parameters + sum.buffers, params);
    ich_model_free(&model);
}

static void text_from_the_file_cannot_steer_a_terminal(void **state) {
    (void)state;
    ich_model model;
    test_model(&model, true, false, 1);
    ich_error err = {0};
    assert_true(ich_model_set_meta(&model, "note", "a\x1b[2Jb\nc", &err));
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_true(ich_inspect_model(&model, false, stream, &err));
    fclose(stream);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "note: a [2Jb c\n"));
    assert_non_null(strstr(text, "arch: resnet18\nheads: image\n"));
    assert_non_null(strstr(text, "layer4.1.conv2"));
    free(text);
    ich_model_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_those_of_torchvision),
        cmocka_unit_test(running_statistics_are_not_parameters),
        cmocka_unit_test(the_csv_has_a_row_for_each_node_and_adds_up),
        cmocka_unit_test(shared_weights_are_counted_once),
        cmocka_unit_test(text_from_the_file_cannot_steer_a_terminal),
    };
    return cmocka_run_group_tests(tests, test_folder_make, test_folder_remove);
}
