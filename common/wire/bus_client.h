// bus_client.h - sending commands and following events, over all buses at once.
//
// A client owns one thread that owns its sockets. A command goes to one live bus; when that bus
// dies, or no worker of it answers in time, the same command (same id) goes to another until the
// deadline. Callbacks run exactly once a command. They run on the client's thread, or, with
// `own_dispatch`, inside sl_bus_client_dispatch() on the thread that calls it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_BUS_CLIENT_H
#define SL_WIRE_BUS_CLIENT_H

#include "common/wire/message.h"
#include "common/wire/peer.h"

struct sl_bus_client;

struct sl_bus_client_options {
    const struct sl_peer *peer; // borrowed until the client is freed
    size_t credits;             // commands in flight at once; 0: 1024. Beyond: UNAVAILABLE at once
    bool own_dispatch;          // callbacks only inside sl_bus_client_dispatch()
    struct sl_bus_client *beside; // shares its I/O thread, and is freed before it; NULL: its own
};

// `reply` is borrowed for the call. A deadline that passed, no credit, no bus: an error reply with
// SL_E_UNAVAILABLE or SL_E_DEADLINE.
typedef void sl_reply_fn(void *arg, const struct sl_reply *reply);

// An event of a subscribed topic; `topic` and `body` are borrowed for the call. With topic.len == 0
// the subscription was (re)established on some bus and events may have been missed.
typedef void sl_event_fn(void *arg, struct sl_str topic, struct sl_str body);

// Starts the client. NULL with *err filled.
struct sl_bus_client *sl_bus_client_new(const struct sl_bus_client_options *options,
                                        struct sl_error *err);

// Stops the thread; commands in flight are answered UNAVAILABLE first. No event is delivered from
// here on: who subscribed may have been freed. Empties the pointer.
void sl_bus_client_free(struct sl_bus_client **client);

// Sends a command (copied). Thread-safe, never blocks. `fn` is called exactly once, also when this
// fails to send. Without an id (NULL or "") the command gets a fresh one.
void sl_bus_call(struct sl_bus_client *client, const struct sl_command *command, sl_reply_fn *fn,
                 void *arg);

// Sends and waits. *ret_reply's memory comes from `arena`. -1 only when the reply is an error, with
// *err filled from it. Not for use inside callbacks.
int sl_bus_request(struct sl_bus_client *client, const struct sl_command *command,
                   struct sl_arena *arena, struct sl_reply *ret_reply,
                   struct sl_error *err) SL_MUST_CHECK;

// Follows every topic that begins with `prefix`. At most 16 subscriptions a client; call before
// events matter, from any thread.
int sl_bus_subscribe(struct sl_bus_client *client, const char *prefix, sl_event_fn *fn, void *arg,
                     struct sl_error *err) SL_MUST_CHECK;

// Runs `fn` on the client thread about every 10 ms until it is forgotten. Not with own_dispatch:
// its owner has a loop. At most 8 a client.
typedef void sl_timer_fn(void *arg);
void sl_bus_every(struct sl_bus_client *client, sl_timer_fn *fn, void *arg);
bool sl_bus_owns_dispatch(const struct sl_bus_client *client);

// Has the client's thread look after `fd`, too: it runs `fn` when that is readable, after replies
// were delivered, after sl_bus_wake(), and at times for nothing; a last time when calls in flight
// were ended. Where `fn` answers true it has more to do, and the thread does not sleep. One a
// client, until the client is freed.
typedef bool sl_turn_fn(void *arg);
void sl_bus_attach(struct sl_bus_client *client, int fd, sl_turn_fn *fn, void *arg);

// Has the attached function run soon; from any thread, that function included.
void sl_bus_wake(struct sl_bus_client *client);

// Afterwards no callback that was given `arg` runs any more: subscriptions and timers with it end,
// replies to its calls are dropped. Waits for a callback that runs on another thread.
void sl_bus_forget(struct sl_bus_client *client, const void *arg);

// How many buses answer heartbeats now.
size_t sl_bus_client_live(const struct sl_bus_client *client);

// With own_dispatch: a descriptor that is readable while callbacks wait, and the function that runs
// them.
int sl_bus_client_fd(const struct sl_bus_client *client);
void sl_bus_client_dispatch(struct sl_bus_client *client);

#endif
