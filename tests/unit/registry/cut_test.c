// cut_test.c - the database goes away at every statement of every command: all of it or nothing.
//
// Front repeats a command that was answered "unavailable" with the same command id, on another
// worker. So each command here is cut, must then have left the database as it was (or have been
// done whole, where only the answer was lost), and must succeed when it is repeated, once.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/crypto/crypto.h"
#include "tests/lib/cut_db.h"

#define RUNS_MAX 100 // statements of one command; more means that it does not end

// A command, and what must exist before it.
struct deed {
    const char *name;                          // the command
    const char *body;                          // JSON, "" for none
    const char *parameter;                     // of the path; NULL: none
    const char *(*prepare)(struct fixture *f); // makes what the path names
};

static const char *
make_group(struct fixture *f)
{
    return fixture_create(f, "group.create", "", "{\"name\": \"grp_one\"}");
}

static const char *
make_env(struct fixture *f)
{
    return fixture_create(f, "env.create", "", "{\"name\": \"env_one\"}");
}

static const char *
make_app(struct fixture *f)
{
    return fixture_create(f, "app.create", "", "{\"name\": \"app_one\"}");
}

static const char *
make_throttle(struct fixture *f)
{
    return fixture_create(f, "throttle.create", "",
                          "{\"name\": \"thr_one\", \"time_interval\": 1,"
                          " \"time_unit\": \"HOUR\", \"api_call_limits\": 800}");
}

static const char *
make_api(struct fixture *f)
{
    return fixture_api(f, make_group(f), "Api_one", "/one", false);
}

// A group whose id the body of a creation can name.
static const char *
make_known_group(struct fixture *f)
{
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "INSERT INTO api_group (instance_id, id, name, sl_domain)"
                                   " VALUES ('%s', 'known', 'grp_one', 'd')",
                                   f->gateway));
    return "known";
}

static const char *
make_quota(struct fixture *f)
{
    const char *body = "{\"name\": \"quo_one\", \"call_limits\": 1, \"time_unit\": \"DAY\","
                       " \"time_interval\": 1}";
    assert_int_equal(fixture_call(f, "app_quota.create", "", "", body), 0);
    return fixture_text(f, "app_quota_id");
}

// Each run needs room in the documented quotas: what the last one made goes.
static void
forget_resources(struct fixture *f)
{
    static const char *const tables[] = {"api", "api_group", "app", "app_quota", "throttle"};
    for (size_t i = 0; i < SL_COUNT(tables); i++) {
        fixture_sql(f, sl_arena_printf(f->arena, "DELETE FROM %s WHERE instance_id = '%s'",
                                       tables[i], f->gateway));
    }
    fixture_sql(f, sl_arena_printf(f->arena,
                                   "DELETE FROM environment WHERE instance_id = '%s'"
                                   " AND name <> 'RELEASE'",
                                   f->gateway));
    fixture_sql(f, sl_arena_printf(f->arena, "DELETE FROM quota_usage WHERE instance_id = '%s'",
                                   f->gateway));
}

static const struct deed deeds[] = {
    {"group.create", "{\"name\": \"new_one\"}", NULL, NULL},
    {"group.update", "{\"name\": \"upd_one\", \"remark\": \"changed\"}", "group_id", make_group},
    {"group.delete", "", "group_id", make_group},
    {"group.set_access", "{\"sl_domain_access_enabled\": false}", "group_id", make_group},
    {"url_domain.create", "{\"url_domain\": \"www.example.com\"}", "group_id", make_group},
    {"env.create", "{\"name\": \"new_one\"}", NULL, NULL},
    {"env.update", "{\"name\": \"upd_one\"}", "env_id", make_env},
    {"env.delete", "", "env_id", make_env},
    {"app.create", "{\"name\": \"new_one\"}", NULL, NULL},
    {"app.update", "{\"name\": \"upd_one\"}", "app_id", make_app},
    {"app.delete", "", "app_id", make_app},
    {"app.reset_secret", "{}", "app_id", make_app},
    {"app_code.generate", "", "app_id", make_app},
    {"throttle.update",
     "{\"name\": \"upd_one\", \"time_interval\": 2, \"time_unit\": \"DAY\","
     " \"api_call_limits\": 7}",
     "throttle_id", make_throttle},
    {"throttle.delete", "", "throttle_id", make_throttle},
    {"app_quota.delete", "", "app_quota_id", make_quota},
    {"api.create",
     "{\"group_id\": \"known\", \"name\": \"new_one\", \"type\": 1, \"req_protocol\": \"HTTPS\","
     " \"req_method\": \"GET\", \"req_uri\": \"/one\", \"auth_type\": \"NONE\","
     " \"backend_type\": \"MOCK\", \"mock_info\": {}}",
     "group_id", make_known_group},
    {"api.delete", "", "api_id", make_api},
};

// Cuts one command at exchange `run`, checks, repeats. False: the command has fewer exchanges.
static bool
cut_once(struct fixture *f, const struct deed *deed, enum cut_when when, unsigned run)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *path =
        deed->prepare == NULL ? "" : fixture_path(f, deed->parameter, deed->prepare(f));
    const char *before = cut_db_contents();
    cut_db_arm(when, run);
    int status = fixture_repeat(f, id, deed->name, path, deed->body);
    bool cut = cut_db_disarm();
    const char *after = cut_db_contents();
    if (!cut) {
        assert_int_equal(status, 0);
        return false;
    }
    if (status != 0) {
        assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
        assert_int_equal(strcmp(before, after) == 0, when == CUT_BEFORE);
    }
    if (fixture_repeat(f, id, deed->name, path, deed->body) != 0) {
        fail_msg("%s cut at %u, repeated: %s %s", deed->name, run, sl_error_name(f->err.code),
                 f->err.detail);
    }
    const char *repeated = cut_db_contents();
    assert_int_not_equal(strcmp(before, repeated), 0);
    // What was done before its answer was lost is not done again.
    assert_true(when == CUT_BEFORE || strcmp(after, repeated) == 0);
    const char *sql =
        sl_arena_printf(f->arena, "SELECT count(*) FROM audit WHERE command_id = '%s'", id);
    assert_int_equal(fixture_count(f, sql), 1);
    return true;
}

static void
cut_every_deed(struct fixture *f, enum cut_when when, unsigned least)
{
    for (size_t i = 0; i < SL_COUNT(deeds); i++) {
        unsigned run = 1;
        while (cut_once(f, &deeds[i], when, run)) {
            forget_resources(f);
            assert_true(++run < RUNS_MAX);
        }
        forget_resources(f);
        bool whole = strcmp(deeds[i].name, "api.create") == 0; // one statement
        if (run <= (whole ? 1 : least)) {
            fail_msg("%s was cut %u times only", deeds[i].name, run - 1);
        }
    }
}

static void
a_command_whose_database_goes_away_left_nothing_and_may_be_repeated(void **state)
{
    cut_every_deed(*state, CUT_BEFORE, 3);
}

static void
a_command_whose_answer_was_lost_is_not_done_twice(void **state)
{
    cut_every_deed(*state, CUT_AFTER, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_command_whose_database_goes_away_left_nothing_and_may_be_repeated),
        FIXTURE_TEST(a_command_whose_answer_was_lost_is_not_done_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
