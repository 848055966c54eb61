// grants_report.c - what goes out: reports of slots, sweeps of owners, questions.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "services/node/grants_state.h"

#define PART_KEYS 400 // keys of one request, give or take a shard

struct grants_request *
grants_find_request(struct grants *grants, uint64_t token)
{
    for (size_t i = 0; i < GRANTS_REQUESTS; i++) {
        if (grants->requests[i].token == token) {
            return &grants->requests[i];
        }
    }
    return NULL;
}

void
grants_end_request(struct grants_request *request)
{
    free(request->slots);
    free(request->wants);
    *request = (struct grants_request){.token = 0};
}

struct grants_slot *
grants_slot(struct grants *grants, uint32_t slot, struct sl_counter_state *ret_state)
{
    if (!sl_counters_read(grants->counters, slot, ret_state)) {
        return NULL;
    }
    struct grants_slot *mine = &grants->slots[slot];
    int64_t epoch = grants->shards[ret_state->shard].epoch;
    if (mine->tag != ret_state->tag) {
        memset(mine, 0, sizeof(*mine));
        mine->tag = ret_state->tag;
    }
    if (mine->epoch != epoch) {
        mine->epoch = epoch;
        memset(mine->seq, 0, sizeof(mine->seq));
        memset(mine->window, 0, sizeof(mine->window));
    }
    return mine;
}

static uint32_t
current_window(const struct grants *grants, const struct sl_counter_state *state, int64_t mono_ms)
{
    return sl_counter_window(sl_counters_clock(grants->counters, mono_ms) + state->lead_ms,
                             state->window_s);
}

static struct grants_request *
new_request(struct grants *grants, uint8_t owner, size_t slots, int64_t mono_ms)
{
    struct grants_request *request = grants_find_request(grants, 0);
    if (request == NULL) {
        return NULL;
    }
    request->slots = calloc(slots + 1, sizeof(*request->slots));
    request->wants = calloc(slots + 1, sizeof(*request->wants));
    if (request->slots == NULL || request->wants == NULL) {
        grants_end_request(request);
        return NULL;
    }
    request->token = ++grants->next_token;
    request->owner = owner;
    request->sent_ms = mono_ms;
    return request;
}

// What the node says of itself in every request.
static json_t *
new_body(struct grants *grants)
{
    return json_pack("{sssIsIsIsIsI}", "boot", sl_counters_boot(grants->counters), "inc",
                     (json_int_t)grants->options.incarnation, "n",
                     (json_int_t)++grants->next_report, "membership",
                     (json_int_t)grants->membership, "members", (json_int_t)grants->member_count,
                     "divides", (json_int_t)grants->divides);
}

static bool
is_full(const struct grants_request *request, const struct grants_shard *shard, uint32_t number)
{
    return shard->needs_full && number >= request->full_from && number < request->full_to;
}

// Runs of the owner's shards that agree: [[first, last, epoch, vouched, full], …].
static json_t *
shard_runs(const struct grants *grants, const struct grants_request *request)
{
    json_t *runs = json_array();
    for (uint32_t first = 0; first < SL_SHARDS;) {
        const struct grants_shard *shard = &grants->shards[first];
        uint32_t next = first + 1;
        bool full = is_full(request, shard, first);
        while (next < SL_SHARDS && grants->shards[next].owner == shard->owner &&
               grants->shards[next].epoch == shard->epoch &&
               grants->shards[next].vouched_ms == shard->vouched_ms &&
               is_full(request, &grants->shards[next], next) == full) {
            next++;
        }
        if (shard->owner == request->owner && shard->owner != GRANTS_NO_OWNER) {
            json_array_append_new(runs,
                                  json_pack("[iiIIb]", first, next - 1, (json_int_t)shard->epoch,
                                            (json_int_t)shard->vouched_ms, full));
        }
        first = next;
    }
    return runs;
}

static uint32_t
last_applied(const struct grants_slot *mine, size_t i, uint32_t window)
{
    return mine->window[i] == window ? mine->seq[i] : 0;
}

// One key: {k, s, l, r, w: [[window, seq, allowed, used, want], …]}; windows that are over stay
// out.
static json_t *
key_report(struct grants *grants, struct grants_slot *mine, const struct sl_counter_state *state,
           uint32_t want, int64_t mono_ms)
{
    uint32_t current = current_window(grants, state, mono_ms);
    json_t *windows = json_array();
    bool has_current = false;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        const struct sl_counter_span *span = &state->spans[i];
        mine->reported[i] = *span;
        if (span->window == 0 || span->window + 1 < current) {
            continue;
        }
        bool is_current = span->window == current;
        has_current = has_current || is_current;
        json_array_append_new(windows, json_pack("[IIIII]", (json_int_t)span->window,
                                                 (json_int_t)last_applied(mine, i, span->window),
                                                 (json_int_t)span->allowed, (json_int_t)span->used,
                                                 (json_int_t)(is_current ? want : 0)));
    }
    if (!has_current) {
        json_array_append_new(windows, json_pack("[IIIII]", (json_int_t)current, (json_int_t)0,
                                                 (json_int_t)0, (json_int_t)0, (json_int_t)want));
    }
    mine->sent_ms = mono_ms;
    return json_pack("{sssIsIsIso}", "k", state->key.text, "s", (json_int_t)state->window_s, "l",
                     (json_int_t)state->limit, "r", (json_int_t)state->revision, "w", windows);
}

static void
add_slot(struct grants *grants, struct grants_request *request, json_t *keys, uint32_t slot,
         int64_t mono_ms)
{
    struct sl_counter_state state;
    struct grants_slot *mine = grants_slot(grants, slot, &state);
    if (mine == NULL) {
        return;
    }
    mine->want += sl_counters_wanted(grants->counters, slot);
    request->slots[request->count] = slot;
    request->wants[request->count] = mine->want;
    request->count++;
    json_array_append_new(keys, key_report(grants, mine, &state, mine->want, mono_ms));
    mine->want = 0;
    mine->in_flight = true;
    mine->again = false;
}

static void
send_request(struct grants *grants, struct grants_request *request, json_t *keys, uint32_t shard)
{
    json_t *body = new_body(grants);
    json_object_set_new(body, "shards", shard_runs(grants, request));
    json_object_set_new(body, "keys", keys);
    grants->options.send(grants->options.arg, shard, body, request->token);
}

void
grants_report_slots(struct grants *grants, uint8_t owner, const uint32_t *slots, size_t count,
                    int64_t mono_ms)
{
    struct grants_request *request = new_request(grants, owner, count, mono_ms);
    if (request == NULL) {
        return; // the next sweep says it
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++) {
        add_slot(grants, request, keys, slots[i], mono_ms);
    }
    send_request(grants, request, keys, grants->owners[owner].route);
}

// -- sweeps

struct swept {
    uint32_t shard;
    uint32_t slot;
};

static int
compare_swept(const void *left, const void *right)
{
    const struct swept *a = left;
    const struct swept *b = right;
    return (a->shard > b->shard) - (a->shard < b->shard);
}

static bool
has_news(const struct grants_slot *mine, const struct sl_counter_state *state, uint32_t current)
{
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        const struct sl_counter_span *now = &state->spans[i];
        const struct sl_counter_span *then = &mine->reported[i];
        bool differs =
            now->window != then->window || now->allowed != then->allowed || now->used != then->used;
        if (now->window != 0 && now->window + 1 >= current && differs) {
            return true;
        }
    }
    return mine->want > 0 || mine->in_flight; // what is out may be lost; a sweep vouches for all
}

static bool
holds_something(const struct sl_counter_state *state, uint32_t current)
{
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        if (state->spans[i].window >= current && state->spans[i].allowed > 0) {
            return true;
        }
    }
    return false;
}

static size_t
collect_swept(struct grants *grants, uint8_t owner, int64_t mono_ms, struct swept *ret_swept)
{
    size_t count = 0;
    struct sl_counter_state state;
    for (uint32_t slot = 0; slot < grants->slot_count; slot++) {
        struct grants_slot *mine = grants_slot(grants, slot, &state);
        if (mine == NULL || grants->shards[state.shard].owner != owner) {
            continue;
        }
        uint32_t current = current_window(grants, &state, mono_ms);
        bool needs_full = grants->shards[state.shard].needs_full;
        if (has_news(mine, &state, current) || (needs_full && holds_something(&state, current))) {
            ret_swept[count++] = (struct swept){state.shard, slot};
        }
    }
    qsort(ret_swept, count, sizeof(*ret_swept), compare_swept);
    return count;
}

// One request of a sweep: slots from..to of the list, which are all of the shards full_from to
// full_to.
static void
send_part(struct grants *grants, uint8_t owner, const struct swept *swept, size_t count,
          const uint32_t full[2], int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    struct grants_request *request = new_request(grants, owner, count, mono_ms);
    if (request == NULL) {
        to->sweep_failed = true;
        return;
    }
    request->is_sweep = true;
    request->full_from = full[0];
    request->full_to = full[1];
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++) {
        add_slot(grants, request, keys, swept[i].slot, mono_ms);
    }
    to->sweep_parts++;
    send_request(grants, request, keys, to->route);
}

void
grants_sweep(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    struct swept *swept = calloc(grants->slot_count, sizeof(*swept));
    if (swept == NULL || to->sweep_parts > 0) {
        free(swept);
        return;
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        bool ours = grants->shards[i].owner == owner;
        grants->shards[i].sweep_ms =
            ours ? sl_counters_confirmed(grants->counters, i) : grants->shards[i].sweep_ms;
    }
    to->sweep_failed = false;
    to->beat_ms = mono_ms;
    size_t count = collect_swept(grants, owner, mono_ms, swept);
    size_t at = 0;
    uint32_t full[2] = {0, 0};
    do {
        size_t end = at;
        while (end < count && (end - at < PART_KEYS || swept[end].shard == swept[end - 1].shard)) {
            end++;
        }
        full[0] = full[1];
        full[1] = end == count ? SL_SHARDS : swept[end].shard;
        send_part(grants, owner, swept + at, end - at, full, mono_ms);
        at = end;
    } while (at < count);
    free(swept);
}

void
grants_probe(struct grants *grants, uint32_t shard, int64_t mono_ms)
{
    struct grants_request *request = new_request(grants, GRANTS_NO_OWNER, 0, mono_ms);
    if (request != NULL) {
        send_request(grants, request, json_array(), shard);
    }
}
