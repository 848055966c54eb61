// error_test.c - rows, templates, cut arguments.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/base/error.h"

#include <string.h>

static void
a_failure_is_minus_one_and_names_its_parameter(void **state)
{
    (void)state;
    struct sl_error err;
    assert_int_equal(sl_fail(&err, SL_E_PARAM_INVALID, "time_interval"), -1);
    char text[256];
    sl_error_message(&err, text, sizeof(text));
    assert_non_null(strstr(text, "parameterName:time_interval"));
    assert_string_equal(sl_error_wire(err.code), "APIG.2011");
    assert_int_equal(sl_error_status(err.code), 400);
    assert_non_null(strstr(err.origin, "error_test.c:"));
}

static void
a_missing_argument_is_empty_and_a_long_one_is_cut(void **state)
{
    (void)state;
    struct sl_error err;
    char text[64];
    sl_fail(&err, SL_E_CONFIG);
    sl_error_message(&err, text, sizeof(text));
    assert_string_equal(text, "Invalid configuration: ");
    char lengthy[1000];
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    sl_fail(&err, SL_E_CONFIG, lengthy);
    assert_int_equal(strlen(err.args[0]), SL_ERROR_ARG_MAX - 1);
    assert_int_equal(sl_error_message(&err, text, sizeof(text)), sizeof(text) - 1);
}

static void
rows_are_found_by_name(void **state)
{
    (void)state;
    assert_int_equal(sl_error_find("INTERNAL"), SL_E_INTERNAL);
    assert_int_equal(sl_error_find("NO_SUCH_ROW"), SL_E_COUNT);
    assert_string_equal(sl_error_name(SL_E_OK), "OK");
}

static void
an_error_may_be_dropped(void **state)
{
    (void)state;
    assert_int_equal(sl_fail(NULL, SL_E_INTERNAL), -1);
    assert_int_equal(sl_error_detail(NULL, "x"), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_minus_one_and_names_its_parameter),
        cmocka_unit_test(a_missing_argument_is_empty_and_a_long_one_is_cut),
        cmocka_unit_test(rows_are_found_by_name),
        cmocka_unit_test(an_error_may_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
