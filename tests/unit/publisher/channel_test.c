// channel_test.c - load balance channels: what nodes hear of one, and of APIs that call it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "services/publisher/compile.h"

#define CHANNEL "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeee1"
#define MEMBER  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HTTP                                                                                       \
    "\"req_uri\": \"/\", \"req_protocol\": \"HTTP\", \"req_method\": \"GET\", \"timeout\": 100"
#define INFO "\"vpc_channel_status\": 1, \"vpc_channel_info\": {\"vpc_channel_id\": \"" CHANNEL "\""

// Runs a statement in which %s is the gateway.
#define INSERT(f, sql) fixture_sql(f, sl_arena_printf((f)->arena, sql, (f)->gateway))

// A channel of the fixture's gateway: port 80, least connections, with this health check.
static void
insert_channel(struct fixture *f, const char *health)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO channel (instance_id, id, name, port,"
                                   " balance_strategy, member_type, health) VALUES ('%s', '" CHANNEL
                                   "', 'c', 80, 2, 'ip', %s)",
                                   f->gateway, health));
}

// One of its servers; `group` is SQL.
static void
insert_member(struct fixture *f, const char *id, const char *group, const char *values)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO channel_member (instance_id, id, vpc_channel_id,"
                                   " member_group_id, ecs_id, ecs_name, host, port, weight,"
                                   " is_backup, status) VALUES ('%s', '" MEMBER "%s', '" CHANNEL
                                   "', %s, '', '', %s)",
                                   f->gateway, id, group, values));
}

// Compiles a key as what must be an entry, and decodes it as a node would.
static struct sl_entry
entry_of(struct fixture *f, enum sl_kind kind, const char *key)
{
    struct compiled compiled;
    struct sl_entry entry;
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    if (compile_key(&c, sl_kind_name(kind), key, &compiled, &f->err) != 0 ||
        compiled.plain.ptr == NULL ||
        sl_entry_decode(f->arena, kind, compiled.plain, &entry, &f->err) != 0) {
        fail_msg("%s: %s %s %s", key, sl_error_name(f->err.code), f->err.args[0], f->err.args[1]);
    }
    assert_int_equal(compiled.min_reader, 7);
    return entry;
}

static struct sl_channel
channel_of(struct fixture *f)
{
    return entry_of(f, SL_KIND_CHANNEL, CHANNEL).channel;
}

static void
servers_in_use_with_their_ports_and_weights(void **state)
{
    struct fixture *f = *state;
    insert_channel(f, "NULL");
    INSERT(f, "INSERT INTO channel_group (instance_id, id, vpc_channel_id, member_group_name,"
              " member_group_weight) VALUES ('%s', 'three', '" CHANNEL "', 'three', 3)");
    INSERT(f, "INSERT INTO channel_group (instance_id, id, vpc_channel_id, member_group_name,"
              " member_group_weight) VALUES ('%s', 'none', '" CHANNEL "', 'none', 0)");
    insert_member(f, "1", "NULL", "'Host.Example', 0, 10000, false, 1");
    insert_member(f, "2", "'three'", "'10.0.0.2', 8080, 7, true, 1");
    insert_member(f, "3", "NULL", "'10.0.0.3', 0, 7, false, 2");   // switched off
    insert_member(f, "4", "NULL", "'10.0.0.4', 0, 0, false, 1");   // of no weight
    insert_member(f, "5", "'none'", "'10.0.0.5', 0, 9, false, 1"); // its group neither
    struct sl_channel channel = channel_of(f);
    assert_string_equal(channel.id, CHANNEL);
    assert_string_equal(channel.name, "c");
    assert_int_equal(channel.strategy, SL_STRATEGY_LEAST);
    assert_int_equal(channel.port, 80);
    assert_int_equal(channel.health.protocol, SL_PROBE_NONE);
    assert_int_equal(channel.member_count, 2);
    assert_string_equal(channel.members[0].id, MEMBER "1");
    assert_string_equal(channel.members[0].host, "host.example");
    assert_int_equal(channel.members[0].port, 80);
    assert_int_equal(channel.members[0].weight, 10000);
    assert_false(channel.members[0].backup);
    assert_int_equal(channel.members[1].port, 8080);
    assert_int_equal(channel.members[1].weight, 3);
    assert_true(channel.members[1].backup);
}

static void
a_health_check_unless_it_is_switched_off(void **state)
{
    struct fixture *f = *state;
    insert_channel(f, "'{\"protocol\": \"HTTPS\", \"path\": \"/h\", \"method\": \"HEAD\", \"port\":"
                      " 81, \"threshold_normal\": 2, \"threshold_abnormal\": 3, \"timeout\": 4,"
                      " \"time_interval\": 5, \"http_code\": \"\", \"enable_client_ssl\": true,"
                      " \"status\": 1}'");
    struct sl_health health = channel_of(f).health;
    assert_int_equal(health.protocol, SL_PROBE_HTTPS);
    assert_string_equal(health.path, "/h");
    assert_int_equal(health.method, SL_METHOD_HEAD);
    assert_int_equal(health.port, 81);
    assert_int_equal(health.threshold_normal, 2);
    assert_int_equal(health.threshold_abnormal, 3);
    assert_int_equal(health.timeout_s, 4);
    assert_int_equal(health.interval_s, 5);
    assert_string_equal(health.codes, "200");
    assert_true(health.client_ssl);
    INSERT(f, "UPDATE channel SET health = health || '{\"protocol\": \"TCP\"}'"
              " WHERE instance_id = '%s'");
    health = channel_of(f).health;
    assert_int_equal(health.protocol, SL_PROBE_TCP);
    assert_false(health.client_ssl);
    INSERT(f, "UPDATE channel SET health = health || '{\"status\": 2}' WHERE instance_id = '%s'");
    assert_int_equal(channel_of(f).health.protocol, SL_PROBE_NONE);
}

// The fixture's API gets this backend and these policies.
static void
define(struct fixture *f, const char *backend, const char *policies)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api SET backend_type = 'HTTP', backend_api = '{" HTTP
                                   ", %s}', policy_https = '[%s]' WHERE id = '%s'",
                                   backend, policies, f->api));
}

static int64_t
uses(struct fixture *f, const char *table)
{
    return fixture_number(f, sl_arena_printf(f->arena,
                                             "SELECT count(*) FROM %s WHERE instance_id = '%s'",
                                             table, f->gateway));
}

static void
an_api_names_its_channel_instead_of_a_host(void **state)
{
    struct fixture *f = *state;
    insert_channel(f, "NULL");
    define(f, INFO ", \"vpc_channel_proxy_host\": \"p.example\"}",
           "{\"name\": \"p\", \"effect_mode\": \"ALL\", \"conditions\": [], " HTTP ", " INFO "}}");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    const char *key = fixture_text(f, "SELECT publish_id FROM publication ORDER BY publish_time"
                                      " DESC LIMIT 1");
    struct sl_api api = entry_of(f, SL_KIND_API, key).api;
    assert_string_equal(api.http.channel, CHANNEL);
    assert_string_equal(api.http.proxy_host, "p.example");
    assert_string_equal(api.http.host, "");
    assert_string_equal(api.policies[0].http.channel, CHANNEL);
    assert_string_equal(api.policies[0].http.proxy_host, "");
}

static void
what_is_published_holds_its_channel_until_it_is_offline(void **state)
{
    struct fixture *f = *state;
    insert_channel(f, "NULL");
    define(f, "\"url_domain\": \"h\"",
           "{\"name\": \"p\", \"effect_mode\": \"ALL\", \"conditions\": [], " HTTP ", " INFO "}}");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    assert_int_equal(uses(f, "channel_api"), 1);
    assert_int_equal(uses(f, "channel_publication"), 1);
    define(f, "\"url_domain\": \"h\"", ""); // as it will be; not as it is served
    assert_int_equal(uses(f, "channel_api"), 0);
    assert_int_equal(uses(f, "channel_publication"), 1);
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    assert_int_equal(uses(f, "channel_publication"), 0);
}

static void
a_channel_that_is_gone_keeps_a_definition_from_being_published(void **state)
{
    struct fixture *f = *state;
    insert_channel(f, "NULL");
    define(f, INFO "}", "");
    INSERT(f, "DELETE FROM channel_api WHERE instance_id = '%s'");
    INSERT(f, "DELETE FROM channel WHERE instance_id = '%s'");
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_string_equal(sl_error_name(f->err.code), "CHANNEL_NOT_FOUND");
    assert_string_equal(f->err.args[0], CHANNEL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(servers_in_use_with_their_ports_and_weights),
        FIXTURE_TEST(a_health_check_unless_it_is_switched_off),
        FIXTURE_TEST(an_api_names_its_channel_instead_of_a_host),
        FIXTURE_TEST(what_is_published_holds_its_channel_until_it_is_offline),
        FIXTURE_TEST(a_channel_that_is_gone_keeps_a_definition_from_being_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
