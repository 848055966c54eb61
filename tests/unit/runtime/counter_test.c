// counter_test.c - counters of one node: keys, slots, units, shares, crashes.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/runtime/counter_kit.h"

#include <stdio.h>

static void
keys_name_policy_scope_dimension_and_window(void **state)
{
    (void)state;
    struct sl_counter_key key;
    struct sl_str app = sl_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    sl_counter_policy_key(&key, POLICY, NULL, SL_COUNT_APP, &app, 60);
    assert_string_equal("t/" POLICY "/*/paaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/60", key.text);
    sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_API, NULL, 4294967295U);
    assert_string_equal("t/" POLICY "/" PUBLISH "/a/4294967295", key.text);
    struct sl_str address = sl_str("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    sl_counter_policy_key(&key, POLICY, PUBLISH, SL_COUNT_USER, &address, 4294967295U);
    assert_int_equal(strlen(key.text), key.len);
    sl_counter_default_key(&key, POLICY);
    assert_string_equal("d/" POLICY, key.text);
}

// As printf() puts it together, for subjects and windows of every length.
static void
keys_are_whole_at_every_length(void **state)
{
    (void)state;
    static const char subjects[] = "0123456789abcdef0123456789abcdef0123456789abcdef";
    uint32_t window_s = 1;
    for (size_t len = 0; len < sizeof(subjects); len++) {
        struct sl_counter_key key;
        char expected[SL_COUNTER_KEY_MAX + 1];
        struct sl_str subject = {subjects, len};
        window_s = len % 11 == 0 ? 0 : window_s * 10 + 7; // overflows to whatever
        for (unsigned shared = 0; shared < 2; shared++) {
            memset(&key, 'x', sizeof(key));
            snprintf(expected, sizeof(expected), "t/" POLICY "/%s/i%.*s/%u", shared ? "*" : PUBLISH,
                     (int)(len < 39 ? len : 39), subjects, window_s);
            sl_counter_policy_key(&key, POLICY, shared ? NULL : PUBLISH, SL_COUNT_IP, &subject,
                                  window_s);
            assert_string_equal(expected, key.text);
            assert_int_equal(strlen(expected), key.len);
        }
    }
}

static void
without_units_a_request_waits_and_the_agent_is_asked(void **state)
{
    struct fixture *f = *state;
    uint32_t slots[128];
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    assert_int_equal(1, sl_counters_asked(f->counters, slots, 128));
    assert_int_equal(f->take.slot, slots[0]);
    assert_int_equal(2, sl_counters_wanted(f->counters, slots[0]));
    assert_int_equal(0, sl_counters_wanted(f->counters, slots[0]));
    assert_int_equal(0, sl_counters_asked(f->counters, slots, 128));
}

static void
granted_units_are_taken_and_then_no_more(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window, 2, false);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(2, sl_counters_remain(f->counters, &f->take));
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    struct sl_counter_span span = grant(f, f->take.slot, f->window, 2, true);
    assert_int_equal(2, span.used);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    grant(f, f->take.slot, f->window, 3, false);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(0, sl_counters_remain(f->counters, &f->take));
}

static void
the_same_grant_twice_is_one_grant(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window, 2, false);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    struct sl_counter_span span = grant(f, f->take.slot, f->window, 2, false);
    assert_int_equal(2, span.allowed);
    assert_int_equal(1, span.used);
}

static void
a_recall_takes_only_what_is_unspent(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window, 3, false);
    take_one(f);
    struct sl_counter_span span = grant(f, f->take.slot, f->window, 0, false);
    assert_int_equal(1, span.allowed);
    assert_int_equal(1, span.used);
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
}

static void
a_grant_ahead_is_used_only_in_its_window(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window + 1, 3, false);
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    size_t first;
    int64_t later = sl_mono_ms() + WINDOW * 1000;
    sl_counters_beat(f->counters, later);
    assert_int_equal(SL_COUNTER_TAKEN,
                     sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first));
}

static void
a_grant_for_a_window_that_is_over_changes_nothing(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window, 2, false);
    struct sl_counter_span span = grant(f, f->take.slot, f->window - 4, 3, false);
    assert_int_equal(0, span.window);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
}

static void
all_counters_or_none(void **state)
{
    struct fixture *f = *state;
    struct sl_counter_key app_key;
    struct sl_str app = sl_str(POLICY);
    sl_counter_policy_key(&app_key, POLICY, PUBLISH, SL_COUNT_APP, &app, WINDOW);
    struct sl_counter_take takes[2] = {f->take, f->take};
    takes[1].key = &app_key;
    size_t first = 9;
    sl_counters_take(f->counters, takes, 2, sl_mono_ms(), SL_COUNTER_FIRST, &first);
    assert_int_equal(0, first);
    grant(f, takes[0].slot, f->window, 3, false);
    grant(f, takes[1].slot, f->window, 1, true);
    assert_int_equal(SL_COUNTER_TAKEN, sl_counters_take(f->counters, takes, 2, sl_mono_ms(),
                                                        SL_COUNTER_FIRST, &first));
    assert_int_equal(SL_COUNTER_REFUSED, sl_counters_take(f->counters, takes, 2, sl_mono_ms(),
                                                          SL_COUNTER_FIRST, &first));
    assert_int_equal(1, first);
    struct sl_counter_state api;
    assert_true(sl_counters_read(f->counters, takes[0].slot, &api));
    assert_int_equal(1, api.spans[f->window % SL_COUNTER_WINDOWS].used);
}

static void
a_counter_that_only_counts_never_refuses(void **state)
{
    struct fixture *f = *state;
    f->take.count_only = true;
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_false(f->take.taken);
    grant(f, f->take.slot, f->window, 1, true);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_true(f->take.taken);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_false(f->take.taken);
}

static void
with_accounting_down_nothing_waits(void **state)
{
    struct fixture *f = *state;
    sl_counters_set_up(f->counters, sl_counter_shard((struct sl_str){f->key.text, f->key.len}),
                       false);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
}

static void
with_the_agent_dead_nothing_waits(void **state)
{
    struct fixture *f = *state;
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
}

static void
an_open_window_has_no_share_and_a_later_one_has(void **state)
{
    struct fixture *f = *state;
    uint64_t members[2] = {sl_counter_member(sl_str("one")), sl_counter_member(sl_str("two"))};
    sl_counters_set_members(f->counters, members, 2, 0, true);
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    size_t first;
    int64_t later = sl_mono_ms() + (WINDOW + 3) * 1000;
    struct sl_str key = {f->key.text, f->key.len};
    int64_t share = sl_counter_share(key, 3, members, 2, 0);
    assert_int_equal(3, share + sl_counter_share(key, 3, members, 2, 1));
    int64_t got = 0;
    while (sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first) ==
           SL_COUNTER_TAKEN) {
        got++;
    }
    assert_int_equal(share, got);
    struct sl_counter_state read;
    assert_true(sl_counters_read(f->counters, f->take.slot, &read));
    assert_int_equal(share, read.spans[f->take.window % SL_COUNTER_WINDOWS].used);
}

static void
a_joining_node_has_no_share_of_a_policy(void **state)
{
    struct fixture *f = *state;
    uint64_t members[1] = {1};
    sl_counters_set_members(f->counters, members, 1, 0, false);
    size_t first;
    int64_t later = sl_mono_ms() + (WINDOW + 3) * 1000;
    assert_int_equal(SL_COUNTER_REFUSED,
                     sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first));
}

static void
a_default_limit_divides_at_once_when_accounting_is_down(void **state)
{
    struct fixture *f = *state;
    sl_counter_default_key(&f->key, POLICY);
    f->take.window_s = 1;
    uint64_t members[2] = {1, 2};
    sl_counters_set_members(f->counters, members, 2, 0, false);
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
}

static void
a_default_limit_divides_when_accounting_is_slow(void **state)
{
    struct fixture *f = *state;
    size_t first;
    f->take.window_s = 1;
    uint64_t members[2] = {1, 2};
    sl_counters_set_members(f->counters, members, 2, 0, false);
    for (int is_default = 0; is_default < 2; is_default++) {
        if (is_default != 0) {
            sl_counter_default_key(&f->key, POLICY);
        }
        assert_int_equal(SL_COUNTER_WAIT, take_one(f));
        assert_int_equal(
            is_default != 0 ? SL_COUNTER_TAKEN : SL_COUNTER_WAIT,
            sl_counters_take(f->counters, &f->take, 1, sl_mono_ms(), SL_COUNTER_LAST, &first));
    }
}

static void
a_default_limit_goes_on_to_its_share_when_a_grant_is_spent(void **state)
{
    struct fixture *f = *state;
    uint64_t members[2] = {1, 2};
    sl_counter_domain_key(&f->key, POLICY);
    f->take.limit = 10;
    sl_counters_set_members(f->counters, members, 2, 0, true);
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    grant(f, f->take.slot, f->window, 2, false);
    int admitted = 0;
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(SL_COUNTER_WAIT, take_one(f)); // while accounting answers, more may come
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    while (take_one(f) == SL_COUNTER_TAKEN) {
        admitted++;
    }
    assert_int_equal(admitted, 3); // half of ten, two of them spent before
    sl_counters_beat(f->counters, sl_mono_ms());
    struct sl_counter_span span = grant(f, f->take.slot, f->window, 5, true);
    assert_int_equal(span.used, 5);
}

static void
a_raised_limit_is_asked_for_although_the_old_one_was_exhausted(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    grant(f, f->take.slot, f->window, 0, true);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    f->take.limit = 2; // lowered: nothing is to be had all the more
    f->take.revision = 2;
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    f->take.limit = 4;
    f->take.revision = 1; // an image that is older than what is known
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    f->take.revision = 3;
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
}

static void
what_accounting_calls_exhausted_stays_so(void **state)
{
    struct fixture *f = *state;
    uint64_t members[2] = {1, 2};
    sl_counter_domain_key(&f->key, POLICY);
    f->take.limit = 10;
    sl_counters_set_members(f->counters, members, 2, 0, true);
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
    grant(f, f->take.slot, f->window, 1, true);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
}

static void
a_contact_puts_shares_off(void **state)
{
    struct fixture *f = *state;
    uint64_t members[1] = {1};
    sl_counters_set_members(f->counters, members, 1, 0, true);
    int64_t later = sl_mono_ms() + 2 * WINDOW * 1000;
    uint32_t shard = sl_counter_shard((struct sl_str){f->key.text, f->key.len});
    sl_counters_confirm(f->counters, shard, sl_counters_clock(f->counters, later));
    sl_counters_confirm(f->counters, shard, 1);
    size_t first;
    assert_int_equal(SL_COUNTER_REFUSED,
                     sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first));
}

// Nobody is asked: neither an agent nor accounting has to live.
static void
a_local_counter_has_the_whole_limit_on_its_own(void **state)
{
    struct fixture *f = *state;
    size_t first;
    uint32_t slots[64];
    uint64_t news[64] = {0};
    sl_counter_local_key(&f->key);
    f->take.local = true;
    sl_counters_beat(f->counters, sl_mono_ms() - COUNTER_BEAT_MS);
    for (int64_t left = 2; left >= 0; left--) {
        assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
        assert_true(sl_counters_remain(f->counters, &f->take) == left);
    }
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    f->take.limit = 5; // of a newer image
    f->take.revision = 2;
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    f->take.limit = 2;
    f->take.revision = 3;
    assert_int_equal(SL_COUNTER_REFUSED, take_one(f));
    int64_t later = sl_mono_ms() + WINDOW * 1000;
    assert_int_equal(SL_COUNTER_TAKEN,
                     sl_counters_take(f->counters, &f->take, 1, later, SL_COUNTER_FIRST, &first));
    struct sl_counter_state read;
    assert_false(sl_counters_read(f->counters, f->take.slot, &read));
    assert_int_equal(0, sl_counters_asked(f->counters, slots, 64));
    sl_counters_changed(f->counters, news);
    assert_true(news[f->take.slot / 64] == 0);
}

static void
a_local_unit_comes_back_when_another_counter_refuses(void **state)
{
    struct fixture *f = *state;
    size_t first = 9;
    struct sl_counter_key app_key;
    struct sl_str app = sl_str(POLICY);
    struct sl_counter_take takes[2] = {f->take, f->take};
    sl_counter_policy_key(&app_key, POLICY, PUBLISH, SL_COUNT_APP, &app, WINDOW);
    sl_counter_local_key(&f->key);
    takes[0].local = true;
    takes[1].key = &app_key;
    takes[1].count_only = false;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(SL_COUNTER_WAIT, sl_counters_take(f->counters, takes, 2, sl_mono_ms(),
                                                           SL_COUNTER_FIRST, &first));
        assert_int_equal(1, first);
    }
    assert_true(sl_counters_remain(f->counters, &takes[0]) == 3);
    grant(f, takes[1].slot, f->window, 5, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SL_COUNTER_TAKEN, sl_counters_take(f->counters, takes, 2, sl_mono_ms(),
                                                            SL_COUNTER_FIRST, &first));
    }
    assert_int_equal(SL_COUNTER_REFUSED, sl_counters_take(f->counters, takes, 2, sl_mono_ms(),
                                                          SL_COUNTER_FIRST, &first));
    assert_int_equal(0, first);
}

// A worker died between the two stores of an installation: the units count as spent.
static void
a_half_installed_share_is_spent(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    size_t i = f->window % SL_COUNTER_WINDOWS;
    atomic_store(&f->counters->grants[f->take.slot].allowed[i], counter_pack(f->window, 2));
    struct sl_counter_state read;
    assert_true(sl_counters_read(f->counters, f->take.slot, &read));
    assert_int_equal(2, read.spans[i].used);
    struct sl_counter_span span = grant(f, f->take.slot, f->window, 3, false);
    assert_int_equal(2, span.used);
    assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
    assert_int_equal(SL_COUNTER_WAIT, take_one(f));
}

static void
few_left_units_ask_for_more_before_anyone_waits(void **state)
{
    struct fixture *f = *state;
    uint32_t slots[64];
    f->take.limit = 100;
    take_one(f);
    sl_counters_asked(f->counters, slots, 64);
    grant(f, f->take.slot, f->window, 40, false);
    size_t asked = 0;
    uint32_t taken = 0;
    while (asked == 0 && taken < 40) {
        assert_int_equal(SL_COUNTER_TAKEN, take_one(f));
        taken++;
        asked = sl_counters_asked(f->counters, slots, 64);
    }
    assert_int_equal(32, taken); // 8 left: the power of two below a quarter
}

static void
a_newer_image_decides_the_limit(void **state)
{
    struct fixture *f = *state;
    take_one(f);
    struct sl_counter_state read;
    f->take.limit = 5;
    f->take.revision = 2;
    take_one(f);
    f->take.limit = 3;
    f->take.revision = 1;
    take_one(f);
    assert_true(sl_counters_read(f->counters, f->take.slot, &read));
    assert_int_equal(5, read.limit);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(keys_name_policy_scope_dimension_and_window),
        cmocka_unit_test(keys_are_whole_at_every_length),
        T(without_units_a_request_waits_and_the_agent_is_asked),
        T(granted_units_are_taken_and_then_no_more),
        T(the_same_grant_twice_is_one_grant),
        T(a_recall_takes_only_what_is_unspent),
        T(a_grant_ahead_is_used_only_in_its_window),
        T(a_grant_for_a_window_that_is_over_changes_nothing),
        T(all_counters_or_none),
        T(a_counter_that_only_counts_never_refuses),
        T(with_accounting_down_nothing_waits),
        T(with_the_agent_dead_nothing_waits),
        T(an_open_window_has_no_share_and_a_later_one_has),
        T(a_joining_node_has_no_share_of_a_policy),
        T(a_default_limit_divides_at_once_when_accounting_is_down),
        T(a_default_limit_divides_when_accounting_is_slow),
        T(a_default_limit_goes_on_to_its_share_when_a_grant_is_spent),
        T(what_accounting_calls_exhausted_stays_so),
        T(a_raised_limit_is_asked_for_although_the_old_one_was_exhausted),
        T(a_contact_puts_shares_off),
        T(a_half_installed_share_is_spent),
        T(a_local_counter_has_the_whole_limit_on_its_own),
        T(a_local_unit_comes_back_when_another_counter_refuses),
        T(few_left_units_ask_for_more_before_anyone_waits),
        T(a_newer_image_decides_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
