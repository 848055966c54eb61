// worker.h - the loop of every worker process: register, take commands, reply.
//
// A process has `threads` handler threads. Each command runs on one of them with an arena of its
// own that is freed after the reply. Commands that wait at the same time may share a thread and
// what it waits for (struct sl_together). Workers register their services with every bus, send
// heartbeats, and stop taking work on SIGTERM, finishing what runs.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_WORKER_H
#define SL_WIRE_WORKER_H

#include "common/wire/message.h"
#include "common/wire/peer.h"

struct sl_worker;

// What a handler gets.
struct sl_call {
    struct sl_arena *arena;           // ends after the reply
    const struct sl_command *command; //
    struct sl_worker *worker;         // for events and deferred replies
    void *context;                    // of this thread, from thread_open
    int64_t deadline_mono_ms;         // sl_mono_ms() after which nobody waits for the reply
    uint64_t token;                   // names this call in sl_worker_reply
    bool deferred;                    // set by sl_call_defer
    void *asked;                      // what sl_together.ask left for the handler; else NULL
};

// Fills *reply (body from call->arena) and answers 0, or fills *err and answers -1. After
// sl_call_defer() it answers 0 and someone calls sl_worker_reply() later, once.
typedef int sl_handler_fn(struct sl_call *call, struct sl_reply *reply, struct sl_error *err);

struct sl_handler {
    const char *command;   // "throttle.create"; tables are sorted by it; "*" takes all others
    sl_handler_fn *handle; //
};

// Commands that may go together: a thread takes all that wait, at most SL_TOGETHER, asks for each
// and then has them handled in the order in which they came; their replies leave in one go. So they
// share a round trip of the database. While a thread has some, others leave those that come to it,
// until SL_TOGETHER wait, or one has waited longer than its turn should take.
#define SL_TOGETHER 8
struct sl_together {
    int64_t patience_ms; // that long
    // Whether commands of this name do. Asked of those that "*" takes, by the thread of the
    // sockets.
    bool (*takes)(const char *name);
    // Before any of them is handled: sets out what the handler will wait for, and may leave
    // something in call->asked. -1 with *err: that is the reply, and it is not handled.
    int (*ask)(struct sl_call *call, struct sl_error *err);
    // All are handled. Their arenas end after it.
    void (*end)(void *context);
};

struct sl_worker_options {
    const struct sl_peer *peer;         // borrowed
    const char *const *services;        // offered from the start; may be empty
    size_t service_count;               //
    const struct sl_handler *handlers;  // sorted
    size_t handler_count;               //
    const struct sl_together *together; // borrowed; NULL: each command goes alone
    size_t threads;                     // handler threads, 1..64
    size_t credits;                     // commands taken at once; 0: 32 a thread
    size_t width; // that a bus gives it before another worker; 0: a thread each
    // Opens and closes a thread's context (its database connection). open answers -1 when the
    // thread cannot work yet; the loop tries again with backoff and registers nothing meanwhile.
    int (*thread_open)(void *arg, void **ret_context, struct sl_error *err);
    void (*thread_close)(void *arg, void *context);
    void *arg;
};

// Starts the threads. NULL with *err filled.
struct sl_worker *sl_worker_new(const struct sl_worker_options *options, struct sl_error *err);

// Stops taking commands, waits for those that run, frees. Empties the pointer.
void sl_worker_free(struct sl_worker **worker);

// Waits until SIGTERM or SIGINT arrives (blocked in every thread by sl_worker_new); 0.
int sl_worker_wait(struct sl_worker *worker);

// Offers or withdraws a service while running ("throttle/17"). Any thread.
void sl_worker_offer(struct sl_worker *worker, const char *service);
void sl_worker_withdraw(struct sl_worker *worker, const char *service);

// Broadcasts an event over every bus. May be lost: no correctness rests on it. Any thread.
void sl_worker_publish(struct sl_worker *worker, const char *topic, struct sl_str body);

// Whether every bus of the peer file answered lately. Any thread.
bool sl_worker_has_all_buses(struct sl_worker *worker);

// Takes the duty of replying away from the loop: answers the token for sl_worker_reply. The call's
// arena ends with the handler.
uint64_t sl_call_defer(struct sl_call *call);

// Sends a deferred reply (copied). Any thread, once a token.
void sl_worker_reply(struct sl_worker *worker, uint64_t token, const struct sl_reply *reply);

#endif
