// broker.c - see broker.h: the sockets and the loop around them.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/broker.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "services/bus/broker_state.h"
#include "services/bus/zap.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS       50
#define FIRST_SOCKET  2     // poll items from here on are sockets
#define BATCH         256   // messages of one socket before the next has its turn
#define QUEUE         20000 // messages that wait for one connection
#define HANDSHAKE_MS  5000
#define PING_MS       2000
#define PING_DEAD_MS  3000
#define MESSAGE_SLACK 65536 // of a message beside its body
#define ENDPOINT_MAX  256   // bytes of one endpoint

static int
fail_socket(const char *what, const char *endpoint, struct sl_error *err)
{
    sl_fail(err, SL_E_CONFIG, endpoint);
    return sl_error_detail(err, "%s: %s", what, zmq_strerror(errno));
}

static int
set_options(void *socket, const struct sl_peer *self)
{
    const struct {
        int option;
        int value;
    } numbers[] = {{ZMQ_LINGER, 0},
                   {ZMQ_CURVE_SERVER, 1},
                   {ZMQ_RCVHWM, QUEUE},
                   {ZMQ_SNDHWM, QUEUE},
                   {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
                   {ZMQ_HEARTBEAT_IVL, PING_MS},
                   {ZMQ_HEARTBEAT_TIMEOUT, PING_DEAD_MS}};
    for (size_t i = 0; i < SL_COUNT(numbers); i++) {
        if (zmq_setsockopt(socket, numbers[i].option, &numbers[i].value, sizeof(int)) != 0) {
            return -1;
        }
    }
    int64_t largest = SL_MESSAGE_MAX + MESSAGE_SLACK;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof(largest)) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, self->secret_key, SL_Z85_SIZE - 1) != 0) {
        return -1;
    }
    return zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "sluice", 6);
}

// Binds a socket to each of the endpoints; *ret_failed is the one that does not work.
static bool
bind_all(void *socket, const char *endpoints, char ret_failed[ENDPOINT_MAX])
{
    size_t bound = 0;
    for (const char *at = endpoints + strspn(endpoints, " "); *at != '\0'; at += strspn(at, " ")) {
        int len = (int)strcspn(at, " ");
        snprintf(ret_failed, ENDPOINT_MAX, "%.*s", len, at);
        if (len >= ENDPOINT_MAX || zmq_bind(socket, ret_failed) != 0) {
            return false;
        }
        bound++;
        at += len;
    }
    ret_failed[0] = '\0';
    return bound > 0;
}

static void *
open_socket(struct broker *broker, int type, int mode_option, const struct sl_peer *self,
            const char *endpoints, struct sl_error *err)
{
    void *socket = zmq_socket(broker->context, type);
    int on = 1;
    char failed[ENDPOINT_MAX] = "";
    if (socket == NULL || set_options(socket, self) != 0 ||
        zmq_setsockopt(socket, mode_option, &on, sizeof(on)) != 0 ||
        !bind_all(socket, endpoints, failed)) {
        fail_socket("bind", failed[0] != '\0' ? failed : endpoints, err);
        if (socket != NULL) {
            zmq_close(socket);
        }
        return NULL;
    }
    return socket;
}

static int
open_all(struct broker *broker, const struct broker_options *options, struct sl_error *err)
{
    const struct sl_peer *self = options->self;
    const struct sl_bus_address *binds = options->binds;
    const struct {
        struct frames_socket *socket;
        int type;
        int mode_option;
        const char *endpoints;
    } rows[] = {
        {&broker->commands, ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, binds->commands},
        {&broker->workers, ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, binds->workers},
        {&broker->events, ZMQ_XPUB, ZMQ_XPUB_MANUAL, binds->events},
    };
    frames_open(&broker->zap, zap_open(broker->context, err));
    bool is_open = broker->zap.handle != NULL;
    for (size_t i = 0; is_open && i < SL_COUNT(rows); i++) {
        frames_open(rows[i].socket, open_socket(broker, rows[i].type, rows[i].mode_option, self,
                                                rows[i].endpoints, err));
        is_open = rows[i].socket->handle != NULL;
    }
    return is_open ? 0 : -1;
}

struct broker *
broker_new(const struct broker_options *options, struct sl_error *err)
{
    struct broker *broker = calloc(1, sizeof(*broker));
    if (broker == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    broker->name = options->self->name;
    broker->now_ms = sl_mono_ms();
    pthread_mutex_init(&broker->lock, NULL);
    sl_buf_init(&broker->envelope, SL_MESSAGE_MAX + MESSAGE_SLACK);
    broker->fleet = fleet_new();
    broker->flights = flights_new();
    broker->context = zmq_ctx_new();
    broker->peers = peers_new(options->allow_dir, err);
    if (broker->fleet == NULL || broker->flights == NULL || broker->context == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        broker_free(&broker);
    } else if (broker->peers == NULL || open_all(broker, options, err) != 0) {
        broker_free(&broker);
    }
    return broker;
}

void
broker_free(struct broker **broker)
{
    if (broker == NULL || *broker == NULL) {
        return;
    }
    struct broker *gone = SL_TAKE(*broker);
    frames_close(&gone->events);
    frames_close(&gone->workers);
    frames_close(&gone->commands);
    frames_close(&gone->zap);
    if (gone->context != NULL) {
        zmq_ctx_term(gone->context);
    }
    flights_free(&gone->flights);
    fleet_free(&gone->fleet);
    peers_free(&gone->peers);
    sl_buf_clear(&gone->envelope);
    pthread_mutex_destroy(&gone->lock);
    free(gone);
}

const struct peer_row *
broker_sender(struct broker *broker, struct frames *message)
{
    return peers_find(broker->peers, frames_property(message, "User-Id"),
                      frames_property(message, ZAP_KEY_PROPERTY));
}

static bool
has_chosen_routing(const struct frames *message)
{
    struct sl_str routing = frames_get(message, 0);
    return routing.len != FLEET_ROUTING_LEN || routing.ptr[0] != 0;
}

static void
drain(struct broker *broker, struct frames_socket *socket,
      void (*take)(struct broker *, struct frames *))
{
    struct frames message;
    for (int i = 0; i < BATCH && frames_receive(socket, &message); i++) {
        // Routing ids are ZeroMQ's own: a peer that chooses one might pose as another.
        if (socket == &broker->events || !has_chosen_routing(&message)) {
            take(broker, &message);
        }
        frames_clear(&message);
    }
}

static void
leave_figures(struct broker *broker)
{
    const struct broker_figures figures = {
        .passed = broker->passed,
        .refused = broker->refused,
        .published = broker->published,
        .in_flight = flights_count(broker->flights),
        .workers = fleet_count(broker->fleet),
        .peers = peers_count(broker->peers),
    };
    pthread_mutex_lock(&broker->lock);
    broker->figures = figures;
    pthread_mutex_unlock(&broker->lock);
}

struct broker_figures
broker_figures(struct broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    struct broker_figures figures = broker->figures;
    pthread_mutex_unlock(&broker->lock);
    return figures;
}

// Sleeps until a descriptor tells of something, at most a tick; not while a socket is unread.
static void
wait_round(struct pollfd *items, size_t count, struct frames_socket *const *sockets,
           size_t socket_count)
{
    bool is_unread = false;
    for (size_t i = 0; i < socket_count; i++) {
        is_unread = is_unread || sockets[i]->is_unread;
    }
    // A failed poll (a signal) is a round in which nothing was told.
    if (poll(items, count, is_unread ? 0 : TICK_MS) < 0) {
        for (size_t i = 0; i < count; i++) {
            items[i].revents = 0;
        }
    }
    for (size_t i = 0; i < socket_count; i++) {
        sockets[i]->is_unread = sockets[i]->is_unread || items[FIRST_SOCKET + i].revents != 0;
    }
}

void
broker_run(struct broker *broker, int stop_fd)
{
    struct frames_socket *const sockets[] = {&broker->commands, &broker->workers, &broker->events,
                                             &broker->zap};
    static void (*const takes[])(struct broker *, struct frames *) = {
        broker_on_command, broker_on_worker, broker_on_subscription};
    struct pollfd items[FIRST_SOCKET + SL_COUNT(sockets)] = {
        {.fd = stop_fd, .events = POLLIN}, {.fd = peers_fd(broker->peers), .events = POLLIN}};
    for (size_t i = 0; i < SL_COUNT(sockets); i++) {
        items[FIRST_SOCKET + i] = (struct pollfd){.fd = sockets[i]->fd, .events = POLLIN};
    }
    int64_t next_tick_ms = 0;
    while (items[0].revents == 0) {
        wait_round(items, SL_COUNT(items), sockets, SL_COUNT(sockets));
        broker->now_ms = sl_mono_ms();
        // Only what is unread: asking a socket in vain costs system calls.
        for (size_t i = 0; i < SL_COUNT(takes); i++) {
            if (sockets[i]->is_unread) {
                drain(broker, sockets[i], takes[i]);
            }
        }
        if (broker->zap.is_unread) {
            zap_answer(&broker->zap, broker->peers);
        }
        if (items[1].revents != 0) {
            peers_refresh(broker->peers);
        }
        if (broker->now_ms >= next_tick_ms) {
            broker_tick(broker);
            leave_figures(broker);
            next_tick_ms = broker->now_ms + TICK_MS;
        }
    }
}
