// link_test.c - connections that break: no message is cut in two, none is sent late.
//
// The other end is a socket as a bus has it, without the bus.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/link.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/wire/bus_client.h"
#include "common/wire/joined.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <stdatomic.h>
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

// How many frames a ROUTER hears of a message of three parts.
static size_t
hear_three(void)
{
    const struct sl_str parts[] = {SL_STR("C"), SL_STR("id"), SL_STR("pay load\n")};
    zmq_msg_t frame;
    size_t frames = 0; // beside the routing id
    assert_true(sl_link_send(&room.link, parts, SL_COUNT(parts)));
    for (bool more = true; more; frames += more) {
        zmq_msg_init(&frame);
        assert_true(zmq_msg_recv(&frame, room.server, 0) >= 0);
        more = zmq_msg_more(&frame) != 0;
        zmq_msg_close(&frame);
    }
    return frames;
}

static void
a_message_is_joined_for_a_bus_that_takes_that_until_it_goes(void **state)
{
    (void)state;
    meet_router();
    assert_int_equal(hear_three(), 3);
    room.link.takes_joined = true;
    assert_int_equal(hear_three(), 1);
    close_server();
    wait_for(SL_LINK_DOWN);
    open_server(ZMQ_ROUTER); // another build, perhaps
    wait_for(SL_LINK_UP);
    assert_int_equal(hear_three(), 3);
}

// Receives what the bus sends as one frame.
static void
receive_frame(const char *text, struct sl_link_message *ret_message)
{
    assert_true(zmq_send(room.server, room.routing, room.routing_len, ZMQ_SNDMORE) > 0);
    assert_true(zmq_send(room.server, text, strlen(text), 0) >= 0);
    wait_readable(room.link.socket);
    room.link.is_readable = true;
    assert_true(sl_link_receive(&room.link, ret_message));
}

static void
a_joined_message_is_read_as_its_parts(void **state)
{
    (void)state;
    struct sl_link_message message;
    meet_router();
    receive_frame("R id\npay load\n", &message);
    assert_int_equal(message.count, 3);
    assert_true(sl_str_equal(sl_link_part(&message, 0), SL_STR("R")));
    assert_true(sl_str_equal(sl_link_part(&message, 2), SL_STR("pay load\n")));
    assert_int_equal(sl_link_part(&message, 3).len, 0);
    sl_link_message_clear(&message);
    receive_frame("R a b c d\n", &message); // of more parts than any: taken for one without
    assert_int_equal(message.count, 1);
    sl_link_message_clear(&message);
}

// A bus that answers each command, and a client that asks it.
struct talk {
    bool takes_joined; // as its heartbeats say; those of older builds say nothing
    struct sl_bus_client *client;
    atomic_int answers;
    int64_t answered_ms; // when the bus last answered
    int beats;           // heartbeats that it heard
    int brief;           // commands of the brief form
};

static void
count_answer(void *arg, const struct sl_reply *reply)
{
    struct talk *talk = arg;
    assert_false(reply->failed);
    atomic_fetch_add(&talk->answers, 1);
}

static void
ask(struct talk *talk)
{
    struct sl_command command = {.service = "registry",
                                 .name = "echo",
                                 .deadline_ms = DEADLINE_MS,
                                 .actor = {.user_id = "u"}};
    sl_bus_call(talk->client, &command, count_answer, talk);
}

// The next part of a message; answers whether there is another.
static bool
take_part(char *part, size_t size, size_t *ret_len)
{
    int more = 0;
    size_t more_size = sizeof(more);
    int len = zmq_recv(room.server, part, size, 0);
    assert_true(len >= 0);
    *ret_len = (size_t)len;
    assert_int_equal(zmq_getsockopt(room.server, ZMQ_RCVMORE, &more, &more_size), 0);
    return more != 0;
}

// What a bus does with a message: a heartbeat is counted, a command answered.
static void
answer(struct talk *talk)
{
    char parts[8][512];
    size_t lens[8] = {0};
    size_t count = 0;
    while (take_part(parts[count], sizeof(parts[count]), &lens[count])) {
        count++;
        assert_true(count < SL_COUNT(parts));
    }
    bool is_beat = parts[1][0] == 'H';
    talk->beats += is_beat;
    assert_true(zmq_send(room.server, parts[0], lens[0], ZMQ_SNDMORE) > 0);
    if (is_beat) {
        assert_int_equal(zmq_send(room.server, "H", 1, talk->takes_joined ? ZMQ_SNDMORE : 0), 1);
        if (talk->takes_joined) {
            assert_int_equal(zmq_send(room.server, SL_COMMAND_BRIEF, 1, ZMQ_SNDMORE), 1);
            assert_int_equal(zmq_send(room.server, SL_JOINED_WORD, 1, 0), 1);
        }
        return;
    }
    char id[SL_ID_LEN];
    if (count == 1) { // joined: a brief one, whose envelope begins with v and id: {"v": 1, "id": …
        int64_t deadline_ms = 0;
        struct sl_str brief[3];
        assert_int_equal(sl_split((struct sl_str){parts[1], lens[1]}, brief, SL_COUNT(brief)), 2);
        assert_int_equal(brief[0].ptr[0], 'K');
        assert_true(sl_str_int((struct sl_str){brief[0].ptr + 1, brief[0].len - 1}, &deadline_ms));
        assert_true(deadline_ms > 0);
        const char *found = memmem(brief[1].ptr, brief[1].len, "\xa2id\xd9\x20", 5);
        assert_non_null(found);
        memcpy(id, found + 5, SL_ID_LEN);
        talk->brief++;
    } else {
        assert_int_equal(lens[2], SL_ID_LEN);
        memcpy(id, parts[2], SL_ID_LEN);
    }
    SL_AUTO_BUF buf;
    struct sl_error err;
    struct sl_reply reply = {.status = 204};
    sl_buf_init(&buf, SL_MESSAGE_MAX);
    assert_int_equal(sl_reply_pack(&buf, &reply, &err), 0);
    assert_int_equal(zmq_send(room.server, "R", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(room.server, id, SL_ID_LEN, ZMQ_SNDMORE), SL_ID_LEN);
    assert_int_equal(zmq_send(room.server, buf.ptr, buf.len, 0), (int)buf.len);
    talk->answered_ms = sl_mono_ms();
}

static bool
is_asked(int wait_ms)
{
    zmq_pollitem_t item = {.socket = room.server, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, wait_ms) == 1;
}

static void
begin_talk(struct talk *talk)
{
    struct sl_bus_client_options options = {.peer = &room.peer};
    struct sl_error err;
    open_server(ZMQ_ROUTER);
    talk->answered_ms = sl_mono_ms();
    talk->client = sl_bus_client_new(&options, &err);
    assert_non_null(talk->client);
    answer(talk); // the first heartbeat: the client begins with it
    assert_int_equal(talk->beats, 1);
}

// Asks until a command has come in the form that is awaited.
static void
ask_until(struct talk *talk, bool is_brief)
{
    int64_t end_ms = sl_mono_ms() + DEADLINE_MS;
    for (int brief = !is_brief; (brief != 0) != is_brief;) {
        int answers = atomic_load(&talk->answers);
        brief = talk->brief;
        ask(talk);
        while (atomic_load(&talk->answers) == answers) {
            assert_true(sl_mono_ms() < end_ms);
            if (is_asked(10)) {
                answer(talk);
            }
        }
        brief = talk->brief - brief;
    }
}

static void
a_command_is_brief_where_the_bus_takes_it_and_no_longer(void **state)
{
    (void)state;
    struct talk talk = {.takes_joined = true};
    begin_talk(&talk);
    ask_until(&talk, true);
    close_server(); // and comes back as an older build
    open_server(ZMQ_ROUTER);
    talk.takes_joined = false;
    ask_until(&talk, false);
    int brief = talk.brief;
    ask_until(&talk, false);
    assert_int_equal(talk.brief, brief);
    sl_bus_client_free(&talk.client);
}

static void
who_answers_is_not_asked_whether_it_lives(void **state)
{
    (void)state;
    struct talk talk = {.takes_joined = false};
    begin_talk(&talk);
    for (int64_t end_ms = sl_mono_ms() + 3 * SL_LINK_BEAT_MS; sl_mono_ms() < end_ms;) {
        int beats = talk.beats;
        ask(&talk);
        while (is_asked(SL_LINK_BEAT_MS / 5)) {
            answer(&talk);
        }
        bool was_silent =
            sl_mono_ms() - talk.answered_ms >= SL_LINK_BEAT_MS; // a machine that stood
        assert_true(talk.beats == beats || was_silent);
    }
    assert_true(atomic_load(&talk.answers) > 0);
    int beats = talk.beats;
    while (talk.beats < beats + 2) { // silence is asked, and asked again
        assert_true(is_asked(DEADLINE_MS));
        answer(&talk);
    }
    sl_bus_client_free(&talk.client);
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
        cmocka_unit_test_setup_teardown(a_message_is_joined_for_a_bus_that_takes_that_until_it_goes,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(a_joined_message_is_read_as_its_parts, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(nothing_is_said_before_a_bus_is_there, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(a_command_is_brief_where_the_bus_takes_it_and_no_longer,
                                        open_room, close_room),
        cmocka_unit_test_setup_teardown(who_answers_is_not_asked_whether_it_lives, open_room,
                                        close_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
