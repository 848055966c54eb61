// attach_test.c - a client's thread that does another's work, too.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bus/play.h"

#include "common/base/clock.h"
#include "common/wire/client_state.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TURNS 15 // of each kind; the median is compared
#define EARLY 4  // as often at least as by the thread's own looking about

// What is attached to the client of the play.
struct guest {
    struct sl_bus_client *client;
    int fd;
    atomic_int turns;
    atomic_int more;      // turns that it wants at once
    atomic_bool calls;    // it is to send a command
    bool was_sent;        // and it left before the call returned
    const char *name;     // of the command
    atomic_int replies;   //
    atomic_int seen;      // of the replies, in a turn
    bool was_refused;     // the last reply was an error
    pthread_t replied_on; //
};

static void
take(void *arg, const struct sl_reply *reply)
{
    struct guest *guest = arg;
    guest->was_refused = reply->failed;
    guest->replied_on = pthread_self();
    atomic_fetch_add(&guest->replies, 1);
}

static bool
turn(void *arg)
{
    struct guest *guest = arg;
    uint64_t pings = 0;
    ssize_t got = read(guest->fd, &pings, sizeof(pings));
    (void)got;
    if (atomic_exchange(&guest->calls, false)) {
        struct sl_command sent = play_command(guest->name);
        sl_bus_call(guest->client, &sent, take, guest);
        guest->was_sent = guest->client->calls != NULL && guest->client->inbox_first == NULL;
    }
    atomic_store(&guest->seen, atomic_load(&guest->replies));
    atomic_fetch_add(&guest->turns, 1);
    return atomic_fetch_sub(&guest->more, 1) > 0;
}

static void
begin(struct guest *guest)
{
    struct sl_reply reply;
    struct sl_error err;
    play_begin(1, "worker:registry", 1, 1000);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    atomic_store(&play.is_blocked, true);
    guest->client = play.client;
    guest->fd = eventfd(0, EFD_NONBLOCK);
    sl_bus_attach(play.client, guest->fd, turn, guest);
}

static void
end(struct guest *guest)
{
    play_end();
    close(guest->fd);
}

static void
await(atomic_int *count, int least)
{
    int64_t end_ms = sl_mono_ms() + STAGE_PATIENCE_MS;
    while (atomic_load(count) < least) {
        assert_true(sl_mono_ms() < end_ms);
        sched_yield();
    }
}

static void
a_command_of_a_turn_leaves_at_once_and_its_reply_is_on_the_thread(void **state)
{
    (void)state;
    static struct guest guest = {.calls = true, .name = "echo"};
    begin(&guest);
    await(&guest.seen, 1);
    assert_true(guest.was_sent);
    assert_false(guest.was_refused);
    assert_true(pthread_equal(guest.replied_on, play.client->thread));
    end(&guest);
}

static int
compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

// What brings a turn: the thread looks about by itself, too.
enum cause {
    BY_ITSELF,
    BY_DESCRIPTOR,
    BY_WAKE,
    BY_TURN // the one before had more to do
};

// The median time in us until the next turn.
static int64_t
wait_for_turns(struct guest *guest, enum cause cause)
{
    const uint64_t one = 1;
    int64_t took_us[TURNS];
    for (int i = 0; i < TURNS; i++) {
        int turns = atomic_load(&guest->turns);
        int64_t start_us = sl_mono_us();
        if (cause == BY_DESCRIPTOR) {
            assert_int_equal(write(guest->fd, &one, sizeof(one)), sizeof(one));
        } else if (cause == BY_WAKE) {
            sl_bus_wake(play.client);
        }
        await(&guest->turns, turns + 1);
        took_us[i] = sl_mono_us() - start_us;
    }
    qsort(took_us, TURNS, sizeof(took_us[0]), compare);
    return took_us[TURNS / 2];
}

static void
a_descriptor_a_wake_and_more_to_do_bring_a_turn_soon(void **state)
{
    (void)state;
    static struct guest guest;
    begin(&guest);
    int64_t alone_us = wait_for_turns(&guest, BY_ITSELF);
    assert_true(wait_for_turns(&guest, BY_DESCRIPTOR) * EARLY < alone_us);
    assert_true(wait_for_turns(&guest, BY_WAKE) * EARLY < alone_us);
    atomic_store(&guest.more, INT_MAX);
    sl_bus_wake(play.client);
    assert_true(wait_for_turns(&guest, BY_TURN) * EARLY < alone_us);
    atomic_store(&guest.more, 0);
    end(&guest);
}

static void
what_is_in_flight_as_the_client_ends_is_answered_before_the_last_turn(void **state)
{
    (void)state;
    static struct guest guest = {.calls = true, .name = "block"};
    begin(&guest);
    assert_true(stage_wait(&play.has_started, STAGE_PATIENCE_MS));
    sl_bus_client_free(&play.client);
    assert_int_equal(atomic_load(&guest.seen), 1);
    assert_true(guest.was_refused);
    atomic_store(&play.is_blocked, false);
    end(&guest);
}

static void
clients_share_an_io_thread(void **state)
{
    (void)state;
    struct sl_reply reply;
    struct sl_error err;
    play_begin(1, "worker:registry", 1, 1000);
    const struct sl_bus_client_options options = {.peer = play.client->peer, .beside = play.client};
    struct sl_bus_client *second = sl_bus_client_new(&options, &err);
    assert_non_null(second);
    assert_ptr_equal(second->context, play.client->context);
    assert_int_equal(play_request(second, "echo", &reply, &err), 0);
    sl_bus_client_free(&second);
    assert_int_equal(play_request(play.client, "echo", &reply, &err), 0);
    play_end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_of_a_turn_leaves_at_once_and_its_reply_is_on_the_thread),
        cmocka_unit_test(a_descriptor_a_wake_and_more_to_do_bring_a_turn_soon),
        cmocka_unit_test(what_is_in_flight_as_the_client_ends_is_answered_before_the_last_turn),
        cmocka_unit_test(clients_share_an_io_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
