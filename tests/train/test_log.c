/* log.csv: a row an epoch and split, as the contract has it, whatever is unknown. */
#include "../data/scratch.h"
#include "data/csv.h"
#include "train/log.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "epoch,split,loss,auc,lr,seconds,seconds_waiting,images_per_second,bad_steps\n"

static void add(ich_log *log, ich_log_row row) {
    ich_error err = {""};
    if (!ich_log_add(log, &row, &err)) fail_msg("%s", err.text);
}

static const ich_log_row trained = {.epoch = 1,
                                    .split = "train",
                                    .loss = 0.5,
                                    .auc = 0.75,
                                    .lr = 3e-5,
                                    .seconds = 8,
                                    .waiting = 0.25,
                                    .images = 100,
                                    .bad_steps = 2};

static void a_row_says_what_was_measured(void **state) {
    (void)state;
    ich_log log = {0};
    assert_string_equal(ich_log_text(&log), HEADER);
    add(&log, trained);
    add(&log, (ich_log_row){
                  .epoch = 1, .split = "val", .loss = 0.123456789, .auc = 1, .lr = 0.0009, .seconds = 1e-4});
    add(&log, (ich_log_row){.epoch = 12, .split = "train", .loss = 2, .auc = 0, .lr = 0, .images = 7});
    assert_string_equal(ich_log_text(&log), HEADER "1,train,0.500000,0.750000,3e-05,8.000,0.250,12.5,2\n"
                                                   "1,val,0.123457,1.000000,0.0009,0.000,0.000,0.0,0\n"
                                                   "12,train,2.000000,0.000000,0,0.000,0.000,0.0,0\n");
    ich_log_free(&log);
}

static void what_does_not_exist_is_an_empty_field(void **state) {
    (void)state;
    ich_log log = {0};
    add(&log, (ich_log_row){
                  .epoch = 3, .split = "val", .loss = NAN, .auc = NAN, .lr = 1, .seconds = 1, .images = 2});
    assert_string_equal(ich_log_text(&log), HEADER "3,val,,,1,1.000,0.000,2.0,0\n");
    ich_log_free(&log);
}

static void the_file_is_a_table(void **state) {
    (void)state;
    ich_log log = {0};
    ich_csv csv;
    ich_error err = {""};
    double loss;
    add(&log, trained);
    const char *path = scratch_path("log.csv");
    if (!ich_log_write(&log, path, &err) || !ich_csv_read(&csv, path, &err)) fail_msg("%s", err.text);
    assert_int_equal(csv.n_rows, 1);
    assert_true(ich_csv_number(&csv, 0, ich_csv_column(&csv, "loss"), &loss, &err) && loss == 0.5);
    assert_string_equal(ich_csv_cell(&csv, 0, ich_csv_column(&csv, "split")), "train");
    ich_csv_free(&csv);
    ich_log_free(&log);
}

/* A checkpoint carries the text; a resumed run writes on. */
static void a_restored_log_goes_on(void **state) {
    (void)state;
    ich_log first = {0}, second = {0};
    ich_error err = {""};
    add(&first, trained);
    add(&second, trained);
    add(&second, trained); /* to be forgotten */
    char *text = strdup(ich_log_text(&first));
    assert_true(ich_log_restore(&second, text, &err));
    free(text);
    add(&first, trained);
    add(&second, trained);
    assert_string_equal(ich_log_text(&first), ich_log_text(&second));
    ich_log_free(&first);
    ich_log_free(&second);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_says_what_was_measured),
        cmocka_unit_test(what_does_not_exist_is_an_empty_field),
        cmocka_unit_test(the_file_is_a_table),
        cmocka_unit_test(a_restored_log_goes_on),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
