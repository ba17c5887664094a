/* Studies of different length packed one after another give what each gives alone, bit for bit: no padding,
 * no study that looks into its neighbour. For the lstm and for every layer that looks across a study's
 * slices. */
#include "audit/layer_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const ich_layer_case packed_cases[] = {
    {"lstm", "packed", {.hidden = 16, .bidirectional = true}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"lstm", "packed, one direction", {.hidden = 7}, {{1, 1, 5}}, {5, 1, 9, 2}},
    {"attention", "packed", {.out = 16, .heads = 2, .gated = true}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"attention_pool", "packed", {0}, {{1, 1, 24}, {1, 1, 2}}, {5, 1, 9, 2}},
    {"mean_slices", "packed", {0}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"max_slices", "packed", {0}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"top_slices", "packed", {.top = 3}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"noisy_or", "packed", {0}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"self_attention", "packed", {.heads = 2}, {{1, 1, 24}}, {5, 1, 9, 2}},
    {"smoothness", "packed", {.order = 2, .weight = 2}, {{1, 1, 3}}, {5, 1, 9, 2}, .draw = ICH_DRAW_POSITIVE},
};

/* Elements of one row, counting rows as the tensor does. */
static size_t row_of(size_t count, bool per_study, int rows) {
    return count / (size_t)(per_study ? ICH_CASE_STUDIES : rows);
}

/* The same values, for study `s` alone. */
static void take_study(const ich_layer_run *all, int s, ich_layer_run *one) {
    bool per_study = all->layer->domain != NULL;
    int n = all->call.n_inputs, rows = all->call.rows, first = all->offsets[s];
    for (int i = 0; i < n; i++) {
        size_t row = row_of(all->tensors[i].count, false, rows);
        memcpy(one->tensors[i].value, all->tensors[i].value + (size_t)first * row,
               one->tensors[i].count * sizeof(double));
    }
    for (int p = n; p < all->n_tensors; p++)
        memcpy(one->tensors[p].value, all->tensors[p].value, all->tensors[p].count * sizeof(double));
    size_t row = row_of(all->out_count, per_study, rows);
    memcpy(one->probe, all->probe + (size_t)(per_study ? s : first) * row, one->out_count * sizeof(double));
}

static void compare_study(const ich_layer_run *all, int s, const ich_layer_run *one) {
    bool per_study = all->layer->domain != NULL;
    int rows = all->call.rows, first = all->offsets[s];
    size_t row = row_of(all->out_count, per_study, rows);
    const double *out = all->out + (size_t)(per_study ? s : first) * row;
    if (memcmp(out, one->out, one->out_count * sizeof(double)))
        fail_msg("%s (%s): study %d has another output when packed", all->c->op, all->c->what, s);
    for (int i = 0; i < all->call.n_inputs; i++) {
        row = row_of(all->tensors[i].count, false, rows);
        if (memcmp(all->tensors[i].gradient + (size_t)first * row, one->tensors[i].gradient,
                   one->tensors[i].count * sizeof(double)))
            fail_msg("%s (%s): study %d has another gradient when packed", all->c->op, all->c->what, s);
    }
}

static void run_both_ways(const ich_layer_case *c, ich_precision precision, const void *kernels) {
    ich_layer_run all;
    double sum[ICH_CASE_TENSORS] = {0};
    assert_true(ich_layer_run_init(&all, c, precision, kernels, 1, NULL));
    ich_layer_run_forward(&all);
    ich_layer_run_backward(&all);
    for (int s = 0; s < ICH_CASE_STUDIES; s++) {
        ich_layer_case alone = *c;
        ich_layer_run one;
        memset(alone.lengths, 0, sizeof alone.lengths);
        alone.lengths[0] = c->lengths[s];
        assert_true(ich_layer_run_init(&one, &alone, precision, kernels, 2, NULL));
        take_study(&all, s, &one);
        ich_layer_run_forward(&one);
        ich_layer_run_backward(&one);
        compare_study(&all, s, &one);
        for (int p = all.call.n_inputs; p < all.n_tensors; p++) sum[p] += one.tensors[p].gradient[0];
        ich_layer_run_free(&one);
    }
    for (int p = all.call.n_inputs; p < all.n_tensors; p++) /* parameters: the sum of the studies' */
        assert_true(fabs(sum[p] - all.tensors[p].gradient[0]) < 1e-4 * fmax(1, fabs(sum[p])));
    ich_layer_run_free(&all);
}

static void packed_studies_equal_single_ones(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof packed_cases / sizeof *packed_cases; i++) {
        run_both_ways(&packed_cases[i], ICH_F64, ich_kernels_f64_active());
        for (const char *const *name = ich_kernels_available(); *name; name++)
            run_both_ways(&packed_cases[i], ICH_F32, ich_kernels_f32_named(*name));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(packed_studies_equal_single_ones)};
    return cmocka_run_group_tests_name("lstm_lengths", tests, NULL, NULL);
}
