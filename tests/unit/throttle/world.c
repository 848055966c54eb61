// world.c - see world.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/throttle/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/runtime/counter_layout.h"

static int64_t
cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

// -- the network

// Who the bus leads to: the owner, or one that still takes itself for it.
static int
find_server(struct world *world, uint32_t shard)
{
    for (int i = 0; i < world->owner_count; i++) {
        const struct sim_owner *owner = &world->owners[i];
        if (owner->is_buried && owner->account != NULL &&
            account_epoch(owner->account, shard) != 0 && chance(world, 500)) {
            return i;
        }
    }
    return world->shard_owner[shard];
}

static void
send_request(void *arg, uint32_t shard, json_t *body, uint64_t token)
{
    struct sim_node *node = arg;
    struct world *world = node->world;
    int owner = find_server(world, shard);
    struct letter letter = {.owner = owner,
                            .node = node->index,
                            .kind = TO_OWNER,
                            .token = token,
                            .sender_life = node->life,
                            .life = owner >= 0 ? world->owners[owner].life : 0,
                            .body = body};
    world_post(world, letter);
}

static void
publish(void *arg, const char *node_id, json_t *body)
{
    struct sim_owner *owner = arg;
    struct world *world = owner->world;
    world->events++;
    for (int i = 0; i < world->node_count; i++) {
        if (strcmp(world->nodes[i].id, node_id) == 0 && !world->is_deaf) {
            world_post(world, (struct letter){.owner = owner->index,
                                              .node = i,
                                              .kind = EVENT,
                                              .life = owner->life,
                                              .body = json_incref(body)});
        }
    }
}

// As the SQL does: a newer window replaces the older, a ceiling only rises.
static void
write_ceiling(void *arg, const struct account_ceiling *wanted)
{
    struct sim_owner *owner = arg;
    struct world *world = owner->world;
    struct letter letter = {.owner = owner->index, .kind = WRITE_CEILING, .life = owner->life};
    letter.asked = letter.answer = *wanted;
    letter.asked.gateway_id = GATEWAY;
    letter.key = world_write_first(world, wanted, &letter.answer.ceiling);
    if (letter.key >= 0) {
        owner->writing++;
        letter.asked.key = world->first_keys[letter.key].text;
        world_post(world, letter);
        return;
    }
    letter.key = 0;
    while (strcmp(world->keys[letter.key].text, wanted->key) != 0) {
        letter.key++;
    }
    struct account_ceiling *row = &world->ceilings[letter.key];
    if (wanted->ceiling >= 0 && wanted->window > row->window) {
        *row = *wanted;
    } else if (wanted->window == row->window && wanted->ceiling > row->ceiling) {
        row->ceiling = wanted->ceiling;
    }
    world->ceiling_writes++;
    owner->writing++;
    letter.answer = *row;
    letter.asked.key = world->keys[letter.key].text;
    world_post(world, letter);
}

static void
write_row(void *arg, const char *gateway_id, const char *node_id,
          const struct account_contact *wanted)
{
    (void)gateway_id;
    struct sim_owner *owner = arg;
    for (int i = 0; i < owner->world->node_count; i++) {
        if (strcmp(owner->world->nodes[i].id, node_id) == 0) {
            struct sim_row *row = &owner->world->rows[i];
            world_write_row(row, wanted, owner->world->now_ms);
            world_post(owner->world, (struct letter){.owner = owner->index,
                                                     .node = i,
                                                     .kind = WRITE_ROW,
                                                     .life = owner->life,
                                                     .row = row->contact});
        }
    }
}

static void
deliver(struct world *world, struct letter letter)
{
    struct sim_node *node = &world->nodes[letter.node];
    struct sim_owner *owner = letter.owner >= 0 ? &world->owners[letter.owner] : NULL;
    bool owner_lives = owner != NULL && owner->account != NULL && owner->life == letter.life;
    struct sl_error err;
    switch (letter.kind) {
    case TO_OWNER:
        if (owner_lives) {
            account_lease(owner->account, owner->may_grant);
            int64_t start_ns = cpu_ns();
            json_t *reply = account_exchange(owner->account, GATEWAY, node->id, letter.body,
                                             world->now_ms, &err);
            world->owner_ns += cpu_ns() - start_ns;
            world->exchanges++;
            world->exchanged_keys += (int64_t)json_array_size(json_object_get(letter.body, "keys"));
            letter.kind = TO_NODE;
            json_t *request = letter.body;
            letter.body = reply;
            if (reply != NULL) {
                world_post(world, letter);
            }
            json_decref(request);
            return;
        }
        break;
    case TO_NODE:
        if (node->grants != NULL && letter.sender_life == node->life) {
            grants_reply(node->grants, letter.token, letter.body, world->now_ms + node->skew_ms);
        }
        break;
    case EVENT:
        if (node->grants != NULL) {
            grants_event(node->grants, letter.body, world->now_ms + node->skew_ms);
        }
        break;
    case WRITE_ROW:
        if (owner_lives) {
            account_contact(owner->account, GATEWAY, node->id, &letter.row);
        }
        break;
    case WRITE_CEILING:
        if (owner_lives) {
            account_lease(owner->account, owner->may_grant);
            account_ceiling(owner->account, &letter.asked, &letter.answer, world->now_ms);
            if (--owner->writing == 0) {
                account_ceilings_written(owner->account);
            }
        }
        break;
    }
    json_decref(letter.body);
}

static void
deliver_due(struct world *world)
{
    while (world->letters_top > 0 && world->letters[world->letters_top - 1].at_ms == 0) {
        world->letters_top--;
    }
    for (size_t i = 0; i < world->letters_top; i++) {
        if (world->letters[i].at_ms == 0 || world->letters[i].at_ms > world->now_ms) {
            continue;
        }
        struct letter letter = world->letters[i];
        bool is_for_owner = letter.kind == TO_OWNER || world_is_database(&letter);
        if (is_for_owner && letter.owner >= 0 && world->owners[letter.owner].is_stopped) {
            continue; // in its socket
        }
        world->letters[i].at_ms = 0;
        world->letters[i].body = NULL;
        bool is_cut =
            world->nodes[letter.node].is_cut && !world_is_database(&letter) && letter.body != NULL;
        if (is_cut) {
            json_decref(letter.body);
        } else {
            deliver(world, letter);
        }
    }
}

// -- owners

void
world_load_rows(struct sim_owner *owner)
{
    for (int i = 0; i < owner->world->node_count; i++) {
        account_contact(owner->account, GATEWAY, owner->world->nodes[i].id,
                        &owner->world->rows[i].contact);
    }
}

// What is read at a take-over beside them.
static void
load_vouched(struct sim_owner *owner)
{
    for (int i = 0; i < owner->world->node_count; i++) {
        const struct sim_row *row = &owner->world->rows[i];
        account_vouched(owner->account, GATEWAY, owner->world->nodes[i].id, row->contact.boot,
                        row->vouched, row->contact.lost_until_ms != 0 ? row->alone : NULL);
    }
}

void
world_start_owner(struct sim_owner *owner)
{
    char name[32];
    struct sl_error err;
    const char *ids[NODES];
    owner->life++;
    snprintf(name, sizeof(name), "owner-%d-%d", owner->index, owner->life);
    owner->account = account_new(name, &(struct account_hooks){.publish = publish, .arg = owner});
    owner->may_grant = true;
    owner->is_buried = false;
    owner->awake_ms = 0;
    owner->writing = 0;
    for (int i = 0; i < owner->world->node_count; i++) {
        ids[i] = owner->world->nodes[i].id;
    }
    assert_int_equal(
        0, account_nodes(owner->account, GATEWAY, ids, (size_t)owner->world->node_count, &err));
    world_load_rows(owner);
}

static bool
is_at_work(const struct sim_owner *owner)
{
    return owner->account != NULL && !owner->is_stopped && !owner->is_buried;
}

// Gives shards without a living owner to those that live.
static void
take_over(struct world *world)
{
    world->shard_epoch++;
    bool took[OWNERS] = {false};
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        int owner = world->shard_owner[shard];
        if (owner >= 0 && is_at_work(&world->owners[owner]) &&
            account_epoch(world->owners[owner].account, shard) != 0) {
            continue;
        }
        int next = (int)(shard * (uint32_t)world->owner_count / SL_SHARDS);
        for (int i = 0; i < OWNERS && !is_at_work(&world->owners[next]); i++) {
            next = (next + 1) % world->owner_count;
        }
        if (!is_at_work(&world->owners[next])) {
            return;
        }
        int64_t clean_ms =
            world->shard_epoch == 1 ? INT64_MIN : world->now_ms + LEASE_MS + ACCOUNT_AHEAD_MS;
        account_own(world->owners[next].account, shard, world->shard_epoch, clean_ms);
        world->shard_owner[shard] = next;
        took[next] = true;
    }
    for (int i = 0; i < world->owner_count; i++) {
        if (took[i]) {
            world_load_rows(&world->owners[i]);
            load_vouched(&world->owners[i]);
            account_announce(world->owners[i].account, world->now_ms);
        }
    }
}

// It renews, and sees whose its shards are.
static void
look_at_table(struct sim_owner *owner)
{
    owner->awake_ms = 0;
    owner->is_buried = false;
    owner->may_grant = true;
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        if (owner->world->shard_owner[shard] != owner->index) {
            account_disown(owner->account, shard);
        }
    }
    owner->world->takeover_ms = owner->world->now_ms + 1; // and takes what nobody has
}

static void
run_owners(struct world *world)
{
    for (int i = 0; i < world->owner_count; i++) {
        struct sim_owner *owner = &world->owners[i];
        if (owner->account == NULL || owner->is_stopped) {
            continue;
        }
        if (world->now_ms % 50 == i) {
            account_lease(owner->account, owner->may_grant);
            account_tick(owner->account, world->now_ms);
        }
        if (owner->is_buried) {
            continue; // its writes are refused
        }
        if (owner->writing == 0) {
            account_ceilings(owner->account, KEYS, write_ceiling, owner);
            if (owner->writing == 0) {
                account_ceilings_written(owner->account);
            }
        }
        if (world->now_ms % 250 == i || account_contacts_urgent(owner->account)) {
            account_contacts(owner->account, world->now_ms, world->now_ms % 5000 == i, write_row,
                             owner);
        }
        if (world->now_ms % 1000 == i) {
            world_load_rows(owner);
        }
    }
    for (int i = 0; i < world->owner_count; i++) {
        if (world->owners[i].awake_ms != 0 && world->now_ms >= world->owners[i].awake_ms) {
            look_at_table(&world->owners[i]);
        }
    }
    if (world->takeover_ms != 0 && world->now_ms >= world->takeover_ms) {
        world->takeover_ms = 0;
        take_over(world);
    }
}

// -- nodes

void
world_start_agent(struct sim_node *node)
{
    node->incarnation++;
    node->life++;
    node->grants = grants_new(&(struct grants_options){.counters = node->counters,
                                                       .node_id = node->id,
                                                       .incarnation = node->incarnation,
                                                       .divides = node->divides,
                                                       .send = send_request,
                                                       .arg = node});
    const char *ids[NODES];
    for (int i = 0; i < node->world->node_count; i++) {
        ids[i] = node->world->nodes[i].id;
    }
    grants_members(node->grants, ids, (size_t)node->world->node_count, node->world->membership);
}

// *asks_first: in, whether the request waited for the time of the first call; out, whether it does.
static bool
ask_on(struct sim_node *node, int key, bool again, bool *asks_first)
{
    struct world *world = node->world;
    struct sl_counter_key named;
    struct sl_counter_take take = {.key = &world->keys[key],
                                   .policy_id = POLICY,
                                   .limit = world->limit[key],
                                   .revision = world->revision,
                                   .window_s = world->window_s[key],
                                   .lead_s = world->lead_s[key]};
    size_t first;
    bool asked_first = *asks_first;
    *asks_first = false;
    if (world->first[key] != 0) {
        enum sl_counter_answer told = world_find_lead(node, key, again, &named, &take);
        *asks_first = told == SL_COUNTER_WAIT;
        if (told != SL_COUNTER_TAKEN) {
            world->refused[key] += told == SL_COUNTER_REFUSED ? 1 : 0;
            return told == SL_COUNTER_WAIT;
        }
        again = again && !asked_first;
    }
    enum sl_counter_answer answer =
        sl_counters_take(node->counters, &take, 1, world->now_ms + node->skew_ms,
                         again ? SL_COUNTER_AGAIN : SL_COUNTER_FIRST, &first);
    if (answer == SL_COUNTER_TAKEN) {
        uint32_t at = take.window - world->first_window[key];
        assert_true(at < WINDOWS);
        world->admitted[key][at]++;
        if (world->admitted[key][at] > world->limit[key]) {
            fail_msg("window %u of key %d: %lld admitted, limit %lld", take.window, key,
                     (long long)world->admitted[key][at], (long long)world->limit[key]);
        }
    }
    world->refused[key] += answer == SL_COUNTER_REFUSED ? 1 : 0;
    return answer == SL_COUNTER_WAIT;
}

bool
ask(struct sim_node *node, int key, bool again)
{
    bool asks_first = false;
    return ask_on(node, key, again, &asks_first);
}

static void
wait_for(struct sim_node *node, int key, bool asks_first)
{
    for (size_t i = 0; i < WAITING; i++) {
        if (node->waiting[i].until_ms == 0) {
            node->waiting[i].until_ms = node->world->now_ms + WAIT_MS;
            node->waiting[i].key = key;
            node->waiting[i].asks_first = asks_first;
            return;
        }
    }
    node->world->refused[key]++;
}

void
offer(struct sim_node *node, int key)
{
    struct world *world = node->world;
    int64_t lead_ms = (int64_t)world->lead_s[key] * 1000;
    uint32_t window = sl_counter_window(world->now_ms + lead_ms, world->window_s[key]);
    world->offered[key][window - world->first_window[key]]++;
    bool asks_first = false;
    if (ask_on(node, key, false, &asks_first)) {
        wait_for(node, key, asks_first);
    }
}

static void
run_node(struct sim_node *node)
{
    struct world *world = node->world;
    for (size_t i = 0; i < WAITING; i++) {
        int key = node->waiting[i].key;
        if (node->waiting[i].until_ms == 0) {
            continue;
        }
        bool asks_first = node->waiting[i].asks_first;
        bool waits = ask_on(node, key, true, &asks_first);
        if (waits && node->waiting[i].asks_first && !asks_first) {
            node->waiting[i].until_ms = world->now_ms + WAIT_MS; // for units, from here on
        }
        node->waiting[i].asks_first = asks_first;
        if (!waits || node->waiting[i].until_ms <= world->now_ms) {
            world->refused[key] += waits ? 1 : 0;
            node->waiting[i].until_ms = 0;
        }
    }
    for (int key = 0; key < KEYS; key++) {
        int load = node->load[key];
        for (; load > 0; load -= 1000) {
            if (!chance(world, load)) {
                continue;
            }
            offer(node, key);
        }
    }
    if (node->grants != NULL) {
        grants_asked(node->grants, world->now_ms + node->skew_ms);
        if (world->now_ms % 10 == node->index) {
            grants_tick(node->grants, world->now_ms + node->skew_ms);
        }
    }
}

// -- a world

static void
unlink_counters(const char *name)
{
    char path[128];
    sl_counters_path(name, 64, path, sizeof(path));
    unlink(path);
    // An agent that dies in the world leaves its datagram socket, as a real one does.
    snprintf(path, sizeof(path), "/dev/shm/sluice-%s-wake", name);
    unlink(path);
}

static void
open_node(struct world *world, int index)
{
    struct sim_node *node = &world->nodes[index];
    struct sl_error err;
    node->world = world;
    node->index = index;
    snprintf(node->name, sizeof(node->name), "sim-%d-%d", getpid(), index);
    unlink_counters(node->name);
    node->counters = sl_counters_open(node->name, 64, &err);
    assert_non_null(node->counters);
    assert_int_equal(0, sl_counters_attend(node->counters, &err));
    // The file was filled by the machine's clocks; the world has its own.
    sl_counters_set_offset(node->counters, -node->skew_ms);
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        atomic_store(&node->counters->header->confirmed[i], world->now_ms);
    }
    node->incarnation = 0;
    world_start_agent(node);
}

void
world_stop_agent(struct sim_node *node)
{
    node->divides = node->grants != NULL ? grants_divides(node->grants) : node->divides;
    grants_free(&node->grants);
}

void
lose_memory(struct sim_node *node)
{
    world_stop_agent(node);
    sl_counters_free(&node->counters);
    open_node(node->world, node->index);
}

struct world *
open_world(unsigned seed, int nodes, int owners)
{
    return open_world_at(seed, nodes, owners, 1800000000000LL + rand_r(&seed) % 3600000);
}

struct world *
open_world_at(unsigned seed, int nodes, int owners, int64_t now_ms)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->seed = seed;
    world->now_ms = now_ms;
    world->node_count = nodes;
    world->owner_count = owners;
    world->slow_ms = 3;
    world->revision = 1;
    world->membership = 7;
    for (int key = 0; key < KEYS; key++) {
        static const uint32_t LENGTHS[] = {1, 2, 5, 60, 3600};
        world->limit[key] = 1 + dice(world, dice(world, 2) == 0 ? 5 : 100);
        world->window_s[key] = LENGTHS[dice(world, 5)];
        world->first_window[key] = sl_counter_window(world->now_ms, world->window_s[key]) - 1;
        struct sl_str subject = sl_str("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        sl_counter_policy_key(&world->keys[key], POLICY, NULL,
                              key == 0 ? SL_COUNT_API : SL_COUNT_APP, key == 0 ? NULL : &subject,
                              world->window_s[key]);
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        world->shard_owner[i] = -1;
    }
    for (int i = 0; i < nodes; i++) {
        snprintf(world->nodes[i].id, sizeof(world->nodes[i].id), "%032d", i + 1);
    }
    for (int i = 0; i < nodes; i++) {
        world->nodes[i].skew_ms = -(int64_t)dice(world, 1000000);
        open_node(world, i);
        for (int key = 0; key < KEYS; key++) {
            world->nodes[i].load[key] = (int)dice(world, dice(world, 2) == 0 ? 10 : 400);
        }
    }
    for (int i = 0; i < owners; i++) {
        world->owners[i].world = world;
        world->owners[i].index = i;
        world_start_owner(&world->owners[i]);
    }
    take_over(world);
    return world;
}

void
close_world(struct world *world)
{
    for (int i = 0; i < NODES && world->nodes[i].counters != NULL; i++) {
        grants_free(&world->nodes[i].grants);
        sl_counters_free(&world->nodes[i].counters);
        unlink_counters(world->nodes[i].name);
    }
    for (int i = 0; i < world->owner_count; i++) {
        account_free(&world->owners[i].account);
    }
    for (size_t i = 0; i < LETTERS; i++) {
        json_decref(world->letters[i].body);
    }
    free(world);
}

void
step(struct world *world)
{
    world->now_ms++;
    deliver_due(world);
    run_owners(world);
    for (int i = 0; i < world->node_count; i++) {
        run_node(&world->nodes[i]);
    }
}
