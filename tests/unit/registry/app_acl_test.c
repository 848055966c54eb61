// app_acl_test.c - from where an app may call.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

static int
set(struct fixture *f, const char *app, const char *type, const char *values)
{
    return fixture_call(f, "app_acl.set", fixture_path(f, "app_id", app), "",
                        sl_arena_printf(f->arena,
                                        "{\"app_acl_type\": \"%s\", \"app_acl_values\": [%s]}",
                                        type, values));
}

static size_t
shown(struct fixture *f, const char *app)
{
    assert_int_equal(fixture_call(f, "app_acl.read", fixture_path(f, "app_id", app), "", ""), 0);
    return json_array_size(json_object_get(f->body, "app_acl_values"));
}

static void
a_list_replaces_the_one_before_and_goes(void **state)
{
    struct fixture *f = *state;
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    assert_int_equal(shown(f, app), 0);
    assert_int_equal(
        set(f, app, "PERMIT", "\"192.168.0.1\", \"192.168.0.5-192.168.0.10\", \"::/8\""), 0);
    assert_string_equal(fixture_text(f, "app_acl_type"), "PERMIT");
    assert_string_equal(fixture_text(f, "app_id"), app);
    assert_int_equal(shown(f, app), 3);
    assert_int_equal(set(f, app, "DENY", "\"10.0.0.0/8\""), 0);
    assert_int_equal(shown(f, app), 1);
    assert_string_equal(fixture_text(f, "app_acl_type"), "DENY");
    const char *path = fixture_path(f, "app_id", app);
    assert_int_equal(fixture_call(f, "app_acl.remove", path, "", ""), 0);
    assert_int_equal(shown(f, app), 0);
    assert_null(json_object_get(f->body, "app_acl_type"));
    assert_int_equal(fixture_call(f, "app_acl.remove", path, "", ""), 0);
}

static void
each_change_republishes_the_app(void **state)
{
    struct fixture *f = *state;
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_change WHERE kind = 'app' AND key = '%s'", app);
    int64_t before = fixture_count(f, sql);
    assert_int_equal(set(f, app, "DENY", "\"10.0.0.1\""), 0);
    assert_int_equal(fixture_count(f, sql), before + 1);
    assert_int_equal(fixture_call(f, "app_acl.remove", fixture_path(f, "app_id", app), "", ""), 0);
    assert_int_equal(fixture_count(f, sql), before + 2);
}

static void
wrong_values_are_named_and_unknown_apps_too(void **state)
{
    struct fixture *f = *state;
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    assert_int_equal(set(f, app, "DENY", "\"10.0.0.1\", \"10.0.0.9-10.0.0.1\""), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
    assert_string_equal(f->err.args[0], "app_acl_values[1]");
    assert_int_equal(shown(f, app), 0);
    assert_int_equal(set(f, "nope", "DENY", "\"10.0.0.1\""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
    assert_int_equal(fixture_call(f, "app_acl.read", "{\"app_id\": \"nope\"}", "", ""), -1);
    assert_int_equal(fixture_call(f, "app_acl.remove", "{\"app_id\": \"nope\"}", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
}

static void
a_list_goes_with_its_app(void **state)
{
    struct fixture *f = *state;
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    assert_int_equal(set(f, app, "DENY", "\"10.0.0.1\""), 0);
    assert_int_equal(fixture_call(f, "app.delete", fixture_path(f, "app_id", app), "", ""), 0);
    const char *sql =
        sl_arena_printf(f->arena, "SELECT count(*) FROM app_acl WHERE app_id = '%s'", app);
    assert_int_equal(fixture_count(f, sql), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_list_replaces_the_one_before_and_goes),
        FIXTURE_TEST(each_change_republishes_the_app),
        FIXTURE_TEST(wrong_values_are_named_and_unknown_apps_too),
        FIXTURE_TEST(a_list_goes_with_its_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
