// grants_report.c - what goes out: reports of slots, sweeps of owners, questions.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "services/node/grants_state.h"

#define PARTS_TICK 4 // requests of a sweep that are sent at one time: some milliseconds' work
#define PARTS_OUT  4 // requests of a sweep that are out at once

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
grants_end_request(struct grants *grants, struct grants_request *request)
{
    if (request->token != 0 && request->owner != GRANTS_NO_OWNER) {
        grants->owners[request->owner].out--;
    }
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
    uint16_t shard_turn = grants->shards[ret_state->shard].turn;
    if (mine->turn != ret_state->turn) {
        memset(mine, 0, sizeof(*mine));
        mine->turn = ret_state->turn;
    }
    if (mine->shard_turn != shard_turn) {
        mine->shard_turn = shard_turn;
        memset(mine->seq, 0, sizeof(mine->seq));
        memset(mine->window, 0, sizeof(mine->window));
    }
    return mine;
}

void
grants_want(struct grants_slot *mine, uint32_t wants)
{
    uint32_t room = GRANTS_WANT_MAX - mine->want;
    mine->want = (mine->want + (wants < room ? wants : room)) & GRANTS_WANT_MAX;
}

void
grants_note(struct grants *grants, uint32_t slot)
{
    grants->news[slot / 64] |= 1ULL << (slot % 64);
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
        grants_end_request(grants, request);
        return NULL;
    }
    request->token = ++grants->next_token;
    request->owner = owner;
    request->sent_ms = mono_ms;
    if (owner != GRANTS_NO_OWNER) {
        grants->owners[owner].out++;
    }
    return request;
}

// What the node says of itself in every request.
static json_t *
new_body(struct grants *grants)
{
    return json_pack("{sssIsIsIsIsIsb}", "boot", sl_counters_boot(grants->counters), "inc",
                     (json_int_t)grants->options.incarnation, "n",
                     (json_int_t)++grants->next_report, "membership",
                     (json_int_t)grants->membership, "members", (json_int_t)grants->member_count,
                     "divides", (json_int_t)grants->divides, "leaves", grants->leaves);
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
key_report(const struct grants *grants, const struct grants_slot *mine, const char *key,
           const struct sl_counter_state *state, int64_t mono_ms)
{
    uint32_t want = mine->want;
    uint32_t current = current_window(grants, state, mono_ms);
    json_t *windows = json_array();
    bool has_current = false;
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        const struct sl_counter_span *span = &state->spans[i];
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
    return json_pack("{sssIsIsIso}", "k", key, "s", (json_int_t)state->window_s, "l",
                     (json_int_t)state->limit, "r", (json_int_t)state->revision, "w", windows);
}

static void
add_slot(struct grants *grants, struct grants_request *request, json_t *keys, uint32_t slot,
         int64_t mono_ms)
{
    struct sl_counter_state state;
    struct sl_counter_key key;
    // Before it is read: what changes from here on is news again. A sweep vouches for its own parts
    // alone, so what it has yet to send stays news.
    if (request->is_sweep || !grants->owners[request->owner].sweep.is_open) {
        grants->news[slot / 64] &= ~(1ULL << (slot % 64));
    }
    struct grants_slot *mine = grants_slot(grants, slot, &state);
    if (mine == NULL || !sl_counters_key(grants->counters, slot, &state, &key)) {
        return;
    }
    grants_want(mine, sl_counters_wanted(grants->counters, slot));
    request->slots[request->count] = slot;
    request->wants[request->count] = mine->want;
    request->count++;
    json_array_append_new(keys, key_report(grants, mine, key.text, &state, mono_ms));
    mine->sent_ms = (uint16_t)mono_ms;
    mine->want = 0;
    mine->in_flight = 1;
    mine->again = 0;
}

static void
send_request(struct grants *grants, struct grants_request *request, json_t *keys, uint32_t shard)
{
    json_t *body = new_body(grants);
    json_object_set_new(body, "shards", shard_runs(grants, request));
    json_object_set_new(body, "keys", keys);
    grants->options.send(grants->options.arg, shard, body, request->token);
}

static void
report_part(struct grants *grants, uint8_t owner, const uint32_t *slots, size_t count,
            int64_t mono_ms)
{
    struct grants_request *request = new_request(grants, owner, count, mono_ms);
    for (size_t i = 0; i < count && request == NULL; i++) {
        grants_note(grants, slots[i]); // the next sweep says it
    }
    if (request == NULL) {
        return;
    }
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++) {
        add_slot(grants, request, keys, slots[i], mono_ms);
    }
    send_request(grants, request, keys, grants->owners[owner].route);
}

// In parts: an owner answers others only when it is done with a message.
void
grants_report_slots(struct grants *grants, uint8_t owner, const uint32_t *slots, size_t count,
                    int64_t mono_ms)
{
    for (size_t done = 0; done < count; done += GRANTS_PART) {
        size_t left = count - done;
        report_part(grants, owner, slots + done, left < GRANTS_PART ? left : GRANTS_PART, mono_ms);
    }
}

// -- sweeps

static bool
is_news(const struct grants *grants, uint32_t slot)
{
    return (grants->news[slot / 64] >> (slot % 64) & 1) != 0;
}

// Whether some window from `first` on has been granted or shared.
static bool
holds_from(const struct sl_counter_state *state, uint32_t first, uint32_t least)
{
    for (size_t i = 0; i < SL_COUNTER_WINDOWS; i++) {
        if (state->spans[i].window >= first && state->spans[i].window > 0 &&
            state->spans[i].allowed >= least) {
            return true;
        }
    }
    return false;
}

// Whether there is something to say of the slot to the owner: it changed, or wants. What is over
// is no news any more.
static bool
is_worth(struct grants *grants, uint8_t owner, uint32_t slot, int64_t mono_ms)
{
    struct sl_counter_state state;
    const struct grants_slot *mine = grants_slot(grants, slot, &state);
    if (mine != NULL && grants->shards[state.shard].owner != owner) {
        return false;
    }
    bool is_worth =
        mine != NULL && (mine->want > 0 || mine->in_flight != 0 ||
                         holds_from(&state, current_window(grants, &state, mono_ms) - 1, 0));
    if (!is_worth) {
        grants->news[slot / 64] &= ~(1ULL << (slot % 64));
    }
    return is_worth;
}

// The shard of a slot that belongs into a full report to the owner; SL_SHARDS: none.
static uint32_t
shard_in_full(struct grants *grants, uint8_t owner, uint32_t slot, int64_t mono_ms)
{
    struct sl_counter_state state;
    if (!sl_counters_read(grants->counters, slot, &state)) {
        return SL_SHARDS;
    }
    const struct grants_shard *shard = &grants->shards[state.shard];
    if (shard->owner != owner || !shard->needs_full) {
        return SL_SHARDS;
    }
    bool belongs = holds_from(&state, current_window(grants, &state, mono_ms), 1) ||
                   (is_news(grants, slot) && is_worth(grants, owner, slot, mono_ms));
    return belongs ? state.shard : SL_SHARDS;
}

static bool
owes_full(const struct grants *grants, uint8_t owner)
{
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        if (grants->shards[i].owner == owner && grants->shards[i].needs_full) {
            return true;
        }
    }
    return false;
}

// The slot after `slot` (UINT32_MAX: the first) that may hold a counter.
static uint32_t
slot_after(const struct grants *grants, uint32_t slot)
{
    uint32_t overflow = grants->slot_count - SL_COUNTER_OVERFLOWS;
    uint32_t next = slot + 1;
    return next >= sl_counters_used(grants->counters) && next < overflow ? overflow : next;
}

// Lists what the owner must hear in full, in order of shard. Two looks at all slots, but only after
// a shard got an owner. What holds something only since the first look stays news: it is a share
// of a window that this sweep does not vouch for.
static struct grants_full *
list_full(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    uint32_t counts[SL_SHARDS + 1] = {0};
    uint32_t at[SL_SHARDS];
    uint32_t total = 0;
    uint32_t slot;
    for (slot = slot_after(grants, UINT32_MAX); slot < grants->slot_count;
         slot = slot_after(grants, slot)) {
        counts[shard_in_full(grants, owner, slot, mono_ms)]++;
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        at[i] = total;
        total += counts[i];
    }
    struct grants_full *full = malloc(sizeof(*full) + total * sizeof(full->slots[0]));
    if (full == NULL) {
        return NULL;
    }
    memset(full->slots, 0xff, total * sizeof(full->slots[0]));
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        full->ends[i] = at[i] + counts[i];
    }
    for (slot = slot_after(grants, UINT32_MAX); slot < grants->slot_count;
         slot = slot_after(grants, slot)) {
        uint32_t shard = shard_in_full(grants, owner, slot, mono_ms);
        if (shard != SL_SHARDS && at[shard] < full->ends[shard]) {
            full->slots[at[shard]++] = slot;
        }
    }
    return full;
}

// Sends a part of a sweep: `count` slots, which are all of the shards from full[0] up to full[1].
static void
send_part(struct grants *grants, uint8_t owner, const uint32_t *slots, size_t count,
          const uint32_t full[2], int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    struct grants_request *request = new_request(grants, owner, count, mono_ms);
    if (request == NULL) {
        to->sweep_failed = true;
        grants_end_sweep(to);
        return;
    }
    request->is_sweep = true;
    request->full_from = full[0];
    request->full_to = full[1];
    json_t *keys = json_array();
    for (size_t i = 0; i < count; i++) {
        if (slots[i] != UINT32_MAX) {
            add_slot(grants, request, keys, slots[i], mono_ms);
        }
    }
    to->sweep_parts++;
    to->sweep.is_heard = true;
    send_request(grants, request, keys, to->route);
}

// The next shards of what has to be heard in full.
static void
send_full_part(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_sweep *sweep = &grants->owners[owner].sweep;
    uint32_t full[2] = {sweep->full_shard, sweep->full_shard};
    uint32_t from = full[0] == 0 ? 0 : sweep->full->ends[full[0] - 1];
    uint32_t to = from;
    while (full[1] < SL_SHARDS && (to - from < GRANTS_PART || sweep->full->ends[full[1]] == to)) {
        to = sweep->full->ends[full[1]++];
    }
    sweep->full_shard = full[1];
    send_part(grants, owner, sweep->full->slots + from, to - from, full, mono_ms);
    if (sweep->full_shard == SL_SHARDS) {
        free(sweep->full);
        sweep->full = NULL;
    }
}

// The next of what else changed; nothing of it only when a part has gone out: that was the
// heartbeat.
static void
send_news_part(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_sweep *sweep = &grants->owners[owner].sweep;
    const uint32_t words = (grants->slot_count + 63) / 64;
    const uint32_t none[2] = {0, 0};
    uint32_t slots[GRANTS_PART + 64];
    size_t count = 0;
    for (; sweep->next_word < words && count < GRANTS_PART; sweep->next_word++) {
        uint64_t bits = grants->news[sweep->next_word];
        for (; bits != 0; bits &= bits - 1) {
            uint32_t slot = sweep->next_word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (is_worth(grants, owner, slot, mono_ms)) {
                slots[count++] = slot;
            }
        }
    }
    sweep->is_open = sweep->next_word < words;
    if (count > 0 || !sweep->is_heard) {
        send_part(grants, owner, slots, count, none, mono_ms);
    }
}

void
grants_sweep_on(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    if (!to->sweep.is_open) {
        return;
    }
    for (int i = 0; i < PARTS_TICK && to->sweep.is_open && to->sweep_parts < PARTS_OUT; i++) {
        if (to->sweep.full != NULL) {
            send_full_part(grants, owner, mono_ms);
        } else {
            send_news_part(grants, owner, mono_ms);
        }
    }
    grants_conclude_sweep(grants, owner);
}

void
grants_end_sweep(struct grants_owner *owner)
{
    free(owner->sweep.full);
    owner->sweep = (struct grants_sweep){.is_open = false};
}

void
grants_conclude_sweep(struct grants *grants, uint8_t owner)
{
    const struct grants_owner *of = &grants->owners[owner];
    if (of->sweep.is_open || of->sweep_parts > 0 || of->sweep_failed) {
        return;
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        struct grants_shard *shard = &grants->shards[i];
        if (shard->owner == owner && shard->sweep_ms > shard->vouched_ms) {
            shard->vouched_ms = shard->sweep_ms;
        }
    }
}

// What is on its way to the owner may be lost: the sweep vouches for it as well.
static void
note_requests(struct grants *grants, uint8_t owner)
{
    for (size_t i = 0; i < GRANTS_REQUESTS; i++) {
        const struct grants_request *request = &grants->requests[i];
        for (uint32_t j = 0; request->token != 0 && request->owner == owner && j < request->count;
             j++) {
            grants_note(grants, request->slots[j]);
        }
    }
}

void
grants_sweep(struct grants *grants, uint8_t owner, int64_t mono_ms)
{
    struct grants_owner *to = &grants->owners[owner];
    if (to->sweep.is_open || to->sweep_parts > 0) {
        return;
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        bool ours = grants->shards[i].owner == owner;
        grants->shards[i].sweep_ms =
            ours ? sl_counters_confirmed(grants->counters, i) : grants->shards[i].sweep_ms;
    }
    to->beat_ms = mono_ms;
    note_requests(grants, owner);
    sl_counters_changed(grants->counters, grants->news);
    to->sweep = (struct grants_sweep){.is_open = true};
    bool owes = owes_full(grants, owner);
    to->sweep.full = owes ? list_full(grants, owner, mono_ms) : NULL;
    to->sweep_failed = owes && to->sweep.full == NULL;
}

void
grants_probe(struct grants *grants, uint32_t shard, int64_t mono_ms)
{
    struct grants_request *request = new_request(grants, GRANTS_NO_OWNER, 0, mono_ms);
    if (request != NULL) {
        send_request(grants, request, json_array(), shard);
    }
}

// -- the end

// Lowers what the node may spend to what it has spent.
static void
give_up(struct grants *grants)
{
    struct sl_counter_state state;
    for (uint32_t slot = slot_after(grants, UINT32_MAX); slot < grants->slot_count;
         slot = slot_after(grants, slot)) {
        bool is_used = sl_counters_read(grants->counters, slot, &state);
        for (size_t i = 0; is_used && i < SL_COUNTER_WINDOWS; i++) {
            const struct sl_counter_span *span = &state.spans[i];
            if (span->window != 0 && span->allowed > span->used) {
                const struct sl_counter_span spent = {span->window, span->used, 0};
                struct sl_counter_span after;
                sl_counters_apply(grants->counters, slot, &spent, 0, false, &after);
                grants_note(grants, slot);
            }
        }
    }
}

bool
grants_leave(struct grants *grants, int64_t mono_ms)
{
    bool is_done = true;
    grants->leaves = true;
    for (uint8_t i = 0; i < GRANTS_OWNERS; i++) {
        struct grants_owner *owner = &grants->owners[i];
        if (owner->shards == 0 || !owner->is_up) {
            continue; // nobody there to give it to
        }
        if (!owner->has_all && !owner->sweep.is_open && owner->sweep_parts == 0) {
            give_up(grants); // for each: what was under way may have arrived meanwhile
            grants_sweep(grants, i, mono_ms);
            owner->has_all = true;
        }
        grants_sweep_on(grants, i, mono_ms);
        is_done = is_done && owner->has_all && !owner->sweep.is_open && owner->sweep_parts == 0;
    }
    return is_done;
}
