// watch_test.c - a worker whose handler threads serve its sockets while they rest or wait.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BUSY_MS 1300 // longer than two heartbeats: a worker that sent none would be seen to be old
#define OLD_MS  900  // what is younger has sent one
#define FEW     50
#define MANY    90 // what three threads are given at once

static struct play_tally tally;
static struct play_slot slots[PLAY_MANY];

static int
begin(size_t threads)
{
    memset(&tally, 0, sizeof(tally));
    play_watches = true;
    play_begin(1, "worker:registry", threads, 0);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    atomic_store(&play.waits_for, fd);
    return fd;
}

static void
end(int fd)
{
    play_end();
    close(fd);
}

static void
let_go(int fd)
{
    const uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void
wait_until_started(void)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (!atomic_load(&play.has_started) && sl_mono_ms() < end_ms) {
        play_pause(1);
    }
    assert_true(atomic_load(&play.has_started));
}

// Milliseconds since the bus heard of its one worker; -1: it has none.
static json_int_t
age_of_worker(void)
{
    struct sl_command sent = play_command("status");
    struct sl_reply reply;
    struct sl_error err;
    sent.service = "bus";
    assert_int_equal(sl_bus_request(play.client, &sent, play.arena, &reply, &err), 0);
    json_t *status = json_loadb(reply.body.ptr, reply.body.len, 0, NULL);
    const json_t *worker = json_array_get(json_object_get(status, "workers"), 0);
    json_int_t age =
        worker != NULL ? json_integer_value(json_object_get(worker, "age_ms")) : (json_int_t)-1;
    json_decref(status);
    return age;
}

// Looks at the worker for a while; it must go on sending heartbeats.
static void
see_it_beat(void)
{
    int64_t end_ms = sl_mono_ms() + BUSY_MS;
    while (sl_mono_ms() < end_ms) {
        assert_in_range(age_of_worker(), 0, OLD_MS);
        play_pause(20);
    }
}

static void
commands_are_answered_while_others_wait(void **state)
{
    (void)state;
    struct sl_reply reply;
    struct sl_error err;
    int fd = begin(2);
    play_send_many(&tally, slots, "await", 0, 1);
    wait_until_started();
    for (int i = 0; i < FEW; i++) {
        assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    }
    assert_int_equal(atomic_load(&tally.all), 0);
    let_go(fd);
    play_wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    end(fd);
}

static void
a_thread_that_waits_keeps_its_worker_alive(void **state)
{
    (void)state;
    int fd = begin(1);
    play_send_many(&tally, slots, "await", 0, 1);
    wait_until_started();
    see_it_beat();
    let_go(fd);
    play_wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&play.handled), 1);
    end(fd);
}

// What a handler does without waiting takes its thread from the sockets: another one steps in.
static void
threads_that_all_work_keep_their_worker_alive(void **state)
{
    (void)state;
    int fd = begin(2);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 2);
    wait_until_started();
    see_it_beat();
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 2);
    assert_int_equal(atomic_load(&play.handled), 2);
    end(fd);
}

static void
a_thread_that_works_does_not_hold_up_the_others(void **state)
{
    (void)state;
    struct sl_reply reply;
    struct sl_error err;
    int fd = begin(2);
    atomic_store(&play.is_blocked, true);
    play_send_many(&tally, slots, "block", 0, 1);
    wait_until_started();
    for (int i = 0; i < FEW; i++) {
        assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    }
    assert_int_equal(atomic_load(&tally.all), 0);
    atomic_store(&play.is_blocked, false);
    play_wait_for_answers(&tally, 1);
    end(fd);
}

static void
many_commands_are_each_answered_once(void **state)
{
    (void)state;
    int fd = begin(3);
    let_go(fd); // nobody waits long
    play_send_many(&tally, slots, "await", 0, MANY / 2);
    play_send_many(&tally, slots, "echo", MANY / 2, MANY);
    play_wait_for_answers(&tally, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(atomic_load(&tally.answers[i]), 1);
    }
    assert_int_equal(atomic_load(&tally.good), MANY);
    assert_int_equal(atomic_load(&play.handled), MANY);
    end(fd);
}

static void
a_deferred_reply_needs_no_thread(void **state)
{
    (void)state;
    int fd = begin(1);
    struct sl_reply reply = {.status = 200, .body = SL_STR("{}")};
    play_send_many(&tally, slots, "defer", 0, 1);
    wait_until_started();
    sl_worker_reply(play.worker, atomic_load(&play.token), &reply);
    play_wait_for_answers(&tally, 1);
    assert_int_equal(atomic_load(&tally.good), 1);
    end(fd);
}

static void *
release_later(void *arg)
{
    play_pause(100); // the worker is ending by then
    let_go(*(const int *)arg);
    return NULL;
}

static void
a_worker_that_ends_answers_what_waits(void **state)
{
    (void)state;
    int fd = begin(2);
    pthread_t later;
    play_send_many(&tally, slots, "await", 0, 2);
    wait_until_started();
    assert_int_equal(pthread_create(&later, NULL, release_later, &fd), 0);
    sl_worker_free(&play.worker);
    pthread_join(later, NULL);
    play_wait_for_answers(&tally, 2);
    assert_int_equal(atomic_load(&play.handled), atomic_load(&tally.good));
    assert_in_range(atomic_load(&tally.good), 1, 2); // one may have come too late to be begun
    end(fd);
}

static void
elsewhere_a_wait_is_a_wait(void **state)
{
    (void)state;
    int fd = begin(1);
    let_go(fd);
    sl_worker_await(fd); // no handler thread
    end(fd);
}

int
main(void)
{
    sl_log_init("watch_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_answered_while_others_wait),
        cmocka_unit_test(a_thread_that_waits_keeps_its_worker_alive),
        cmocka_unit_test(threads_that_all_work_keep_their_worker_alive),
        cmocka_unit_test(a_thread_that_works_does_not_hold_up_the_others),
        cmocka_unit_test(many_commands_are_each_answered_once),
        cmocka_unit_test(a_deferred_reply_needs_no_thread),
        cmocka_unit_test(a_worker_that_ends_answers_what_waits),
        cmocka_unit_test(elsewhere_a_wait_is_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
