// clock_test.c - units, order, and how times are shown.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"

#include <time.h>

#include "tests/unit/test.h"

static void
shows(int64_t at_ms, const char *wanted)
{
    char text[SL_TIME_TEXT];
    sl_time_format(at_ms, text);
    assert_string_equal(text, wanted);
}

static void
times_are_shown_in_utc_with_milliseconds(void **state)
{
    (void)state;
    shows(0, "1970-01-01T00:00:00.000Z");
    shows(1769849042205, "2026-01-31T08:44:02.205Z");
    shows(951782400007, "2000-02-29T00:00:00.007Z");
    shows(253402300799999, "9999-12-31T23:59:59.999Z");
}

static void
times_before_the_epoch_are_shown_too(void **state)
{
    (void)state;
    shows(-1, "1969-12-31T23:59:59.999Z");
    shows(-86400000, "1969-12-31T00:00:00.000Z");
}

static void
the_wall_clock_counts_milliseconds_of_the_epoch(void **state)
{
    (void)state;
    time_t before = time(NULL);
    int64_t now_ms = sl_wall_ms();
    time_t after = time(NULL);
    assert_true(now_ms / 1000 >= (int64_t)before - 1); // time(2) may lag by a tick
    assert_true(now_ms / 1000 <= (int64_t)after + 1);
}

static void
the_monotonic_clock_never_goes_back_and_its_units_agree(void **state)
{
    (void)state;
    int64_t last_us = sl_mono_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now_us = sl_mono_us();
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
    int64_t low_us = sl_mono_us();
    int64_t now_ms = sl_mono_ms();
    int64_t high_us = sl_mono_us();
    assert_true(now_ms >= low_us / 1000 && now_ms <= high_us / 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_shown_in_utc_with_milliseconds),
        cmocka_unit_test(times_before_the_epoch_are_shown_too),
        cmocka_unit_test(the_wall_clock_counts_milliseconds_of_the_epoch),
        cmocka_unit_test(the_monotonic_clock_never_goes_back_and_its_units_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
