// fleet.h - the workers that a bus knows: what they offer, what they hold, who is least loaded.
//
// Pure bookkeeping: no sockets, the caller passes the time. One thread owns it.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_FLEET_H
#define SL_BUS_FLEET_H

#include "services/bus/peers.h"

#define FLEET_DEAD_MS     2000 // a worker silent for longer is dead
#define FLEET_ROUTING_LEN 5    // bytes of a routing id that ZeroMQ chose

struct fleet;

struct fleet_worker {
    char routing[FLEET_ROUTING_LEN]; // of its connection
    char peer[PEER_NAME_MAX];        // who it is
    struct role role;                // when it last spoke
    int64_t seen_ms;                 // last message
    int64_t offer_version;           // of its current offer; 0: none yet
    int64_t credits;                 // commands that it takes from this bus at once
    int64_t elsewhere;               // commands that it holds from other buses
    int64_t outstanding;             // commands that it holds from this bus
    int64_t width;                   // commands that it runs at a time; 0: an older build, unknown
    bool takes_joined;               // it reads joined messages (joined.h)
    uint64_t picked;                 // which of the fleet's picks was its last; 0: none
    struct fleet_service **services; // what it offers; owned by the fleet
    size_t service_count;            //
};

// An empty fleet; NULL when memory is out.
struct fleet *fleet_new(void);

// Frees it with its workers. Empties the pointer.
void fleet_free(struct fleet **fleet);

// The worker of a connection, made when it is new; NULL when memory is out.
struct fleet_worker *fleet_get(struct fleet *fleet, const char routing[FLEET_ROUTING_LEN],
                               const char *peer);
struct fleet_worker *fleet_find(struct fleet *fleet, const char routing[FLEET_ROUTING_LEN]);

// Forgets a worker.
void fleet_drop(struct fleet *fleet, struct fleet_worker *worker);

// Replaces what a worker offers: names separated by blanks. Answers how many its role forbids;
// those are left out.
size_t fleet_offer(struct fleet *fleet, struct fleet_worker *worker, int64_t version,
                   struct sl_str services);

// What a worker says of itself.
struct fleet_beat {
    int64_t credits; // commands that it takes from this bus at once
    int64_t load;    // commands that it holds from all buses
    int64_t width;   // commands that it runs at a time; 0: unknown
    bool is_joiner;  // it reads joined messages (joined.h)
};

// Notes a heartbeat.
void fleet_beat(struct fleet_worker *worker, const struct fleet_beat *beat, int64_t now_ms);

// The live worker of a service that gets the next command: of those that would begin with it at
// once the one picked last, for it is awake and its memory warm; if none would, the least loaded
// that has credit. NULL: none; *ret_offered then says whether a live one exists.
struct fleet_worker *fleet_pick(struct fleet *fleet, struct sl_str service, int64_t now_ms,
                                bool *ret_offered);

// The workers one after the other: NULL starts, NULL ends. The one answered last may be dropped.
struct fleet_worker *fleet_next(struct fleet *fleet, bool from_start);
size_t fleet_count(const struct fleet *fleet);

// The name of a worker's service `index`.
const char *fleet_service_name(const struct fleet_worker *worker, size_t index);

#endif
