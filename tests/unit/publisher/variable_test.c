// variable_test.c - variables: resolving, whose are read, what they keep from being published.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "services/publisher/compile.h"

#define RELEASE "DEFAULT_ENVIRONMENT_RELEASE_ID"

static const struct variable some[] = {{"one", "1"}, {"One", "a.b"}, {"two", "#one#"}};
static const struct variables variables = {some, SL_COUNT(some), NULL};

static void
every_name_becomes_its_value_once(void **state)
{
    static const struct {
        const char *text, *resolved;
    } rows[] = {{"", ""},
                {"/plain", "/plain"},
                {"#one#", "1"},
                {"#one##One#", "1a.b"},
                {"/x#One#/y#one#z", "/xa.b/y1z"},
                {"#two#", "#one#"}};
    const struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sl_error err;
        const char *text = NULL;
        assert_int_equal(variables_resolve(f->arena, &variables, rows[i].text, &text, &err), 0);
        assert_string_equal(text, rows[i].resolved);
    }
}

static void
the_first_that_is_missing_is_named(void **state)
{
    static const char *const rows[][2] = {
        {"#ONE#", "ONE"}, {"#one##three##four#", "three"}, {"a#three", "three"}, {"##", ""}};
    const struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        struct sl_error err;
        const char *text = NULL;
        assert_int_equal(variables_resolve(f->arena, &variables, rows[i][0], &text, &err), -1);
        assert_int_equal(err.code, SL_E_VARIABLE_UNDEFINED);
        assert_string_equal(err.args[0], rows[i][1]);
    }
}

// A variable of the fixture's group, or of another, in the environment RELEASE.
static void
set(struct fixture *f, const char *group, const char *name, const char *value)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO env_variable (instance_id, id, group_id, env_id,"
                                   " variable_name, variable_value) VALUES ('%s', 'v' || '%s' ||"
                                   " '%s', '%s', '" RELEASE "', '%s', '%s')",
                                   f->gateway, group, name, group, name, value));
}

static void
backend(struct fixture *f, const char *address, const char *path)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api SET backend_type = 'HTTP', backend_api ="
                                   " '{\"url_domain\": \"%s\", \"req_uri\": \"%s\","
                                   " \"req_protocol\": \"HTTP\", \"req_method\": \"GET\"}'"
                                   " WHERE id = '%s'",
                                   address, path, f->api));
}

// The backend that the fixture's API has for nodes now.
static struct sl_http_backend
compiled(struct fixture *f)
{
    const char *key = fixture_text(f, "SELECT publish_id FROM publication ORDER BY publish_time"
                                      " DESC LIMIT 1");
    SL_AUTO(sl_tx) tx = sl_tx_begin(f->thread.db, &f->err);
    assert_non_null(tx);
    struct compile c = {tx, f->arena, &f->publisher, f->gateway};
    struct sl_entry entry = {.kind = SL_KIND_API};
    bool found = false;
    assert_int_equal(compile_api(&c, key, &entry, &found, &f->err), 0);
    assert_true(found);
    assert_int_equal(sl_entry_min_reader(&entry), entry.api.http.host[0] == '\0' ? 4 : 1);
    return entry.api.http;
}

static void
only_the_variables_of_the_group_in_the_environment_count(void **state)
{
    struct fixture *f = *state;
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO api_group (instance_id, id, name, sl_domain)"
                                   " VALUES ('%s', 'other', 'o', 'o%s.example.com')",
                                   f->gateway, f->group));
    set(f, "other", "host", "elsewhere");
    backend(f, "#host#:81", "/#path#/#path#");
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_int_equal(f->err.code, SL_E_VARIABLE_UNDEFINED);
    assert_string_equal(f->err.args[0], "host");
    set(f, f->group, "host", "Back");
    set(f, f->group, "path", "v1");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    struct sl_http_backend http = compiled(f);
    assert_string_equal(http.host, "back");
    assert_string_equal(http.path, "/v1/v1");
    assert_int_equal(http.port, 81);
}

static void
what_makes_no_address_is_refused_and_leaves_no_version(void **state)
{
    static const char *const values[] = {"a/b",    "a:0", "a:65536", "a:b:80", ":80",
                                         "-a.com", "a-",  ".a",      "a:",     "a:80/x"};
    struct fixture *f = *state;
    backend(f, "#host#", "/");
    set(f, f->group, "host", "x");
    for (size_t i = 0; i < SL_COUNT(values); i++) {
        fixture_sql(f, sl_arena_printf(f->arena,
                                       "UPDATE env_variable SET variable_value = '%s'"
                                       " WHERE instance_id = '%s'",
                                       values[i], f->gateway));
        assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
        assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
        assert_string_equal(f->err.args[0], "backend_api.url_domain");
    }
    const char *versions =
        sl_arena_printf(f->arena, "SELECT count(*) FROM api_version WHERE api_id = '%s'", f->api);
    assert_int_equal(fixture_number(f, versions), 0);
}

static void
a_path_longer_than_paths_are_is_refused(void **state)
{
    struct fixture *f = *state;
    char value[201];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    backend(f, "back", "/#path##path##path#");
    set(f, f->group, "path", value);
    assert_int_equal(fixture_action(f, NULL, "online", 0), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
    assert_string_equal(f->err.args[0], "backend_api.req_uri");
    backend(f, "back", "/#path##path#");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
}

static void
one_that_is_gone_later_takes_the_host_along(void **state)
{
    struct fixture *f = *state;
    backend(f, "#host#", "/");
    set(f, f->group, "host", "back");
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    assert_string_equal(compiled(f).host, "back");
    fixture_sql(f, "UPDATE env_variable SET variable_value = 'no/host'");
    assert_string_equal(compiled(f).host, "");
    fixture_sql(f, "DELETE FROM env_variable");
    assert_string_equal(compiled(f).host, "");
    assert_string_equal(compiled(f).path, "/");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_name_becomes_its_value_once),
        FIXTURE_TEST(the_first_that_is_missing_is_named),
        FIXTURE_TEST(only_the_variables_of_the_group_in_the_environment_count),
        FIXTURE_TEST(what_makes_no_address_is_refused_and_leaves_no_version),
        FIXTURE_TEST(a_path_longer_than_paths_are_is_refused),
        FIXTURE_TEST(one_that_is_gone_later_takes_the_host_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
