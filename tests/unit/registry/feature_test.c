// feature_test.c - features: what is known, what is here, what a configuration may be.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

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

static void
what_cannot_be_set_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *config;
        enum sl_code code;
    } rows[] = {
        {"app-api-key", "on", SL_E_FEATURE_UNKNOWN},
        {"", "on", SL_E_FEATURE_UNKNOWN},
        {"api_uri_no_escape", "", SL_E_FEATURE_UNSUPPORTED},
        {"vpc_name_modifiable", "on", SL_E_FEATURE_UNSUPPORTED},
        {"ratelimit", "", SL_E_PARAM_MISSING},
        {"ratelimit", "[1]", SL_E_PARAM_INVALID},
        {"ratelimit", "{\\\"limit\\\": 5}", SL_E_PARAM_INVALID},
        {"ratelimit", "{\\\"api_limits\\\": true}", SL_E_PARAM_INVALID},
        {"ratelimit", "{\\\"api_limits\\\": 1000001}", SL_E_PARAM_RANGE},
        {"backend_timeout", "{\\\"max_timeout\\\": 0}", SL_E_PARAM_RANGE},
        {"request_body_size", "{\\\"request_body_size\\\": 1048576}", SL_E_PARAM_INVALID},
        {"request_body_size", "1 MB", SL_E_PARAM_INVALID},
        {"request_body_size", "9999220737", SL_E_PARAM_RANGE},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(set(f, rows[i].name, "true", rows[i].config), -1);
        if (f->err.code != rows[i].code) {
            fail_msg("%s %s: %s", rows[i].name, rows[i].config, sl_error_name(f->err.code));
        }
    }
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM feature WHERE instance_id = '%s'", f->gateway);
    assert_int_equal(fixture_count(f, sql), 0);
}

static void
names_are_listed_in_pages(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "feature.names", "", "", ""), 0);
    int64_t total = fixture_number(f, "total");
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
        FIXTURE_TEST(names_are_listed_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
