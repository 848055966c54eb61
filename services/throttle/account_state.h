// account_state.h - what account*.c share: keys, windows, holds, nodes.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_THROTTLE_ACCOUNT_STATE_H
#define SL_THROTTLE_ACCOUNT_STATE_H

#include <czmq.h>

#include "common/runtime/counter.h"
#include "services/throttle/account.h"

// What one node holds of a key in one window.
struct hold {
    uint32_t node;       // index in its gateway
    uint32_t seq;        // of the last message; 0: none was sent to this incarnation
    uint32_t acked;      // of the last message that the node reported to have applied
    bool told_exhausted; // the node knows that there is nothing
    int64_t sent;        // units that messages not yet acknowledged may allow
    int64_t allowed;     // units that the node reported to be allowed
    int64_t used;        // units that it reported to have spent
    int64_t report;      // number of the request that said so
    int64_t want;        // requests that wait for a unit, or wait no longer but would take one
    int64_t want_ms;     // when that was last said
    int64_t promised;    // units granted for requests that wait
    int64_t promised_ms; // when
    int64_t recalled_ms; // when units were last asked back; 0: not, or answered
};

struct span {
    uint32_t window;   // its number; 0: none
    int64_t lost;      // units that nodes held in memories which are gone
    int64_t ceiling;   // long windows: units that may be granted, durably
    int64_t target;    // what it is to become
    int64_t inherited; // units that former owners may have granted
    bool is_known;     // that is known
    uint32_t hold_count;
    struct hold *holds; // of the nodes that ever asked, few of many
};

// A node's recent demand of a key.
struct flow {
    uint32_t node;   // index in its gateway
    double rate;     // units a second
    int64_t pending; // units since `at_ms`
    int64_t at_ms;   // when `rate` was computed
};

// A queue that keys wait in; a key leaves it at once, wherever it stands.
enum queue {
    QUEUE_DIRTY,   // some node has to be told something
    QUEUE_HUNGRY,  // some node wants units and has not got them
    QUEUE_RISING,  // a ceiling is to be written or learnt
    QUEUE_CHANGED, // usage changed since the last flush
    QUEUES
};

struct key {
    struct gateway *gateway;               //
    uint32_t shard;                        //
    uint32_t place;                        // in its shard's list
    uint32_t window_s;                     //
    int64_t lead_ms;                       // its windows begin so much before aligned ones
    int64_t limit;                         // by the newest revision
    int64_t revision;                      // of that image
    int64_t seen_ms;                       // last report
    int64_t first_s;                       // of a first call: seconds since the epoch; 0 not known
    void *queued[QUEUES];                  // where it waits; NULL: it does not
    uint64_t dirty;                        // bit a node: has something to be told
    struct span spans[SL_COUNTER_WINDOWS]; // by window number modulo 4
    uint32_t flow_count;                   //
    struct flow *flows;                    // of the nodes that ever asked
    const char *text;                      // without the gateway: the rest of `name`
    char name[];                           // "<gateway>/<key>"
};

// The number of the key's window at a time, and a window's first millisecond.
static inline uint32_t
account_window(const struct key *key, int64_t clock_ms)
{
    return sl_counter_window(clock_ms + key->lead_ms, key->window_s);
}
static inline int64_t
account_window_start(const struct key *key, uint32_t window)
{
    return sl_counter_window_start(window, key->window_s) - key->lead_ms;
}

struct node {
    char id[SL_ID_SIZE];            //
    uint64_t member;                // its number in the division of shares
    bool is_present;                // in the gateway's set
    bool leaves;                    // it is about to stop and wants nothing
    int64_t incarnation;            // of the agent; grows
    char boot[SL_ID_SIZE];          // of the node's memory; "" not heard yet
    int64_t heard_ms;               // last request; INT64_MIN/2 never
    int64_t membership;             // that its image has
    int64_t members;                // size of that list
    int64_t divides;                // nodes that it says it divides by; 0: no share
    int64_t lost_ms;                // when a memory of it was lost; 0: none that we know of
    int64_t lost_divides;           // fewest nodes that a lost memory divided by; 0: not known
    int64_t alone_ms[SL_SHARDS];    // `confirmed` of lost memories, by shard
    struct account_contact durable; // the database's row; until_ms 0: none
    bool wants_contact;             // a grant waits for the row
    int64_t confirmed[SL_SHARDS];   // clock up to which it knew of contact, by shard
    int64_t reported[SL_SHARDS];    // epoch in which it reported in full
    int64_t covering[SL_SHARDS];    // `confirmed` as of the ceilings that are being written
    int64_t covered[SL_SHARDS];     // `confirmed` as of those that are durable
    json_t *outbox;                 // array of key messages to send
};

struct gateway {
    char id[SL_ID_SIZE]; //
    size_t node_count;   // indices are never reused
    struct node *nodes[ACCOUNT_NODES_MAX];
    uint64_t members[ACCOUNT_NODES_MAX]; // of present nodes, in order of id
    size_t present;                      // how many
};

struct shard {
    int64_t epoch;         // 0: not ours
    int64_t clean_from_ms; // windows that start here or later were granted by nobody else
    zhashx_t *by_name;     // its keys; few a table, so that none is long about its growth
    struct key **keys;     // the same, in no order
    uint32_t key_count;    //
    uint32_t key_room;     // how many `keys` has room for
};

struct account {
    char owner[128];            //
    struct account_hooks hooks; //
    struct shard shards[SL_SHARDS];
    uint32_t owned;           // shards that are ours
    zhashx_t *gateways;       // id → struct gateway
    zlistx_t *queues[QUEUES]; // of keys
    int64_t served_ms;        // when unmet wants were last looked at
    int64_t swept_ms;         // when idle keys were last looked for
    uint32_t swept_shard;     // where to look next
    bool is_covering;         // the ceilings being written are all that there are to write
    bool may_grant;           // the lease holds, for the message in hand
};

// -- account_node.c

// The gateway, or NULL.
struct gateway *account_find_gateway(struct account *account, const char *id);
// The node's index, or -1.
int account_find_node(const struct gateway *gateway, const char *id);
// The units that the node may divide off by itself in the window, without asking.
int64_t account_own_share(const struct key *key, const struct node *node, uint32_t window);
// The share that a lost memory of the node may have spent in the window.
int64_t account_lost_share(const struct key *key, const struct node *node, uint32_t window);
// Whether the node may hold units that were granted by others than this process and that it has
// not reported.
bool account_is_unknown(const struct account *account, const struct key *key,
                        const struct node *node, uint32_t window);
// Takes over what a request says of its sender; false when it is of an older incarnation.
bool account_hear(struct account *account, struct gateway *gateway, int index,
                  const json_t *request, int64_t now_ms);
// The membership that the node may divide by, 0 when not yet.
int64_t account_may_divide(const struct gateway *gateway, const struct node *node);

// -- account_ceiling.c

// Units that may still be granted of the window as far as its ceiling goes (always many for short
// windows); asks for a higher one in time. `has_unknown`: some node may hold what it has not
// reported. *ret_known: false while what former owners granted has to be learnt first.
int64_t account_room(struct account *account, struct key *key, struct span *span, bool has_unknown,
                     bool *ret_known);
// What former owners may have granted to nodes that cannot tell; 0 for short windows.
int64_t account_inherited(const struct key *key, const struct span *span);
// Asks for ceilings that cover what nodes report to hold.
void account_cover(struct account *account, struct key *key, int64_t now_ms);

// -- account_first.c

// Whether the key asks when an app called first: nothing is counted by it.
bool account_is_first(const struct key *key);
// A node reported it: has the time learnt, or tells it.
void account_ask_first(struct account *account, struct key *key, int node);
// Says that the time is wanted.
void account_want_first(const struct key *key,
                        void (*fn)(void *arg, const struct account_ceiling *wanted), void *arg);
// What was learnt: tells all that asked. 0: nothing; who asks again has it asked for again.
void account_learn_first(struct account *account, struct key *key, int64_t first_s);
// The seconds of the key's window that passed before that time, as nodes are told; 0 not known.
int64_t account_first_passed(const struct key *key);

// -- account_table.c

// Makes what keys are found in; frees it, when no key is left.
void account_table_open(struct account *account);
void account_table_close(struct account *account);
// The key, or NULL.
struct key *account_find_key(struct account *account, struct gateway *gateway, const char *text);
// The next of all keys, in no order; NULL: the first, and after the last.
struct key *account_key_after(const struct account *account, const struct key *key);
// Finds or makes it; NULL when memory is out or the key is not ours.
struct key *account_get_key(struct account *account, struct gateway *gateway, const char *text,
                            uint32_t window_s);
// Forgets the shard's keys of which `is_over` is true, all of them when it is NULL.
void account_drop_keys(struct account *account, uint32_t shard,
                       bool (*is_over)(const struct key *key, int64_t argument), int64_t argument);
// The key's span of a window, made when it is newer than what has its place; NULL when older.
struct span *account_span(struct key *key, uint32_t window);
// What the node holds of the span; zeroed when it is new. Moves the span's other holds then.
struct hold *account_hold(struct span *span, int node);
// The same, or NULL when the node has none.
struct hold *account_find_hold(const struct span *span, int node);
// The node's recent demand; zeroed when it is new. Moves the key's other flows then.
struct flow *account_flow(struct key *key, int node);
// Puts the key into the queue, behind the others, unless it waits there.
void account_queue(struct account *account, struct key *key, enum queue queue);
// Takes the first key out of the queue; NULL when there is none.
struct key *account_next(struct account *account, enum queue queue);

// -- account_key.c

// Units that the node counts for in the window.
int64_t account_held(const struct hold *hold);
// Serves the wants of a key's windows: grants, recalls, tells what is exhausted.
void account_serve(struct account *account, struct key *key, int64_t now_ms);
// Counts demand of a node: units spent and units missed.
void account_demand(struct key *key, int node, int64_t units, int64_t now_ms);
// Grants ahead of demand: what `node` will need of this window and the next ones.
void account_provide(struct account *account, struct key *key, int node, int64_t now_ms);
// Marks that the node is to be told of the key.
void account_mark(struct account *account, struct key *key, int node);
// Moves what is marked into the nodes' outboxes.
void account_collect(struct account *account);

#endif
