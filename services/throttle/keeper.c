// keeper.c - see keeper.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/keeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/crypto/crypto.h"
#include "services/throttle/keeper_state.h"

#define RENEW_MS    300 // between renewals of the lease
#define TURN_MS     100 // between looks at what is to be done
#define EXPECT_MS   20  // the same while shards change hands: nobody grants from them in between
#define NOTICE_MS   (RENEW_MS + TURN_MS) // after which others know that shards come
#define PATIENCE_MS 1500                 // that buses are waited for, and who takes the shards
#define MARGIN_MS   200  // of the lease that is not used: a grant takes a moment to leave
#define NODES_MS    1000 // between looks at the nodes
#define FLUSH_MS    5000 // between writes of usage
#define TICK_MS     10   // between the account's timers
#define TRIP_MAX_MS 200  // a slower answer says nothing about the clock
#define STEP_MS     1000 // a clock that is further off is set, not slewed
#define ARENA_MAX   ((size_t)64 * 1024 * 1024)
#define EVENT_ARENA ((size_t)16 * 1024 * 1024)

int64_t
keeper_clock_ms(const struct keeper *keeper)
{
    return sl_mono_ms() + atomic_load(&keeper->clock_offset_ms);
}

bool
keeper_has_lease(const struct keeper *keeper)
{
    return sl_mono_ms() < atomic_load(&keeper->lease_until_ms) - MARGIN_MS;
}

// The account's hook: an event for node/<id>. Under the lock.
static void
publish(void *arg, const char *node_id, json_t *body)
{
    struct keeper *keeper = arg;
    struct sl_error err;
    struct sl_str packed;
    char topic[SL_ID_SIZE + 8];
    snprintf(topic, sizeof(topic), "node/%s", node_id);
    if (sl_json_pack(keeper->events, body, &packed, &err) == 0) {
        keeper->options.publish(keeper->options.arg, topic, packed);
    } else {
        sl_log_error(SL_WARNING, "an event could not be packed", &err);
    }
    sl_arena_clear(keeper->events);
}

struct keeper *
keeper_new(const struct keeper_options *options, struct sl_error *err)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));
    char id[SL_ID_SIZE];
    if (keeper == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    sl_random_id(id);
    keeper->options = *options;
    snprintf(keeper->worker, sizeof(keeper->worker), "%.40s-%.16s", options->name, id);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    keeper->account =
        account_new(keeper->worker, &(struct account_hooks){.publish = publish, .arg = keeper});
    keeper->arena = sl_arena_new(ARENA_MAX);
    keeper->events = sl_arena_new(EVENT_ARENA);
    if (keeper->account == NULL || keeper->arena == NULL || keeper->events == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        keeper_free(&keeper);
    }
    return keeper;
}

void
keeper_free(struct keeper **keeper)
{
    if (keeper == NULL || *keeper == NULL) {
        return;
    }
    struct keeper *self = *keeper;
    for (size_t i = 0; i < self->gateway_count; i++) {
        free(self->gateways[i]);
    }
    free(self->gateways);
    account_free(&self->account);
    sl_arena_free(&self->arena);
    sl_arena_free(&self->events);
    sl_db_free(&self->db);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *keeper = NULL;
}

// -- shards

static void
disown(struct keeper *keeper, uint32_t shard)
{
    account_disown(keeper->account, shard);
    keeper->options.offer(keeper->options.arg, shard, false);
}

// Drops what the table says is another's: the lease had ended and somebody took it.
static void
drop_lost(struct keeper *keeper, const struct shards_state *state)
{
    size_t at = 0;
    pthread_mutex_lock(&keeper->lock);
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        int64_t epoch = account_epoch(keeper->account, shard);
        bool is_listed = at < state->own.count && state->own.at[at].shard == shard;
        if (epoch != 0 && (!is_listed || state->own.at[at].epoch != epoch)) {
            disown(keeper, shard);
        }
        at += is_listed ? 1 : 0;
    }
    pthread_mutex_unlock(&keeper->lock);
}

// Owns what the table says is ours and the account does not know. `are_fresh`: taken just now, so
// that a first epoch means that nobody, this process included, granted anything before.
static int
adopt(struct keeper *keeper, const struct shards_list *list, bool are_fresh, struct sl_error *err)
{
    // First: contacts that a former owner wrote inside its lease are all there by now.
    struct shards_vouch *vouches;
    size_t count;
    if (keeper_refresh_nodes(keeper, err) != 0 ||
        shards_vouched(keeper->db, keeper->arena, &vouches, &count, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&keeper->lock);
    for (size_t i = 0; i < count; i++) {
        const struct shards_vouch *at = &vouches[i];
        account_vouched(keeper->account, at->gateway_id, at->node_id, at->boot, at->vouched,
                        at->alone);
    }
    // Who was taken for dead may grant until its lease ends to nodes that have not heard of this.
    int64_t clean_from_ms = keeper_clock_ms(keeper) + SHARDS_LEASE_MS + ACCOUNT_AHEAD_MS;
    for (size_t i = 0; i < list->count; i++) {
        const struct shards_epoch *at = &list->at[i];
        if (account_epoch(keeper->account, at->shard) != 0) {
            continue;
        }
        bool is_first = are_fresh && at->epoch == 1;
        account_own(keeper->account, at->shard, at->epoch, is_first ? INT64_MIN : clean_from_ms);
        keeper->options.offer(keeper->options.arg, at->shard, true);
    }
    account_announce(keeper->account, keeper_clock_ms(keeper));
    pthread_mutex_unlock(&keeper->lock);
    sl_log(SL_INFO, "shards taken", SL_LOG_INT("count", list->count));
    return 0;
}

static int
take_shards(struct keeper *keeper, size_t max, struct sl_error *err)
{
    struct shards_list taken;
    const struct shards_wish wish = {max, sl_mono_ms() >= keeper->grace_ms};
    if (shards_take(keeper->db, keeper->arena, keeper->worker, &wish, &taken, err) != 0) {
        return -1;
    }
    return taken.count > 0 ? adopt(keeper, &taken, true, err) : 0;
}

// Stops granting first: what the table says may lag behind, never run ahead.
static int
give_shards(struct keeper *keeper, size_t count, struct sl_error *err)
{
    size_t left = count;
    pthread_mutex_lock(&keeper->lock);
    for (uint32_t shard = SL_SHARDS; shard-- > 0 && left > 0;) {
        if (account_epoch(keeper->account, shard) != 0) {
            disown(keeper, shard);
            left--;
        }
    }
    pthread_mutex_unlock(&keeper->lock);
    sl_log(SL_INFO, "shards given back", SL_LOG_INT("count", count - left));
    return shards_release(keeper->db, keeper->arena, keeper->worker, count, err);
}

int64_t
keeper_follow_clock(const struct shards_clock *seen, bool has_clock, int64_t offset_ms)
{
    int64_t seen_ms = seen->server_ms - seen->at_ms;
    int64_t off_ms = seen_ms - offset_ms;
    if (!has_clock) {
        return seen_ms;
    }
    if (seen->trip_ms > TRIP_MAX_MS) {
        return offset_ms;
    }
    return off_ms < STEP_MS && off_ms > -STEP_MS ? offset_ms + off_ms / 4 : seen_ms;
}

static void
set_clock(struct keeper *keeper, const struct shards_clock *seen)
{
    int64_t has_ms = atomic_load(&keeper->clock_offset_ms);
    atomic_store(&keeper->clock_offset_ms, keeper_follow_clock(seen, keeper->has_clock, has_ms));
    keeper->has_clock = true;
}

// Whether shards are to come here: an owner whom nodes do not reach yet would serve nobody. A bus
// that stays away is not waited for.
static bool
takes_shards(const struct keeper *keeper)
{
    return keeper->options.is_reachable == NULL ||
           keeper->options.is_reachable(keeper->options.arg) || sl_mono_ms() >= keeper->patience_ms;
}

// Another session than before: the server may have ended all of them, and others come back as we
// do.
static void
note_session(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->session != 0 && keeper->session != keeper->state.session) {
        keeper->grace_ms = now_ms + SHARDS_LEASE_MS;
    }
    keeper->session = keeper->state.session;
}

// Our lease had ended, or there was none: what follows is a return.
static void
note_return(struct keeper *keeper, int64_t now_ms)
{
    int64_t had_until_ms = atomic_load(&keeper->lease_until_ms);
    keeper->patience_ms = now_ms > had_until_ms ? now_ms + PATIENCE_MS : keeper->patience_ms;
    if (had_until_ms != 0 && now_ms > had_until_ms) {
        // The database was away: others come back to their shards as we do.
        keeper->grace_ms = now_ms + SHARDS_LEASE_MS;
    }
}

// What an owner has at most among so many, at least one.
static size_t
fair_part(size_t owners)
{
    return (SL_SHARDS + owners - 1) / owners;
}

bool
keeper_lacks(size_t owned, size_t owners)
{
    return owned + (owners - 1) * fair_part(owners) < SL_SHARDS;
}

// Gives back what exceeds our part of the shards, or takes what it lacks of those that are free.
static int
even_out(struct keeper *keeper, bool takes, struct sl_error *err)
{
    const struct shards_state *state = &keeper->state;
    size_t fair = fair_part(state->live);
    if (state->own.count > fair) {
        return give_shards(keeper, state->own.count - fair, err);
    }
    size_t free = state->free + (sl_mono_ms() >= keeper->grace_ms ? state->orphans : 0);
    keeper->expects = keeper_lacks(state->own.count, state->live);
    if (state->own.count < fair && free > 0 && takes) {
        return take_shards(keeper, fair - state->own.count, err);
    }
    return 0;
}

static int
renew(struct keeper *keeper, struct sl_error *err)
{
    struct shards_state *state = &keeper->state;
    int64_t before_ms = sl_mono_ms();
    note_return(keeper, before_ms);
    bool takes = !keeper->leaves && takes_shards(keeper);
    if (shards_renew(keeper->db, keeper->arena, keeper->worker, takes, state, err) != 0) {
        return -1;
    }
    set_clock(keeper, &state->clock);
    drop_lost(keeper, state);
    note_return(keeper, sl_mono_ms()); // to connect may have taken longer than the lease
    note_session(keeper, sl_mono_ms());
    atomic_store(&keeper->lease_until_ms, before_ms + SHARDS_LEASE_MS);
    // A step that failed half-way: the table took note, the account did not.
    if (keeper_owned(keeper) < state->own.count && adopt(keeper, &state->own, false, err) != 0) {
        return -1;
    }
    return keeper->leaves ? 0 : even_out(keeper, takes, err);
}

// -- threads

static int
open_database(struct keeper *keeper, struct sl_error *err)
{
    struct sl_db_options options = {.conninfo = keeper->options.database,
                                    .application = "sluice-throttle"};
    if (keeper->db == NULL) {
        keeper->db = sl_db_open(&options, err);
    }
    return keeper->db != NULL ? 0 : -1;
}

bool
keeper_renewal_is_due(const struct keeper *keeper)
{
    int64_t renewed_ms = atomic_load(&keeper->lease_until_ms) - SHARDS_LEASE_MS;
    int64_t now_ms = sl_mono_ms();
    return keeper->was_down || now_ms >= keeper->state.next_end_ms ||
           now_ms >= renewed_ms + (keeper->expects || keeper->leaves ? EXPECT_MS : RENEW_MS);
}

static int
keep_once(struct keeper *keeper, struct sl_error *err)
{
    int64_t now_ms = sl_mono_ms();
    if (open_database(keeper, err) != 0 ||
        // First: requests wait for these. But after a failure only a renewal tells what is ours.
        (!keeper->was_down && keeper_has_lease(keeper) &&
         keeper_write_ceilings(keeper, err) != 0)) {
        return -1;
    }
    if (keeper_renewal_is_due(keeper) && renew(keeper, err) != 0) {
        return -1;
    }
    pthread_mutex_lock(&keeper->lock);
    bool wants_nodes = keeper->wants_nodes || now_ms - keeper->nodes_ms >= NODES_MS;
    pthread_mutex_unlock(&keeper->lock);
    if (wants_nodes && keeper_refresh_nodes(keeper, err) != 0) {
        return -1;
    }
    if (keeper_write_ceilings(keeper, err) != 0 || keeper_write_contacts(keeper, err) != 0) {
        return -1;
    }
    return now_ms - keeper->flushed_ms >= FLUSH_MS ? keeper_flush(keeper, err) : 0;
}

// Waits for the next renewal, or for a node that cannot. True: go on.
static bool
wait_turn(struct keeper *keeper, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&keeper->lock);
    int timed_out = 0;
    while (!keeper->is_urgent && (!keeper->stops || keeper->leaves) && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until);
    }
    keeper->is_urgent = false;
    bool goes_on = !keeper->stops;
    pthread_mutex_unlock(&keeper->lock);
    return goes_on;
}

// A lease that ends before it is renewed leaves shards without an owner: then is the time to look.
static int64_t
next_turn_ms(const struct keeper *keeper)
{
    int64_t turn_ms = keeper->expects ? EXPECT_MS : TURN_MS;
    int64_t left_ms = keeper->state.next_end_ms - sl_mono_ms();
    return left_ms > 0 && left_ms < turn_ms ? left_ms : turn_ms;
}

// Does what is due; -1 when the database does not answer, which the log says once.
static int
take_turn(struct keeper *keeper)
{
    struct sl_error err;
    int failed = keep_once(keeper, &err);
    if (failed != 0 && !keeper->was_down) {
        sl_log_error(SL_WARNING, "the database does not answer: nothing is granted", &err);
    } else if (failed == 0 && keeper->was_down) {
        sl_log(SL_INFO, "the database answers again");
    }
    keeper->was_down = failed != 0;
    sl_arena_clear(keeper->arena);
    return failed;
}

// Whether the shards are not to be kept any longer: others look out for them, or nobody is there.
// Who only starts is waited for, also who came since the last look before we were told to end.
static bool
may_leave(struct keeper *keeper, int64_t since_ms)
{
    const struct shards_state *state = &keeper->state;
    int64_t passed_ms = sl_mono_ms() - since_ms;
    if (atomic_load(&keeper->lease_until_ms) - SHARDS_LEASE_MS < since_ms) {
        return false;
    }
    return state->others == 0 || keeper_owned(keeper) == 0 || passed_ms >= PATIENCE_MS ||
           (state->live > 1 && passed_ms >= NOTICE_MS);
}

// Grants on until the shards may be given back: a node that finds no owner lets nobody wait.
static void
leave(struct keeper *keeper)
{
    struct sl_error err;
    int64_t since_ms = sl_mono_ms();
    keeper->leaves = true;
    while (take_turn(keeper) == 0 && !may_leave(keeper, since_ms)) {
        wait_turn(keeper, EXPECT_MS);
    }
    if (keeper->db != NULL && give_shards(keeper, SL_SHARDS, &err) != 0) {
        sl_log_error(SL_WARNING, "shards were not given back: their lease has to end", &err);
    }
    sl_arena_clear(keeper->arena);
    pthread_mutex_lock(&keeper->lock);
    keeper->has_left = true;
    pthread_mutex_unlock(&keeper->lock);
}

static void *
keep(void *arg)
{
    struct keeper *keeper = arg;
    do {
        take_turn(keeper);
    } while (wait_turn(keeper, next_turn_ms(keeper)));
    leave(keeper);
    return NULL;
}

static void *
tick(void *arg)
{
    struct keeper *keeper = arg;
    bool goes_on = true;
    while (goes_on) {
        usleep(TICK_MS * 1000);
        pthread_mutex_lock(&keeper->lock);
        account_lease(keeper->account, keeper_has_lease(keeper));
        account_tick(keeper->account, keeper_clock_ms(keeper));
        goes_on = !keeper->has_left;
        pthread_mutex_unlock(&keeper->lock);
    }
    return NULL;
}

int
keeper_start(struct keeper *keeper, struct sl_error *err)
{
    if (pthread_create(&keeper->keeping, NULL, keep, keeper) != 0) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (pthread_create(&keeper->ticking, NULL, tick, keeper) != 0) {
        abort(); // at start and out of threads: nothing to save
    }
    keeper->is_started = true;
    return 0;
}

void
keeper_stop(struct keeper *keeper)
{
    if (!keeper->is_started) {
        return;
    }
    pthread_mutex_lock(&keeper->lock);
    keeper->stops = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->keeping, NULL);
    pthread_join(keeper->ticking, NULL);
    keeper->is_started = false;
}

// -- commands

int
keeper_exchange(struct keeper *keeper, struct sl_arena *arena, const char *node_id,
                const json_t *request, struct sl_str *ret_body, struct sl_error *err)
{
    pthread_mutex_lock(&keeper->lock);
    const char *gateway_id = account_gateway_of(keeper->account, node_id);
    json_t *reply = NULL;
    if (!keeper_has_lease(keeper)) {
        // An owner that cannot grant is down for its nodes: nobody waits for it.
        sl_fail(err, SL_E_UNAVAILABLE);
        sl_error_detail(err, "no lease");
    } else if (gateway_id != NULL) {
        account_lease(keeper->account, true);
        reply = account_exchange(keeper->account, gateway_id, node_id, request,
                                 keeper_clock_ms(keeper), err);
    } else {
        keeper->wants_nodes = true;
        sl_fail(err, SL_E_UNAVAILABLE);
        sl_error_detail(err, "node %s is not known yet", node_id);
    }
    if (keeper->wants_nodes || account_contacts_urgent(keeper->account) ||
        account_ceilings_wanted(keeper->account)) {
        keeper->is_urgent = true;
        pthread_cond_signal(&keeper->wake);
    }
    pthread_mutex_unlock(&keeper->lock);
    if (reply == NULL) {
        return -1;
    }
    int failed = sl_json_pack(arena, reply, ret_body, err);
    json_decref(reply);
    return failed;
}

uint32_t
keeper_owned(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    uint32_t owned = account_owned(keeper->account);
    pthread_mutex_unlock(&keeper->lock);
    return owned;
}
