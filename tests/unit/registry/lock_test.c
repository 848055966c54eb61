// lock_test.c - commands that meet: one order of what they lock, so that none waits for one that
// waits for it.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/base/clock.h"

#include <pthread.h>

#define DEADLINE_MS 60000

// Two domains of a group each, and two certificates for both; ids in their order.
static const char given_sql[] =
    "WITH g AS (INSERT INTO api_group (instance_id, id, name, sl_domain) SELECT '%1$s',"
    " '%1$s-g' || n, 'g' || n, n || '%1$s' FROM generate_series(1, 2) n),"
    " c AS (INSERT INTO certificate (project_id, id, name, content, certificate_key, algorithm,"
    " facts, by_domain) SELECT '%2$s', '%1$s-c' || n, 'c' || n, '', '',"
    " CASE n WHEN 1 THEN 'RSA' ELSE 'ECC' END, '{\"san\": [\"*.a.b\"]}', true"
    " FROM generate_series(1, 2) n)"
    " INSERT INTO group_domain (instance_id, id, group_id, url_domain)"
    " SELECT '%1$s', '%1$s-d' || n, '%1$s-g' || n, n || '.a.b' FROM generate_series(1, 2) n";

// A channel with two servers in a group; ids in their order.
static const char channel_sql[] =
    "WITH c AS (INSERT INTO channel (instance_id, id, name, port, balance_strategy, member_type)"
    " VALUES ('%1$s', '%1$s-v1', 'v', 80, 1, 'ip')),"
    " g AS (INSERT INTO channel_group (instance_id, id, vpc_channel_id, member_group_name)"
    " VALUES ('%1$s', '%1$s-p1', '%1$s-v1', 'p'))"
    " INSERT INTO channel_member (instance_id, id, vpc_channel_id, member_group_id, host, port,"
    " weight, is_backup, status, ecs_id, ecs_name) SELECT '%1$s', '%1$s-m' || n, '%1$s-v1',"
    " '%1$s-p1', '10.0.0.' || n, 0, 1, false, 1, '', '' FROM generate_series(1, 2) n";

// A command on a thread and a connection of its own, and who holds it up.
struct meeting {
    struct fixture *f;     // of the test
    struct fixture side;   // the command's
    struct fixture holder; //
    struct sl_tx *held;    //
    pthread_t thread;      //
    const char *command;   //
    const char *path;      // JSON
    const char *body;      // JSON
    int rc;                // of the command
};

static const char *
certificate_path(struct fixture *f)
{
    return sl_arena_printf(f->arena, "{\"certificate_id\": \"%s-c1\"}", f->gateway);
}

// Locks a row of a table, at once; -1: another has it.
static int
take(struct meeting *meeting, const char *table, const char *id)
{
    struct fixture *f = meeting->f;
    const char *sql = sl_arena_printf(
        f->arena, "SELECT 1 FROM %s WHERE id = '%s-%s' FOR UPDATE NOWAIT", table, f->gateway, id);
    return sl_sql(meeting->held, f->arena, sql, SL_NO_PARAMS, NULL, &f->err);
}

static void *
run(void *arg)
{
    struct meeting *meeting = arg;
    meeting->rc = fixture_call(&meeting->side, meeting->command, meeting->path, "", meeting->body);
    return NULL;
}

// Runs a command while a row is held, until it waits for it.
static struct meeting *
meet(struct fixture *f, const char *table, const char *id, const struct meeting *wanted)
{
    struct meeting *meeting = sl_arena_alloc(f->arena, sizeof(*meeting));
    *meeting = *wanted;
    meeting->f = f;
    fixture_open(&meeting->side, f);
    fixture_open(&meeting->holder, f);
    meeting->held = sl_tx_begin(meeting->holder.registry.db, &f->err);
    assert_int_equal(take(meeting, table, id), 0);
    assert_int_equal(pthread_create(&meeting->thread, NULL, run, meeting), 0);
    for (int64_t end = sl_mono_ms() + DEADLINE_MS;
         fixture_count(f, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") ==
         0;) {
        assert_true(sl_mono_ms() < end);
    }
    return meeting;
}

// Lets it go on; what it answered.
static int
part(struct meeting *meeting)
{
    sl_tx_free(&meeting->held);
    pthread_join(meeting->thread, NULL);
    meeting->f->err = meeting->side.err;
    fixture_close(&meeting->side);
    fixture_close(&meeting->holder);
    return meeting->rc;
}

static struct fixture *
given(void **state)
{
    struct fixture *f = *state;
    char sql[2048];
    snprintf(sql, sizeof(sql), given_sql, f->gateway, f->project);
    fixture_sql(f, sql);
    return f;
}

static const char *
domain_path(struct fixture *f)
{
    return sl_arena_printf(f->arena,
                           "{\"group_id\": \"%1$s-g1\", \"domain_id\": \"%1$s-d1\","
                           " \"certificate_id\": \"%1$s-c1\"}",
                           f->gateway);
}

static const char both_domains[] =
    "{\"domains\": [{\"domain\": \"2.a.b\"}, {\"domain\": \"1.a.b\"}]}";

static void
certificates_come_in_order_and_before_their_domain(void **state)
{
    struct fixture *f = given(state);
    struct meeting attach = {
        .command = "domain_certificate.attach",
        .path = domain_path(f),
        .body = sl_arena_printf(f->arena, "{\"certificate_ids\": [\"%1$s-c2\", \"%1$s-c1\"]}",
                                f->gateway)};
    struct meeting *meeting = meet(f, "certificate", "c1", &attach);
    assert_int_equal(take(meeting, "certificate", "c2"), 0);
    assert_int_equal(take(meeting, "group_domain", "d1"), 0);
    assert_int_equal(take(meeting, "api_group", "g1"), 0);
    assert_int_equal(part(meeting), 0);
}

static void
domains_come_in_order_and_before_their_groups(void **state)
{
    struct fixture *f = given(state);
    static const char *const commands[] = {"certificate.attach", "certificate.detach"};
    const char *path = certificate_path(f);
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        struct meeting bind = {.command = commands[i], .path = path, .body = both_domains};
        struct meeting *meeting = meet(f, "group_domain", "d1", &bind);
        assert_int_equal(take(meeting, "group_domain", "d2"), 0);
        assert_int_equal(take(meeting, "api_group", "g1"), 0);
        assert_int_equal(take(meeting, "api_group", "g2"), 0);
        assert_int_equal(part(meeting), 0);
    }
}

static void
a_change_takes_the_certificate_then_domains_then_groups(void **state)
{
    struct fixture *f = given(state);
    const char *path = certificate_path(f);
    struct meeting change = {.command = "certificate.update",
                             .path = path,
                             .body = "{\"name\": \"next\", \"cert_content\": \"none\","
                                     " \"private_key\": \"none\"}"};
    assert_int_equal(fixture_call(f, "certificate.attach", path, "", both_domains), 0);
    struct meeting *meeting = meet(f, "group_domain", "d1", &change);
    assert_int_equal(take(meeting, "group_domain", "d2"), 0);
    assert_int_equal(take(meeting, "api_group", "g1"), 0);
    assert_int_equal(take(meeting, "api_group", "g2"), 0);
    assert_int_equal(part(meeting), -1); // what it brings is none, which it looks at last
    assert_int_equal(f->err.code, SL_E_CERT_INVALID);
    meeting = meet(f, "group_domain", "d1", &change);
    assert_int_equal(take(meeting, "certificate", "c2"), 0);
    assert_int_equal(take(meeting, "certificate", "c1"), -1);
    assert_int_equal(part(meeting), -1);
}

static void
what_came_with_a_domain_is_taken_before_the_domain_and_goes_with_it(void **state)
{
    struct fixture *f = given(state);
    struct meeting removal = {.command = "domain_certificate.remove", .path = domain_path(f)};
    removal.body = "";
    assert_int_equal(fixture_call(f, "certificate.attach", certificate_path(f), "",
                                  "{\"domains\": [{\"domain\": \"1.a.b\"}]}"),
                     0);
    struct meeting *meeting = meet(f, "certificate", "c1", &removal);
    assert_int_equal(take(meeting, "group_domain", "d1"), 0);
    assert_int_equal(part(meeting), 0);
    const char *left = sl_arena_printf(
        f->arena, "SELECT count(*) FROM certificate WHERE id = '%s-c1'", f->gateway);
    assert_int_equal(fixture_count(f, left), 0);
}

// A group that goes is held before the servers that it leaves behind.
static void
the_groups_of_a_channel_are_taken_before_its_servers(void **state)
{
    struct fixture *f = *state;
    const char *path = sl_arena_printf(f->arena, "{\"vpc_channel_id\": \"%s-v1\"}", f->gateway);
    struct meeting commands[] = {
        {.command = "channel_member.disable",
         .body =
             sl_arena_printf(f->arena, "{\"member_ids\": [\"%1$s-m2\", \"%1$s-m1\"]}", f->gateway)},
        {.command = "channel_member.replace",
         .body = "{\"members\": [{\"host\": \"10.0.0.2\"}, {\"host\": \"10.0.0.1\"}]}"},
    };
    fixture_sql(f, sl_arena_printf(f->arena, channel_sql, f->gateway));
    for (size_t i = 0; i < SL_COUNT(commands); i++) {
        commands[i].path = path;
        struct meeting *meeting = meet(f, "channel_group", "p1", &commands[i]);
        assert_int_equal(take(meeting, "channel_member", "m1"), 0);
        assert_int_equal(take(meeting, "channel_member", "m2"), 0);
        assert_int_equal(part(meeting), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(certificates_come_in_order_and_before_their_domain),
        FIXTURE_TEST(domains_come_in_order_and_before_their_groups),
        FIXTURE_TEST(a_change_takes_the_certificate_then_domains_then_groups),
        FIXTURE_TEST(what_came_with_a_domain_is_taken_before_the_domain_and_goes_with_it),
        FIXTURE_TEST(the_groups_of_a_channel_are_taken_before_its_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
