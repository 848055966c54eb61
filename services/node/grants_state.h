// grants_state.h - what grants.c (what comes in) and grants_report.c (what goes out) share.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_GRANTS_STATE_H
#define SL_NODE_GRANTS_STATE_H

#include "services/node/grants.h"

#define GRANTS_NO_OWNER UINT8_MAX // nobody is known to own the shard

// What the agent remembers of a slot beside the counters: 44 bytes, for there may be millions.
struct grants_slot {
    uint32_t seq[SL_COUNTER_WINDOWS];    // last message applied
    uint32_t window[SL_COUNTER_WINDOWS]; // that `seq` is about
    uint32_t want : 30;                  // requests not yet reported
    uint32_t in_flight : 1;              // a report of it is on its way
    uint32_t again : 1;                  // workers asked meanwhile
    uint16_t turn;                       // of the counter that this speaks of
    uint16_t shard_turn;                 // of its shard, for the numbers above
    uint16_t sent_ms;                    // mono, modulo 65,536: last report
    uint16_t wanted_ms;                  // the same: a request last found no unit
};
_Static_assert(sizeof(struct grants_slot) == 44, "no padding");

#define GRANTS_WANT_MAX ((1U << 30) - 1) // largest `want`

struct grants_shard {
    uint8_t owner;      // index, or GRANTS_NO_OWNER
    bool needs_full;    // the owner has to hear everything of it
    uint16_t turn;      // how often its epoch grew, modulo 65,536; never 0 again
    int64_t epoch;      // highest seen; 0 none
    int64_t vouched_ms; // clock: earlier shares of it have all been reported
    int64_t sweep_ms;   // the same, once the sweep in flight has succeeded; 0: not part of it
};

// Slots of shards that an owner has to hear in full.
struct grants_full {
    uint32_t ends[SL_SHARDS]; // where the slots of a shard end in `slots`
    uint32_t slots[];         // UINT32_MAX: none
};

// A sweep under way: first, shard by shard, what has to be heard in full; then what else changed.
struct grants_sweep {
    bool is_open;             // parts are still to be sent
    struct grants_full *full; // what has to be heard in full; NULL: nothing
    uint32_t full_shard;      // shards before have been sent
    uint32_t next_word;       // words of `news` before have been sent
    bool is_heard;            // a part was sent
};

struct grants_owner {
    char id[128];              // "" free
    bool is_up;                // it answered last time
    uint32_t route;            // shard whose service leads to it
    uint32_t shards;           // how many it owns
    int64_t heard_ms;          // mono: last answer
    int64_t beat_ms;           // mono: last heartbeat
    struct grants_sweep sweep; //
    uint32_t sweep_parts;      // requests of the sweep that are out
    uint32_t out;              // requests to it that are out, these among them
    bool is_behind;            // some slots of its wait in `deferred`
    uint32_t next_deferred;    // word of `deferred` to look at next
    bool sweep_failed;         // one of them was lost
    bool has_all;              // the last sweep before the node stops has begun
};

// A request that is out.
struct grants_request {
    uint64_t token;     // 0: free
    uint8_t owner;      // that it went to, or GRANTS_NO_OWNER
    bool is_sweep;      //
    int64_t sent_ms;    // mono
    uint32_t full_from; // shards reported in full: from here…
    uint32_t full_to;   // …up to here, exclusive
    uint32_t count;     // slots reported
    uint32_t *slots;    //
    uint32_t *wants;    // what was said to be wanted, per slot
};

#define GRANTS_REQUESTS 256 // requests out at once
#define GRANTS_OUT      8   // to one owner: what is asked for meanwhile goes with the next
#define GRANTS_PART     400 // keys of one request, give or take a shard

struct grants {
    struct grants_options options;
    char node_id[SL_ID_SIZE];
    struct sl_counters *counters;
    uint32_t slot_count;
    struct grants_slot *slots; // by slot number
    uint64_t *news;            // a bit a slot: it changed since it was last reported
    uint64_t *deferred;        // a bit a slot: workers asked, but its owner is behind
    struct grants_shard shards[SL_SHARDS];
    struct grants_owner owners[GRANTS_OWNERS];
    struct grants_request requests[GRANTS_REQUESTS];
    uint64_t next_token;
    int64_t next_report;  // number of the next request
    int64_t probe_ms;     // mono: last question to an unknown owner
    uint32_t probe_shard; // asked then
    bool clock_is_set;    // some owner told the time
    uint32_t *urgent;     // slots to report at once (recalls)
    size_t urgent_count;  //
    // Who shares.
    uint64_t members[SL_COUNTER_MEMBERS]; // of the image's list
    size_t member_count;                  //
    size_t self;                          // index of this node; member_count: not among them
    int64_t membership;                   // of the image's list
    int64_t divides;                      // nodes that it divides by; 0 none
    bool leaves;                          // the node is about to stop
    bool holds_back;                      // it still divides by an earlier, longer list
};

// -- grants_owner.c

// Whether the owner answers: without one nobody waits for units of its shards.
void grants_set_up(struct grants *grants, uint8_t owner, bool is_up);
// The owner's index, given one when it is new; GRANTS_NO_OWNER when there are too many.
uint8_t grants_get_owner(struct grants *grants, const char *id);
// Moves a shard to an owner; a newer epoch starts its conversation anew, an older one is ignored.
void grants_learn_shard(struct grants *grants, uint32_t number, uint8_t owner, int64_t epoch);
// All shards that the owner says it owns: [[first, last, epoch], …]; NULL: it did not say. Whatever
// else was taken for its own has no known owner from here on.
void grants_learn_shards(struct grants *grants, uint8_t owner, const json_t *runs);
// The owner lacks full reports of these shards: [[first, last], …].
void grants_learn_missing(struct grants *grants, uint8_t owner, const json_t *runs);
// Chooses a service that the bus knows to lead to the owner: of its shards, the one that did so
// before.
void grants_check_route(struct grants *grants, uint8_t owner);

// -- grants_deferred.c

// Workers asked for units of the slot while as many requests are out to its owner as may be.
void grants_defer(struct grants *grants, uint8_t owner, uint32_t slot);
// Reports what waits for the owner, as far as it has room.
void grants_report_deferred(struct grants *grants, uint8_t owner, int64_t mono_ms);

// -- grants_report.c

// Reports slots to the owner: what they used, hold and want.
void grants_report_slots(struct grants *grants, uint8_t owner, const uint32_t *slots, size_t count,
                         int64_t mono_ms);
// Heartbeat: finds out what of the owner's changed, or was never heard; nothing while an earlier
// sweep is under way.
void grants_sweep(struct grants *grants, uint8_t owner, int64_t mono_ms);
// Reports it, a few parts a call.
void grants_sweep_on(struct grants *grants, uint8_t owner, int64_t mono_ms);
// Ends it without sending the rest, which stays news.
void grants_end_sweep(struct grants_owner *owner);
// When all parts were sent and answered, what was shared before the sweep has been reported.
void grants_conclude_sweep(struct grants *grants, uint8_t owner);
// Makes the slot news.
void grants_note(struct grants *grants, uint32_t slot);
// Adds to what the slot wants.
void grants_want(struct grants_slot *mine, uint32_t wants);
// Asks who owns a shard.
void grants_probe(struct grants *grants, uint32_t shard, int64_t mono_ms);
// The request of a token, or NULL.
struct grants_request *grants_find_request(struct grants *grants, uint64_t token);
void grants_end_request(struct grants *grants, struct grants_request *request);
// The slot's memory, made fresh when the counter or the epoch is another; NULL when it is free.
struct grants_slot *grants_slot(struct grants *grants, uint32_t slot,
                                struct sl_counter_state *ret_state);

#endif
