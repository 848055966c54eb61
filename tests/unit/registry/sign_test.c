// sign_test.c - signature keys: key pairs are made before a transaction begins, and only where one
// is needed.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/registry/fixture.h"

#include "common/crypto/rsa.h"

// Transactions that wait for their client, seen from elsewhere.
#define OPEN_SQL                                                                                   \
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"                     \
    " AND state LIKE 'idle in transaction%'"

static struct fixture elsewhere;
static size_t made;     // key pairs, in this test
static size_t inside;   // of them while a transaction was open
static bool none_first; // the first fails

const char *__wrap_sl_rsa_generate(struct sl_arena *arena);

const char *
__wrap_sl_rsa_generate(struct sl_arena *arena)
{
    made++;
    inside += fixture_count(&elsewhere, OPEN_SQL) != 0;
    return none_first && made == 1 ? NULL : sl_arena_printf(arena, "pair-%zu", made);
}

static int
set_up(void **state)
{
    made = inside = 0;
    none_first = false;
    if (fixture_set_up(state) != 0) {
        return -1;
    }
    fixture_open(&elsewhere, *state);
    return 0;
}

static int
tear_down(void **state)
{
    fixture_close(&elsewhere);
    return fixture_tear_down(state);
}

static void
allow_pairs(struct fixture *f)
{
    const char *body = "{\"name\": \"public_key\", \"enable\": true,"
                       " \"config\": \"{\\\"enable\\\": \\\"on\\\"}\"}";
    assert_int_equal(fixture_call(f, "feature.set", "", "", body), 0);
}

static const char *
make(struct fixture *f, const char *name, const char *more)
{
    const char *body = sl_arena_printf(f->arena, "{\"name\": \"%s\"%s}", name, more);
    return fixture_create(f, "sign.create", "", body);
}

static int
update(struct fixture *f, const char *id, const char *more)
{
    const char *body = sl_arena_printf(f->arena, "{\"name\": \"k%s\"%s}", id, more);
    return fixture_call(f, "sign.update", fixture_path(f, "sign_id", id), "", body);
}

#define PAIR   ", \"sign_type\": \"public_key\""
#define HMAC   ", \"sign_type\": \"hmac\""
#define EMPTY  ", \"sign_secret\": \"\""
#define SECRET ", \"sign_secret\": \"0123456789abcdef\""

static void
a_new_pair_is_made_before_its_transaction(void **state)
{
    struct fixture *f = *state;
    allow_pairs(f);
    make(f, "one", PAIR);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-1");
    make(f, "two", PAIR EMPTY);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-2");
    assert_int_equal(made, 2);
    assert_int_equal(inside, 0);
}

static void
so_is_one_that_replaces_another_secret(void **state)
{
    struct fixture *f = *state;
    allow_pairs(f);
    const char *id = make(f, "one", HMAC);
    assert_int_equal(made, 0);
    assert_int_equal(update(f, id, PAIR), 0);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-1");
    assert_int_equal(update(f, id, EMPTY), 0);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-2");
    assert_int_equal(update(f, id, PAIR EMPTY), 0);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-3");
    assert_int_equal(made, 3);
    assert_int_equal(inside, 0);
}

static void
none_is_made_where_none_is_needed(void **state)
{
    struct fixture *f = *state;
    const char *pair = "{\"name\": \"one\"" PAIR "}";
    assert_int_equal(fixture_call(f, "sign.create", "", "", pair), -1);
    assert_int_equal(f->err.code, SL_E_SIGN_UNSUPPORTED);
    allow_pairs(f);
    assert_int_equal(fixture_call(f, "sign.create", "", "", "{\"name\": \"a\"" PAIR SECRET "}"),
                     -1);
    assert_int_equal(f->err.code, SL_E_PARAM_INVALID);
    const char *hmac = make(f, "hmac", "");
    assert_int_equal(update(f, hmac, EMPTY), 0);
    assert_int_equal(update(f, hmac, HMAC SECRET), 0);
    assert_int_equal(update(f, "nobody", PAIR), -1);
    assert_int_equal(f->err.code, SL_E_SIGN_NOT_FOUND);
    assert_int_equal(made, 0);
    const char *id = make(f, "pair", PAIR);
    assert_int_equal(made, 1);
    assert_int_equal(update(f, id, ""), 0);
    assert_int_equal(update(f, id, PAIR), 0);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-1");
    assert_int_equal(update(f, id, HMAC), 0);
    assert_int_equal(made, 1);
    elsewhere.project[0] ^= 1; // a caller of another project
    memcpy(f->project, elsewhere.project, sizeof(f->project));
    assert_int_equal(fixture_call(f, "sign.create", "", "", pair), -1);
    assert_int_equal(f->err.code, SL_E_INSTANCE_NOT_FOUND);
    assert_int_equal(made, 1);
}

static void
one_that_could_not_be_prepared_is_made_late(void **state)
{
    struct fixture *f = *state;
    allow_pairs(f);
    none_first = true;
    make(f, "one", PAIR);
    assert_string_equal(fixture_text(f, "sign_secret"), "pair-2");
    assert_int_equal(inside, 1); // as a transaction would be seen
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_pair_is_made_before_its_transaction),
        TEST(so_is_one_that_replaces_another_secret),
        TEST(none_is_made_where_none_is_needed),
        TEST(one_that_could_not_be_prepared_is_made_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
