// counter_quota_test.c - counters whose windows begin at their own time.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/runtime/counter_agent.h"
#include "common/runtime/counter_layout.h"

#define QUOTA  "0123456789abcdef0123456789abcdef"
#define APP    "ffffffffffffffff0000000000000000"
#define WINDOW 3600

struct fixture {
    char name[64];                // of the file
    struct sl_counters *counters; //
    struct sl_counter_key key;    // of the quota
    struct sl_counter_take take;  // of it, limit 3
    uint32_t window;              // that is open
};

static int
teardown(void **state)
{
    struct fixture *f = *state;
    char path[320];
    sl_counters_path(f->name, 64, path, sizeof(path));
    unlink(path);
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-wake", f->name);
    unlink(path);
    sl_counters_free(&f->counters);
    return 0;
}

static int
setup(void **state)
{
    static struct fixture fixture;
    struct sl_error err;
    fixture = (struct fixture){.take = {.key = &fixture.key,
                                        .policy_id = QUOTA,
                                        .limit = 3,
                                        .revision = 1,
                                        .window_s = WINDOW}};
    snprintf(fixture.name, sizeof(fixture.name), "unit-quota-%d", getpid());
    *state = &fixture;
    teardown(state);
    fixture.counters = sl_counters_open(fixture.name, 64, &err);
    assert_non_null(fixture.counters);
    assert_int_equal(0, sl_counters_attend(fixture.counters, &err));
    sl_counters_beat(fixture.counters, sl_mono_ms());
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        sl_counters_set_up(fixture.counters, i, true);
    }
    return 0;
}

static enum sl_counter_answer
take_at(struct fixture *f, int64_t mono_ms)
{
    size_t first;
    return sl_counters_take(f->counters, &f->take, 1, mono_ms, SL_COUNTER_FIRST, &first);
}

static void
a_quota_s_key_says_where_its_windows_begin(void **state)
{
    (void)state;
    struct sl_counter_key key;
    sl_counter_quota_key(&key, QUOTA, APP, 3600, 1234);
    assert_string_equal("q/" QUOTA "/" APP "/3600@1234", key.text);
    assert_int_equal(1234, sl_counter_lead((struct sl_str){key.text, key.len}));
    sl_counter_quota_key(&key, QUOTA, APP, 4294967295U, 4294967294U);
    assert_int_equal(strlen(key.text), key.len);
    assert_int_equal(4294967294U, sl_counter_lead((struct sl_str){key.text, key.len}));
    assert_int_equal(0, sl_counter_lead(sl_str("t/" QUOTA "/*/u@7/60@9")));
    assert_int_equal(5, sl_counter_lead(sl_str("o/" QUOTA "/60@5")));
    assert_int_equal(0, sl_counter_lead(sl_str("o/" QUOTA "/60")));
    assert_int_equal(0, sl_counter_lead(sl_str("q/" QUOTA "/60@x")));
    assert_int_equal(0, sl_counter_lead(sl_str("q/" QUOTA "/60@-1")));
    assert_int_equal(0, sl_counter_lead(sl_str("")));
}

// Makes the fixture's counter a quota whose open window ends in `left_s` seconds.
static void
make_quota(struct fixture *f, uint32_t left_s)
{
    int64_t clock_s = sl_counters_clock(f->counters, sl_mono_ms()) / 1000;
    uint32_t lead_s = (uint32_t)(WINDOW - (clock_s + left_s) % WINDOW) % WINDOW;
    sl_counter_quota_key(&f->key, QUOTA, APP, WINDOW, lead_s);
    f->take.lead_s = lead_s;
    f->window = sl_counter_window((clock_s + lead_s) * 1000, WINDOW);
}

static void
a_quota_begins_anew_at_its_own_time(void **state)
{
    struct fixture *f = *state;
    make_quota(f, 30);
    int64_t now_ms = sl_mono_ms();
    assert_int_equal(SL_COUNTER_WAIT, take_at(f, sl_mono_ms()));
    assert_int_equal(f->window, f->take.window);
    struct sl_counter_span grant = {f->window, 1, 0};
    struct sl_counter_span span;
    sl_counters_apply(f->counters, f->take.slot, &grant, 0, true, &span);
    assert_int_equal(SL_COUNTER_TAKEN, sl_counters_peek(f->counters, &f->take, now_ms));
    assert_int_equal(SL_COUNTER_TAKEN, take_at(f, sl_mono_ms()));
    assert_int_equal(SL_COUNTER_REFUSED, take_at(f, sl_mono_ms()));
    assert_int_equal(SL_COUNTER_REFUSED, take_at(f, now_ms + 28000));
    sl_counters_beat(f->counters, now_ms + 31000);
    assert_int_equal(SL_COUNTER_WAIT, take_at(f, now_ms + 31000));
    assert_int_equal(f->window + 1, f->take.window);
    struct sl_counter_state read;
    assert_true(sl_counters_read(f->counters, f->take.slot, &read));
    assert_true(read.lead_ms == (int64_t)f->take.lead_s * 1000);
}

static void
a_quota_s_share_waits_for_its_own_window(void **state)
{
    struct fixture *f = *state;
    uint64_t members[1] = {1};
    make_quota(f, 30);
    sl_counters_set_members(f->counters, members, 1, 0, true);
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_REFUSED, take_at(f, sl_mono_ms()));
    assert_int_equal(SL_COUNTER_TAKEN, take_at(f, sl_mono_ms() + 31000));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_quota_s_key_says_where_its_windows_begin),
        T(a_quota_begins_anew_at_its_own_time),
        T(a_quota_s_share_waits_for_its_own_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
