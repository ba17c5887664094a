/* One process at a time: the second is told who is first; a killed one leaves nothing locked. */
#include "../data/scratch.h"
#include "data/file.h"
#include "data/lock.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A process that holds the folder until it is killed; returns once it does. */
static pid_t holder(const char *folder) {
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        ich_lock lock;
        byte = ich_lock_take(&lock, folder, "ichor pretrain", NULL) ? 'y' : 'n';
        if (write(ready[1], &byte, 1) == 1) pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void the_second_is_told_who_is_first(void **state) {
    (void)state;
    ich_lock lock;
    ich_error err = {""};
    char who[64], host[65] = "";
    const pid_t pid = holder(scratch_path("."));
    assert_false(ich_lock_take(&lock, scratch_path("."), "ichor finetune", &err));
    assert_null(lock.path);
    snprintf(who, sizeof who, "in use by ichor pretrain, process %ld on ", (long)pid);
    gethostname(host, sizeof host - 1);
    if (!strstr(err.text, who) || !strstr(err.text, host) || !strstr(err.text, "since 20"))
        fail_msg("%s", err.text);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_true(ich_path_exists(scratch_path(ICH_LOCK_NAME))); /* left behind, and in nobody's way */
    if (!ich_lock_take(&lock, scratch_path("."), "ichor finetune", &err)) fail_msg("%s", err.text);
    ich_lock_release(&lock);
    assert_false(ich_path_exists(scratch_path(ICH_LOCK_NAME)));
    ich_lock_release(&lock);
}

static void a_folder_that_is_not_there_is_named(void **state) {
    (void)state;
    ich_lock lock;
    ich_error err = {""};
    assert_false(ich_lock_take(&lock, scratch_path("nowhere"), "x", &err));
    if (!strstr(err.text, "nowhere/" ICH_LOCK_NAME ": cannot be written")) fail_msg("%s", err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_is_told_who_is_first),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
