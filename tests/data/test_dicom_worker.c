/* What crashes, hangs or takes all memory in a worker process costs the item it was at, and nothing else. */
#include "data/dicom_worker.h"
#include "data/file.h"
#include "data/sandbox.h"
#include "scratch.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { TASKS = 12, ITEMS = 3 }; /* items a task */

typedef enum mischief {
    NONE,
    CRASH,
    HANG,
    ABORT,
    EXIT,
    HOARD,
    FAIL,
    CRASH_IDLE,
    BREAK,
    CONNECT, /* those of a decoder that somebody else has taken over */
    EXECUTE,
    MULTIPLY,
    KILL_PARENT,
    RUN_DATA,
    TRY_ALL_ELSE
} mischief;

typedef struct world { /* shared with the workers */
    mischief mischief[TASKS * ITEMS];
    bool bad[TASKS * ITEMS];
    int done[TASKS * ITEMS]; /* how often an item's work was finished */
    bool ended[TASKS], failed[TASKS];
    int remarks;
    char reason[TASKS * ITEMS][200], why[TASKS][200];
    volatile int stop;
    size_t stop_after;
} world;

static world *w;

/* What is refused, but does not kill. Ends the process in a way of its own if anything is granted. */
static void try_all_else(void) {
    char path[] = "/tmp/ichor-sandbox-XXXXXX";
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const bool refused = open(path, O_WRONLY | O_CREAT, 0600) < 0 && unlink("/tmp") < 0 &&
                         rename(path, "/tmp/other") < 0 && setrlimit(RLIMIT_AS, &all) < 0 && dup(0) < 0 &&
                         chdir("/") < 0 && fcntl(STDERR_FILENO + 2, F_GETFD) < 0;
    const int file = open("/dev/null", O_RDONLY);
    if (!refused || file < 0 || close(file) != 0) abort();
}

static void do_mischief(mischief m) {
    char *const words[] = {"true", NULL};
    if (m == CONNECT) socket(AF_INET, SOCK_STREAM, 0);
    if (m == EXECUTE) execv("/bin/true", words);
    if (m == MULTIPLY) fork();
    if (m == KILL_PARENT) kill(getppid(), SIGUSR1);
    if (m == RUN_DATA &&
        mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        raise(SIGSYS);
    if (m == TRY_ALL_ELSE) try_all_else();
    if (m == CRASH) raise(SIGSEGV);
    if (m == ABORT) abort();
    if (m == EXIT) _exit(3);
    if (m == HANG)
        for (;;) {
        }
    if (m == HOARD)
        for (;;) {
            char *volatile more =
                malloc(1 << 24); /* volatile: else clang sees through it, and takes nothing */
            if (!more) raise(SIGSEGV);
            for (int i = 0; i < 1 << 24; i += 4096) more[i] = 1;
        }
}

static ich_task_end work(void *self, size_t task, ich_worker *worker, ich_error *why) {
    bool again = false;
    (void)self;
    for (size_t i = task * ITEMS; i < (task + 1) * ITEMS; i++) {
        const mischief m = w->mischief[i];
        if (w->bad[i]) continue;
        ich_worker_touch(worker, m == CRASH_IDLE ? ICH_NO_ITEM : i);
        if (m == CRASH_IDLE) raise(SIGKILL);
        do_mischief(m);
        if (m == BREAK) {
            ich_fail(why, "the disk is full");
            return ICH_TASK_BROKEN;
        }
        if (m == FAIL) {
            w->bad[i] = again = true;
            ich_worker_tell(worker, i, true, "is damaged");
        }
        w->done[i]++;
    }
    if (again) return ICH_TASK_AGAIN;
    ich_worker_tell(worker, ICH_NO_ITEM, false, "remark");
    if (task == 5) ich_fail(why, "task five fails");
    return task == 5 ? ICH_TASK_FAILED : ICH_TASK_DONE;
}

static void told(void *self, size_t task, size_t item, bool bad, const char *text) {
    assert_ptr_equal(self, w);
    if (item == ICH_NO_ITEM) {
        w->remarks++;
        return;
    }
    assert_true(bad);
    assert_int_equal(item / ITEMS, task);
    w->bad[item] = true;
    snprintf(w->reason[item], sizeof w->reason[item], "%s", text);
}

static void ended(void *self, size_t task, bool done, const char *why) {
    (void)self;
    assert_false(w->ended[task]);
    w->ended[task] = true;
    w->failed[task] = !done;
    snprintf(w->why[task], sizeof w->why[task], "%s", why);
    if (w->stop_after && task == w->stop_after) w->stop = 1;
}

static ich_work work_of(int processes) {
    return (ich_work){.n_tasks = TASKS,
                      .processes = processes,
                      .memory = (size_t)256 << 20,
                      .seconds = 1,
                      .self = w,
                      .work = work,
                      .told = told,
                      .ended = ended};
}

static int clear(void **state) {
    (void)state;
    memset(w, 0, sizeof *w);
    return 0;
}

static void check_rest(size_t from, size_t to) {
    for (size_t t = 0; t < TASKS; t++) {
        assert_true(w->ended[t]);
        assert_int_equal(w->failed[t], t == 5);
    }
    for (size_t i = 0; i < TASKS * ITEMS; i++)
        if (i < from || i >= to) assert_true(w->done[i] >= 1 && !w->bad[i]);
}

static void every_task_is_done_once(void **state) {
    (void)state;
    for (int processes = 1; processes <= 20; processes += 4) {
        clear(NULL);
        const ich_work all = work_of(processes);
        ich_error err = {""};
        if (!ich_work_run(&all, NULL, &err)) fail_msg("%s", err.text);
        check_rest(0, 0);
        for (size_t i = 0; i < TASKS * ITEMS; i++) assert_int_equal(w->done[i], 1);
        assert_int_equal(w->remarks, TASKS);
        assert_string_equal(w->why[5], "task five fails");
    }
}

static void one_bad_item(mischief m, int most_processes, const char *word) {
    for (int processes = 1; processes <= most_processes; processes++) {
        const ich_work all = work_of(processes);
        ich_error err = {""};
        clear(NULL);
        w->mischief[10] = m; /* task 3, second item */
        if (!ich_work_run(&all, NULL, &err)) fail_msg("%s", err.text);
        check_rest(10, 11);
        assert_true(w->bad[10]);
        if (!strstr(w->reason[10], word)) fail_msg("'%s' does not say '%s'", w->reason[10], word);
    }
}

static void a_crash_costs_one_item(void **state) {
    (void)state;
    one_bad_item(CRASH, 2, "crashes its decoder");
    one_bad_item(ABORT, 2, "crashes its decoder");
    one_bad_item(EXIT, 2, "crashes its decoder");
}

static void a_hang_costs_one_item(void **state) {
    (void)state;
    one_bad_item(HANG, 1, "takes more than 1 s");
}

static void all_memory_costs_one_item(void **state) {
    (void)state;
#ifdef ICH_SANITIZED
    skip(); /* it has no limit on memory */
#else
    one_bad_item(HOARD, 2, "crashes its decoder");
#endif
}

static void a_bad_item_that_is_noticed_is_told(void **state) {
    (void)state;
    one_bad_item(FAIL, 2, "is damaged");
}

static void a_decoder_that_is_taken_over_cannot_leave(void **state) {
    (void)state;
    if (!ich_sandbox_filters()) skip(); /* with a sanitizer, without libseccomp or a kernel that filters */
    for (mischief m = CONNECT; m <= RUN_DATA; m++) one_bad_item(m, 1, "forbidden system call");
    const ich_work all = work_of(2);
    ich_error err = {""};
    clear(NULL);
    w->mischief[10] = TRY_ALL_ELSE;
    if (!ich_work_run(&all, NULL, &err)) fail_msg("%s", err.text);
    check_rest(0, 0);
}

/* The limits that it has, as the kernel tells them, and whether it could write a file. */
static ich_task_end tell_limits(void *self, size_t task, ich_worker *worker, ich_error *why) {
    char line[200];
    (void)self, (void)task;
    FILE *limits = fopen("/proc/self/limits", "r");
    while (limits && fgets(line, sizeof line, limits)) ich_worker_tell(worker, ICH_NO_ITEM, false, line);
    if (limits) fclose(limits);
    return ich_file_write(scratch_path("written"), "x", 1, why) ? ICH_TASK_DONE : ICH_TASK_FAILED;
}

static struct {
    unsigned long long processes, files, bytes, cores;
    bool wrote;
} seen;

static void see_limit(void *self, size_t task, size_t item, bool bad, const char *line) {
    (void)self, (void)task, (void)item, (void)bad;
    sscanf(line, "Max processes %llu", &seen.processes);
    sscanf(line, "Max open files %llu", &seen.files);
    sscanf(line, "Max file size %llu", &seen.bytes);
    sscanf(line, "Max core file size %llu", &seen.cores);
}

static void see_end(void *self, size_t task, bool done, const char *why) {
    (void)self, (void)task, (void)why;
    seen.wrote = done;
}

static void limits_leave_what_the_work_needs(void **state) {
    (void)state;
    for (int writes = 0; writes < 2; writes++) {
        ich_work one = work_of(1);
        ich_error err = {""};
        one.n_tasks = 1, one.writes = writes;
        one.work = tell_limits, one.told = see_limit, one.ended = see_end;
        memset(&seen, 0xff, sizeof seen);
        if (!ich_work_run(&one, NULL, &err)) fail_msg("%s", err.text);
        assert_int_equal(seen.processes, 0);
        assert_int_equal(seen.cores, 0);
        assert_int_equal(seen.files, 32);
        assert_int_equal(seen.bytes, writes ? one.memory : 0);
        assert_int_equal(seen.wrote, writes);
    }
}

static void many_bad_items_cost_themselves(void **state) {
    (void)state;
    const ich_work all = work_of(3);
    ich_error err = {""};
    for (int i = 0; i < TASKS * ITEMS; i++) w->mischief[i] = i % 2 ? CRASH : NONE;
    if (!ich_work_run(&all, NULL, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < TASKS * ITEMS; i++) {
        assert_int_equal(w->bad[i], i % 2);
        assert_int_equal(w->done[i] > 0, i % 2 == 0);
    }
}

static void a_crash_outside_of_any_item_costs_the_task(void **state) {
    (void)state;
    const ich_work all = work_of(2);
    ich_error err = {""};
    w->mischief[4] = CRASH_IDLE;
    if (!ich_work_run(&all, NULL, &err)) fail_msg("%s", err.text);
    for (size_t t = 0; t < TASKS; t++) assert_int_equal(w->failed[t], t == 5 || t == 1);
    assert_non_null(strstr(w->why[1], "no file to read")); /* no file is blamed */
}

static void a_full_disk_ends_the_run(void **state) {
    (void)state;
    const ich_work all = work_of(2);
    ich_error err = {""};
    w->mischief[6] = BREAK;
    assert_false(ich_work_run(&all, NULL, &err));
    assert_string_equal(err.text, "the disk is full");
}

static void a_stop_finishes_what_has_begun_and_begins_nothing(void **state) {
    (void)state;
    const ich_work all = work_of(1);
    ich_error err = {""};
    w->stop_after = 3;
    assert_false(ich_work_run(&all, &w->stop, &err));
    assert_non_null(strstr(err.text, "start again"));
    for (size_t t = 0; t < TASKS; t++) assert_int_equal(w->ended[t], t <= 3);
}

static void no_task_is_no_work(void **state) {
    (void)state;
    ich_work none = work_of(2);
    none.n_tasks = 0;
    assert_true(ich_work_run(&none, NULL, NULL));
}

static int map(void **state) {
    if (scratch_make(state) != 0) return -1;
    w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return w == MAP_FAILED ? -1 : 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_task_is_done_once, clear),
        cmocka_unit_test_setup(a_crash_costs_one_item, clear),
        cmocka_unit_test_setup(a_hang_costs_one_item, clear),
        cmocka_unit_test_setup(all_memory_costs_one_item, clear),
        cmocka_unit_test_setup(a_bad_item_that_is_noticed_is_told, clear),
        cmocka_unit_test_setup(a_decoder_that_is_taken_over_cannot_leave, clear),
        cmocka_unit_test_setup(limits_leave_what_the_work_needs, clear),
        cmocka_unit_test_setup(many_bad_items_cost_themselves, clear),
        cmocka_unit_test_setup(a_crash_outside_of_any_item_costs_the_task, clear),
        cmocka_unit_test_setup(a_full_disk_ends_the_run, clear),
        cmocka_unit_test_setup(a_stop_finishes_what_has_begun_and_begins_nothing, clear),
        cmocka_unit_test_setup(no_task_is_no_work, clear),
    };
    return cmocka_run_group_tests(tests, map, scratch_remove);
}
