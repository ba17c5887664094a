#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "infer/cam.h"
#include <math.h>

/* Two cells, two channels: A = (1, 2), (3, 0) and G = (2, -1), (4, 3) */
enum { CELLS = 2, CHANNELS = 2 };
static const float maps[] = {1, 2, 3, 0}, gradient[] = {2, -1, 4, 3};

static void assert_heat(ich_cam_rule *rule, double first, double second) {
    float weights[CHANNELS], heat[CELLS];
    rule(CELLS, CHANNELS, maps, gradient, weights, heat);
    assert_true(fabs(heat[0] - first) < 1e-6 && fabs(heat[1] - second) < 1e-6);
}

static void grad_cam_weighs_channels_by_their_mean_gradient(void **state) {
    (void)state;
    assert_heat(ich_cam_grad, 3 * 1 + 1 * 2, 3 * 3); /* alpha = 3, 1 */
}

static void grad_cam_plus_weighs_positive_gradients_by_their_share(void **state) {
    (void)state;
    /* sums of A: 4, 2. a = 1 / (2 + G sum): 1/10, 1/18 | 1/0 -> not positive, 1/8 */
    const double alpha0 = 2 / 10.0 + 4 / 18.0, alpha1 = 3 / 8.0;
    assert_heat(ich_cam_grad_plus, alpha0 + 2 * alpha1, 3 * alpha0);
}

static void layer_cam_weighs_each_cell_by_its_own_positive_gradient(void **state) {
    (void)state;
    assert_heat(ich_cam_layer, 2 * 1 + 0 * 2, 4 * 3 + 3 * 0);
}

static void nothing_in_favour_is_cold_everywhere(void **state) {
    (void)state;
    const float against[] = {-2, -1, -4, -3};
    ich_cam_rule *const rules[] = {ich_cam_grad, ich_cam_grad_plus, ich_cam_layer};
    for (int i = 0; i < 3; i++) {
        float weights[CHANNELS], heat[CELLS] = {9, 9};
        rules[i](CELLS, CHANNELS, maps, against, weights, heat);
        assert_true(heat[0] == 0 && heat[1] == 0);
    }
}

static void many_channels_add_up(void **state) {
    (void)state;
    enum { MANY = 37 }; /* no multiple of the lanes */
    float map[MANY], weight[MANY], heat;
    double sum = 0;
    for (int c = 0; c < MANY; c++) {
        map[c] = (float)c;
        weight[c] = (float)(c % 5) / 8;
        sum += (double)map[c] * weight[c];
    }
    ich_cam_weigh(1, MANY, map, weight, &heat);
    assert_true(fabs(heat - sum) < 1e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grad_cam_weighs_channels_by_their_mean_gradient),
        cmocka_unit_test(grad_cam_plus_weighs_positive_gradients_by_their_share),
        cmocka_unit_test(layer_cam_weighs_each_cell_by_its_own_positive_gradient),
        cmocka_unit_test(nothing_in_favour_is_cold_everywhere),
        cmocka_unit_test(many_channels_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
