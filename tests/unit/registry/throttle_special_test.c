// throttle_special_test.c - excluded throttles: their object, limit and quota, and who takes them
// along; the batch that unbinds; the lists of what a policy has and has not.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define SPECIAL "{\"object_type\": \"%s\", \"object_id\": \"%s\", \"call_limits\": %d}"

struct world {
    const char *policy; // of 10 an hour
    const char *app;    //
    const char *path;   // {"throttle_id": policy}
};

static struct world
make_world(struct fixture *f)
{
    struct world w;
    w.policy = fixture_create(f, "throttle.create", "",
                              "{\"name\": \"throttle\", \"time_interval\": 1,"
                              " \"time_unit\": \"HOUR\", \"api_call_limits\": 10}");
    w.app = fixture_create(f, "app.create", "", "{\"name\": \"app_one\"}");
    w.path = fixture_path(f, "throttle_id", w.policy);
    return w;
}

static int
give(struct fixture *f, const struct world *w, const char *type, const char *object, int limit)
{
    return fixture_call(f, "throttle_special.create", w->path, "",
                        sl_arena_printf(f->arena, SPECIAL, type, object, limit));
}

static int64_t
usage(struct fixture *f, const char *type)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT coalesce(sum(used), -1) FROM quota_spent WHERE"
                                            " quota = 'throttle_specials' AND scope LIKE '%%/%s'"
                                            " AND instance_id = '%s'",
                                            type, f->gateway));
}

static const char *
one(struct fixture *f, const struct world *w, const char *id)
{
    return sl_arena_printf(f->arena, "{\"throttle_id\": \"%s\", \"strategy_id\": \"%s\"}",
                           w->policy, id);
}

static void
a_special_names_its_app_and_republishes_the_policy(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(give(f, &w, "APP", w.app, 3), 0);
    assert_string_equal(fixture_text(f, "app_name"), "app_one");
    assert_string_equal(fixture_text(f, "object_name"), "app_one");
    assert_string_equal(fixture_text(f, "throttle_id"), w.policy);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM runtime_change WHERE"
                                                      " kind = 'throttle' AND key = '%s'",
                                                      w.policy)),
                     1);
    assert_int_equal(fixture_call(f, "throttle.read", w.path, "", ""), 0);
    assert_int_equal(fixture_number(f, "is_inclu_special_throttle"), 1);
}

static void
what_does_not_fit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    assert_int_equal(give(f, &w, "APP", w.app, 11), -1);
    assert_int_equal(f->err.code, SL_E_PARAM_TOO_LARGE);
    assert_string_equal(f->err.args[0], "call_limits");
    assert_int_equal(give(f, &w, "APP", "nobody", 3), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
    assert_string_equal(f->err.args[0], "nobody");
    assert_int_equal(give(f, &w, "USER", "an account to come", 3), 0);
    assert_int_equal(give(f, &w, "USER", "an account to come", 4), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_SPECIAL_EXISTS);
    w.path = fixture_path(f, "throttle_id", "nothing");
    assert_int_equal(give(f, &w, "USER", "u", 3), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_NOT_FOUND);
}

static void
an_update_changes_the_limit_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    assert_int_equal(give(f, &w, "APP", w.app, 3), 0);
    const char *path = one(f, &w, fixture_text(f, "id"));
    assert_int_equal(fixture_call(f, "throttle_special.update", path, "",
                                  "{\"call_limits\": 10, \"object_type\": \"USER\"}"),
                     0);
    assert_int_equal(fixture_number(f, "call_limits"), 10);
    assert_string_equal(fixture_text(f, "object_type"), "APP");
    assert_string_equal(fixture_text(f, "object_id"), w.app);
    assert_int_equal(fixture_call(f, "throttle_special.update", path, "", "{\"call_limits\": 11}"),
                     -1);
    assert_int_equal(f->err.code, SL_E_PARAM_TOO_LARGE);
}

static void
who_goes_takes_its_specials_along(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    assert_int_equal(give(f, &w, "APP", w.app, 3), 0);
    assert_int_equal(give(f, &w, "USER", "u", 3), 0);
    assert_int_equal(usage(f, "APP"), 1);
    fixture_sql(f, "DELETE FROM runtime_change");
    assert_int_equal(fixture_call(f, "app.delete", fixture_path(f, "app_id", w.app), "", ""), 0);
    assert_int_equal(usage(f, "APP"), 0);
    assert_int_equal(
        fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'throttle'"), 1);
    assert_int_equal(fixture_call(f, "throttle_special.list", w.path, "", ""), 0);
    assert_int_equal(fixture_number(f, "total"), 1);
    assert_int_equal(usage(f, "USER"), 1);
    assert_int_equal(fixture_call(f, "throttle.delete", w.path, "", ""), 0);
    assert_int_equal(usage(f, "USER"), -1); // no row is left
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM throttle_special WHERE"
                                                      " instance_id = '%s'",
                                                      f->gateway)),
                     0);
}

// -- bindings

static const char *
bind(struct fixture *f, const struct world *w, const char *api)
{
    const char *body = sl_arena_printf(
        f->arena, "{\"strategy_id\": \"%s\", \"publish_ids\": [\"%s\"]}", w->policy, api);
    assert_int_equal(fixture_call(f, "throttle_binding.create", "", "", body), 0);
    const json_t *made = json_array_get(json_object_get(f->body, "throttle_applys"), 0);
    return json_string_value(json_object_get(made, "id"));
}

static void
a_batch_ends_what_is_bound_and_names_the_rest(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *id = bind(f, &w, fixture_api(f, group, "Api_one", "/one", true));
    const char *body =
        sl_arena_printf(f->arena, "{\"throttle_bindings\": [\"gone\", \"%s\", \"gone\"]}", id);
    assert_int_equal(fixture_call(f, "throttle_binding.unbind", "", "{\"action\": \"add\"}", body),
                     -1);
    assert_int_equal(f->err.code, SL_E_PARAM_ACTION_DELETE);
    fixture_sql(f, "DELETE FROM runtime_change");
    const char *query = "{\"action\": \"delete\"}";
    assert_int_equal(fixture_call(f, "throttle_binding.unbind", "", query, body), 0);
    assert_int_equal(fixture_number(f, "success_count"), 1);
    const json_t *failed = json_object_get(f->body, "failure");
    assert_int_equal(json_array_size(failed), 1);
    const json_t *first = json_array_get(failed, 0);
    assert_string_equal(json_string_value(json_object_get(first, "bind_id")), "gone");
    assert_string_equal(json_string_value(json_object_get(first, "error_code")), "APIG.3012");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM runtime_change WHERE kind = 'api'"), 1);
    assert_int_equal(fixture_call(f, "throttle_binding.unbind", "", query, "{}"), 0);
    assert_int_equal(fixture_number(f, "success_count"), 0);
}

static int64_t
total(struct fixture *f, const char *list, const char *query)
{
    assert_int_equal(fixture_call(f, list, "", query, ""), 0);
    return fixture_number(f, "total");
}

static void
an_api_is_in_one_of_the_two_lists(void **state)
{
    struct fixture *f = *state;
    struct world w = make_world(f);
    const char *group = fixture_create(f, "group.create", "", "{\"name\": \"g01\"}");
    const char *api = fixture_api(f, group, "Api_one", "/one", true);
    fixture_api(f, group, "Api_two", "/two", true);
    assert_int_equal(total(f, "throttle_unbound_api.list", w.path), 2);
    assert_int_equal(total(f, "throttle_bound_api.list", w.path), 0);
    bind(f, &w, api);
    assert_int_equal(total(f, "throttle_unbound_api.list", w.path), 1);
    assert_int_equal(total(f, "throttle_bound_api.list", w.path), 1);
    const json_t *listed = json_array_get(json_object_get(f->body, "apis"), 0);
    assert_string_equal(json_string_value(json_object_get(listed, "name")), "Api_one");
    assert_string_equal(json_string_value(json_object_get(listed, "throttle_name")), "throttle");
    fixture_sql(f, "UPDATE publication SET version_id = NULL"); // offline: cannot be bound
    assert_int_equal(total(f, "throttle_unbound_api.list", w.path), 0);
    assert_int_equal(
        fixture_call(f, "throttle_bound_api.list", "", "{\"throttle_id\": \"no\"}", ""), -1);
    assert_int_equal(f->err.code, SL_E_THROTTLE_NOT_FOUND);
}

#define T(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_special_names_its_app_and_republishes_the_policy), T(what_does_not_fit_is_refused),
        T(an_update_changes_the_limit_and_nothing_else),       T(who_goes_takes_its_specials_along),
        T(a_batch_ends_what_is_bound_and_names_the_rest),      T(an_api_is_in_one_of_the_two_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
