// compile_test.c - rows as they are now to entries: every kind, what is gone, what makes no entry.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "services/publisher/compile.h"

#define APP      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"
#define THROTTLE "ccccccccccccccccccccccccccccccc1"

// Runs statements, split at ;, in which @ stands for the gateway.
static void
insert(struct fixture *f, const char *sql)
{
    struct sl_str rest = sl_str(sql);
    while (rest.ptr != NULL) {
        struct sl_str statement = sl_str_split(&rest, ';');
        SL_AUTO_BUF text;
        sl_buf_init(&text, 4096);
        while (statement.ptr != NULL) {
            struct sl_str part = sl_str_split(&statement, '@');
            sl_buf_add(&text, part.ptr, part.len);
            if (statement.ptr != NULL) {
                sl_buf_adds(&text, f->gateway);
            }
        }
        fixture_sql(f, sl_arena_dupn(f->arena, text.ptr, text.len));
    }
}

// Seals `plain` under the deployment's key, as SQL text: '\x…'.
static const char *
sealed(struct fixture *f, const char *context, const char *plain)
{
    struct sl_str bytes;
    assert_int_equal(
        sl_seal(f->arena, &f->publisher.key, sl_str(context), sl_str(plain), &bytes, &f->err), 0);
    char *hex = sl_arena_alloc(f->arena, 2 * bytes.len + 1);
    sl_hex_encode(bytes.ptr, bytes.len, hex);
    return sl_arena_printf(f->arena, "'\\x%s'", hex);
}

// Compiles one key of a gateway; the answer of compile_key.
static int
compile(struct fixture *f, const char *gateway, const char *kind, const char *key,
        struct compiled *ret_compiled)
{
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    assert_non_null(tx);
    struct compile c = {tx, f->arena, &f->publisher, gateway};
    return compile_key(&c, kind, key, ret_compiled, &f->err);
}

// Compiles what must be an entry, and decodes it as a node would.
static struct sl_entry
compile_entry_of(struct fixture *f, enum sl_kind kind, const char *key)
{
    struct compiled compiled;
    struct sl_entry entry;
    if (compile(f, f->gateway, sl_kind_name(kind), key, &compiled) != 0 ||
        compiled.plain.ptr == NULL ||
        sl_entry_decode(f->arena, kind, compiled.plain, &entry, &f->err) != 0) {
        fail_msg("%s %s: %s %s %s", sl_kind_name(kind), key, sl_error_name(f->err.code),
                 f->err.args[0], f->err.args[1]);
    }
    assert_true(compiled.min_reader >= 1);
    return entry;
}

static json_t *
compile_object(struct fixture *f, const char *kind, const char *key)
{
    struct compiled compiled;
    json_t *object = NULL;
    assert_int_equal(compile(f, CONTROL_GATEWAY, kind, key, &compiled), 0);
    assert_non_null(compiled.plain.ptr);
    assert_int_equal(sl_json_unpack(f->arena, compiled.plain, &object, &f->err), 0);
    return object;
}

static const char *
text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void
a_group_and_its_debugging_domain(void **state)
{
    struct fixture *f = *state;
    insert(f, "UPDATE api_group SET sl_domain = 'G.Example.COM' WHERE instance_id = '@'");
    struct sl_entry group = compile_entry_of(f, SL_KIND_GROUP, f->group);
    assert_string_equal(group.group.id, f->group);
    assert_string_equal(group.group.name, "g");
    assert_false(group.group.is_default);
    assert_true(group.group.sl_domain_enabled);
    struct sl_entry host = compile_entry_of(f, SL_KIND_HOST, "g.example.com");
    assert_string_equal(host.host.name, "g.example.com");
    assert_string_equal(host.host.group_id, f->group);
    assert_true(host.host.debugging);
}

static void
a_policy_with_its_window_and_limits(void **state)
{
    static const struct {
        const char *unit;
        uint32_t seconds;
        const char *shown;
    } units[] = {{"SECOND", 1, "second"},
                 {"MINUTE", 60, "minute"},
                 {"HOUR", 3600, "hour"},
                 {"DAY", 86400, "day"}};
    struct fixture *f = *state;
    insert(f, "INSERT INTO throttle (instance_id, id, name, type, time_interval, time_unit,"
              " api_call_limits, app_call_limits) VALUES ('@', '" THROTTLE
              "', 't', 2, 3, 'HOUR', 100, 7)");
    for (size_t i = 0; i < SL_COUNT(units); i++) {
        fixture_sql(f, sl_arena_printf(f->arena,
                                       "UPDATE throttle SET time_unit = '%s' WHERE id = '" THROTTLE
                                       "' AND instance_id = '%s'",
                                       units[i].unit, f->gateway));
        struct sl_entry entry = compile_entry_of(f, SL_KIND_THROTTLE, THROTTLE);
        assert_true(entry.throttle.shared);
        assert_int_equal(entry.throttle.interval, 3);
        assert_int_equal(entry.throttle.window_s, 3 * units[i].seconds);
        assert_string_equal(entry.throttle.unit, units[i].shown);
        assert_int_equal(entry.throttle.api_limit, 100);
        assert_int_equal(entry.throttle.app_limit, 7);
        assert_int_equal(entry.throttle.user_limit, 0);
        assert_int_equal(entry.throttle.ip_limit, 0);
    }
}

static void
insert_app(struct fixture *f)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO app (instance_id, id, name, app_key, app_secret,"
                                   " app_secret_lookup, domain_id) VALUES ('%s', '" APP
                                   "', 'shop', 'key-1', %s, 'l', 'account')",
                                   f->gateway, sealed(f, "app_secret:" APP, "the secret")));
}

static void
an_app_with_its_secret_codes_and_what_it_may_call(void **state)
{
    struct fixture *f = *state;
    insert_app(f);
    for (int i = 2; i > 0; i--) {
        const char *id = sl_arena_printf(f->arena, "code-%d", i);
        const char *context = sl_arena_printf(f->arena, "app_code:%s", id);
        fixture_sql(f, sl_arena_printf(f->arena,
                                       "INSERT INTO app_code (instance_id, id, app_id, app_code,"
                                       " app_code_lookup) VALUES ('%s', '%s', '" APP "', %s, '%s')",
                                       f->gateway, id, sealed(f, context, id), id));
    }
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO app_auth (instance_id, id, app_id, api_id, env_id)"
                                   " VALUES ('%s', 'auth', '" APP
                                   "', '%s', 'DEFAULT_ENVIRONMENT_RELEASE_ID')",
                                   f->gateway, f->api));
    struct sl_entry before = compile_entry_of(f, SL_KIND_APP, APP);
    assert_int_equal(before.app.publish_id_count, 0); // authorised, but nothing is published
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    struct sl_entry entry = compile_entry_of(f, SL_KIND_APP, APP);
    assert_string_equal(entry.app.name, "shop");
    assert_string_equal(entry.app.key, "key-1");
    assert_string_equal(entry.app.secret, "the secret");
    assert_string_equal(entry.app.domain_id, "account");
    assert_int_equal(entry.app.code_count, 2);
    assert_string_not_equal(entry.app.codes[0], entry.app.codes[1]);
    assert_int_equal(entry.app.publish_id_count, 1);
}

static void
an_app_with_a_list_of_addresses_needs_a_reader_that_obeys_it(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    insert_app(f);
    assert_int_equal(compile(f, f->gateway, "app", APP, &compiled), 0);
    assert_int_equal(compiled.min_reader, 1);
    insert(f, "INSERT INTO app_acl (instance_id, app_id, acl_type, acl_values) VALUES"
              " ('@', '" APP "', 'DENY', '[\"10.0.0.0/8\", \"::1\"]')");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_APP, APP);
    assert_int_equal(entry.app.acl_mode, SL_ACL_DENY);
    assert_int_equal(entry.app.acl_count, 2);
    assert_string_equal(entry.app.acl[1], "::1");
    assert_int_equal(compile(f, f->gateway, "app", APP, &compiled), 0);
    assert_int_equal(compiled.min_reader, 2);
    insert(f, "UPDATE app_acl SET acl_type = 'PERMIT' WHERE instance_id = '@'");
    entry = compile_entry_of(f, SL_KIND_APP, APP);
    assert_int_equal(entry.app.acl_mode, SL_ACL_PERMIT);
}

static void
an_app_s_quota_says_where_its_windows_begin(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    static const struct {
        const char *unit;
        int interval;
        const char *reset; // SQL
        const char *bound; // SQL
        uint32_t window_s;
        uint32_t lead_s;
    } rows[] = {
        // 1600560000 is a multiple of an hour and of a day, 30 s later is not.
        {"DAY", 1, "'2020-09-20 00:00:00'", "now()", 86400, 0},
        {"HOUR", 2, "'2020-09-20 00:00:30'", "now()", 7200, 7170},
        {"MINUTE", 1, "'2020-09-20 00:00:59'", "now()", 60, 1},
        {"SECOND", 7, "'1970-01-01 00:00:08'", "now()", 7, 6},
        // Until the first call, the time when the app got it: for owners that tell no other.
        {"HOUR", 1, "NULL", "'2020-09-20 00:10:00.9+00'", 3600, 3000},
    };
    insert_app(f);
    assert_int_equal(compile_entry_of(f, SL_KIND_APP, APP).app.quota.limit, 0);
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        insert(f, sl_arena_printf(f->arena,
                                  "DELETE FROM app_quota WHERE instance_id = '@';"
                                  "INSERT INTO app_quota (instance_id, id, name, call_limits,"
                                  " time_unit, time_interval, reset_time) VALUES ('@', '" THROTTLE
                                  "', 'q', 3, '%s', %d, %s);"
                                  "INSERT INTO app_quota_app (instance_id, app_id, app_quota_id,"
                                  " bound_time) VALUES ('@', '" APP "', '" THROTTLE "', %s)",
                                  rows[i].unit, rows[i].interval, rows[i].reset, rows[i].bound));
        struct sl_entry entry = compile_entry_of(f, SL_KIND_APP, APP);
        assert_string_equal(entry.app.quota.id, THROTTLE);
        assert_int_equal(entry.app.quota.limit, 3);
        assert_int_equal(entry.app.quota.window_s, rows[i].window_s);
        assert_int_equal(entry.app.quota.lead_s, rows[i].lead_s);
        bool waits = strcmp(rows[i].reset, "NULL") == 0;
        assert_int_equal(entry.app.quota.first, waits ? 600000000 + 1600560600900 % 1000000000 : 0);
        assert_int_equal(compile(f, f->gateway, "app", APP, &compiled), 0);
        assert_int_equal(compiled.min_reader, waits ? 6 : 5);
    }
}

static void
after_the_first_call_a_quota_begins_there(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    insert_app(f);
    insert(f, "INSERT INTO app_quota (instance_id, id, name, call_limits, time_unit, time_interval)"
              " VALUES ('@', '" THROTTLE "', 'q', 3, 'HOUR', 1);"
              "INSERT INTO app_quota_app (instance_id, app_id, app_quota_id)"
              " VALUES ('@', '" APP "', '" THROTTLE "')");
    assert_true(compile_entry_of(f, SL_KIND_APP, APP).app.quota.first > 0);
    insert(f, "UPDATE app_quota_app SET began_s = 1600560007, began_of = bound_time");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_APP, APP);
    assert_int_equal(entry.app.quota.first, 0);
    assert_int_equal(entry.app.quota.lead_s, 3593);
    assert_int_equal(compile(f, f->gateway, "app", APP, &compiled), 0);
    assert_int_equal(compiled.min_reader, 5);
    // A time of its own goes before; and what an earlier quota of the app began with is over.
    insert(f, "UPDATE app_quota SET reset_time = '2020-09-20 00:00:01' WHERE instance_id = '@'");
    assert_int_equal(compile_entry_of(f, SL_KIND_APP, APP).app.quota.lead_s, 3599);
    insert(f, "UPDATE app_quota SET reset_time = NULL WHERE instance_id = '@'");
    insert(f, "UPDATE app_quota_app SET bound_time = now() + interval '1 s'");
    assert_true(compile_entry_of(f, SL_KIND_APP, APP).app.quota.first > 0);
}

static void
a_secret_that_does_not_open_makes_no_entry(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    insert_app(f);
    insert(f, "UPDATE app SET id = 'moved' WHERE instance_id = '@'"); // sealed for another row
    assert_int_equal(compile(f, f->gateway, "app", "moved", &compiled), -1);
    assert_int_equal(f->err.code, SL_E_SEAL_BROKEN);
}

static void
a_gateway_with_its_settings_addresses_and_nodes(void **state)
{
    struct fixture *f = *state;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '')");
    struct sl_entry defaults = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(defaults.gateway.domain_call_limit, 1000);
    assert_int_equal(defaults.gateway.api_default_limit, 200);
    assert_int_equal(defaults.gateway.timeout_max_ms, 60000);
    assert_int_equal(defaults.gateway.restricted_count, 0);
    insert(f, "INSERT INTO instance_setting (instance_id, name, value) VALUES"
              " ('@', 'domain_call_limit', '0'), ('@', 'api_default_limit', '17'),"
              " ('@', 'request_body_size', '1073741824'),"
              " ('@', 'restrict_cidrs', '10.0.0.0/8, 192.168.0.0/16');"
              "UPDATE instance SET addresses = ARRAY['203.0.113.1'] WHERE id = '@';"
              "INSERT INTO node (instance_id, id, public_key) VALUES ('@', 'n2-@', 'k2-@'),"
              " ('@', 'n1-@', 'k1-@')");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(entry.gateway.domain_call_limit, 0);
    assert_int_equal(entry.gateway.api_default_limit, 17);
    assert_true(entry.gateway.body_max_bytes == 1073741824);
    assert_int_equal(entry.gateway.restricted_count, 2);
    assert_string_equal(entry.gateway.restricted[1], "192.168.0.0/16");
    assert_int_equal(entry.gateway.address_count, 1);
    assert_int_equal(entry.gateway.node_count, 2);
    insert(f, "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f1', 'ratelimit', true, '{\"api_limits\": 18}'),"
              " ('@', 'f2', 'request_body_size', false, '2097152'),"
              " ('@', 'f3', 'backend_timeout', true, '{\"max_timeout\": 500}')");
    struct sl_entry featured = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(featured.gateway.api_default_limit, 18);
    assert_true(featured.gateway.body_max_bytes == 1073741824); // off: the setting acts
    assert_int_equal(featured.gateway.timeout_max_ms, 500);
    assert_true(strcmp(entry.gateway.node_ids[0], entry.gateway.node_ids[1]) < 0);
}

// The value of a feature's part in an entry; NULL without one.
static const char *
part_of(const struct sl_gateway *gateway, const char *name)
{
    for (size_t i = 0; i < gateway->feature_count; i++) {
        if (strcmp(gateway->features[i].name, name) == 0) {
            return gateway->features[i].value;
        }
    }
    return NULL;
}

static void
tokens_without_a_key_of_the_operators_get_a_lasting_one(void **state)
{
    struct fixture *f = *state;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '')");
    struct sl_entry none = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_null(part_of(&none.gateway, "app_token.app_token_key"));
    insert(f, "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f9', 'app_token', true, '{\"enable\": \"on\"}')");
    struct sl_entry one = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    struct sl_entry two = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    const char *key = part_of(&one.gateway, "app_token.app_token_key");
    assert_non_null(key);
    assert_int_equal(strlen(key), 64);
    assert_string_equal(key, part_of(&two.gateway, "app_token.app_token_key"));
}

static void
accounts_that_show_their_token_are_one_pattern(void **state)
{
    static const char name[] = "backend_token_allow.backend_token_allow_users";
    struct fixture *f = *state;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '');"
              "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f9', 'backend_token_allow', true,"
              " '{\"backend_token_allow_users\": [{\"user_name\": \"^a|b$\"}, \"c\"]}')");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_string_equal(part_of(&entry.gateway, name), "(?:^a|b$)|(?:c)");
}

static void
lists_of_features_travel_as_one_text(void **state)
{
    struct fixture *f = *state;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '')");
    insert(f, "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f1', 'ssl_ciphers', true, '{\"ssl_ciphers\": [\"A-1\", \"B-2\"]}'),"
              " ('@', 'f2', 'api_uri_no_escape', true, ''),"
              " ('@', 'f3', 'custom_log', true, '{\"custom_logs\": ["
              "{\"location\": \"header\", \"name\": \"a\"},"
              " {\"name\": \"b\", \"location\": \"cookie\"}]}')");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(entry.gateway.feature_count, 3);
    assert_string_equal(part_of(&entry.gateway, "ssl_ciphers.ssl_ciphers"), "A-1:B-2");
    assert_string_equal(part_of(&entry.gateway, "api_uri_no_escape"), "on");
    assert_string_equal(part_of(&entry.gateway, "custom_log.custom_logs"), "header a,cookie b");
}

static void
parts_of_features_that_nodes_know_travel_and_ask_for_a_newer_reader(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '')");
    assert_int_equal(compile(f, f->gateway, "gateway", f->gateway, &compiled), 0);
    assert_int_equal(compiled.min_reader, 1);
    insert(f, "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f1', 'of_tomorrow', true, ' {\"a\": \"b\"}'),"
              " ('@', 'f2', 'sse_strategy', true, 'on'), ('@', 'f3', 'fixed', true, NULL)");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(entry.gateway.feature_count, 1);
    assert_string_equal(entry.gateway.features[0].name, "sse_strategy");
    assert_string_equal(entry.gateway.features[0].value, "on");
    assert_int_equal(compile(f, f->gateway, "gateway", f->gateway, &compiled), 0);
    assert_int_equal(compiled.min_reader, 5);
    insert(f, "UPDATE feature SET enable = false WHERE instance_id = '@'");
    assert_int_equal(compile_entry_of(f, SL_KIND_GATEWAY, f->gateway).gateway.feature_count, 0);
}

static void
trusted_hosts_are_addresses_of_the_gateway(void **state)
{
    struct fixture *f = *state;
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '');"
              "UPDATE instance SET addresses = ARRAY['203.0.113.1'] WHERE id = '@';"
              "INSERT INTO feature (instance_id, id, name, enable, config) VALUES"
              " ('@', 'f1', 'default_group_host_trustlist', true,"
              " '{\"enable\": \"on\", \"hosts\": [\"192.0.2.1\", \"2001:db8::1\"]}')");
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(entry.gateway.address_count, 3);
    assert_string_equal(entry.gateway.addresses[0], "203.0.113.1");
    assert_string_equal(entry.gateway.addresses[2], "2001:db8::1");
    insert(f, "UPDATE feature SET config = replace(config, '\"on\"', '\"off\"')"
              " WHERE instance_id = '@'");
    assert_int_equal(compile_entry_of(f, SL_KIND_GATEWAY, f->gateway).gateway.address_count, 1);
}

static void
secret_members_of_features_travel_opened(void **state)
{
    struct fixture *f = *state;
    const char *context =
        sl_arena_printf(f->arena, "feature:%s/backend_client_certificate", f->gateway);
    insert(f, "INSERT INTO gateway_revision (gateway_id, content_key) VALUES ('@', '')");
    insert(f, sl_arena_printf(f->arena,
                              "INSERT INTO feature (instance_id, id, name, enable, config, secret)"
                              " VALUES ('@', 'f1', 'backend_client_certificate', true,"
                              " '{\"enable\": \"on\", \"content\": \"the chain\"}', %s)",
                              sealed(f, context, "{\"key\": \"the key\", \"odd\": \"x\"}")));
    struct sl_entry entry = compile_entry_of(f, SL_KIND_GATEWAY, f->gateway);
    assert_int_equal(entry.gateway.feature_count, 3);
    assert_string_equal(entry.gateway.features[2].name, "backend_client_certificate.key");
    assert_string_equal(entry.gateway.features[2].value, "the key");
    insert(f, "UPDATE feature SET enable = false WHERE instance_id = '@'");
    assert_int_equal(compile_entry_of(f, SL_KIND_GATEWAY, f->gateway).gateway.feature_count, 0);
    // Sealed for another gateway: the entry fails, nothing is left out.
    struct compiled compiled;
    insert(f, sl_arena_printf(f->arena,
                              "UPDATE feature SET enable = true, secret = %s"
                              " WHERE instance_id = '@'",
                              sealed(f, "feature:other/backend_client_certificate", "{}")));
    assert_int_equal(compile(f, f->gateway, "gateway", f->gateway, &compiled), -1);
    assert_int_equal(f->err.code, SL_E_SEAL_BROKEN);
}

static void
an_api_is_an_entry_while_it_is_online(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    const char *id = fixture_text(
        f, sl_arena_printf(f->arena, "SELECT publish_id FROM publication WHERE instance_id = '%s'",
                           f->gateway));
    struct sl_entry entry = compile_entry_of(f, SL_KIND_API, id);
    assert_string_equal(entry.api.api_id, f->api);
    assert_string_equal(entry.api.env_name, "RELEASE");
    assert_int_equal(entry.api.backend_type, SL_BACKEND_MOCK);
    assert_int_equal(fixture_action(f, NULL, "offline", 0), 0);
    assert_int_equal(compile(f, f->gateway, "api", id, &compiled), 0);
    assert_null(compiled.plain.ptr);
}

static void
what_is_gone_is_a_tombstone_and_what_nobody_knows_is_refused(void **state)
{
    static const char *const kinds[] = {"api",      "group", "host",       "app",
                                        "throttle", "user",  "access_key", "token_key"};
    static const char *const control[] = {"access_key", "instance",  "policy",
                                          "project",    "token_key", "user"};
    struct fixture *f = *state;
    struct compiled compiled;
    for (size_t i = 0; i < SL_COUNT(kinds); i++) {
        assert_int_equal(compile(f, f->gateway, kinds[i], "gone", &compiled), 0);
        assert_null(compiled.plain.ptr);
    }
    for (size_t i = 0; i < SL_COUNT(control); i++) {
        assert_int_equal(compile(f, CONTROL_GATEWAY, control[i], "gone", &compiled), 0);
        assert_null(compiled.plain.ptr);
    }
    assert_int_equal(compile(f, f->gateway, "policy", "gone", &compiled), -1);
    assert_int_equal(f->err.code, SL_E_ENTRY_BROKEN);
    assert_int_equal(compile(f, CONTROL_GATEWAY, "api", "gone", &compiled), -1);
    assert_int_equal(f->err.code, SL_E_ENTRY_BROKEN);
}

// Another gateway's rows are nobody's here, whatever their ids.
static void
another_gateways_rows_are_gone(void **state)
{
    struct fixture *f = *state;
    struct compiled compiled;
    insert_app(f);
    assert_int_equal(compile(f, "elsewhere", "app", APP, &compiled), 0);
    assert_null(compiled.plain.ptr);
    assert_int_equal(compile(f, "elsewhere", "group", f->group, &compiled), 0);
    assert_null(compiled.plain.ptr);
}

static void
a_user_with_policies_in_order(void **state)
{
    struct fixture *f = *state;
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO iam_user (id, domain_id, name, password, enabled,"
                                   " not_before) VALUES ('u-%s', '%s', 'someone', 'scrypt', false,"
                                   " 17)",
                                   f->gateway, f->project));
    insert(f, "INSERT INTO iam_user_policy (user_id, policy) VALUES"
              " ('u-@', 'APIG ReadOnlyAccess'), ('u-@', 'APIG FullAccess')");
    json_t *user = compile_object(f, "user", sl_arena_printf(f->arena, "u-%s", f->gateway));
    assert_string_equal(text(user, "name"), "someone");
    assert_string_equal(text(user, "domain_id"), f->project);
    assert_false(json_is_true(json_object_get(user, "enabled")));
    assert_int_equal(json_integer_value(json_object_get(user, "not_before")), 17);
    const json_t *policies = json_object_get(user, "policies");
    assert_string_equal(json_string_value(json_array_get(policies, 0)), "APIG FullAccess");
    assert_int_equal(json_array_size(policies), 2);
    assert_null(json_object_get(user, "password")); // fronts have no use for it
}

static void
access_keys_travel_with_their_secrets(void **state)
{
    struct fixture *f = *state;
    const char *user = sl_arena_printf(f->arena, "u-%s", f->gateway);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO iam_user (id, domain_id, name) VALUES ('%s', '%s',"
                                   " 'someone')",
                                   user, f->project));
    const char *lasting = sl_arena_printf(f->arena, "AK%s", f->gateway);
    const char *temporary = sl_arena_printf(f->arena, "TK%s", f->gateway);
    fixture_sql(
        f, sl_arena_printf(
               f->arena,
               "INSERT INTO iam_access_key (access, user_id, project_id, secret, expires_at,"
               " security_token) VALUES ('%s', '%s', '%s', %s, 0, NULL),"
               " ('%s', '%s', NULL, %s, 99, %s)",
               lasting, user, f->project,
               sealed(f, sl_arena_printf(f->arena, "access_key:%s", lasting), "sk-1"), temporary,
               user, sealed(f, sl_arena_printf(f->arena, "access_key:%s", temporary), "sk-2"),
               sealed(f, sl_arena_printf(f->arena, "security_token:%s", temporary), "st-2")));
    json_t *key = compile_object(f, "access_key", lasting);
    assert_string_equal(text(key, "secret"), "sk-1");
    assert_string_equal(text(key, "project_id"), f->project);
    assert_null(text(key, "security_token"));
    key = compile_object(f, "access_key", temporary);
    assert_string_equal(text(key, "secret"), "sk-2");
    assert_string_equal(text(key, "security_token"), "st-2");
    assert_string_equal(text(key, "project_id"), "");
    assert_int_equal(json_integer_value(json_object_get(key, "expires_at")), 99);
}

static void
projects_gateways_and_policies_as_fronts_follow_them(void **state)
{
    struct fixture *f = *state;
    json_t *project = compile_object(f, "project", f->project);
    assert_string_equal(text(project, "name"), "p");
    assert_string_equal(text(project, "domain_name"), f->project);
    json_t *gateway = compile_object(f, "instance", f->gateway);
    assert_string_equal(text(gateway, "project_id"), f->project);
    json_t *policy = compile_object(f, "policy", "APIG FullAccess");
    assert_string_equal(text(json_object_get(policy, "document"), "Version"), "1.1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_group_and_its_debugging_domain),
        FIXTURE_TEST(a_policy_with_its_window_and_limits),
        FIXTURE_TEST(an_app_with_its_secret_codes_and_what_it_may_call),
        FIXTURE_TEST(an_app_with_a_list_of_addresses_needs_a_reader_that_obeys_it),
        FIXTURE_TEST(an_app_s_quota_says_where_its_windows_begin),
        FIXTURE_TEST(after_the_first_call_a_quota_begins_there),
        FIXTURE_TEST(a_secret_that_does_not_open_makes_no_entry),
        FIXTURE_TEST(a_gateway_with_its_settings_addresses_and_nodes),
        FIXTURE_TEST(tokens_without_a_key_of_the_operators_get_a_lasting_one),
        FIXTURE_TEST(accounts_that_show_their_token_are_one_pattern),
        FIXTURE_TEST(lists_of_features_travel_as_one_text),
        FIXTURE_TEST(parts_of_features_that_nodes_know_travel_and_ask_for_a_newer_reader),
        FIXTURE_TEST(secret_members_of_features_travel_opened),
        FIXTURE_TEST(trusted_hosts_are_addresses_of_the_gateway),
        FIXTURE_TEST(an_api_is_an_entry_while_it_is_online),
        FIXTURE_TEST(what_is_gone_is_a_tombstone_and_what_nobody_knows_is_refused),
        FIXTURE_TEST(another_gateways_rows_are_gone),
        FIXTURE_TEST(a_user_with_policies_in_order),
        FIXTURE_TEST(access_keys_travel_with_their_secrets),
        FIXTURE_TEST(projects_gateways_and_policies_as_fronts_follow_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
