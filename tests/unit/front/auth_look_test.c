// auth_look_test.c - looks against a scripted publisher and follower.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/front/auth_look.c"

#include "tests/unit/test.h"

#define EPOCH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// The scripted bus and copy.
static struct {
    sl_timer_fn *timer;
    sl_reply_fn *answer; // NULL: no question is out
    void *answer_arg;
    int asked;
    int forgotten;
    uint64_t have;  // the copy's revision
    uint64_t heard; // the newest that it was told of
} script;

static struct looks *looks;

void
sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
            void *arg)
{
    (void)client;
    assert_string_equal(command->service, "publisher");
    assert_string_equal(command->name, "runtime.settle");
    assert_null(script.answer); // one question at a time
    script.asked++;
    script.answer = fn;
    script.answer_arg = arg;
}

void
sl_bus_every(struct sl_bus_client *client, sl_timer_fn *fn, void *arg)
{
    (void)client;
    (void)arg;
    script.timer = fn;
}

void
sl_bus_forget(struct sl_bus_client *client, const void *arg)
{
    (void)client;
    assert_ptr_equal(arg, looks);
    script.forgotten++;
}

struct sl_revision
sl_follow_revision(const struct sl_follow *follow)
{
    (void)follow;
    return (struct sl_revision){EPOCH, script.have};
}

void
sl_follow_heard(struct sl_follow *follow, const struct sl_revision *head)
{
    (void)follow;
    script.heard = head->number;
}

static int
set_up(void **state)
{
    (void)state;
    memset(&script, 0, sizeof(script));
    looks = looks_new(NULL, NULL);
    return looks != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    if (looks != NULL) {
        looks_close(looks);
        looks_close(looks);
        assert_int_equal(1, script.forgotten);
        looks_free(&looks);
    }
    return 0;
}

static void
count(void *arg)
{
    ++*(int *)arg;
}

// The client's thread runs its timers; the pause between two questions is over.
static void
run_timers(void)
{
    looks->asked_ms -= looks->asked == NULL ? PAUSE_MS : 0;
    script.timer(looks);
}

static void
answer(uint64_t head)
{
    struct sl_buf body;
    const struct sl_revision at = {EPOCH, head};
    sl_buf_init(&body, 1024);
    sl_head_pack(&body, &at);
    const struct sl_reply reply = {.body = {body.ptr, body.len}};
    sl_reply_fn *fn = SL_TAKE(script.answer);
    fn(script.answer_arg, &reply);
    sl_buf_clear(&body);
}

static void
who_looks_waits_for_the_copy(void **state)
{
    (void)state;
    int done = 0;
    script.have = 4;
    looks_ask(looks, count, &done);
    assert_int_equal(0, script.asked);
    run_timers();
    assert_int_equal(1, script.asked);
    answer(5);
    run_timers();
    assert_int_equal(0, done);
    assert_int_equal(5, script.heard);
    script.have = 5;
    run_timers();
    assert_int_equal(1, done);
    run_timers();
    assert_int_equal(1, script.asked);
    assert_int_equal(1, done);
}

static void
many_share_a_question_and_who_comes_later_has_the_next(void **state)
{
    (void)state;
    int first = 0;
    int later = 0;
    looks_ask(looks, count, &first);
    looks_ask(looks, count, &first);
    run_timers();
    looks_ask(looks, count, &later);
    run_timers();
    assert_int_equal(1, script.asked);
    answer(0);
    run_timers();
    assert_int_equal(2, first);
    assert_int_equal(0, later);
    run_timers();
    assert_int_equal(2, script.asked);
    answer(0);
    run_timers();
    assert_int_equal(1, later);
}

static void
questions_have_a_pause_between_them(void **state)
{
    (void)state;
    int done = 0;
    looks_ask(looks, count, &done);
    run_timers();
    answer(0);
    looks->asked_ms = sl_mono_ms();
    script.timer(looks);
    assert_int_equal(1, done);
    looks_ask(looks, count, &done);
    looks->asked_ms = sl_mono_ms();
    script.timer(looks);
    assert_int_equal(1, script.asked);
    run_timers();
    assert_int_equal(2, script.asked);
    answer(0);
    run_timers();
    assert_int_equal(2, done);
}

static void
without_a_publisher_or_the_copy_nobody_waits_long(void **state)
{
    (void)state;
    int done = 0;
    const struct sl_reply gone = {.failed = true};
    looks_ask(looks, count, &done);
    run_timers();
    sl_reply_fn *fn = SL_TAKE(script.answer);
    fn(script.answer_arg, &gone);
    assert_int_equal(1, done);
    looks_ask(looks, count, &done);
    run_timers();
    answer(9);
    run_timers();
    assert_int_equal(1, done);
    looks->asked_ms -= LOOK_MS;
    run_timers();
    assert_int_equal(2, done);
}

static void
who_closes_lets_go_of_all(void **state)
{
    (void)state;
    int done = 0;
    looks_ask(looks, count, &done);
    run_timers();
    looks_ask(looks, count, &done);
    looks_close(looks);
    assert_int_equal(2, done);
    assert_int_equal(1, script.forgotten);
    looks_free(&looks);
}

// HTTP is served until the bus clients are gone, which is after this.
static void
who_looks_after_the_close_goes_on_at_once(void **state)
{
    (void)state;
    int done = 0;
    looks_close(looks);
    looks_ask(looks, count, &done);
    assert_int_equal(1, done);
    assert_int_equal(0, script.asked);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(who_looks_waits_for_the_copy),
        T(many_share_a_question_and_who_comes_later_has_the_next),
        T(questions_have_a_pause_between_them),
        T(without_a_publisher_or_the_copy_nobody_waits_long),
        T(who_closes_lets_go_of_all),
        T(who_looks_after_the_close_goes_on_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
