// lockout_test.c - keys that failed too often in a row.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <string.h>

#include "services/nginx/ngx_http_sluice_lockout.h"

#define KEY   0x0123456789abcdefULL
#define OTHER 0xfedcba9876543210ULL
#define NOW   1700000000

static struct ngx_http_sluice_lockout lockout;

static int
empty(void **state)
{
    (void)state;
    memset(&lockout, 0, sizeof(lockout));
    return 0;
}

static void
fail_times(uint64_t key, int times, int64_t now_s)
{
    for (int i = 0; i < times; i++) {
        ngx_http_sluice_lockout_failed(&lockout, key, now_s);
    }
}

static void
the_fifth_failure_in_a_row_shuts_for_five_minutes(void **state)
{
    (void)state;
    fail_times(KEY, 4, NOW);
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW));
    fail_times(KEY, 1, NOW);
    assert_true(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW));
    assert_true(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW + 299));
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW + 300));
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, OTHER, NOW));
}

static void
a_success_begins_the_count_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        fail_times(KEY, 4, NOW);
        ngx_http_sluice_lockout_passed(&lockout, KEY);
    }
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW));
}

static void
after_its_time_it_has_all_tries_again(void **state)
{
    (void)state;
    fail_times(KEY, 5, NOW);
    fail_times(KEY, 4, NOW + 300);
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW + 300));
    fail_times(KEY, 1, NOW + 300);
    assert_true(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW + 599));
}

static void
a_stranger_at_the_same_place_counts_for_himself(void **state)
{
    (void)state;
    fail_times(KEY, 4, NOW);
    for (uint64_t key = 1; key <= 100000; key++) {
        ngx_http_sluice_lockout_failed(&lockout, key, NOW);
        assert_false(ngx_http_sluice_lockout_is_shut(&lockout, key, NOW));
        ngx_http_sluice_lockout_passed(&lockout, key + 1);
    }
    fail_times(KEY, 1, NOW);
    assert_false(ngx_http_sluice_lockout_is_shut(&lockout, KEY, NOW));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_fifth_failure_in_a_row_shuts_for_five_minutes, empty),
        cmocka_unit_test_setup(a_success_begins_the_count_anew, empty),
        cmocka_unit_test_setup(after_its_time_it_has_all_tries_again, empty),
        cmocka_unit_test_setup(a_stranger_at_the_same_place_counts_for_himself, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
