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

#define NUMBER 1234567890 // that a first call is asked for by
#define APART  100        // seconds of the world before the first call

// What asks for a first call; TAKE answers, `f->take` is its counter.
static enum sl_counter_answer
ask_first(struct fixture *f)
{
    sl_counter_first_key(&f->key, QUOTA, APP, NUMBER);
    f->take.limit = 1;
    f->take.window_s = SL_COUNTER_FIRST_S;
    f->take.lead_s = NUMBER;
    return take_at(f, sl_mono_ms());
}

static void
who_asks_for_a_first_call_is_told_and_takes_nothing(void **state)
{
    struct fixture *f = *state;
    struct sl_counter_span span;
    sl_counters_set_offset(f->counters, 1795000000000LL - sl_mono_ms());
    assert_int_equal(SL_COUNTER_WAIT, ask_first(f));
    assert_string_equal("q/" QUOTA "/" APP "/2100000000@1234567890", f->key.text);
    assert_int_equal(1, f->take.window);
    assert_true(sl_counters_first(f->counters, &f->take) == 0);
    // Seconds of the window that had passed: it began in 1997.
    const struct sl_counter_span told = {1, 0, 0};
    uint32_t passed_s = (uint32_t)(1795000000 - (2100000000 - NUMBER));
    sl_counters_apply(f->counters, f->take.slot, &told, passed_s, true, &span);
    assert_int_equal(SL_COUNTER_REFUSED, sl_counters_peek(f->counters, &f->take, sl_mono_ms()));
    assert_int_equal(SL_COUNTER_REFUSED, ask_first(f));
    assert_true(sl_counters_first(f->counters, &f->take) == 1795000000);
    // Nobody there to tell: no share comes of it.
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_REFUSED, ask_first(f));
    assert_true(sl_counters_first(f->counters, &f->take) == 1795000000);
    f->take.slot = SL_COUNTER_NO_SLOT;
    assert_true(sl_counters_first(f->counters, &f->take) == 0);
}

// Its window is never over; it changes hands all the same, for it can be asked for again.
static void
what_was_told_holds_no_slot_for_ever(void **state)
{
    struct fixture *f = *state;
    struct sl_counter_span span;
    const struct sl_counter_span told = {1, 0, 0};
    sl_counters_set_offset(f->counters, 1795000000000LL - sl_mono_ms());
    assert_int_equal(SL_COUNTER_WAIT, ask_first(f));
    sl_counters_apply(f->counters, f->take.slot, &told, APART, true, &span);
    assert_true(sl_counters_first(f->counters, &f->take) > 0);
    struct sl_str asked = {f->key.text, f->key.len};
    assert_int_not_equal(SL_COUNTER_NO_SLOT, sl_counters_find(f->counters, asked));
    int64_t later_ms = sl_mono_ms() + (COUNTER_IDLE_S + 2) * 1000;
    struct sl_counter_key other;
    char id[SL_ID_SIZE];
    f->take = (struct sl_counter_take){.key = &other, .policy_id = id, .limit = 1, .window_s = 60};
    // More than there is room for; those that were used just now keep theirs.
    for (int i = 0; i < 1000 && sl_counters_find(f->counters, asked) != SL_COUNTER_NO_SLOT; i++) {
        snprintf(id, sizeof(id), "%032x", i);
        sl_counter_policy_key(&other, id, NULL, SL_COUNT_API, NULL, 60);
        (void)take_at(f, later_ms);
    }
    assert_int_equal(SL_COUNTER_NO_SLOT, sl_counters_find(f->counters, asked));
}

static void
windows_that_begin_at_a_time_begin_so_much_before_aligned_ones(void **state)
{
    (void)state;
    assert_int_equal(0, sl_counter_lead_of(7200, 3600));
    assert_int_equal(3599, sl_counter_lead_of(7201, 3600));
    assert_int_equal(1, sl_counter_lead_of(7199, 3600));
    assert_int_equal(0, sl_counter_lead_of(1795000001, 1));
    for (int64_t start_s = 1795000000; start_s < 1795000050; start_s++) {
        int64_t clock_ms = (start_s + sl_counter_lead_of(start_s, 7)) * 1000;
        assert_int_equal(0, clock_ms % 7000);
    }
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_quota_s_key_says_where_its_windows_begin),
        T(a_quota_begins_anew_at_its_own_time),
        T(a_quota_s_share_waits_for_its_own_window),
        T(who_asks_for_a_first_call_is_told_and_takes_nothing),
        T(what_was_told_holds_no_slot_for_ever),
        T(windows_that_begin_at_a_time_begin_so_much_before_aligned_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
