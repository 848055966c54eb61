// together_test.c - commands that wait at the same time share a handler thread's turn.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 2
#define MARKED  ((void *)&seen)

// What the worker saw. Handler threads write, the test reads.
static struct {
    atomic_int asked;       // commands
    atomic_int handled;     // that go together
    atomic_int early;       // handled before all of their turn were asked
    atomic_int turns;       // ended
    atomic_int widest;      // most commands of one turn
    atomic_bool is_held;    // the first turn waits in its handler
    atomic_bool is_holding; // it does
} seen;

// Of one thread: asked and not ended.
static _Thread_local int turn_asked;
static _Thread_local int turn_handled;

static bool
takes(const char *name)
{
    return strncmp(name, "ask.", strlen("ask.")) == 0;
}

static int
ask(struct sl_call *call, struct sl_error *err)
{
    if (strcmp(call->command->name, "ask.refused") == 0) {
        return sl_fail(err, SL_E_PARAM_INVALID, "name");
    }
    atomic_fetch_add(&seen.early, turn_handled > 0);
    atomic_fetch_add(&seen.asked, 1);
    turn_asked++;
    call->asked = MARKED;
    return 0;
}

static int
handle(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    turn_handled++;
    atomic_fetch_add(&seen.handled, call->asked == MARKED);
    if (strcmp(call->command->name, "ask.hold") == 0) {
        atomic_store(&seen.is_holding, true);
        while (atomic_load(&seen.is_held)) {
            play_pause(1);
        }
    }
    reply->status = 200;
    reply->body = SL_STR("{}");
    return 0;
}

static void
end(void *context)
{
    (void)context;
    int widest = atomic_load(&seen.widest);
    while (turn_asked > widest &&
           !atomic_compare_exchange_weak(&seen.widest, &widest, turn_asked)) {
    }
    turn_asked = turn_handled = 0;
    atomic_fetch_add(&seen.turns, 1);
}

static int
own(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    assert(call->asked == NULL);
    reply->body = SL_STR("{}");
    return 0;
}

static struct sl_together together = {.takes = takes, .ask = ask, .end = end};
static const struct sl_handler handlers[] = {{"*", handle}, {"ask.own", own}, {"mark", own}};
static const char *const services[] = {"registry"};

// One bus, so that commands come in the order in which they were sent; the first turn is held.
static void
begin(struct play_tally *held, struct play_slot *slot, int64_t patience_ms)
{
    struct sl_error err;
    memset(&seen, 0, sizeof(seen));
    memset(&play, 0, sizeof(play));
    memset(held, 0, sizeof(*held));
    together.patience_ms = patience_ms;
    play.stage = stage_new(1);
    play.arena = sl_arena_new(1 << 24);
    struct sl_worker_options options = {
        .peer = stage_peer(play.stage, "worker-1", "worker:registry", NULL),
        .services = services,
        .service_count = 1,
        .handlers = handlers,
        .handler_count = SL_COUNT(handlers),
        .together = &together,
        .threads = THREADS,
        .credits = 1000,
        .width = 1000};
    play.worker = sl_worker_new(&options, &err);
    assert_non_null(play.worker);
    play.client = play_client(stage_peer(play.stage, "front-1", "front", NULL), false);
    stage_wait_live(play.client, 1);
    atomic_store(&seen.is_held, true);
    play_send_many(held, slot, "ask.hold", 0, 1);
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (!atomic_load(&seen.is_holding) && sl_mono_ms() < end_ms) {
        play_pause(1);
    }
    assert_true(atomic_load(&seen.is_holding));
}

static void
let_go(struct play_tally *held)
{
    atomic_store(&seen.is_held, false);
    play_wait_for_answers(held, 1);
}

// One that goes alone: when it is answered, what was sent before it has come.
static void
pass_marker(void)
{
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "mark", &reply, &err), 0);
}

static void
what_waits_goes_in_one_turn(void **state)
{
    (void)state;
    struct play_tally held, tally = {.all = 0};
    struct play_slot slot, slots[SL_TOGETHER];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    play_send_many(&tally, slots, "ask.more", 0, SL_TOGETHER - 1);
    pass_marker();
    assert_int_equal(atomic_load(&seen.asked), 1); // the other thread left them
    let_go(&held);
    play_wait_for_answers(&tally, SL_TOGETHER - 1);
    assert_int_equal(atomic_load(&tally.good), SL_TOGETHER - 1);
    assert_int_equal(atomic_load(&seen.widest), SL_TOGETHER - 1);
    assert_int_equal(atomic_load(&seen.handled), SL_TOGETHER);
    assert_int_equal(atomic_load(&seen.early), 0);
    play_end();
}

static void
a_whole_turn_is_another_threads(void **state)
{
    (void)state;
    struct play_tally held, tally = {.all = 0};
    struct play_slot slot, slots[SL_TOGETHER];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    play_send_many(&tally, slots, "ask.more", 0, SL_TOGETHER);
    play_wait_for_answers(&tally, SL_TOGETHER); // the first is still held
    assert_int_equal(atomic_load(&held.all), 0);
    assert_int_equal(atomic_load(&seen.widest), SL_TOGETHER);
    let_go(&held);
    play_end();
}

// A thread whose database is stuck.
static void
none_waits_for_ever_for_a_held_turn(void **state)
{
    (void)state;
    struct play_tally held, tally = {.all = 0};
    struct play_slot slot, slots[3];
    begin(&held, &slot, 1);
    play_send_many(&tally, slots, "ask.more", 0, 3);
    play_wait_for_answers(&tally, 3); // the first is still held
    assert_int_equal(atomic_load(&held.all), 0);
    let_go(&held);
    play_end();
}

static void
no_turn_is_longer(void **state)
{
    (void)state;
    struct play_tally held, tally = {.all = 0};
    struct play_slot slot, slots[100];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    play_send_many(&tally, slots, "ask.more", 0, 100);
    play_wait_for_answers(&tally, 96); // by whole turns
    let_go(&held);
    play_wait_for_answers(&tally, 100);
    assert_int_equal(atomic_load(&tally.good), 100);
    assert_int_equal(atomic_load(&seen.widest), SL_TOGETHER);
    play_end();
}

static void
what_cannot_be_asked_is_refused_alone(void **state)
{
    (void)state;
    struct play_tally held, good = {.all = 0}, bad = {.all = 0};
    struct play_slot slot, goods[4], bads[2];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    play_send_many(&good, goods, "ask.more", 0, 2);
    play_send_many(&bad, bads, "ask.refused", 0, 2);
    play_send_many(&good, goods, "ask.more", 2, 4);
    pass_marker();
    let_go(&held);
    play_wait_for_answers(&good, 4);
    play_wait_for_answers(&bad, 2);
    assert_int_equal(atomic_load(&good.good), 4);
    assert_int_equal(atomic_load(&bad.good), 0);
    assert_int_equal(atomic_load(&seen.handled), 5);
    assert_int_equal(atomic_load(&seen.turns), 2);
    play_end();
}

static void
one_with_a_handler_of_its_own_goes_alone(void **state)
{
    (void)state;
    struct play_tally held;
    struct play_slot slot;
    struct sl_reply reply;
    struct sl_error err;
    begin(&held, &slot, STAGE_PATIENCE_MS);
    assert_int_equal(play_request(play.client, "ask.own", &reply, &err), 0);
    assert_false(reply.failed);
    assert_int_equal(atomic_load(&seen.asked), 1);
    let_go(&held);
    play_end();
}

// The thread that had them takes what goes alone when that came first; another must take them then.
static void
what_came_first_goes_first(void **state)
{
    (void)state;
    struct play_tally held, alone = {.all = 0}, tally = {.all = 0};
    struct play_slot slot, others[PLAY_MANY / 2], slots[PLAY_MANY / 2];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    for (int i = 0; i < PLAY_MANY / 2; i++) {
        play_send_many(&alone, others, "mark", i, i + 1);
        play_send_many(&tally, slots, "ask.more", i, i + 1);
    }
    let_go(&held);
    play_wait_for_answers(&alone, PLAY_MANY / 2);
    play_wait_for_answers(&tally, PLAY_MANY / 2);
    assert_int_equal(atomic_load(&alone.good) + atomic_load(&tally.good), PLAY_MANY);
    play_end();
}

static void
a_worker_that_ends_handles_what_waits(void **state)
{
    (void)state;
    struct play_tally held, tally = {.all = 0};
    struct play_slot slot, slots[3];
    begin(&held, &slot, STAGE_PATIENCE_MS);
    play_send_many(&tally, slots, "ask.more", 0, 3);
    pass_marker();
    let_go(&held);
    sl_worker_free(&play.worker);
    play_wait_for_answers(&tally, 3);
    assert_int_equal(atomic_load(&tally.good), 3);
    play_end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_goes_in_one_turn),
        cmocka_unit_test(a_whole_turn_is_another_threads),
        cmocka_unit_test(none_waits_for_ever_for_a_held_turn),
        cmocka_unit_test(no_turn_is_longer),
        cmocka_unit_test(what_cannot_be_asked_is_refused_alone),
        cmocka_unit_test(one_with_a_handler_of_its_own_goes_alone),
        cmocka_unit_test(what_came_first_goes_first),
        cmocka_unit_test(a_worker_that_ends_handles_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
