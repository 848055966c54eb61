// link.c - see link.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/link.h"

#include "common/base/limits.h"
#include "common/wire/joined.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define QUEUE            20000 // messages that wait for one connection
#define RECONNECT_MS     20
#define RECONNECT_MAX_MS 250
#define CONNECT_MS       1000 // one SYN: the kernel would send the next ones 1, 3, 7, 15 s later
#define LINGER_MS        500  // last replies get out of a process that ends
#define HANDSHAKE_MS     5000
// Of ZeroMQ's own: ours tell of a silent bus sooner, these end what is left of its connection.
#define PING_MS          2000
#define PING_DEAD_MS     3000
#define MESSAGE_SLACK    65536 // of a message beside its body

static int
set_options(void *socket, const struct sl_peer *peer, const struct sl_bus_address *bus)
{
    const struct {
        int option;
        int value;
    } numbers[] = {{ZMQ_LINGER, LINGER_MS},
                   {ZMQ_RCVHWM, QUEUE},
                   {ZMQ_SNDHWM, QUEUE},
                   {ZMQ_RECONNECT_IVL, RECONNECT_MS},
                   {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
                   {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
                   {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
                   {ZMQ_HEARTBEAT_IVL, PING_MS},
                   {ZMQ_HEARTBEAT_TIMEOUT, PING_DEAD_MS}};
    for (size_t i = 0; i < SL_COUNT(numbers); i++) {
        if (zmq_setsockopt(socket, numbers[i].option, &numbers[i].value, sizeof(int)) != 0) {
            return -1;
        }
    }
    int64_t largest = SL_MESSAGE_MAX + MESSAGE_SLACK;
    size_t key_len = SL_Z85_SIZE - 1;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, bus->public_key, key_len) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, peer->public_key, key_len) != 0) {
        return -1;
    }
    return zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, peer->secret_key, key_len);
}

static bool
find_fd(void *socket, int *ret_fd)
{
    size_t size = sizeof(*ret_fd);
    return zmq_getsockopt(socket, ZMQ_FD, ret_fd, &size) == 0;
}

// What was there before the first poll, or came in while the socket was at something else.
static void
look_again(struct sl_link *link)
{
    link->is_readable = true;
    link->has_news = true;
}

static int
open_monitor(struct sl_link *link, void *context)
{
    static atomic_uint serial;
    char endpoint[64];
    snprintf(endpoint, sizeof(endpoint), "inproc://sluice-monitor-%u",
             atomic_fetch_add(&serial, 1));
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(link->socket, endpoint, events) != 0) {
        return -1;
    }
    link->monitor = zmq_socket(context, ZMQ_PAIR);
    int linger = 0;
    return link->monitor != NULL &&
                   zmq_setsockopt(link->monitor, ZMQ_LINGER, &linger, sizeof(linger)) == 0 &&
                   zmq_connect(link->monitor, endpoint) == 0 &&
                   find_fd(link->monitor, &link->monitor_fd)
               ? 0
               : -1;
}

int
sl_link_open(struct sl_link *link, void *context, enum sl_link_kind kind,
             const struct sl_peer *peer, const struct sl_bus_address *bus, struct sl_error *err)
{
    int type = kind == SL_LINK_EVENTS ? ZMQ_SUB : ZMQ_DEALER;
    const char *const endpoints[] = {[SL_LINK_COMMANDS] = bus->commands,
                                     [SL_LINK_WORKERS] = bus->workers,
                                     [SL_LINK_EVENTS] = bus->events};
    const char *endpoint = endpoints[kind];
    *link = (struct sl_link){
        .socket = zmq_socket(context, type), .endpoint = endpoint, .sends = type == ZMQ_DEALER};
    if (link->socket == NULL || set_options(link->socket, peer, bus) != 0 ||
        !find_fd(link->socket, &link->fd) || open_monitor(link, context) != 0 ||
        zmq_connect(link->socket, endpoint) != 0) {
        sl_fail(err, SL_E_CONFIG, endpoint);
        sl_error_detail(err, "%s", zmq_strerror(errno));
        sl_link_close(link);
        return -1;
    }
    look_again(link);
    return 0;
}

void
sl_link_close(struct sl_link *link)
{
    if (link->socket != NULL) {
        zmq_socket_monitor(link->socket, NULL, 0);
        zmq_close(link->socket);
    }
    if (link->monitor != NULL) {
        zmq_close(link->monitor);
    }
    *link = (struct sl_link){.socket = NULL};
}

void
sl_link_poll(const struct sl_link *link, struct pollfd items[SL_LINK_POLLS])
{
    items[0] = (struct pollfd){.fd = link->fd, .events = POLLIN};
    items[1] = (struct pollfd){.fd = link->monitor_fd, .events = POLLIN};
}

void
sl_link_polled(struct sl_link *link, const struct pollfd items[SL_LINK_POLLS])
{
    link->is_readable = link->is_readable || items[0].revents != 0;
    link->has_news = link->has_news || items[1].revents != 0;
}

bool
sl_link_is_unread(const struct sl_link *link)
{
    return link->is_readable || link->has_news;
}

bool
sl_link_settle(struct sl_link *link)
{
    int events = 0;
    size_t size = sizeof(events);
    if (link->is_readable && zmq_getsockopt(link->socket, ZMQ_EVENTS, &events, &size) == 0) {
        link->is_readable = (events & ZMQ_POLLIN) != 0;
    }
    return link->is_readable;
}

// Drops what waits for a connection that broke, and connects anew: a bus that comes back is not to
// get commands whose time is over. ZMQ_IMMEDIATE would do that by itself, and now and then end the
// process: it takes the connection away even between two parts of a message that is being read,
// which libzmq asserts never happens (fq.cpp).
static void
start_over(struct sl_link *link)
{
    const int none = 0;
    const int linger_ms = LINGER_MS;
    bool is_done = zmq_setsockopt(link->socket, ZMQ_LINGER, &none, sizeof(none)) == 0 &&
                   zmq_disconnect(link->socket, link->endpoint) == 0 &&
                   zmq_setsockopt(link->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) == 0 &&
                   zmq_connect(link->socket, link->endpoint) == 0;
    assert(is_done); // the same endpoint was good before
    look_again(link);
}

enum sl_link_change
sl_link_watch(struct sl_link *link, int64_t now_ms)
{
    enum sl_link_change change = SL_LINK_SAME;
    struct sl_link_message message;
    struct sl_link events = {.socket = link->monitor, .is_readable = link->has_news};
    link->has_news = false;
    while (sl_link_receive(&events, &message)) {
        // The first part: 16 bits of event, 32 bits of value, both in host order.
        uint16_t event = 0;
        struct sl_str head = sl_link_part(&message, 0);
        if (head.len >= sizeof(event)) {
            memcpy(&event, head.ptr, sizeof(event));
        }
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            change = SL_LINK_UP;
            link->heard_ms = now_ms;
            link->beat_at_ms = now_ms;
        } else if (event == ZMQ_EVENT_DISCONNECTED) {
            change = SL_LINK_DOWN;
            link->heard_ms = 0;
        }
        sl_link_message_clear(&message);
    }
    // A handshake that was refused left nothing behind, and is tried again after a pause.
    if (change == SL_LINK_DOWN && link->is_up && link->sends) {
        start_over(link);
    }
    link->takes_joined = link->takes_joined && change == SL_LINK_SAME; // another build may be back
    link->is_up = change == SL_LINK_SAME ? link->is_up : change == SL_LINK_UP;
    return change;
}

bool
sl_link_is_live(const struct sl_link *link, int64_t now_ms)
{
    return link->heard_ms != 0 && now_ms - link->heard_ms <= SL_LINK_DEAD_MS;
}

bool
sl_link_send(struct sl_link *link, const struct sl_str *parts, size_t count)
{
    if (!link->is_up) {
        return false;
    }
    // A socket that sends may find news of a message that came, and then its descriptor is silent.
    link->is_readable = true;
    zmq_msg_t joined;
    if (link->takes_joined && count > 1 && sl_join(parts, count, &joined)) {
        bool is_sent = zmq_msg_send(&joined, link->socket, ZMQ_DONTWAIT) >= 0;
        zmq_msg_close(&joined); // empty where it was sent
        return is_sent;
    }
    for (size_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        if (zmq_send(link->socket, parts[i].ptr, parts[i].len, flags) < 0) {
            return false;
        }
    }
    return true;
}

// Finds the parts of what was received.
static void
find_parts(struct sl_link_message *message)
{
    message->count = message->frames;
    for (size_t i = 0; i < message->frames; i++) {
        message->part[i] =
            (struct sl_str){zmq_msg_data(&message->frame[i]), zmq_msg_size(&message->frame[i])};
    }
    struct sl_str parts[SL_LINK_PARTS];
    size_t count = message->frames == 1 ? sl_split(message->part[0], parts, SL_LINK_PARTS) : 0;
    if (count > 0 && count <= SL_LINK_PARTS) {
        memcpy(message->part, parts, count * sizeof(parts[0]));
        message->count = count;
    }
}

bool
sl_link_receive(struct sl_link *link, struct sl_link_message *ret_message)
{
    ret_message->frames = 0;
    zmq_msg_t surplus = {{0}};
    bool has_more = link->is_readable;
    while (has_more) {
        bool fits = ret_message->frames < SL_LINK_PARTS;
        zmq_msg_t *frame = fits ? &ret_message->frame[ret_message->frames] : &surplus;
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, link->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(frame);
            sl_link_message_clear(ret_message);
            link->is_readable = false;
            return false;
        }
        has_more = zmq_msg_more(frame) != 0;
        if (fits) {
            ret_message->frames++;
        } else {
            zmq_msg_close(frame);
        }
    }
    find_parts(ret_message);
    return ret_message->count > 0;
}

void
sl_link_message_clear(struct sl_link_message *message)
{
    for (size_t i = 0; i < message->frames; i++) {
        zmq_msg_close(&message->frame[i]);
    }
    message->frames = 0;
    message->count = 0;
}

struct sl_str
sl_link_part(const struct sl_link_message *message, size_t index)
{
    return index < message->count ? message->part[index] : (struct sl_str){"", 0};
}
