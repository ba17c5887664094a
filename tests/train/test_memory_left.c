/* What the machine has left, from files as Linux writes them. */
#include "../data/scratch.h"
#include "data/file.h"
#include "train/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(const char *name, const char *text) {
    char *path = strdup(scratch_path(name)), *slash = strrchr(path, '/');
    ich_error err = {""};
    *slash = '\0';
    if (!ich_folder_make(path, &err) || !ich_file_write(scratch_path(name), text, strlen(text), &err))
        fail_msg("%s", err.text);
    free(path);
}

static size_t left_in(const char *root) {
    char *path = strdup(scratch_path(root));
    const size_t left = ich_memory_available(path);
    free(path);
    return left;
}

static void the_least_limit_counts(void **state) {
    (void)state;
    assert_true(left_in("nothing") == SIZE_MAX);
    put("a/proc/meminfo", "MemTotal:  8000000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n");
    assert_true(left_in("a") == 4000 * 1024);
    put("a/proc/self/cgroup", "0::/job/step\n");
    put("a/sys/fs/cgroup/job/step/memory.max", "max\n");
    assert_true(left_in("a") == 4000 * 1024);
    put("a/sys/fs/cgroup/job/memory.max", "3000000\n"); /* of the group above */
    put("a/sys/fs/cgroup/job/memory.current", "2500000\n");
    assert_true(left_in("a") == 500000);
    put("a/sys/fs/cgroup/job/memory.stat", "anon 7\ninactive_file 300000\nactive_file 100000\n");
    assert_true(left_in("a") == 900000); /* files can be read again */
    put("a/sys/fs/cgroup/job/memory.current", "9000000\n");
    assert_true(left_in("a") == 0);
}

static void version_1_of_control_groups_counts_too(void **state) {
    (void)state;
    put("b/proc/self/cgroup", "12:cpu,cpuacct:/x\n7:memory:/slurm/job_1\n");
    put("b/sys/fs/cgroup/memory/slurm/job_1/memory.limit_in_bytes", "9223372036854771712\n");
    put("b/sys/fs/cgroup/memory/slurm/memory.limit_in_bytes", "1000000\n");
    put("b/sys/fs/cgroup/memory/slurm/memory.usage_in_bytes", "400000\n");
    assert_true(left_in("b") == 600000);
}

static void a_refusal_says_how_much_and_what_lowers_it(void **state) {
    (void)state;
    ich_error err = {""};
    assert_true(ich_memory_foresee(5 << 20, 5 << 20, "--batch", &err));
    assert_false(ich_memory_foresee(5 << 20, (5 << 20) - 1, "--batch", &err));
    if (!strstr(err.text, "5 MiB") || !strstr(err.text, "4 MiB are left") || !strstr(err.text, "--batch"))
        fail_msg("%s", err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_limit_counts),
        cmocka_unit_test(version_1_of_control_groups_counts_too),
        cmocka_unit_test(a_refusal_says_how_much_and_what_lowers_it),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
