// world.h - owners and nodes in one process, with a clock and a network that the test owns.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_THROTTLE_WORLD_H
#define SL_TESTS_THROTTLE_WORLD_H

#include "tests/unit/test.h"

#include "services/node/grants.h"
#include "services/throttle/account.h"

#define GATEWAY  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define POLICY   "0123456789abcdef0123456789abcdef"
#define NODES    4
#define OWNERS   2
#define KEYS     2
#define LETTERS  4096
#define WAITING  256
#define WINDOWS  64
#define WAIT_MS  20
#define LEASE_MS 1500
#define RENEW_MS 300

struct world;

// A message under way.
struct letter {
    int64_t at_ms; // 0: free; else when it arrives
    int owner;     // sender or receiver
    int node;      // the other one
    int life;      // of the owner that it belongs to
    enum {
        TO_OWNER,
        TO_NODE,
        EVENT,
        WRITE_ROW,
        WRITE_CEILING,
    } kind;
    uint64_t token;  // of the request
    int sender_life; // of the agent that asked
    json_t *body;    // NULL to a node: the request failed
    struct account_contact row;
    int key;                       // of the ceilings
    struct account_ceiling asked;  // what was to be written or learnt
    struct account_ceiling answer; // the row afterwards
    bool is_last;                  // of those asked for together
};

// What the database holds of a node.
struct sim_row {
    struct account_contact contact;
    int64_t vouched[SL_SHARDS]; //
    int64_t alone[SL_SHARDS];   // INT64_MAX: no memory was lost
};

struct sim_node {
    struct world *world;
    int index;
    char id[SL_ID_SIZE];
    char name[64];
    struct sl_counters *counters;
    struct grants *grants;
    int64_t incarnation; // of the agent in this memory
    int life;            // of the agent in this world: to whom letters go
    int64_t divides;     // what its state file says
    int64_t skew_ms;     // of its monotonic clock
    bool is_cut;         // nothing reaches it or leaves it
    struct {
        int64_t until_ms;
        int key;
        bool asks_first; // when its app called first
    } waiting[WAITING];
    int load[KEYS]; // offered requests a second
};

struct sim_owner {
    struct world *world;
    int index;
    int life;                // grows with every start
    struct account *account; // NULL: dead
    bool may_grant;
    int writing;      // ceilings that are under way
    int64_t awake_ms; // when it looks at the table after it was stopped; 0: it need not
    bool is_stopped;  // SIGSTOP: it does nothing, and letters wait
    bool is_buried;   // others took it for dead and have its shards: it does not know
};

struct world {
    uint64_t revision;  // of the image that the limits are from
    int64_t membership; // of the list of nodes
    unsigned seed;
    int64_t now_ms;
    int node_count;
    int owner_count;
    int loss, duplicates; // per thousand messages
    int slow_ms;          // longest delay
    int stray;            // per thousand messages: those that take up to a quarter of a second
    bool is_deaf;         // events are lost, requests and their answers are not
    int64_t limit[KEYS];
    uint32_t window_s[KEYS];
    uint32_t lead_s[KEYS]; // of a quota's windows; else 0
    uint32_t first[KEYS];  // not 0: they begin with the first call, which this number asks for
    struct sl_counter_key first_keys[KEYS]; // by it
    int64_t began_s[KEYS];                  // in the database: that call; 0 none
    int firsts_told;                        // how often a request learnt of it
    struct sl_counter_key keys[KEYS];
    struct sim_node nodes[NODES];
    struct sim_owner owners[OWNERS];
    int shard_owner[SL_SHARDS];
    int64_t shard_epoch;
    int64_t takeover_ms;                   // when orphaned shards get an owner; 0 none
    struct sim_row rows[NODES];            // the database
    struct account_ceiling ceilings[KEYS]; //
    int ceiling_writes;                    // rows written or learnt
    struct letter letters[LETTERS];
    size_t letters_top;                // those from here on are free
    int64_t exchanges, exchanged_keys; // that owners answered
    int64_t events;                    // that they sent
    int64_t owner_ns;                  // CPU time of their answers
    int64_t admitted[KEYS][WINDOWS];   // by window less the first one
    int64_t offered[KEYS][WINDOWS];
    int64_t refused[KEYS]; // in all windows
    uint32_t first_window[KEYS];
};

// A number from 0 to sides - 1.
uint32_t dice(struct world *world, uint32_t sides);

// Whether something happens that does `per_thousand` times in a thousand.
bool chance(struct world *world, int per_thousand);

// Sends a letter, whose body it takes; the world's faults decide whether and when it arrives.
void world_post(struct world *world, struct letter letter);

// Writes what an owner wants of a node into its row.
void world_write_row(struct sim_row *row, const struct account_contact *wanted, int64_t now_ms);

// Makes the key a quota's whose windows begin with the first call.
void world_await_first(struct world *world, int key, uint32_t window_s, int64_t limit);

// The database's answer to who asks for a first call; -1 is no such key's.
int world_write_first(struct world *world, const struct account_ceiling *wanted,
                      int64_t *ret_began_s);

// Asks when the key's windows began; TAKEN: *ret_take is a unit of the window to take.
enum sl_counter_answer world_find_lead(struct sim_node *node, int key, bool again,
                                       struct sl_counter_key *ret_key,
                                       struct sl_counter_take *ret_take);

// Whether the letter is the database's answer, which is late but never lost.
bool world_is_database(const struct letter *letter);

// A world in which everything works: nodes, owners, two keys with random limits and loads.
struct world *open_world(unsigned seed, int nodes, int owners);
// The same at a time of the caller's choice.
struct world *open_world_at(unsigned seed, int nodes, int owners, int64_t now_ms);
void close_world(struct world *world);

// For world_faults.c: starts an owner without shards; tells one what the database holds of nodes;
// starts and ends a node's agent.
void world_start_owner(struct sim_owner *owner);
void world_load_rows(struct sim_owner *owner);
void world_start_agent(struct sim_node *node);
void world_stop_agent(struct sim_node *node);

// Lets a millisecond pass.
void step(struct world *world);

// Lets something go wrong, or well again.
void disturb(struct world *world);

// Kills an owner; the others take its shards when its lease is over.
void kill_owner(struct world *world, int index);

// Ends an owner as a clean stop does: the others have its shards at once.
void retire_owner(struct world *world, int index);

// Starts a killed owner again; it takes its part of the shards from the others.
void revive_owner(struct world *world, int index);

// Stops an owner as SIGSTOP does, so that its lease ends; and lets it go on, with all that it
// missed and in the belief to own what it owned, until it looks at the table.
void stop_owner(struct world *world, int index);
void resume_owner(struct world *world, int index);

// An owner loses its session: others have its shards at once, while it goes on granting to nodes
// that have not heard, for as long as its lease may run; the database takes nothing from it any
// more.
void bury_owner(struct world *world, int index);

// The machine of a node forgets what its counters were, and knows only what its state file says.
void lose_memory(struct sim_node *node);

// The first `count` nodes are the gateway's, from here on; the others' agents stand still.
void set_node_count(struct world *world, int count);

// Every process dies at once and every memory is lost; owners and agents start again.
void reboot(struct world *world);

// A request comes to the node: asks, and waits when that may help.
void offer(struct sim_node *node, int key);

// A request asks node for a unit; fails the test when more pass than the limit allows. True: it
// waits.
bool ask(struct sim_node *node, int key, bool again);

#endif
