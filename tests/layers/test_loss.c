/* The loss against torch's numbers: unknown labels take no part, and no logit is too large. */
#include "layers/loss.h"
#include "torch_numbers.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 4, LABELS = 3, COUNT = ROWS * LABELS };
static const double scale = 1.0 / 21;

static void assert_near(double got, double expected, double bound) {
    if (!(fabs(got - expected) <= bound * fmax(1, fabs(expected))))
        fail_msg("%.17g is not %.17g", got, expected);
}

static void double_loss_equals_torch(void **state) {
    (void)state;
    double gradient[COUNT];
    double loss = ich_loss_bce_f64(ROWS, LABELS, loss_logit, loss_target, loss_weight, scale, gradient);
    assert_near(loss, loss_value[0], 1e-14);
    for (int i = 0; i < COUNT; i++) assert_near(gradient[i], loss_gradient[i], 1e-15);
    assert_near(ich_loss_bce_f64(ROWS, LABELS, loss_logit, loss_target, loss_weight, scale, NULL), loss, 0);
}

static void float_loss_equals_torch(void **state) {
    (void)state;
    float logit[COUNT], target[COUNT], weight[LABELS], gradient[COUNT];
    for (int i = 0; i < COUNT; i++) logit[i] = (float)loss_logit[i], target[i] = (float)loss_target[i];
    for (int l = 0; l < LABELS; l++) weight[l] = (float)loss_weight[l];
    double loss = ich_loss_bce_f32(ROWS, LABELS, logit, target, weight, scale, gradient);
    assert_near(loss, loss_value[0], 1e-7);
    for (int i = 0; i < COUNT; i++) assert_near(gradient[i], loss_gradient[i], 1e-7);
}

static void noisy_loss_equals_torch(void **state) {
    (void)state;
    const ich_label_noise noise = {0.1, 0.05};
    double gradient[COUNT];
    double loss =
        ich_loss_noisy_bce_f64(ROWS, LABELS, loss_logit, loss_target, loss_weight, noise, scale, gradient);
    assert_near(loss, noisy_loss_value[0], 1e-14);
    for (int i = 0; i < COUNT; i++) assert_near(gradient[i], noisy_loss_gradient[i], 1e-15);
}

/* The last of these logits is so far on the wrong side that sigmoid(-x) is 0. */
static void labels_without_noise_are_plain_ones(void **state) {
    (void)state;
    const double logit[] = {0.3, -1.2, 2.5, -40, 60, 900}, target[] = {1, 0, 0.25, NAN, 0, 0};
    double plain[6], noisy[6];
    const double a = ich_loss_bce_f64(2, LABELS, logit, target, loss_weight, scale, plain);
    const double b =
        ich_loss_noisy_bce_f64(2, LABELS, logit, target, loss_weight, (ich_label_noise){0, 0}, scale, noisy);
    assert_near(b, a, 1e-14);
    for (int i = 0; i < 6; i++) assert_near(noisy[i], plain[i], 1e-15);
}

/* A sure answer against the label: without noise the gradient is whole; with it, such labels are to be
 * expected. */
static void noise_forgives_what_it_expects(void **state) {
    (void)state;
    const double logit = 8, target = 0, weight = 1;
    double plain, noisy;
    ich_loss_noisy_bce_f64(1, 1, &logit, &target, &weight, (ich_label_noise){0, 0}, 1, &plain);
    ich_loss_noisy_bce_f64(1, 1, &logit, &target, &weight, (ich_label_noise){0, 0.2}, 1, &noisy);
    assert_true(plain > 0.999);
    assert_true(noisy > 0 && noisy < 0.01);
}

static void gradient_is_the_derivative_of_the_loss(void **state) {
    (void)state;
    const double logit[] = {0.3, -1.2, 2.5, -4, 6, 0.1}, h = 1e-4;
    const double target[] = {1, 0, 0.3, NAN, 1, 0}, weight[] = {2, 1, 0.5};
    double gradient[6], moved[6];
    ich_loss_bce_f64(2, LABELS, logit, target, weight, scale, gradient);
    for (int i = 0; i < 6; i++) {
        double at[4], steps[] = {h, -h, 2 * h, -2 * h};
        for (int s = 0; s < 4; s++) {
            for (int j = 0; j < 6; j++) moved[j] = logit[j] + (i == j ? steps[s] : 0);
            at[s] = ich_loss_bce_f64(2, LABELS, moved, target, weight, scale, NULL);
        }
        double numeric = (8 * (at[0] - at[1]) - (at[2] - at[3])) / (12 * h);
        assert_true(fabs(numeric - gradient[i]) <= 1e-6 * fmax(fabs(gradient[i]), 1e-4));
    }
}

static void unknown_labels_take_no_part(void **state) {
    (void)state;
    const double logit[] = {NAN, 1e9, -3}, target[] = {NAN, NAN, NAN}, weight[] = {2, 1, 1};
    double gradient[] = {7, 7, 7};
    assert_true(ich_loss_bce_f64(1, LABELS, logit, target, weight, 1, gradient) == 0);
    for (int i = 0; i < LABELS; i++) assert_true(gradient[i] == 0);
}

static void extreme_logits_stay_finite(void **state) {
    (void)state;
    const float logit[] = {3e38f, -3e38f, 120, -120}, target[] = {1, 0, 1, 0}, weight[] = {1, 1, 1, 1};
    const float wrong[] = {1, 1, 0, 1};
    float gradient[4];
    assert_near(ich_loss_bce_f32(1, 4, logit, target, weight, 1, gradient), 0, 1e-30);
    for (int i = 0; i < 4; i++) assert_near(gradient[i], 0, 1e-30);
    assert_true(isfinite(ich_loss_bce_f32(1, 4, logit, wrong, weight, 1, gradient)));
    assert_near(gradient[1], -1, 0);
    assert_near(gradient[2], 1, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_loss_equals_torch),
        cmocka_unit_test(float_loss_equals_torch),
        cmocka_unit_test(noisy_loss_equals_torch),
        cmocka_unit_test(labels_without_noise_are_plain_ones),
        cmocka_unit_test(noise_forgives_what_it_expects),
        cmocka_unit_test(gradient_is_the_derivative_of_the_loss),
        cmocka_unit_test(unknown_labels_take_no_part),
        cmocka_unit_test(extreme_logits_stay_finite),
    };
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
