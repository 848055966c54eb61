// peer_test.c - who may follow, publish, call and offer, over real buses.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define IN_VAIN_MS 700 // that an answer is waited for which must not come

// What a subscriber saw.
struct ear {
    atomic_int events;
    atomic_int forged;
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
    } else if (sl_str_equal(body, SL_STR("forged"))) {
        atomic_fetch_add(&ear->forged, 1);
    } else if (sl_str_equal(body, SL_STR("body"))) {
        atomic_fetch_add(&ear->events, 1);
        atomic_store(&ear->has_event, true);
    }
}

static void
publish_until(struct sl_worker *worker, const char *topic, const atomic_bool *flag)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (!atomic_load(flag) && sl_mono_ms() < end_ms) {
        sl_worker_publish(worker, topic, SL_STR("body"));
        stage_wait(flag, 20);
    }
}

static void
events_reach_those_who_may_follow(void **state)
{
    (void)state;
    play_begin(2, "worker:publisher", 1, 0);
    static struct ear own, foreign;
    memset(&own, 0, sizeof(own));
    memset(&foreign, 0, sizeof(foreign));
    struct sl_error err;
    struct sl_bus_client *node =
        play_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &own, &err), 0);
    assert_int_equal(sl_bus_subscribe(node, "rt/g2", hear, &foreign, &err), 0);
    assert_true(stage_wait(&own.has_start, STAGE_PATIENCE_MS));
    publish_until(play.worker, "rt/g1", &own.has_event);
    assert_true(atomic_load(&own.events) > 0);
    for (int i = 0; i < 10; i++) {
        sl_worker_publish(play.worker, "rt/g2", SL_STR("body"));
    }
    atomic_store(&own.has_event, false);
    publish_until(play.worker, "rt/g1", &own.has_event);
    assert_int_equal(atomic_load(&foreign.events), 0);
    sl_bus_client_free(&node);
    play_end();
}

static void
a_forged_event_reaches_nobody(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    static struct ear ear;
    memset(&ear, 0, sizeof(ear));
    struct sl_error err;
    struct sl_bus_client *node =
        play_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &ear, &err), 0);
    struct sl_worker *publisher = play_worker(
        stage_peer(play.stage, "worker-2", "worker:publisher", NULL), "publisher", 1, 0);
    publish_until(publisher, "rt/g1", &ear.has_event);
    assert_true(atomic_load(&ear.has_event));
    for (int i = 0; i < 10; i++) {
        sl_worker_publish(play.worker, "rt/g1", SL_STR("forged"));
    }
    struct sl_reply reply;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&ear.has_event, false);
    publish_until(publisher, "rt/g1", &ear.has_event); // behind what was forged
    assert_true(atomic_load(&ear.has_event));
    assert_int_equal(atomic_load(&ear.forged), 0);
    sl_worker_free(&publisher);
    sl_bus_client_free(&node);
    play_end();
}

static void
a_subscriber_learns_that_it_was_cut_off(void **state)
{
    (void)state;
    play_begin(1, "worker:publisher", 1, 0);
    static struct ear ear;
    memset(&ear, 0, sizeof(ear));
    struct sl_error err;
    struct sl_bus_client *node =
        play_client(stage_peer(play.stage, "node-1", "node:n1", "g1"), false);
    assert_int_equal(sl_bus_subscribe(node, "rt/g1", hear, &ear, &err), 0);
    assert_true(stage_wait(&ear.has_start, STAGE_PATIENCE_MS));
    atomic_store(&ear.has_start, false);
    stage_kill_bus(play.stage, 0);
    stage_start_bus(play.stage, 0);
    assert_true(stage_wait(&ear.has_start, STAGE_PATIENCE_MS));
    publish_until(play.worker, "rt/g1", &ear.has_event);
    assert_true(atomic_load(&ear.has_event));
    sl_bus_client_free(&node);
    play_end();
}

#define CALLS 100

static void
count_answer(void *arg, const struct sl_reply *reply)
{
    (void)reply;
    atomic_fetch_add((atomic_int *)arg, 1);
}

// Commands that no bus takes at once wait in the inbox, beside those that are in flight already.
static void
what_is_called_while_no_bus_is_there_is_answered_once(void **state)
{
    (void)state;
    static atomic_int answers[CALLS];
    play_begin(1, "worker:registry", 2, 1000);
    stage_kill_bus(play.stage, 0);
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (sl_bus_client_live(play.client) > 0 && sl_mono_ms() < end_ms) {
        play_pause(1);
    }
    for (size_t i = 0; i < CALLS; i++) {
        struct sl_command sent = play_command("echo");
        sl_bus_call(play.client, &sent, count_answer, &answers[i]);
        play_pause(1); // the client's thread takes each by itself, and knows no bus for it
    }
    stage_start_bus(play.stage, 0);
    for (size_t i = 0; i < CALLS; i++) {
        while (atomic_load(&answers[i]) == 0 && sl_mono_ms() < end_ms) {
            play_pause(1);
        }
    }
    sl_bus_client_free(&play.client); // nothing comes behind it
    for (size_t i = 0; i < CALLS; i++) {
        assert_int_equal(atomic_load(&answers[i]), 1);
    }
    play_end();
}

// Tries a command over a client of `peer`; answers its error.
static enum sl_code
try_as(const struct sl_peer *peer, const char *service, const char *name, int64_t deadline_ms)
{
    struct sl_bus_client *client = play_client(peer, false);
    struct sl_command sent = play_command(name);
    sent.service = service;
    sent.deadline_ms = deadline_ms;
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
    play_begin(1, "worker:registry", 1, 0);
    const struct sl_peer *stranger = stage_stranger(play.stage, "front-1");
    assert_int_equal(try_as(stranger, "registry", "echo", IN_VAIN_MS), SL_E_DEADLINE);
    assert_int_equal(atomic_load(&play.handled), 0);
    play_end();
}

static void
a_peer_without_a_key_is_refused(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
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
    play_end();
}

static void
a_peer_with_the_key_of_another_role_is_refused(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    const struct sl_peer *node = stage_peer(play.stage, "node-1", "node:n1", "g1");
    assert_int_equal(try_as(node, "registry", "echo", STAGE_PATIENCE_MS), SL_E_BUS_FORBIDDEN);
    const struct sl_peer *admin = stage_peer(play.stage, "admin-1", "admin", NULL);
    assert_int_equal(try_as(admin, "throttle/1", "limits.exchange", STAGE_PATIENCE_MS),
                     SL_E_BUS_FORBIDDEN);
    assert_int_equal(try_as(admin, "registry", "echo", STAGE_PATIENCE_MS), SL_E_OK);
    // A front's key does not make a worker, nor does a worker's key make one of another service.
    struct sl_worker *posing =
        play_worker(stage_peer(play.stage, "front-2", "front", NULL), "identity", 1, 0);
    struct sl_worker *greedy =
        play_worker(stage_peer(play.stage, "worker-2", "worker:publisher", NULL), "identity", 1, 0);
    play_pause(300);
    const struct sl_peer *front = stage_peer(play.stage, "front-3", "front", NULL);
    assert_int_equal(try_as(front, "identity", "echo", IN_VAIN_MS), SL_E_DEADLINE);
    sl_worker_free(&posing);
    sl_worker_free(&greedy);
    play_end();
}

static void
a_peer_that_leaves_the_allow_list_is_refused_at_once(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    struct sl_reply reply;
    struct sl_error err;
    const struct sl_peer *peer = stage_peer(play.stage, "front-2", "front", NULL);
    struct sl_bus_client *client = play_client(peer, false);
    assert_int_equal(play_request(client, "echo", &reply, &err), 0);
    stage_forbid(play.stage, peer);
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (play_request(client, "echo", &reply, &err) == 0) {
        assert_true(sl_mono_ms() < end_ms);
    }
    assert_int_equal(err.code, SL_E_BUS_FORBIDDEN);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    sl_bus_client_free(&client);
    play_end();
}

int
main(void)
{
    sl_log_init("peer_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_those_who_may_follow),
        cmocka_unit_test(a_forged_event_reaches_nobody),
        cmocka_unit_test(a_subscriber_learns_that_it_was_cut_off),
        cmocka_unit_test(what_is_called_while_no_bus_is_there_is_answered_once),
        cmocka_unit_test(a_peer_with_a_wrong_key_is_refused),
        cmocka_unit_test(a_peer_without_a_key_is_refused),
        cmocka_unit_test(a_peer_with_the_key_of_another_role_is_refused),
        cmocka_unit_test(a_peer_that_leaves_the_allow_list_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
