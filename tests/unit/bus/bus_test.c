// bus_test.c - commands over real buses, also while things die.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

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

static void
a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer(void **state)
{
    (void)state;
    play_begin(2, "worker:registry", 2, 1000);
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, PLAY_MANY / 2);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    stage_kill_bus(play.stage, 0);
    play_send_many(&tally, slots, "block", PLAY_MANY / 2, PLAY_MANY);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, PLAY_MANY);
    assert_int_equal(atomic_load(&tally.good), PLAY_MANY);
    stage_start_bus(play.stage, 0);
    stage_wait_live(play.client, 2);
    stage_kill_bus(play.stage, 1);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    for (int i = 0; i < PLAY_MANY; i++) {
        assert_int_equal(atomic_load(&tally.answers[i]), 1);
    }
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
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 5);
    play_wait_for_answers(&tally, 3);
    assert_int_equal(atomic_load(&tally.good), 0);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 5);
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
    while (!atomic_load(&play.has_started)) { // one that a busy machine did not begin in its time
        struct sl_command sent = play_command("block");
        sent.deadline_ms = 500;
        int64_t from_ms = sl_mono_ms();
        assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
        assert_int_equal(err.code, SL_E_DEADLINE);
        assert_in_range(sl_mono_ms() - from_ms, 495, STAGE_PATIENCE_MS);
    }
    // Behind the blocked one, these commands' time runs out before a thread is free: not executed.
    // A worker counts it from when it got them, so the last one's may still run for a moment; the
    // others' ran out long ago, for it waited longer than they.
    for (int i = 0; i < 4; i++) {
        struct sl_command sent = play_command("echo");
        sent.deadline_ms = i < 3 ? 100 : 1500;
        assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), -1);
        assert_int_equal(err.code, SL_E_DEADLINE);
    }
    atomic_store(&play.is_blocked, false);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    assert_in_range(atomic_load(&play.handled), 3, 4);
    play_end();
}

static void
a_deferred_reply_comes_later(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    play_send_many(&tally, slots, "defer", 0, 1);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0); // its thread is free
    struct sl_reply late = {.status = 200, .body = SL_STR("{}")};
    sl_worker_reply(play.worker, atomic_load(&play.token), &late);
    play_wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    play_end();
}

static void
a_worker_that_ends_finishes_what_it_holds(void **state)
{
    (void)state;
    play_begin(2, "worker:registry", 2, 1000);
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_worker *other = play_worker(
        stage_peer(play.stage, "worker-2", "worker:registry", NULL), "registry", 1, 1000);
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    play_send_many(&tally, slots, "echo", 0, PLAY_MANY / 2);
    sl_worker_free(&play.worker);
    play_send_many(&tally, slots, "echo", PLAY_MANY / 2, PLAY_MANY);
    play_wait_for_answers(&tally, PLAY_MANY);
    assert_int_equal(atomic_load(&tally.good), PLAY_MANY);
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

// A peer made of a socket alone, as builds before ours speak.
static void *
open_bare(void *context, const struct sl_peer *peer, const char *endpoint)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, peer->buses[0].public_key, SL_Z85_SIZE - 1);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, peer->public_key, SL_Z85_SIZE - 1);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, peer->secret_key, SL_Z85_SIZE - 1);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

// A frame as text, and whether another follows.
static bool
hear_frame(void *socket, char *ret_text, size_t size)
{
    int more = 0;
    size_t more_size = sizeof(more);
    int len = zmq_recv(socket, ret_text, size - 1, 0);
    assert_in_range(len, 0, size - 1);
    ret_text[len] = '\0';
    zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size);
    return more != 0;
}

// Sends `echo` once; whether it was answered, and not refused for want of a worker.
static bool
ask_in_frames(void *socket, const char *id)
{
    char text[256];
    struct sl_str envelope;
    struct sl_error err;
    struct sl_command sent = play_command("echo");
    sent.id = id;
    assert_int_equal(sl_command_encode(play.arena, &sent, &envelope, &err), 0);
    const char *const frames[] = {"C", id, "registry", "10000"};
    for (size_t i = 0; i < SL_COUNT(frames); i++) {
        zmq_send(socket, frames[i], strlen(frames[i]), ZMQ_SNDMORE);
    }
    zmq_send(socket, envelope.ptr, envelope.len, 0);
    assert_true(hear_frame(socket, text, sizeof(text)));
    bool is_answered = strcmp(text, "R") == 0;
    assert_true(is_answered || strcmp(text, "B") == 0);
    assert_true(hear_frame(socket, text, sizeof(text)));
    assert_string_equal(text, id);
    assert_false(hear_frame(socket, text, sizeof(text)));
    return is_answered;
}

static void
an_older_client_is_answered_in_frames(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    const struct sl_peer *peer = stage_peer(play.stage, "front-2", "front", NULL);
    void *context = zmq_ctx_new();
    void *socket = open_bare(context, peer, peer->buses[0].commands);
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    bool is_answered = false;
    while (!is_answered && sl_mono_ms() < end_ms) {
        is_answered = ask_in_frames(socket, "0123456789abcdef0123456789abcdef");
    }
    assert_true(is_answered);
    zmq_close(socket);
    zmq_ctx_term(context);
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
    void *socket = open_bare(context, peer, peer->buses[0].workers);
    const char *const frames[] = {"O", "1", "registry", "W", "9", "0"};
    for (int i = 0; i < 6; i++) {
        zmq_send(socket, frames[i], strlen(frames[i]), i % 3 < 2 ? ZMQ_SNDMORE : 0);
    }
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    play_send_many(&tally, slots, "echo", 0, 1);
    char word[16] = "";
    while (word[0] != 'C') {
        assert_true(zmq_recv(socket, word, sizeof(word), 0) > 0);
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    play.worker =
        play_worker(stage_peer(play.stage, "worker-3", "worker:registry", NULL), "registry", 1, 0);
    play_wait_for_answers(&tally, 1);
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
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    play_send_many(&tally, slots, "echo", 0, 10);
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
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 1);
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
    sent.service = "bus";
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), 0);
    json_error_t why;
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, &why);
    assert_non_null(status);
    assert_int_equal(json_array_size(json_object_get(status, "workers")), 1);
    assert_int_equal(json_integer_value(json_object_get(status, "passed")), 1);
    json_decref(status);
    play_end();
}

// A figure of a worker in the bus's status, of a list its length; -1 where it is not there.
static json_int_t
figure_of(const char *peer, const char *name)
{
    struct sl_command sent = play_command("status");
    struct sl_reply reply;
    struct sl_error err;
    json_int_t figure = -1;
    size_t i = 0;
    const json_t *worker = NULL;
    sent.service = "bus";
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), 0);
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    json_array_foreach(json_object_get(status, "workers"), i, worker)
    {
        if (strcmp(json_string_value(json_object_get(worker, "peer")), peer) == 0) {
            const json_t *value = json_object_get(worker, name);
            figure = json_is_array(value) ? (json_int_t)json_array_size(value)
                                          : json_integer_value(value);
        }
    }
    json_decref(status);
    return figure;
}

static void
a_worker_gets_as_many_as_it_says_before_another_begins(void **state)
{
    (void)state;
    play_begin(1, "worker:registry", 1, 0);
    sl_worker_free(&play.worker);
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    const char *const services[] = {"registry"};
    struct sl_worker_options options = {
        .peer = stage_peer(play.stage, "worker-2", "worker:registry", NULL),
        .services = services,
        .service_count = 1,
        .handlers = play_handlers,
        .handler_count = PLAY_HANDLERS,
        .threads = 1,
        .width = 4};
    struct sl_error err;
    struct sl_reply reply;
    play.worker = sl_worker_new(&options, &err);
    assert_non_null(play.worker);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    struct sl_worker *other =
        play_worker(stage_peer(play.stage, "worker-3", "worker:registry", NULL), "registry", 1, 0);
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (figure_of("worker-3", "services") <= 0) {
        assert_true(sl_mono_ms() < end_ms);
    }
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 2);
    while (figure_of("worker-2", "outstanding") + figure_of("worker-3", "outstanding") < 2) {
        assert_true(sl_mono_ms() < end_ms);
    }
    assert_int_equal(figure_of("worker-3", "outstanding"), 0);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 2);
    sl_worker_free(&other);
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
        cmocka_unit_test(a_worker_gets_as_many_as_it_says_before_another_begins),
        cmocka_unit_test(an_older_client_is_answered_in_frames),
        cmocka_unit_test(a_worker_that_vanishes_is_replaced_within_the_deadline),
        cmocka_unit_test(a_bus_that_dies_mid_flight_loses_no_command_and_doubles_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
