/* Every layer's backward is the derivative of its forward, and every kernel table computes the layer, within
 * bounds that follow from the lengths of sums (audit/layer_check.h). */
#include "audit/layer_cases.h"
#include "audit/layer_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct tally {
    size_t checked, wrong;
    double share; /* of its bound, the largest */
} tally;

static void count(void *self, const ich_layer_finding *f) {
    tally *sum = self;
    assert_true(f->checked > 0);
    sum->checked += f->checked;
    sum->wrong += f->wrong;
    sum->share = fmax(sum->share, f->error / f->bound);
    if (f->wrong)
        print_error("%s (%s), %s, %s: %s is %.12g, expected %.12g; bound %.2g; %zu of %zu are off\n",
                    f->c->op, f->c->what, f->check, f->kernels, f->where, f->got, f->expected, f->bound,
                    f->wrong, f->checked);
}

static void every_result_keeps_its_bound(void **state) {
    (void)state;
    tally sum = {0};
    ich_error err = {0};
    for (const ich_layer_case *c = ich_small_cases; c->op; c++)
        if (!ich_layer_check(c, count, &sum, &err)) fail_msg("%s", err.text);
    print_message("%zu results, the worst at %.2g of its bound\n", sum.checked, sum.share);
    assert_int_equal(sum.wrong, 0);
}

static bool has_case(const char *op) {
    for (const ich_layer_case *c = ich_small_cases; c->op; c++)
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
    const ich_layer_case c = {"tanh", "with a mistake", {0}, {{1, 1, 7}}, {3}};
    ich_layer_run run;
    ich_layer_finding found;
    assert_true(ich_layer_run_init(&run, &c, ICH_F64, ich_kernels_f64_active(), 1, NULL));
    ich_layer broken = *run.layer;
    broken.backward = backward_of_one_layer_broken;
    run.layer = &broken;
    assert_true(ich_gradient_check(&run, &found, NULL));
    assert_int_equal(found.wrong, 1);
    assert_string_equal(found.where, "d in[0][4]");
    ich_layer_run_free(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_keeps_its_bound),
        cmocka_unit_test(every_registered_layer_is_checked),
        cmocka_unit_test(both_precisions_list_the_same_layers),
        cmocka_unit_test(a_small_mistake_is_found),
    };
    return cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
}
