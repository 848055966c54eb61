// bus_test.c - commands and events over real buses, also while things die.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/stage.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define MANY 200

static void
pause_ms(int64_t ms)
{
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

// What the handlers and the test share.
struct play {
    struct stage *stage;
    struct sl_worker *worker;
    struct sl_bus_client *client;
    struct sl_arena *arena;
    atomic_int handled;
    atomic_bool is_blocked; // "block" waits while it is set
    atomic_bool has_started;
    atomic_ullong token;
};

static struct play play;

static int
echo(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)err;
    atomic_fetch_add(&play.handled, 1);
    reply->status = 200;
    const char *text = sl_arena_printf(
        call->arena, "{\"peer\":\"%s\",\"role\":\"%s\",\"actor\":\"%s\"}", call->command->peer,
        call->command->peer_role, call->command->actor.user_id);
    reply->body = sl_str(text);
    return 0;
}

static int
block(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    atomic_store(&play.has_started, true);
    while (atomic_load(&play.is_blocked)) {
        pause_ms(1);
    }
    return echo(call, reply, err);
}

static int
refuse(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)call;
    (void)reply;
    return sl_fail(err, SL_E_PARAM_INVALID, "name");
}

static int
defer(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    (void)reply;
    (void)err;
    atomic_store(&play.token, sl_call_defer(call));
    atomic_store(&play.has_started, true);
    return 0;
}

static const struct sl_handler handlers[] = {
    {"block", block},
    {"defer", defer},
    {"echo", echo},
    {"fail", refuse},
};

static struct sl_worker *
new_worker(const struct sl_peer *peer, const char *service, size_t threads, size_t credits)
{
    const char *const services[] = {service};
    struct sl_worker_options options = {.peer = peer,
                                        .services = services,
                                        .service_count = 1,
                                        .handlers = handlers,
                                        .handler_count = SL_COUNT(handlers),
                                        .threads = threads,
                                        .credits = credits};
    struct sl_error err;
    struct sl_worker *worker = sl_worker_new(&options, &err);
    assert_non_null(worker);
    return worker;
}

static struct sl_bus_client *
new_client(const struct sl_peer *peer, bool own_dispatch)
{
    struct sl_bus_client_options options = {.peer = peer, .own_dispatch = own_dispatch};
    struct sl_error err;
    struct sl_bus_client *client = sl_bus_client_new(&options, &err);
    assert_non_null(client);
    return client;
}

static void
begin(size_t buses, const char *worker_role, size_t threads, size_t credits)
{
    memset(&play, 0, sizeof(play));
    play.stage = stage_new(buses);
    play.arena = sl_arena_new(1 << 24);
    const struct sl_peer *worker = stage_peer(play.stage, "worker-1", worker_role, NULL);
    const struct sl_peer *front = stage_peer(play.stage, "front-1", "front", NULL);
    play.worker = new_worker(worker, "registry", threads, credits);
    play.client = new_client(front, false);
    stage_wait_live(play.client, buses);
}

static void
end(void)
{
    sl_bus_client_free(&play.client);
    sl_worker_free(&play.worker);
    stage_free(&play.stage);
    sl_arena_free(&play.arena);
}

static struct sl_command
command(const char *name)
{
    return (struct sl_command){
        .service = "registry", .name = name, .actor = {.user_id = "u1"}, .deadline_ms = 5000};
}

static int
request(struct sl_bus_client *client, const char *name, struct sl_reply *ret_reply,
        struct sl_error *err)
{
    struct sl_command sent = command(name);
    return sl_bus_request(client, &sent, play.arena, ret_reply, err);
}

static void
a_command_is_answered(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(reply.status, 200);
    assert_true(sl_str_equal(reply.body,
                             SL_STR("{\"peer\":\"front-1\",\"role\":\"front\",\"actor\":\"u1\"}")));
    assert_int_equal(request(play.client, "fail", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_PARAM_INVALID);
    assert_string_equal(err.args[0], "name");
    end();
}

static void
an_unknown_command_is_refused(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "nothing", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_BUS_MESSAGE);
    end();
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
        struct sl_command sent = command(name);
        sl_bus_call(play.client, &sent, count_answer, &slots[i]);
    }
}

static void
wait_for_answers(struct tally *tally, int count)
{
    int64_t end_ms = sl_mono_ms() + 10000;
    while (atomic_load(&tally->all) < count && sl_mono_ms() < end_ms) {
        pause_ms(1);
    }
    assert_int_equal(atomic_load(&tally->all), count);
}

static void
a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer(void **state)
{
    (void)state;
    begin(2, "worker:registry", 2, 1000);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, MANY / 2);
    assert_true(stage_wait(&play.has_started, 2000));
    stage_kill_bus(play.stage, 0);
    send_many(&tally, slots, "block", MANY / 2, MANY);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, MANY);
    assert_int_equal(atomic_load(&tally.good), MANY);
    stage_start_bus(play.stage, 0);
    stage_wait_live(play.client, 2);
    stage_kill_bus(play.stage, 1);
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(atomic_load(&tally.answers[i]), 1);
    }
    end();
}

static void
without_any_bus_the_answer_is_unavailable(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    stage_kill_bus(play.stage, 0);
    struct sl_reply reply;
    struct sl_error err;
    int64_t from_ms = sl_mono_ms();
    assert_int_equal(request(play.client, "echo", &reply, &err), -1);
    assert_int_equal(err.code, SL_E_UNAVAILABLE);
    assert_in_range(sl_mono_ms() - from_ms, 0, 3000);
    end();
}

static void
a_service_without_workers_is_unavailable(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_command sent = command("echo");
    sent.service = "identity";
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_UNAVAILABLE);
    end();
}

static void
used_up_credits_are_unavailable_at_once(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 2);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 5);
    wait_for_answers(&tally, 3);
    assert_int_equal(atomic_load(&tally.good), 0);
    atomic_store(&play.is_blocked, false);
    wait_for_answers(&tally, 5);
    assert_int_equal(atomic_load(&tally.good), 2);
    end();
}

static void
a_deadline_that_passes_is_answered(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    struct sl_command sent = command("block");
    sent.deadline_ms = 50;
    int64_t from_ms = sl_mono_ms();
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    assert_int_equal(err.code, SL_E_DEADLINE);
    assert_in_range(sl_mono_ms() - from_ms, 45, 500);
    // Behind the blocked one, this command's time runs out before a thread is free: not executed.
    sent = command("echo");
    sent.deadline_ms = 50;
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
    atomic_store(&play.is_blocked, false);
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&play.handled), 3);
    end();
}

static void
a_deferred_reply_comes_later(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    send_many(&tally, slots, "defer", 0, 1);
    assert_true(stage_wait(&play.has_started, 5000));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0); // its thread is free
    struct sl_reply late = {.status = 200, .body = SL_STR("{}")};
    sl_worker_reply(play.worker, atomic_load(&play.token), &late);
    wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    end();
}

static void
a_worker_that_ends_finishes_what_it_holds(void **state)
{
    (void)state;
    begin(2, "worker:registry", 2, 1000);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_worker *other = new_worker(
        stage_peer(play.stage, "worker-2", "worker:registry", NULL), "registry", 1, 1000);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    send_many(&tally, slots, "echo", 0, MANY / 2);
    sl_worker_free(&play.worker);
    send_many(&tally, slots, "echo", MANY / 2, MANY);
    wait_for_answers(&tally, MANY);
    assert_int_equal(atomic_load(&tally.good), MANY);
    sl_worker_free(&other);
    end();
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
    begin(1, "worker:registry", 1, 0);
    sl_worker_free(&play.worker);
    atomic_int tries = 0;
    const char *const services[] = {"registry"};
    struct sl_worker_options options = {
        .peer = stage_peer(play.stage, "worker-2", "worker:registry", NULL),
        .services = services,
        .service_count = 1,
        .handlers = handlers,
        .handler_count = SL_COUNT(handlers),
        .threads = 1,
        .thread_open = open_late,
        .arg = &tries};
    struct sl_error err;
    struct sl_reply reply;
    play.worker = sl_worker_new(&options, &err);
    assert_non_null(play.worker);
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&tries), 3);
    end();
}

static void
a_worker_that_vanishes_is_replaced_within_the_deadline(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
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
        new_worker(stage_peer(play.stage, "worker-3", "worker:registry", NULL), "registry", 1, 0);
    wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    end();
}

static void
own_dispatch_runs_callbacks_where_it_is_called(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    sl_bus_client_free(&play.client);
    play.client = new_client(stage_peer(play.stage, "front-2", "front", NULL), true);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    send_many(&tally, slots, "echo", 0, 10);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0); // needs no dispatch
    struct pollfd ready = {.fd = sl_bus_client_fd(play.client), .events = POLLIN};
    int64_t end_ms = sl_mono_ms() + 5000;
    while (atomic_load(&tally.all) < 10 && sl_mono_ms() < end_ms) {
        int before = atomic_load(&tally.all);
        assert_int_equal(poll(&ready, 1, 5000), 1);
        assert_int_equal(atomic_load(&tally.all), before);
        sl_bus_client_dispatch(play.client);
    }
    assert_int_equal(atomic_load(&tally.good), 10);
    end();
}

// What a subscriber saw.
struct ear {
    atomic_int events;
    atomic_int starts;
    atomic_bool has_event;
    atomic_bool has_start;
};

static void
hear(void *arg, struct sl_str topic, struct sl_str body)
{
    struct ear *ear = arg;
    if (topic.len == 0) {
        atomic_fetch_add(&ear->starts, 1);
        atomic_store(&ear->has_start, true);
    } else if (sl_str_equal(body, SL_STR("body"))) {
        atomic_fetch_add(&ear->events, 1);
        atomic_store(&ear->has_event, true);
    }
}

static void
publish_until(struct sl_worker *worker, const char *topic, const atomic_bool *flag)
{
    for (int i = 0; i < 100 && !atomic_load(flag); i++) {
        sl_worker_publish(worker, topic, SL_STR("body"));
        stage_wait(flag, 20);
    }
}

static void
events_reach_those_who_may_follow(void **state)
{
    (void)state;
    begin(2, "worker:publisher", 1, 0);
    static struct ear own, foreign;
    memset(&own, 0, sizeof(own));
    memset(&foreign, 0, sizeof(foreign));
    struct sl_error err;
    struct sl_bus_client *node =
        new_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &own, &err), 0);
    assert_int_equal(sl_bus_subscribe(node, "rt/g2", hear, &foreign, &err), 0);
    assert_true(stage_wait(&own.has_start, 5000));
    publish_until(play.worker, "rt/g1", &own.has_event);
    assert_true(atomic_load(&own.events) > 0);
    for (int i = 0; i < 10; i++) {
        sl_worker_publish(play.worker, "rt/g2", SL_STR("body"));
    }
    atomic_store(&own.has_event, false);
    publish_until(play.worker, "rt/g1", &own.has_event);
    assert_int_equal(atomic_load(&foreign.events), 0);
    sl_bus_client_free(&node);
    end();
}

static void
a_forged_event_reaches_nobody(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    static struct ear ear;
    memset(&ear, 0, sizeof(ear));
    struct sl_error err;
    struct sl_bus_client *node =
        new_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &ear, &err), 0);
    struct sl_worker *publisher =
        new_worker(stage_peer(play.stage, "worker-2", "worker:publisher", NULL), "publisher", 1, 0);
    publish_until(publisher, "rt/g1", &ear.has_event);
    assert_true(atomic_load(&ear.has_event));
    pause_ms(50); // repeats that are on their way
    int before = atomic_load(&ear.events);
    for (int i = 0; i < 10; i++) {
        sl_worker_publish(play.worker, "rt/g1", SL_STR("body"));
    }
    struct sl_reply reply;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    pause_ms(50);
    assert_int_equal(atomic_load(&ear.events), before);
    sl_worker_free(&publisher);
    sl_bus_client_free(&node);
    end();
}

static void
a_subscriber_learns_that_it_was_cut_off(void **state)
{
    (void)state;
    begin(1, "worker:publisher", 1, 0);
    static struct ear ear;
    memset(&ear, 0, sizeof(ear));
    struct sl_error err;
    struct sl_bus_client *node =
        new_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &ear, &err), 0);
    assert_true(stage_wait(&ear.has_start, 5000));
    atomic_store(&ear.has_start, false);
    stage_kill_bus(play.stage, 0);
    stage_start_bus(play.stage, 0);
    assert_true(stage_wait(&ear.has_start, 5000));
    publish_until(play.worker, "rt/g1", &ear.has_event);
    assert_true(atomic_load(&ear.has_event));
    sl_bus_client_free(&node);
    end();
}

static void
forgotten_callbacks_run_no_more(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    static struct tally tally;
    static struct slot slots[MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    send_many(&tally, slots, "block", 0, 1);
    assert_true(stage_wait(&play.has_started, 2000));
    sl_bus_forget(play.client, &slots[0]);
    atomic_store(&play.is_blocked, false);
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    assert_int_equal(atomic_load(&tally.all), 0);
    end();
}

// Tries a command over a client of `peer`; answers its error.
static enum sl_code
try_as(const struct sl_peer *peer, const char *service, const char *name)
{
    struct sl_bus_client *client = new_client(peer, false);
    struct sl_command sent = command(name);
    sent.service = service;
    sent.deadline_ms = 700;
    struct sl_reply reply;
    struct sl_error err = {.code = SL_E_OK};
    int rc = sl_bus_request(client, &sent, play.arena, &reply, &err);
    sl_bus_client_free(&client);
    return rc == 0 ? SL_E_OK : err.code;
}

static void
a_peer_with_a_wrong_key_is_refused(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    const struct sl_peer *stranger = stage_stranger(play.stage, "front-1");
    assert_int_equal(try_as(stranger, "registry", "echo"), SL_E_DEADLINE);
    assert_int_equal(atomic_load(&play.handled), 0);
    end();
}

static void
a_peer_without_a_key_is_refused(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    const struct sl_peer *stranger = stage_stranger(play.stage, "front-1");
    const char *const endpoints[] = {stranger->buses[0].commands, stranger->buses[0].workers};
    void *context = zmq_ctx_new();
    for (size_t i = 0; i < SL_COUNT(endpoints); i++) {
        void *socket = zmq_socket(context, ZMQ_DEALER);
        int zero = 0;
        int limit_ms = 400;
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof(zero));
        zmq_setsockopt(socket, ZMQ_RCVTIMEO, &limit_ms, sizeof(limit_ms));
        assert_int_equal(zmq_connect(socket, endpoints[i]), 0);
        zmq_send(socket, i == 0 ? "H" : "W", 1, ZMQ_DONTWAIT | (i == 0 ? 0 : ZMQ_SNDMORE));
        if (i == 1) {
            zmq_send(socket, "1", 1, ZMQ_SNDMORE);
            zmq_send(socket, "0", 1, 0);
        }
        char word[8];
        assert_int_equal(zmq_recv(socket, word, sizeof(word), 0), -1);
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    end();
}

static void
a_peer_with_the_key_of_another_role_is_refused(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    const struct sl_peer *node = stage_peer(play.stage, "node-1", "node:n1", "g1");
    assert_int_equal(try_as(node, "registry", "echo"), SL_E_BUS_FORBIDDEN);
    const struct sl_peer *admin = stage_peer(play.stage, "admin-1", "admin", NULL);
    assert_int_equal(try_as(admin, "throttle/1", "limits.exchange"), SL_E_BUS_FORBIDDEN);
    assert_int_equal(try_as(admin, "registry", "echo"), SL_E_OK);
    // A front's key does not make a worker, nor does a worker's key make one of another service.
    struct sl_worker *posing =
        new_worker(stage_peer(play.stage, "front-2", "front", NULL), "identity", 1, 0);
    struct sl_worker *greedy =
        new_worker(stage_peer(play.stage, "worker-2", "worker:publisher", NULL), "identity", 1, 0);
    pause_ms(300);
    const struct sl_peer *front = stage_peer(play.stage, "front-3", "front", NULL);
    assert_int_equal(try_as(front, "identity", "echo"), SL_E_DEADLINE);
    sl_worker_free(&posing);
    sl_worker_free(&greedy);
    end();
}

static void
the_bus_tells_its_status(void **state)
{
    (void)state;
    begin(1, "worker:registry", 1, 0);
    struct sl_command sent = command("status");
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(request(play.client, "echo", &reply, &err), 0);
    sent.service = "bus";
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), 0);
    json_error_t why;
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, &why);
    assert_non_null(status);
    assert_int_equal(json_array_size(json_object_get(status, "workers")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "passed")), 1);
    json_decref(status);
    end();
}

int
main(void)
{
    sl_log_init("bus_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_answered),
        cmocka_unit_test(an_unknown_command_is_refused),
        cmocka_unit_test(the_bus_tells_its_status),
        cmocka_unit_test(a_deferred_reply_comes_later),
        cmocka_unit_test(a_deadline_that_passes_is_answered),
        cmocka_unit_test(used_up_credits_are_unavailable_at_once),
        cmocka_unit_test(a_service_without_workers_is_unavailable),
        cmocka_unit_test(without_any_bus_the_answer_is_unavailable),
        cmocka_unit_test(own_dispatch_runs_callbacks_where_it_is_called),
        cmocka_unit_test(forgotten_callbacks_run_no_more),
        cmocka_unit_test(a_worker_whose_threads_cannot_open_registers_later),
        cmocka_unit_test(a_worker_that_ends_finishes_what_it_holds),
        cmocka_unit_test(a_worker_that_vanishes_is_replaced_within_the_deadline),
        cmocka_unit_test(a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer),
        cmocka_unit_test(events_reach_those_who_may_follow),
        cmocka_unit_test(a_forged_event_reaches_nobody),
        cmocka_unit_test(a_subscriber_learns_that_it_was_cut_off),
        cmocka_unit_test(a_peer_with_a_wrong_key_is_refused),
        cmocka_unit_test(a_peer_without_a_key_is_refused),
        cmocka_unit_test(a_peer_with_the_key_of_another_role_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
