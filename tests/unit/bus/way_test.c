// way_test.c - by which bus commands go, and on whose thread.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct ways ways;
    play_begin(2, "worker:registry", 1, 1000);
    open_ways(&ways);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 100);
    int64_t held[2] = {0};
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (held[0] + held[1] < 100 && sl_mono_ms() < end_ms) {
        held[0] = bus_figure(ways.clients[0], "in_flight");
        held[1] = bus_figure(ways.clients[1], "in_flight");
    }
    assert_int_equal(held[0] > held[1] ? held[0] : held[1], 64);
    assert_int_equal(held[0] > held[1] ? held[1] : held[0], 36);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 100);
    assert_int_equal(atomic_load(&tally.good), 100);
    close_ways(&ways);
    play_end();
}

static void
commands_given_while_no_bus_is_there_are_each_answered_once(void **state)
{
    (void)state;
    static struct play_tally tally;
    static struct play_slot slots[PLAY_MANY];
    memset(&tally, 0, sizeof(tally));
    struct sl_reply reply;
    struct sl_error err;
    play_begin(1, "worker:registry", 2, 1000);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0,
                   10); // they are in flight, the others come beside them
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    stage_kill_bus(play.stage, 0);
    stage_wait_live(play.client, 0);
    for (int i = 10; i < 60; i++) {
        play_send_many(&tally, slots, "block", i, i + 1);
        play_pause(1); // the client's thread sleeps between them
    }
    stage_start_bus(play.stage, 0);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 60);
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

int
main(void)
{
    sl_log_init("way_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_goes_one_way_while_it_is_not_crowded),
        cmocka_unit_test(a_crowd_goes_by_both_buses),
        cmocka_unit_test(peers_begin_with_different_buses),
        cmocka_unit_test(callers_on_many_threads_are_all_answered),
        cmocka_unit_test(commands_given_while_no_bus_is_there_are_each_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
