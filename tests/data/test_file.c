/* A file that Ichor writes is whole or not there, whatever goes wrong; what it reads is checked first. */
#include "data/file.h"
#include "scratch.h"
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

/* A fresh folder inside the scratch folder; fresh memory. */
static char *folder_of(const char *name) {
    ich_error err = {""};
    char *folder = strdup(scratch_path(name));
    if (!ich_folder_make(folder, &err)) fail_msg("%s", err.text);
    return folder;
}

static int entries(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = -2; /* . and .. */
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static void put(const char *path, const char *text) {
    ich_error err = {""};
    if (!ich_file_write(path, text, strlen(text), &err)) fail_msg("%s", err.text);
}

static void holds(const char *path, const char *text) {
    size_t count;
    ich_error err = {""};
    char *bytes = ich_file_read(path, 1 << 20, &count, &err);
    if (!bytes) fail_msg("%s", err.text);
    assert_int_equal(count, strlen(text));
    assert_string_equal(bytes, text);
    free(bytes);
}

static void says(const ich_error *err, const char *path, const char *word) {
    if (strncmp(err->text, path, strlen(path)) || !strstr(err->text, word))
        fail_msg("'%s' does not begin with '%s' or say '%s'", err->text, path, word);
}

static mode_t mode_of(const char *path) {
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 0777;
}

/* -- whole or not there ---------------------------------------------------------------------------------- */

static void what_was_written_is_read(void **state) {
    (void)state;
    static const char bytes[] = "a\0b\r\n\xff";
    for (size_t n = 0; n < sizeof bytes; n++) {
        size_t count = 99;
        ich_error err = {""};
        assert_true(ich_file_write(scratch_path("bytes"), n ? bytes : NULL, n, &err));
        char *got = ich_file_read(scratch_path("bytes"), n, &count, &err);
        assert_non_null(got);
        assert_int_equal(count, n);
        assert_memory_equal(got, bytes, n);
        assert_int_equal(got[n], 0);
        free(got);
    }
}

static void a_reader_sees_the_old_file_until_the_new_one_is_whole(void **state) {
    (void)state;
    char *folder = folder_of("whole"), *path = ich_path_join(folder, "file");
    ich_output out;
    ich_error err = {""};
    assert_true(ich_output_open(&out, path, &err));
    fputs("first", out.stream);
    fflush(out.stream);
    assert_false(ich_path_exists(path));
    assert_true(ich_output_commit(&out, &err));
    holds(path, "first");
    assert_true(ich_output_open(&out, path, &err));
    fputs("second", out.stream);
    fflush(out.stream);
    holds(path, "first");
    assert_true(ich_output_commit(&out, &err));
    holds(path, "second");
    ich_output_abandon(&out); /* harmless after commit */
    holds(path, "second");
    assert_int_equal(entries(folder), 1);
    free(path);
    free(folder);
}

static void what_is_abandoned_leaves_nothing(void **state) {
    (void)state;
    char *folder = folder_of("abandoned"), *path = ich_path_join(folder, "file");
    ich_output out;
    ich_error err = {""};
    for (int round = 0; round < 2; round++) {
        assert_true(ich_output_open(&out, path, &err));
        fputs("half", out.stream);
        ich_output_abandon(&out);
        ich_output_abandon(&out);
        assert_int_equal(entries(folder), round);
        if (round) holds(path, "old");
        put(path, "old");
    }
    free(path);
    free(folder);
}

static void two_writers_of_one_name_do_not_meet(void **state) {
    (void)state;
    char *folder = folder_of("two"), *path = ich_path_join(folder, "file");
    ich_output a, b;
    ich_error err = {""};
    assert_true(ich_output_open(&a, path, &err) && ich_output_open(&b, path, &err));
    fputs("a", a.stream);
    fputs("b", b.stream);
    assert_true(ich_output_commit(&b, &err));
    holds(path, "b");
    assert_true(ich_output_commit(&a, &err));
    holds(path, "a");
    assert_int_equal(entries(folder), 1);
    free(path);
    free(folder);
}

static void what_a_crash_left_is_in_nobodys_way(void **state) {
    (void)state;
    char *folder = folder_of("crash"), *path = ich_path_join(folder, "file");
    ich_output out;
    ich_error err = {""};
    assert_true(ich_output_open(&out, path, &err));
    /* The next names this process would take, as far as they can be guessed from this one. */
    unsigned serial;
    const char *tail = strrchr(out.temporary, '-');
    assert_int_equal(sscanf(tail, "-%u.tmp", &serial), 1);
    for (unsigned i = 1; i <= 3; i++) {
        char name[512];
        snprintf(name, sizeof name, "%.*s-%u.tmp", (int)(tail - out.temporary), out.temporary, serial + i);
        FILE *left = fopen(name, "w");
        assert_non_null(left);
        fclose(left);
    }
    ich_output_abandon(&out);
    put(path, "new");
    holds(path, "new");
    assert_int_equal(entries(folder), 4);
    free(path);
    free(folder);
}

static void modes_are_the_umasks_or_the_old_files(void **state) {
    (void)state;
    const char *path = scratch_path("mode");
    const mode_t was = umask(027);
    put(path, "new");
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(chmod(path, 0604), 0);
    put(path, "newer");
    assert_int_equal(mode_of(path), 0604);
    umask(was);
}

static void a_link_stays_a_link(void **state) {
    (void)state;
    const char *real = scratch_path("real"), *link = scratch_path("link");
    put(real, "old");
    assert_int_equal(symlink("real", link), 0);
    put(link, "new");
    holds(real, "new");
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

/* -- what goes wrong ------------------------------------------------------------------------------------- */

/* A limit on the size of files stands for a full disk: the write fails half way. */
static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    char *folder = folder_of("full"), *path = ich_path_join(folder, "file");
    static char bytes[1 << 20];
    struct rlimit was;
    ich_error err = {""};
    put(path, "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {1 << 16, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const bool done = ich_file_write(path, bytes, sizeof bytes, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_false(done);
    says(&err, path, "cannot be written (File too large)");
    holds(path, "old");
    assert_int_equal(entries(folder), 1);
    free(path);
    free(folder);
}

static void refuse_write(const char *path, const char *word) {
    ich_error err = {""};
    ich_output out;
    assert_false(ich_output_open(&out, path, &err));
    says(&err, path, word);
    assert_null(out.stream);
    ich_output_abandon(&out); /* harmless after a failure too */
    assert_false(ich_file_write(path, "x", 1, &err));
}

static void a_place_that_cannot_be_written_is_named(void **state) {
    (void)state;
    char *folder = folder_of("locked");
    put(scratch_path("plain"), "x");
    refuse_write(scratch_path("nowhere/file"), "No such file or directory");
    refuse_write(scratch_path("plain/file"), "Not a directory");
    refuse_write(folder, "a folder is in the way");
    refuse_write("/dev/null", "no regular file");
    struct stat info;
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    /* Locks do not hold root: be somebody else for a moment. */
    assert_int_equal(chmod(scratch_path(""), 0755), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    const bool root = geteuid() == 0;
    if (root) assert_int_equal(seteuid(NOBODY), 0);
    refuse_write(scratch_path("locked/file"), "Permission denied");
    ich_error err = {""};
    assert_false(ich_folder_make(scratch_path("locked/a/b"), &err));
    says(&err, scratch_path("locked/a"), "Permission denied");
    if (root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(entries(folder), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    free(folder);
}

static void refuse_read(const char *path, size_t limit, const char *word) {
    ich_error err = {""};
    size_t count;
    assert_null(ich_file_read(path, limit, &count, &err));
    says(&err, path, word);
}

static void what_cannot_be_read_whole_is_refused(void **state) {
    (void)state;
    const char *huge = scratch_write("huge", "1", 1), *pipe = scratch_path("pipe");
    refuse_read(scratch_path("missing"), 10, "No such file or directory");
    refuse_read(scratch_path(""), 10, "is a folder");
    refuse_read("/dev/zero", 10, "no regular file");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    alarm(20); /* a FIFO without a writer must not hold us */
    refuse_read(pipe, 10, "no regular file");
    alarm(0);
    assert_int_equal(truncate(huge, (off_t)1 << 40), 0); /* a hole: takes no room */
    refuse_read(huge, (size_t)1 << 30, "1099511627776 bytes");
    refuse_read("/proc/self/status", 1 << 20, "was changed"); /* says it is empty, and grows */
}

/* -- paths ----------------------------------------------------------------------------------------------- */

static void folders_are_made_with_their_parents(void **state) {
    (void)state;
    static const char *const names[] = {"f/g/h", "f/g/h", "f/g/h/", "f//g///i//", "f/./g/../j"};
    ich_error err = {""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!ich_folder_make(scratch_path(names[i]), &err)) fail_msg("%s", err.text);
        assert_true(ich_path_is_folder(scratch_path(names[i])));
    }
    put(scratch_path("f/file"), "x");
    assert_true(ich_path_exists(scratch_path("f/file")) && !ich_path_is_folder(scratch_path("f/file")));
    assert_false(ich_path_exists(scratch_path("f/no")) || ich_path_is_folder(scratch_path("f/no")));
    assert_false(ich_folder_make(scratch_path("f/file"), &err));
    says(&err, scratch_path("f/file"), "a file is in the way");
    assert_false(ich_folder_make(scratch_path("f/file/x"), &err));
    says(&err, scratch_path("f/file"), "in the way");
}

static void names_are_joined_with_one_slash(void **state) {
    (void)state;
    static const struct {
        const char *folder, *name, *joined;
    } cases[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a/b", "c/d", "a/b/c/d"}, {"a", "/b", "/b"}, {"/", "b", "/b"},
        {".", "b", "./b"}, {"", "b", "b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *path = ich_path_join(cases[i].folder, cases[i].name);
        assert_string_equal(path, cases[i].joined);
        free(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_reader_sees_the_old_file_until_the_new_one_is_whole),
        cmocka_unit_test(what_is_abandoned_leaves_nothing),
        cmocka_unit_test(two_writers_of_one_name_do_not_meet),
        cmocka_unit_test(what_a_crash_left_is_in_nobodys_way),
        cmocka_unit_test(modes_are_the_umasks_or_the_old_files),
        cmocka_unit_test(a_link_stays_a_link),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        cmocka_unit_test(a_place_that_cannot_be_written_is_named),
        cmocka_unit_test(what_cannot_be_read_whole_is_refused),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(names_are_joined_with_one_slash),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
