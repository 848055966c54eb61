// keeper_test.c - owners of shards against a PostgreSQL: dying, coming back, exchanging.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/fork.h"
#include "tests/unit/throttle/keepers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/runtime/counter.h"

#define KEY        "t/0123456789abcdef0123456789abcdef/*/a/86400"
#define WINDOW_S   86400 // of KEY; seldom ends while a test runs
#define IN_VAIN_MS 1000  // that units are waited for which must not come

// A report of node-1: it wants a unit of KEY. Answers what it is allowed, -1: nothing was said.
static int64_t
want_unit(struct fixture *f, struct keeper *keeper, int64_t seq, int64_t allowed, int64_t used)
{
    struct sl_error err;
    struct sl_str packed;
    json_t *reply;
    int64_t now_ms = sl_wall_ms();
    json_int_t window = sl_counter_window(now_ms, WINDOW_S);
    int64_t epoch = keepers_number(f, "SELECT max(epoch) FROM throttle_shard");
    json_t *request = json_pack(
        "{sssIsIsIsIsIs[[iiIIb]]s[{sssIsIsIs[[IIIII]]}]}", "boot", f->boot, "inc", (json_int_t)1,
        "n", (json_int_t)++f->report, "membership", (json_int_t)1, "members", (json_int_t)2,
        "divides", (json_int_t)0, "shards", 0, SL_SHARDS - 1, (json_int_t)epoch, (json_int_t)now_ms,
        true, "keys", "k", KEY, "s", (json_int_t)WINDOW_S, "l", (json_int_t)3, "r", (json_int_t)1,
        "w", window, (json_int_t)seq, (json_int_t)allowed, (json_int_t)used, (json_int_t)1);
    assert_non_null(request);
    int failed = keeper_exchange(keeper, f->arena, "node-1", request, &packed, &err);
    json_decref(request);
    if (failed != 0 || sl_json_unpack(f->arena, packed, &reply, &err) != 0) {
        return -1;
    }
    json_t *key = json_array_get(json_object_get(reply, "keys"), 0);
    json_t *grant = json_array_get(json_object_get(key, "g"), 0);
    return grant != NULL ? json_integer_value(json_array_get(grant, 2)) : -1;
}

// Kills an owner of all shards, without a word to anybody.
static void
kill_an_owner(struct fixture *f)
{
    pid_t child = fork_child();
    if (child == 0) {
        keepers_start(f, "killed");
        pause();
        _exit(0);
    }
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keepers_number(f, "SELECT count(owner) FROM throttle_shard") < SL_SHARDS &&
           sl_mono_ms() < end_ms) {
        usleep(10000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void
a_killed_owner_loses_its_shards_long_before_its_lease_ends(void **state)
{
    struct fixture *f = *state;
    kill_an_owner(f);
    keepers_sql(f, "UPDATE throttle_worker SET lease = now() + interval '1 hour'");
    keepers_own_all(f, "heir");
    assert_int_equal(2, keepers_number(f, "SELECT min(epoch) FROM throttle_shard"));
    assert_int_equal(1, keepers_number(f, "SELECT count(*) FROM throttle_worker"));
}

// A fail-over ends all sessions and a build that writes none has none: neither says who is dead.
static void
without_its_session_an_owner_loses_its_shards_when_its_lease_ends(void **state)
{
    struct fixture *f = *state;
    static const char *const UNKNOWN[] = {
        "UPDATE throttle_worker SET server = server - interval '1 hour'",
        "UPDATE throttle_worker SET pid = NULL, since = NULL, server = NULL"};
    for (size_t i = 0; i < SL_COUNT(UNKNOWN); i++) {
        kill_an_owner(f);
        keepers_sql(f, UNKNOWN[i]);
        int64_t leased_ms = sl_mono_ms();
        keepers_sql(f, "UPDATE throttle_worker SET lease = now() + interval '700 milliseconds'");
        keepers_own_all(f, "heir");
        assert_true(sl_mono_ms() - leased_ms >= 600);
        keeper_stop(f->keepers[0]);
        keeper_free(&f->keepers[0]);
    }
}

static void
the_next_end_of_a_lease_is_known(void **state)
{
    struct fixture *f = *state;
    static struct shards_state seen;
    struct sl_error err;
    assert_int_equal(0, shards_renew(f->db, f->arena, "one", true, &seen, &err));
    assert_true(seen.next_end_ms == INT64_MAX); // nobody else owns anything
    keepers_sql(f, "INSERT INTO throttle_worker (worker, lease) VALUES "
                   "('two', now() + interval '1 hour'), ('idle', now() + interval '1 minute')");
    keepers_sql(f, "UPDATE throttle_shard SET owner = 'one' WHERE shard < 9");
    keepers_sql(f, "UPDATE throttle_shard SET owner = 'two' WHERE shard > 9");
    int64_t before_ms = sl_mono_ms();
    assert_int_equal(0, shards_renew(f->db, f->arena, "one", true, &seen, &err));
    assert_true(seen.next_end_ms > before_ms + 3000000);
    keepers_sql(f, "UPDATE throttle_worker SET lease = now() + interval '1 second' "
                   "WHERE worker = 'two'");
    assert_int_equal(0, shards_renew(f->db, f->arena, "one", true, &seen, &err));
    assert_true(seen.next_end_ms <= sl_mono_ms() + 1010 || seen.next_end_ms == INT64_MAX);
}

// A slow link: what the look finds is older than the lease that the renewal before it wrote.
static void
who_renews_counts_itself_though_its_lease_has_ended_meanwhile(void **state)
{
    struct fixture *f = *state;
    static struct shards_state seen;
    struct sl_error err;
    keepers_sql(f, "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS "
                   "'BEGIN NEW.lease := clock_timestamp(); RETURN NEW; END'");
    keepers_sql(f, "CREATE TRIGGER late BEFORE INSERT OR UPDATE ON throttle_worker "
                   "FOR EACH ROW WHEN (NEW.worker <> 'two') EXECUTE FUNCTION late()");
    f->keepers[0] = keepers_start(f, "slow"); // lives on
    keepers_wait_lease(f->keepers[0]);
    assert_int_equal(0, shards_renew(f->db, f->arena, "one", true, &seen, &err));
    assert_int_equal(seen.live, 1);
    keepers_sql(f, "INSERT INTO throttle_worker (worker, lease) VALUES "
                   "('two', now() + interval '1 hour')");
    assert_int_equal(0, shards_renew(f->db, f->arena, "one", true, &seen, &err));
    assert_int_equal(seen.live, 2);
    keepers_sql(f, "DELETE FROM throttle_worker WHERE worker = 'two'");
    keepers_sql(f, "DROP FUNCTION late CASCADE");
    keepers_wait_owned(f->keepers[0], SL_SHARDS);
}

static void
when_all_sessions_end_owners_come_back_to_their_shards(void **state)
{
    struct fixture *f = *state;
    static const char EPOCHS[] = "SELECT sum(epoch) FROM throttle_shard";
    static const char SESSIONS[] =
        "SELECT count(DISTINCT pid) FROM throttle_worker w "
        "JOIN pg_stat_activity a USING (pid) WHERE pid NOT IN (SELECT pid FROM gone)";
    f->keepers[0] = keepers_start(f, "one");
    f->keepers[1] = keepers_start(f, "two");
    keepers_wait_owned(f->keepers[0], SL_SHARDS / 2);
    keepers_wait_owned(f->keepers[1], SL_SHARDS / 2);
    int64_t epochs = keepers_number(f, EPOCHS);
    keepers_sql(f, "CREATE TEMP TABLE gone AS SELECT pid FROM throttle_worker");
    // Under the lock no owner looks between the end of one session and that of the next.
    keepers_sql(f, "DO $$ BEGIN LOCK TABLE throttle_worker; "
                   "PERFORM pg_terminate_backend(pid, 10000) FROM gone; END $$");
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keepers_number(f, SESSIONS) < 2 && sl_mono_ms() < end_ms) {
        usleep(5000);
    }
    assert_int_equal(2, keepers_number(f, SESSIONS));
    assert_int_equal(epochs, keepers_number(f, EPOCHS));
}

static void
who_was_taken_for_dead_writes_nothing_before_it_renews(void **state)
{
    struct fixture *f = *state;
    static struct shards_state seen;
    static const int64_t vouched[SL_SHARDS];
    struct sl_error err;
    struct account_ceiling row;
    struct account_ceiling wanted = {GATEWAY, KEY, WINDOW_S, 1, 3, 2};
    const struct shards_ceilings ceilings = {"w", &wanted, 1};
    struct shards_node node = {.gateway_id = GATEWAY, .node_id = "node-1"};
    node.contact = (struct account_contact){.boot = BOOT, .until_ms = 1, .vouched = vouched};
    for (int renews = 0; renews < 2; renews++) {
        if (renews == 1) {
            assert_int_equal(0, shards_renew(f->db, f->arena, "w", true, &seen, &err));
        }
        int expected = renews == 1 ? 0 : -1;
        err.code = SL_E_UNAVAILABLE;
        assert_int_equal(expected, shards_write_contact(f->db, f->arena, "w", &node, &err));
        assert_int_equal(SL_E_UNAVAILABLE, err.code);
        assert_int_equal(expected, shards_write_ceilings(f->db, f->arena, &ceilings, &row, &err));
        assert_int_equal(SL_E_UNAVAILABLE, err.code);
        assert_int_equal(renews, keepers_number(f, "SELECT count(*) FROM throttle_contact"));
        assert_int_equal(renews, keepers_number(f, "SELECT count(*) FROM throttle_usage"));
        node.contact.vouched = vouched;
    }
    assert_int_equal(2, row.ceiling);
}

// Keys may hold what an array of PostgreSQL has a meaning for.
static void
ceilings_are_raised_and_looked_at_in_one_write(void **state)
{
    struct fixture *f = *state;
    static struct shards_state seen;
    struct sl_error err;
    struct account_ceiling rows[5];
    struct account_ceiling wanted[5] = {
        {GATEWAY, "a\"b", 60, 7, 100, 10},   {GATEWAY, "new", 60, 7, 100, -1},
        {GATEWAY, "c\\,{}", 60, 7, 100, 20}, {GATEWAY, "NULL", 60, 7, 100, 30},
        {"other", "NULL", 60, 7, 100, 40},
    };
    const struct shards_ceilings ceilings = {"w", wanted, SL_COUNT(wanted)};
    assert_int_equal(0, shards_renew(f->db, f->arena, "w", true, &seen, &err));
    assert_int_equal(0, shards_write_ceilings(f->db, f->arena, &ceilings, rows, &err));
    for (size_t i = 0; i < SL_COUNT(wanted); i++) {
        bool is_look = wanted[i].ceiling < 0;
        assert_string_equal(wanted[i].key, rows[i].key);
        assert_int_equal(is_look ? 0 : 7, rows[i].window);
        assert_int_equal(is_look ? 0 : wanted[i].ceiling, rows[i].ceiling);
        wanted[i].ceiling = i == 2 ? 5 : -1; // a ceiling only rises
        wanted[i].window = 6;                // and a later window stays
    }
    assert_int_equal(0, shards_write_ceilings(f->db, f->arena, &ceilings, rows, &err));
    const int64_t expected[] = {10, 0, 20, 30, 40};
    for (size_t i = 0; i < SL_COUNT(wanted); i++) {
        assert_int_equal(i == 1 ? 0 : 7, rows[i].window);
        assert_int_equal(expected[i], rows[i].ceiling);
    }
}

// Asks until something is allowed; -1: in vain.
static int64_t
wait_units(struct fixture *f, struct keeper *keeper, int64_t ms)
{
    int64_t allowed = 0;
    int64_t end_ms = sl_mono_ms() + ms;
    while (allowed <= 0 && sl_mono_ms() < end_ms) {
        allowed = want_unit(f, keeper, 0, 0, 0);
        usleep(5000);
    }
    return allowed > 0 ? allowed : -1;
}

static void
a_node_gets_units_once_its_row_is_written(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    int64_t allowed = wait_units(f, f->keepers[0], WAIT_MS);
    assert_true(allowed >= 1 && allowed <= 3);
    assert_int_equal(1, keepers_number(f, "SELECT count(*) FROM throttle_contact "
                                          "WHERE node_id = 'node-1' AND boot = '" BOOT "'"));
}

static void
what_is_granted_is_covered_by_a_durable_ceiling(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    int64_t allowed = wait_units(f, f->keepers[0], WAIT_MS);
    assert_true(allowed >= 1);
    keepers_sql(f, "ALTER TABLE throttle_usage RENAME COLUMN ceiling TO gone");
    int64_t ceiling = keepers_number(f, "SELECT gone FROM throttle_usage WHERE key = '" KEY "'");
    assert_true(ceiling >= allowed && ceiling <= 3);
    int64_t last = 0; // what the ceiling allows may still be granted, and no more
    for (int i = 0; i < 40; i++) {
        last = want_unit(f, f->keepers[0], 0, 0, 0);
        usleep(5000);
    }
    keepers_sql(f, "ALTER TABLE throttle_usage RENAME COLUMN gone TO ceiling");
    assert_true(last <= ceiling);
}

// Another owner, another memory of the node: what the row says is all that is known.
static int64_t
units_of_an_heir(struct fixture *f, const char *ceiling, int64_t wait_ms)
{
    keepers_own_all(f, "one");
    assert_true(wait_units(f, f->keepers[0], WAIT_MS) >= 1);
    keeper_stop(f->keepers[0]);
    keeper_free(&f->keepers[0]);
    keepers_sql(f, ceiling);
    f->boot = "dddddddddddddddddddddddddddddddd";
    keepers_own_all(f, "heir");
    return wait_units(f, f->keepers[0], wait_ms);
}

static void
an_heir_grants_what_the_ceiling_leaves(void **state)
{
    int64_t units = units_of_an_heir(*state, "UPDATE throttle_usage SET ceiling = 1", WAIT_MS);
    assert_true(units >= 1 && units <= 2);
}

static void
an_heir_grants_nothing_where_all_was_granted(void **state)
{
    assert_int_equal(-1,
                     units_of_an_heir(*state, "UPDATE throttle_usage SET ceiling = 3", IN_VAIN_MS));
}

static void
an_heir_takes_a_row_without_a_ceiling_for_all(void **state)
{
    assert_int_equal(
        -1, units_of_an_heir(*state, "UPDATE throttle_usage SET ceiling = NULL", IN_VAIN_MS));
}

static void
an_heir_of_a_later_row_grants_nothing_of_the_window(void **state)
{
    assert_int_equal(-1, units_of_an_heir(*state,
                                          "UPDATE throttle_usage SET "
                                          "window_no = window_no + 1, ceiling = 0",
                                          IN_VAIN_MS));
}

// Asks for units until the database says 1.
static void
want_until(struct fixture *f, const char *query)
{
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keepers_number(f, query) != 1 && sl_mono_ms() < end_ms) {
        want_unit(f, f->keepers[0], 0, 0, 0);
        usleep(5000);
    }
    assert_int_equal(1, keepers_number(f, query));
}

static void
a_lost_memory_leaves_what_it_vouched_for(void **state)
{
    struct fixture *f = *state;
    units_of_an_heir(f, "UPDATE throttle_contact SET vouched = array_fill(7::bigint, ARRAY[1024])",
                     0);
    want_until(f, "SELECT count(*) FROM throttle_contact WHERE 7 = ALL (alone) "
                  "AND node_id = 'node-1' AND lost_until_ms > 0");
    keepers_sql(f, "UPDATE throttle_contact SET vouched = array_fill(5::bigint, ARRAY[1024])");
    keeper_stop(f->keepers[0]);
    keeper_free(&f->keepers[0]);
    keepers_sql(f, "UPDATE throttle_contact SET divides = 1 WHERE node_id = 'node-1'");
    f->boot = "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    keepers_own_all(f, "third");
    want_until(f,
               "SELECT count(*) FROM throttle_contact WHERE 5 = ALL (alone) AND boot LIKE 'eee%' "
               "AND lost_divides = 1");
}

static void
an_unknown_node_is_refused_and_looked_for(void **state)
{
    struct fixture *f = *state;
    struct sl_error err;
    struct sl_str packed;
    keepers_own_all(f, "one");
    json_t *request = json_pack("{sssI}", "boot", BOOT, "inc", (json_int_t)1);
    assert_int_equal(-1,
                     keeper_exchange(f->keepers[0], f->arena, "node-9", request, &packed, &err));
    assert_int_equal(SL_E_UNAVAILABLE, err.code);
    keepers_sql(f, "INSERT INTO node (instance_id, id, public_key) VALUES ('" GATEWAY
                   "', 'node-9', 'key-9')");
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keeper_exchange(f->keepers[0], f->arena, "node-9", request, &packed, &err) != 0 &&
           sl_mono_ms() < end_ms) {
        usleep(5000);
    }
    json_decref(request);
    keepers_sql(f, "DELETE FROM node WHERE id = 'node-9'");
    assert_true(packed.len > 0);
}

static void
without_the_database_the_lease_ends_and_nothing_is_granted(void **state)
{
    struct fixture *f = *state;
    keepers_own_all(f, "one");
    want_unit(f, f->keepers[0], 0, 0, 0);
    keepers_sql(f, "ALTER TABLE throttle_worker RENAME TO throttle_gone");
    int64_t end_ms = sl_mono_ms() + WAIT_MS;
    while (keeper_has_lease(f->keepers[0]) && sl_mono_ms() < end_ms) {
        usleep(10000);
    }
    assert_false(keeper_has_lease(f->keepers[0]));
    int64_t allowed = want_unit(f, f->keepers[0], 0, 0, 0);
    assert_int_equal(allowed, want_unit(f, f->keepers[0], 0, 0, 0));
    keepers_sql(f, "ALTER TABLE throttle_gone RENAME TO throttle_worker");
    keepers_wait_lease(f->keepers[0]);
    assert_int_equal(SL_SHARDS, keeper_owned(f->keepers[0]));
    assert_int_equal(1, keepers_number(f, "SELECT max(epoch) FROM throttle_shard"));
}

// A host that was cut off asks as soon as it is back, and its first answer may be seconds late.
static void
a_late_answer_does_not_move_the_accounting_clock(void **state)
{
    (void)state;
    // {server, at, trip}, has a clock, offset before, offset after
    static const struct {
        struct shards_clock seen;
        bool has_clock;
        int64_t before_ms, after_ms;
    } rows[] = {
        {{5000, 1000, 3000}, false, 0, 4000},  // the first is better than none
        {{5000, 1000, 10}, true, 4100, 4075},  // slewed
        {{5000, 1000, 10}, true, 3900, 3925},  //
        {{5000, 1000, 201}, true, 4100, 4100}, // late
        {{5000, 1000, 3000}, true, 1, 1},      //
        {{9000, 1000, 10}, true, 4000, 8000},  // another server's clock
        {{5000, 1000, 200}, true, 9000, 4000}, //
    };
    for (size_t i = 0; i < SL_COUNT(rows); i++) {
        assert_int_equal(rows[i].after_ms,
                         keeper_follow_clock(&rows[i].seen, rows[i].has_clock, rows[i].before_ms));
    }
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, keepers_setup, keepers_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_answer_does_not_move_the_accounting_clock),
        T(a_killed_owner_loses_its_shards_long_before_its_lease_ends),
        T(without_its_session_an_owner_loses_its_shards_when_its_lease_ends),
        T(the_next_end_of_a_lease_is_known),
        T(who_renews_counts_itself_though_its_lease_has_ended_meanwhile),
        T(when_all_sessions_end_owners_come_back_to_their_shards),
        T(ceilings_are_raised_and_looked_at_in_one_write),
        T(who_was_taken_for_dead_writes_nothing_before_it_renews),
        T(a_node_gets_units_once_its_row_is_written),
        T(what_is_granted_is_covered_by_a_durable_ceiling),
        T(an_heir_grants_what_the_ceiling_leaves),
        T(an_heir_grants_nothing_where_all_was_granted),
        T(an_heir_takes_a_row_without_a_ceiling_for_all),
        T(an_heir_of_a_later_row_grants_nothing_of_the_window),
        T(a_lost_memory_leaves_what_it_vouched_for),
        T(an_unknown_node_is_refused_and_looked_for),
        T(without_the_database_the_lease_ends_and_nothing_is_granted),
    };
    return cmocka_run_group_tests(tests, keepers_migrate, NULL);
}
