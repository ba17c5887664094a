/* Which studies a run learns from, which validate it, and which are left out. */
#include "../data/scratch.h"
#include "data/csv.h"
#include "data/file.h"
#include "train/source.h"
#include "world.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LABELS  "any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural"
#define STUDIES "study_id,patient_id,path,split," LABELS "\n"
#define SLICES  "study_id,slice_index,image_id," LABELS "\n"

/* A dataset of two studies of the world, with tables of our own; NULL leaves the world's. */
static char *dataset_of(const char *studies, const char *slices) {
    static const int depth[] = {3, 4};
    const char *const text[] = {studies, slices}, *const name[] = {"studies.csv", "slices.csv"};
    char *folder = strdup(world_make("d", depth, 2, 1));
    ich_error err = {""};
    for (int t = 0; t < 2; t++) {
        if (!text[t]) continue;
        char *path = ich_path_join(folder, name[t]);
        if (!ich_file_write(path, text[t], strlen(text[t]), &err)) fail_msg("%s", err.text);
        free(path);
    }
    return folder;
}

static ich_source open_source(const char *folder, bool slices) {
    ich_source source;
    ich_error err = {""};
    if (!ich_source_open(&source, folder, slices, &err)) fail_msg("%s", err.text);
    return source;
}

static void decode(ich_source *source, const char *folder, const char *out) {
    ich_error err = {""};
    if (!ich_folder_make(out, &err)) fail_msg("%s", err.text);
    const ich_train_job job = {.recipe = world_recipe(ICH_FOR_FINETUNE), .dataset = folder, .out = out};
    if (!ich_source_decode(source, &job, &err)) fail_msg("%s", err.text);
}

static void refuse(const char *studies, const char *slices, bool with_slices, const char *word) {
    ich_source source;
    ich_error err = {""};
    char *folder = dataset_of(studies, slices);
    assert_false(ich_source_open(&source, folder, with_slices, &err));
    if (strncmp(err.text, folder, strlen(folder)) != 0 || !strstr(err.text, word))
        fail_msg("'%s' does not begin with the folder and say '%s'", err.text, word);
    ich_source_free(&source);
    free(folder);
}

static void assert_list(const uint32_t *list, size_t n, const char *expected) {
    char text[16] = "";
    for (size_t i = 0; i < n; i++) text[i] = (char)('0' + list[i]);
    assert_string_equal(text, expected);
}

static void splits_say_who_is_learned_from_and_who_validates(void **state) {
    (void)state;
    char *folder =
        dataset_of(STUDIES "a,p,a,val,0,,,,,\nb,q,b,train,,,,,,1\nc,r,c,test,1,,,,,\nd,s,d,,1,,,,,\n"
                           "e,t,e,train,,,,,,\nf,u,f,train,0,,,,,\n",
                   NULL);
    ich_source source = open_source(folder, false);
    assert_true(source.split);
    assert_list(source.train, source.n_train, "15"); /* e has no label */
    assert_list(source.val, source.n_val, "0");
    assert_int_equal(strlen(source.fingerprint), 16);
    ich_source_free(&source);
    free(folder);
}

static void without_splits_all_are_learned_from(void **state) {
    (void)state;
    char *folder = dataset_of(STUDIES "a,p,a,,0,,,,,\nb,q,b,,,,,,,1\nc,r,c,,,,,,,\n", NULL);
    ich_source source = open_source(folder, false);
    assert_false(source.split);
    assert_list(source.train, source.n_train, "01");
    assert_int_equal(source.n_val, 0);
    ich_source_free(&source);
    free(folder);
}

/* Slices are numbered as they are stored; the network sees them from foot to head, and s1 lies head first. */
static void a_slice_keeps_its_label_whichever_way_it_is_stored(void **state) {
    (void)state;
    char *folder = dataset_of(NULL, SLICES "s0,0,,1,,,,,\ns0,2,,0,,,,,1\ns1,0,,0,1,,,,\ns1,3,,1,,0,,,\n"
                                           "s1,9,,1,,,,,\n"), /* of a slice that is not there */
        *out = strdup(scratch_path("out"));
    ich_source source = open_source(folder, true);
    decode(&source, folder, out);
    float label[ICH_LABELS];
    ich_source_slice_label(&source, 0, 0, label);
    assert_true(label[ICH_ANY] == 1 && isnan(label[ICH_SUBDURAL]));
    ich_source_slice_label(&source, 0, 1, label);
    for (int l = 0; l < ICH_LABELS; l++) assert_true(isnan(label[l]));
    assert_false(ich_any_known(label));
    ich_source_slice_label(&source, 0, 2, label);
    assert_true(label[ICH_ANY] == 0 && label[ICH_SUBDURAL] == 1 && ich_any_known(label));
    ich_source_slice_label(&source, 1, 0, label); /* stored last */
    assert_true(label[ICH_ANY] == 1 && label[ICH_INTRAPARENCHYMAL] == 0);
    ich_source_slice_label(&source, 1, 3, label);
    assert_true(label[ICH_ANY] == 0 && label[ICH_EPIDURAL] == 1);
    ich_source_free(&source);
    free(out);
    free(folder);
}

/* One volume that cannot be read, and slices of a study that nobody knows. */
static void what_is_left_out_is_listed_and_the_rest_is_learned_from(void **state) {
    (void)state;
    char *folder = dataset_of(STUDIES "s0,p,volumes/s0.nii,train,1,,,,,\nx,q,volumes/none.nii,train,1,,,,,\n"
                                      "s1,r,volumes/s1.nii,val,0,,,,,\n",
                              SLICES "s0,0,,1,,,,,\nstranger,0,,1,,,,,\nx,0,,1,,,,,\ns1,1,,0,,,,,\n"
                                     "stranger,1,,0,,,,,\n"),
         *out = strdup(scratch_path("some")), *table = ich_path_join(out, "skipped.csv");
    ich_source source = open_source(folder, true);
    decode(&source, folder, out);
    assert_list(source.train, source.n_train, "0");
    assert_list(source.val, source.n_val, "2");
    ich_csv csv;
    ich_error err = {""};
    if (!ich_csv_read(&csv, table, &err)) fail_msg("%s", err.text);
    assert_int_equal(csv.n_rows, 2);
    assert_string_equal(ich_csv_cell(&csv, 0, 1), "stranger");
    assert_non_null(strstr(ich_csv_cell(&csv, 0, 0), "d/slices.csv"));
    assert_non_null(strstr(ich_csv_cell(&csv, 0, 2), "line 3"));
    assert_string_equal(ich_csv_cell(&csv, 1, 1), "x");
    ich_csv_free(&csv);
    ich_source_free(&source);
    source = open_source(folder, false); /* study labels alone: only the volume is missing */
    decode(&source, folder, out);
    if (!ich_csv_read(&csv, table, &err)) fail_msg("%s", err.text);
    assert_int_equal(csv.n_rows, 1);
    ich_csv_free(&csv);
    ich_source_free(&source);
    free(table);
    free(out);
    free(folder);
}

static void nothing_to_learn_from_is_said_with_its_cause(void **state) {
    (void)state;
    refuse(STUDIES "s0,p,volumes/s0.nii,,,,,,,\n", NULL, false, "no study with a known study label");
    refuse(STUDIES "s0,p,volumes/s0.nii,val,1,,,,,\n", NULL, false, "no study of split train");
    refuse(NULL, SLICES, true, "with a known slice label");
    refuse(NULL, SLICES "S0,0,,1,,,,,\n", true, "line 2: study 'S0' is not in studies.csv");
    char *folder = dataset_of(NULL, NULL), *slices = ich_path_join(folder, "slices.csv");
    ich_source source;
    ich_error err = {""};
    assert_int_equal(unlink(slices), 0);
    assert_false(ich_source_open(&source, folder, true, &err));
    assert_non_null(strstr(err.text, "'ichor finetune'"));
    ich_source_free(&source);
    free(slices);
    free(folder);
}

static void no_readable_volume_is_a_failure_with_a_list(void **state) {
    (void)state;
    char *folder =
             dataset_of(STUDIES "x,p,volumes/none.nii,train,1,,,,,\ny,q,volumes/s0.nii,val,1,,,,,\n", NULL),
         *out = strdup(scratch_path("none")), *table = ich_path_join(out, "skipped.csv");
    const ich_train_job job = {.recipe = world_recipe(ICH_FOR_FINETUNE), .dataset = folder, .out = out};
    ich_source source = open_source(folder, false);
    ich_error err = {""};
    assert_true(ich_folder_make(out, &err));
    assert_false(ich_source_decode(&source, &job, &err));
    assert_non_null(strstr(err.text, "none/skipped.csv says why"));
    assert_true(ich_path_exists(table));
    ich_source_free(&source);
    free(table);
    free(out);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_say_who_is_learned_from_and_who_validates),
        cmocka_unit_test(without_splits_all_are_learned_from),
        cmocka_unit_test(a_slice_keeps_its_label_whichever_way_it_is_stored),
        cmocka_unit_test(what_is_left_out_is_listed_and_the_rest_is_learned_from),
        cmocka_unit_test(nothing_to_learn_from_is_said_with_its_cause),
        cmocka_unit_test(no_readable_volume_is_a_failure_with_a_list),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
