// account.c - messages in, messages out; shards and timers. See account.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/account.h"

#include <stdlib.h>
#include <string.h>

#include "services/throttle/account_state.h"

#define FLUSH_WINDOW_S 60    // usage of shorter windows is not kept
#define SERVE_MS       40    // between looks at keys whose wants are not met
#define SERVE_KEYS     4000  // looked at at one time: most of many wait for their window's end
#define SKEW_MS        1000  // a node's clock may be ahead of ours by this
#define SWEEP_MS       2000  // in which every shard is looked at once for idle keys
#define KEY_IDLE_MS    10000 // a key is forgotten this long after its last report

struct account *
account_new(const char *owner, const struct account_hooks *hooks)
{
    struct account *account = calloc(1, sizeof(*account));
    if (account == NULL) {
        return NULL;
    }
    snprintf(account->owner, sizeof(account->owner), "%s", owner);
    account->hooks = *hooks;
    account->gateways = zhashx_new();
    account_table_open(account);
    return account;
}

static void
free_gateway(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->node_count; i++) {
        json_decref(gateway->nodes[i]->outbox);
        free(gateway->nodes[i]);
    }
    free(gateway);
}

void
account_free(struct account **account)
{
    if (account == NULL || *account == NULL) {
        return;
    }
    struct account *self = *account;
    for (uint32_t shard = 0; shard < SL_SHARDS; shard++) {
        account_drop_keys(self, shard, NULL, 0);
    }
    for (struct gateway *gateway = zhashx_first(self->gateways); gateway != NULL;
         gateway = zhashx_next(self->gateways)) {
        free_gateway(gateway);
    }
    zhashx_destroy(&self->gateways);
    account_table_close(self);
    free(self);
    *account = NULL;
}

// -- shards

void
account_own(struct account *account, uint32_t shard, int64_t epoch, int64_t clean_from_ms)
{
    account_disown(account, shard);
    account->shards[shard].epoch = epoch;
    account->shards[shard].clean_from_ms = clean_from_ms;
    account->owned++;
}

void
account_disown(struct account *account, uint32_t shard)
{
    if (account->shards[shard].epoch != 0) {
        account->shards[shard].epoch = 0;
        account->owned--;
        account_drop_keys(account, shard, NULL, 0);
    }
}

uint32_t
account_owned(const struct account *account)
{
    return account->owned;
}

int64_t
account_epoch(const struct account *account, uint32_t shard)
{
    return account->shards[shard].epoch;
}

// Runs of owned shards with one epoch: [[first, last, epoch], …].
static json_t *
owned_runs(const struct account *account)
{
    json_t *runs = json_array();
    for (uint32_t first = 0; first < SL_SHARDS;) {
        int64_t epoch = account->shards[first].epoch;
        uint32_t last = first;
        while (last + 1 < SL_SHARDS && account->shards[last + 1].epoch == epoch) {
            last++;
        }
        if (epoch != 0) {
            json_array_append_new(runs, json_pack("[iiI]", first, last, (json_int_t)epoch));
        }
        first = last + 1;
    }
    return runs;
}

// -- messages out

// Units of the span that others than the holder have spent.
static int64_t
spent_by_others(const struct span *span, const struct hold *hold)
{
    int64_t others = span->lost - hold->used;
    for (uint32_t j = 0; j < span->hold_count; j++) {
        others += span->holds[j].used;
    }
    return others;
}

// One key as a node is told of it: {k, e, g: [[window, seq, allowed, others, exhausted], …]}. NULL
// when there is nothing to tell: no unit was granted or refused yet, and nobody else spent one.
static json_t *
key_message(const struct account *account, const struct key *key, int node)
{
    json_t *grants = NULL;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        const struct span *span = &key->spans[i];
        const struct hold *hold = account_find_hold(span, node);
        int64_t others = hold == NULL            ? 0
                         : account_is_first(key) ? account_first_passed(key)
                                                 : spent_by_others(span, hold);
        if (hold == NULL || (hold->seq == 0 && !hold->told_exhausted && others == 0)) {
            continue;
        }
        bool is_pending = hold->acked < hold->seq;
        grants = grants != NULL ? grants : json_array();
        json_array_append_new(grants,
                              json_pack("[IIIIb]", (json_int_t)span->window, (json_int_t)hold->seq,
                                        (json_int_t)(is_pending ? hold->sent : hold->allowed),
                                        (json_int_t)others, hold->told_exhausted));
    }
    return grants == NULL ? NULL
                          : json_pack("{sssIso}", "k", key->text, "e",
                                      (json_int_t)account->shards[key->shard].epoch, "g", grants);
}

static void
tell(struct account *account, const struct key *key, int node)
{
    json_t *message = key_message(account, key, node);
    if (message != NULL) {
        json_array_append_new(key->gateway->nodes[node]->outbox, message);
    }
}

void
account_collect(struct account *account)
{
    struct key *key;
    while ((key = account_next(account, QUEUE_DIRTY)) != NULL) {
        for (size_t i = 0; i < key->gateway->node_count; i++) {
            if ((key->dirty >> i & 1) != 0) {
                tell(account, key, (int)i);
            }
        }
        key->dirty = 0;
    }
}

// What every message to a node carries; takes the outbox with it.
static json_t *
message_to(struct account *account, struct node *node, int64_t now_ms)
{
    json_t *keys = node->outbox;
    node->outbox = json_array();
    return json_pack("{sssIsssIso}", "owner", account->owner, "now", (json_int_t)now_ms, "boot",
                     node->boot, "inc", (json_int_t)node->incarnation, "keys", keys);
}

// Sends what is in the outboxes, but for the node that gets it as its reply.
static void
send_events(struct account *account, const struct node *but, int64_t now_ms)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            struct node *node = gateway->nodes[i];
            if (node == but || json_array_size(node->outbox) == 0) {
                continue;
            }
            json_t *body = message_to(account, node, now_ms);
            account->hooks.publish(account->hooks.arg, node->id, body);
            json_decref(body);
        }
    }
}

void
account_announce(struct account *account, int64_t now_ms)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            struct node *node = gateway->nodes[i];
            json_t *body = message_to(account, node, now_ms);
            json_object_set_new(body, "shards", owned_runs(account));
            account->hooks.publish(account->hooks.arg, node->id, body);
            json_decref(body);
        }
    }
}

// -- messages in

// Who speaks in the request in hand.
struct sender {
    struct account *account;
    struct gateway *gateway;
    int node;                  // index in the gateway
    int64_t report;            // number of the request
    int64_t now_ms;            // accounting clock
    int64_t epochs[SL_SHARDS]; // of the shards that it speaks of; 0: it does not
};

static int
malformed(struct sl_error *err, const char *what)
{
    return sl_fail(err, SL_E_BUS_MESSAGE, what);
}

// [[first, last, epoch, confirmed, full], …]: what the node knows of shards.
static int
hear_shards(struct sender *sender, const json_t *runs, struct sl_error *err)
{
    const struct account *account = sender->account;
    struct node *node = sender->gateway->nodes[sender->node];
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        int first, last, full;
        json_int_t epoch, confirmed;
        if (json_unpack(run, "[iiIIb]", &first, &last, &epoch, &confirmed, &full) != 0 ||
            first < 0 || last >= SL_SHARDS || first > last) {
            return malformed(err, "shards");
        }
        for (int shard = first; shard <= last; shard++) {
            sender->epochs[shard] = epoch;
            if (account->shards[shard].epoch == 0) {
                continue;
            }
            if (confirmed > node->confirmed[shard]) {
                node->confirmed[shard] = confirmed;
            }
            if (full && epoch == account->shards[shard].epoch) {
                node->reported[shard] = epoch;
            }
        }
    }
    return 0;
}

// One window of a reported key: [window, seq, allowed, used, want].
static int
hear_span(const struct sender *sender, struct key *key, const json_t *values, struct sl_error *err)
{
    json_int_t window, seq, allowed, used, want;
    if (json_unpack_ex((json_t *)(uintptr_t)values, NULL, 0, "[IIIII]", &window, &seq, &allowed,
                       &used, &want) != 0 ||
        window <= 0 || window > UINT32_MAX || seq < 0 || allowed < 0 || used < 0 || want < 0) {
        return malformed(err, "window");
    }
    uint32_t latest = account_window(key, sender->now_ms + ACCOUNT_AHEAD_MS + SKEW_MS);
    struct span *span = window <= latest ? account_span(key, (uint32_t)window) : NULL;
    struct hold *hold = span != NULL ? account_hold(span, sender->node) : NULL;
    if (hold == NULL || sender->report <= hold->report) {
        return 0; // over, absurdly far ahead, or overtaken by a later report
    }
    hold->report = sender->report;
    if (seq == hold->seq) {
        hold->acked = hold->seq;
        hold->allowed = allowed;
        hold->recalled_ms = 0;
    } else if (allowed > hold->allowed) {
        hold->allowed = allowed;
    }
    int64_t spent = used > hold->used ? used - hold->used : 0;
    account_demand(key, sender->node, spent + want, sender->now_ms);
    if (used != hold->used && key->window_s >= FLUSH_WINDOW_S) {
        account_queue(sender->account, key, QUEUE_CHANGED);
    }
    hold->used = used;
    hold->want = want > hold->want ? want : hold->want;
    hold->want_ms = want > 0 ? sender->now_ms : hold->want_ms;
    if (want == 0 && allowed > used) {
        hold->want = 0; // it has been served
    }
    return 0;
}

static int
hear_key(const struct sender *sender, const json_t *item, struct sl_error *err)
{
    struct account *account = sender->account;
    const char *text;
    json_int_t window_s, limit, revision;
    json_t *windows;
    if (json_unpack_ex((json_t *)(uintptr_t)item, NULL, 0, "{sssIsIsIso}", "k", &text, "s",
                       &window_s, "l", &limit, "r", &revision, "w", &windows) != 0 ||
        window_s <= 0 || window_s > UINT32_MAX || limit < 0 || limit > SL_COUNTER_UNITS_MAX) {
        return malformed(err, "key");
    }
    struct key *key = account_get_key(account, sender->gateway, text, (uint32_t)window_s);
    if (key == NULL || key->window_s != window_s) {
        return 0; // of a shard that is not ours
    }
    key->seen_ms = sender->now_ms;
    if (revision >= key->revision) {
        key->revision = revision;
        key->limit = limit;
    }
    size_t i;
    json_t *values;
    json_array_foreach(windows, i, values)
    {
        if (hear_span(sender, key, values, err) != 0) {
            return -1;
        }
    }
    if (account_is_first(key)) {
        account_ask_first(account, key, sender->node);
        return 0;
    }
    account_cover(account, key, sender->now_ms);
    account_provide(account, key, sender->node, sender->now_ms);
    account_serve(account, key, sender->now_ms);
    account_mark(account, key, sender->node);
    return 0;
}

// Whether the request knows the epoch of the key's shard: only then do its numbers mean ours.
static bool
knows_epoch(const struct sender *sender, const char *key)
{
    uint32_t shard = sl_counter_shard((struct sl_str){key, strlen(key)});
    int64_t epoch = sender->account->shards[shard].epoch;
    return epoch != 0 && sender->epochs[shard] == epoch;
}

static int
hear_keys(const struct sender *sender, const json_t *request, struct sl_error *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(request, "keys"), i, item)
    {
        const char *text = json_string_value(json_object_get(item, "k"));
        if (text == NULL) {
            return malformed(err, "k");
        }
        if (knows_epoch(sender, text) && hear_key(sender, item, err) != 0) {
            return -1;
        }
    }
    return 0;
}

// Runs of shards that the node has not reported in full in this epoch.
static json_t *
unreported_runs(const struct account *account, const struct node *node)
{
    json_t *runs = json_array();
    for (int first = 0; first < SL_SHARDS; first++) {
        int last = first;
        while (last < SL_SHARDS && account->shards[last].epoch != 0 &&
               node->reported[last] != account->shards[last].epoch) {
            last++;
        }
        if (last > first) {
            json_array_append_new(runs, json_pack("[ii]", first, last - 1));
            first = last;
        }
    }
    return runs;
}

void
account_lease(struct account *account, bool may_grant)
{
    account->may_grant = may_grant;
}

json_t *
account_exchange(struct account *account, const char *gateway_id, const char *node_id,
                 const json_t *request, int64_t now_ms, struct sl_error *err)
{
    struct gateway *gateway = account_find_gateway(account, gateway_id);
    int index = gateway != NULL ? account_find_node(gateway, node_id) : -1;
    if (index < 0 || !account_hear(account, gateway, index, request, now_ms)) {
        malformed(err, "node");
        return NULL;
    }
    struct node *node = gateway->nodes[index];
    struct sender sender = {.account = account,
                            .gateway = gateway,
                            .node = index,
                            .report = json_integer_value(json_object_get(request, "n")),
                            .now_ms = now_ms};
    if (hear_shards(&sender, json_object_get(request, "shards"), err) != 0 ||
        hear_keys(&sender, request, err) != 0) {
        return NULL;
    }
    account_collect(account);
    json_t *reply = message_to(account, node, now_ms);
    json_object_set_new(reply, "shards", owned_runs(account));
    json_object_set_new(reply, "missing", unreported_runs(account, node));
    json_object_set_new(reply, "divide", json_integer(account_may_divide(gateway, node)));
    send_events(account, node, now_ms);
    return reply;
}

// -- timers

// A key whose usage could not be written in time goes all the same: its row stands as it is.
static bool
is_idle(const struct key *key, int64_t now_ms)
{
    if (key->seen_ms + KEY_IDLE_MS > now_ms || key->queued[QUEUE_DIRTY] != NULL ||
        key->queued[QUEUE_RISING] != NULL) {
        return false;
    }
    uint32_t current = account_window(key, now_ms);
    for (size_t i = 0; i < SL_COUNTER_WINDOWS && !account_is_first(key); i++) {
        if (key->spans[i].window >= current) {
            return false;
        }
    }
    return true;
}

// Forgets what is over, a few shards at a time: messages wait meanwhile.
static void
sweep(struct account *account, int64_t now_ms)
{
    int64_t passed_ms = now_ms - account->swept_ms;
    int64_t due = passed_ms < SWEEP_MS ? passed_ms * SL_SHARDS / SWEEP_MS : SL_SHARDS;
    if (due == 0) {
        return;
    }
    account->swept_ms = now_ms;
    for (; due > 0; due--) {
        account_drop_keys(account, account->swept_shard, is_idle, now_ms);
        account->swept_shard = (account->swept_shard + 1) % SL_SHARDS;
    }
}

void
account_tick(struct account *account, int64_t now_ms)
{
    bool is_due = now_ms - account->served_ms >= SERVE_MS;
    account->served_ms = is_due ? now_ms : account->served_ms;
    size_t left = is_due ? zlistx_size(account->queues[QUEUE_HUNGRY]) : 0;
    for (left = left < SERVE_KEYS ? left : SERVE_KEYS; left > 0; left--) {
        account_serve(account, account_next(account, QUEUE_HUNGRY), now_ms);
    }
    account_collect(account);
    send_events(account, NULL, now_ms);
    sweep(account, now_ms);
}

void
account_usages(struct account *account, size_t max,
               void (*fn)(void *arg, const struct account_usage *usage), void *arg)
{
    struct key *key;
    while (max > 0 && (key = account_next(account, QUEUE_CHANGED)) != NULL) {
        const struct span *newest = &key->spans[0];
        for (size_t i = 1; i < SL_COUNTER_WINDOWS; i++) {
            bool is_newer = key->spans[i].window > newest->window && key->spans[i].hold_count > 0;
            newest = is_newer ? &key->spans[i] : newest;
        }
        struct account_usage usage = {.gateway_id = key->gateway->id,
                                      .key = key->text,
                                      .window = newest->window,
                                      .window_s = key->window_s,
                                      .limit = key->limit};
        for (uint32_t i = 0; i < newest->hold_count; i++) {
            usage.used += newest->holds[i].used;
        }
        fn(arg, &usage);
        max--;
    }
}
