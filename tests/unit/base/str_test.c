// str_test.c - views, numbers, hex, buffers.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <string.h>

static void
splitting_yields_each_part_and_then_ends(void **state)
{
    (void)state;
    struct sl_str rest = sl_str("a;;b");
    assert_true(sl_str_equal(sl_str_split(&rest, ';'), SL_STR("a")));
    assert_int_equal(sl_str_split(&rest, ';').len, 0);
    assert_true(sl_str_equal(sl_str_split(&rest, ';'), SL_STR("b")));
    assert_null(rest.ptr);
}

// Each pair of bytes at each place of texts of each length: equal as tolower() has it.
static void
case_is_ignored_in_letters_of_ascii_alone(void **state)
{
    (void)state;
    char a[20];
    char b[20];
    for (size_t len = 1; len <= sizeof(a); len++) {
        memset(a, 'x', len);
        memset(b, 'X', len);
        assert_true(sl_str_equal_nocase((struct sl_str){a, len}, (struct sl_str){b, len}));
        assert_false(sl_str_equal_nocase((struct sl_str){a, len}, (struct sl_str){b, len - 1}));
    }
    for (unsigned pair = 0; pair < 256 * 256; pair++) {
        unsigned char one = (unsigned char)(pair & 255);
        unsigned char other = (unsigned char)(pair >> 8);
        size_t len = 1 + pair % sizeof(a);
        size_t at = pair / sizeof(a) % len;
        bool one_is_letter = (one | 0x20) >= 'a' && (one | 0x20) <= 'z';
        bool expected = one == other || (one_is_letter && (one ^ other) == 0x20);
        memset(a, 'x', len);
        memset(b, 'X', len);
        a[at] = (char)one;
        b[at] = (char)other;
        assert_int_equal(sl_str_equal_nocase((struct sl_str){a, len}, (struct sl_str){b, len}),
                         expected);
    }
    assert_true(sl_str_equal_nocase(SL_STR(""), (struct sl_str){NULL, 0}));
    assert_false(sl_str_equal_nocase(SL_STR("a\0b"), SL_STR("a\0c")));
}

static void
integers_are_whole_and_in_range(void **state)
{
    (void)state;
    int64_t value = 7;
    assert_true(sl_str_int(sl_str("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_false(sl_str_int(sl_str("9223372036854775808"), &value));
    assert_false(sl_str_int(sl_str(""), &value));
    assert_false(sl_str_int(sl_str("-"), &value));
    assert_false(sl_str_int(sl_str("12x"), &value));
    assert_true(value == INT64_MIN);
}

static void
hex_is_right_for_every_byte_at_every_length(void **state)
{
    (void)state;
    unsigned char bytes[9];
    char hex[2 * sizeof(bytes) + 1];
    char expected[2 * sizeof(bytes) + 1];
    for (unsigned first = 0; first < 256; first++) {
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            expected[0] = '\0';
            for (size_t i = 0; i < len; i++) {
                bytes[i] = (unsigned char)(first + 37 * i);
                snprintf(expected + 2 * i, 3, "%02x", bytes[i]);
            }
            sl_hex_encode(bytes, len, hex);
            assert_string_equal(hex, expected);
        }
    }
}

static void
hex_survives_the_round_trip_and_refuses_other_characters(void **state)
{
    (void)state;
    unsigned char bytes[3];
    char hex[7];
    assert_true(sl_hex_decode(sl_str("00fFa1"), bytes, 3));
    sl_hex_encode(bytes, 3, hex);
    assert_string_equal(hex, "00ffa1");
    assert_false(sl_hex_decode(sl_str("0g0000"), bytes, 3));
    assert_false(sl_hex_decode(sl_str("00"), bytes, 3));
}

static void
a_buffer_never_grows_past_its_maximum(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 8);
    sl_buf_adds(&buf, "12345678");
    assert_false(buf.failed);
    sl_buf_addc(&buf, '9');
    assert_true(buf.failed);
    assert_string_equal(buf.ptr, "12345678");
    sl_buf_reset(&buf);
    sl_buf_addf(&buf, "%d", 42);
    assert_string_equal(buf.ptr, "42");
}

static void
json_text_is_escaped(void **state)
{
    (void)state;
    SL_AUTO_BUF buf;
    sl_buf_init(&buf, 100);
    sl_buf_add_json(&buf, SL_STR("a\"b\\c\n"));
    assert_string_equal(buf.ptr, "a\\\"b\\\\c\\u000a");
}

static void
comparisons_and_trimming_hold_for_empty_views(void **state)
{
    (void)state;
    struct sl_str none = sl_str(NULL);
    assert_true(sl_str_equal(none, SL_STR("")));
    assert_true(sl_str_equal_nocase(SL_STR("HoSt"), SL_STR("host")));
    assert_true(sl_str_starts(SL_STR("abc"), none));
    assert_false(sl_str_starts(SL_STR("a"), SL_STR("ab")));
    assert_true(sl_str_equal(sl_str_trim(SL_STR(" \tx ")), SL_STR("x")));
    assert_int_equal(sl_str_trim(SL_STR("  ")).len, 0);
}

static void
times_look_as_the_api_shows_them(void **state)
{
    (void)state;
    char text[SL_TIME_TEXT];
    sl_time_format(1596184002205, text);
    assert_string_equal(text, "2020-07-31T08:26:42.205Z");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splitting_yields_each_part_and_then_ends),
        cmocka_unit_test(case_is_ignored_in_letters_of_ascii_alone),
        cmocka_unit_test(integers_are_whole_and_in_range),
        cmocka_unit_test(hex_is_right_for_every_byte_at_every_length),
        cmocka_unit_test(hex_survives_the_round_trip_and_refuses_other_characters),
        cmocka_unit_test(a_buffer_never_grows_past_its_maximum),
        cmocka_unit_test(json_text_is_escaped),
        cmocka_unit_test(comparisons_and_trimming_hold_for_empty_views),
        cmocka_unit_test(times_look_as_the_api_shows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
