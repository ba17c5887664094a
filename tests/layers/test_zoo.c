/* The models are torchvision's: the same names, shapes and number of parameters. */
#include "layers/zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct published {
    const char *arch;
    int features;
    size_t parameters; /* torchvision's model card, less its fc of 1000 classes */
    int64_t macs;      /* of 224 × 224 × 3, likewise */
} published;

static const published known[] = {
    {"resnet18", 512, 11689512 - 513000, 1814073344 - 512000},
    {"resnet34", 512, 21797672 - 513000, 3663761408 - 512000},
    {"resnet50", 2048, 25557032 - 2049000, 4089184256 - 2048000},
    {"resnext50_32x4d", 2048, 25028904 - 2049000, 4230479872 - 2048000},
    {"densenet121", 1024, 7978856 - 1025000, 2834161664 - 1024000},
};

static size_t trainable(const ich_graph *graph) {
    size_t sum = 0;
    for (int p = 0; p < graph->n_params; p++)
        if (graph->params[p].trainable) sum += graph->params[p].count;
    return sum;
}

static int64_t macs(const ich_graph *graph) {
    int64_t sum = 0;
    for (int n = 0; n < graph->n_nodes; n++) {
        const ich_node *node = &graph->nodes[n];
        const ich_layer *layer = node->op < 0 ? NULL : ich_layers(ICH_F32)[node->op];
        if (layer && layer->macs)
            sum += layer->macs(&node->attr, &graph->nodes[node->inputs[0]].shape, &node->shape);
    }
    return sum;
}

static void cnns_have_torchvisions_sizes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ich_graph graph;
        ich_graph_init(&graph);
        int features = ich_zoo_cnn(&graph, known[i].arch, 224, 3);
        if (features < 0) fail_msg("%s", graph.error.text);
        assert_string_equal(ich_zoo_arch((int)i), known[i].arch);
        assert_int_equal(ich_shape_count(graph.nodes[features].shape), known[i].features);
        assert_int_equal(trainable(&graph), known[i].parameters);
        assert_int_equal(macs(&graph), known[i].macs);
        ich_graph_free(&graph);
    }
    assert_null(ich_zoo_arch(sizeof known / sizeof *known));
}

static void assert_param(const ich_graph *graph, const char *name, int rank, const int *dims) {
    int p = ich_graph_find_param(graph, name);
    if (p < 0) fail_msg("there is no parameter %s", name);
    assert_int_equal(graph->params[p].rank, rank);
    for (int d = 0; d < rank; d++) assert_int_equal(graph->params[p].dims[d], dims[d]);
}

static void parameters_carry_torchs_names_and_shapes(void **state) {
    (void)state;
    ich_graph graph;
    ich_graph_init(&graph);
    int features = ich_zoo_cnn(&graph, "resnet50", 64, 3);
    ich_zoo_image_head(&graph, features, 6);
    int classifier = ich_zoo_study_head(
        &graph, features, &(ich_study_head){.hidden = 128, .attention = 64, .heads = 2, .gated = true}, 6);
    if (classifier < 0) fail_msg("%s", graph.error.text);
    assert_param(&graph, "conv1.weight", 4, (int[]){64, 3, 7, 7});
    assert_param(&graph, "bn1.running_var", 1, (int[]){64});
    assert_param(&graph, "layer1.0.downsample.0.weight", 4, (int[]){256, 64, 1, 1});
    assert_param(&graph, "layer2.0.downsample.1.bias", 1, (int[]){512});
    assert_param(&graph, "layer4.2.conv3.weight", 4, (int[]){2048, 512, 1, 1});
    assert_param(&graph, "fc.weight", 2, (int[]){6, 2048});
    assert_param(&graph, "lstm.weight_ih_l0", 2, (int[]){512, 2048});
    assert_param(&graph, "lstm.weight_hh_l0_reverse", 2, (int[]){512, 128});
    assert_param(&graph, "attention.V.weight", 2, (int[]){64, 256});
    assert_param(&graph, "attention.U.bias", 1, (int[]){64});
    assert_param(&graph, "attention.w.weight", 2, (int[]){2, 64});
    assert_param(&graph, "classifier.weight", 2, (int[]){6, 256});
    assert_int_equal(graph.nodes[classifier].domain, ICH_PER_STUDY);
    int slices = ich_graph_find(&graph, "classifier.slices");
    assert_true(slices >= 0);
    assert_int_equal(graph.nodes[slices].domain, ICH_PER_SLICE);
    assert_int_equal(graph.nodes[slices].params[0], graph.nodes[classifier].params[0]);
    assert_int_equal(graph.nodes[features].group, ICH_GROUP_CNN);
    assert_int_equal(graph.nodes[classifier].group, ICH_GROUP_HEAD);
    ich_graph_free(&graph);
}

/* Each context with each pool: logits per study and per slice, by one classifier. */
static void study_heads_of_all_kinds_can_be_built(void **state) {
    (void)state;
    static const char *const contexts[] = {"lstm", "self-attention", "none"};
    static const char *const pools[] = {"attention", "mean", "max", "top-k", "noisy-or"};
    for (size_t c = 0; c < sizeof contexts / sizeof *contexts; c++)
        for (size_t p = 0; p < sizeof pools / sizeof *pools; p++) {
            const ich_study_head head = {8, 8, 1, true, contexts[c], pools[p], .top = 3};
            ich_graph graph;
            ich_graph_init(&graph);
            const int features = ich_graph_input(&graph, "avgpool", (ich_shape){1, 1, 10});
            const int study = ich_zoo_study_head(&graph, features, &head, 6);
            if (study < 0) fail_msg("%s", graph.error.text);
            const ich_study_nodes nodes = ich_zoo_study_nodes(&graph);
            assert_int_equal(nodes.study, study);
            assert_int_equal(graph.nodes[study].domain, ICH_PER_STUDY);
            assert_int_equal(graph.nodes[study].shape.c, 6);
            assert_int_equal(graph.nodes[nodes.slices].domain, ICH_PER_SLICE);
            assert_int_equal(graph.nodes[nodes.slices].shape.c, 6);
            assert_int_equal(nodes.weights >= 0, p == 0);
            assert_param(&graph, "classifier.weight", 2, (int[]){6, c < 2 ? 16 : 10});
            ich_graph_free(&graph);
        }
}

static void wrong_wishes_are_refused(void **state) {
    (void)state;
    ich_graph graph;
    ich_graph_init(&graph);
    assert_int_equal(ich_zoo_cnn(&graph, "resnet19", 64, 3), -1);
    assert_non_null(strstr(graph.error.text, "resnet18, resnet34, resnet50"));
    assert_int_equal(ich_zoo_image_head(&graph, -1, 6), -1);
    ich_graph_free(&graph);
    ich_graph_init(&graph);
    assert_int_equal(ich_zoo_cnn(&graph, "resnet18", 0, 3), -1);
    assert_true(graph.error.text[0]);
    ich_graph_free(&graph);
    ich_graph_init(&graph);
    int features = ich_zoo_cnn(&graph, "resnet18", 64, 3);
    assert_int_equal(ich_zoo_study_head(&graph, features, &(ich_study_head){.hidden = 0}, 6), -1);
    ich_graph_free(&graph);
    static const ich_study_head unknown[] = {{8, 8, 1, true, "gru", "max"},
                                             {8, 8, 1, true, "lstm", "median"},
                                             {8, 8, 1, true, "lstm", "top-k"},
                                             {8, 8, 1, true, "lstm", "max", .smooth = 1, .smooth_order = 1},
                                             {8, 8, 1, true, "lstm", "attention", .smooth = 1},
                                             {8, 8, 1, true, "lstm", "max", .top = 1, .gp = true}};
    static const char *const said[] = {"'gru'", "'median'", "at least 1", "pool = attention", "order 1 or 2", "pool = attention"};
    for (int i = 0; i < 6; i++) {
        ich_graph_init(&graph);
        features = ich_graph_input(&graph, "avgpool", (ich_shape){1, 1, 10});
        assert_int_equal(ich_zoo_study_head(&graph, features, &unknown[i], 6), -1);
        assert_non_null(strstr(graph.error.text, said[i]));
        ich_graph_free(&graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cnns_have_torchvisions_sizes),
        cmocka_unit_test(parameters_carry_torchs_names_and_shapes),
        cmocka_unit_test(study_heads_of_all_kinds_can_be_built),
        cmocka_unit_test(wrong_wishes_are_refused),
    };
    return cmocka_run_group_tests_name("zoo", tests, NULL, NULL);
}
