// shown_test.c - what is stored of where APIs are online: after each action, and when an action
// meets the new name of an environment.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/base/clock.h"

#include <pthread.h>

#define RELEASE     "DEFAULT_ENVIRONMENT_RELEASE_ID"
#define DEADLINE_MS 60000

// As of tests/unit/registry/api_shown_test.c.
static const char differ_sql[] =
    "SELECT count(*) FROM ((TABLE api_shown EXCEPT TABLE api_shown_due)"
    " UNION ALL (TABLE api_shown_due EXCEPT TABLE api_shown)) differing";

static int
act(struct fixture *f, const char *action, const char *env)
{
    return fixture_call(
        f, api_action, "api.action", NULL,
        json_pack("{s:s, s:s, s:s}", "action", action, "api_id", f->api, "env_id", env));
}

// The stored names of the environments in which the test's API is online.
static void
assert_names(struct fixture *f, const char *names)
{
    const char *sql = sl_arena_printf(f->arena,
                                      "SELECT coalesce(('{' || substr(online, 2) || '}')::jsonb"
                                      " ->> 'run_env_name', '') FROM api_shown WHERE id = '%s'",
                                      f->api);
    assert_int_equal(fixture_number(f, differ_sql), 0);
    assert_string_equal(fixture_text(f, sql), names);
}

static void
make_environment(struct fixture *f, const char *id)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO environment (instance_id, id, name)"
                                   " VALUES ('%s', '%s', '%s')",
                                   f->gateway, id, id));
}

static const char *
rename_sql(struct fixture *f, const char *id, const char *name)
{
    return sl_arena_printf(f->arena,
                           "UPDATE environment SET name = '%s' WHERE instance_id = '%s'"
                           " AND id = '%s'",
                           name, f->gateway, id);
}

static void
what_is_stored_follows_each_action(void **state)
{
    struct fixture *f = *state;
    make_environment(f, "e2");
    assert_names(f, "");
    assert_int_equal(act(f, "online", RELEASE), 0);
    assert_names(f, "RELEASE");
    const char *first = fixture_text(f, sl_arena_printf(f->arena,
                                                        "SELECT version_id FROM publication"
                                                        " WHERE api_id = '%s'",
                                                        f->api));
    assert_int_equal(act(f, "online", "e2"), 0);
    assert_names(f, "RELEASE|e2");
    assert_int_equal(act(f, "online", RELEASE), 0);
    assert_names(f, "e2|RELEASE");
    assert_int_equal(act(f, "offline", RELEASE), 0);
    assert_names(f, "e2");
    f->path = json_pack("{s:s}", "api_id", f->api);
    assert_int_equal(fixture_call(f, version_serve, "version.serve", NULL,
                                  json_pack("{s:s}", "version_id", first)),
                     0);
    assert_names(f, "e2|RELEASE");
    json_decref(f->path);
    f->path = json_pack("{s:s}", "version_id", first);
    assert_int_equal(fixture_call(f, version_offline, "version.offline", NULL, NULL), 0);
    assert_names(f, "e2");
    json_decref(f->path);
    f->path = NULL;
    assert_int_equal(act(f, "offline", "e2"), 0);
    assert_names(f, "");
}

// A statement on a thread and a connection of its own, beside one that holds it up.
struct meeting {
    struct sl_db *db;       // of the statement
    struct sl_arena *arena; //
    const char *sql;        // NULL: the fixture's action in RELEASE instead
    struct fixture *f;      //
    int rc;                 //
};

static void *
run(void *arg)
{
    struct meeting *meeting = arg;
    struct sl_error err;
    if (meeting->sql == NULL) {
        meeting->rc = act(meeting->f, "online", RELEASE);
        return NULL;
    }
    SL_AUTO(sl_tx) tx = sl_tx_begin(meeting->db, &err);
    meeting->rc = sl_sql_built(tx, meeting->arena, meeting->sql, SL_NO_PARAMS, NULL, &err) != 0 ||
                          sl_tx_commit(&tx, &err) != 0
                      ? -1
                      : 0;
    return NULL;
}

static struct sl_db *
connect_again(struct fixture *f)
{
    struct sl_db_options options = {.conninfo = getenv("SLUICE_TEST_DB")};
    struct sl_db *db = sl_db_open(&options, &f->err);
    assert_non_null(db);
    return db;
}

// Whether a session waits for what another has locked.
static bool
is_waiting(struct sl_db *db, struct sl_arena *arena)
{
    struct sl_error err;
    struct sl_rows *rows = NULL;
    SL_AUTO(sl_tx) tx = sl_tx_begin(db, &err);
    assert_int_equal(sl_sql(tx, arena,
                            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
                            SL_NO_PARAMS, &rows, &err),
                     0);
    return sl_rows_count(rows) > 0;
}

// Runs `first` and, before it commits, `second`, which must wait for it.
static void
meet(struct fixture *f, const char *first, const char *second)
{
    pthread_t thread;
    SL_AUTO(sl_db) held = connect_again(f);
    SL_AUTO(sl_db) looks = connect_again(f);
    SL_AUTO(sl_db) runs = connect_again(f);
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    SL_AUTO(sl_arena) own = sl_arena_new(SL_COMMAND_ARENA_MAX);
    struct meeting meeting = {.db = runs, .arena = own, .sql = second, .f = f};
    struct sl_tx *tx = sl_tx_begin(held, &f->err);
    assert_int_equal(sl_sql_built(tx, arena, first, SL_NO_PARAMS, NULL, &f->err), 0);
    assert_int_equal(pthread_create(&thread, NULL, run, &meeting), 0);
    int64_t end = sl_mono_ms() + DEADLINE_MS;
    while (!is_waiting(looks, arena)) {
        assert_true(sl_mono_ms() < end);
    }
    struct sl_error err;
    assert_int_equal(sl_tx_commit(&tx, &err), 0);
    pthread_join(thread, NULL);
    assert_int_equal(meeting.rc, 0);
}

// The test's API, online in `e2` and then in `e3`.
static struct fixture *
online_in_two(void **state)
{
    struct fixture *f = *state;
    make_environment(f, "e2");
    make_environment(f, "e3");
    assert_int_equal(act(f, "online", "e2"), 0);
    assert_int_equal(act(f, "online", "e3"), 0);
    return f;
}

static void
who_publishes_waits_for_a_rename_and_shows_the_new_name(void **state)
{
    struct fixture *f = online_in_two(state);
    meet(f, rename_sql(f, "e2", "new"), NULL);
    assert_names(f, "new|e3|RELEASE");
}

static void
who_goes_online_again_waits_for_a_rename_of_that_environment(void **state)
{
    struct fixture *f = online_in_two(state);
    const char *of =
        sl_arena_printf(f->arena, "WHERE instance_id = '%s' AND env_id = 'e3'", f->gateway);
    const char *version =
        fixture_text(f, sl_arena_printf(f->arena, "SELECT version_id FROM publication %s", of));
    assert_int_equal(act(f, "offline", "e3"), 0);
    meet(f, rename_sql(f, "e3", "new"),
         sl_arena_printf(f->arena, "UPDATE publication SET version_id = '%s' %s", version, of));
    assert_names(f, "e2|new");
}

static void
a_rename_waits_for_who_publishes_and_shows_what_is_online_then(void **state)
{
    struct fixture *f = online_in_two(state);
    const char *again = sl_arena_printf(f->arena,
                                        "UPDATE publication SET publish_time = now()"
                                        " WHERE instance_id = '%s' AND env_id = 'e2'",
                                        f->gateway);
    meet(f, again, rename_sql(f, "e3", "new"));
    assert_names(f, "new|e2");
}

static void
of_two_renames_at_once_both_names_are_shown(void **state)
{
    struct fixture *f = online_in_two(state);
    meet(f, rename_sql(f, "e2", "two"), rename_sql(f, "e3", "three"));
    assert_names(f, "two|three");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_is_stored_follows_each_action),
        FIXTURE_TEST(who_publishes_waits_for_a_rename_and_shows_the_new_name),
        FIXTURE_TEST(who_goes_online_again_waits_for_a_rename_of_that_environment),
        FIXTURE_TEST(a_rename_waits_for_who_publishes_and_shows_what_is_online_then),
        FIXTURE_TEST(of_two_renames_at_once_both_names_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
