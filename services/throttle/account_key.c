// account_key.c - the handing out of units.
//
// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <string.h>

#include "services/throttle/account_state.h"

#define RECALL_AGAIN_MS 40   // an unanswered recall is sent again after this
#define PATIENCE_MS     30   // that a request waits for a unit, there and back included
#define FLOW_MS         250  // how often a rate is computed
#define FLOW_AHEAD_S    3.0  // of demand that a node holds: longer than a lost owner is missed
#define FLOW_SPREAD     5.0  // standard deviations of demand beyond its mean that a grant covers
#define HANDFUL_PARTS   100  // a handful of units is this part of a limit
#define RATE_OVER_MS    3000 // a flow without news for this long has dried up

int64_t
account_held(const struct hold *hold)
{
    bool pending = hold->acked < hold->seq;
    return pending && hold->sent > hold->allowed ? hold->sent : hold->allowed;
}

void
account_mark(struct account *account, struct key *key, int node)
{
    account_queue(account, key, QUEUE_DIRTY);
    key->dirty |= 1ULL << node;
}

// -- units

// What the node counts for: what it holds, or what it may have taken as its share unseen.
static int64_t
charge(const struct key *key, struct span *span, int node)
{
    const struct hold *hold = account_find_hold(span, node);
    int64_t held = hold != NULL ? account_held(hold) : 0;
    int64_t share = account_own_share(key, key->gateway->nodes[node], span->window);
    return share > held ? share : held;
}

// How many units more `node` may be allowed; *ret_blocked when that cannot be known.
static int64_t
available(struct account *account, struct key *key, struct span *span, int node, bool *ret_blocked)
{
    const struct gateway *gateway = key->gateway;
    int64_t left = key->limit - span->lost - account_held(account_hold(span, node));
    bool has_unknown = false;
    bool known = true;
    for (size_t i = 0; i < gateway->node_count; i++) {
        if (account_is_unknown(account, key, gateway->nodes[i], span->window)) {
            has_unknown = true;
        }
        left -= (int)i != node ? charge(key, span, (int)i) : 0;
        left -= account_lost_share(key, gateway->nodes[i], span->window);
    }
    left -= has_unknown ? account_inherited(key, span) : 0;
    int64_t room = left > 0 ? account_room(account, key, span, has_unknown, &known) : 0;
    bool is_long = key->window_s >= ACCOUNT_LONG_S;
    *ret_blocked =
        !account->may_grant || !known || (has_unknown && !is_long) || (left > 0 && room == 0);
    left = left < room ? left : room;
    return *ret_blocked || left < 0 ? 0 : left;
}

// Only a node whose row says so may be granted anything: a later owner must know of it.
static bool
may_receive(struct node *node, int64_t now_ms)
{
    bool may = strcmp(node->boot, node->durable.boot) == 0 && node->durable.until_ms > now_ms;
    node->wants_contact = node->wants_contact || !may;
    return may && node->is_present && !node->leaves;
}

static void
grant(struct account *account, struct key *key, struct hold *hold, int64_t units)
{
    int64_t held = account_held(hold);
    hold->seq++;
    hold->sent = held + units;
    hold->recalled_ms = 0;
    hold->told_exhausted = false;
    account_mark(account, key, (int)hold->node);
}

static int64_t
unspent(const struct hold *hold)
{
    int64_t left = account_held(hold) - hold->used;
    return left > 0 ? left : 0;
}

// What a request that waits is about to take is not asked back meanwhile: else two nodes that want
// the last unit hand it to and fro until neither waits any more.
static int64_t
promised(const struct hold *hold, int64_t now_ms)
{
    int64_t left = unspent(hold);
    int64_t units = now_ms - hold->promised_ms < PATIENCE_MS ? hold->promised : 0;
    return units < left ? units : left;
}

static double
rate_of(const struct key *key, int node)
{
    for (uint32_t i = 0; i < key->flow_count; i++) {
        if (key->flows[i].node == (uint32_t)node) {
            return key->flows[i].rate;
        }
    }
    return 0;
}

// Asks one node for units back: all that it needs not, half of what it is using.
static bool
recall(struct account *account, struct key *key, struct hold *hold, int64_t units, int64_t now_ms)
{
    int64_t spare = unspent(hold) - promised(hold, now_ms);
    if (rate_of(key, (int)hold->node) > 1) {
        spare = (spare + 1) / 2;
    }
    units = units < spare ? units : spare;
    if (units == 0) {
        return false;
    }
    int64_t held = account_held(hold);
    hold->seq++;
    hold->allowed = held; // until the node acknowledges, it counts for all of it
    hold->sent = held - units;
    hold->recalled_ms = now_ms;
    account_mark(account, key, (int)hold->node);
    return true;
}

static bool
is_heard(const struct node *node, int64_t now_ms)
{
    return node->is_present && now_ms - node->heard_ms <= ACCOUNT_HEARD_MS;
}

// Asks other nodes for `units`; true while an answer is awaited.
static bool
recall_for(struct account *account, struct key *key, struct span *span, int64_t units,
           int64_t now_ms)
{
    bool awaited = false;
    for (uint32_t i = 0; i < span->hold_count; i++) {
        struct hold *hold = &span->holds[i];
        if (hold->want > 0 || !is_heard(key->gateway->nodes[hold->node], now_ms)) {
            continue;
        }
        if (hold->recalled_ms != 0) {
            awaited = true;
            if (now_ms - hold->recalled_ms >= RECALL_AGAIN_MS) {
                hold->recalled_ms = now_ms;
                account_mark(account, key, (int)hold->node);
            }
            continue;
        }
        awaited = awaited || promised(hold, now_ms) > 0;
        int64_t asked = unspent(hold);
        if (units > 0 && recall(account, key, hold, units, now_ms)) {
            awaited = true;
            units -= asked;
        }
    }
    return awaited;
}

static void
tell_exhausted(struct account *account, struct key *key, struct span *span)
{
    for (uint32_t i = 0; i < span->hold_count; i++) {
        struct hold *hold = &span->holds[i];
        if (hold->want > 0 && !hold->told_exhausted) {
            hold->told_exhausted = true;
            account_mark(account, key, (int)hold->node);
        }
    }
}

// What the node will need of the window soon, and not beyond its end.
static double
soon_needed(const struct key *key, uint32_t window, int node, int64_t now_ms)
{
    double left_s = (double)(account_window_start(key, window + 1) - now_ms) / 1000;
    double ahead_s = left_s < FLOW_AHEAD_S ? left_s : FLOW_AHEAD_S;
    return ahead_s > 0 ? rate_of(key, node) * ahead_s : 0;
}

// What is worth an exchange in a long window: it costs as much for one unit as for many, and so
// does a ceiling to write; what a node does not spend is asked back when another wants it.
static int64_t
handful(const struct key *key)
{
    return key->window_s >= ACCOUNT_LONG_S ? key->limit / HANDFUL_PARTS : 0;
}

// A unit for each that waits, and some for those who will come: as much again, or what is needed
// soon, as long as the others could have as much too; a handful as long as there are two of them.
static int64_t
generous(const struct key *key, int64_t want, int64_t left, double soon)
{
    int64_t extra = (int64_t)ceil(soon);
    int64_t fair = (left - want) / (int64_t)(key->gateway->present + 1);
    extra = extra > want ? extra : want;
    extra = extra < fair ? extra : fair;
    bool is_plenty = (left - want) / 2 >= handful(key);
    extra = is_plenty && handful(key) > extra ? handful(key) : extra;
    return want + (extra > 0 ? extra : 0);
}

// What came of serving a window's wants.
struct served {
    int64_t lacking; // units that are still wanted
    bool is_blocked; // some of them only until more is known
};

// Grants one node what it wants, as far as there is any.
static void
serve_hold(struct account *account, struct key *key, struct span *span, struct hold *hold,
           int64_t now_ms, struct served *served)
{
    int node = (int)hold->node;
    bool blocked;
    int64_t left = available(account, key, span, node, &blocked);
    bool receives = may_receive(key->gateway->nodes[node], now_ms);
    if (left == 0 || !receives) {
        served->is_blocked = served->is_blocked || blocked || !receives;
        served->lacking += hold->want;
        return;
    }
    double soon = soon_needed(key, span->window, node, now_ms);
    int64_t units = left <= hold->want ? left : generous(key, hold->want, left, soon);
    hold->promised = promised(hold, now_ms) + (units < hold->want ? units : hold->want);
    hold->promised_ms = now_ms;
    hold->want = hold->want > units ? hold->want - units : 0;
    served->lacking += hold->want;
    grant(account, key, hold, units);
}

// Serves one window: requests that wait before those that were refused meanwhile. True while
// somebody still wants.
static bool
serve_span(struct account *account, struct key *key, struct span *span, int64_t now_ms)
{
    struct served served = {0, false};
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < span->hold_count; i++) {
            struct hold *hold = &span->holds[i];
            bool waits = now_ms - hold->want_ms < PATIENCE_MS;
            if (hold->want > 0 && waits == (turn == 0)) {
                serve_hold(account, key, span, hold, now_ms, &served);
            }
        }
    }
    int64_t recalled = served.is_blocked ? 0 : served.lacking;
    if (served.lacking > 0 && !recall_for(account, key, span, recalled, now_ms) &&
        !served.is_blocked) {
        tell_exhausted(account, key, span);
    }
    return served.lacking > 0;
}

// The limit was lowered: asks back what nodes hold beyond it.
static void
trim_span(struct account *account, struct key *key, struct span *span, int64_t now_ms)
{
    int64_t held = span->lost;
    for (uint32_t i = 0; i < span->hold_count; i++) {
        held += account_held(&span->holds[i]);
    }
    if (held > key->limit) {
        recall_for(account, key, span, held - key->limit, now_ms);
    }
}

void
account_serve(struct account *account, struct key *key, int64_t now_ms)
{
    uint32_t current = account_window(key, now_ms);
    bool wants = false;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        struct span *span = &key->spans[i];
        bool is_due = span->window >= current &&
                      account_window_start(key, span->window) - now_ms <= ACCOUNT_AHEAD_MS;
        if (is_due) {
            trim_span(account, key, span, now_ms);
            wants = serve_span(account, key, span, now_ms) || wants;
        }
    }
    if (wants) {
        account_queue(account, key, QUEUE_HUNGRY);
    }
}

// -- demand

void
account_demand(struct key *key, int node, int64_t units, int64_t now_ms)
{
    struct flow *flow = account_flow(key, node);
    int64_t passed_ms = now_ms - flow->at_ms;
    flow->pending += units;
    if (passed_ms < FLOW_MS) {
        return;
    }
    double rate = (double)flow->pending * 1000 / (double)passed_ms;
    flow->rate = passed_ms > RATE_OVER_MS ? rate : (flow->rate + rate) / 2;
    flow->pending = 0;
    flow->at_ms = now_ms;
}

// The most that is likely to come where `mean` is expected: requests come when they like, and the
// fewer they are, the further from their mean.
static double
likely(double mean)
{
    return mean * 1.1 + FLOW_SPREAD * sqrt(mean);
}

// What the node will need of a window that has not begun: its demand of the time that it will be
// granted for. Where the limit has room for the likely demand of all nodes, each gets its own;
// else hardly more than the mean, and not more than its part of the limit.
static int64_t
expected(const struct key *key, int node)
{
    double span_s =
        key->window_s < ACCOUNT_AHEAD_MS / 1000 ? key->window_s : ACCOUNT_AHEAD_MS / 1000;
    double all = 0;
    double all_likely = 0;
    for (uint32_t i = 0; i < key->flow_count; i++) {
        all += key->flows[i].rate;
        all_likely += likely(key->flows[i].rate * span_s);
    }
    double mean = rate_of(key, node) * span_s;
    if (all_likely <= (double)key->limit) {
        return (int64_t)likely(mean);
    }
    double part = (double)key->limit * rate_of(key, node) / all;
    double units = mean * 1.1;
    return (int64_t)(units < part ? units : part);
}

static void
raise_to(struct account *account, struct key *key, uint32_t window, int node, int64_t target)
{
    struct span *span = account_span(key, window);
    if (span == NULL || target <= 0) {
        return;
    }
    struct hold *hold = account_hold(span, node);
    bool blocked;
    int64_t left = available(account, key, span, node, &blocked);
    int64_t units = target - account_held(hold);
    units = units < left ? units : left;
    if (units > 0) {
        grant(account, key, hold, units);
    }
}

void
account_provide(struct account *account, struct key *key, int node, int64_t now_ms)
{
    if (!may_receive(key->gateway->nodes[node], now_ms)) {
        return;
    }
    uint32_t current = account_window(key, now_ms);
    struct span *span = account_span(key, current);
    int64_t ahead = (int64_t)soon_needed(key, current, node, now_ms);
    if (span != NULL && ahead > 0) {
        struct hold *hold = account_hold(span, node);
        bool blocked;
        int64_t fair =
            available(account, key, span, node, &blocked) / (int64_t)(key->gateway->present + 1);
        int64_t lacking = ahead - unspent(hold);
        lacking = lacking < fair ? lacking : fair;
        raise_to(account, key, current, node, account_held(hold) + lacking);
    }
    for (uint32_t window = current + 1; window < current + SL_COUNTER_WINDOWS - 1; window++) {
        if (account_window_start(key, window) - now_ms > ACCOUNT_AHEAD_MS) {
            break;
        }
        raise_to(account, key, window, node, expected(key, node));
    }
}
