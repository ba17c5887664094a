/* Every layer's backward is the derivative of its forward, to 1e-6 in double precision. */
#include "gradient_check.h"
#include "layer_cases.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const double bound = 1e-6;

static void backward_is_the_derivative_of_forward(void **state) {
    (void)state;
    size_t checked = 0, wrong = 0;
    double worst = 0;
    for (const layer_case *c = small_cases; c->op; c++) {
        if (c->inference) continue;
        gradient_result result = gradient_check(c, bound);
        assert_true(result.checked > 0);
        checked += result.checked;
        wrong += result.wrong;
        worst = fmax(worst, result.worst);
    }
    print_message("%zu derivatives, largest relative error %.2g\n", checked, worst);
    assert_int_equal(wrong, 0);
}

static bool has_case(const char *op) {
    for (const layer_case *c = small_cases; c->op; c++)
        if (!strcmp(c->op, op) && !c->inference) return true;
    return false;
}

static void every_registered_layer_is_checked(void **state) {
    (void)state;
    for (const ich_layer *const *layer = ich_layers(ICH_F64); *layer; layer++)
        if (!has_case((*layer)->op)) fail_msg("layer '%s' has no gradient check", (*layer)->op);
}

static void both_precisions_list_the_same_layers(void **state) {
    (void)state;
    const ich_layer *const *f32 = ich_layers(ICH_F32), *const *f64 = ich_layers(ICH_F64);
    int i = 0;
    for (; f32[i] && f64[i]; i++) {
        assert_string_equal(f32[i]->op, f64[i]->op);
        assert_int_equal(ich_layer_index(f32[i]->op), i);
    }
    assert_null(f32[i]);
    assert_null(f64[i]);
    assert_int_equal(ich_layer_index("no such layer"), -1);
}

/* The check itself must be able to fail. */
static void backward_of_one_layer_broken(const ich_call *call) {
    ich_layers(ICH_F64)[ich_layer_index("tanh")]->backward(call);
    ((double *)call->d_in[0])[4] *= 1 + 1e-5;
}

static void a_small_mistake_is_found(void **state) {
    (void)state;
    const layer_case c = {"tanh", "with a mistake", {0}, {{1, 1, 7}}, {3}};
    layer_run run;
    layer_run_init(&run, &c, ICH_F64, ich_kernels_f64_active(), 1);
    ich_layer broken = *run.layer;
    broken.backward = backward_of_one_layer_broken;
    run.layer = &broken;
    gradient_result result = gradient_check_run(&run, bound);
    assert_int_equal(result.wrong, 1);
    layer_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backward_is_the_derivative_of_forward),
        cmocka_unit_test(every_registered_layer_is_checked),
        cmocka_unit_test(both_precisions_list_the_same_layers),
        cmocka_unit_test(a_small_mistake_is_found),
    };
    return cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
}
