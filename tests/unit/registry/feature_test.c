// feature_test.c - features: what is known, what is here, what a configuration may be.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/runtime/feature.h"
#include "services/registry/feature.h"

static int
set(struct fixture *f, const char *name, const char *enable, const char *config)
{
    return fixture_call(f, "feature.set", "", "",
                        sl_arena_printf(f->arena,
                                        "{\"name\": \"%s\", \"enable\": %s, \"config\": \"%s\"}",
                                        name, enable, config));
}

static int64_t
acting(struct fixture *f, const char *name)
{
    return fixture_count(
        f, sl_arena_printf(f->arena,
                           "SELECT coalesce(min(value::bigint), -1) FROM gateway_setting WHERE"
                           " instance_id = '%s' AND name = '%s'",
                           f->gateway, name));
}

static void
allow_changes(struct fixture *f)
{
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"feature_interval\": \"0\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", body), 0);
}

static void
a_feature_goes_before_the_setting_and_gives_way_when_off(void **state)
{
    struct fixture *f = *state;
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"api_default_limit\": \"7\"}}", f->gateway);
    allow_changes(f);
    assert_int_equal(fixture_admin(f, "instance.set", body), 0);
    assert_int_equal(acting(f, "api_default_limit"), 7);
    assert_int_equal(set(f, "ratelimit", "true", "{\\\"api_limits\\\": 500}"), 0);
    const char *id = fixture_text(f, "id");
    assert_string_equal(fixture_text(f, "config"), "{\"api_limits\": 500}");
    assert_int_equal(acting(f, "api_default_limit"), 500);
    assert_int_equal(set(f, "ratelimit", "true", "{\\\"api_limits\\\": \\\"600\\\"}"), 0);
    assert_string_equal(fixture_text(f, "id"), id);
    assert_int_equal(acting(f, "api_default_limit"), 600);
    assert_int_equal(set(f, "ratelimit", "false", ""), 0);
    assert_int_equal(acting(f, "api_default_limit"), 7);
}

static void
a_plain_number_is_its_own_configuration(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(acting(f, "request_body_size"), -1);
    assert_int_equal(set(f, "request_body_size", "true", "104857600"), 0);
    assert_int_equal(acting(f, "request_body_size"), 104857600);
}

static void
setting_one_republishes_the_gateway(void **state)
{
    struct fixture *f = *state;
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(set(f, "backend_timeout", "true", "{\\\"max_timeout\\\": 500}"), 0);
    const char *sql = sl_arena_printf(f->arena,
                                      "SELECT count(*) FROM runtime_change WHERE kind = 'gateway'"
                                      " AND key = '%s'",
                                      f->gateway);
    assert_int_equal(fixture_count(f, sql), 1);
}

static void
it_is_changed_once_a_minute_only(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, "backend_timeout", "true", "{\\\"max_timeout\\\": 500}"), 0);
    assert_int_equal(set(f, "backend_timeout", "false", ""), -1);
    assert_int_equal(f->err.code, SL_E_FEATURE_TOO_SOON);
    assert_int_equal(set(f, "ratelimit", "true", "{\\\"api_limits\\\": 1}"), 0);
    fixture_sql(f, "UPDATE feature SET update_time = now() - interval '60 seconds'");
    assert_int_equal(set(f, "backend_timeout", "false", ""), 0);
}

static const struct {
    const char *name;
    const char *config;
    enum sl_code code;
} refusals[] = {
    {"app-api-key", "on", SL_E_FEATURE_UNKNOWN},
    {"", "on", SL_E_FEATURE_UNKNOWN},
    {"lts", "", SL_E_FEATURE_UNSUPPORTED},
    {"api_uri_no_escape", "on", SL_E_PARAM_INVALID},
    {"gzip", "", SL_E_PARAM_MISSING},
    {"gzip", "{}", SL_E_PARAM_MISSING},
    {"gzip", "{\\\"comp_level\\\": 0}", SL_E_PARAM_RANGE},
    {"gzip", "{\\\"comp_level\\\": \\\"10\\\"}", SL_E_PARAM_RANGE},
    {"ssl_ciphers", "{\\\"ssl_ciphers\\\": []}", SL_E_PARAM_INVALID},
    {"ssl_ciphers", "{\\\"ssl_ciphers\\\": [\\\"AES128-SHA\\\"]}", SL_E_PARAM_INVALID},
    {"ssl_ciphers", "{\\\"ssl_ciphers\\\": [\\\"ECDHE-RSA-AES128-SHA256\\\", 1]}",
     SL_E_PARAM_INVALID},
    {"ssl_ciphers", "{\\\"ssl_ciphers\\\": \\\"ECDHE-RSA-AES128-SHA256\\\"}", SL_E_PARAM_INVALID},
    {"request_custom_config", "{\\\"http2\\\": \\\"yes\\\"}", SL_E_PARAM_INVALID},
    {"request_custom_config", "{\\\"client_body_timeout\\\": \\\"61\\\"}", SL_E_PARAM_RANGE},
    {"request_custom_config", "{\\\"client_body_timeout\\\": \\\"10s\\\"}", SL_E_PARAM_INVALID},
    {"custom_log", "{\\\"custom_logs\\\": []}", SL_E_PARAM_INVALID},
    {"custom_log",
     "{\\\"custom_logs\\\": [{\\\"location\\\": \\\"path\\\", \\\"name\\\": \\\"a\\\"}]}",
     SL_E_PARAM_INVALID},
    {"custom_log",
     "{\\\"custom_logs\\\": [{\\\"location\\\": \\\"header\\\", \\\"name\\\": \\\"a b\\\"}]}",
     SL_E_PARAM_INVALID},
    {"custom_log", "{\\\"custom_logs\\\": [{\\\"location\\\": \\\"header\\\"}]}",
     SL_E_PARAM_INVALID},
    {"custom_log",
     "{\\\"custom_logs\\\": [{\\\"location\\\": \\\"header\\\", \\\"name\\\": \\\"a\\\", "
     "\\\"of\\\": 1}]}",
     SL_E_PARAM_INVALID},
    {"breaker", "", SL_E_FEATURE_UNSUPPORTED},
    {"vpc_name_modifiable", "", SL_E_PARAM_MISSING},
    {"vpc_name_modifiable", "no", SL_E_PARAM_INVALID},
    {"vpc_backup", "on", SL_E_PARAM_INVALID},
    {"ratelimit", "", SL_E_PARAM_MISSING},
    {"ratelimit", "{}", SL_E_PARAM_MISSING},
    {"ratelimit", "{\\\"api_limits\\\": 5, \\\"user_limits\\\": 5}", SL_E_PARAM_INVALID},
    {"ratelimit", "{\\\"api_limits\\\": 5, \\\"api_limits\\\": 6}", SL_E_PARAM_INVALID},
    {"ratelimit", "{\\\"api_limits\\\": null}", SL_E_PARAM_INVALID},
    {"app_acl", "on", SL_E_PARAM_INVALID},
    {"app_basic", "{\\\"enable\\\": \\\"on\\\"}", SL_E_PARAM_INVALID},
    {"app_jwt", "{\\\"enable\\\": \\\"on\\\", \\\"auth_header\\\": \\\"a b\\\"}",
     SL_E_PARAM_INVALID},
    {"app_jwt", "{\\\"enable\\\": \\\"on\\\", \\\"auth_header\\\": \\\"1a\\\"}",
     SL_E_PARAM_INVALID},
    {"app_jwt", "{\\\"auth_header\\\": \\\"a\\\"}", SL_E_PARAM_MISSING},
    {"custom_auth_header", "{\\\"app_auth_header\\\": \\\"ab\\\"}", SL_E_PARAM_INVALID},
    {"custom_auth_header", "{\\\"app_auth_header\\\": \\\"X-Apig-A\\\"}", SL_E_PARAM_INVALID},
    {"custom_auth_header", "{\\\"app_auth_header\\\": \\\"x-sdk-date\\\"}", SL_E_PARAM_INVALID},
    {"custom_auth_header", "{\\\"app_auth_header\\\": \\\"X-Stage\\\"}", SL_E_PARAM_INVALID},
    {"custom_auth_header", "{\\\"app_auth_header\\\": \\\"AUTHORIZATION\\\"}", SL_E_PARAM_INVALID},
    {"custom_auth_header", "{\\\"backend_sign_header\\\": \\\"x-sdk-a\\\"}", SL_E_PARAM_INVALID},
    {"public_key", "{\\\"enable\\\": \\\"on\\\", \\\"public_key_uri_prefix\\\": \\\"/a?b\\\"}",
     SL_E_PARAM_INVALID},
    {"app_token", "{\\\"enable\\\": \\\"on\\\", \\\"app_token_expire_time\\\": 72001}",
     SL_E_PARAM_RANGE},
    {"app_token", "{\\\"enable\\\": \\\"on\\\", \\\"app_token_uri\\\": \\\"token\\\"}",
     SL_E_PARAM_INVALID},
    {"app_token", "{\\\"enable\\\": \\\"on\\\", \\\"app_token_uri\\\": \\\"/a/../b\\\"}",
     SL_E_PARAM_INVALID},
    {"app_token", "{\\\"enable\\\": \\\"on\\\", \\\"app_token_uri\\\": \\\"/a?b\\\"}",
     SL_E_PARAM_INVALID},
    {"app_token", "{\\\"enable\\\": \\\"on\\\", \\\"app_token_key\\\": \\\"short\\\"}",
     SL_E_PARAM_INVALID},
    {"backend_token_allow", "{}", SL_E_PARAM_MISSING},
    {"backend_token_allow", "{\\\"backend_token_allow_users\\\": []}", SL_E_PARAM_INVALID},
    {"backend_token_allow", "{\\\"backend_token_allow_users\\\": \\\"a\\\"}", SL_E_PARAM_INVALID},
    {"backend_token_allow", "{\\\"backend_token_allow_users\\\": [\\\"(\\\"]}", SL_E_PARAM_INVALID},
    {"backend_token_allow", "{\\\"backend_token_allow_users\\\": [{\\\"name\\\": \\\"a\\\"}]}",
     SL_E_PARAM_INVALID},
    {"backend_token_allow", "{\\\"backend_token_allow_users\\\": [\\\"a)|(b\\\"]}",
     SL_E_PARAM_INVALID},
    {"sse_strategy", "", SL_E_PARAM_MISSING},
    {"real_ip_from_xff", "{\\\"enable\\\": \\\"on\\\", \\\"xff_index\\\": 2147483648}",
     SL_E_PARAM_RANGE},
    {"real_ip_header_getter", "{\\\"enable\\\": \\\"on\\\"}", SL_E_PARAM_MISSING},
    {"real_ip_header_getter",
     "{\\\"enable\\\": \\\"on\\\", \\\"header_getter\\\": \\\"cookie:abcd\\\"}",
     SL_E_PARAM_INVALID},
    {"real_ip_header_getter",
     "{\\\"enable\\\": \\\"on\\\", \\\"header_getter\\\": \\\"header:a b\\\"}", SL_E_PARAM_INVALID},
    {"default_group_host_trustlist",
     "{\\\"enable\\\": \\\"on\\\", \\\"hosts\\\": [\\\"::1\\\", \\\"host.example\\\"]}",
     SL_E_PARAM_INVALID},
    {"default_group_host_trustlist",
     "{\\\"enable\\\": \\\"on\\\", \\\"hosts\\\": \\\"192.0.2.1\\\"}", SL_E_PARAM_INVALID},
    {"sse_strategy", "ON", SL_E_PARAM_INVALID},
    {"ratelimit", "[1]", SL_E_PARAM_INVALID},
    {"ratelimit", "{\\\"limit\\\": 5}", SL_E_PARAM_INVALID},
    {"ratelimit", "{\\\"api_limits\\\": true}", SL_E_PARAM_INVALID},
    {"ratelimit", "{\\\"api_limits\\\": 1000001}", SL_E_PARAM_RANGE},
    {"backend_timeout", "{\\\"max_timeout\\\": 0}", SL_E_PARAM_RANGE},
    {"request_body_size", "{\\\"request_body_size\\\": 1048576}", SL_E_PARAM_INVALID},
    {"request_body_size", "1 MB", SL_E_PARAM_INVALID},
    {"request_body_size", "9999220737", SL_E_PARAM_RANGE},
};

static void
what_cannot_be_set_is_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(refusals); i++) {
        assert_int_equal(set(f, refusals[i].name, "true", refusals[i].config), -1);
        if (f->err.code != refusals[i].code) {
            fail_msg("%s %s: %s", refusals[i].name, refusals[i].config, sl_error_name(f->err.code));
        }
    }
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM feature WHERE instance_id = '%s'", f->gateway);
    assert_int_equal(fixture_count(f, sql), 0);
}

// How many settings of this name the gateway has, whatever they say.
static int64_t
settings_called(struct fixture *f, const char *name, const char *value)
{
    return fixture_count(
        f, sl_arena_printf(f->arena,
                           "SELECT count(*) FROM gateway_setting WHERE instance_id = '%s'"
                           " AND name = '%s' AND value = '%s'",
                           f->gateway, name, value));
}

static void
a_switch_is_a_setting_of_its_name(void **state)
{
    struct fixture *f = *state;
    allow_changes(f);
    assert_int_equal(set(f, "sse_strategy", "true", "on"), 0);
    assert_int_equal(settings_called(f, "sse_strategy", "on"), 1);
    assert_int_equal(set(f, "sse_strategy", "true", "off"), 0);
    assert_int_equal(settings_called(f, "sse_strategy", "off"), 1);
    assert_int_equal(set(f, "sse_strategy", "false", "on"), 0);
    assert_int_equal(settings_called(f, "sse_strategy", "on"), 0);
    // One without a configuration is a setting as long as it is enabled.
    assert_int_equal(set(f, "api_uri_no_escape", "true", ""), 0);
    assert_int_equal(settings_called(f, "api_uri_no_escape", ""), 1);
    assert_int_equal(set(f, "api_uri_no_escape", "false", ""), 0);
    assert_int_equal(settings_called(f, "api_uri_no_escape", ""), 0);
    // The members of an object are settings of their own, white space before it or not.
    assert_int_equal(set(f, "ratelimit", "true", "\\n {\\\"api_limits\\\": \\\"9\\\"}"), 0);
    assert_int_equal(settings_called(f, "api_default_limit", "9"), 1);
}

static void
a_fixed_feature_is_there_and_can_only_be_said_to_be(void **state)
{
    struct fixture *f = *state;
    allow_changes(f);
    static const char *const names[] = {"app_acl", "vpc_backup"};
    for (size_t i = 0; i < SL_COUNT(names); i++) {
        assert_int_equal(set(f, names[i], "true", ""), 0);
        assert_int_equal(set(f, names[i], "false", ""), -1);
        assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
        assert_string_equal(f->err.args[0], "enable");
    }
}

static int
refuse_odd(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    (void)arena;
    return json_array_size(value) % 2 == 1 ? sl_fail(err, SL_E_PARAM_RANGE, where) : 0;
}

static int
refuse_many(struct sl_arena *arena, const json_t *value, const char *where, struct sl_error *err)
{
    (void)arena;
    return json_object_size(value) > 3 ? sl_fail(err, SL_E_PARAM_INVALID, where) : 0;
}

static const char *const colours[] = {"red", "blue", NULL};
static const struct feature_part motley_parts[] = {
    {.name = "enable", .type = FEATURE_SWITCH, .required = true},
    {.name = "colour", .type = FEATURE_WORD, .words = colours, .required = true},
    {.name = "key", .type = FEATURE_TEXT, .min = 2, .max = 4, .secret = true},
    {.name = "list", .type = FEATURE_JSON, .check = refuse_odd},
    {.name = "size", .type = FEATURE_NUMBER, .min = -2, .max = 2},
    {.type = FEATURE_END},
};
static const struct feature motley = {
    .name = "motley", .parts = motley_parts, .check = refuse_many};

static void
every_type_of_member_is_checked_and_named(void **state)
{
    static const struct {
        const char *config;
        enum sl_code code; // SL_E_INTERNAL: it passes
        const char *named;
    } rows[] = {
        {"{\"enable\":\"on\",\"colour\":\"red\",\"size\":-2}", SL_E_INTERNAL, NULL},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"list\":[1,2]}", SL_E_INTERNAL, NULL},
        {"{\"enable\":\"off\"}", SL_E_INTERNAL, NULL},
        {"{\"enable\":\"off\",\"colour\":\"green\"}", SL_E_PARAM_INVALID, "config.colour"},
        {"{\"enable\":\"on\"}", SL_E_PARAM_MISSING, "config.colour"},
        {"{\"colour\":\"red\"}", SL_E_PARAM_MISSING, "config.enable"},
        {"{\"enable\":true,\"colour\":\"red\"}", SL_E_PARAM_INVALID, "config.enable"},
        {"{\"enable\":\"yes\",\"colour\":\"red\"}", SL_E_PARAM_INVALID, "config.enable"},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"size\":3}", SL_E_PARAM_RANGE, "config.size"},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"key\":\"k\"}", SL_E_PARAM_INVALID, "config.key"},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"key\":55}", SL_E_PARAM_INVALID, "config.key"},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"list\":[1]}", SL_E_PARAM_RANGE, "config.list"},
        {"{\"enable\":\"on\",\"colour\":\"red\",\"list\":[],\"size\":1}", SL_E_PARAM_INVALID,
         "config"},
        {"\"on\"", SL_E_PARAM_INVALID, "config"},
        {"{\"enable\":\"on\"", SL_E_PARAM_INVALID, "config"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct feature_config kept;
        bool passes = rows[i].code == SL_E_INTERNAL;
        int rc = feature_check(f->arena, &motley, rows[i].config, true, &kept, &f->err);
        if ((rc == 0) != passes || (!passes && (f->err.code != rows[i].code ||
                                                strcmp(f->err.args[0], rows[i].named) != 0))) {
            fail_msg("%s: %s %s", rows[i].config, sl_error_name(f->err.code), f->err.args[0]);
        }
    }
}

static void
a_secret_member_is_kept_apart(void **state)
{
    struct fixture *f = *state;
    struct feature_config kept;
    const char *config = "{\"enable\": \"on\", \"colour\": \"red\", \"key\": \"1234\"}";
    assert_int_equal(feature_check(f->arena, &motley, config, true, &kept, &f->err), 0);
    assert_string_equal(kept.text, "{\"enable\":\"on\",\"colour\":\"red\"}");
    assert_string_equal(kept.secret, "{\"key\":\"1234\"}");
    config = "{\"enable\": \"on\", \"colour\": \"red\"}";
    assert_int_equal(feature_check(f->arena, &motley, config, true, &kept, &f->err), 0);
    assert_string_equal(kept.text, config);
    assert_null(kept.secret);
}

static void
a_secret_is_sealed_and_stands_nowhere_else(void **state)
{
    // A key that belongs to no certificate: what is stored is looked at, not what is said of it.
    static const char config[] = "{\\\"enable\\\": \\\"off\\\", \\\"key\\\": \\\"hush\\\"}";
    struct fixture *f = *state;
    assert_int_equal(set(f, "backend_client_certificate", "true", config), 0);
    assert_string_equal(fixture_text(f, "config"), "{\"enable\":\"off\"}");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM feature WHERE config LIKE '%hush%'"),
                     0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM feature WHERE secret IS NOT NULL"), 1);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM audit a WHERE a::text LIKE '%hush%'"),
                     0);
    assert_int_equal(settings_called(f, "backend_client_certificate.enable", "off"), 1);
    fixture_sql(f, "UPDATE feature SET update_time = now() - interval '60 seconds'");
    assert_int_equal(set(f, "backend_client_certificate", "false", ""), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM feature WHERE secret IS NOT NULL"), 0);
}

static void
what_nodes_obey_can_be_set(void **state)
{
    (void)state;
    for (enum sl_feature i = 0; i < SL_FEATURE_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%s", sl_feature_name(i));
        char *member = strchr(name, '.');
        if (member != NULL) {
            *member++ = '\0';
        }
        const struct feature *feature = feature_find(name);
        assert_non_null(feature);
        if (feature->is_switched) {
            assert_null(member);
            continue;
        }
        const struct feature_part *part = feature->parts;
        while (part->type != FEATURE_END && member != NULL && strcmp(part->name, member) != 0) {
            part++;
        }
        assert_int_not_equal(part->type, FEATURE_END);
    }
    for (size_t i = 1; i < feature_count; i++) {
        assert_true(strcmp(feature_table[i - 1].name, feature_table[i].name) < 0);
    }
}

static void
names_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "feature.names", "", "{\"limit\": 500}", ""), 0);
    int64_t total = fixture_number(f, "total");
    assert_int_equal(total, feature_count);
    assert_int_equal(json_array_size(json_object_get(f->body, "features")), total);
    assert_int_equal(fixture_call(f, "feature.names", "", "{\"limit\": 1, \"offset\": 1}", ""), 0);
    assert_int_equal(fixture_number(f, "size"), 1);
    assert_int_equal(fixture_number(f, "total"), total);
    assert_int_equal(fixture_call(f, "feature.names", "", "{\"offset\": 400}", ""), 0);
    assert_int_equal(fixture_number(f, "size"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_feature_goes_before_the_setting_and_gives_way_when_off),
        FIXTURE_TEST(a_plain_number_is_its_own_configuration),
        FIXTURE_TEST(setting_one_republishes_the_gateway),
        FIXTURE_TEST(it_is_changed_once_a_minute_only),
        FIXTURE_TEST(what_cannot_be_set_is_refused),
        FIXTURE_TEST(a_switch_is_a_setting_of_its_name),
        FIXTURE_TEST(a_fixed_feature_is_there_and_can_only_be_said_to_be),
        FIXTURE_TEST(every_type_of_member_is_checked_and_named),
        FIXTURE_TEST(a_secret_member_is_kept_apart),
        FIXTURE_TEST(a_secret_is_sealed_and_stands_nowhere_else),
        FIXTURE_TEST(what_nodes_obey_can_be_set),
        FIXTURE_TEST(names_are_listed_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
