// account_first.c - when an app called first since it has its quota.
//
// Windows of a quota without a time of its own begin with that call. The nodes that get it ask by a
// key which nothing is counted by (sl_counter_first_key()); the database says when it was, the same
// to every owner, and says "now" to the first. So there is nothing to hand over, and nothing that a
// memory which is lost takes along: whoever does not know asks again. Nodes are told by what they
// take for a window of which nothing is left, and of which others spent so many units as seconds of
// it had passed.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/throttle/account_state.h"

bool
account_is_first(const struct key *key)
{
    return key->window_s == SL_COUNTER_FIRST_S;
}

int64_t
account_first_passed(const struct key *key)
{
    uint32_t window = account_window(key, key->first_s * 1000);
    return key->first_s == 0 ? 0 : key->first_s - account_window_start(key, window) / 1000;
}

// Only of the window of that call, which is that of every call.
static void
tell(struct account *account, struct key *key, int node)
{
    uint32_t window = account_window(key, key->first_s * 1000);
    struct hold *hold = account_find_hold(&key->spans[window % SL_COUNTER_WINDOWS], node);
    if (hold != NULL) {
        hold->told_exhausted = true;
        hold->want = 0;
        account_mark(account, key, node);
    }
}

void
account_ask_first(struct account *account, struct key *key, int node)
{
    if (key->first_s == 0) {
        account_queue(account, key, QUEUE_RISING);
        return;
    }
    tell(account, key, node);
}

void
account_want_first(const struct key *key,
                   void (*fn)(void *arg, const struct account_ceiling *wanted), void *arg)
{
    struct account_ceiling wanted = {.gateway_id = key->gateway->id,
                                     .key = key->text,
                                     .window_s = key->window_s,
                                     .limit = key->limit,
                                     .ceiling = ACCOUNT_FIRST};
    fn(arg, &wanted);
}

void
account_learn_first(struct account *account, struct key *key, int64_t first_s)
{
    key->first_s = first_s;
    for (size_t i = 0; first_s > 0 && i < key->gateway->node_count; i++) {
        tell(account, key, (int)i);
    }
}
