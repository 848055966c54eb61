// api_shown_test.c - what is stored of what APIs show is what their rows say, whatever was changed.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

// Rows of api_shown that are not what they have to be, and those that are missing.
static const char differ_sql[] =
    "SELECT count(*) FROM ((TABLE api_shown EXCEPT TABLE api_shown_due)"
    " UNION ALL (TABLE api_shown_due EXCEPT TABLE api_shown)) differing";

// Every row is as it has to be, and the test's gateway has as many.
static void
assert_shown(struct fixture *f, int64_t count)
{
    const char *sql = sl_arena_printf(
        f->arena, "SELECT count(*) FROM api_shown WHERE instance_id = '%s'", f->gateway);
    assert_int_equal(fixture_count(f, differ_sql), 0);
    assert_int_equal(fixture_count(f, sql), count);
}

static void
call(struct fixture *f, const char *name, const char *path, const char *body)
{
    if (fixture_call(f, name, path, "", body) != 0) {
        fail_msg("%s refused: %s %s", name, sl_error_name(f->err.code), f->err.detail);
    }
}

static void
update_publications(struct fixture *f, const char *set, const char *where)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE publication SET %s WHERE instance_id = '%s' AND %s", set,
                                   f->gateway, where));
}

// Puts an API that is online in RELEASE online in a second environment; the environment's id.
static const char *
publish_again(struct fixture *f, const char *id)
{
    const char *env = fixture_create(f, "env.create", "", "{\"name\": \"second\"}");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO publication (instance_id, publish_id, api_id,"
                                   " env_id, version_id, publish_time) SELECT instance_id,"
                                   " 'second', api_id, '%s', version_id, publish_time +"
                                   " interval '1 second' FROM publication WHERE api_id = '%s'",
                                   env, id));
    return env;
}

static void
assert_read(struct fixture *f, const char *path, const char *member, const char *value)
{
    call(f, "api.read", path, "");
    assert_string_equal(fixture_text(f, member), value);
}

static void
what_is_stored_follows_the_api_and_its_deletion(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *other = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    const char *id = fixture_api(f, group, "Api_mock", "/m", false);
    const char *path = fixture_path(f, "api_id", id);
    const json_t *made = f->body;
    assert_shown(f, 1);
    call(f, "api.read", path, "");
    assert_true(json_equal(made, f->body));
    call(f, "api.update", path, "{\"remark\": \"a\\\"b\", \"tags\": [\"x\"]}");
    assert_shown(f, 1);
    assert_read(f, path, "remark", "a\"b");
    call(f, "api.update", path, fixture_path(f, "group_id", other));
    assert_shown(f, 1);
    assert_read(f, path, "group_name", "g02");
    call(f, "api.delete", path, "");
    assert_shown(f, 0);
}

static void
what_is_stored_follows_where_the_api_is_online(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *id = fixture_api(f, group, "Api_mock", "/m", true);
    const char *path = fixture_path(f, "api_id", id);
    assert_shown(f, 1);
    const char *env = publish_again(f, id);
    assert_shown(f, 1);
    assert_read(f, path, "run_env_name", ENV_RELEASE_NAME "|second");
    // An update leaves it alone; what is published again comes last.
    call(f, "api.update", path, "{\"remark\": \"changed\"}");
    assert_shown(f, 1);
    update_publications(f, "publish_time = now() + interval '1 hour'",
                        "env_id = '" ENV_RELEASE_ID "'");
    assert_shown(f, 1);
    assert_read(f, path, "run_env_name", "second|" ENV_RELEASE_NAME);
    call(f, "env.update", fixture_path(f, "env_id", env), "{\"name\": \"other\"}");
    assert_shown(f, 1);
    assert_read(f, path, "run_env_name", "other|" ENV_RELEASE_NAME);
    update_publications(f, "version_id = NULL", "env_id = '" ENV_RELEASE_ID "'");
    assert_shown(f, 1);
    assert_read(f, path, "run_env_name", "other");
    update_publications(f, "version_id = NULL", "true");
    assert_shown(f, 1);
    call(f, "api.read", path, "");
    assert_null(json_object_get(f->body, "run_env_name"));
    call(f, "env.delete", fixture_path(f, "env_id", env), "");
    call(f, "api.delete", path, "");
    assert_shown(f, 0);
}

static void
publications_that_are_deleted_by_hand_are_not_shown(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *id = fixture_api(f, group, "Api_mock", "/m", true);
    publish_again(f, id);
    fixture_api(f, group, "Api_two", "/two", true);
    fixture_sql(f, "DELETE FROM publication WHERE publish_id <> 'second'");
    assert_shown(f, 2);
    assert_read(f, fixture_path(f, "api_id", id), "run_env_name", "second");
}

static void
a_gateway_that_is_deleted_leaves_nothing_shown(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    publish_again(f, fixture_api(f, group, "Api_mock", "/m", true));
    fixture_api(f, group, "Api_two", "/two", false);
    assert_shown(f, 2);
    assert_int_equal(fixture_admin(f, "instance.delete", fixture_path(f, "id", f->gateway)), 0);
    assert_shown(f, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_is_stored_follows_the_api_and_its_deletion),
        FIXTURE_TEST(what_is_stored_follows_where_the_api_is_online),
        FIXTURE_TEST(publications_that_are_deleted_by_hand_are_not_shown),
        FIXTURE_TEST(a_gateway_that_is_deleted_leaves_nothing_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
