// api_check_test.c - free names and paths; versions and what an environment serves.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

static int
check(struct fixture *f, const char *fields)
{
    return fixture_call(f, "api.check", "", "", sl_arena_printf(f->arena, "{%s}", fields));
}

// Whether Api_one is free, with one more field.
static int
check_one(struct fixture *f, const char *field, const char *value)
{
    return check(f, sl_arena_printf(f->arena,
                                    "\"type\": \"name\", \"name\": \"Api_one\", \"%s\": \"%s\"",
                                    field, value));
}

static void
a_taken_name_is_told_but_not_to_the_one_that_has_it(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *other = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", false);
    assert_int_equal(check(f, "\"type\": \"name\", \"name\": \"Api_two\""), 0);
    assert_int_equal(check(f, "\"type\": \"name\", \"name\": \"Api_one\""), -1);
    assert_int_equal(f->err.code, SL_E_API_NAME_TAKEN);
    assert_string_equal(f->err.args[0], "Api_one");
    assert_int_equal(check_one(f, "group_id", group), -1);
    assert_int_equal(check_one(f, "group_id", other), 0);
    assert_int_equal(check_one(f, "api_id", api), 0);
    assert_int_equal(check_one(f, "group_id", "nope"), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
}

static void
a_path_is_taken_whatever_its_parameters_are_called(void **state)
{
    static const struct {
        const char *uri;
        enum sl_code code; // SL_E_OK: free
    } rows[] = {
        {"/a/{x}", SL_E_API_EXISTS}, {"/a/{y}", SL_E_API_EXISTS},     {"/a/{y+}", SL_E_OK},
        {"/a/b", SL_E_OK},           {"/a/x{y}", SL_E_PARAM_INVALID},
    };
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    fixture_api(f, group, "Api_one", "/one", false);
    fixture_sql(f, "UPDATE api SET req_uri_shape = '/a/{}' WHERE name = 'Api_one'");
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        int rc = check(f, sl_arena_printf(f->arena,
                                          "\"type\": \"path\", \"req_method\": \"GET\","
                                          " \"match_mode\": \"NORMAL\", \"group_id\": \"%s\","
                                          " \"req_uri\": \"%s\"",
                                          group, rows[i].uri));
        assert_int_equal(rc, rows[i].code == SL_E_OK ? 0 : -1);
        if (rc != 0) {
            assert_int_equal(f->err.code, rows[i].code);
        }
    }
}

static void
a_version_shows_what_was_published(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *path = fixture_path(f, "api_id", api);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api_version v SET definition = to_jsonb(a) FROM api a"
                                   " WHERE a.instance_id = v.instance_id AND a.id = v.api_id AND"
                                   " a.id = '%s'",
                                   api));
    fixture_sql(f, "UPDATE api SET name = 'Api_new'");
    assert_int_equal(fixture_call(f, "api_version.list", path, "", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    const json_t *row = json_array_get(json_object_get(f->body, "api_versions"), 0);
    assert_int_equal(json_integer_value(json_object_get(row, "status")), 1);
    const char *id = sl_arena_dup(f->arena, json_string_value(json_object_get(row, "version_id")));
    assert_int_equal(fixture_call(f, "api_version.read", fixture_path(f, "version_id", id), "", ""),
                     0);
    assert_string_equal(fixture_text(f, "name"), "Api_one");
    assert_null(json_object_get(f->body, "instance_id"));
    assert_null(json_object_get(f->body, "req_uri_shape"));
    assert_non_null(json_object_get(f->body, "mock_info"));
    assert_int_equal(fixture_call(f, "api.runtime", path, "", ""), 0);
    assert_string_equal(fixture_text(f, "name"), "Api_one");
    assert_null(json_object_get(f->body, "mock_info"));
    assert_int_equal(fixture_call(f, "api.runtime", path, "{\"env_id\": \"nope\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
    assert_int_equal(fixture_call(f, "api.runtime", fixture_path(f, "api_id", "nope"), "", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_taken_name_is_told_but_not_to_the_one_that_has_it),
        FIXTURE_TEST(a_path_is_taken_whatever_its_parameters_are_called),
        FIXTURE_TEST(a_version_shows_what_was_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
