// plans_test.c - what logins, lists of projects and changes of users read among 20,000 of them, by
// the plans that PostgreSQL ran.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/identity/fixture.h"

#include "tests/lib/plans.h"

static struct plans *plans;

static const char *const filling[] = {
    "INSERT INTO domain (id, name) VALUES (md5('d'), 'plans'), ('small', 'small')",
    "INSERT INTO project (id, domain_id, name) VALUES ('only', 'small', 'only')",
    "INSERT INTO project (id, domain_id, name) SELECT md5('p' || n), md5('d'), 'project_' || n"
    " FROM generate_series(1, 20000) n",
    "INSERT INTO iam_user (id, domain_id, name) SELECT md5('n' || n), md5('d'), 'user_' || n"
    " FROM generate_series(1, 20000) n",
    "INSERT INTO iam_user_policy (user_id, policy) SELECT id, 'APIG FullAccess' FROM iam_user",
    "INSERT INTO iam_access_key (access, user_id, secret) SELECT md5('k' || n), md5('n' || n), ''"
    " FROM generate_series(1, 20000) n",
    // Half of them matter no longer.
    "INSERT INTO iam_login (account, failures, blocked_until, at) SELECT md5('l' || n), 1, now(),"
    " now() - n % 2 * interval '1 day' FROM generate_series(1, 20000) n",
    "INSERT INTO audit (command_id, request_id, command, actor, project_id, instance_id, status)"
    " SELECT md5('x' || n), '', 'c', 'a', 'p', '', 200 FROM generate_series(1, 20000) n",
};

static int
send(struct sl_command *command)
{
    struct sl_reply reply;
    struct sl_call call = {
        .arena = arena, .command = command, .context = thread, .deadline_mono_ms = INT64_MAX};
    return task_run(find_row(command->name), thread, &call, &reply, &err);
}

// Runs a command from JSON text; 0, or -1 with err filled.
static int
ask(const char *name, const char *text)
{
    json_t *body = json_loads(text, 0, NULL);
    assert_non_null(body);
    struct sl_command command = make_command(name, body);
    command.actor.address = "192.0.2.1";
    int rc = send(&command);
    json_decref(body);
    return rc;
}

static int
login(const char *password)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\": {\"user\": "
             "{\"name\": \"who\", \"password\": \"%s\", \"domain\": {\"name\": \"plans\"}}}}, "
             "\"scope\": {\"project\": {\"name\": \"project_7\"}}}}",
             password);
    return ask("token.create", text);
}

static void
a_login_reads_its_user_whoever_else_there_is(void **state)
{
    (void)state;
    assert_int_equal(ask("user.create", "{\"name\": \"who\", \"domain\": \"plans\", \"password\": "
                                        "\"pass-plans\", \"policies\": [\"APIG FullAccess\"]}"),
                     0);
    plans_judge(plans, "user.create", 1);
    for (int i = 0; i < PLANS_RUNS; i++) {
        assert_int_equal(login("pass-plans"), 0);
        plans_judge(plans, "a login", 1);
        assert_int_equal(login("another one"), -1);
        plans_judge(plans, "a failed login", 1);
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
a_change_of_a_user_reads_that_user(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        {"user.update", "{\"user\": \"user_7\", \"domain\": \"plans\", \"revoke\": true}"},
        {"access_key.create", "{\"user\": \"user_7\", \"domain\": \"plans\"}"},
        {"access_key.list", "{\"user\": \"user_7\", \"domain\": \"plans\"}"},
    };
    for (int i = 0; i < PLANS_RUNS; i++) {
        for (size_t c = 0; c < SL_COUNT(changes); c++) {
            // There are two keys a user; then the answer is a refusal, after the same reading.
            bool refused = ask(changes[c][0], changes[c][1]) != 0;
            assert_true(!refused || c == 1);
            plans_judge(plans, changes[c][0], 1);
        }
    }
    assert_int_equal(plans_faults(plans), 0);
}

static void
an_account_lists_its_projects_whoever_else_has_some(void **state)
{
    (void)state;
    static const char *const lists[] = {"project.list", "auth_project.list", "auth_domain.list"};
    for (int i = 0; i < PLANS_RUNS; i++) {
        for (size_t n = 0; n < SL_COUNT(lists); n++) {
            struct sl_command command = make_command(lists[n], NULL);
            command.actor.domain_id = "small";
            assert_int_equal(send(&command), 0);
            plans_judge(plans, lists[n], 1);
        }
    }
    assert_int_equal(plans_faults(plans), 0);
}

static int
set_up_large(void **state)
{
    if (set_up(state) != 0) {
        return -1;
    }
    plans = plans_new(thread->db);
    for (size_t i = 0; i < SL_COUNT(filling); i++) {
        plans_run(plans, filling[i]);
    }
    plans_begin(plans);
    return 0;
}

static int
tear_down_large(void **state)
{
    plans_free(&plans);
    return tear_down(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_reads_its_user_whoever_else_there_is),
        cmocka_unit_test(a_change_of_a_user_reads_that_user),
        cmocka_unit_test(an_account_lists_its_projects_whoever_else_has_some),
    };
    return cmocka_run_group_tests(tests, set_up_large, tear_down_large);
}
