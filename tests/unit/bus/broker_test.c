// broker_test.c - where a bus listens, at every endpoint of a list, over tcp and unix sockets; the
// forms of a command that it takes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/broker.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/wire/bus_client.h"
#include "common/wire/link.h"
#include "tests/unit/free_port.h"
#include "tests/unit/test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WAYS        3 // in which the bus can be reached
#define PATIENCE_MS 60000
#define ID          "00112233445566778899aabbccddeeff"

struct room {
    char dir[64];
    char texts[WAYS][3][128]; // one endpoint a socket, for each way
    char lists[3][512];       // all endpoints of a socket
    char allow_file[96];
    struct sl_peer bus;
    struct sl_peer client;
    struct sl_arena *arena;
    struct broker *broker;
    pthread_t thread;
    int stop_fd;
};

static struct room room;

static void
name_ways(void)
{
    for (size_t s = 0; s < 3; s++) {
        snprintf(room.texts[0][s], sizeof(room.texts[0][s]), "ipc://%s/a%zu", room.dir, s);
        snprintf(room.texts[1][s], sizeof(room.texts[1][s]), "ipc://%s/b%zu", room.dir, s);
        snprintf(room.texts[2][s], sizeof(room.texts[2][s]), "tcp://127.0.0.1:%d", free_port());
        snprintf(room.lists[s], sizeof(room.lists[s]), "%s  %s %s ", room.texts[0][s],
                 room.texts[1][s], room.texts[2][s]);
    }
}

static int
open_room(void **state)
{
    (void)state;
    memset(&room, 0, sizeof(room));
    snprintf(room.dir, sizeof(room.dir), "/tmp/sluice-broker-XXXXXX");
    assert_non_null(mkdtemp(room.dir));
    room.arena = sl_arena_new(1 << 20);
    room.bus = (struct sl_peer){.name = "bus-1", .bus_count = 1};
    room.client = (struct sl_peer){.name = "front-1", .bus_count = 1};
    sl_peer_keys(room.bus.public_key, room.bus.secret_key);
    sl_peer_keys(room.client.public_key, room.client.secret_key);
    name_ways();
    snprintf(room.allow_file, sizeof(room.allow_file), "%s/front-1.peer", room.dir);
    FILE *out = fopen(room.allow_file, "we");
    assert_non_null(out);
    fprintf(out, "key: '%s'\nrole: front\n", room.client.public_key);
    fclose(out);
    return 0;
}

static int
close_room(void **state)
{
    (void)state;
    for (size_t s = 0; s < 3; s++) {
        unlink(room.texts[0][s] + strlen("ipc://"));
        unlink(room.texts[1][s] + strlen("ipc://"));
    }
    unlink(room.allow_file);
    sl_arena_free(&room.arena);
    return rmdir(room.dir); // nothing else was left behind
}

static struct broker *
open_broker(const char *commands, struct sl_error *err)
{
    struct sl_bus_address binds = {commands, room.lists[1], room.lists[2], ""};
    struct broker_options options = {&room.bus, &binds, room.dir};
    return broker_new(&options, err);
}

static void *
run_broker(void *arg)
{
    broker_run(arg, room.stop_fd);
    return NULL;
}

static void
start_broker(void)
{
    struct sl_error err;
    room.broker = open_broker(room.lists[0], &err);
    assert_non_null(room.broker);
    room.stop_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&room.thread, NULL, run_broker, room.broker), 0);
}

static void
stop_broker(void)
{
    uint64_t one = 1;
    assert_int_equal(write(room.stop_fd, &one, sizeof(one)), sizeof(one));
    pthread_join(room.thread, NULL);
    close(room.stop_fd);
    broker_free(&room.broker);
}

// Asks the bus for its status by one of the ways.
static void
ask_by(size_t way)
{
    struct sl_error err;
    struct sl_reply reply;
    room.client.buses[0] =
        (struct sl_bus_address){room.texts[way][0], room.texts[way][1], room.texts[way][2], ""};
    memcpy(room.client.buses[0].public_key, room.bus.public_key, SL_Z85_SIZE);
    struct sl_bus_client_options options = {.peer = &room.client};
    struct sl_bus_client *client = sl_bus_client_new(&options, &err);
    assert_non_null(client);
    struct sl_command sent = {.service = "bus", .name = "status", .deadline_ms = 5000};
    assert_int_equal(sl_bus_request(client, &sent, room.arena, &reply, &err), 0);
    assert_non_null(memmem(reply.body.ptr, reply.body.len, "\"bus-1\"", 7));
    sl_bus_client_free(&client);
}

static void
a_bus_answers_at_every_endpoint_of_its_lists(void **state)
{
    (void)state;
    start_broker();
    for (size_t way = 0; way < WAYS; way++) {
        ask_by(way);
    }
    stop_broker();
}

static void
an_endpoint_that_does_not_work_is_named(void **state)
{
    (void)state;
    struct sl_error err;
    char list[256];
    snprintf(list, sizeof(list), "%s carrier-pigeon://roof", room.texts[0][0]);
    assert_null(open_broker(list, &err));
    assert_int_equal(err.code, SL_E_CONFIG);
    assert_string_equal(err.args[0], "carrier-pigeon://roof");
}

static void
no_endpoint_at_all_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    assert_null(open_broker("", &err));
    assert_int_equal(err.code, SL_E_CONFIG);
    assert_null(open_broker("  ", &err));
    assert_int_equal(err.code, SL_E_CONFIG);
}

static void
an_endpoint_without_end_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    char list[1024];
    snprintf(list, sizeof(list), "ipc://%s/%0600d", room.dir, 0);
    assert_null(open_broker(list, &err));
    assert_int_equal(err.code, SL_E_CONFIG);
}

static void
an_endpoint_that_is_taken_is_refused(void **state)
{
    (void)state;
    struct sl_error err;
    start_broker();
    assert_null(open_broker(room.texts[2][0], &err));
    assert_string_equal(err.args[0], room.texts[2][0]);
    stop_broker();
}

static void
wait_for_news(struct sl_link *link)
{
    struct pollfd items[SL_LINK_POLLS];
    if (!sl_link_is_unread(link)) {
        sl_link_poll(link, items);
        assert_in_range(poll(items, SL_LINK_POLLS, PATIENCE_MS), 1, SL_LINK_POLLS);
        sl_link_polled(link, items);
    }
}

// The front's own socket to the bus by the first way, without a client around it.
static void
open_link(void *context, struct sl_link *link)
{
    struct sl_error err;
    room.client.buses[0] =
        (struct sl_bus_address){room.texts[0][0], room.texts[0][1], room.texts[0][2], ""};
    memcpy(room.client.buses[0].public_key, room.bus.public_key, SL_Z85_SIZE);
    assert_int_equal(
        sl_link_open(link, context, SL_LINK_COMMANDS, &room.client, &room.client.buses[0], &err),
        0);
    struct sl_link_message message;
    while (sl_link_watch(link, sl_mono_ms()) != SL_LINK_UP) {
        assert_false(sl_link_receive(link, &message));
        wait_for_news(link);
    }
}

// What the bus says to a message, as words with a blank between them.
static const char *
said(struct sl_link *link, const struct sl_str *parts, size_t count)
{
    static char text[256];
    struct sl_link_message message;
    assert_true(sl_link_send(link, parts, count));
    while (!sl_link_receive(link, &message)) {
        (void)sl_link_watch(link, sl_mono_ms());
        wait_for_news(link);
    }
    struct sl_str words[] = {sl_link_part(&message, 0), sl_link_part(&message, 1),
                             sl_link_part(&message, 2)};
    bool is_reply = sl_str_equal(words[0], SL_STR("R"));
    snprintf(text, sizeof(text), "%.*s %.*s %.*s", SL_STR_FMT(words[0]), SL_STR_FMT(words[1]),
             is_reply ? 0 : (int)words[2].len, words[2].ptr);
    sl_link_message_clear(&message);
    return text;
}

static struct sl_str
envelope(const char *id)
{
    struct sl_str bytes = {NULL, 0};
    struct sl_error err;
    struct sl_command command = {.id = id, .service = "bus", .name = "status", .deadline_ms = 5000};
    assert_int_equal(sl_command_encode(room.arena, &command, &bytes, &err), 0);
    return bytes;
}

static const char *
said_brief(struct sl_link *link, const char *word, struct sl_str bytes)
{
    const struct sl_str parts[] = {sl_str(word), bytes};
    return said(link, parts, SL_COUNT(parts));
}

static void
takes_either_form(struct sl_link *link)
{
    const struct sl_str whole = envelope(ID);
    const struct sl_str parts[] = {SL_STR("C"), SL_STR(ID), SL_STR("bus"), SL_STR("5000"), whole};
    const struct sl_str other[] = {SL_STR("C"), SL_STR("11112222333344445555666677778888"),
                                   SL_STR("bus"), SL_STR("5000"), whole};
    assert_string_equal(said(link, parts, SL_COUNT(parts)), "R " ID " ");
    assert_string_equal(said(link, other, SL_COUNT(other)),
                        "B 11112222333344445555666677778888 malformed");
    assert_string_equal(said_brief(link, "K5000", whole), "R " ID " ");
    static const char *const words[] = {"K", "Kx", "K-1", "K5000x", "K999999999"};
    for (size_t i = 0; i < SL_COUNT(words); i++) {
        assert_string_equal(said_brief(link, words[i], whole), "B  malformed");
    }
    assert_string_equal(said_brief(link, "K5000", SL_STR("none")), "B  malformed");
    assert_string_equal(said_brief(link, "K5000", envelope("0011")), "B  malformed");
    assert_string_equal(said(link, (const struct sl_str[]){SL_STR("K5000"), whole, whole}, 3),
                        "B  malformed");
}

static void
a_command_is_taken_in_either_form_in_frames_and_joined(void **state)
{
    (void)state;
    struct sl_link link;
    void *context = zmq_ctx_new();
    const struct sl_str beat = SL_STR("H");
    start_broker();
    open_link(context, &link);
    assert_string_equal(said(&link, &beat, 1), "H K 1");
    takes_either_form(&link);
    link.takes_joined = true;
    takes_either_form(&link);
    sl_link_close(&link);
    zmq_ctx_term(context);
    stop_broker();
}

int
main(void)
{
    sl_log_init("broker_test", getenv("SLUICE_TEST_VERBOSE") != NULL ? SL_DEBUG : SL_ALERT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_bus_answers_at_every_endpoint_of_its_lists, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(an_endpoint_that_does_not_work_is_named, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(no_endpoint_at_all_is_refused, open_room, close_room),
        cmocka_unit_test_setup_teardown(an_endpoint_without_end_is_refused, open_room, close_room),
        cmocka_unit_test_setup_teardown(an_endpoint_that_is_taken_is_refused, open_room,
                                        close_room),
        cmocka_unit_test_setup_teardown(a_command_is_taken_in_either_form_in_frames_and_joined,
                                        open_room, close_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
