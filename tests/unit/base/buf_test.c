// buf_test.c - growth up to the maximum, what sticks after it, JSON's escapes.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/buf.h"

#include <string.h>

#include "tests/unit/test.h"

static void
an_empty_buffer_owns_nothing(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 10);
    assert_null(buf.ptr);
    assert_int_equal(buf.len, 0);
    assert_false(buf.failed);
    sl_buf_reset(&buf);
    sl_buf_clear(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.max_bytes, 10);
}

static void
what_is_added_stands_terminated(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 1000);
    sl_buf_adds(&buf, "one");
    sl_buf_addc(&buf, ' ');
    sl_buf_addf(&buf, "%d-%s", 2, "three");
    sl_buf_add(&buf, "\0x", 2);
    assert_int_equal(buf.len, 13);
    assert_memory_equal(buf.ptr, "one 2-three\0x", 14);
    sl_buf_add(&buf, NULL, 0);
    assert_int_equal(buf.len, 13);
}

static void
the_maximum_is_reached_and_never_passed(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 5);
    sl_buf_adds(&buf, "12345");
    assert_false(buf.failed);
    sl_buf_addc(&buf, '6');
    assert_true(buf.failed);
    assert_string_equal(buf.ptr, "12345");
}

static void
a_failure_sticks_so_that_a_builder_checks_once(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 5);
    sl_buf_adds(&buf, "123");
    sl_buf_addf(&buf, "%s", "too long");
    sl_buf_addc(&buf, '4'); // would fit, but a hole would stand before it
    assert_true(buf.failed);
    assert_string_equal(buf.ptr, "123");
    sl_buf_reset(&buf);
    assert_false(buf.failed);
    assert_string_equal(buf.ptr, "");
    sl_buf_adds(&buf, "abc");
    assert_string_equal(buf.ptr, "abc");
}

static void
a_reset_keeps_the_memory_and_a_clear_gives_it_back(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 10000);
    for (int i = 0; i < 1000; i++) {
        sl_buf_adds(&buf, "12345678");
    }
    size_t cap = buf.cap;
    assert_int_equal(buf.len, 8000);
    sl_buf_reset(&buf);
    assert_int_equal(buf.cap, cap);
    sl_buf_clear(&buf);
    assert_int_equal(buf.cap, 0);
    sl_buf_adds(&buf, "again");
    assert_string_equal(buf.ptr, "again");
}

static void
becomes(const char *from, const char *wanted)
{
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 200);
    sl_buf_add_json(&buf, sl_str(from));
    assert_string_equal(buf.ptr == NULL ? "" : buf.ptr, wanted);
}

static void
what_json_forbids_is_escaped(void **state)
{
    (void)state;
    becomes("", "");
    becomes("plain / text", "plain / text");
    becomes("a\"b\\c", "a\\\"b\\\\c");
    becomes("\x01\n\t\x1f\x7f", "\\u0001\\u000a\\u0009\\u001f\x7f");
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 20);
    sl_buf_add_json(&buf, (struct sl_str){"a\0b", 3});
    assert_string_equal(buf.ptr, "a\\u0000b");
}

static void
well_formed_utf_8_stays(void **state)
{
    (void)state;
    becomes("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf",
            "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    becomes("\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80");
}

static void
malformed_bytes_are_replaced_one_by_one(void **state)
{
    (void)state;
    becomes("a\xff\xfe z", "a?? z");
    becomes("\x80", "?");
    becomes("\xc0\xaf", "??");              // overlong
    becomes("\xe0\x80\xaf", "???");         // overlong
    becomes("\xed\xa0\x80", "???");         // a surrogate
    becomes("\xf4\x90\x80\x80", "????");    // above U+10FFFF
    becomes("\xf5\x80\x80\x80", "????");    //
    becomes("cut \xe2\x82", "cut ??");      // ends inside a character
    becomes("cut \xf0\x9f\x98", "cut ???"); //
    becomes("\xc3(", "?(");
    becomes("\xe2\"\\", "?\\\"\\\\"); // the bytes after it are judged anew
}

static void
a_character_is_measured_within_its_view_only(void **state)
{
    (void)state;
    assert_int_equal(sl_utf8_char((struct sl_str){NULL, 0}), 0);
    assert_int_equal(sl_utf8_char(SL_STR("\xe2\x82\xac")), 3);
    assert_int_equal(sl_utf8_char((struct sl_str){"\xe2\x82\xac", 2}), 0);
    assert_int_equal(sl_utf8_char((struct sl_str){"\0", 1}), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_owns_nothing),
        cmocka_unit_test(what_is_added_stands_terminated),
        cmocka_unit_test(the_maximum_is_reached_and_never_passed),
        cmocka_unit_test(a_failure_sticks_so_that_a_builder_checks_once),
        cmocka_unit_test(a_reset_keeps_the_memory_and_a_clear_gives_it_back),
        cmocka_unit_test(what_json_forbids_is_escaped),
        cmocka_unit_test(well_formed_utf_8_stays),
        cmocka_unit_test(malformed_bytes_are_replaced_one_by_one),
        cmocka_unit_test(a_character_is_measured_within_its_view_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
