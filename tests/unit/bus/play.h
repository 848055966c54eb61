// play.h - the scene of the bus tests: buses, a worker that echoes, a front.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_UNIT_BUS_PLAY_H
#define SL_TESTS_UNIT_BUS_PLAY_H

#include "tests/lib/stage.h"
#include "tests/unit/test.h"

// What the handlers and the test share.
struct play {
    struct stage *stage;
    struct sl_worker *worker;
    struct sl_bus_client *client;
    struct sl_arena *arena;
    atomic_int handled;
    atomic_bool is_blocked; // "block" waits while it is set
    atomic_bool has_started;
    atomic_ullong token;
};

extern struct play play;

#define PLAY_HANDLERS 4
extern const struct sl_handler play_handlers[PLAY_HANDLERS];

// Sleeps.
void play_pause(int64_t ms);

// A worker of the handlers "block", "defer", "echo" and "fail"; a client.
struct sl_worker *play_worker(const struct sl_peer *peer, const char *service, size_t threads,
                              size_t credits);
struct sl_bus_client *play_client(const struct sl_peer *peer, bool own_dispatch);

// Sets the scene; the worker offers `registry` as far as its role lets it. Clears it.
void play_begin(size_t buses, const char *worker_role, size_t threads, size_t credits);
void play_end(void);

// A command to `registry` with a deadline for hangs; the same sent by the front, its reply awaited.
struct sl_command play_command(const char *name);
int play_request(struct sl_bus_client *client, const char *name, struct sl_reply *ret_reply,
                 struct sl_error *err);

#define PLAY_MANY 200

// Counts answers: each slot must be answered once.
struct play_tally {
    atomic_int answers[PLAY_MANY];
    atomic_int good;
    atomic_int all;
};

struct play_slot {
    struct play_tally *tally;
    int index;
};

// Sends the front's commands of so many slots; waits until so many answers were counted.
void play_send_many(struct play_tally *tally, struct play_slot *slots, const char *name, int from,
                    int to);
void play_wait_for_answers(struct play_tally *tally, int count);

#endif
