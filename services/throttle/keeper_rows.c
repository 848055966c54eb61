// keeper_rows.c - what of the account goes to PostgreSQL and comes from there.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/keeper_state.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define FLUSH_KEYS 1000 // keys of one write
#define CONTACTS   256  // rows written at once
#define CEILINGS   500  // ceilings written at once
#define VOUCH_MS   5000 // between writes of what nodes vouch for

// -- nodes and their rows

static void
remember_gateway(struct keeper *keeper, const char *id)
{
    for (size_t i = 0; i < keeper->gateway_count; i++) {
        if (strcmp(keeper->gateways[i], id) == 0) {
            return;
        }
    }
    char **grown =
        realloc(keeper->gateways, (keeper->gateway_count + 1) * sizeof(*keeper->gateways));
    char *copy = strdup(id);
    if (grown == NULL || copy == NULL) {
        free(copy);
        keeper->gateways = grown != NULL ? grown : keeper->gateways;
        return;
    }
    keeper->gateways = grown;
    keeper->gateways[keeper->gateway_count++] = copy;
}

// Tells the account of one gateway's nodes: rows first..last of the list. Under the lock.
static void
apply_gateway(struct keeper *keeper, const char *gateway_id, const struct shards_node *nodes,
              size_t count)
{
    struct sl_error err;
    const char **ids = sl_arena_array(keeper->arena, count + 1, sizeof(*ids));
    if (ids == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = nodes[i].node_id;
    }
    remember_gateway(keeper, gateway_id);
    if (account_nodes(keeper->account, gateway_id, ids, count, &err) != 0) {
        sl_log_error(SL_WARNING, "a gateway's nodes cannot be accounted for", &err);
    }
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].has_contact) {
            account_contact(keeper->account, gateway_id, nodes[i].node_id, &nodes[i].contact);
        }
    }
}

static void
apply_nodes(struct keeper *keeper, const struct shards_node *nodes, size_t count)
{
    for (size_t i = 0; i < keeper->gateway_count; i++) {
        bool has_nodes = false;
        for (size_t j = 0; j < count && !has_nodes; j++) {
            has_nodes = strcmp(nodes[j].gateway_id, keeper->gateways[i]) == 0;
        }
        if (!has_nodes) {
            apply_gateway(keeper, keeper->gateways[i], NULL, 0);
        }
    }
    for (size_t first = 0; first < count;) {
        size_t next = first + 1;
        while (next < count && strcmp(nodes[next].gateway_id, nodes[first].gateway_id) == 0) {
            next++;
        }
        apply_gateway(keeper, nodes[first].gateway_id, nodes + first, next - first);
        first = next;
    }
}

int
keeper_refresh_nodes(struct keeper *keeper, struct sl_error *err)
{
    struct shards_node *nodes;
    size_t count;
    if (shards_nodes(keeper->db, keeper->arena, &nodes, &count, err) != 0) {
        return -1;
    }
    keeper->nodes_ms = sl_mono_ms();
    pthread_mutex_lock(&keeper->lock);
    keeper->wants_nodes = false;
    apply_nodes(keeper, nodes, count);
    pthread_mutex_unlock(&keeper->lock);
    return 0;
}

static void
collect_row(void *arg, const char *gateway_id, const char *node_id,
            const struct account_contact *wanted)
{
    struct keeper *keeper = arg;
    if (keeper->rows == NULL || keeper->row_count == CONTACTS) {
        return;
    }
    struct shards_node *row = &keeper->rows[keeper->row_count];
    row->gateway_id = sl_arena_dup(keeper->arena, gateway_id);
    row->node_id = sl_arena_dup(keeper->arena, node_id);
    row->contact = *wanted;
    int64_t *vouched = sl_arena_array(keeper->arena, SL_SHARDS, sizeof(*vouched));
    if (vouched == NULL) {
        return;
    }
    memcpy(vouched, wanted->vouched, SL_SHARDS * sizeof(*vouched));
    row->contact.vouched = vouched;
    keeper->row_count += row->gateway_id != NULL && row->node_id != NULL ? 1 : 0;
}

int
keeper_write_contacts(struct keeper *keeper, struct sl_error *err)
{
    keeper->rows = sl_arena_array(keeper->arena, CONTACTS, sizeof(*keeper->rows));
    keeper->row_count = 0;
    bool all = sl_mono_ms() - keeper->vouched_ms >= VOUCH_MS;
    keeper->vouched_ms = all ? sl_mono_ms() : keeper->vouched_ms;
    pthread_mutex_lock(&keeper->lock);
    account_contacts(keeper->account, keeper_clock_ms(keeper), all, collect_row, keeper);
    pthread_mutex_unlock(&keeper->lock);
    for (size_t i = 0; i < keeper->row_count; i++) {
        struct shards_node *row = &keeper->rows[i];
        if (shards_write_contact(keeper->db, keeper->arena, keeper->worker, row, err) != 0) {
            return -1;
        }
        pthread_mutex_lock(&keeper->lock);
        account_contact(keeper->account, row->gateway_id, row->node_id, &row->contact);
        pthread_mutex_unlock(&keeper->lock);
    }
    return 0;
}

// -- ceilings

static void
collect_ceiling(void *arg, const struct account_ceiling *wanted)
{
    struct keeper *keeper = arg;
    struct account_ceiling *copy = &keeper->ceilings[keeper->ceiling_count++];
    *copy = *wanted;
    copy->gateway_id = sl_arena_dup(keeper->arena, wanted->gateway_id);
    copy->key = sl_arena_dup(keeper->arena, wanted->key);
}

// Whether more is to be written now; what is left when the lease comes first is written right
// after.
static bool
goes_on(struct keeper *keeper)
{
    if (keeper->ceiling_count == 0 || !keeper_renewal_is_due(keeper)) {
        return keeper->ceiling_count > 0;
    }
    pthread_mutex_lock(&keeper->lock);
    keeper->is_urgent = keeper->is_urgent || account_ceilings_wanted(keeper->account);
    pthread_mutex_unlock(&keeper->lock);
    return false;
}

int
keeper_write_ceilings(struct keeper *keeper, struct sl_error *err)
{
    do {
        sl_arena_clear(keeper->arena);
        keeper->ceiling_count = 0;
        keeper->ceilings = sl_arena_array(keeper->arena, CEILINGS, sizeof(*keeper->ceilings));
        struct account_ceiling *rows =
            sl_arena_array(keeper->arena, CEILINGS, sizeof(*keeper->ceilings));
        if (sl_arena_check(keeper->arena, err) != 0) {
            return -1;
        }
        pthread_mutex_lock(&keeper->lock);
        account_ceilings(keeper->account, CEILINGS, collect_ceiling, keeper);
        pthread_mutex_unlock(&keeper->lock);
        const struct shards_ceilings ceilings = {keeper->worker, keeper->ceilings,
                                                 keeper->ceiling_count};
        if (sl_arena_check(keeper->arena, err) != 0 ||
            (ceilings.count > 0 &&
             shards_write_ceilings(keeper->db, keeper->arena, &ceilings, rows, err) != 0)) {
            return -1;
        }
        pthread_mutex_lock(&keeper->lock);
        account_lease(keeper->account, keeper_has_lease(keeper));
        for (size_t i = 0; i < keeper->ceiling_count; i++) {
            account_ceiling(keeper->account, &keeper->ceilings[i], &rows[i],
                            keeper_clock_ms(keeper));
        }
        account_ceilings_written(keeper->account);
        if (keeper->ceiling_count > 0) {
            account_tick(keeper->account, keeper_clock_ms(keeper)); // somebody waits for the events
        }
        pthread_mutex_unlock(&keeper->lock);
    } while (goes_on(keeper));
    return 0;
}

// -- usage

static void
collect_usage(void *arg, const struct account_usage *usage)
{
    struct keeper *keeper = arg;
    if (keeper->usages == NULL || keeper->usage_count == FLUSH_KEYS) {
        return;
    }
    struct account_usage *copy = &keeper->usages[keeper->usage_count++];
    *copy = *usage;
    copy->gateway_id = sl_arena_dup(keeper->arena, usage->gateway_id);
    copy->key = sl_arena_dup(keeper->arena, usage->key);
}

int
keeper_flush(struct keeper *keeper, struct sl_error *err)
{
    keeper->flushed_ms = sl_mono_ms();
    keeper->usages = sl_arena_array(keeper->arena, FLUSH_KEYS, sizeof(*keeper->usages));
    keeper->usage_count = 0;
    pthread_mutex_lock(&keeper->lock);
    account_usages(keeper->account, FLUSH_KEYS, collect_usage, keeper);
    pthread_mutex_unlock(&keeper->lock);
    if (sl_arena_check(keeper->arena, err) != 0) {
        return -1;
    }
    return shards_write_usage(keeper->db, keeper->arena, keeper->usages, keeper->usage_count, err);
}
