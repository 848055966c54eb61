// link_test.c - connections that break: no message is cut in two, none is sent late.
//
// The other end is a socket as a bus has it, without the bus.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/link.h"

#include "common/base/clock.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEADLINE_MS 60000
#define MESSAGES    200 // libzmq looks for news of its connections at every hundredth part

struct room {
    char dir[64];
    char endpoint[96];
    struct sl_peer bus;
    struct sl_peer peer;
    void *context;
    void *server;       // the bus's socket
    void *news;         // of it: who has connected
    char routing[16];   // of the link at a ROUTER
    size_t routing_len; // 0: no ROUTER
    struct sl_link link;
};

static struct room room;

static void
open_news(void)
{
    static unsigned serial;
    char name[64];
    const int none = 0;
    snprintf(name, sizeof(name), "inproc://news-%u", serial++);
    assert_int_equal(zmq_socket_monitor(room.server, name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED), 0);
    room.news = zmq_socket(room.context, ZMQ_PAIR);
    assert_non_null(room.news);
    assert_int_equal(zmq_setsockopt(room.news, ZMQ_LINGER, &none, sizeof(none)), 0);
    assert_int_equal(zmq_connect(room.news, name), 0);
}

static void
open_server(int type)
{
    const int on = 1;
    const int wait_ms = DEADLINE_MS;
    const char *key = room.bus.secret_key;
    room.server = zmq_socket(room.context, type);
    assert_non_null(room.server);
    assert_int_equal(zmq_setsockopt(room.server, ZMQ_CURVE_SERVER, &on, sizeof(on)), 0);
    assert_int_equal(zmq_setsockopt(room.server, ZMQ_LINGER, &wait_ms, sizeof(wait_ms)), 0);
    assert_int_equal(zmq_setsockopt(room.server, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms)), 0);
    assert_int_equal(zmq_setsockopt(room.server, ZMQ_CURVE_SECRETKEY, key, SL_Z85_SIZE - 1), 0);
    open_news();
    // The socket before may not have left its place yet.
    int64_t end_ms = sl_mono_ms() + DEADLINE_MS;
    while (zmq_bind(room.server, room.endpoint) != 0) {
        assert_true(sl_mono_ms() < end_ms);
        zmq_poll(NULL, 0, 1);
    }
}

// The bus goes, once all that it sent has left.
static void
close_server(void)
{
    zmq_socket_monitor(room.server, NULL, 0);
    zmq_close(room.server);
    zmq_close(room.news);
}

static void
open_link(enum sl_link_kind kind)
{
    struct sl_error err;
    const struct sl_bus_address *bus = &room.peer.buses[0];
    assert_int_equal(sl_link_open(&room.link, room.context, kind, &room.peer, bus, &err), 0);
}

static int
open_room(void **state)
{
    (void)state;
    memset(&room, 0, sizeof(room));
    snprintf(room.dir, sizeof(room.dir), "/tmp/sluice-link-XXXXXX");
    assert_non_null(mkdtemp(room.dir));
    snprintf(room.endpoint, sizeof(room.endpoint), "ipc://%s/bus", room.dir);
    sl_peer_keys(room.bus.public_key, room.bus.secret_key);
    room.peer = (struct sl_peer){.name = "node-1", .bus_count = 1};
    sl_peer_keys(room.peer.public_key, room.peer.secret_key);
    room.peer.buses[0] = (struct sl_bus_address){room.endpoint, room.endpoint, room.endpoint, ""};
    memcpy(room.peer.buses[0].public_key, room.bus.public_key, SL_Z85_SIZE);
    room.context = zmq_ctx_new();
    return room.context != NULL ? 0 : -1;
}

static int
close_room(void **state)
{
    (void)state;
    close_server();
    sl_link_close(&room.link);
    zmq_ctx_term(room.context);
    unlink(room.endpoint + strlen("ipc://"));
    return rmdir(room.dir);
}

// Waits until a socket has something, without a look at any other.
static void
wait_readable(void *socket)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, DEADLINE_MS), 1);
}

static void
wait_for(enum sl_link_change wanted)
{
    enum sl_link_change change = SL_LINK_SAME;
    while (change != wanted) {
        wait_readable(room.link.monitor);
        room.link.has_news = true;
        change = sl_link_watch(&room.link, sl_mono_ms());
    }
}

static void
serve(size_t parts)
{
    if (room.routing_len > 0) {
        assert_true(zmq_send(room.server, room.routing, room.routing_len, ZMQ_SNDMORE) > 0);
    }
    for (size_t i = 0; i < parts; i++) {
        assert_int_equal(zmq_send(room.server, "part", 4, i + 1 < parts ? ZMQ_SNDMORE : 0), 4);
    }
}

// How many messages of so many parts are there to be read.
static size_t
read_all(size_t parts)
{
    size_t whole = 0;
    struct sl_link_message message;
    room.link.is_readable = true;
    while (sl_link_receive(&room.link, &message)) {
        whole += message.count == parts;
        sl_link_message_clear(&message);
    }
    return whole;
}

// The bus sends so many of one part and many of `parts`, goes and comes back before any is read, as
// if the reader stood still: its socket learns of that while it reads.
static void
come_back_unread(int type, size_t first, size_t parts)
{
    for (size_t i = 0; i < first; i++) {
        serve(1);
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        serve(parts);
    }
    wait_readable(room.link.socket);
    close_server();
    open_server(type);
    wait_readable(room.news);
}

static bool
say(const char *word)
{
    const struct sl_str parts[] = {sl_str(word)};
    return sl_link_send(&room.link, parts, 1);
}

// What a ROUTER hears next.
static char
hear(void)
{
    char word = 0;
    room.routing_len = (size_t)zmq_recv(room.server, room.routing, sizeof(room.routing), 0);
    assert_int_equal(zmq_recv(room.server, &word, sizeof(word), 0), 1);
    return word;
}

static void
meet_router(void)
{
    open_server(ZMQ_ROUTER);
    open_link(SL_LINK_COMMANDS);
    wait_for(SL_LINK_UP);
    assert_true(say("H"));
    assert_int_equal(hear(), 'H');
}

static void
hear_subscription(void)
{
    char on = 0;
    assert_int_equal(zmq_recv(room.server, &on, sizeof(on), 0), 1);
    assert_int_equal(on, 1);
}

static void
events_of_a_bus_that_comes_back_are_read_whole(void **state)
{
    (void)state;
    open_server(ZMQ_XPUB);
    open_link(SL_LINK_EVENTS);
    assert_int_equal(zmq_setsockopt(room.link.socket, ZMQ_SUBSCRIBE, "", 0), 0);
    wait_for(SL_LINK_UP);
    hear_subscription();
    come_back_unread(ZMQ_XPUB, 0, 2);
    assert_int_equal(read_all(2), MESSAGES);
    wait_for(SL_LINK_UP);
    hear_subscription();
    serve(2);
    wait_readable(room.link.socket);
    assert_int_equal(read_all(2), 1);
}

// Replies are of three parts, heartbeats of one: the first few make each part of a reply the
// hundredth.
static void
read_replies(size_t first)
{
    meet_router();
    come_back_unread(ZMQ_ROUTER, first, 3);
    assert_int_equal(read_all(3), MESSAGES);
    wait_for(SL_LINK_UP);
    assert_true(say("N"));
    assert_int_equal(hear(), 'N');
}

static void
replies_are_read_whole_with_a_heartbeat_before(void **state)
{
    (void)state;
    read_replies(1);
}

static void
replies_are_read_whole_with_two_heartbeats_before(void **state)
{
    (void)state;
    read_replies(2);
}

static void
what_was_said_to_a_bus_that_went_is_not_said_to_it_when_it_is_back(void **state)
{
    (void)state;
    meet_router();
    close_server();
    wait_readable(room.link.monitor);
    (void)say("O"); // before the link knows; it may find the connection gone
    wait_for(SL_LINK_DOWN);
    assert_false(say("L")); // and after
    open_server(ZMQ_ROUTER);
    assert_false(say("L"));
    wait_for(SL_LINK_UP);
    assert_true(say("N"));
    assert_int_equal(hear(), 'N');
}

static void
nothing_is_said_before_a_bus_is_there(void **state)
{
    (void)state;
    open_link(SL_LINK_WORKERS);
    assert_false(say("E"));
    open_server(ZMQ_ROUTER);
    wait_for(SL_LINK_UP);
    assert_true(say("N"));
    assert_int_equal(hear(), 'N');
}

// What a descriptor of ZeroMQ tells is told once, to whoever uses the socket next: a poll on it
// alone would sleep beside the message.
static void
what_came_before_something_was_sent_is_read_without_a_poll(void **state)
{
    (void)state;
    struct pollfd items[SL_LINK_POLLS];
    meet_router();
    assert_int_equal(read_all(1), 0);
    (void)sl_link_watch(&room.link, sl_mono_ms());
    assert_false(sl_link_is_unread(&room.link));
    serve(1);
    wait_readable(room.link.socket); // takes the news from the descriptor, as sending may
    sl_link_poll(&room.link, items);
    assert_int_equal(poll(items, SL_LINK_POLLS, 0), 0);
    assert_true(say("H"));
    assert_true(sl_link_is_unread(&room.link));
    struct sl_link_message message;
    assert_true(sl_link_receive(&room.link, &message));
    sl_link_message_clear(&message);
    assert_false(sl_link_receive(&room.link, &message));
    assert_false(sl_link_is_unread(&room.link));
}

static void
who_sends_beside_a_sleeper_learns_what_to_tell_him(void **state)
{
    (void)state;
    meet_router();
    assert_int_equal(read_all(1), 0);
    assert_true(say("H"));
    assert_false(sl_link_settle(&room.link));
    serve(1);
    wait_readable(room.link.socket);
    assert_true(say("H"));
    assert_true(sl_link_settle(&room.link));
    assert_int_equal(read_all(1), 1);
    assert_false(sl_link_settle(&room.link));
}

static void
a_poll_tells_of_a_message(void **state)
{
    (void)state;
    struct pollfd items[SL_LINK_POLLS];
    struct sl_link_message message;
    meet_router();
    assert_int_equal(read_all(1), 0);
    (void)sl_link_watch(&room.link, sl_mono_ms());
    serve(1);
    do {
        assert_false(sl_link_is_unread(&room.link));
        sl_link_poll(&room.link, items);
        assert_in_range(poll(items, SL_LINK_POLLS, DEADLINE_MS), 1, SL_LINK_POLLS);
        sl_link_polled(&room.link, items);
        assert_true(sl_link_is_unread(&room.link));
        (void)sl_link_watch(&room.link, sl_mono_ms());
    } while (!sl_link_receive(&room.link, &message)); // news of something else before
    assert_int_equal(message.count, 1);
    sl_link_message_clear(&message);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_of_a_bus_that_comes_back_are_read_whole, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(replies_are_read_whole_with_a_heartbeat_before, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(replies_are_read_whole_with_two_heartbeats_before,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(
            what_was_said_to_a_bus_that_went_is_not_said_to_it_when_it_is_back, open_room,
            close_room),
        cmocka_unit_test_setup_teardown(what_came_before_something_was_sent_is_read_without_a_poll,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(who_sends_beside_a_sleeper_learns_what_to_tell_him,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(a_poll_tells_of_a_message, open_room, close_room),
        cmocka_unit_test_setup_teardown(nothing_is_said_before_a_bus_is_there, open_room,
                                        close_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
