// account_node.c - the nodes of a gateway: which are there, what each may hold unseen.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "services/throttle/account_state.h"

#define LONG_AGO (INT64_MIN / 4)

struct gateway *
account_find_gateway(struct account *account, const char *id)
{
    return zhashx_lookup(account->gateways, id);
}

int
account_find_node(const struct gateway *gateway, const char *id)
{
    for (size_t i = 0; i < gateway->node_count; i++) {
        if (strcmp(gateway->nodes[i]->id, id) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static struct node *
new_node(const char *id)
{
    struct node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    snprintf(node->id, sizeof(node->id), "%s", id);
    node->member = sl_counter_member((struct sl_str){id, strlen(id)});
    node->heard_ms = LONG_AGO;
    for (size_t i = 0; i < SL_SHARDS; i++) {
        node->confirmed[i] = LONG_AGO;
        node->alone_ms[i] = LONG_AGO;
        node->covering[i] = LONG_AGO;
        node->covered[i] = LONG_AGO;
    }
    node->outbox = json_array();
    return node;
}

static struct gateway *
get_gateway(struct account *account, const char *id)
{
    struct gateway *gateway = account_find_gateway(account, id);
    if (gateway == NULL) {
        gateway = calloc(1, sizeof(*gateway));
        if (gateway != NULL) {
            snprintf(gateway->id, sizeof(gateway->id), "%s", id);
            zhashx_insert(account->gateways, id, gateway);
        }
    }
    return gateway;
}

int
account_nodes(struct account *account, const char *gateway_id, const char *const *node_ids,
              size_t count, struct sl_error *err)
{
    struct gateway *gateway = get_gateway(account, gateway_id);
    if (gateway == NULL || count > ACCOUNT_NODES_MAX) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "gateway %s has %zu nodes", gateway_id, count);
    }
    for (size_t i = 0; i < gateway->node_count; i++) {
        gateway->nodes[i]->is_present = false;
    }
    gateway->present = 0;
    for (size_t i = 0; i < count; i++) {
        int index = account_find_node(gateway, node_ids[i]);
        if (index < 0 && gateway->node_count < ACCOUNT_NODES_MAX) {
            index = (int)gateway->node_count;
            gateway->nodes[index] = new_node(node_ids[i]);
            gateway->node_count += gateway->nodes[index] != NULL ? 1 : 0;
        }
        if (index < 0 || gateway->nodes[index] == NULL) {
            sl_fail(err, SL_E_INTERNAL);
            return sl_error_detail(err, "gateway %s had too many nodes", gateway_id);
        }
        gateway->nodes[index]->is_present = true;
        gateway->members[gateway->present++] = gateway->nodes[index]->member;
    }
    return 0;
}

const char *
account_gateway_of(const struct account *account, const char *node_id)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        int index = account_find_node(gateway, node_id);
        if (index >= 0 && gateway->nodes[index]->is_present) {
            return gateway->id;
        }
    }
    return NULL;
}

// By how many nodes the node divides, as the larger share would have it; 0: it has no share. A node
// goes over to a longer list by itself, and back to a shorter one only when it is told, which the
// row precedes.
static int64_t
divisor(const struct gateway *gateway, const struct node *node)
{
    int64_t row = node->durable.divides;
    if (node->divides == 0 || row == 0) {
        return node->divides + row;
    }
    bool row_is_old = row < node->divides && row != (int64_t)gateway->present;
    return row_is_old || node->divides < row ? node->divides : row;
}

// The smaller of two divisors, of which 0 is none.
static int64_t
fewer(int64_t one, int64_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

// The memory is lost: from what it vouched for last on, it may have taken shares unseen.
static void
note_alone(struct node *node)
{
    for (size_t i = 0; i < SL_SHARDS; i++) {
        int64_t since_ms = node->confirmed[i];
        bool is_first = node->lost_ms == 0 || since_ms < node->alone_ms[i];
        node->alone_ms[i] = is_first ? since_ms : node->alone_ms[i];
    }
}

void
account_contact(struct account *account, const char *gateway_id, const char *node_id,
                const struct account_contact *contact)
{
    struct gateway *gateway = account_find_gateway(account, gateway_id);
    int index = gateway != NULL ? account_find_node(gateway, node_id) : -1;
    if (index < 0) {
        return;
    }
    struct node *node = gateway->nodes[index];
    bool is_other = node->durable.boot[0] != '\0' && strcmp(node->durable.boot, contact->boot) != 0;
    if (node->boot[0] == '\0' && is_other) {
        note_alone(node); // another owner saw the loss, before this one heard anything
    }
    node->durable = *contact;
    node->durable.vouched = NULL; // the caller's
    node->lost_divides = fewer(node->lost_divides, contact->lost_divides);
    if (node->boot[0] == '\0' && contact->lost_until_ms != 0) {
        // Lost before the memory that came after it was written of; alone since when:
        // account_vouched().
        int64_t written_ms = contact->until_ms - ACCOUNT_CONTACT_MS;
        int64_t lost_ms = contact->lost_until_ms < written_ms ? contact->lost_until_ms : written_ms;
        node->lost_ms = lost_ms > node->lost_ms ? lost_ms : node->lost_ms;
    }
    if (strcmp(node->boot, contact->boot) == 0) {
        node->wants_contact = false;
    }
}

void
account_vouched(struct account *account, const char *gateway_id, const char *node_id,
                const char *boot, const int64_t *vouched, const int64_t *alone)
{
    struct gateway *gateway = account_find_gateway(account, gateway_id);
    int index = gateway != NULL ? account_find_node(gateway, node_id) : -1;
    struct node *node = index >= 0 ? gateway->nodes[index] : NULL;
    if (node == NULL || strcmp(node->durable.boot, boot) != 0) {
        return; // the row changed meanwhile
    }
    bool is_heard = node->boot[0] != '\0';
    for (size_t i = 0; i < SL_SHARDS; i++) {
        bool is_same = !is_heard || strcmp(node->boot, boot) == 0;
        if (vouched != NULL && is_same && vouched[i] > node->confirmed[i]) {
            node->confirmed[i] = vouched[i];
        }
        if (alone != NULL && is_same && alone[i] > node->alone_ms[i]) {
            node->alone_ms[i] = alone[i];
        }
    }
}

// The node's memory is new: what it held in the old one counts as spent.
static void
lose_holds(struct account *account, const struct gateway *gateway, int index)
{
    for (struct key *key = account_key_after(account, NULL); key != NULL;
         key = account_key_after(account, key)) {
        for (size_t i = 0; key->gateway == gateway && i < SL_COUNTER_WINDOWS; i++) {
            struct span *span = &key->spans[i];
            struct hold *hold = account_find_hold(span, index);
            if (hold != NULL) {
                span->lost += account_held(hold);
                *hold = (struct hold){.node = (uint32_t)index};
            }
        }
    }
}

// Another memory speaks than the one that was known, here or to those who wrote the row.
static void
lose_memory(struct account *account, const struct gateway *gateway, int index, const char *boot,
            int64_t now_ms)
{
    struct node *node = gateway->nodes[index];
    const char *known = node->boot[0] != '\0' ? node->boot : node->durable.boot;
    if (known[0] == '\0' || strcmp(known, boot) == 0) {
        return;
    }
    lose_holds(account, gateway, index);
    note_alone(node);
    node->lost_divides = fewer(node->lost_divides, divisor(gateway, node));
    node->lost_ms = now_ms;
}

// The agent is new: messages to the old one are void, but what they allowed may have arrived.
static void
restart_messages(struct account *account, const struct gateway *gateway, int index)
{
    for (struct key *key = account_key_after(account, NULL); key != NULL;
         key = account_key_after(account, key)) {
        for (size_t i = 0; key->gateway == gateway && i < SL_COUNTER_WINDOWS; i++) {
            struct hold *hold = account_find_hold(&key->spans[i], index);
            if (hold != NULL) {
                hold->sent = account_held(hold);
                hold->allowed = hold->sent;
                hold->seq = 0;
                hold->acked = 0;
                hold->report = 0;
                hold->recalled_ms = 0;
                hold->told_exhausted = false;
            }
        }
    }
}

static int64_t
integer(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

bool
account_hear(struct account *account, struct gateway *gateway, int index, const json_t *request,
             int64_t now_ms)
{
    struct node *node = gateway->nodes[index];
    const char *boot = json_string_value(json_object_get(request, "boot"));
    int64_t incarnation = integer(request, "inc");
    if (boot == NULL || strlen(boot) != SL_ID_LEN) {
        return false;
    }
    bool is_same = strcmp(boot, node->boot) == 0;
    if (is_same && incarnation < node->incarnation) {
        return false;
    }
    if (!is_same) {
        lose_memory(account, gateway, index, boot, now_ms);
        memcpy(node->boot, boot, SL_ID_SIZE);
        memset(node->reported, 0, sizeof(node->reported));
    }
    if (!is_same || incarnation != node->incarnation) {
        restart_messages(account, gateway, index);
        node->incarnation = incarnation;
        memset(node->reported, 0, sizeof(node->reported));
    }
    node->heard_ms = now_ms;
    node->leaves = json_is_true(json_object_get(request, "leaves"));
    node->membership = integer(request, "membership");
    node->members = integer(request, "members");
    node->divides = integer(request, "divides");
    return true;
}

static bool
row_holds(const struct node *node, int64_t now_ms)
{
    return strcmp(node->boot, node->durable.boot) == 0 && node->durable.until_ms > now_ms;
}

// Whether every node that has a share has acknowledged the node's list.
static bool
all_acknowledged(const struct gateway *gateway, const struct node *node)
{
    for (size_t i = 0; i < gateway->node_count; i++) {
        const struct node *other = gateway->nodes[i];
        if (other->is_present && divisor(gateway, other) > 0 &&
            (other->membership < node->membership || other->members != (int64_t)gateway->present)) {
            return false;
        }
    }
    return node->members == (int64_t)gateway->present;
}

int64_t
account_may_divide(const struct gateway *gateway, const struct node *node)
{
    bool durable = strcmp(node->boot, node->durable.boot) == 0 &&
                   node->durable.divides == (int64_t)gateway->present;
    return durable && all_acknowledged(gateway, node) ? node->membership : 0;
}

// Until when the memory that the row speaks of may have been granted units: while the row let
// owners do so, and no longer than until another memory spoke: what is sent to the old one is void.
static int64_t
lost_until(const struct node *node)
{
    int64_t gone_ms = node->lost_ms != 0 ? node->lost_ms + ACCOUNT_CLOCKS_MS : INT64_MAX;
    return node->durable.until_ms < gone_ms ? node->durable.until_ms : gone_ms;
}

static void
wanted_row(const struct gateway *gateway, const struct node *node, int64_t now_ms,
           struct account_contact *ret_row)
{
    *ret_row = node->durable;
    if (strcmp(node->boot, node->durable.boot) != 0) {
        if (lost_until(node) > ret_row->lost_until_ms) {
            ret_row->lost_until_ms = lost_until(node);
        }
        memcpy(ret_row->boot, node->boot, sizeof(ret_row->boot));
    }
    ret_row->until_ms = now_ms + ACCOUNT_CONTACT_MS;
    ret_row->vouched = node->covered;
    ret_row->divides = all_acknowledged(gateway, node) ? (int64_t)gateway->present : -1;
}

void
account_contacts(struct account *account, int64_t now_ms, bool all,
                 void (*fn)(void *arg, const char *gateway_id, const char *node_id,
                            const struct account_contact *wanted),
                 void *arg)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            struct node *node = gateway->nodes[i];
            if (!node->is_present || now_ms - node->heard_ms > ACCOUNT_HEARD_MS) {
                continue;
            }
            struct account_contact wanted;
            wanted_row(gateway, node, now_ms, &wanted);
            if (all || !row_holds(node, now_ms + ACCOUNT_CONTACT_MS / 2) ||
                (wanted.divides >= 0 && wanted.divides != node->durable.divides)) {
                fn(arg, gateway->id, node->id, &wanted);
            }
        }
    }
}

bool
account_contacts_urgent(const struct account *account)
{
    for (struct gateway *gateway = zhashx_first(account->gateways); gateway != NULL;
         gateway = zhashx_next(account->gateways)) {
        for (size_t i = 0; i < gateway->node_count; i++) {
            if (gateway->nodes[i]->wants_contact) {
                return true;
            }
        }
    }
    return false;
}

// The node's part of the key's limit when it divides by so many.
static int64_t
share_of(const struct key *key, const struct node *node, int64_t divides)
{
    const struct gateway *gateway = key->gateway;
    if (!node->is_present || divides == 0) {
        return 0;
    }
    if (divides != (int64_t)gateway->present) {
        return (key->limit + divides - 1) / divides;
    }
    size_t self = 0;
    while (gateway->members[self] != node->member) {
        self++; // present nodes are among the members
    }
    struct sl_str text = {key->text, strlen(key->text)};
    return sl_counter_share(text, key->limit, gateway->members, gateway->present, self);
}

int64_t
account_own_share(const struct key *key, const struct node *node, uint32_t window)
{
    int64_t start_ms = account_window_start(key, window);
    bool is_alone = start_ms >= node->confirmed[key->shard] + SL_COUNTER_SHARE_MS;
    return is_alone ? share_of(key, node, divisor(key->gateway, node)) : 0;
}

int64_t
account_lost_share(const struct key *key, const struct node *node, uint32_t window)
{
    int64_t start_ms = account_window_start(key, window);
    bool was_alone =
        start_ms <= node->lost_ms && start_ms >= node->alone_ms[key->shard] + SL_COUNTER_SHARE_MS;
    int64_t divides = fewer(node->lost_divides, divisor(key->gateway, node));
    return was_alone ? share_of(key, node, divides) : 0;
}

bool
account_is_unknown(const struct account *account, const struct key *key, const struct node *node,
                   uint32_t window)
{
    const struct shard *shard = &account->shards[key->shard];
    int64_t start_ms = account_window_start(key, window);
    if (start_ms >= shard->clean_from_ms || !node->is_present) {
        return false;
    }
    int64_t lost_until_ms = node->durable.lost_until_ms;
    // The row speaks of a memory that is gone, and does not say so yet.
    if (node->boot[0] != '\0' && strcmp(node->boot, node->durable.boot) != 0 &&
        lost_until(node) > lost_until_ms) {
        lost_until_ms = lost_until(node);
    }
    bool may_have_lost = start_ms < lost_until_ms + ACCOUNT_AHEAD_MS && lost_until_ms != 0;
    bool may_hold = node->reported[key->shard] != shard->epoch &&
                    start_ms < node->durable.until_ms + ACCOUNT_AHEAD_MS;
    return may_have_lost || may_hold;
}
