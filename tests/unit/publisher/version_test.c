// version_test.c - older versions are served again, the served one goes offline.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

// A path of one parameter for the next handler; the call owns nothing of it.
static int
call_path(struct fixture *f, sl_handler_fn *handler, const char *name, const char *value,
          json_t *body)
{
    f->path = json_pack("{s:s}", name, value);
    int rc = fixture_call(f, handler, "version", NULL, body);
    json_decref(f->path);
    f->path = NULL;
    return rc;
}

static int
serve(struct fixture *f, const char *version_id)
{
    return call_path(f, version_serve, "api_id", f->api,
                     json_pack("{s:s}", "version_id", version_id));
}

static int
end(struct fixture *f, const char *version_id)
{
    return call_path(f, version_offline, "version_id", version_id, NULL);
}

static const char *
publish(struct fixture *f, const char *remark)
{
    fixture_sql(f, sl_arena_printf(f->arena, "UPDATE api SET remark = '%s' WHERE id = '%s'", remark,
                                   f->api));
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    return fixture_text(f, sl_arena_printf(f->arena,
                                           "SELECT version_id FROM publication WHERE api_id = '%s'",
                                           f->api));
}

static const char *
served(struct fixture *f)
{
    return fixture_text(f, sl_arena_printf(f->arena,
                                           "SELECT coalesce(v.definition ->> 'remark', 'none') FROM"
                                           " publication p LEFT JOIN api_version v ON v.instance_id"
                                           " = p.instance_id AND v.version_id = p.version_id"
                                           " WHERE p.api_id = '%s'",
                                           f->api));
}

static void
an_older_version_is_served_again_as_it_was(void **state)
{
    struct fixture *f = *state;
    const char *one = publish(f, "one");
    const char *two = publish(f, "two");
    fixture_publish(f);
    assert_string_equal(served(f), "two");
    assert_int_equal(serve(f, one), 0);
    assert_string_equal(served(f), "one");
    int64_t dirty = fixture_number(f, "SELECT count(*) FROM runtime_change WHERE kind = 'api'");
    assert_true(dirty >= 1);
    assert_int_equal(serve(f, two), 0);
    assert_string_equal(served(f), "two");
    const char *count =
        sl_arena_printf(f->arena, "SELECT count(*) FROM api_version WHERE api_id = '%s'", f->api);
    assert_int_equal(fixture_number(f, count), 2);
}

static void
a_pair_that_is_offline_comes_back_with_a_version(void **state)
{
    struct fixture *f = *state;
    const char *one = publish(f, "one");
    assert_int_equal(end(f, one), 0);
    assert_int_equal(f->reply.body.len, 0);
    assert_string_equal(served(f), "none");
    assert_int_equal(end(f, one), -1);
    assert_int_equal(f->err.code, SL_E_PUBLICATION_NOT_FOUND);
    assert_int_equal(serve(f, one), 0);
    assert_string_equal(served(f), "one");
}

static void
unknown_versions_and_those_of_other_apis_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *one = publish(f, "one");
    assert_int_equal(serve(f, "nope"), -1);
    assert_int_equal(f->err.code, SL_E_VERSION_NOT_FOUND);
    assert_string_equal(f->err.args[0], "nope");
    assert_int_equal(end(f, "nope"), -1);
    assert_int_equal(f->err.code, SL_E_VERSION_NOT_FOUND);
    fixture_sql(f, sl_arena_printf(
                       f->arena,
                       "INSERT INTO api SELECT (jsonb_populate_record(a, jsonb_build_object('id',"
                       " 'o' || a.id, 'name', 'other', 'req_uri_shape', '/other'))).* FROM api a"
                       " WHERE id = '%s'",
                       f->api));
    const char *other = sl_arena_printf(f->arena, "o%s", f->api);
    assert_int_equal(
        call_path(f, version_serve, "api_id", other, json_pack("{s:s}", "version_id", one)), -1);
    assert_int_equal(f->err.code, SL_E_VERSION_NOT_FOUND);
    assert_int_equal(
        call_path(f, version_serve, "api_id", "nope", json_pack("{s:s}", "version_id", one)), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

static void
a_version_that_would_shadow_another_api_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *one = publish(f, "one");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api SET req_uri = '/moved', req_uri_shape = '/moved'"
                                   " WHERE id = '%s'",
                                   f->api));
    (void)publish(f, "two");
    // Another API takes the path that version one had.
    fixture_sql(f, sl_arena_printf(
                       f->arena,
                       "INSERT INTO api SELECT (jsonb_populate_record(a, jsonb_build_object('id',"
                       " 'o' || a.id, 'name', 'other', 'req_uri_shape', (SELECT definition ->>"
                       " 'req_uri_shape' FROM api_version WHERE version_id = '%s')))).* FROM api a"
                       " WHERE id = '%s'",
                       one, f->api));
    json_t *body = json_pack("{s:s, s:s, s:s+}", "action", "online", "env_id",
                             "DEFAULT_ENVIRONMENT_RELEASE_ID", "api_id", "o", f->api);
    assert_int_equal(fixture_call(f, api_action, "api.action", NULL, body), 0);
    assert_int_equal(serve(f, one), -1);
    assert_int_equal(f->err.code, SL_E_API_EXISTS);
    assert_string_equal(served(f), "two");
}

static void
a_version_whose_group_is_gone_is_refused(void **state)
{
    struct fixture *f = *state;
    const char *one = publish(f, "one");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api_version SET definition = definition ||"
                                   " '{\"group_id\": \"gone\"}' WHERE version_id = '%s'",
                                   one));
    assert_int_equal(serve(f, one), -1);
    assert_int_equal(f->err.code, SL_E_GROUP_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(an_older_version_is_served_again_as_it_was),
        FIXTURE_TEST(a_pair_that_is_offline_comes_back_with_a_version),
        FIXTURE_TEST(unknown_versions_and_those_of_other_apis_are_refused),
        FIXTURE_TEST(a_version_that_would_shadow_another_api_is_refused),
        FIXTURE_TEST(a_version_whose_group_is_gone_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
