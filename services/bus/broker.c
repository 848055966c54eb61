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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS       50
#define FIRST_TAKE    2     // poll items from here on are sockets with messages to take
#define BATCH         256   // messages of one socket before the next has its turn
#define QUEUE         20000 // messages that wait for one connection
#define HANDSHAKE_MS  5000
#define PING_MS       1000
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
    broker->zap = zap_open(broker->context, err);
    if (broker->zap == NULL) {
        return -1;
    }
    broker->commands =
        open_socket(broker, ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, self, binds->commands, err);
    if (broker->commands == NULL) {
        return -1;
    }
    broker->workers =
        open_socket(broker, ZMQ_ROUTER, ZMQ_ROUTER_MANDATORY, self, binds->workers, err);
    if (broker->workers == NULL) {
        return -1;
    }
    broker->events = open_socket(broker, ZMQ_XPUB, ZMQ_XPUB_MANUAL, self, binds->events, err);
    return broker->events != NULL ? 0 : -1;
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

static void
close_socket(void *socket)
{
    if (socket != NULL) {
        zmq_close(socket);
    }
}

void
broker_free(struct broker **broker)
{
    if (broker == NULL || *broker == NULL) {
        return;
    }
    struct broker *gone = SL_TAKE(*broker);
    close_socket(gone->events);
    close_socket(gone->workers);
    close_socket(gone->commands);
    close_socket(gone->zap);
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
drain(struct broker *broker, void *socket, void (*take)(struct broker *, struct frames *))
{
    struct frames message;
    for (int i = 0; i < BATCH && frames_receive(socket, &message); i++) {
        // Routing ids are ZeroMQ's own: a peer that chooses one might pose as another.
        if (socket == broker->events || !has_chosen_routing(&message)) {
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

void
broker_run(struct broker *broker, int stop_fd)
{
    zmq_pollitem_t items[] = {
        {.fd = stop_fd, .events = ZMQ_POLLIN},
        {.socket = broker->zap, .events = ZMQ_POLLIN},
        {.socket = broker->commands, .events = ZMQ_POLLIN},
        {.socket = broker->workers, .events = ZMQ_POLLIN},
        {.socket = broker->events, .events = ZMQ_POLLIN},
        {.fd = peers_fd(broker->peers), .events = ZMQ_POLLIN},
    };
    static void (*const takes[])(struct broker *, struct frames *) = {
        broker_on_command, broker_on_worker, broker_on_subscription};
    int64_t next_tick_ms = 0;
    while (items[0].revents == 0) {
        // A failed poll (a signal) is a round without messages.
        if (zmq_poll(items, (int)SL_COUNT(items), TICK_MS) < 0) {
            continue;
        }
        broker->now_ms = sl_mono_ms();
        // Only what the poll saw: asking a socket in vain costs a system call.
        for (size_t i = 0; i < SL_COUNT(takes); i++) {
            if (items[FIRST_TAKE + i].revents != 0) {
                drain(broker, items[FIRST_TAKE + i].socket, takes[i]);
            }
        }
        if (items[1].revents != 0) {
            zap_answer(broker->zap, broker->peers);
        }
        if (items[5].revents != 0) {
            peers_refresh(broker->peers);
        }
        if (broker->now_ms >= next_tick_ms) {
            broker_tick(broker);
            leave_figures(broker);
            next_tick_ms = broker->now_ms + TICK_MS;
        }
    }
}
