// app_test.c - apps, AppCodes and authorisations.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include <pthread.h>
#include <stdio.h>

#include "common/base/clock.h"

#define CODE_64 "GjOD3g80AABuuFeEJpVQADBlAjBh3UzC7W+gr4VJBB5BtJ4fdVOQoSvoji3gFxUD"

static const char *
new_app(struct fixture *f, const char *name)
{
    return fixture_create(f, "app.create", "",
                          sl_arena_printf(f->arena, "{\"name\": \"%s\"}", name));
}

static void
a_new_app_gets_a_key_and_a_secret(void **state)
{
    struct fixture *f = *state;
    const char *id = new_app(f, "app_demo");
    assert_int_equal(strlen(fixture_text(f, "app_key")), 32);
    assert_int_equal(strlen(fixture_text(f, "app_secret")), 32);
    assert_string_equal(fixture_text(f, "creator"), "USER");
    assert_string_equal(fixture_text(f, "app_type"), "apig");
    assert_int_equal(fixture_number(f, "status"), 1);
    json_t *made = f->body;
    assert_int_equal(fixture_call(f, "app.read", fixture_path(f, "app_id", id), "", ""), 0);
    assert_true(json_equal(made, f->body));
}

static void
a_given_key_and_secret_are_taken_and_stored_sealed(void **state)
{
    struct fixture *f = *state;
    new_app(f, "other_app");
    fixture_create(f, "app.create", "",
                   "{\"name\": \"app_demo\", \"app_key\": \"my-own-key\","
                   " \"app_secret\": \"my-own-secret\"}");
    assert_string_equal(fixture_text(f, "app_key"), "my-own-key");
    assert_string_equal(fixture_text(f, "app_secret"), "my-own-secret");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM app WHERE"
                                      " position('my-own-secret' in app::text) > 0"
                                      " OR position('my-own-secret'::bytea in app_secret) > 0"),
                     0);
    assert_int_equal(fixture_call(f, "app.create", "", "",
                                  "{\"name\": \"third_app\", \"app_key\": \"my-own-key\"}"),
                     -1);
    assert_int_equal(f->err.code, SL_E_APP_KEY_EXISTS);
    assert_int_equal(fixture_call(f, "app.create", "", "", "{\"name\": \"app_demo\"}"), -1);
    assert_int_equal(f->err.code, SL_E_APP_EXISTS);
}

static void
a_reset_changes_the_secret_alone(void **state)
{
    struct fixture *f = *state;
    const char *id = new_app(f, "app_demo");
    const char *key = fixture_text(f, "app_key");
    const char *old = fixture_text(f, "app_secret");
    const char *path = fixture_path(f, "app_id", id);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(
        fixture_call(f, "app.reset_secret", path, "", "{\"app_secret\": \"given-secret\"}"), 0);
    assert_string_equal(fixture_text(f, "app_secret"), "given-secret");
    assert_string_equal(fixture_text(f, "app_key"), key);
    assert_string_equal(fixture_text(f, "name"), "app_demo");
    assert_int_equal(fixture_call(f, "app.reset_secret", path, "", "{}"), 0);
    assert_int_equal(strlen(fixture_text(f, "app_secret")), 32);
    assert_string_not_equal(fixture_text(f, "app_secret"), old);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'app'"), 2);
}

static void
an_app_is_verified_by_id_without_its_secrets(void **state)
{
    struct fixture *f = *state;
    const char *id = new_app(f, "app_demo");
    assert_int_equal(fixture_call(f, "app.validate", fixture_path(f, "app_id", id), "", ""), 0);
    assert_string_equal(fixture_text(f, "id"), id);
    assert_int_equal(json_object_size(f->body), 2);
    assert_int_equal(fixture_call(f, "app.validate", "{\"app_id\": \"nope\"}", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_NOT_FOUND);
}

static void
lists_of_apps_hold_secrets_and_bound_apis(void **state)
{
    struct fixture *f = *state;
    new_app(f, "app_one");
    const char *secret = fixture_text(f, "app_secret");
    new_app(f, "app_two");
    assert_int_equal(fixture_call(f, "app.list", "", "{\"name\": \"one\", \"status\": 1}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    const json_t *app = json_array_get(json_object_get(f->body, "apps"), 0);
    assert_string_equal(json_string_value(json_object_get(app, "app_secret")), secret);
    assert_int_equal(json_integer_value(json_object_get(app, "bind_num")), 0);
}

static void
an_app_code_is_answered_sealed_and_taken_once(void **state)
{
    struct fixture *f = *state;
    const char *app = new_app(f, "app_demo");
    const char *path = fixture_path(f, "app_id", app);
    fixture_create(f, "app_code.create", path, "{\"app_code\": \"" CODE_64 "\"}");
    assert_string_equal(fixture_text(f, "app_code"), CODE_64);
    assert_string_equal(fixture_text(f, "app_id"), app);
    assert_non_null(json_object_get(f->body, "create_time"));
    assert_int_equal(
        fixture_call(f, "app_code.create", path, "", "{\"app_code\": \"" CODE_64 "\"}"), -1);
    assert_int_equal(f->err.code, SL_E_APP_CODE_EXISTS);
    assert_int_equal(fixture_call(f, "app_code.create", "{\"app_id\": \"nope\"}", "",
                                  "{\"app_code\": \"" CODE_64 "\"}"),
                     -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
    assert_string_equal(f->err.args[0], "nope");
}

static void
an_app_has_five_app_codes_at_most(void **state)
{
    struct fixture *f = *state;
    const char *path = fixture_path(f, "app_id", new_app(f, "app_demo"));
    for (int i = 0; i < 5; i++) {
        fixture_create(f, "app_code.create", path,
                       sl_arena_printf(f->arena, "{\"app_code\": \"" CODE_64 "%d\"}", i));
    }
    assert_int_equal(
        fixture_call(f, "app_code.create", path, "", "{\"app_code\": \"" CODE_64 "\"}"), -1);
    assert_int_equal(f->err.code, SL_E_APP_CODE_QUOTA);
}

// The path of one AppCode.
static const char *
code_path(struct fixture *f, const char *app, const char *code)
{
    return sl_arena_printf(f->arena, "{\"app_id\": \"%s\", \"app_code_id\": \"%s\"}", app, code);
}

static void
a_generated_app_code_is_new_each_time_and_stored_sealed(void **state)
{
    struct fixture *f = *state;
    const char *app = new_app(f, "app_demo");
    const char *path = fixture_path(f, "app_id", app);
    fixture_sql(f, "DELETE FROM runtime_change");
    fixture_create(f, "app_code.generate", path, "");
    const char *first = fixture_text(f, "app_code");
    assert_int_equal(strlen(first), 64);
    assert_int_equal(strspn(first, "0123456789abcdef"), 64);
    assert_string_equal(fixture_text(f, "app_id"), app);
    assert_int_equal(
        fixture_count(f, sl_arena_printf(f->arena,
                                         "SELECT count(*) FROM runtime_change WHERE kind = 'app'"
                                         " AND key = '%s'",
                                         app)),
        1);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM audit WHERE"
                                                      " position('%s' in audit::text) > 0",
                                                      first)),
                     0);
    for (int i = 0; i < 4; i++) {
        fixture_create(f, "app_code.generate", path, "");
        assert_string_not_equal(fixture_text(f, "app_code"), first);
    }
    assert_int_equal(fixture_call(f, "app_code.generate", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_CODE_QUOTA);
    assert_int_equal(fixture_call(f, "app_code.generate", "{\"app_id\": \"nope\"}", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
}

static void
an_app_code_is_read_and_deleted_under_its_own_app_only(void **state)
{
    struct fixture *f = *state;
    const char *app = new_app(f, "app_demo");
    const char *other = new_app(f, "other_app");
    const char *code = fixture_create(f, "app_code.generate", fixture_path(f, "app_id", app), "");
    json_t *made = f->body;
    const char *path = code_path(f, app, code);
    assert_int_equal(fixture_call(f, "app_code.read", path, "", ""), 0);
    assert_true(json_equal(made, f->body));
    const char *const verbs[] = {"app_code.read", "app_code.delete"};
    for (size_t i = 0; i < SL_COUNT(verbs); i++) {
        assert_int_equal(fixture_call(f, verbs[i], code_path(f, other, code), "", ""), -1);
        assert_int_equal(f->err.code, SL_E_APP_CODE_NOT_FOUND);
        assert_int_equal(fixture_call(f, verbs[i], code_path(f, "nope", code), "", ""), -1);
        assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
        assert_string_equal(f->err.args[0], "nope");
    }
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "app_code.delete", path, "", ""), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'app'"), 1);
    assert_int_equal(
        fixture_count(f, sl_arena_printf(f->arena,
                                         "SELECT used FROM quota_spent WHERE quota = 'app_codes'"
                                         " AND scope = '%s'",
                                         app)),
        0);
    assert_int_equal(fixture_call(f, "app_code.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_CODE_NOT_FOUND);
}

static void
a_list_of_app_codes_is_one_apps_oldest_first(void **state)
{
    struct fixture *f = *state;
    const char *app = new_app(f, "app_demo");
    const char *other = new_app(f, "other_app");
    const char *path = fixture_path(f, "app_id", app);
    fixture_create(f, "app_code.generate", fixture_path(f, "app_id", other), "");
    fixture_create(f, "app_code.create", path, "{\"app_code\": \"" CODE_64 "\"}");
    fixture_create(f, "app_code.generate", path, "");
    assert_int_equal(fixture_call(f, "app_code.list", path, "{\"limit\": 1}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(fixture_number(f, "size"), 1);
    const json_t *first = json_array_get(json_object_get(f->body, "app_codes"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "app_code")), CODE_64);
    assert_int_equal(fixture_call(f, "app_code.list", "{\"app_id\": \"nope\"}", "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
}

static const char *
auth_body(struct fixture *f, const char *app, const char *first, const char *second)
{
    return sl_arena_printf(f->arena,
                           "{\"env_id\": \"" ENV_RELEASE_ID "\", \"app_ids\": [\"%s\"],"
                           " \"api_ids\": [\"%s\", \"%s\"]}",
                           app, first, second);
}

static const json_t *
auth_at(const struct fixture *f, size_t at)
{
    return json_array_get(json_object_get(f->body, "auths"), at);
}

static const char *
auth_status(const struct fixture *f, size_t at)
{
    return json_string_value(
        json_object_get(json_object_get(auth_at(f, at), "auth_result"), "status"));
}

static void
each_pair_of_app_and_api_has_its_own_result(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *online = fixture_api(f, group, "Api_one", "/one", true);
    const char *offline = fixture_api(f, group, "Api_two", "/two", false);
    const char *app = new_app(f, "app_demo");
    const char *body = auth_body(f, app, online, offline);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", body), 0);
    assert_int_equal(json_array_size(json_object_get(f->body, "auths")), 2);
    assert_string_equal(auth_status(f, 0), "SUCCESS");
    assert_string_equal(auth_status(f, 1), "FAILED");
    const json_t *failed = json_object_get(auth_at(f, 1), "auth_result");
    assert_string_equal(json_string_value(json_object_get(failed, "error_code")), "APIG.3015");
    assert_string_equal(json_string_value(json_object_get(failed, "api_name")), "Api_two");
    assert_string_equal(json_string_value(json_object_get(failed, "app_name")), "app_demo");
    assert_string_equal(json_string_value(json_object_get(auth_at(f, 0), "auth_role")), "PROVIDER");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'app'"), 1);

    assert_int_equal(fixture_call(f, "app_auth.create", "", "", body), 0);
    assert_string_equal(auth_status(f, 0), "SKIPPED");
    assert_int_equal(fixture_call(f, "app.list", "", fixture_path(f, "id", app), ""), 0);
    const json_t *listed = json_array_get(json_object_get(f->body, "apps"), 0);
    assert_int_equal(json_integer_value(json_object_get(listed, "bind_num")), 1);
}

// Switches app_route as the operator does, whenever the last change was.
static void
route_by_app(struct fixture *f, const char *enable)
{
    fixture_sql(f, "UPDATE feature SET update_time = now() - interval '1 hour'");
    const char *body = sl_arena_printf(
        f->arena, "{\"name\": \"app_route\", \"enable\": %s, \"config\": \"on\"}", enable);
    assert_int_equal(fixture_call(f, "feature.set", "", "", body), 0);
}

// A command on a thread of its own.
struct side {
    const struct fixture *f;
    const char *body;
    char status[16]; // of the first pair
    pthread_t thread;
};

static void *
authorise(void *arg)
{
    struct side *side = arg;
    struct fixture own = {0};
    fixture_open(&own, side->f);
    if (fixture_call(&own, "app_auth.create", "", "", side->body) == 0) {
        snprintf(side->status, sizeof(side->status), "%s", auth_status(&own, 0));
    }
    fixture_close(&own);
    return NULL;
}

static void
wait_for_a_lock(struct fixture *f)
{
    int64_t end_ms = sl_mono_ms() + 60000;
    while (fixture_count(
               f, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0) {
        assert_true(sl_mono_ms() < end_ms);
    }
}

// Whoever deletes a pair meanwhile waits until the command that found it there has ended.
static void
a_pair_that_is_skipped_is_there_until_the_end(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {0};
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *held = fixture_api(f, group, "Api_one", "/one", true);
    const char *fresh = fixture_api(f, group, "Api_two", "/two", true);
    const char *app = new_app(f, "app_demo");
    for (int routed = 0; routed < 2; routed++) {
        route_by_app(f, routed == 0 ? "false" : "true");
        assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, held, held)),
                         0);
        struct side side = {.f = f, .body = auth_body(f, app, held, fresh)};
        fixture_open(&other, f);
        struct sl_tx *tx =
            sl_tx_begin(other.registry.db, &f->err); // holds the command up behind its pairs
        assert_int_equal(sl_sql(tx, f->arena,
                                "SELECT 1 FROM quota_usage WHERE quota = 'app_apis' FOR UPDATE",
                                SL_NO_PARAMS, NULL, &f->err),
                         0);
        assert_int_equal(pthread_create(&side.thread, NULL, authorise, &side), 0);
        wait_for_a_lock(f);
        struct sl_tx *deleting = sl_tx_begin(f->registry.db, &f->err);
        assert_int_equal(sl_sql(deleting, f->arena, "SET LOCAL lock_timeout = '100ms'",
                                SL_NO_PARAMS, NULL, &f->err),
                         0);
        assert_int_equal(
            sl_sql(deleting, f->arena, "DELETE FROM app_auth", SL_NO_PARAMS, NULL, &f->err), -1);
        sl_tx_free(&deleting);
        sl_tx_free(&tx);
        pthread_join(side.thread, NULL);
        assert_string_equal(side.status, "SKIPPED");
        fixture_close(&other);
        fixture_sql(f, "DELETE FROM app_auth");
    }
}

static const char *
auth_code(const struct fixture *f, size_t at)
{
    return json_string_value(
        json_object_get(json_object_get(auth_at(f, at), "auth_result"), "error_code"));
}

static void
with_app_route_an_app_has_one_api_a_method_and_path(void **state)
{
    struct fixture *f = *state;
    const char *one = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *two = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    const char *first = fixture_api(f, one, "Api_one", "/a", true);
    const char *same = fixture_api(f, two, "Api_two", "/a", true);
    const char *other = fixture_api(f, two, "Api_three", "/b", true);
    const char *app = new_app(f, "app_demo");
    route_by_app(f, "true");
    // Within one command the one that stands first has the place.
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, first, same)), 0);
    assert_string_equal(auth_status(f, 0), "SUCCESS");
    assert_string_equal(auth_status(f, 1), "FAILED");
    assert_string_equal(auth_code(f, 1), "APIG.3316");
    // Later, too, whatever else stands beside it; what the app has already is skipped.
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, same, other)), 0);
    assert_string_equal(auth_code(f, 0), "APIG.3316");
    assert_string_equal(auth_status(f, 1), "SUCCESS");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, first, first)),
                     0);
    assert_string_equal(auth_status(f, 0), "SKIPPED");
    // An app that has neither is free to take the second.
    const char *fresh = new_app(f, "app_fresh");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, fresh, same, other)),
                     0);
    assert_string_equal(auth_status(f, 0), "SUCCESS");
}

static void
what_is_published_holds_the_place_and_the_draft_once_it_is_offline(void **state)
{
    struct fixture *f = *state;
    const char *one = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *two = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    const char *moved = fixture_api(f, one, "Api_one", "/a", true);
    const char *a = fixture_api(f, two, "Api_two", "/a", true);
    const char *b = fixture_api(f, two, "Api_three", "/b", true);
    const char *app = new_app(f, "app_demo");
    route_by_app(f, "true");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, moved, moved)),
                     0);
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE api SET req_uri = '/b', req_uri_shape = '/b'"
                                   " WHERE id = '%s'",
                                   moved));
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, a, a)), 0);
    assert_string_equal(auth_code(f, 0), "APIG.3316");
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "UPDATE publication SET version_id = NULL WHERE api_id = '%s'",
                                   moved));
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, a, b)), 0);
    assert_string_equal(auth_status(f, 0), "SUCCESS");
    assert_string_equal(auth_code(f, 1), "APIG.3316");
}

static void
clashes_that_are_there_do_not_keep_app_route_from_being_switched_on(void **state)
{
    struct fixture *f = *state;
    const char *one = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *two = fixture_create(f, "group.create", "", "{\"name\": \"g02\"}");
    const char *first = fixture_api(f, one, "Api_one", "/a", true);
    const char *same = fixture_api(f, two, "Api_two", "/a", true);
    const char *app = new_app(f, "app_demo");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, first, same)), 0);
    assert_string_equal(auth_status(f, 1), "SUCCESS");
    fixture_sql(f, "DELETE FROM runtime_change");
    route_by_app(f, "true");
    // The apps' entries say which groups they have; they are made anew.
    const char *touched = sl_arena_printf(
        f->arena, "SELECT count(*) FROM runtime_change WHERE kind = 'app' AND key = '%s'", app);
    assert_int_equal(fixture_count(f, touched), 1);
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, first, same)), 0);
    assert_string_equal(auth_status(f, 0), "SKIPPED");
    assert_string_equal(auth_status(f, 1), "SKIPPED");
    route_by_app(f, "false");
    const char *third = fixture_api(f, fixture_create(f, "group.create", "", "{\"name\": \"g03\"}"),
                                    "Api_3", "/a", true);
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, third, third)),
                     0);
    assert_string_equal(auth_status(f, 0), "SUCCESS");
}

static void
an_authorisation_is_taken_back_once(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *app = new_app(f, "app_demo");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, api, api)), 0);
    const char *id = json_string_value(json_object_get(auth_at(f, 0), "id"));
    const char *path = fixture_path(f, "app_auth_id", id);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "app_auth.delete", path, "", ""), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'app'"), 1);
    assert_int_equal(fixture_call(f, "app_auth.delete", path, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_AUTH_NOT_FOUND);
    assert_string_equal(f->err.args[0], id);
}

static void
unknown_parts_of_an_authorisation_are_named(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *app = new_app(f, "app_demo");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, "nope", api, api)),
                     -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
    assert_string_equal(f->err.args[0], "nope");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, api, "nope")),
                     -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
    assert_int_equal(fixture_call(f, "app_auth.create", "", "",
                                  sl_arena_printf(f->arena,
                                                  "{\"env_id\": \"nope\", \"app_ids\": [\"%s\"],"
                                                  " \"api_ids\": [\"%s\"]}",
                                                  app, api)),
                     -1);
    assert_int_equal(f->err.code, SL_E_ENV_NOT_FOUND);
}

static void
authorisations_are_listed_by_app_and_by_api(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *one = fixture_api(f, group, "Api_one", "/one", true);
    const char *two = fixture_api(f, group, "Api_two", "/two", true);
    const char *app = new_app(f, "app_demo");
    const char *idle = new_app(f, "app_idle");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, one, two)), 0);
    assert_int_equal(fixture_call(f, "bound_api.list", "", fixture_path(f, "app_id", app), ""), 0);
    assert_int_equal(fixture_number(f, "total"), 2);
    const char *query = sl_arena_printf(
        f->arena, "{\"app_id\": \"%s\", \"api_name\": \"TWO\", \"group_name\": \"g0\"}", app);
    assert_int_equal(fixture_call(f, "bound_api.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    const json_t *auth = auth_at(f, 0);
    assert_string_equal(json_string_value(json_object_get(auth, "api_id")), two);
    assert_string_equal(json_string_value(json_object_get(auth, "group_id")), group);
    assert_string_equal(json_string_value(json_object_get(auth, "env_name")), "RELEASE");
    assert_string_equal(json_string_value(json_object_get(auth, "publish_id")), two);
    assert_string_equal(json_string_value(json_object_get(auth, "app_name")), "app_demo");
    query = sl_arena_printf(f->arena, "{\"app_id\": \"%s\", \"api_name\": \"%%\"}", app);
    assert_int_equal(fixture_call(f, "bound_api.list", "", query, ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(fixture_call(f, "bound_api.list", "", fixture_path(f, "app_id", idle), ""), 0);
    assert_int_equal(fixture_number(f, "total"), 0);
    assert_int_equal(fixture_call(f, "bound_api.list", "", "{\"app_id\": \"nope\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);

    assert_int_equal(fixture_call(f, "bound_app.list", "", fixture_path(f, "api_id", one), ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    assert_string_equal(json_string_value(json_object_get(auth_at(f, 0), "app_id")), app);
    assert_int_equal(fixture_call(f, "bound_app.list", "", "{\"app_name\": \"DEMO\"}", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 2);
    assert_int_equal(fixture_call(f, "bound_app.list", "", "{\"api_id\": \"nope\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_API_NOT_FOUND);
}

static void
a_deleted_api_gives_its_authorisations_back(void **state)
{
    struct fixture *f = *state;
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    const char *app = new_app(f, "app_demo");
    assert_int_equal(fixture_call(f, "app_auth.create", "", "", auth_body(f, app, api, api)), 0);
    const char *usage = sl_arena_printf(
        f->arena, "SELECT used FROM quota_spent WHERE quota = 'app_apis' AND scope = '%s'", app);
    assert_int_equal(fixture_count(f, usage), 1);
    fixture_sql(f, "UPDATE publication SET version_id = NULL");
    assert_int_equal(fixture_call(f, "api.delete", fixture_path(f, "api_id", api), "", ""), 0);
    assert_int_equal(fixture_count(f, usage), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_new_app_gets_a_key_and_a_secret),
        FIXTURE_TEST(a_given_key_and_secret_are_taken_and_stored_sealed),
        FIXTURE_TEST(a_reset_changes_the_secret_alone),
        FIXTURE_TEST(an_app_is_verified_by_id_without_its_secrets),
        FIXTURE_TEST(lists_of_apps_hold_secrets_and_bound_apis),
        FIXTURE_TEST(an_app_code_is_answered_sealed_and_taken_once),
        FIXTURE_TEST(an_app_has_five_app_codes_at_most),
        FIXTURE_TEST(a_generated_app_code_is_new_each_time_and_stored_sealed),
        FIXTURE_TEST(an_app_code_is_read_and_deleted_under_its_own_app_only),
        FIXTURE_TEST(a_list_of_app_codes_is_one_apps_oldest_first),
        FIXTURE_TEST(authorisations_are_listed_by_app_and_by_api),
        FIXTURE_TEST(each_pair_of_app_and_api_has_its_own_result),
        FIXTURE_TEST(a_pair_that_is_skipped_is_there_until_the_end),
        FIXTURE_TEST(an_authorisation_is_taken_back_once),
        FIXTURE_TEST(with_app_route_an_app_has_one_api_a_method_and_path),
        FIXTURE_TEST(what_is_published_holds_the_place_and_the_draft_once_it_is_offline),
        FIXTURE_TEST(clashes_that_are_there_do_not_keep_app_route_from_being_switched_on),
        FIXTURE_TEST(unknown_parts_of_an_authorisation_are_named),
        FIXTURE_TEST(a_deleted_api_gives_its_authorisations_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
