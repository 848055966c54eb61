// throttle_test.c - policies, their bindings, environments.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define LIMITS ", \"time_interval\": 1, \"time_unit\": \"HOUR\", \"api_call_limits\": 800"

static const char *
new_policy(struct fixture *f, const char *name)
{
    return fixture_create(f, "throttle.create", "",
                          sl_arena_printf(f->arena, "{\"name\": \"%s\"" LIMITS "}", name));
}

static const char *
new_api(struct fixture *f)
{
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    return fixture_api(f, group, "Api_one", "/one", true);
}

static int
bind(struct fixture *f, const char *policy, const char *publish_id)
{
    return fixture_call(f, "throttle_binding.create", "", "",
                        sl_arena_printf(f->arena,
                                        "{\"strategy_id\": \"%s\", \"publish_ids\": [\"%s\"]}",
                                        policy, publish_id));
}

static const char *
bound(const struct fixture *f, const char *name)
{
    const json_t *records = json_object_get(f->body, "throttle_applys");
    return json_string_value(json_object_get(json_array_get(records, 0), name));
}

static void
a_policy_is_answered_whole(void **state)
{
    struct fixture *f = *state;
    fixture_create(f, "throttle.create", "",
                   "{\"name\": \"throttle_demo\", \"remark\": \"r\", \"user_call_limits\": 500,"
                   " \"app_call_limits\": 300, \"ip_call_limits\": 600" LIMITS "}");
    assert_int_equal(fixture_number(f, "type"), 1);
    assert_int_equal(fixture_number(f, "bind_num"), 0);
    assert_int_equal(fixture_number(f, "is_inclu_special_throttle"), 2);
    assert_int_equal(fixture_number(f, "app_call_limits"), 300);
    assert_string_equal(fixture_text(f, "enable_adaptive_control"), "FALSE");
    assert_non_null(json_object_get(f->body, "create_time"));
}

static void
no_limit_exceeds_the_wider_one(void **state)
{
    static const char *const limits[][2] = {
        {"\"user_call_limits\": 801", "user_call_limits"},
        {"\"app_call_limits\": 801", "app_call_limits"},
        {"\"user_call_limits\": 300, \"app_call_limits\": 301", "app_call_limits"},
        {"\"ip_call_limits\": 801", "ip_call_limits"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(limits); i++) {
        const char *body =
            sl_arena_printf(f->arena, "{\"name\": \"throttle\"" LIMITS ", %s}", limits[i][0]);
        assert_int_equal(fixture_call(f, "throttle.create", "", "", body), -1);
        assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
        assert_string_equal(f->err.args[0], limits[i][1]);
    }
    const char *id = new_policy(f, "throttle");
    assert_int_equal(fixture_call(f, "throttle.update", fixture_path(f, "throttle_id", id), "",
                                  "{\"ip_call_limits\": 801}"),
                     -1);
    assert_int_equal(fixture_call(f, "throttle.update", fixture_path(f, "throttle_id", id), "",
                                  "{\"api_call_limits\": 900, \"ip_call_limits\": 801}"),
                     0);
    assert_int_equal(fixture_call(f, "throttle.update", fixture_path(f, "throttle_id", id), "",
                                  "{\"api_call_limits\": 5, \"ip_call_limits\": 0}"),
                     0);
    assert_null(json_object_get(f->body, "ip_call_limits")); // 0 took it away
}

static void
a_window_that_no_node_can_count_is_refused(void **state)
{
    static const struct {
        const char *unit;
        const char *interval;
        bool fits;
    } rows[] = {
        {"SECOND", "1000000000", true},  {"SECOND", "1000000001", false},
        {"DAY", "11574", true},          {"DAY", "11575", false},
        {"HOUR", "277777", true},        {"HOUR", "277778", false},
        {"MINUTE", "16666666", true},    {"MINUTE", "16666667", false},
        {"MINUTE", "2147483647", false},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *body = sl_arena_printf(f->arena,
                                           "{\"name\": \"t_%zu\", \"api_call_limits\": 1,"
                                           " \"time_unit\": \"%s\", \"time_interval\": %s}",
                                           i, rows[i].unit, rows[i].interval);
        assert_int_equal(fixture_call(f, "throttle.create", "", "", body), rows[i].fits ? 0 : -1);
        if (!rows[i].fits) {
            assert_int_equal(f->err.code, SL_E_PARAM_RANGE);
            assert_string_equal(f->err.args[0], "time_interval");
        }
    }
    const char *id = new_policy(f, "hours");
    assert_int_equal(fixture_call(f, "throttle.update", fixture_path(f, "throttle_id", id), "",
                                  "{\"time_interval\": 1193047}"),
                     -1);
    assert_string_equal(f->err.args[0], "time_interval");
}

static void
policies_of_an_api_are_listed_with_their_bindings(void **state)
{
    struct fixture *f = *state;
    const char *api = new_api(f);
    const char *policy = new_policy(f, "throttle");
    const char *of_api = fixture_path(f, "api_id", api);
    assert_int_equal(fixture_call(f, "bound_throttle.list", "", of_api, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(bind(f, policy, api), 0);
    const char *binding = bound(f, "id");
    const char *query = sl_arena_printf(f->arena,
                                        "{\"api_id\": \"%s\", \"throttle_name\": \"THROT\","
                                        " \"throttle_id\": \"%s\","
                                        " \"env_id\": \"DEFAULT_ENVIRONMENT_RELEASE_ID\"}",
                                        api, policy);
    assert_int_equal(fixture_call(f, "bound_throttle.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    const json_t *listed = json_array_get(json_object_get(f->body, "throttles"), 0);
    assert_string_equal(json_string_value(json_object_get(listed, "id")), policy);
    assert_string_equal(json_string_value(json_object_get(listed, "bind_id")), binding);
    assert_string_equal(json_string_value(json_object_get(listed, "env_name")), "RELEASE");
    assert_int_equal(json_integer_value(json_object_get(listed, "bind_num")), 1);
    query = sl_arena_printf(f->arena, "{\"api_id\": \"%s\", \"env_id\": \"nope\"}", api);
    assert_int_equal(fixture_call(f, "bound_throttle.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(fixture_call(f, "bound_throttle.list", "", "{\"api_id\": \"nope\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

static void
a_changed_policy_is_republished_once(void **state)
{
    struct fixture *f = *state;
    const char *id = new_policy(f, "throttle");
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "throttle.update", fixture_path(f, "throttle_id", id), "",
                                  "{\"api_call_limits\": 3}"),
                     0);
    const char *sql =
        sl_arena_printf(f->arena,
                        "SELECT count(*) FROM runtime_change WHERE kind = 'throttle' AND key = '%s'"
                        " AND gateway_id = '%s'",
                        id, f->gateway);
    assert_int_equal(fixture_count(f, sql), 1);
}

static void
a_bound_policy_stays_until_it_is_unbound(void **state)
{
    struct fixture *f = *state;
    const char *api = new_api(f);
    const char *policy = new_policy(f, "throttle");
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(bind(f, policy, api), 0);
    assert_string_equal(bound(f, "publish_id"), api);
    assert_string_equal(bound(f, "strategy_id"), policy);
    const char *binding = bound(f, "id");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'api'"), 1);
    const char *path = fixture_path(f, "throttle_id", policy);
    assert_int_equal(fixture_call(f, "throttle.read", path, "", ""), 0);
    assert_int_equal(fixture_number(f, "bind_num"), 1);
    assert_int_equal(fixture_call(f, "throttle.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_IN_USE);
    const char *binding_path = fixture_path(f, "throttle_binding_id", binding);
    assert_int_equal(fixture_call(f, "throttle_binding.delete", binding_path, "", ""), 0);
    assert_int_equal(fixture_call(f, "throttle_binding.delete", binding_path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_BINDING_NOT_FOUND);
    assert_int_equal(fixture_call(f, "throttle.delete", path, "", ""), 0);
}

static void
another_policy_replaces_the_bound_one(void **state)
{
    struct fixture *f = *state;
    const char *api = new_api(f);
    const char *first = new_policy(f, "first");
    const char *second = new_policy(f, "second");
    assert_int_equal(bind(f, first, api), 0);
    const char *id = bound(f, "id");
    assert_int_equal(bind(f, second, api), 0);
    assert_string_equal(bound(f, "id"), id);
    assert_string_equal(bound(f, "strategy_id"), second);
    assert_int_equal(
        fixture_call(f, "throttle.delete", fixture_path(f, "throttle_id", first), "", ""), 0);
}

static void
unknown_policies_and_publications_cannot_be_bound(void **state)
{
    struct fixture *f = *state;
    const char *api = new_api(f);
    const char *policy = new_policy(f, "throttle");
    assert_int_equal(bind(f, "nope", api), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_NOT_FOUND);
    assert_string_equal(f->err.args[0], "nope");
    assert_int_equal(bind(f, policy, "nope"), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
    fixture_sql(f, "UPDATE publication SET version_id = NULL");
    assert_int_equal(bind(f, policy, api), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
}

static void
release_is_there_and_cannot_be_renamed_or_deleted(void **state)
{
    struct fixture *f = *state;
    const char *path = fixture_path(f, "env_id", ENV_RELEASE_ID);
    assert_int_equal(fixture_call(f, "env.list", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    assert_int_equal(fixture_call(f, "env.update", path, "", "{\"name\": \"OTHER\"}"), -1);
    assert_int_equal(f->err.code, SL_E_ENV_FIXED);
    assert_int_equal(
        fixture_call(f, "env.update", path, "", "{\"name\": \"RELEASE\", \"remark\": \"x\"}"), 0);
    assert_string_equal(fixture_text(f, "remark"), "x");
    assert_int_equal(fixture_call(f, "env.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_ENV_FIXED);
}

static void
environments_come_and_go(void **state)
{
    struct fixture *f = *state;
    const char *id = fixture_create(f, "env.create", "", "{\"name\": \"DEV\", \"remark\": \"d\"}");
    const char *path = fixture_path(f, "env_id", id);
    assert_int_equal(fixture_call(f, "env.create", "", "", "{\"name\": \"DEV\"}"), -1);
    assert_int_equal(f->err.code, SL_E_ENV_EXISTS);
    assert_int_equal(fixture_call(f, "env.list", "", "{\"name\": \"DE\"}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    assert_int_equal(fixture_call(f, "env.delete", path, "", ""), 0);
    assert_int_equal(fixture_call(f, "env.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_ENV_NOT_FOUND);
}

static void
an_environment_in_use_stays_and_its_new_name_is_republished(void **state)
{
    struct fixture *f = *state;
    const char *api = new_api(f);
    const char *id = fixture_create(f, "env.create", "", "{\"name\": \"DEV\"}");
    const char *path = fixture_path(f, "env_id", id);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO publication (instance_id, publish_id, api_id,"
                                   " env_id, version_id) SELECT instance_id, 'dev', api_id, '%s',"
                                   " version_id FROM publication WHERE publish_id = '%s'",
                                   id, api));
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "env.update", path, "", "{\"name\": \"TEST\"}"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'api'"
                                      " AND key = 'dev'"),
                     1);
    assert_int_equal(fixture_call(f, "env.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_ENV_IN_USE);
    fixture_sql(f, "UPDATE publication SET version_id = NULL WHERE publish_id = 'dev'");
    assert_int_equal(fixture_call(f, "env.delete", path, "", ""), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_policy_is_answered_whole),
        FIXTURE_TEST(no_limit_exceeds_the_wider_one),
        FIXTURE_TEST(a_window_that_no_node_can_count_is_refused),
        FIXTURE_TEST(policies_of_an_api_are_listed_with_their_bindings),
        FIXTURE_TEST(a_changed_policy_is_republished_once),
        FIXTURE_TEST(a_bound_policy_stays_until_it_is_unbound),
        FIXTURE_TEST(another_policy_replaces_the_bound_one),
        FIXTURE_TEST(unknown_policies_and_publications_cannot_be_bound),
        FIXTURE_TEST(release_is_there_and_cannot_be_renamed_or_deleted),
        FIXTURE_TEST(environments_come_and_go),
        FIXTURE_TEST(an_environment_in_use_stays_and_its_new_name_is_republished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
