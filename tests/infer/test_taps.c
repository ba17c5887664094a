#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/taps.h"
#include "layers/zoo.h"
#include <string.h>

typedef struct net {
    ich_graph graph;
    int input, features;
} net;

static net make(const char *arch, int size) {
    net n;
    ich_graph_init(&n.graph);
    n.features = ich_zoo_cnn(&n.graph, arch, size, 3);
    if (n.features < 0) fail_msg("%s", n.graph.error.text);
    n.input = ich_graph_find(&n.graph, "input");
    return n;
}

static void residual_networks_are_tapped_at_the_end_of_each_stage(void **state) {
    (void)state;
    const char *const expected[] = {"relu", "layer1.1.relu2", "layer2.1.relu2", "layer3.1.relu2",
                                    "layer4.1.relu2"};
    net n = make("resnet18", 64);
    ich_taps taps;
    ich_error err = {0};
    assert_true(ich_taps_scales(&n.graph, n.input, n.features, &taps, &err));
    assert_int_equal(taps.n, 5);
    for (int i = 0; i < taps.n; i++) assert_string_equal(n.graph.nodes[taps.node[i]].name, expected[i]);
    ich_graph_free(&n.graph);
}

static void a_map_of_one_cell_says_nothing_of_place(void **state) {
    (void)state;
    net n = make("resnet18", 32); /* layer4: 1 × 1 */
    ich_taps taps;
    ich_error err = {0};
    assert_true(ich_taps_scales(&n.graph, n.input, n.features, &taps, &err));
    assert_int_equal(taps.n, 4);
    ich_graph_free(&n.graph);
}

static void every_network_is_tapped_at_falling_resolutions(void **state) {
    (void)state;
    for (int a = 0; ich_zoo_arch(a); a++) {
        net n = make(ich_zoo_arch(a), 96);
        ich_taps taps;
        ich_error err = {0};
        if (!ich_taps_scales(&n.graph, n.input, n.features, &taps, &err)) fail_msg("%s", err.text);
        assert_true(taps.n >= 4);
        for (int i = 1; i < taps.n; i++)
            assert_true(n.graph.nodes[taps.node[i]].shape.h < n.graph.nodes[taps.node[i - 1]].shape.h);
        ich_graph_free(&n.graph);
    }
}

static void assert_layer(const net *n, const char *layer, const char *expected) {
    ich_taps taps;
    ich_error err = {0};
    if (!ich_taps_layer(&n->graph, n->input, n->features, layer, &taps, &err)) fail_msg("%s", err.text);
    assert_int_equal(taps.n, 1);
    assert_string_equal(n->graph.nodes[taps.node[0]].name, expected);
}

static void a_layer_is_named_by_its_module_or_itself(void **state) {
    (void)state;
    net n = make("resnet50", 64);
    assert_layer(&n, "layer2", "layer2.3.relu3");
    assert_layer(&n, "layer2.0", "layer2.0.relu3");
    assert_layer(&n, "layer3.1.relu3", "layer3.1.relu3");
    assert_layer(&n, "input", "input");
    assert_layer(&n, NULL, "layer4.2.relu3");
    ich_graph_free(&n.graph);
}

static void what_the_answer_can_go_around_is_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"layer2.0.conv1", "layer2.0.downsample", "layer", "layer9", "fc", ""};
    net n = make("resnet18", 64);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ich_taps taps;
        ich_error err = {0};
        assert_false(ich_taps_layer(&n.graph, n.input, n.features, wrong[i], &taps, &err));
        assert_non_null(strstr(err.text, "layer1, layer2, layer3, layer4"));
    }
    ich_graph_free(&n.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residual_networks_are_tapped_at_the_end_of_each_stage),
        cmocka_unit_test(a_map_of_one_cell_says_nothing_of_place),
        cmocka_unit_test(every_network_is_tapped_at_falling_resolutions),
        cmocka_unit_test(a_layer_is_named_by_its_module_or_itself),
        cmocka_unit_test(what_the_answer_can_go_around_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
