/* The arena: aligned, zero-filled, never more than it has; errors name what and how much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/arena.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void hands_out_aligned_zeroed_memory_that_does_not_overlap(void **state) {
    (void)state;
    ich_arena arena;
    ich_error err = {""};
    assert_true(ich_arena_init(&arena, 10000, &err));
    unsigned char *before = NULL;
    const size_t sizes[] = {1, 64, 65, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *part = ich_arena_take(&arena, sizes[i]);
        assert_non_null(part);
        assert_int_equal((uintptr_t)part % ICH_ALIGN, 0);
        for (size_t b = 0; b < sizes[i]; b++) assert_int_equal(part[b], 0);
        if (before) assert_true(part >= before + sizes[i - 1]);
        memset(part, 0xff, sizes[i]); /* the next part must still be zero */
        before = part;
    }
    ich_arena_free(&arena);
    assert_null(arena.base);
    ich_arena_free(&arena); /* twice is harmless */
}

static void gives_all_that_was_asked_for_and_no_more(void **state) {
    (void)state;
    ich_arena arena;
    const size_t sizes[] = {0, 1, 4096, (2 << 20) + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_true(ich_arena_init(&arena, sizes[i], NULL));
        unsigned char *all = ich_arena_take(&arena, sizes[i]);
        assert_non_null(all);
        memset(all, 1, sizes[i]);
        assert_null(ich_arena_take(&arena, arena.size - arena.used + 1));
        assert_null(ich_arena_take(&arena, SIZE_MAX)); /* whose rounding up would wrap to zero */
        assert_true(arena.used <= arena.size);
        ich_arena_free(&arena);
    }
}

static void says_how_much_it_could_not_get(void **state) {
    (void)state;
    ich_arena arena;
    ich_error err = {""};
    assert_false(ich_arena_init(&arena, SIZE_MAX, &err));
    assert_non_null(strstr(err.text, "memory"));
    assert_false(ich_arena_init(&arena, (size_t)1 << 50, &err)); /* more than an address can reach */
    assert_non_null(strstr(err.text, "1073741824 MiB"));
    assert_null(arena.base);
}

static void new_memory_is_zeroed_and_products_are_checked(void **state) {
    (void)state;
    ich_error err = {""};
    int *numbers = ich_new(1000, sizeof *numbers, "numbers", &err);
    assert_non_null(numbers);
    for (int i = 0; i < 1000; i++) assert_int_equal(numbers[i], 0);
    free(numbers);
    void *nothing = ich_new(0, sizeof *numbers, "nothing", &err);
    assert_non_null(nothing);
    free(nothing);
    assert_string_equal(err.text, "");
    assert_null(ich_new(SIZE_MAX / 4, 8, "an impossible table", &err)); /* the product wraps */
    assert_non_null(strstr(err.text, "an impossible table"));
}

static void errors_are_one_line_without_control_characters(void **state) {
    (void)state;
    ich_error err;
    char long_name[2000];
    memset(long_name, 'x', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    assert_false(ich_fail(&err, "%s: no such file", "evil\n\x1b[2Jname\x7f"));
    assert_string_equal(err.text, "evil??[2Jname?: no such file");
    assert_false(ich_fail(&err, "%s", long_name));
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_false(ich_fail(NULL, "nobody asks"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_aligned_zeroed_memory_that_does_not_overlap),
        cmocka_unit_test(gives_all_that_was_asked_for_and_no_more),
        cmocka_unit_test(says_how_much_it_could_not_get),
        cmocka_unit_test(new_memory_is_zeroed_and_products_are_checked),
        cmocka_unit_test(errors_are_one_line_without_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
