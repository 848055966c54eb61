// client_delivery.c - replies and events to their callbacks.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/client_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_WAITING_MAX 20000 // events for a dispatcher that does not come; more are dropped

void
client_free_call(struct call *call)
{
    sl_buf_clear(&call->envelope);
    free(call);
}

static void
finish_call(struct sl_bus_client *client, struct call *call)
{
    if (!call->is_rejected) {
        atomic_fetch_sub(&client->in_flight, 1);
    }
    client_free_call(call);
}

// Decodes and calls back. The arena lives for one callback.
static void
run_reply(struct sl_arena *arena, sl_reply_fn *fn, void *arg, struct sl_str bytes)
{
    struct sl_error err;
    struct sl_reply reply;
    if (sl_reply_decode(arena, bytes, &reply, &err) != 0) {
        reply = sl_reply_of_error(&err);
    }
    fn(arg, &reply);
    sl_arena_clear(arena);
}

static void
enqueue(struct sl_bus_client *client, struct delivery *delivery)
{
    pthread_mutex_lock(&client->lock);
    if (delivery->is_event && client->events_waiting >= EVENTS_WAITING_MAX) {
        pthread_mutex_unlock(&client->lock);
        free(delivery);
        return;
    }
    client->events_waiting += delivery->is_event;
    if (client->deliveries_last != NULL) {
        client->deliveries_last->next = delivery;
    } else {
        client->deliveries_first = delivery;
    }
    client->deliveries_last = delivery;
    pthread_mutex_unlock(&client->lock);
    uint64_t one = 1;
    ssize_t written = write(client->ready_fd, &one, sizeof(one));
    (void)written; // full means that it is readable already
}

static struct delivery *
new_delivery(struct sl_str topic, struct sl_str bytes)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery) + topic.len + bytes.len);
    assert(delivery != NULL);
    delivery->topic_len = topic.len;
    delivery->len = bytes.len;
    if (topic.len > 0) {
        memcpy(delivery->bytes, topic.ptr, topic.len);
    }
    if (bytes.len > 0) {
        memcpy(delivery->bytes + topic.len, bytes.ptr, bytes.len);
    }
    return delivery;
}

static bool
goes_through_dispatch(const struct sl_bus_client *client, const struct call *call)
{
    return client->own_dispatch && !call->is_direct;
}

void
client_deliver_reply(struct sl_bus_client *client, struct call *call, struct sl_str reply)
{
    if (goes_through_dispatch(client, call)) {
        struct delivery *delivery = new_delivery((struct sl_str){NULL, 0}, reply);
        delivery->reply_fn = call->fn;
        delivery->arg = call->arg;
        enqueue(client, delivery);
    } else {
        pthread_mutex_lock(&client->running);
        if (call->fn != NULL) {
            run_reply(client->arena, call->fn, call->arg, reply);
        }
        pthread_mutex_unlock(&client->running);
    }
    finish_call(client, call);
}

void
client_deliver_error(struct sl_bus_client *client, struct call *call, enum sl_code code,
                     const char *why)
{
    struct sl_error error;
    sl_fail(&error, code, why);
    sl_error_detail(&error, "%s", why);
    if (goes_through_dispatch(client, call)) {
        struct delivery *delivery =
            new_delivery((struct sl_str){NULL, 0}, (struct sl_str){NULL, 0});
        delivery->reply_fn = call->fn;
        delivery->arg = call->arg;
        delivery->error = error;
        delivery->is_error = true;
        enqueue(client, delivery);
    } else {
        pthread_mutex_lock(&client->running);
        if (call->fn != NULL) {
            struct sl_reply reply = sl_reply_of_error(&error);
            call->fn(call->arg, &reply);
        }
        pthread_mutex_unlock(&client->running);
    }
    finish_call(client, call);
}

void
client_deliver_event(struct sl_bus_client *client, const struct subscription *to,
                     struct sl_str topic, struct sl_str body)
{
    if (client->own_dispatch) {
        struct delivery *delivery = new_delivery(topic, body);
        delivery->event_fn = to->fn;
        delivery->is_event = true;
        delivery->arg = to->arg;
        enqueue(client, delivery);
    } else {
        to->fn(to->arg, topic, body);
    }
}

static void
run_delivery(struct sl_arena *arena, const struct delivery *delivery)
{
    struct sl_str bytes = {delivery->bytes + delivery->topic_len, delivery->len};
    if (delivery->event_fn != NULL) {
        delivery->event_fn(delivery->arg, (struct sl_str){delivery->bytes, delivery->topic_len},
                           bytes);
    } else if (delivery->reply_fn != NULL && delivery->is_error) {
        struct sl_reply reply = sl_reply_of_error(&delivery->error);
        delivery->reply_fn(delivery->arg, &reply);
    } else if (delivery->reply_fn != NULL) {
        run_reply(arena, delivery->reply_fn, delivery->arg, bytes);
    }
}

static struct delivery *
take_delivery(struct sl_bus_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct delivery *delivery = client->deliveries_first;
    if (delivery != NULL) {
        client->deliveries_first = delivery->next;
        if (delivery->next == NULL) {
            client->deliveries_last = NULL;
        }
        client->events_waiting -= delivery->is_event;
    }
    pthread_mutex_unlock(&client->lock);
    return delivery;
}

int
sl_bus_client_fd(const struct sl_bus_client *client)
{
    return client->ready_fd;
}

void
sl_bus_client_dispatch(struct sl_bus_client *client)
{
    uint64_t waiting = 0;
    ssize_t got = read(client->ready_fd, &waiting, sizeof(waiting));
    (void)got; // whatever it says, the list is looked at
    SL_AUTO(sl_arena) arena = sl_arena_new(SL_COMMAND_ARENA_MAX);
    assert(arena != NULL);
    pthread_mutex_lock(&client->running);
    for (struct delivery *delivery = take_delivery(client); delivery != NULL;
         delivery = take_delivery(client)) {
        if (!delivery->is_event || !client->is_stopping) {
            run_delivery(arena, delivery); // who awaits an answer gets it, whoever ended meanwhile
        }
        free(delivery);
    }
    pthread_mutex_unlock(&client->running);
}
