// app_quota_test.c - quotas of apps: their time, their windows, which app has which.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#define QUOTA "\"call_limits\": 3, \"time_unit\": \"HOUR\", \"time_interval\": 1"

static const char *
make_app(struct fixture *f, const char *name)
{
    return fixture_create(f, "app.create", "",
                          sl_arena_printf(f->arena, "{\"name\": \"%s\"}", name));
}

static const char *
make_quota(struct fixture *f, const char *name)
{
    const char *body = sl_arena_printf(f->arena, "{\"name\": \"%s\", " QUOTA "}", name);
    assert_int_equal(fixture_call(f, "app_quota.create", "", "", body), 0);
    return fixture_text(f, "app_quota_id");
}

static int
give(struct fixture *f, const char *quota, const char *apps)
{
    return fixture_call(f, "app_quota.bind", fixture_path(f, "app_quota_id", quota), "",
                        sl_arena_printf(f->arena, "{\"app_ids\": [%s]}", apps));
}

static const char *
quoted(struct fixture *f, const char *id)
{
    return sl_arena_printf(f->arena, "\"%s\"", id);
}

static int64_t
changes_of(struct fixture *f, const char *app)
{
    return fixture_count(f, sl_arena_printf(f->arena,
                                            "SELECT count(*) FROM runtime_change WHERE"
                                            " kind = 'app' AND key = '%s'",
                                            app));
}

static void
a_time_is_utc_exists_and_can_be_taken_away(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *given;
        const char *shown; // NULL: refused
    } rows[] = {
        {"2020-09-20 00:00:00", "2020-09-20 00:00:00"},
        {"2020-09-20 00:00:00 +0000 +0000", "2020-09-20 00:00:00"},
        {"2024-02-29 23:59:59", "2024-02-29 23:59:59"},
        {"2023-02-29 00:00:00", NULL},
        {"2023-13-01 00:00:00", NULL},
        {"2023-12-01 24:00:00", NULL},
        {"2023-12-31 23:59:60", NULL},
        {"1969-12-31 23:59:59", NULL},
        {"0000-00-00 00:00:00", NULL},
    };
    const char *path = fixture_path(f, "app_quota_id", make_quota(f, "quota"));
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *body = sl_arena_printf(
            f->arena, "{\"name\": \"quota\", \"reset_time\": \"%s\", " QUOTA "}", rows[i].given);
        int status = fixture_call(f, "app_quota.update", path, "", body);
        if ((status == 0) != (rows[i].shown != NULL)) {
            fail_msg("%s: %d", rows[i].given, status);
        }
        if (rows[i].shown != NULL) {
            assert_string_equal(fixture_text(f, "reset_time"), rows[i].shown);
        } else {
            assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
            assert_string_equal(f->err.args[0], "reset_time");
        }
    }
    const char *emptied = "{\"name\": \"quota\", \"reset_time\": \"\", " QUOTA "}";
    assert_int_equal(fixture_call(f, "app_quota.update", path, "", emptied), 0);
    assert_null(json_object_get(f->body, "reset_time"));
}

static void
a_window_is_one_that_limits_can_count_in(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *unit;
        int64_t interval;
        int status;
    } rows[] = {
        {"SECOND", 1000000000, 0}, {"SECOND", 1000000001, -1}, {"DAY", 11574, 0},
        {"DAY", 11575, -1},        {"MINUTE", 2147483647, -1},
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        const char *body =
            sl_arena_printf(f->arena,
                            "{\"name\": \"quota_%zu\", \"call_limits\": 1, \"time_unit\": \"%s\","
                            " \"time_interval\": %lld}",
                            i, rows[i].unit, (long long)rows[i].interval);
        assert_int_equal(fixture_call(f, "app_quota.create", "", "", body), rows[i].status);
        assert_true(rows[i].status == 0 || f->err.code == SL_E_PARAM_RANGE);
    }
}

static void
an_app_has_one_quota_and_each_change_republishes_it(void **state)
{
    struct fixture *f = *state;
    const char *app = make_app(f, "app");
    const char *first = make_quota(f, "first");
    const char *second = make_quota(f, "second");
    int64_t before = changes_of(f, app);
    assert_int_equal(give(f, first, quoted(f, app)), 0);
    assert_int_equal(changes_of(f, app), before + 1);
    assert_int_equal(give(f, first, quoted(f, app)), 0); // has it
    assert_int_equal(changes_of(f, app), before + 1);
    assert_int_equal(give(f, second, quoted(f, app)), 0);
    assert_int_equal(changes_of(f, app), before + 2);
    assert_int_equal(fixture_call(f, "app_quota.of_app", fixture_path(f, "app_id", app), "", ""),
                     0);
    assert_string_equal(fixture_text(f, "app_quota_id"), second);
    assert_int_equal(fixture_number(f, "bound_app_num"), 1);

    const char *of_first = fixture_path(f, "app_quota_id", first);
    const char *of_second = fixture_path(f, "app_quota_id", second);
    const char *changed = "{\"name\": \"renamed\", " QUOTA "}";
    assert_int_equal(fixture_call(f, "app_quota.update", of_first, "", changed), 0);
    assert_int_equal(changes_of(f, app), before + 2); // it is not the app's
    changed = "{\"name\": \"second\", " QUOTA "}";
    assert_int_equal(fixture_call(f, "app_quota.update", of_second, "", changed), 0);
    assert_int_equal(changes_of(f, app), before + 3);
    assert_int_equal(fixture_call(f, "app_quota.delete", of_second, "", ""), 0);
    assert_int_equal(changes_of(f, app), before + 4);
    assert_int_equal(fixture_count(f, sl_arena_printf(f->arena,
                                                      "SELECT count(*) FROM app_quota_app WHERE"
                                                      " instance_id = '%s'",
                                                      f->gateway)),
                     0);
}

static void
what_does_not_exist_is_named_and_nothing_is_half_done(void **state)
{
    struct fixture *f = *state;
    const char *app = make_app(f, "app");
    const char *quota = make_quota(f, "quota");
    const char *both = sl_arena_printf(f->arena, "\"%s\", \"nope\"", app);
    assert_int_equal(give(f, quota, both), -1);
    assert_int_equal(f->err.code, SL_E_APP_UNKNOWN);
    assert_string_equal(f->err.args[0], "nope");
    assert_int_equal(fixture_call(f, "app_quota.of_app", fixture_path(f, "app_id", app), "", ""),
                     0);
    assert_int_equal(json_object_size(f->body), 0);
    assert_int_equal(give(f, "gone", quoted(f, app)), -1);
    assert_int_equal(f->err.code, SL_E_QUOTA_UNKNOWN);
    assert_int_equal(fixture_call(f, "app_quota.of_app", fixture_path(f, "app_id", "nope"), "", ""),
                     -1);
    assert_int_equal(f->err.code, SL_E_APP_NOT_FOUND);
    const char *pair =
        sl_arena_printf(f->arena, "{\"app_quota_id\": \"%s\", \"app_id\": \"%s\"}", quota, app);
    assert_int_equal(fixture_call(f, "app_quota_app.delete", pair, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_QUOTA_NOT_BOUND);
}

static void
taking_a_quota_away_asks_for_the_one_that_the_app_has(void **state)
{
    struct fixture *f = *state;
    const char *app = make_app(f, "app");
    const char *first = make_quota(f, "first");
    const char *second = make_quota(f, "second");
    assert_int_equal(give(f, first, quoted(f, app)), 0);
    int64_t before = changes_of(f, app);
    const char *pair =
        sl_arena_printf(f->arena, "{\"app_quota_id\": \"%s\", \"app_id\": \"%s\"}", second, app);
    assert_int_equal(fixture_call(f, "app_quota_app.delete", pair, "", ""), -1);
    assert_int_equal(f->err.code, SL_E_QUOTA_NOT_BOUND);
    pair = sl_arena_printf(f->arena, "{\"app_quota_id\": \"%s\", \"app_id\": \"%s\"}", first, app);
    assert_int_equal(fixture_call(f, "app_quota_app.delete", pair, "", ""), 0);
    assert_int_equal(changes_of(f, app), before + 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_time_is_utc_exists_and_can_be_taken_away),
        FIXTURE_TEST(a_window_is_one_that_limits_can_count_in),
        FIXTURE_TEST(an_app_has_one_quota_and_each_change_republishes_it),
        FIXTURE_TEST(what_does_not_exist_is_named_and_nothing_is_half_done),
        FIXTURE_TEST(taking_a_quota_away_asks_for_the_one_that_the_app_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
