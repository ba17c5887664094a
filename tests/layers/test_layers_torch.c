/* The layers whose conventions are easiest to get wrong, against torch's numbers: the lstm's order of gates
 * and directions, batch norm's running statistics. */
#include "audit/layer_run.h"
#include "torch_numbers.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_all_near(const char *name, const double *got, const double *expected, size_t n,
                            double bound) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs(got[i] - expected[i]) <= bound))
            fail_msg("%s[%zu] is %.17g, torch has %.17g", name, i, got[i], expected[i]);
}

typedef struct numbers {
    const char *name;
    const double *value, *gradient;
} numbers;

static ich_layer_tensor *find(ich_layer_run *run, const char *name) {
    for (int i = 0; i < run->n_tensors; i++)
        if (!strcmp(run->tensors[i].name, name)) return &run->tensors[i];
    fail_msg("no tensor is called %s", name);
    return NULL;
}

static void lstm_equals_torch(void **state) {
    (void)state;
    const numbers tensors[] = {
        {"in[0]", lstm_x, lstm_dx},
        {"weight_ih_l0", lstm_weight_ih_l0, lstm_d_weight_ih_l0},
        {"weight_hh_l0", lstm_weight_hh_l0, lstm_d_weight_hh_l0},
        {"bias_ih_l0", lstm_bias_ih_l0, lstm_d_bias_ih_l0},
        {"bias_hh_l0", lstm_bias_hh_l0, lstm_d_bias_hh_l0},
        {"weight_ih_l0_reverse", lstm_weight_ih_l0_reverse, lstm_d_weight_ih_l0_reverse},
        {"weight_hh_l0_reverse", lstm_weight_hh_l0_reverse, lstm_d_weight_hh_l0_reverse},
        {"bias_ih_l0_reverse", lstm_bias_ih_l0_reverse, lstm_d_bias_ih_l0_reverse},
        {"bias_hh_l0_reverse", lstm_bias_hh_l0_reverse, lstm_d_bias_hh_l0_reverse},
    };
    const ich_layer_case c = {
        "lstm", "torch's", {.hidden = 2, .bidirectional = true}, {{1, 1, 3}}, {4, 1, 3}};
    const size_t n = sizeof tensors / sizeof *tensors;
    ich_layer_run run;
    assert_true(ich_layer_run_init(&run, &c, ICH_F64, ich_kernels_f64_active(), 1, NULL));
    assert_int_equal(run.n_tensors, n);
    for (size_t i = 0; i < n; i++) {
        ich_layer_tensor *t = find(&run, tensors[i].name);
        memcpy(t->value, tensors[i].value, t->count * sizeof(double));
    }
    memcpy(run.probe, lstm_probe, sizeof lstm_probe);
    ich_layer_run_forward(&run);
    ich_layer_run_backward(&run);
    assert_all_near("y", run.out, lstm_y, run.out_count, 1e-14);
    for (size_t i = 0; i < n; i++) {
        const ich_layer_tensor *t = find(&run, tensors[i].name);
        assert_all_near(t->name, t->gradient, tensors[i].gradient, t->count, 1e-13);
    }
    ich_layer_run_free(&run);
}

static void batch_norm_moves_its_statistics_as_torch(void **state) {
    (void)state;
    const ich_layer_case c = {"batch_norm", "torch's", {.eps = 1e-5f, .momentum = 0.1f},
                              {{3, 1, 2}},  {2},       .batch_statistics = true};
    ich_layer_run run;
    assert_true(ich_layer_run_init(&run, &c, ICH_F64, ich_kernels_f64_active(), 1, NULL));
    const numbers tensors[] = {{"in[0]", norm_x, NULL},
                               {"weight", norm_weight, NULL},
                               {"bias", norm_bias, NULL},
                               {"running_mean", norm_mean, NULL},
                               {"running_var", norm_var, NULL}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        ich_layer_tensor *t = find(&run, tensors[i].name);
        memcpy(t->value, tensors[i].value, t->count * sizeof(double));
    }
    ich_layer_run_forward(&run);
    ich_layer_run_backward(&run);
    /* eps and momentum are floats: 1e-5f and 0.1f differ from torch's by 1e-8 of themselves */
    assert_all_near("y", run.out, norm_y, run.out_count, 1e-11);
    assert_all_near("running_mean", find(&run, "running_mean")->gradient, norm_mean_after, 2, 1e-8);
    assert_all_near("running_var", find(&run, "running_var")->gradient, norm_var_after, 2, 1e-8);
    ich_layer_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lstm_equals_torch),
        cmocka_unit_test(batch_norm_moves_its_statistics_as_torch),
    };
    return cmocka_run_group_tests_name("layers_torch", tests, NULL, NULL);
}
