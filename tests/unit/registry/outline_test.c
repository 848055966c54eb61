// outline_test.c - quantities and labels of a gateway.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

static void
apis_are_counted_by_what_release_has_of_them(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_one", "/one", true);
    fixture_api(f, group, "Api_two", "/two", false);
    fixture_api(f, group, "Api_three", "/three", false);
    assert_int_equal(fixture_call(f, "outline.apis", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "instance_num"), 3);
    assert_int_equal(fixture_number(f, "nums_on_release"), 1);
    assert_int_equal(fixture_number(f, "nums_off_release"), 2);
    fixture_sql(f, "UPDATE publication SET version_id = NULL");
    assert_int_equal(fixture_call(f, "outline.apis", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "nums_on_release"), 0);
}

static void
groups_and_apps_are_counted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fixture_call(f, "outline.groups", "", "", ""), 0);
    int64_t before = fixture_number(f, "onsell_nums"); // DEFAULT
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    assert_int_equal(fixture_call(f, "outline.groups", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "onsell_nums"), before + 1);
    assert_int_equal(fixture_number(f, "offsell_nums"), 0);
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    fixture_create(f, "app.create", "", "{\"name\": \"idle\"}");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "",
                                  sl_arena_printf(f->arena,
                                                  "{\"env_id\": \"" ENV_RELEASE_ID
                                                  "\", \"app_ids\": [\"%s\"], \"api_ids\": "
                                                  "[\"%s\"]}",
                                                  app, api)),
                     0);
    assert_int_equal(fixture_call(f, "outline.apps", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "authed_nums"), 1);
    assert_int_equal(fixture_number(f, "unauthed_nums"), 1);
}

static const char *
tag(const struct fixture *f, size_t index)
{
    return json_string_value(json_array_get(json_object_get(f->body, "tags"), index));
}

static void
a_label_is_listed_once_in_order(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_one", "/one", false);
    fixture_api(f, group, "Api_two", "/two", false);
    fixture_api(f, group, "Api_none", "/none", false);
    fixture_sql(f, "UPDATE api SET tags = '[\"web\", \"beta\"]' WHERE name = 'Api_one'");
    fixture_sql(f, "UPDATE api SET tags = '[\"web\", \"Alpha\"]' WHERE name = 'Api_two'");
    assert_int_equal(fixture_call(f, "tag.list", "", "", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 3);
    assert_string_equal(tag(f, 0), "Alpha");
    assert_string_equal(tag(f, 2), "web");
    assert_int_equal(fixture_call(f, "tag.list", "", "{\"limit\": 1, \"offset\": 1}", ""), 0);
    assert_int_equal(fixture_number(f, "size"), 1);
    assert_int_equal(fixture_number(f, "total"), 3);
    assert_string_equal(tag(f, 0), "beta");
}

static void
an_app_is_told_what_it_may_not_call_yet(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    fixture_api(f, group, "Api_two", "/two", true);
    fixture_api(f, group, "Api_off", "/off", false);
    fixture_sql(f, "UPDATE api SET auth_type = 'APP'");
    const char *app = fixture_create(f, "app.create", "", "{\"name\": \"app\"}");
    const char *query =
        sl_arena_printf(f->arena, "{\"app_id\": \"%s\", \"env_id\": \"" ENV_RELEASE_ID "\"}", app);
    assert_int_equal(fixture_call(f, "unbound_api.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(fixture_call(f, "app_auth.create", "", "",
                                  sl_arena_printf(f->arena,
                                                  "{\"env_id\": \"" ENV_RELEASE_ID
                                                  "\", \"app_ids\": [\"%s\"], \"api_ids\": "
                                                  "[\"%s\"]}",
                                                  app, api)),
                     0);
    assert_int_equal(fixture_call(f, "unbound_api.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    const json_t *left = json_array_get(json_object_get(f->body, "apis"), 0);
    assert_string_equal(json_string_value(json_object_get(left, "name")), "Api_two");
    assert_string_equal(json_string_value(json_object_get(left, "run_env_name")), "RELEASE");
    query = sl_arena_printf(f->arena, "{\"app_id\": \"%s\", \"env_id\": \"elsewhere\"}", app);
    assert_int_equal(fixture_call(f, "unbound_api.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(fixture_call(f, "unbound_api.list", "", "{\"app_id\": \"nope\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(apis_are_counted_by_what_release_has_of_them),
        FIXTURE_TEST(groups_and_apps_are_counted),
        FIXTURE_TEST(a_label_is_listed_once_in_order),
        FIXTURE_TEST(an_app_is_told_what_it_may_not_call_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
