// flight.h - the commands that workers hold: who asked, who works, until when.
//
// A bounded table; a token names a slot and its use, so a late reply finds nothing.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_FLIGHT_H
#define SL_BUS_FLIGHT_H

#include "common/base/limits.h"
#include "services/bus/fleet.h"

#define FLIGHTS_MAX 65536 // commands in flight on one bus

struct flights;

struct flight {
    char client[FLEET_ROUTING_LEN]; // who asked
    char id[SL_ID_SIZE];            // the command's id
    bool is_joined;                 // the client takes joined messages (joined.h)
    struct fleet_worker *worker;    // who works on it; NULL: slot is free
    int64_t end_ms;                 // when the bus stops waiting (sl_mono_ms)
    uint32_t use;                   // how often the slot was taken
    uint32_t next_free;             // slot; while free
};

// An empty table; NULL when memory is out.
struct flights *flights_new(void);

// Frees it. Empties the pointer.
void flights_free(struct flights **flights);

// Takes a slot for a command of `worker`, whose outstanding count grows. NULL when all are taken.
struct flight *flights_take(struct flights *flights, struct fleet_worker *worker,
                            uint64_t *ret_token);

// The flight of a token that `worker` holds; NULL when there is none.
struct flight *flights_find(struct flights *flights, uint64_t token,
                            const struct fleet_worker *worker);

// Gives the slot back; the worker's outstanding count falls.
void flights_end(struct flights *flights, struct flight *flight);

// Slot by slot from `*position`: the next flight of `worker` (NULL: of any), NULL at the end.
struct flight *flights_next(struct flights *flights, size_t *position,
                            const struct fleet_worker *worker);

// How many commands are in flight.
size_t flights_count(const struct flights *flights);

#endif
