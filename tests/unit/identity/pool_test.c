// pool_test.c - the password threads: deferred answers, a bounded queue, a clean end.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/identity/fixture.h"

#include "common/base/clock.h"

static json_t *
login_body(void)
{
    return json_pack("{s:{s:{s:[s], s:{s:{s:s, s:s, s:{s:s}}}}}}", "auth", "identity", "methods",
                     "password", "password", "user", "name", "u", "password", "p", "domain", "name",
                     "d");
}

static int
take(struct pool *pool, struct sl_call *call)
{
    return pool_take(pool, find_row("token.create"), call, &err);
}

static void
wait_for(size_t wanted)
{
    pthread_mutex_lock(&reply_lock);
    while (replies < wanted) {
        pthread_cond_wait(&reply_came, &reply_lock);
    }
    pthread_mutex_unlock(&reply_lock);
}

static void
a_deferred_login_is_answered_once(void **state)
{
    (void)state;
    json_t *body = login_body();
    struct sl_command command = make_command("token.create", body);
    struct sl_call call = {
        .arena = arena, .command = &command, .deadline_mono_ms = sl_mono_ms() + 60000};
    struct pool *pool = pool_new(&identity, 1, &err);
    replies = 0;
    assert_int_equal(take(pool, &call), 0);
    assert_true(call.deferred);
    wait_for(1);
    assert_int_equal(last_code, SL_E_LOGIN_FAILED);
    pool_stop(pool);
    pool_free(&pool);
    assert_null(pool);
    json_decref(body);
}

static void
an_expired_command_is_not_executed(void **state)
{
    (void)state;
    json_t *body = login_body();
    struct sl_command command = make_command("token.create", body);
    struct sl_call call = {.arena = arena, .command = &command, .deadline_mono_ms = 0};
    struct pool *pool = pool_new(&identity, 1, &err);
    replies = 0;
    assert_int_equal(take(pool, &call), 0);
    wait_for(1);
    assert_int_equal(last_code, SL_E_DEADLINE);
    pool_stop(pool);
    pool_free(&pool);
    json_decref(body);
}

static void
a_full_queue_refuses_and_every_accepted_command_is_answered(void **state)
{
    (void)state;
    json_t *body = login_body();
    struct sl_command command = make_command("token.create", body);
    struct sl_call call = {
        .arena = arena, .command = &command, .deadline_mono_ms = sl_mono_ms() + 60000};
    struct pool *pool = pool_new(&identity, 1, &err);
    size_t accepted = 0;
    replies = 0;
    for (size_t i = 0; i < POOL_QUEUE_MAX * 2; i++) {
        accepted += take(pool, &call) == 0;
    }
    assert_true(accepted >= POOL_QUEUE_MAX && accepted < POOL_QUEUE_MAX * 2);
    assert_int_equal(err.code, SL_E_UNAVAILABLE);
    pool_stop(pool);
    assert_int_equal(replies, accepted);
    assert_int_equal(take(pool, &call), -1);
    pool_free(&pool);
    json_decref(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deferred_login_is_answered_once),
        cmocka_unit_test(an_expired_command_is_not_executed),
        cmocka_unit_test(a_full_queue_refuses_and_every_accepted_command_is_answered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
