/* The RUN folder: whose it is, and what it was asked for. */
#include "../data/scratch.h"
#include "data/file.h"
#include "train/run.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const learned[] = {ICH_RUN_MODEL, ICH_RUN_LAST, ICH_RUN_LOG, ICH_RUN_STATE};

static ich_train_job job_of(const char *out) {
    return (ich_train_job){.recipe = world_recipe(ICH_FOR_FINETUNE), .dataset = "/data/set", .out = out};
}

static void claim(const ich_train_job *job, const char *verb) {
    ich_error err = {""};
    ich_lock lock = {0};
    if (!ich_run_claim(job, verb, &lock, &err)) fail_msg("%s", err.text);
    ich_lock_release(&lock);
}

static void refuse(const ich_train_job *job, const char *word) {
    ich_error err = {""};
    ich_lock lock = {0};
    assert_false(ich_run_claim(job, "finetune", &lock, &err));
    ich_lock_release(&lock);
    if (strncmp(err.text, job->out, strlen(job->out)) != 0 || !strstr(err.text, word))
        fail_msg("'%s' does not begin with the folder and say '%s'", err.text, word);
}

static char *in(const char *folder, const char *name) {
    char *path = ich_run_path(folder, name, NULL);
    assert_non_null(path);
    return path;
}

static bool is_there(const char *folder, const char *name) {
    char *path = in(folder, name);
    const bool there = ich_path_exists(path);
    free(path);
    return there;
}

static void put(const char *folder, const char *name, const char *text) {
    char *path = in(folder, name);
    ich_error err = {""};
    if (!ich_file_write(path, text, strlen(text), &err)) fail_msg("%s", err.text);
    free(path);
}

static void what_was_asked_for_is_recalled(void **state) {
    (void)state;
    char *out = strdup(scratch_path("some/where/run"));
    ich_train_job job = job_of(out);
    ich_run_request request;
    ich_error err = {""};
    job.dataset = "data, \"quoted\"";
    job.init = "/models/a run";
    job.recipe.lr = 0.1 + 0.2; /* 0.30000000000000004 */
    job.recipe.epochs = 77;
    job.recipe.seed = UINT64_MAX;
    claim(&job, "finetune");
    assert_false(ich_run_exists(out)); /* it has learned nothing yet */
    if (!ich_run_recall(&request, out, &err)) fail_msg("%s", err.text);
    assert_string_equal(request.verb, "finetune");
    char *here = getcwd(NULL, 0), *dataset = ich_path_join(here, job.dataset);
    assert_string_equal(request.dataset, dataset); /* absolute: the run may be resumed from elsewhere */
    assert_string_equal(request.init, job.init);
    assert_null(request.cache);
    size_t n;
    const ich_setting *settings = ich_settings(&n);
    for (size_t i = 0; i < n; i++)
        if (memcmp((const char *)&request.recipe + settings[i].offset,
                   (const char *)&job.recipe + settings[i].offset, settings[i].size) != 0)
            fail_msg("%s is another one", settings[i].name);
    ich_run_request_free(&request);
    ich_run_request_free(&request); /* harmless */
    free(dataset);
    free(here);
    free(out);
}

static void a_run_is_not_overwritten_unless_forced(void **state) {
    (void)state;
    char *out = strdup(scratch_path("held"));
    ich_train_job job = job_of(out);
    for (size_t i = 0; i < sizeof learned / sizeof *learned; i++) {
        claim(&job, "finetune");
        claim(&job, "finetune"); /* nothing was learned: nothing is lost */
        put(out, learned[i], "what was learned");
        put(out, "skipped.csv", "path,study_id,reason\n");
        assert_true(ich_run_exists(out));
        refuse(&job, "--force");
        assert_true(is_there(out, learned[i]) && is_there(out, "skipped.csv"));
        job.force = true;
        claim(&job, "pretrain");
        job.force = false;
        assert_false(ich_run_exists(out) || is_there(out, learned[i]) || is_there(out, "skipped.csv"));
    }
    ich_run_request request;
    ich_error err = {""};
    assert_true(ich_run_recall(&request, out, &err));
    assert_string_equal(request.verb, "pretrain");
    ich_run_request_free(&request);
    free(out);
}

static void force_keeps_the_decoded_slices_and_what_is_not_the_runs(void **state) {
    (void)state;
    char *out = strdup(scratch_path("forced")), *cache = in(out, ICH_RUN_CACHE);
    ich_train_job job = job_of(out);
    ich_error err = {""};
    claim(&job, "finetune");
    assert_true(ich_folder_make(cache, &err));
    put(cache, "s0", "slices");
    put(out, "notes.txt", "mine");
    put(out, ICH_RUN_MODEL, "weights");
    job.force = true;
    claim(&job, "finetune");
    assert_true(is_there(cache, "s0") && is_there(out, "notes.txt"));
    assert_false(is_there(out, ICH_RUN_MODEL));
    free(cache);
    free(out);
}

static void a_resumed_run_keeps_its_folder_as_it_is(void **state) {
    (void)state;
    char *out = strdup(scratch_path("resumed"));
    ich_train_job job = job_of(out);
    ich_run_request request;
    ich_error err = {""};
    claim(&job, "finetune");
    put(out, ICH_RUN_STATE, "state");
    job.resume = true;
    job.dataset = "/elsewhere";
    job.recipe.epochs = 1;
    claim(&job, "finetune");
    assert_true(is_there(out, ICH_RUN_STATE));
    assert_true(ich_run_recall(&request, out, &err));
    assert_string_equal(request.dataset, "/data/set");
    assert_int_not_equal(request.recipe.epochs, 1);
    ich_run_request_free(&request);
    free(out);
}

static void a_file_in_the_way_is_named(void **state) {
    (void)state;
    char *out = strdup(scratch_write("wall", "x", 1));
    ich_train_job job = job_of(out);
    refuse(&job, "takes a folder");
    job.force = true;
    refuse(&job, "takes a folder");
    free(out);
}

static void what_is_no_run_cannot_be_recalled(void **state) {
    (void)state;
    ich_run_request request;
    ich_error err = {""};
    assert_false(ich_run_recall(&request, scratch_path("nowhere"), &err));
    assert_non_null(strstr(err.text, "no such folder"));
    char *out = strdup(scratch_path("damaged"));
    assert_true(ich_folder_make(out, &err));
    assert_false(ich_run_recall(&request, out, &err));
    assert_non_null(strstr(err.text, "no run to resume here"));
    ich_train_job job = job_of(out);
    claim(&job, "finetune");
    static const char *const requests[] = {"", "key,value\n", "key,value\nverb,finetune\n",
                                           "key\nverb\ndataset\n", "key,value,more\nverb,x,y\ndataset,x,y\n"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        put(out, "checkpoint/request.csv", requests[i]);
        assert_false(ich_run_recall(&request, out, &err));
        assert_non_null(strstr(err.text, "checkpoint/request.csv"));
        assert_null(request.verb);
    }
    job.force = true;
    claim(&job, "finetune"); /* the cure */
    put(out, ICH_RUN_RECIPE, "[training]\nepochs = many\n");
    assert_false(ich_run_recall(&request, out, &err));
    assert_non_null(strstr(err.text, ICH_RUN_RECIPE));
    assert_null(request.verb);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_asked_for_is_recalled),
        cmocka_unit_test(a_run_is_not_overwritten_unless_forced),
        cmocka_unit_test(force_keeps_the_decoded_slices_and_what_is_not_the_runs),
        cmocka_unit_test(a_resumed_run_keeps_its_folder_as_it_is),
        cmocka_unit_test(a_file_in_the_way_is_named),
        cmocka_unit_test(what_is_no_run_cannot_be_recalled),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
