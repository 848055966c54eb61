// value_test.c - what values must be: numbers, lengths, lists, addresses; and patterns.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/nginx/ngx_http_sluice_pattern.h"
#include "services/nginx/ngx_http_sluice_value.h"

static void
a_list_has_the_members_between_its_commas(void **state)
{
    (void)state;
    assert_true(ngx_http_sluice_value_is_listed(SL_STR("red,green"), SL_STR("red")));
    assert_true(ngx_http_sluice_value_is_listed(SL_STR("red,green"), SL_STR("green")));
    assert_false(ngx_http_sluice_value_is_listed(SL_STR("red,green"), SL_STR("Red")));
    assert_false(ngx_http_sluice_value_is_listed(SL_STR("red,green"), SL_STR("red,green")));
    assert_false(ngx_http_sluice_value_is_listed(SL_STR("red, green"), SL_STR("green")));
    assert_true(ngx_http_sluice_value_is_listed(SL_STR("a,,b"), SL_STR("")));
    assert_false(ngx_http_sluice_value_is_listed(SL_STR(""), SL_STR("")));
}

static void
a_number_lies_between_two_integers(void **state)
{
    static const struct {
        const char *text;
        int64_t floor, ceiling;
    } rows[] = {
        {"0", 0, 0},
        {"7", 7, 7},
        {"+7", 7, 7},
        {"-7", -7, -7},
        {"007", 7, 7},
        {"2.5", 2, 3},
        {"-2.5", -3, -2},
        {"2.000", 2, 2},
        {"-0.5", -1, 0},
        {"9223372036854775807", INT64_MAX, INT64_MAX},
        {"9223372036854775808", INT64_MAX, INT64_MAX},
        {"99999999999999999999999.5", INT64_MAX, INT64_MAX},
        {"-99999999999999999999999", -INT64_MAX, -INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        int64_t floor = 0;
        int64_t ceiling = 0;
        assert_true(ngx_http_sluice_value_number(sl_str(rows[i].text), &floor, &ceiling));
        assert_int_equal(floor, rows[i].floor);
        assert_int_equal(ceiling, rows[i].ceiling);
    }
}

static void
what_is_no_decimal_number_is_told_apart(void **state)
{
    static const char *const texts[] = {"",   "-",   "+",   ".5",  "5.",    "1e3", " 1",
                                        "1 ", "0x1", "1,5", "--1", "1.2.3", "a",   "1a"};
    (void)state;
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        int64_t floor = 4;
        int64_t ceiling = 5;
        assert_false(ngx_http_sluice_value_number(sl_str(texts[i]), &floor, &ceiling));
        assert_int_equal(floor + ceiling, 9);
    }
}

// A parameter with its list behind it, as the image has them.
struct declared {
    struct sl_img_req_param param;
    char list[32];
};

static struct declared
declare(bool is_number, const char *list)
{
    struct declared made = {.param = {.checked = true, .is_number = is_number}};
    memcpy(made.list, list, strlen(list));
    made.param.enumerations.len = (uint32_t)strlen(list);
    made.param.enumerations.off =
        (int32_t)(offsetof(struct declared, list) - offsetof(struct declared, param.enumerations));
    return made;
}

static const char *
fault(const struct declared *declared, const char *value)
{
    const char *text = ngx_http_sluice_value_fault(&declared->param, sl_str(value));
    return text == NULL ? "none" : text;
}

static void
bounds_of_numbers_include_their_ends(void **state)
{
    struct declared number = declare(true, "");
    (void)state;
    number.param.has_min = number.param.has_max = true;
    number.param.min = -2;
    number.param.max = 10;
    assert_string_equal(fault(&number, "-2"), "none");
    assert_string_equal(fault(&number, "10"), "none");
    assert_string_equal(fault(&number, "9.99"), "none");
    assert_string_equal(fault(&number, "10.01"), "out of range");
    assert_string_equal(fault(&number, "-2.01"), "out of range");
    assert_string_equal(fault(&number, "ten"), "not a number");
    assert_string_equal(fault(&number, ""), "not a number");
    number.param.has_max = false;
    assert_string_equal(fault(&number, "99999999999999999999"), "none");
    number.param.has_min = false;
    assert_string_equal(fault(&number, "-99999999999999999999"), "none");
}

static void
lengths_of_texts_are_counted_in_characters(void **state)
{
    struct declared text = declare(false, "");
    (void)state;
    text.param.has_min = text.param.has_max = true;
    text.param.min = 2;
    text.param.max = 3;
    assert_string_equal(fault(&text, "a"), "out of range");
    assert_string_equal(fault(&text, "ab"), "none");
    assert_string_equal(fault(&text, "\xc3\xa4\xc3\xb6\xc3\xbc"), "none");
    assert_string_equal(fault(&text, "\xc3\xa4"), "out of range");
    assert_string_equal(fault(&text, "abcd"), "out of range");
    assert_string_equal(fault(&text, "\xff\xff\xff"), "none");
}

static void
enumerations_come_first_and_unchecked_ones_pass(void **state)
{
    struct declared number = declare(true, "1,2");
    (void)state;
    assert_string_equal(fault(&number, "2"), "none");
    assert_string_equal(fault(&number, "3"), "not in enumerations");
    assert_string_equal(fault(&number, "x"), "not in enumerations");
    number.param.checked = false;
    assert_string_equal(fault(&number, "x"), "none");
}

static void
an_address_is_found_in_its_networks(void **state)
{
    static const struct {
        const char *list, *address;
        bool found;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"192.0.2.0/24,10.0.0.0/8", "10.9.8.7", true},
        {"192.0.2.0/24, 10.0.0.0/8", "192.0.3.0", false},
        {"10.0.0.128/25", "10.0.0.127", false},
        {"10.0.0.128/25", "10.0.0.129", true},
        {"10.0.0.255/25", "10.0.0.129", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"2001:db8::/32", "2001:db8:1::5", true},
        {"2001:db8::/32", "2001:db9::5", false},
        {"::1", "0:0:0:0:0:0:0:1", true},
        {"10.0.0.0/33", "10.0.0.1", false},
        {"10.0.0.0/x", "10.0.0.1", false},
        {"10.0.0.0/", "10.0.0.0", false},
        {"10.0.0.0/-1", "10.0.0.1", false},
        {"", "10.0.0.1", false},
        {"10.0.0.1", "unix:", false},
        {"one,10.0.0.1", "10.0.0.1", true},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        bool found = ngx_http_sluice_value_is_from(sl_str(rows[i].list), sl_str(rows[i].address));
        if (found != rows[i].found) {
            fail_msg("%s in %s", rows[i].address, rows[i].list);
        }
    }
}

static void
a_pattern_is_searched_unless_it_is_anchored(void **state)
{
    (void)state;
    assert_true(ngx_http_sluice_pattern_found(SL_STR("b+"), SL_STR("abbc")));
    assert_false(ngx_http_sluice_pattern_found(SL_STR("^b+$"), SL_STR("abbc")));
    assert_true(ngx_http_sluice_pattern_found(SL_STR("^$"), SL_STR("")));
    assert_true(ngx_http_sluice_pattern_found(SL_STR("(a)(b)(c)"), SL_STR("abc")));
    assert_false(ngx_http_sluice_pattern_found(SL_STR("("), SL_STR("(")));
    assert_false(ngx_http_sluice_pattern_found(SL_STR(""), SL_STR("a")));
    ngx_http_sluice_pattern_exit();
    assert_true(ngx_http_sluice_pattern_found(SL_STR("b+"), SL_STR("abbc")));
    ngx_http_sluice_pattern_exit();
}

static void
many_patterns_share_the_places(void **state)
{
    char text[16];
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            (void)snprintf(text, sizeof(text), "^p%d$", i);
            struct sl_str pattern = sl_str(text);
            assert_true(
                ngx_http_sluice_pattern_found(pattern, (struct sl_str){text + 1, pattern.len - 2}));
            assert_false(ngx_http_sluice_pattern_found(pattern, SL_STR("p1000")));
        }
    }
    ngx_http_sluice_pattern_exit();
}

static void
a_pattern_that_explodes_is_given_up(void **state)
{
    char text[64];
    (void)state;
    memset(text, 'a', sizeof(text));
    assert_false(
        ngx_http_sluice_pattern_found(SL_STR("^(a+)+$x"), (struct sl_str){text, sizeof(text)}));
    ngx_http_sluice_pattern_exit();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_the_members_between_its_commas),
        cmocka_unit_test(a_number_lies_between_two_integers),
        cmocka_unit_test(what_is_no_decimal_number_is_told_apart),
        cmocka_unit_test(bounds_of_numbers_include_their_ends),
        cmocka_unit_test(lengths_of_texts_are_counted_in_characters),
        cmocka_unit_test(enumerations_come_first_and_unchecked_ones_pass),
        cmocka_unit_test(an_address_is_found_in_its_networks),
        cmocka_unit_test(a_pattern_is_searched_unless_it_is_anchored),
        cmocka_unit_test(many_patterns_share_the_places),
        cmocka_unit_test(a_pattern_that_explodes_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
