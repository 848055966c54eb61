// account_ceiling.c - how many units of a long window may have been granted, durably.
//
// Before a unit of a window of ACCOUNT_LONG_S or more leaves, the database holds a ceiling that
// covers it. An owner that takes a shard over, when the nodes' memories are gone as well, knows
// from it what was granted at most: only the difference between the ceiling and what was used is
// lost.
//
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "services/throttle/account_state.h"

#define STEP_S     5                    // seconds of demand that a ceiling rises by
#define STEP_PARTS 16                   // and at least this part of the limit
#define UNBOUND    SL_COUNTER_UNITS_MAX // of a window that the row has left behind

static bool
is_long(const struct key *key)
{
    return key->window_s >= ACCOUNT_LONG_S;
}

// Whether former owners may have granted units of the window.
static bool
is_inherited(const struct account *account, const struct key *key, const struct span *span)
{
    int64_t start_ms = account_window_start(key, span->window);
    return start_ms < account->shards[key->shard].clean_from_ms;
}

// All that may be spent of the window as far as is known here.
static int64_t
covered_units(const struct span *span, bool has_unknown)
{
    int64_t units = span->lost + (has_unknown ? span->inherited : 0);
    for (uint32_t i = 0; i < span->hold_count; i++) {
        units += account_held(&span->holds[i]);
    }
    return units;
}

static void
raise_ceiling(struct account *account, struct key *key, struct span *span, int64_t target)
{
    target = target < UNBOUND ? target : UNBOUND;
    if (target > span->ceiling) {
        span->target = target > span->target ? target : span->target;
        account_queue(account, key, QUEUE_RISING); // again, if a write of it failed
    }
}

// Whether what former owners granted is known; asks when it is not.
static bool
is_known(struct account *account, struct key *key, struct span *span)
{
    if (!span->is_known && is_inherited(account, key, span)) {
        account_queue(account, key, QUEUE_RISING);
        return false;
    }
    span->is_known = true;
    return true;
}

int64_t
account_room(struct account *account, struct key *key, struct span *span, bool has_unknown,
             bool *ret_known)
{
    *ret_known = !is_long(key) || is_known(account, key, span);
    if (!is_long(key) || !*ret_known) {
        return is_long(key) ? 0 : UNBOUND;
    }
    double rate = 0;
    int64_t want = 1;
    for (uint32_t i = 0; i < key->flow_count; i++) {
        rate += key->flows[i].rate;
    }
    for (uint32_t i = 0; i < span->hold_count; i++) {
        want += span->holds[i].want;
    }
    int64_t ahead = (int64_t)(rate * STEP_S);
    ahead = ahead > key->limit / STEP_PARTS ? ahead : key->limit / STEP_PARTS;
    int64_t units = covered_units(span, has_unknown);
    if (span->ceiling < units + want + ahead / 2) {
        int64_t target = units + want + ahead;
        raise_ceiling(account, key, span, target < key->limit ? target : key->limit);
    }
    return span->ceiling > units ? span->ceiling - units : 0;
}

int64_t
account_inherited(const struct key *key, const struct span *span)
{
    return is_long(key) ? span->inherited : 0;
}

void
account_cover(struct account *account, struct key *key, int64_t now_ms)
{
    uint32_t current = account_window(key, now_ms);
    for (size_t i = 0; is_long(key) && i < SL_COUNTER_WINDOWS; i++) {
        struct span *span = &key->spans[i];
        if (span->window >= current && is_known(account, key, span)) {
            raise_ceiling(account, key, span, covered_units(span, false));
        }
    }
}

// The oldest window of the key that something must be written or learnt about; *ret_count of them.
static struct span *
rising_span(const struct account *account, struct key *key, size_t *ret_count)
{
    struct span *oldest = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        struct span *span = &key->spans[i];
        bool looks = !span->is_known && is_inherited(account, key, span);
        bool is_due =
            span->window != 0 && span->hold_count > 0 && (looks || span->target > span->ceiling);
        *ret_count += is_due ? 1 : 0;
        if (is_due && (oldest == NULL || span->window < oldest->window)) {
            oldest = span;
        }
    }
    return oldest;
}

static void
note_vouched(struct account *account)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            struct node *node = gateway->nodes[i];
            memcpy(node->covering, node->confirmed, sizeof(node->covering));
        }
    }
}

void
account_ceilings(struct account *account, size_t max,
                 void (*fn)(void *arg, const struct account_ceiling *wanted), void *arg)
{
    bool looks = false;
    struct key *key;
    while (max > 0 && (key = account_next(account, QUEUE_RISING)) != NULL) {
        if (account_is_first(key)) {
            account_want_first(key, fn, arg);
            max--;
            continue;
        }
        size_t due;
        struct span *span = rising_span(account, key, &due);
        if (span == NULL) {
            continue;
        }
        struct account_ceiling wanted = {.gateway_id = key->gateway->id,
                                         .key = key->text,
                                         .window_s = key->window_s,
                                         .window = span->window,
                                         .limit = key->limit,
                                         .ceiling = span->is_known ? span->target : ACCOUNT_LEARN};
        looks = looks || !span->is_known || due > 1;
        fn(arg, &wanted);
        max--;
    }
    // What nodes vouched for up to here is covered by what is written from here.
    account->is_covering = !looks && !account_ceilings_wanted(account);
    if (account->is_covering) {
        note_vouched(account);
    }
}

bool
account_ceilings_wanted(const struct account *account)
{
    return zlistx_size(account->queues[QUEUE_RISING]) > 0;
}

// The row of the key is `row`; `window` is what was asked about.
static void
take_over_row(struct key *key, uint32_t window, const struct account_ceiling *row)
{
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        struct span *span = &key->spans[i];
        if (span->window == 0 || span->window > row->window) {
            continue; // later than the row: nothing is granted of it yet
        }
        int64_t ceiling = span->window == row->window ? row->ceiling : UNBOUND;
        span->ceiling = ceiling > span->ceiling ? ceiling : span->ceiling;
        if (!span->is_known && span->window == window) {
            span->inherited = ceiling;
        }
    }
}

void
account_ceiling(struct account *account, const struct account_ceiling *asked,
                const struct account_ceiling *row, int64_t now_ms)
{
    struct gateway *gateway = account_find_gateway(account, asked->gateway_id);
    struct key *key = gateway != NULL ? account_find_key(account, gateway, asked->key) : NULL;
    if (key == NULL || key->window_s != asked->window_s) {
        return; // its shard went to somebody else meanwhile
    }
    if (account_is_first(key)) {
        account_learn_first(account, key, row->ceiling);
        return;
    }
    take_over_row(key, asked->window, row);
    struct span *span = &key->spans[asked->window % SL_COUNTER_WINDOWS];
    span->is_known = span->is_known || span->window == asked->window;
    account_cover(account, key, now_ms);
    account_serve(account, key, now_ms);
    size_t due;
    if (rising_span(account, key, &due) != NULL) {
        account_queue(account, key, QUEUE_RISING);
    }
}

void
account_ceilings_written(struct account *account)
{
    for (struct gateway *gateway = zhashx_first(account->gateways);
         account->is_covering && gateway != NULL; gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            struct node *node = gateway->nodes[i];
            memcpy(node->covered, node->covering, sizeof(node->covered));
        }
    }
    account->is_covering = false;
}
