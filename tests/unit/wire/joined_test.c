// joined_test.c - messages of one frame: what is joined comes apart as it was, and nothing else
// does.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/joined.h"

#include "tests/unit/test.h"

#include <string.h>

#define MAX 5 // parts

static void
comes_apart(const struct sl_str *parts, size_t count)
{
    zmq_msg_t message;
    struct sl_str found[MAX];
    assert_true(sl_join(parts, count, &message));
    struct sl_str whole = {zmq_msg_data(&message), zmq_msg_size(&message)};
    assert_int_equal(sl_split(whole, found, MAX), count);
    for (size_t i = 0; i < count; i++) {
        assert_true(sl_str_equal(found[i], parts[i]));
    }
    zmq_msg_close(&message);
}

static void
parts_come_apart_as_they_were(void **state)
{
    (void)state;
    const struct sl_str two[] = {SL_STR("R"), SL_STR("payload")};
    const struct sl_str five[] = {SL_STR("C"), SL_STR("0123456789abcdef"), SL_STR("throttle/17"),
                                  SL_STR("10000"), SL_STR("payload")};
    const struct sl_str empty[] = {SL_STR(""), SL_STR(""), SL_STR("")};
    const struct sl_str none[] = {{NULL, 0}, {NULL, 0}};
    comes_apart(two, SL_COUNT(two));
    comes_apart(five, SL_COUNT(five));
    comes_apart(empty, SL_COUNT(empty));
    comes_apart(none, SL_COUNT(none));
}

static void
a_payload_may_hold_anything(void **state)
{
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)i;
    }
    const struct sl_str parts[] = {SL_STR("R"), SL_STR("id"), {bytes, sizeof(bytes)}};
    comes_apart(parts, SL_COUNT(parts));
    const struct sl_str lines[] = {SL_STR("O"), SL_STR("3"), SL_STR("\nregistry \n throttle/1\n")};
    comes_apart(lines, SL_COUNT(lines));
}

static void
a_text_that_holds_a_separator_is_not_joined(void **state)
{
    (void)state;
    zmq_msg_t message;
    const struct sl_str blank[] = {SL_STR("C"), SL_STR("a b"), SL_STR("payload")};
    const struct sl_str newline[] = {SL_STR("C"), SL_STR("a\n"), SL_STR("payload")};
    assert_false(sl_join(blank, SL_COUNT(blank), &message));
    assert_false(sl_join(newline, SL_COUNT(newline), &message));
}

static size_t
count_parts(const char *text, size_t max)
{
    struct sl_str found[MAX];
    return sl_split(sl_str(text), found, max);
}

static void
what_is_not_joined_has_no_parts(void **state)
{
    (void)state;
    assert_int_equal(count_parts("", MAX), 0);
    assert_int_equal(count_parts("H", MAX), 0);
    assert_int_equal(count_parts("C id registry 1000", MAX), 0);
    assert_int_equal(count_parts("\n", MAX), 2);
    assert_int_equal(count_parts(" \n\n", MAX), 3);
}

static void
too_many_parts_are_told(void **state)
{
    (void)state;
    assert_int_equal(count_parts("a b c d\npayload", MAX), 5);
    assert_int_equal(count_parts("a b c d e\npayload", MAX), MAX + 1);
    assert_int_equal(count_parts("a b c d e f g h i j\npayload", MAX), MAX + 1);
    assert_int_equal(count_parts("a b\npayload", 2), 3);
    assert_int_equal(count_parts("a\npayload", 2), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_apart_as_they_were),
        cmocka_unit_test(a_payload_may_hold_anything),
        cmocka_unit_test(a_text_that_holds_a_separator_is_not_joined),
        cmocka_unit_test(what_is_not_joined_has_no_parts),
        cmocka_unit_test(too_many_parts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
