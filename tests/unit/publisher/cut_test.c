// cut_test.c - the database goes away at every statement of a publication and of a revision.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/publisher/fixture.h"

#include "common/crypto/crypto.h"
#include "tests/lib/cut_db.h"

#define RUNS_MAX 100 // statements of one command; more means that it does not end

#define KEPT 10 // versions of an API in an environment

#define OF_GATEWAY " WHERE gateway_id = '%s'"
#define VERSIONS   "SELECT count(*) FROM api_version WHERE instance_id = '%s'"
#define ONLINE     "SELECT count(version_id) FROM publication WHERE instance_id = '%s'"
#define DIRTY      "SELECT count(*) FROM runtime_change" OF_GATEWAY
#define REVISION   "SELECT revision FROM gateway_revision" OF_GATEWAY
#define ENTRIES    "SELECT count(body) FROM runtime_entry" OF_GATEWAY

// One number of the fixture's gateway; `sql` holds one %s for its id.
static int64_t
of_gateway(struct fixture *f, const char *sql)
{
    const char *at = strstr(sql, "%s");
    return fixture_number(
        f, sl_arena_printf(f->arena, "%.*s%s%s", (int)(at - sql), sql, f->gateway, at + 2));
}

// One action, cut at exchange `run` and repeated. False: it has fewer exchanges.
static bool
cut_action(struct fixture *f, const char *action, enum cut_when when, unsigned run)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    const char *before = cut_db_contents();
    cut_db_arm(when, run);
    int status = fixture_action(f, id, action, 0);
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
    if (fixture_action(f, id, action, 0) != 0) {
        fail_msg("%s cut at %u, repeated: %s %s", action, run, sl_error_name(f->err.code),
                 f->err.detail);
    }
    assert_true(when == CUT_BEFORE || strcmp(after, cut_db_contents()) == 0);
    return true;
}

static void
cut_life(struct fixture *f, enum cut_when when)
{
    unsigned run = 1;
    bool cut = true;
    for (; cut && run < RUNS_MAX; run++) {
        int64_t versions = of_gateway(f, VERSIONS);
        cut = cut_action(f, "online", when, run);
        assert_int_equal(of_gateway(f, VERSIONS), versions < KEPT ? versions + 1 : KEPT);
        assert_int_equal(of_gateway(f, ONLINE), 1);
        cut = cut_action(f, "offline", when, run) || cut;
        assert_int_equal(of_gateway(f, ONLINE), 0);
    }
    assert_true(run > (when == CUT_BEFORE ? 5 : 1) && run < RUNS_MAX);
}

static void
a_publication_whose_database_goes_away_left_nothing_and_may_be_repeated(void **state)
{
    cut_life(*state, CUT_BEFORE);
}

static void
a_publication_whose_answer_was_lost_makes_one_version(void **state)
{
    cut_life(*state, CUT_AFTER);
}

// Makes the API dirty; its next revision is cut at exchange `run`. False: it has fewer exchanges.
static bool
cut_revision(struct fixture *f, enum cut_when when, unsigned run)
{
    assert_int_equal(fixture_action(f, NULL, "online", 0), 0);
    int64_t revision = of_gateway(f, REVISION);
    assert_true(of_gateway(f, DIRTY) > 0);
    bool more = false;
    size_t events = caught_events;
    const char *before = cut_db_contents();
    cut_db_arm(when, run);
    int status = revision_make(&f->publisher, f->thread.db, f->gateway, &more, &f->err);
    bool cut = cut_db_disarm();
    if (status != 0) {
        assert_int_equal(f->err.code, SL_E_UNAVAILABLE);
        // Nobody hears of a revision whose commit is not known to have happened.
        assert_int_equal(caught_events, events);
        assert_int_equal(strcmp(before, cut_db_contents()) == 0, when == CUT_BEFORE);
    }
    fixture_publish(f);
    assert_int_equal(of_gateway(f, DIRTY), 0);
    assert_int_equal(of_gateway(f, REVISION), revision + 1);
    assert_int_equal(of_gateway(f, ENTRIES), 1);
    return cut;
}

static void
a_revision_is_made_whole_whatever_statement_is_cut(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f);
    unsigned run = 1;
    while (cut_revision(f, CUT_BEFORE, run)) {
        assert_true(++run < RUNS_MAX);
    }
    assert_true(run > 5);
}

static void
a_revision_whose_commit_was_not_heard_is_not_made_again(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f);
    assert_true(cut_revision(f, CUT_AFTER, 1));
    assert_false(cut_revision(f, CUT_AFTER, 2));
}

// Nodes that missed the event learn the head from the next broadcast.
static void
the_next_heads_tell_of_a_revision_that_was_not_announced(void **state)
{
    struct fixture *f = *state;
    fixture_publish(f);
    assert_true(cut_revision(f, CUT_AFTER, 1));
    size_t heads = caught_heads;
    assert_int_equal(revision_heads(&f->publisher, f->thread.db, &f->err), 0);
    assert_true(caught_heads > heads);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_publication_whose_database_goes_away_left_nothing_and_may_be_repeated),
        FIXTURE_TEST(a_publication_whose_answer_was_lost_makes_one_version),
        FIXTURE_TEST(a_revision_is_made_whole_whatever_statement_is_cut),
        FIXTURE_TEST(a_revision_whose_commit_was_not_heard_is_not_made_again),
        FIXTURE_TEST(the_next_heads_tell_of_a_revision_that_was_not_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
