// balance_test.c - who of a channel's members takes a call: shares, faults, backups, who moves.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "common/runtime/image_write.h"
#include "services/nginx/ngx_http_sluice_balance.h"

#define NONE    NGX_HTTP_SLUICE_BALANCE_NONE
#define MEMBERS 10
#define CALLS   100000

static struct image_writer writer;

// A channel as the image has it. `members` lie until the next one is made.
static const struct sl_img_channel *
make(enum sl_strategy strategy, const struct sl_member *members, size_t count)
{
    struct sl_channel channel = {.id = "ccccccccccccccccccccccccccccccc1",
                                 .strategy = strategy,
                                 .members = members,
                                 .member_count = count};
    image_writer_reset(&writer);
    struct sl_img_channel *record = image_place(&writer, sizeof(*record), 64);
    assert_non_null(record);
    assert_int_equal(image_write_channel(&writer, record, &channel), 0);
    return record;
}

// `count` members of equal weight at ports of their own.
static void
some(struct sl_member *ret_members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ret_members[i] =
            (struct sl_member){.host = "m.example", .port = (uint16_t)(8000 + i), .weight = 1};
    }
}

static void
count_calls(const struct sl_img_channel *channel, size_t calls, size_t ret_counts[MEMBERS])
{
    memset(ret_counts, 0, MEMBERS * sizeof(*ret_counts));
    for (size_t i = 0; i < calls; i++) {
        uint64_t hash = ngx_http_sluice_balance_hash((struct sl_str){(char *)&i, sizeof(i)});
        uint32_t index = ngx_http_sluice_balance_first(channel, hash);
        assert_true(index < channel->members.count);
        ret_counts[index]++;
    }
}

static void
in_turn_each_gets_exactly_its_share_and_no_run(void **state)
{
    (void)state;
    struct sl_member members[3];
    some(members, 3);
    members[0].weight = 5;
    const struct sl_img_channel *channel = make(SL_STRATEGY_TURN, members, 3);
    static const uint32_t smooth[] = {0, 0, 1, 0, 2, 0, 0};
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < SL_COUNT(smooth); i++) {
            assert_int_equal(ngx_http_sluice_balance_first(channel, 0), smooth[i]);
        }
    }
    ngx_http_sluice_balance_exit();
}

static void
a_member_without_weight_or_health_gets_nothing_under_any_strategy(void **state)
{
    (void)state;
    for (enum sl_strategy strategy = SL_STRATEGY_TURN; strategy <= SL_STRATEGY_URI; strategy++) {
        struct sl_member members[MEMBERS];
        size_t counts[MEMBERS];
        some(members, MEMBERS);
        members[3].weight = 0;
        members[4].faulty = true;
        members[5].backup = true;
        count_calls(make(strategy, members, MEMBERS), CALLS / 10, counts);
        for (size_t i = 0; i < MEMBERS; i++) {
            assert_true((counts[i] > 0) == (i < 3 || i > 5));
        }
    }
    ngx_http_sluice_balance_exit();
}

static void
backups_take_calls_while_all_others_are_faulty(void **state)
{
    (void)state;
    for (enum sl_strategy strategy = SL_STRATEGY_TURN; strategy <= SL_STRATEGY_URI; strategy++) {
        struct sl_member members[4];
        size_t counts[MEMBERS];
        some(members, 4);
        members[2].backup = members[3].backup = true;
        members[0].faulty = true;
        count_calls(make(strategy, members, 4), 1000, counts);
        assert_int_equal(counts[1], 1000);
        members[1].faulty = true;
        count_calls(make(strategy, members, 4), 1000, counts);
        assert_int_equal(counts[2] + counts[3], 1000);
        assert_true(counts[2] > 300 && counts[3] > 300);
        members[2].faulty = members[3].faulty = true;
        assert_int_equal(ngx_http_sluice_balance_first(make(strategy, members, 4), 7), NONE);
        assert_int_equal(ngx_http_sluice_balance_first(make(strategy, members, 0), 7), NONE);
    }
    ngx_http_sluice_balance_exit();
}

static void
turns_go_on_when_a_member_fails_and_comes_back(void **state)
{
    (void)state;
    struct sl_member members[3];
    size_t counts[MEMBERS];
    some(members, 3);
    count_calls(make(SL_STRATEGY_TURN, members, 3), 301, counts);
    members[1].faulty = true;
    count_calls(make(SL_STRATEGY_TURN, members, 3), 300, counts);
    assert_true(counts[0] >= 149 && counts[0] <= 151); // the round that was begun is one call
    members[1].faulty = false;
    count_calls(make(SL_STRATEGY_TURN, members, 3), 300, counts);
    for (size_t i = 0; i < 3; i++) { // what was left of a round is at most one call each
        assert_true(counts[i] >= 99 && counts[i] <= 101);
    }
    ngx_http_sluice_balance_exit();
}

static void
the_least_loaded_for_its_weight_takes_the_call(void **state)
{
    (void)state;
    struct sl_member members[3];
    struct ngx_http_sluice_balance_seat *seats[MEMBERS * 4];
    size_t counts[MEMBERS] = {0};
    some(members, 3);
    members[2].weight = 2;
    const struct sl_img_channel *channel = make(SL_STRATEGY_LEAST, members, 3);
    for (size_t i = 0; i < SL_COUNT(seats); i++) { // none of them ends
        uint32_t index = ngx_http_sluice_balance_first(channel, 0);
        seats[i] = ngx_http_sluice_balance_hold(channel, index);
        assert_non_null(seats[i]);
        seats[i]->open++;
        counts[index]++;
    }
    assert_int_equal(counts[0], 10);
    assert_int_equal(counts[1], 10);
    assert_int_equal(counts[2], 20);
    struct ngx_http_sluice_balance_seat *second = ngx_http_sluice_balance_hold(channel, 1);
    second->open -= 5; // five of its calls end: it takes the next five
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(ngx_http_sluice_balance_first(channel, 0), 1);
        second->open++;
    }
    ngx_http_sluice_balance_release(second);
    for (size_t i = 0; i < SL_COUNT(seats); i++) {
        ngx_http_sluice_balance_release(seats[i]);
    }
    ngx_http_sluice_balance_exit();
}

static void
open_calls_are_known_after_the_members_changed(void **state)
{
    (void)state;
    struct sl_member members[3];
    some(members, 3);
    const struct sl_img_channel *channel = make(SL_STRATEGY_LEAST, members, 2);
    struct ngx_http_sluice_balance_seat *seat;
    (void)ngx_http_sluice_balance_first(channel, 0);
    seat = ngx_http_sluice_balance_hold(channel, 0);
    seat->open = 2;
    channel = make(SL_STRATEGY_LEAST, members, 3);
    for (size_t i = 0; i < 10; i++) { // to the others, whose calls end at once
        assert_int_not_equal(ngx_http_sluice_balance_first(channel, 0), 0);
    }
    channel = make(SL_STRATEGY_LEAST, members + 1, 2);
    (void)ngx_http_sluice_balance_first(channel, 0); // the member left before its calls ended
    seat->open = 0;
    ngx_http_sluice_balance_release(seat);
    ngx_http_sluice_balance_exit();
}

static void
hashes_share_calls_by_weight(void **state)
{
    (void)state;
    struct sl_member members[MEMBERS];
    size_t counts[MEMBERS];
    some(members, MEMBERS);
    count_calls(make(SL_STRATEGY_SOURCE, members, MEMBERS), CALLS, counts);
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_true(counts[i] > CALLS * 94 / 1000 && counts[i] < CALLS * 106 / 1000);
    }
    members[0].weight = 11; // 11 of 20
    count_calls(make(SL_STRATEGY_SOURCE, members, MEMBERS), CALLS, counts);
    assert_true(counts[0] > CALLS * 53 / 100 && counts[0] < CALLS * 57 / 100);
    assert_true(counts[1] > CALLS * 45 / 1000 && counts[1] < CALLS * 55 / 1000);
    count_calls(make(SL_STRATEGY_URI, members, MEMBERS), CALLS, counts); // knows no weights
    assert_true(counts[0] < CALLS * 106 / 1000);
}

// How many of the calls go to another member than before; those of member `gone` have to.
static size_t
moved(struct sl_member *members, uint32_t gone, bool leaves)
{
    static uint32_t before[CALLS];
    const struct sl_img_channel *channel = make(SL_STRATEGY_SOURCE, members, MEMBERS);
    size_t count = 0;
    for (size_t i = 0; i < CALLS; i++) {
        before[i] = ngx_http_sluice_balance_first(channel, i * 0x9e3779b97f4a7c15U);
    }
    if (leaves) {
        memmove(&members[gone], &members[gone + 1], (MEMBERS - gone - 1) * sizeof(*members));
    } else {
        members[gone].faulty = true;
    }
    channel = make(SL_STRATEGY_SOURCE, members, leaves ? MEMBERS - 1 : MEMBERS);
    for (size_t i = 0; i < CALLS; i++) {
        uint32_t index = ngx_http_sluice_balance_first(channel, i * 0x9e3779b97f4a7c15U);
        index += leaves && index >= gone ? 1 : 0; // as it was numbered before
        assert_true(before[i] == gone || index == before[i]);
        count += index != before[i] ? 1 : 0;
    }
    return count;
}

static void
a_member_that_leaves_or_fails_moves_its_own_calls_alone(void **state)
{
    (void)state;
    for (int uneven = 0; uneven < 2; uneven++) {
        for (int leaves = 0; leaves < 2; leaves++) {
            struct sl_member members[MEMBERS];
            some(members, MEMBERS);
            for (size_t i = 0; uneven != 0 && i < MEMBERS; i++) {
                members[i].weight = i == 4 ? 10 : 10 + (uint32_t)(i % 3);
            }
            size_t count = moved(members, 4, leaves != 0);
            assert_true(count > CALLS * 8 / 100 && count < CALLS * 11 / 100);
        }
    }
}

static void
tries_go_over_all_of_the_same_rank_once(void **state)
{
    (void)state;
    for (enum sl_strategy strategy = SL_STRATEGY_TURN; strategy <= SL_STRATEGY_URI; strategy++) {
        struct sl_member members[MEMBERS];
        some(members, MEMBERS);
        members[1].faulty = true;
        members[3].backup = true;
        members[5].weight = 0;
        members[6].weight = 4;
        const struct sl_img_channel *channel = make(strategy, members, MEMBERS);
        for (uint64_t hash = 0; hash < 1000; hash++) {
            uint32_t first = ngx_http_sluice_balance_first(channel, hash);
            uint32_t tried = 0;
            for (uint32_t i = first; i != NONE;
                 i = ngx_http_sluice_balance_next(channel, hash, first, i)) {
                assert_true(i < MEMBERS && (tried & 1U << i) == 0);
                tried |= 1U << i;
            }
            assert_int_equal(tried, 0x3d5); // all but 1, 3 and 5
        }
        channel = make(strategy, members, 1);
        assert_int_equal(ngx_http_sluice_balance_next(channel, 7, 0, 0), NONE);
    }
    ngx_http_sluice_balance_exit();
}

// Who takes the calls of member `dead` that fails without being known to: shares by index.
static size_t
count_seconds(const struct sl_img_channel *channel, uint32_t dead, size_t ret_counts[MEMBERS])
{
    size_t calls = 0;
    memset(ret_counts, 0, MEMBERS * sizeof(*ret_counts));
    for (uint64_t hash = 1; hash <= CALLS; hash++) {
        if (ngx_http_sluice_balance_first(channel, hash) == dead) {
            ret_counts[ngx_http_sluice_balance_next(channel, hash, dead, dead)]++;
            calls++;
        }
    }
    return calls;
}

static void
the_calls_of_a_member_that_died_spread_over_the_others(void **state)
{
    (void)state;
    for (enum sl_strategy strategy = SL_STRATEGY_TURN; strategy <= SL_STRATEGY_URI; strategy++) {
        for (uint32_t heavy = 1; heavy <= 3; heavy += 2) {
            struct sl_member members[5];
            size_t counts[MEMBERS];
            some(members, 5);
            members[4].weight = strategy == SL_STRATEGY_URI ? 1 : heavy;
            size_t calls = count_seconds(make(strategy, members, 5), 1, counts);
            assert_true(calls > CALLS / 10);
            assert_int_equal(counts[1], 0);
            for (size_t i = 0; i < 5; i++) { // of weights that are 3 beside member 4
                size_t share = calls * (i == 1 ? 0 : members[i].weight) / (3 + members[4].weight);
                assert_true(counts[i] >= share * 94 / 100 && counts[i] <= share * 106 / 100);
            }
        }
    }
    ngx_http_sluice_balance_exit();
}

static void
a_hash_goes_on_to_who_takes_it_when_the_first_is_known_to_be_faulty(void **state)
{
    (void)state;
    for (uint32_t heavy = 1; heavy <= 3; heavy += 2) {
        static uint32_t seconds[CALLS];
        struct sl_member members[MEMBERS];
        some(members, MEMBERS);
        members[2].weight = heavy;
        const struct sl_img_channel *channel = make(SL_STRATEGY_SOURCE, members, MEMBERS);
        for (uint64_t hash = 0; hash < CALLS; hash++) {
            uint32_t first = ngx_http_sluice_balance_first(channel, hash);
            seconds[hash] = first == 7 ? ngx_http_sluice_balance_next(channel, hash, 7, 7) : first;
        }
        members[7].faulty = true;
        channel = make(SL_STRATEGY_SOURCE, members, MEMBERS);
        for (uint64_t hash = 0; hash < CALLS; hash++) {
            assert_int_equal(ngx_http_sluice_balance_first(channel, hash), seconds[hash]);
        }
    }
}

static void
the_least_loaded_of_the_others_is_the_second(void **state)
{
    (void)state;
    struct sl_member members[4];
    struct ngx_http_sluice_balance_seat *seats[4];
    static const uint32_t open[] = {0, 5, 3, 4};
    some(members, 4);
    members[1].weight = 2; // 5 calls are fewer than 3 for its weight
    const struct sl_img_channel *channel = make(SL_STRATEGY_LEAST, members, 4);
    for (uint32_t i = 0; i < 4; i++) {
        (void)ngx_http_sluice_balance_first(channel, 0);
        seats[i] = ngx_http_sluice_balance_hold(channel, i);
        seats[i]->open = open[i];
    }
    assert_int_equal(ngx_http_sluice_balance_first(channel, 0), 0);
    assert_int_equal(ngx_http_sluice_balance_next(channel, 0, 0, 0), 1);
    assert_int_equal(ngx_http_sluice_balance_next(channel, 0, 0, 1), 2);
    assert_int_equal(ngx_http_sluice_balance_next(channel, 0, 0, 2), 3);
    assert_int_equal(ngx_http_sluice_balance_next(channel, 0, 0, 3), NONE);
    for (uint32_t i = 0; i < 4; i++) {
        ngx_http_sluice_balance_release(seats[i]);
    }
    ngx_http_sluice_balance_exit();
}

static void
more_channels_than_are_remembered_are_served(void **state)
{
    (void)state;
    struct sl_member members[2];
    some(members, 2);
    struct sl_img_channel *channel =
        (struct sl_img_channel *)(uintptr_t)make(SL_STRATEGY_TURN, members, 2);
    for (int i = 0; i < NGX_HTTP_SLUICE_BALANCE_CHANNELS + 10; i++) {
        char id[SL_ID_SIZE];
        snprintf(id, sizeof(id), "%032x", (unsigned)i);
        memcpy(channel->id, id, SL_ID_LEN);
        assert_int_equal(ngx_http_sluice_balance_first(channel, 0), 0);
        assert_int_equal(ngx_http_sluice_balance_first(channel, 0), 1);
    }
    ngx_http_sluice_balance_exit();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn_each_gets_exactly_its_share_and_no_run),
        cmocka_unit_test(a_member_without_weight_or_health_gets_nothing_under_any_strategy),
        cmocka_unit_test(backups_take_calls_while_all_others_are_faulty),
        cmocka_unit_test(turns_go_on_when_a_member_fails_and_comes_back),
        cmocka_unit_test(the_least_loaded_for_its_weight_takes_the_call),
        cmocka_unit_test(open_calls_are_known_after_the_members_changed),
        cmocka_unit_test(hashes_share_calls_by_weight),
        cmocka_unit_test(a_member_that_leaves_or_fails_moves_its_own_calls_alone),
        cmocka_unit_test(tries_go_over_all_of_the_same_rank_once),
        cmocka_unit_test(the_calls_of_a_member_that_died_spread_over_the_others),
        cmocka_unit_test(a_hash_goes_on_to_who_takes_it_when_the_first_is_known_to_be_faulty),
        cmocka_unit_test(the_least_loaded_of_the_others_is_the_second),
        cmocka_unit_test(more_channels_than_are_remembered_are_served),
    };
    struct sl_error err;
    if (image_writer_init(&writer, &err) != 0) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    image_writer_clear(&writer);
    return failed;
}
