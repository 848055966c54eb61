// trace_test.c - which values of `traceparent` hold.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/base/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static void
a_valid_value_names_its_trace(void **state)
{
    (void)state;
    static const char *const values[] = {
        "00-" TRACE "-00f067aa0ba902b7-01",
        "00-" TRACE "-00f067aa0ba902b7-00",
        "cc-" TRACE "-00f067aa0ba902b7-09",
        "cc-" TRACE "-00f067aa0ba902b7-01-what-the-future-says",
    };
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        struct sl_str trace_id = {NULL, 0};
        assert_true(sl_trace_parse(sl_str(values[i]), &trace_id));
        assert_true(sl_str_equal(trace_id, SL_STR(TRACE)));
    }
}

static void
what_the_recommendation_forbids_is_no_trace(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        "00",
        "ff-" TRACE "-00f067aa0ba902b7-01",                        // no version
        "0-" TRACE "-00f067aa0ba902b7-01x",                        // a short version
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01", // no trace
        "00-" TRACE "-0000000000000000-01",                        // no parent
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", // upper case
        "00-" TRACE "-00f067aa0ba902b7-0",                         // cut
        "00-" TRACE "-00f067aa0ba902b7-01-more",                   // version 00 has no more
        "00-" TRACE "-00f067aa0ba902b7-01 ",                       //
        "00_" TRACE "-00f067aa0ba902b7-01",                        // another separator
        "00-" TRACE "_00f067aa0ba902b7-01",                        //
        "00-" TRACE "-00f067aa0ba902b7_01",                        //
        "00-" TRACE "-00f067aa0ba902bg-01",                        // no hex
        "cc-" TRACE "-00f067aa0ba902b7-01.what",                   // a future without its dash
    };
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        struct sl_str trace_id = SL_STR("untouched");
        assert_false(sl_trace_parse(sl_str(values[i]), &trace_id));
        assert_true(sl_str_equal(trace_id, SL_STR("untouched")));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_value_names_its_trace),
        cmocka_unit_test(what_the_recommendation_forbids_is_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
