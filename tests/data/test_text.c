/* A text in memory that is written like a file. */
#include "data/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_what_is_written_is_read(void **state) {
    enum { LINES = 20000 }; /* many times the stream's own buffer */
    ich_text text;
    (void)state;
    assert_true(ich_text_open(&text, "numbers", NULL));
    for (int i = 0; i < LINES; i++) fprintf(text.stream, "%07d\n", i);
    char *bytes = ich_text_close(&text, NULL);
    assert_non_null(bytes);
    assert_int_equal(strlen(bytes), 8 * LINES);
    for (int i = 0; i < LINES; i++) assert_int_equal(atoi(bytes + (ptrdiff_t)8 * i), i);
    free(bytes);
}

static void test_nothing_written_is_an_empty_text(void **state) {
    ich_text text;
    (void)state;
    assert_true(ich_text_open(&text, "nothing", NULL));
    char *bytes = ich_text_close(&text, NULL);
    assert_string_equal(bytes, "");
    free(bytes);
}

/* open_memstream would hand out the part that fitted. */
static void test_memory_that_runs_out_is_told(void **state) {
    enum { CHUNK = 1 << 20, MOST = 1 << 12 };
    static const char chunk[CHUNK];
    struct rlimit before, tight = {.rlim_cur = (rlim_t)256 << 20};
    ich_error err = {0};
    ich_text text;
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its shadow does not fit */
#endif
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight.rlim_max = before.rlim_max;
    assert_true(ich_text_open(&text, "a long story", &err));
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    void *beyond = mmap(NULL, (size_t)512 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (beyond != MAP_FAILED) skip(); /* an emulator keeps no limit */
    for (int i = 0; i < MOST && !ferror(text.stream); i++) fwrite(chunk, 1, CHUNK, text.stream);
    char *bytes = ich_text_close(&text, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_null(bytes);
    assert_string_equal(err.text, "out of memory: a long story");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_written_is_read),
                                       cmocka_unit_test(test_nothing_written_is_an_empty_text),
                                       cmocka_unit_test(test_memory_that_runs_out_is_told)};
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
