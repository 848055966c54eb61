// bus_test.c - commands over real buses, also while things die.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define MANY 200

static void
a_command_is_answered(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(reply.status, 200);
    assert_true(sl_str_equal(reply.body,
                             SL_STR("{\"peer\":\"front-1\",\"role\":\"front\",\"actor\":\"u1\"}")));
    assert_int_equal(play_request(play.client, "fail", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_PARAM_INVALID);
    assert_string_equal(err.args[0], "name");
    play_end();
}

static void
an_unknown_command_is_refused(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "nothing", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_BUS_MESSAGE);
    play_end();
}

// Counts answers: each slot must be answered once.
struct tally {
    atomic_int answers[MANY];
    atomic_int good;
    atomic_int all;
};

struct slot {
    struct tally *tally;
    int index;
};

static void
count_answer(void *arg, const struct sl_reply *reply)
{
    struct slot *slot = arg;
    atomic_fetch_add(&slot->tally->answers[slot->index], 1);
    atomic_fetch_add(&slot->tally->good, !reply->failed);
    atomic_fetch_add(&slot->tally->all, 1);
}

static void
send_many(struct tally *tally, struct slot *slots, const char *name, int from, int to)
{
    for (int i = from; i < to; i++) {
        slots[i] = (struct slot){tally, i};
        struct sl_command sent = play_command(name);
        sl_bus_call(play.client, &sent, count_answer, &slots[i]);
    }
}

static void
wait_for_answers(struct tally *tally, int count)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (atomic_load(&tally->all) < count && sl_mono_ms() < end_ms) {
        play_pause(1);
    }
    assert_int_equal(atomic_load(&tally->all), count);
}

static void
a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer(void **state)
{
    (void)state;
    play_begin(2, "worker:registry", 2, 1000);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, MANY / 2);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    stage_kill_bus(play.stage, 0);
    send_many(&tally, slots, "block", MANY / 2, MANY);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, MANY);
    assert_int_equal(atomic_load(&tally.good), MANY);
    stage_start_bus(play.stage, 0);
    stage_wait_live(play.client, 2);
    stage_kill_bus(play.stage, 1);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(atomic_load(&tally.answers[i]), 1);
    }
    play_end();
}

// A number that a bus tells of itself.
static int64_t
bus_figure(struct sl_bus_client *client, const char *name)
{
    struct sl_command sent = play_command("status");
    struct sl_reply reply;
    struct sl_error err;
    sent.service = "bus";
    assert_int_equal(sl_bus_request(client, &sent, play.arena, &reply, &err), 0);
    json_error_t why;
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, &why);
    int64_t value = json_integer_value(json_object_get(status, name));
    json_decref(status);
    return value;
}

// Clients of one bus each, which the worker has reached.
struct ways {
    struct sl_peer peers[2];
    struct sl_bus_client *clients[2];
};

static void
open_ways(struct ways *ways)
{
    struct sl_reply reply;
    struct sl_error err;
    const struct sl_peer *both = stage_peer(play.stage, "front-2", "front", NULL);
    for (size_t i = 0; i < 2; i++) {
        ways->peers[i] = *both;
        ways->peers[i].buses[0] = both->buses[i];
        ways->peers[i].bus_count = 1;
        ways->clients[i] = play_client(&ways->peers[i], false);
        assert_int_equal(play_request(ways->clients[i], "echo", &reply, &err), 0);
    }
}

static void
close_ways(struct ways *ways)
{
    for (size_t i = 0; i < 2; i++) {
        sl_bus_client_free(&ways->clients[i]);
    }
}

static void
a_client_goes_one_way_while_it_is_not_crowded(void **state)
{
    (void)state;
    struct ways ways;
    struct sl_reply reply;
    struct sl_error err;
    play_begin(2, "worker:registry", 1, 1000);
    open_ways(&ways);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    }
    int64_t passed[] = {bus_figure(ways.clients[0], "passed"),
                        bus_figure(ways.clients[1], "passed")};
    // Beside the one by which each way was opened.
    assert_true((passed[0] == 21 && passed[1] == 1) || (passed[0] == 1 && passed[1] == 21));
    close_ways(&ways);
    play_end();
}

static void
a_crowd_goes_by_both_buses(void **state)
{
    (void)state;
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct ways ways;
    play_begin(2, "worker:registry", 1, 1000);
    open_ways(&ways);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 100);
    int64_t held[2] = {0};
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (held[0] + held[1] < 100 && sl_mono_ms() < end_ms) {
        held[0] = bus_figure(ways.clients[0], "in_flight");
        held[1] = bus_figure(ways.clients[1], "in_flight");
    }
    assert_int_equal(held[0] > held[1] ? held[0] : held[1], 64);
    assert_int_equal(held[0] > held[1] ? held[1] : held[0], 36);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, 100);
    assert_int_equal(atomic_load(&tally.good), 100);
    close_ways(&ways);
    play_end();
}

static void
commands_given_while_no_bus_is_there_are_each_answered_once(void **state)
{
    (void)state;
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    play_begin(1, "worker:registry", 2, 1000);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 10); // they are in flight, the others come beside them
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    stage_kill_bus(play.stage, 0);
    stage_wait_live(play.client, 0);
    for (int i = 10; i < 60; i++) {
        send_many(&tally, slots, "block", i, i + 1);
        play_pause(1); // the client's thread sleeps between them
    }
    stage_start_bus(play.stage, 0);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, 60);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&tally.good), 60);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(atomic_load(&tally.answers[i]), 1);
    }
    play_end();
}

#define CALLERS 8
#define CALLS   50 // of each

// Calls one after the other; how many were answered well.
static void *
call_often(void *arg)
{
    (void)arg;
    struct sl_arena *arena = sl_arena_new(1 << 20);
    uintptr_t good = 0;
    for (int i = 0; i < CALLS; i++) {
        struct sl_command sent = play_command("echo");
        struct sl_reply reply;
        struct sl_error err;
        good += sl_bus_request(play.client, &sent, arena, &reply, &err) == 0 && reply.status == 200;
        sl_arena_clear(arena);
    }
    sl_arena_free(&arena);
    return (void *)good; // NOLINT(performance-no-int-to-ptr)
}

// Commands and replies leave on whatever thread has them, beside the one that reads.
static void
callers_on_many_threads_are_all_answered(void **state)
{
    (void)state;
    struct sl_reply reply;
    struct sl_error err;
    pthread_t threads[CALLERS];
    play_begin(2, "worker:registry", 4, 1000);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, NULL), 0);
    }
    for (size_t i = 0; i < CALLERS; i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((uintptr_t)good, CALLS);
    }
    assert_int_equal(atomic_load(&play.handled), 1 + CALLERS * CALLS);
    play_end();
}

// Fronts begin with different buses, so that a fleet of them uses all.
static void
peers_begin_with_different_buses(void **state)
{
    (void)state;
    struct ways ways;
    play_begin(2, "worker:registry", 1, 1000);
    open_ways(&ways);
    for (int i = 0; i < 12; i++) {
        char name[16];
        struct sl_reply reply;
        struct sl_error err;
        snprintf(name, sizeof(name), "front-%d", 10 + i);
        struct sl_bus_client *client =
            play_client(stage_peer(play.stage, name, "front", NULL), false);
        stage_wait_live(client, 2);
        assert_int_equal(play_request(client, "echo", &reply, &err), 0);
        sl_bus_client_free(&client);
    }
    assert_true(bus_figure(ways.clients[0], "passed") > 1);
    assert_true(bus_figure(ways.clients[1], "passed") > 1);
    close_ways(&ways);
    play_end();
}

static void
without_any_bus_the_answer_is_unavailable(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    stage_kill_bus(play.stage, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_UNAVAILABLE); // no deadline was waited for
    play_end();
}

static void
a_service_without_workers_is_unavailable(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_command sent = play_command("echo");
    sent.service = "identity";
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_UNAVAILABLE);
    play_end();
}

static void
used_up_credits_are_unavailable_at_once(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 2);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 5);
    wait_for_answers(&tally, 3);
    assert_int_equal(atomic_load(&tally.good), 0);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, 5);
    assert_int_equal(atomic_load(&tally.good), 2);
    play_end();
}

static void
a_deadline_that_passes_is_answered(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    struct sl_command sent = play_command("block");
    sent.deadline_ms = 500; // so long that it surely begins
    int64_t from_ms = sl_mono_ms();
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_DEADLINE);
    assert_in_range(sl_mono_ms() - from_ms, 495, STAGE_PATIENCE_MS);
    // Behind the blocked one, this command's time runs out before a thread is free: not executed.
    sent = play_command("echo");
    sent.deadline_ms = 50;
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    atomic_store(&play.is_blocked, false);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&play.handled), 3);
    play_end();
}

static void
a_deferred_reply_comes_later(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    send_many(&tally, slots, "defer", 0, 1);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0); // its thread is free
    struct sl_reply late = {.status = 200, .body = SL_STR("{}")};
    sl_worker_reply(play.worker, atomic_load(&play.token), &late);
    wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    play_end();
}

static void
a_worker_that_ends_finishes_what_it_holds(void **state)
{
    (void)state;
    play_begin(2, "worker:registry", 2, 1000);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_worker *other = play_worker(
        stage_peer(play.stage, "worker-2", "worker:registry", NULL), "registry", 1, 1000);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    send_many(&tally, slots, "echo", 0, MANY / 2);
    sl_worker_free(&play.worker);
    send_many(&tally, slots, "echo", MANY / 2, MANY);
    wait_for_answers(&tally, MANY);
    assert_int_equal(atomic_load(&tally.good), MANY);
    sl_worker_free(&other);
    play_end();
}

static int
open_late(void *arg, void **ret_context, struct sl_error *err)
{
    atomic_int *tries = arg;
    *ret_context = tries;
    return atomic_fetch_add(tries, 1) < 2 ? sl_fail(err, SL_E_UNAVAILABLE) : 0;
}

static void
a_worker_whose_threads_cannot_open_registers_later(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    sl_worker_free(&play.worker);
    atomic_int tries = 0;
    const char *const services[] = {"registry"};
    struct sl_worker_options options = {
        .peer = stage_peer(play.stage, "worker-2", "worker:registry", NULL),
        .services = services,
        .service_count = 1,
        .handlers = play_handlers,
        .handler_count = PLAY_HANDLERS,
        .threads = 1,
        .thread_open = open_late,
        .arg = &tries};
    struct sl_error err;
    struct sl_reply reply;
    play.worker = sl_worker_new(&options, &err);
    assert_non_null(play.worker);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&tries), 3);
    play_end();
}

static void
a_worker_that_vanishes_is_replaced_within_the_deadline(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    sl_worker_free(&play.worker);
    // A worker made of a bare socket: it takes a command and dies.
    const struct sl_peer *peer = stage_peer(play.stage, "worker-2", "worker:registry", NULL);
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, peer->buses[0].public_key, SL_Z85_SIZE - 1);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, peer->public_key, SL_Z85_SIZE - 1);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, peer->secret_key, SL_Z85_SIZE - 1);
    assert_int_equal(zmq_connect(socket, peer->buses[0].workers), 0);
    const char *const frames[] = {"O", "1", "registry", "W", "9", "0"};
    for (int i = 0; i < 6; i++) {
        zmq_send(socket, frames[i], strlen(frames[i]), i % 3 < 2 ? ZMQ_SNDMORE : 0);
    }
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    send_many(&tally, slots, "echo", 0, 1);
    char word[16] = "";
    while (word[0] != 'C') {
        assert_true(zmq_recv(socket, word, sizeof(word), 0) > 0);
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    play.worker =
        play_worker(stage_peer(play.stage, "worker-3", "worker:registry", NULL), "registry", 1, 0);
    wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    play_end();
}

static void
own_dispatch_runs_callbacks_where_it_is_called(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    sl_bus_client_free(&play.client);
    play.client = play_client(stage_peer(play.stage, "front-2", "front", NULL), true);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    send_many(&tally, slots, "echo", 0, 10);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0); // needs no dispatch
    struct pollfd ready = {.fd = sl_bus_client_fd(play.client), .events = POLLIN};
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (atomic_load(&tally.all) < 10 && sl_mono_ms() < end_ms) {
        int before = atomic_load(&tally.all);
        assert_int_equal(poll(&ready, 1, STAGE_PATIENCE_MS), 1);
        assert_int_equal(atomic_load(&tally.all), before);
        sl_bus_client_dispatch(play.client);
    }
    assert_int_equal(atomic_load(&tally.good), 10);
    play_end();
}

static void
count_event(void *arg, struct sl_str topic, struct sl_str body)
{
    (void)topic;
    (void)body;
    atomic_fetch_add((atomic_int *)arg, 1);
}

// Who subscribed may have been freed by then.
static void
events_that_wait_when_a_client_ends_are_not_delivered(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    sl_bus_client_free(&play.client);
    play.client = play_client(stage_peer(play.stage, "front-2", "front", NULL), true);
    atomic_int events = 0;
    struct sl_error err;
    assert_int_equal(0, sl_bus_subscribe(play.client, "head/control", count_event, &events, &err));
    // That it is subscribed is an event by itself.
    struct pollfd ready = {.fd = sl_bus_client_fd(play.client), .events = POLLIN};
    assert_int_equal(poll(&ready, 1, STAGE_PATIENCE_MS), 1);
    sl_bus_client_free(&play.client);
    assert_int_equal(atomic_load(&events), 0);
    play_end();
}

static void
forgotten_callbacks_run_no_more(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 1);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    sl_bus_forget(play.client, &slots[0]);
    atomic_store(&play.is_blocked, false);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&tally.all), 0);
    play_end();
}

static void
the_bus_tells_its_status(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_command sent = play_command("status");
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(bus_figure(play.client, "passed"), 1);
    sent.service = "bus";
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), 0);
    json_error_t why;
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, &why);
    assert_non_null(status);
    assert_int_equal(json_array_size(json_object_get(status, "workers")), 1);
    json_decref(status);
    play_end();
}

int
main(void)
{
    sl_log_init("bus_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_answered),
        cmocka_unit_test(an_unknown_command_is_refused),
        cmocka_unit_test(the_bus_tells_its_status),
        cmocka_unit_test(a_client_goes_one_way_while_it_is_not_crowded),
        cmocka_unit_test(a_crowd_goes_by_both_buses),
        cmocka_unit_test(commands_given_while_no_bus_is_there_are_each_answered_once),
        cmocka_unit_test(callers_on_many_threads_are_all_answered),
        cmocka_unit_test(peers_begin_with_different_buses),
        cmocka_unit_test(a_deferred_reply_comes_later),
        cmocka_unit_test(a_deadline_that_passes_is_answered),
        cmocka_unit_test(used_up_credits_are_unavailable_at_once),
        cmocka_unit_test(a_service_without_workers_is_unavailable),
        cmocka_unit_test(without_any_bus_the_answer_is_unavailable),
        cmocka_unit_test(own_dispatch_runs_callbacks_where_it_is_called),
        cmocka_unit_test(events_that_wait_when_a_client_ends_are_not_delivered),
        cmocka_unit_test(forgotten_callbacks_run_no_more),
        cmocka_unit_test(a_worker_whose_threads_cannot_open_registers_later),
        cmocka_unit_test(a_worker_that_ends_finishes_what_it_holds),
        cmocka_unit_test(a_worker_that_vanishes_is_replaced_within_the_deadline),
        cmocka_unit_test(a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
