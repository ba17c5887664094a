/* Loss and AUC of an epoch, gathered batch by batch. */
#include "train/tally.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 6 };

static double auc_of(const ich_tally *tally) {
    double auc;
    assert_true(ich_tally_auc(tally, &auc, NULL));
    return auc;
}

static ich_tally tally_of(size_t rows) {
    ich_tally tally;
    ich_error err = {""};
    if (!ich_tally_init(&tally, rows, &err)) fail_msg("%s", err.text);
    return tally;
}

/* Rows of which only `any` is set: its logit and its label; the others would spoil the AUC if they counted.
 */
static void add(ich_tally *tally, int rows, double loss, const float *any, const float *label) {
    float logits[ROOM * ICH_LABELS], labels[ROOM * ICH_LABELS];
    for (int i = 0; i < rows * ICH_LABELS; i++) {
        logits[i] = (float)(i % 5);
        labels[i] = (float)(i % 2);
    }
    for (int r = 0; r < rows; r++) {
        logits[r * ICH_LABELS + ICH_ANY] = any[r];
        labels[r * ICH_LABELS + ICH_ANY] = label[r];
    }
    ich_tally_add(tally, rows, loss, logits, labels);
}

static void the_loss_is_the_mean_over_rows_not_batches(void **state) {
    (void)state;
    ich_tally tally = tally_of(ROOM);
    assert_true(isnan(ich_tally_loss(&tally)));
    add(&tally, 3, 1.0, (float[]){0, 0, 0}, (float[]){0, 0, 0});
    add(&tally, 1, 5.0, (float[]){0}, (float[]){1});
    assert_true(ich_tally_loss(&tally) == 2.0);
    assert_int_equal(tally.rows, 4);
    ich_tally_free(&tally);
}

static void the_auc_is_of_the_rows_whose_label_is_known(void **state) {
    (void)state;
    ich_tally tally = tally_of(ROOM);
    assert_true(isnan(auc_of(&tally)));
    add(&tally, 3, 0, (float[]){-1, 2, 9}, (float[]){0, 1, NAN});
    assert_true(auc_of(&tally) == 1);
    add(&tally, 2, 0, (float[]){3, -9}, (float[]){0, NAN}); /* of the pairs 2 > -1 and 2 > 3, one is right */
    assert_true(auc_of(&tally) == 0.5);
    assert_int_equal(tally.known, 3);
    assert_int_equal(tally.rows, 5);
    ich_tally_free(&tally);
}

static void one_class_alone_has_no_auc(void **state) {
    (void)state;
    ich_tally tally = tally_of(ROOM);
    add(&tally, 3, 0, (float[]){-1, 2, 9}, (float[]){1, 1, NAN});
    assert_true(isnan(auc_of(&tally)));
    ich_tally_free(&tally);
}

static void a_new_epoch_starts_from_nothing(void **state) {
    (void)state;
    ich_tally tally = tally_of(ROOM);
    add(&tally, 2, 3, (float[]){1, 0}, (float[]){0, 1});
    tally.images = 40;
    ich_tally_clear(&tally);
    assert_true(tally.rows == 0 && tally.images == 0 && tally.known == 0 && tally.loss == 0);
    assert_true(isnan(ich_tally_loss(&tally)) && isnan(auc_of(&tally)));
    add(&tally, 2, 1, (float[]){0, 1}, (float[]){0, 1});
    assert_true(auc_of(&tally) == 1 && ich_tally_loss(&tally) == 1);
    ich_tally_free(&tally);
}

static void more_rows_than_planned_do_no_harm(void **state) {
    (void)state;
    ich_tally tally = tally_of(2);
    add(&tally, 5, 1, (float[]){0, 1, 2, 3, 4}, (float[]){0, 1, 0, 0, 0});
    assert_int_equal(tally.known, 2);
    assert_true(auc_of(&tally) == 1);
    ich_tally_free(&tally);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_the_mean_over_rows_not_batches),
        cmocka_unit_test(the_auc_is_of_the_rows_whose_label_is_known),
        cmocka_unit_test(one_class_alone_has_no_auc),
        cmocka_unit_test(a_new_epoch_starts_from_nothing),
        cmocka_unit_test(more_rows_than_planned_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
