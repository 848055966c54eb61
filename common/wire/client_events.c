// client_events.c - subscriptions of the bus client, on every bus at once.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/client_state.h"

#include <string.h>

#define SETTLE_MS 20 // after the handshake until the bus has surely taken the subscriptions

// Copies the subscriptions, so that no lock is held while sockets and callbacks are used.
static void
copy_subscriptions(struct sl_bus_client *client, struct subscription *copy)
{
    pthread_mutex_lock(&client->lock);
    memcpy(copy, client->subscriptions, sizeof(client->subscriptions));
    for (size_t i = 0; i < SL_CLIENT_SUBSCRIPTIONS; i++) {
        client->subscriptions[i].is_new = false;
    }
    pthread_mutex_unlock(&client->lock);
}

static bool
open_events(struct sl_bus_client *client, size_t index)
{
    struct client_bus *bus = &client->buses[index];
    struct sl_error err;
    if (!bus->has_events && sl_link_open(&bus->events, client->context, SL_LINK_EVENTS,
                                         client->peer, &client->peer->buses[index], &err) == 0) {
        bus->has_events = true;
    }
    return bus->has_events;
}

void
client_update_subscriptions(struct sl_bus_client *client)
{
    struct subscription copy[SL_CLIENT_SUBSCRIPTIONS];
    copy_subscriptions(client, copy);
    for (size_t i = 0; i < SL_CLIENT_SUBSCRIPTIONS; i++) {
        for (size_t n = 0; copy[i].is_new && n < client->peer->bus_count; n++) {
            if (open_events(client, n)) {
                struct client_bus *bus = &client->buses[n];
                zmq_setsockopt(bus->events.socket, ZMQ_SUBSCRIBE, copy[i].prefix,
                               copy[i].prefix_len);
                bus->announce_ms = client->now_ms + SETTLE_MS;
            }
        }
    }
}

// Runs `deliver` for every subscription that covers the topic; an empty topic is for all.
static void
deliver_to_all(struct sl_bus_client *client, struct sl_str topic, struct sl_str body)
{
    struct subscription copy[SL_CLIENT_SUBSCRIPTIONS];
    pthread_mutex_lock(&client->running);
    pthread_mutex_lock(&client->lock);
    memcpy(copy, client->subscriptions, sizeof(copy));
    pthread_mutex_unlock(&client->lock);
    for (size_t i = 0; i < SL_CLIENT_SUBSCRIPTIONS; i++) {
        struct sl_str prefix = {copy[i].prefix, copy[i].prefix_len};
        if (copy[i].fn != NULL && (topic.len == 0 || sl_str_starts(topic, prefix))) {
            client_deliver_event(client, &copy[i], topic, body);
        }
    }
    pthread_mutex_unlock(&client->running);
}

void
client_on_event(struct sl_bus_client *client, struct sl_link_message *message)
{
    struct sl_str topic = sl_link_part(message, 0);
    if (message->count == 2 && topic.len > 0) {
        deliver_to_all(client, topic, sl_link_part(message, 1));
    }
}

void
client_announce(struct sl_bus_client *client, size_t index)
{
    struct client_bus *bus = &client->buses[index];
    if (!bus->has_events) {
        return;
    }
    if (sl_link_watch(&bus->events, client->now_ms) == SL_LINK_UP) {
        bus->announce_ms = client->now_ms + SETTLE_MS;
    }
    if (bus->announce_ms != 0 && client->now_ms >= bus->announce_ms && bus->events.heard_ms != 0) {
        bus->announce_ms = 0;
        deliver_to_all(client, (struct sl_str){"", 0}, (struct sl_str){"", 0});
    }
}

int
sl_bus_subscribe(struct sl_bus_client *client, const char *prefix, sl_event_fn *fn, void *arg,
                 struct sl_error *err)
{
    size_t len = strlen(prefix);
    struct subscription *slot = NULL;
    if (len >= sizeof(slot->prefix)) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "topic is too long");
    }
    pthread_mutex_lock(&client->lock);
    for (size_t i = 0; i < SL_CLIENT_SUBSCRIPTIONS && slot == NULL; i++) {
        slot = client->subscriptions[i].fn == NULL ? &client->subscriptions[i] : NULL;
    }
    if (slot != NULL) {
        *slot = (struct subscription){.prefix_len = len, .fn = fn, .arg = arg, .is_new = true};
        memcpy(slot->prefix, prefix, len);
    }
    pthread_mutex_unlock(&client->lock);
    if (slot == NULL) {
        return sl_fail(err, SL_E_BUS_MESSAGE, "too many subscriptions");
    }
    client_wake(client);
    return 0;
}
