// arena_test.c - command memory: limits, releases, reuse.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/base/arena.h"

#include <string.h>

static void
an_allocation_past_the_maximum_is_refused_and_sticks(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(10000);
    assert_non_null(sl_arena_alloc(arena, 5000));
    assert_null(sl_arena_alloc(arena, 6000));
    assert_true(sl_arena_failed(arena));
    struct sl_error err;
    assert_int_equal(sl_arena_check(arena, &err), -1);
    assert_int_equal(err.code, SL_E_INTERNAL);
}

static void
clearing_forgets_the_failure_and_keeps_working(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(10000);
    assert_null(sl_arena_alloc(arena, 20000));
    sl_arena_clear(arena);
    assert_false(sl_arena_failed(arena));
    assert_non_null(sl_arena_alloc(arena, 9000));
}

static void
memory_is_zeroed_and_aligned_also_after_a_clear(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(100000);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size < 100; size += 7) {
            unsigned char *bytes = sl_arena_alloc(arena, size);
            assert_int_equal((uintptr_t)bytes % 16, 0);
            for (size_t i = 0; i < size; i++) {
                assert_int_equal(bytes[i], 0);
            }
            memset(bytes, 0xff, size);
        }
        sl_arena_clear(arena);
    }
}

static int order[2];
static int released;

static void
note(void *pointer)
{
    order[released++] = *(int *)pointer;
}

static void
releases_run_newest_first_when_the_arena_ends(void **state)
{
    (void)state;
    int one = 1;
    int two = 2;
    released = 0;
    struct sl_arena *arena = sl_arena_new(1000);
    assert_int_equal(sl_arena_defer(arena, note, &one), 0);
    assert_int_equal(sl_arena_defer(arena, note, &two), 0);
    sl_arena_free(&arena);
    assert_null(arena);
    assert_int_equal(released, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    sl_arena_free(&arena);
}

static void
a_product_that_overflows_is_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1000);
    assert_null(sl_arena_array(arena, SIZE_MAX / 2, 16));
    assert_true(sl_arena_failed(arena));
}

static void
formatted_text_is_terminated(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1000);
    assert_string_equal(sl_arena_printf(arena, "%s-%d", "a", 7), "a-7");
    assert_string_equal(sl_arena_dupn(arena, "abc", 2), "ab");
    assert_null(sl_arena_dup(arena, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_past_the_maximum_is_refused_and_sticks),
        cmocka_unit_test(clearing_forgets_the_failure_and_keeps_working),
        cmocka_unit_test(memory_is_zeroed_and_aligned_also_after_a_clear),
        cmocka_unit_test(releases_run_newest_first_when_the_arena_ends),
        cmocka_unit_test(a_product_that_overflows_is_refused),
        cmocka_unit_test(formatted_text_is_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
