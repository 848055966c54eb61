// entry_channel_test.c - channels, and APIs that call them, as entries.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "common/runtime/entry.h"

#include <stdlib.h>
#include <string.h>

#define ID_1 "11111111111111111111111111111111"
#define ID_2 "22222222222222222222222222222222"
#define ID_3 "33333333333333333333333333333333"

static struct sl_entry
some_api(void)
{
    return (struct sl_entry){
        .kind = SL_KIND_API,
        .api = {.publish_id = ID_1,
                .api_id = ID_2,
                .group_id = ID_3,
                .env_id = "E",
                .env_name = "RELEASE",
                .path = "/",
                .schemes = SL_SCHEME_HTTPS,
                .http = {.path = "/", .timeout_ms = 5000}},
    };
}

static struct sl_entry
some_channel(void)
{
    static const struct sl_member members[] = {{ID_1, "one.example", 10, 8080, false, false},
                                               {"", "::1", 0, 65535, true, false}};
    return (struct sl_entry){
        .kind = SL_KIND_CHANNEL,
        .channel = {ID_3,
                    "pool",
                    SL_STRATEGY_URI,
                    80,
                    members,
                    SL_COUNT(members),
                    {SL_PROBE_HTTPS, "/up", SL_METHOD_HEAD, 81, 2, 5, 5, 10, "200,210-299", true}},
    };
}

static void
assert_same_channel(const struct sl_channel *a, const struct sl_channel *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->strategy, b->strategy);
    assert_int_equal(a->port, b->port);
    assert_int_equal(a->member_count, b->member_count);
    for (size_t i = 0; i < b->member_count; i++) {
        assert_string_equal(a->members[i].id, b->members[i].id);
        assert_string_equal(a->members[i].host, b->members[i].host);
        assert_int_equal(a->members[i].weight, b->members[i].weight);
        assert_int_equal(a->members[i].port, b->members[i].port);
        assert_int_equal(a->members[i].backup, b->members[i].backup);
    }
    assert_int_equal(a->health.protocol, b->health.protocol);
    assert_string_equal(a->health.path, b->health.path);
    assert_int_equal(a->health.method, b->health.method);
    assert_int_equal(a->health.port, b->health.port);
    assert_int_equal(a->health.threshold_normal, b->health.threshold_normal);
    assert_int_equal(a->health.threshold_abnormal, b->health.threshold_abnormal);
    assert_int_equal(a->health.timeout_s, b->health.timeout_s);
    assert_int_equal(a->health.interval_s, b->health.interval_s);
    assert_string_equal(a->health.codes, b->health.codes);
    assert_int_equal(a->health.client_ssl, b->health.client_ssl);
}

static void
a_channel_comes_back_as_it_went_out(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry entry = some_channel();
    struct sl_entry back;
    struct sl_str bytes;
    assert_int_equal(sl_kind_find("channel"), SL_KIND_CHANNEL);
    assert_int_equal(sl_entry_min_reader(&entry), 7);
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_CHANNEL, bytes, &back, &err), 0);
    assert_same_channel(&back.channel, &entry.channel);
    struct sl_entry *copy = sl_entry_copy(&back);
    assert_non_null(copy);
    assert_same_channel(&copy->channel, &entry.channel);
    free(copy);
    memset(&entry.channel.health, 0, sizeof(entry.channel.health));
    entry.channel.member_count = 0;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_CHANNEL, bytes, &back, &err), 0);
    assert_int_equal(back.channel.health.protocol, SL_PROBE_NONE);
    assert_int_equal(back.channel.member_count, 0);
}

// A node that does not know channels would call a backend without a host.
static void
a_backend_by_channel_needs_no_port_but_its_reader(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_policy policy = {.name = "p", .http = {.path = "/", .timeout_ms = 1}};
    struct sl_entry entry = some_api();
    struct sl_entry back;
    struct sl_str bytes;
    struct sl_error err;
    entry.api.policies = &policy;
    entry.api.policy_count = 1;
    policy.http.channel = ID_2;
    assert_int_equal(sl_entry_min_reader(&entry), 7);
    policy.http.channel = NULL;
    policy.http.host = "h";
    entry.api.http.host = "";
    entry.api.http.port = 0;
    entry.api.http.channel = ID_3;
    entry.api.http.proxy_host = "shop.example";
    assert_int_equal(sl_entry_min_reader(&entry), 7);
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    assert_int_equal(sl_entry_decode(arena, SL_KIND_API, bytes, &back, &err), 0);
    assert_string_equal(back.api.http.channel, ID_3);
    assert_string_equal(back.api.http.proxy_host, "shop.example");
    assert_string_equal(back.api.policies[0].http.channel, "");
}

static void
a_channel_that_does_not_hold_is_refused_and_named(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_member nowhere = {"", "", 1, 80, false, false};
    struct sl_member portless = {"", "h", 1, 0, false, false};
    struct sl_member heavy = {"", "h", SL_MEMBER_WEIGHT_MAX + 1, 80, false, false};
    struct sl_entry bad[8];
    const char *const names[] = {"strategy", "strategy", "host",   "port",
                                 "weight",   "health",   "health", "health"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        bad[i] = some_channel();
        bad[i].channel.member_count = 1;
    }
    bad[0].channel.strategy = (enum sl_strategy)5;
    bad[1].channel.strategy = (enum sl_strategy)0;
    bad[2].channel.members = &nowhere;
    bad[3].channel.members = &portless;
    bad[4].channel.members = &heavy;
    bad[5].channel.health.path = "up";
    bad[6].channel.health.method = SL_METHOD_POST;
    bad[7].channel.health.interval_s = 0;
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        struct sl_error err;
        struct sl_str bytes;
        struct sl_entry back;
        assert_int_equal(sl_entry_encode(arena, &bad[i], &bytes, &err), 0);
        assert_int_equal(sl_entry_decode(arena, SL_KIND_CHANNEL, bytes, &back, &err), -1);
        assert_string_equal(err.args[1], names[i]);
    }
}

static void
a_channel_cut_short_is_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_arena) arena = sl_arena_new(1 << 20);
    struct sl_error err;
    struct sl_entry entry = some_channel();
    struct sl_str bytes;
    assert_int_equal(sl_entry_encode(arena, &entry, &bytes, &err), 0);
    for (size_t len = 0; len < bytes.len; len++) {
        struct sl_entry back;
        char *cut = malloc(len + 1); // its own block: a sanitizer sees a read past the end
        assert_non_null(cut);
        memcpy(cut, bytes.ptr, len);
        assert_int_equal(
            sl_entry_decode(arena, SL_KIND_CHANNEL, (struct sl_str){cut, len}, &back, &err), -1);
        free(cut);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_comes_back_as_it_went_out),
        cmocka_unit_test(a_backend_by_channel_needs_no_port_but_its_reader),
        cmocka_unit_test(a_channel_that_does_not_hold_is_refused_and_named),
        cmocka_unit_test(a_channel_cut_short_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
