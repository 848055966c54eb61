// account.h - who may spend how many units of which limit in which window: the protocol's heart.
//
// Pure state: no sockets, no database, no clock of its own. Time comes in as the accounting clock
// (milliseconds since the Unix epoch); messages come in and go out as JSON values (their wire form
// is proto/runtime.md, Limits); what must be durable first is named by account_contacts(). The
// invariant: for every key and window, the units that nodes may spend, as far as they cannot be
// excluded, never exceed the limit. README.md argues it.
//
// Not thread-safe: the worker guards it with one mutex.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_THROTTLE_ACCOUNT_H
#define SL_THROTTLE_ACCOUNT_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/limits.h"

#define ACCOUNT_NODES_MAX  64    // nodes of one gateway
#define ACCOUNT_AHEAD_MS   2000  // no window is granted that starts later than this from now
#define ACCOUNT_CONTACT_MS 60000 // how long a contact row lets an owner grant to a node
#define ACCOUNT_HEARD_MS   1500  // a node silent for longer is not asked for units
#define ACCOUNT_CLOCKS_MS  1000  // owners' clocks differ by less

#define ACCOUNT_LONG_S 60   // windows of so many seconds and more have durable ceilings
#define ACCOUNT_LEARN  (-1) // as a ceiling that is wanted: only to be learnt
#define ACCOUNT_FIRST  (-2) // the time of a first call, which is now when there was none

struct account;

// What is durable about a node; the worker keeps it in PostgreSQL (throttle_contact).
struct account_contact {
    char boot[SL_ID_SIZE]; // memory of the node that the row speaks of
    int64_t until_ms;      // owners may grant to the node until then
    int64_t lost_until_ms; // an earlier memory may have been granted units until then, when the
                           // next one had spoken; 0: there was none
    int64_t divides;       // nodes that it may divide limits among; 0: it has no share; -1 in what
                           // is wanted: as the row has it
    int64_t lost_divides;  // the fewest that an earlier memory may have divided among; 0: not known
    const int64_t *vouched; // in what is wanted: by shard, a time before which windows began of
                            // which it took no share that no ceiling covers; borrowed
};

// How many units of a window may have been granted, by whomever: what the row of a key says, or is
// to say before more are granted (throttle_usage).
struct account_ceiling {
    const char *gateway_id; // borrowed
    const char *key;        //
    uint32_t window_s;      // seconds
    uint32_t window;        // its number; 0 in a row: there is none
    int64_t limit;          //
    int64_t ceiling;        // units; ACCOUNT_LEARN or _FIRST in what is wanted; in the row of a
                            // first call its second since the Unix epoch, 0: not known
};

struct account_hooks {
    // Sends an event to node/<id>; `body` is borrowed.
    void (*publish)(void *arg, const char *node_id, json_t *body);
    void *arg;
};

// A key's usage of one window, for the flush.
struct account_usage {
    const char *gateway_id; // borrowed
    const char *key;        //
    uint32_t window;        // its number
    uint32_t window_s;      // seconds
    int64_t used;           // units, as far as reported
    int64_t limit;          //
};

// `owner` names this process to nodes. NULL when memory is out.
struct account *account_new(const char *owner, const struct account_hooks *hooks);

// Frees everything, empties the pointer.
void account_free(struct account **account);

// The shard is this process's from here on. Windows that start before `clean_from_ms` may have been
// granted by a former owner: of them nothing is granted before every node has reported in this
// epoch. INT64_MIN: there never was one.
void account_own(struct account *account, uint32_t shard, int64_t epoch, int64_t clean_from_ms);

// The shard is not this process's any more; what was known of its keys is forgotten.
void account_disown(struct account *account, uint32_t shard);

// How many shards it owns.
uint32_t account_owned(const struct account *account);

// The epoch of a shard; 0: not owned.
int64_t account_epoch(const struct account *account, uint32_t shard);

// Tells all nodes which shards are owned here, so that they report at once.
void account_announce(struct account *account, int64_t now_ms);

// The gateway's nodes, all of them. -1 with *err filled when there are too many.
int account_nodes(struct account *account, const char *gateway_id, const char *const *node_ids,
                  size_t count, struct sl_error *err) SL_MUST_CHECK;

// The gateway of a node, or NULL; borrowed until the account ends.
const char *account_gateway_of(const struct account *account, const char *node_id);

// What the database says of a node; unknown nodes are ignored.
void account_contact(struct account *account, const char *gateway_id, const char *node_id,
                     const struct account_contact *contact);

// Calls `fn` with the rows to write: nodes in contact whose row ends soon, is of another memory, or
// does not let them divide yet; with `all`, every node in contact. The caller writes and then calls
// account_contact().
void account_contacts(struct account *account, int64_t now_ms, bool all,
                      void (*fn)(void *arg, const char *gateway_id, const char *node_id,
                                 const struct account_contact *wanted),
                      void *arg);

// Whether account_contacts() has something that a waiting node needs.
bool account_contacts_urgent(const struct account *account);

// What the database says that the memory `boot` of a node vouched for, and memories lost before it
// (`alone`), by shard; NULL: nothing is known. To be called after account_contact().
void account_vouched(struct account *account, const char *gateway_id, const char *node_id,
                     const char *boot, const int64_t *vouched, const int64_t *alone);

// Calls `fn` with up to `max` ceilings to write or to learn, each key once. The caller does so,
// calls account_ceiling() for each, then account_ceilings_written(); when it fails, neither.
void account_ceilings(struct account *account, size_t max,
                      void (*fn)(void *arg, const struct account_ceiling *wanted), void *arg);

// Whether account_ceilings() has something that nodes wait for.
bool account_ceilings_wanted(const struct account *account);

// All of the last account_ceilings() is durable.
void account_ceilings_written(struct account *account);

// Whether the lease holds: without it nothing is granted. To be said before each of the next three.
void account_lease(struct account *account, bool may_grant);

// The row of the key that was asked about; grants what that allows. Events wait for the next tick.
void account_ceiling(struct account *account, const struct account_ceiling *asked,
                     const struct account_ceiling *row, int64_t now_ms);

// Handles `limits.exchange` of a node. A new reference, or NULL with *err filled (BUS_MESSAGE:
// malformed). Events for other nodes are published meanwhile.
json_t *account_exchange(struct account *account, const char *gateway_id, const char *node_id,
                         const json_t *request, int64_t now_ms, struct sl_error *err);

// Runs timers: recalls that were not answered, nodes that fell silent, keys that are over.
void account_tick(struct account *account, int64_t now_ms);

// Calls `fn` for up to `max` keys with windows of at least a minute that changed since the last
// call.
void account_usages(struct account *account, size_t max,
                    void (*fn)(void *arg, const struct account_usage *usage), void *arg);

#endif
