// env_variable_test.c - variables: their place, their quota, who is republished.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define RELEASE "DEFAULT_ENVIRONMENT_RELEASE_ID"

static int
make(struct fixture *f, const char *group, const char *env, const char *name, const char *value)
{
    return fixture_call(f, "env_variable.create", "", "",
                        sl_arena_printf(f->arena,
                                        "{\"group_id\": \"%s\", \"env_id\": \"%s\","
                                        " \"variable_name\": \"%s\", \"variable_value\": \"%s\"}",
                                        group, env, name, value));
}

static int64_t
touched(struct fixture *f)
{
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_change WHERE gateway_id = '%s' AND kind = 'api'",
        f->gateway);
    return fixture_count(f, sql);
}

static void
names_are_unique_in_their_place_and_keep_their_case(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *other = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    assert_int_equal(make(f, group, RELEASE, "address", "a"), 0);
    assert_string_equal(fixture_text(f, "variable_name"), "address");
    assert_string_equal(fixture_text(f, "env_id"), RELEASE);
    assert_int_equal(make(f, group, RELEASE, "address", "b"), -1);
    assert_int_equal(f->err.code, SL_E_VARIABLE_EXISTS);
    assert_int_equal(make(f, group, RELEASE, "ADDRESS", "b"), 0);
    assert_int_equal(make(f, other, RELEASE, "address", "b"), 0);
    assert_int_equal(make(f, "nope", RELEASE, "address", "b"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
    assert_int_equal(make(f, group, "nope", "address", "b"), -1);
    assert_int_equal(f->err.code, SL_E_ENV_NOT_FOUND);
}

static void
a_place_holds_so_many_and_no_more(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *env = fixture_create(f, "env.create", "", "{\"name\": \"DEV\"}");
    const char *body = sl_arena_printf(
        f->arena, "{\"id\": \"%s\", \"settings\": {\"quota_env_variables\": \"1\"}}", f->gateway);
    assert_int_equal(fixture_admin(f, "instance.set", body), 0);
    assert_int_equal(make(f, group, RELEASE, "one", "1"), 0);
    const char *id = fixture_text(f, "id");
    assert_int_equal(make(f, group, RELEASE, "two", "2"), -1);
    assert_int_equal(f->err.code, SL_E_VARIABLE_QUOTA);
    assert_int_equal(make(f, group, env, "two", "2"), 0);
    const char *path = fixture_path(f, "env_variable_id", id);
    assert_int_equal(fixture_call(f, "env_variable.delete", path, "", ""), 0);
    assert_int_equal(make(f, group, RELEASE, "two", "2"), 0);
}

static void
only_apis_that_use_it_are_republished(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_uses", "/uses", true);
    fixture_api(f, group, "Api_not", "/not", true);
    fixture_sql(f, "UPDATE api_version SET definition = definition || '{\"backend_api\":"
                   " {\"url_domain\": \"#host#:80\"}}' WHERE definition ->> 'name' = 'Api_uses'");
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(make(f, group, RELEASE, "hos", "x"), 0);
    assert_int_equal(make(f, group, RELEASE, "HOST", "x"), 0);
    assert_int_equal(touched(f), 0);
    assert_int_equal(make(f, group, RELEASE, "host", "x"), 0);
    assert_int_equal(touched(f), 1);
    const char *path = fixture_path(f, "env_variable_id", fixture_text(f, "id"));
    assert_int_equal(
        fixture_call(f, "env_variable.update", path, "", "{\"variable_value\": \"y\"}"), 0);
    assert_string_equal(fixture_text(f, "variable_value"), "y");
    assert_int_equal(touched(f), 2);
    assert_int_equal(fixture_call(f, "env_variable.delete", path, "", ""), 0);
    assert_int_equal(touched(f), 3);
    assert_int_equal(fixture_call(f, "env_variable.read", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_VARIABLE_NOT_FOUND);
}

static void
variables_go_with_their_group_and_their_environment(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *env = fixture_create(f, "env.create", "", "{\"name\": \"DEV\"}");
    const char *left = sl_arena_printf(
        f->arena, "SELECT count(*) FROM env_variable WHERE instance_id = '%s'", f->gateway);
    assert_int_equal(make(f, group, env, "one", "1"), 0);
    assert_int_equal(make(f, group, RELEASE, "one", "1"), 0);
    assert_int_equal(fixture_call(f, "env.delete", fixture_path(f, "env_id", env), "", ""), 0);
    assert_int_equal(fixture_count(f, left), 1);
    assert_int_equal(fixture_call(f, "group.delete", fixture_path(f, "group_id", group), "", ""),
                     0);
    assert_int_equal(fixture_count(f, left), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(names_are_unique_in_their_place_and_keep_their_case),
        FIXTURE_TEST(a_place_holds_so_many_and_no_more),
        FIXTURE_TEST(only_apis_that_use_it_are_republished),
        FIXTURE_TEST(variables_go_with_their_group_and_their_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
