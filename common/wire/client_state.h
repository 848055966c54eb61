// client_state.h - what the files of the bus client share; no one else includes it.
//
// `lock` guards what callers' threads touch (inbox, subscriptions, deliveries); `running` is held
// while callbacks run, so that sl_bus_forget() can wait for them. All else belongs to who holds
// `busy`: the client thread, but while it sleeps. Callers only ever try to take it, so they may
// hold whatever they like.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_CLIENT_STATE_H
#define SL_WIRE_CLIENT_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/wire/bus_client.h"
#include "common/wire/link.h"

#define SL_CLIENT_SUBSCRIPTIONS 16
#define SL_CLIENT_TIMERS        8

// A command on its way. Owned by the inbox, then by the client thread, then by its delivery.
struct call {
    struct call *next;      // in the inbox, or among calls in flight
    struct call *prev;      // among calls in flight
    char id[SL_ID_SIZE];    // command id
    char service[64];       //
    struct sl_buf envelope; // packed
    int64_t start_ms;       // when it was given to us (sl_mono_ms)
    int64_t end_ms;         // its deadline
    int64_t retry_ms;       // not sent before; while bus is -1
    int64_t refused_ms;     // first "no worker"; 0: none
    int bus;                // that holds it; -1: none
    unsigned tried;         // bits of buses that refused it
    unsigned lost;          // how often a worker died under it
    bool is_direct;         // its callback runs on the client thread even with own_dispatch
    bool is_rejected;       // more in flight than credits: to be answered UNAVAILABLE
    sl_reply_fn *fn;        //
    void *arg;              //
};

// Something that a callback is to be told, waiting for sl_bus_client_dispatch().
struct delivery {
    struct delivery *next; //
    sl_reply_fn *reply_fn; // a reply: its callback
    sl_event_fn *event_fn; // an event: its callback
    void *arg;             //
    struct sl_error error; // a reply that failed here (is_error)
    bool is_error;         //
    bool is_event;         //
    size_t topic_len;      // of an event
    size_t len;            // bytes[] without the topic
    char bytes[];          // topic, then reply or body
};

struct subscription {
    char prefix[128];  //
    size_t prefix_len; //
    sl_event_fn *fn;   // NULL: slot is free
    void *arg;         //
    bool is_new;       // the sockets do not have it yet
};

struct timer {
    sl_timer_fn *fn; // NULL: slot is free
    void *arg;       //
};

// Another's work on the client thread (sl_bus_attach).
struct attachment {
    int fd;         //
    sl_turn_fn *fn; // NULL: none
    void *arg;      //
};

struct client_bus {
    struct sl_link commands; //
    struct sl_link events;   //
    size_t held;             // commands that this bus has and has not answered
    bool has_events;         // `events` is open
    int64_t announce_ms;     // when followers are told that they may have missed events; 0: not
};

struct sl_bus_client {
    const struct sl_peer *peer; //
    size_t credits;             //
    bool own_dispatch;          //
    void *context;              // ZeroMQ's
    bool owns_context;          //
    pthread_t thread;           //
    int wake_fd;                // eventfd: the inbox or the subscriptions changed
    int ready_fd;               // eventfd: deliveries wait

    pthread_mutex_t busy;                                       //
    pthread_mutex_t lock;                                       //
    struct call *inbox_first, *inbox_last;                      // lock
    struct subscription subscriptions[SL_CLIENT_SUBSCRIPTIONS]; // lock
    struct delivery *deliveries_first, *deliveries_last;        // lock
    size_t events_waiting;                                      // lock; among the deliveries
    bool is_stopping;                                           // lock
    const void *forget;                                         // lock; for the client thread
    pthread_cond_t forgotten;                                   // lock
    struct attachment attached;                                 // lock; what is attached

    pthread_mutex_t running;               // recursive
    struct timer timers[SL_CLIENT_TIMERS]; // running

    atomic_size_t in_flight; // accepted and not answered
    atomic_size_t live;      // buses that answer

    struct client_bus buses[SL_BUSES_MAX]; //
    struct call *calls;                    // in flight
    void *calls_by_id;                     // zhashx: id → call
    size_t turn;                           // bus that had the last command
    struct sl_arena *arena;                // of the reply being delivered
    bool has_more;                         // the attached function is to run again at once
    int64_t now_ms;                        // of this round of the loop
    int64_t scan_ms;                       // when deadlines are looked at next
};

// bus_client.c: makes the client thread look at what callers left.
void client_wake(struct sl_bus_client *client);

// Where a peer's first command goes, an index of its buses: to one on this host, if any speaks by a
// unix socket, which costs less than tcp; else to any. Its name says which, so that a fleet uses
// all.
size_t client_first_bus(const struct sl_peer *peer);

// client_calls.c: sends a call on its caller's thread if that is the client's, or the client's
// sleeps, and nothing else stands in the way; false: nothing happened to it.
bool client_send_at_once(struct sl_bus_client *client, struct call *call);
// Takes what callers left in the inbox.
void client_take_inbox(struct sl_bus_client *client);
// A message on the command link of bus `index`; the link broke or came back.
void client_on_message(struct sl_bus_client *client, size_t index, struct sl_link_message *message);
void client_on_link_change(struct sl_bus_client *client, size_t index);
// Sends what waits for another try; answers what nobody waits for.
void client_scan_calls(struct sl_bus_client *client);
// Answers every call UNAVAILABLE.
void client_end_calls(struct sl_bus_client *client);

// client_events.c: opens and subscribes; delivers what came; announces reconnects.
void client_update_subscriptions(struct sl_bus_client *client);
void client_on_event(struct sl_bus_client *client, struct sl_link_message *message);
void client_announce(struct sl_bus_client *client, size_t index);

// client_delivery.c: hands a reply or an event to its callback, here or by way of dispatch.
// Frees the call.
void client_deliver_reply(struct sl_bus_client *client, struct call *call, struct sl_str reply);
void client_deliver_error(struct sl_bus_client *client, struct call *call, enum sl_code code,
                          const char *why);
void client_deliver_event(struct sl_bus_client *client, const struct subscription *to,
                          struct sl_str topic, struct sl_str body);
void client_free_call(struct call *call);

#endif
