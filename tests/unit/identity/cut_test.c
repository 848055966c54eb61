// cut_test.c - the database goes away at every statement of the administrator's commands.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/identity/fixture.h"

#include "tests/lib/cut_db.h"

#define RUNS_MAX 100 // statements of one command; more means that it does not end

// Commands in JSON with ' for "; the world that they find is make_world's.
static const struct deed {
    const char *name;
    const char *body;
} deeds[] = {
    {"domain.create", "{'name': 'other'}"},
    {"project.create", "{'name': 'second', 'domain': 'acme'}"},
    {"user.create", "{'name': 'new', 'domain': 'acme', 'policies': ['APIG FullAccess', 'few']}"},
    {"user.update", "{'user': 'u', 'domain': 'acme', 'enabled': false}"},
    {"user.update", "{'user': 'u', 'domain': 'acme', 'revoke': true}"},
    {"user.delete", "{'user': 'u', 'domain': 'acme'}"},
    {"access_key.create", "{'user': 'u', 'domain': 'acme'}"},
    {"policy.create", "{'name': 'more', 'domain': 'acme', 'document': {'Version': '1.1',"
                      " 'Statement': [{'Effect': 'Deny', 'Action': ['apig:apis:*']}]}}"},
    {"policy.attach", "{'policy': 'few', 'user': 'u', 'domain': 'acme'}"},
    {"policy.delete", "{'name': 'few', 'domain': 'acme'}"},
};

// Runs a command; 0 or -1 as it answered.
static int
ask(const char *name, const char *id, const char *text)
{
    char *json = sl_arena_dup(arena, text);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *body = json_loads(json, 0, NULL);
    assert_non_null(body);
    struct sl_command command = make_command(name, body);
    struct sl_reply reply = {.status = 0};
    command.id = id == NULL ? command.id : id;
    struct sl_call call = {
        .arena = arena, .command = &command, .context = thread, .deadline_mono_ms = INT64_MAX};
    int status = task_run(find_row(name), thread, &call, &reply, &err);
    json_decref(body);
    return status;
}

// Forgets all accounts, and makes one with a project, a user and a policy.
static void
make_world(void)
{
    struct sl_tx *tx = sl_tx_begin(thread->db, &err);
    assert_non_null(tx);
    assert_int_equal(sl_sql(tx, arena, "TRUNCATE domain, runtime_change, audit CASCADE",
                            SL_NO_PARAMS, NULL, &err),
                     0);
    assert_int_equal(sl_tx_commit(&tx, &err), 0);
    assert_int_equal(ask("domain.create", NULL, "{'name': 'acme'}"), 0);
    assert_int_equal(ask("project.create", NULL, "{'name': 'main', 'domain': 'acme'}"), 0);
    assert_int_equal(ask("user.create", NULL, "{'name': 'u', 'domain': 'acme'}"), 0);
    assert_int_equal(ask("policy.create", NULL,
                         "{'name': 'few', 'domain': 'acme', 'document': {'Version': '1.1',"
                         " 'Statement': [{'Effect': 'Allow', 'Action': ['apig:apps:list']}]}}"),
                     0);
}

// Cuts one command at exchange `run`, checks, repeats. False: the command has fewer exchanges.
static bool
cut_once(const struct deed *deed, enum cut_when when, unsigned run)
{
    char id[33];
    sl_random_id(id);
    make_world();
    const char *before = cut_db_contents();
    cut_db_arm(when, run);
    int status = ask(deed->name, id, deed->body);
    bool cut = cut_db_disarm();
    const char *after = cut_db_contents();
    if (!cut) {
        if (status != 0) {
            fail_msg("%s: %s %s", deed->name, sl_error_name(err.code), err.args[0]);
        }
        return false;
    }
    if (status != 0) {
        assert_int_equal(err.code, SL_E_UNAVAILABLE);
        assert_int_equal(strcmp(before, after) == 0, when == CUT_BEFORE);
    }
    if (ask(deed->name, id, deed->body) != 0) {
        fail_msg("%s cut at %u, repeated: %s %s", deed->name, run, sl_error_name(err.code),
                 err.detail);
    }
    const char *repeated = cut_db_contents();
    assert_int_not_equal(strcmp(before, repeated), 0);
    assert_true(when == CUT_BEFORE || strcmp(after, repeated) == 0);
    return true;
}

static void
cut_every_deed(enum cut_when when, unsigned least)
{
    for (size_t i = 0; i < SL_COUNT(deeds); i++) {
        unsigned run = 1;
        while (cut_once(&deeds[i], when, run)) {
            assert_true(++run < RUNS_MAX);
        }
        if (run <= least) {
            fail_msg("%s was cut %u times only", deeds[i].name, run - 1);
        }
    }
}

static void
a_command_whose_database_goes_away_left_nothing_and_may_be_repeated(void **state)
{
    (void)state;
    cut_every_deed(CUT_BEFORE, 3);
}

static void
a_command_whose_answer_was_lost_is_not_done_twice(void **state)
{
    (void)state;
    cut_every_deed(CUT_AFTER, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_whose_database_goes_away_left_nothing_and_may_be_repeated),
        cmocka_unit_test(a_command_whose_answer_was_lost_is_not_done_twice),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
