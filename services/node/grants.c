// grants.c - what comes in: workers' requests, owners' answers and events, the list of nodes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/grants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "services/node/grants_state.h"

#define BEAT_MS     500  // between heartbeats to an owner
#define PROBE_MS    200  // between questions to unknown owners
#define SILENT_MS   1500 // an owner that has not answered for longer is down
#define PATIENCE_MS 20   // that a request waits for a unit
#define AGAIN_MS    8    // before the same slot is reported again for requests already reported
#define RTT_MAX_MS  100  // a slower answer says nothing about the clock
#define STEP_MS     1000 // a clock that is further off is set, not slewed
#define ASKED_MAX   4096 // slots taken from the board at once
#define URGENT_MAX  1024 // recalls to acknowledge at once; more wait for the sweep

struct grants *
grants_new(const struct grants_options *options)
{
    struct grants *grants = calloc(1, sizeof(*grants));
    if (grants == NULL) {
        return NULL;
    }
    grants->options = *options;
    snprintf(grants->node_id, sizeof(grants->node_id), "%s", options->node_id);
    grants->counters = options->counters;
    grants->divides = options->divides;
    grants->slot_count = sl_counters_slots(options->counters);
    grants->slots = calloc(grants->slot_count, sizeof(*grants->slots));
    grants->news = calloc(grants->slot_count / 64 + 1, sizeof(*grants->news));
    grants->deferred = calloc(grants->slot_count / 64 + 1, sizeof(*grants->deferred));
    grants->urgent = calloc(URGENT_MAX, sizeof(*grants->urgent));
    if (grants->slots == NULL || grants->news == NULL || grants->deferred == NULL ||
        grants->urgent == NULL) {
        grants_free(&grants);
        return NULL;
    }
    // What an earlier agent reported is not known: all that there is is news.
    memset(grants->news, 0xff, (sl_counters_used(grants->counters) + 63) / 64 * 8);
    for (uint32_t i = grants->slot_count - SL_COUNTER_OVERFLOWS; i < grants->slot_count; i++) {
        grants_note(grants, i);
    }
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        grants->shards[i].owner = GRANTS_NO_OWNER;
        sl_counters_set_up(grants->counters, i, false);
    }
    return grants;
}

void
grants_free(struct grants **grants)
{
    if (grants == NULL || *grants == NULL) {
        return;
    }
    for (size_t i = 0; i < GRANTS_REQUESTS; i++) {
        grants_end_request(*grants, &(*grants)->requests[i]);
    }
    for (size_t i = 0; i < GRANTS_OWNERS; i++) {
        grants_end_sweep(&(*grants)->owners[i]);
    }
    free((*grants)->slots);
    free((*grants)->news);
    free((*grants)->deferred);
    free((*grants)->urgent);
    free(*grants);
    *grants = NULL;
}

// -- grants

static void
report_urgently(struct grants *grants, uint32_t slot)
{
    if (grants->urgent_count < URGENT_MAX) {
        grants->urgent[grants->urgent_count++] = slot;
    }
}

// One window of a key message: [window, seq, allowed, others, exhausted].
static void
apply_span(struct grants *grants, struct grants_slot *mine, uint32_t slot,
           const struct sl_counter_state *state, const json_t *values)
{
    json_int_t window, seq, allowed, others;
    int exhausted;
    if (json_unpack_ex((json_t *)(uintptr_t)values, NULL, 0, "[IIIIb]", &window, &seq, &allowed,
                       &others, &exhausted) != 0 ||
        window <= 0 || allowed < 0 || allowed > SL_COUNTER_UNITS_MAX || others < 0) {
        return;
    }
    size_t i = (size_t)window % SL_COUNTER_WINDOWS;
    const struct sl_counter_span *has = &state->spans[i];
    int64_t held = has->window == window ? has->allowed : 0;
    int64_t known = mine->window[i] == window ? mine->seq[i] : 0;
    if (mine->window[i] > window || has->window > window || seq < known) {
        return;
    }
    bool is_news = seq > known;
    if (!is_news && allowed != held && seq > 0) {
        report_urgently(grants, slot); // it repeats what it has no answer to
    }
    if (!is_news && has->window != window && exhausted == 0) {
        return; // nothing is granted yet, nor denied: the window stays free for a share
    }
    struct sl_counter_span grant = {(uint32_t)window, (uint32_t)(is_news ? allowed : held), 0};
    struct sl_counter_span after;
    others = others < SL_COUNTER_UNITS_MAX ? others : SL_COUNTER_UNITS_MAX;
    sl_counters_apply(grants->counters, slot, &grant, (uint32_t)others, exhausted != 0, &after);
    if (is_news && after.window == window) {
        mine->window[i] = (uint32_t)window;
        mine->seq[i] = (uint32_t)seq;
        if (allowed < held) {
            report_urgently(grants, slot); // a recall: somebody waits for these units
        }
    }
}

static void
apply_key(struct grants *grants, uint8_t owner, const json_t *item)
{
    const char *text;
    json_int_t epoch;
    json_t *spans;
    if (json_unpack_ex((json_t *)(uintptr_t)item, NULL, 0, "{sssIso}", "k", &text, "e", &epoch, "g",
                       &spans) != 0) {
        return;
    }
    struct sl_str key = {text, strlen(text)};
    struct sl_counter_state state;
    grants_learn_shard(grants, sl_counter_shard(key), owner, epoch);
    uint32_t slot = sl_counters_find(grants->counters, key);
    struct grants_slot *mine =
        slot != SL_COUNTER_NO_SLOT ? grants_slot(grants, slot, &state) : NULL;
    if (mine == NULL || grants->shards[state.shard].epoch != epoch) {
        return; // forgotten here, or of an owner that is none any more
    }
    size_t i;
    json_t *values;
    json_array_foreach(spans, i, values)
    {
        apply_span(grants, mine, slot, &state, values);
    }
}

// What answers and events have in common. GRANTS_NO_OWNER when it is not for this agent.
static uint8_t
apply_message(struct grants *grants, const json_t *message)
{
    const char *id = json_string_value(json_object_get(message, "owner"));
    const char *boot = json_string_value(json_object_get(message, "boot"));
    int64_t incarnation = json_integer_value(json_object_get(message, "inc"));
    bool is_for_us = incarnation == grants->options.incarnation && boot != NULL &&
                     strcmp(boot, sl_counters_boot(grants->counters)) == 0;
    // 0: from an owner that has not heard of this node yet; it can only announce shards.
    if (id == NULL || id[0] == '\0' || (!is_for_us && incarnation != 0)) {
        return GRANTS_NO_OWNER;
    }
    uint8_t owner = grants_get_owner(grants, id);
    if (owner == GRANTS_NO_OWNER) {
        return owner;
    }
    grants_learn_shards(grants, owner, json_object_get(message, "shards"));
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(message, "keys"), i, item)
    {
        if (incarnation != 0) {
            apply_key(grants, owner, item);
        }
    }
    return owner;
}

static void
send_urgent(struct grants *grants, int64_t mono_ms)
{
    uint32_t slots[URGENT_MAX];
    for (uint8_t owner = 0; owner < GRANTS_OWNERS && grants->urgent_count > 0; owner++) {
        size_t count = 0;
        size_t kept = 0;
        for (size_t i = 0; i < grants->urgent_count; i++) {
            struct sl_counter_state state;
            uint32_t slot = grants->urgent[i];
            if (!sl_counters_read(grants->counters, slot, &state)) {
                continue;
            }
            if (grants->shards[state.shard].owner == owner) {
                slots[count++] = slot;
            } else {
                grants->urgent[kept++] = slot;
            }
        }
        grants->urgent_count = kept;
        if (count > 0) {
            grants_report_slots(grants, owner, slots, count, mono_ms);
        }
    }
    grants->urgent_count = 0;
}

void
grants_event(struct grants *grants, const json_t *body, int64_t mono_ms)
{
    uint8_t owner = apply_message(grants, body);
    if (owner != GRANTS_NO_OWNER && json_object_get(body, "shards") != NULL) {
        grants_check_route(grants, owner);
        grants->owners[owner].beat_ms = INT64_MIN / 2; // it waits for reports
    }
    send_urgent(grants, mono_ms);
}

// -- answers

// The accounting clock is set by the first owner that answers, then follows slowly.
static void
set_clock(struct grants *grants, int64_t clock_ms, int64_t sent_ms, int64_t mono_ms)
{
    if (mono_ms - sent_ms > RTT_MAX_MS || clock_ms <= 0) {
        return;
    }
    int64_t offset_ms = clock_ms - (sent_ms + mono_ms) / 2;
    int64_t has_ms = sl_counters_clock(grants->counters, 0);
    int64_t off_ms = offset_ms - has_ms;
    if (grants->clock_is_set && off_ms < STEP_MS && off_ms > -STEP_MS) {
        offset_ms = has_ms + off_ms / 4;
    }
    grants->clock_is_set = true;
    sl_counters_set_offset(grants->counters, offset_ms);
}

static void
use_members(struct grants *grants)
{
    sl_counters_set_members(grants->counters, grants->members, grants->member_count, grants->self,
                            grants->divides > 0 && grants->self < grants->member_count);
}

static void
may_divide(struct grants *grants, int64_t membership)
{
    int64_t count = (int64_t)grants->member_count;
    if (membership == 0 || membership != grants->membership || grants->divides == count) {
        return;
    }
    grants->divides = count;
    grants->holds_back = false;
    use_members(grants);
}

static void
lose_request(struct grants *grants, struct grants_request *request)
{
    for (uint32_t i = 0; i < request->count; i++) {
        struct grants_slot *mine = &grants->slots[request->slots[i]];
        mine->in_flight = 0;
        grants_want(mine, request->wants[i]);
        grants_note(grants, request->slots[i]);
    }
    if (request->owner == GRANTS_NO_OWNER) {
        return;
    }
    struct grants_owner *owner = &grants->owners[request->owner];
    owner->sweep_parts -= request->is_sweep ? 1 : 0;
    owner->sweep_failed = true;
    grants_end_sweep(owner);
    grants_set_up(grants, request->owner, false);
}

// A part of a sweep arrived.
static void
finish_part(struct grants *grants, const struct grants_request *request)
{
    for (uint32_t i = request->full_from; i < request->full_to; i++) {
        struct grants_shard *shard = &grants->shards[i];
        bool is_swept = shard->owner == request->owner && shard->sweep_ms != 0;
        shard->needs_full = shard->needs_full && !is_swept; // else learnt after the sweep began
    }
    grants->owners[request->owner].sweep_parts--;
    grants_conclude_sweep(grants, request->owner);
}

// Sends again what workers asked for while a report was out.
static void
report_again(struct grants *grants, struct grants_request *request, int64_t mono_ms)
{
    size_t count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        struct grants_slot *mine = &grants->slots[request->slots[i]];
        mine->in_flight = 0;
        if (mine->again != 0 && mine->want > 0) {
            request->slots[count++] = request->slots[i];
        }
    }
    if (count > 0 && request->owner != GRANTS_NO_OWNER) {
        grants_report_slots(grants, request->owner, request->slots, count, mono_ms);
    }
}

// The owner that was looked for is found: who has the others' shards is asked at the next tick, as
// a node that has just started lets nobody wait for units of unknown owners.
static void
look_on(struct grants *grants, uint8_t found)
{
    if (grants->shards[grants->probe_shard].owner == found) {
        grants->probe_ms = INT64_MIN / 2;
    }
}

static void
hear_owner(struct grants *grants, uint8_t owner, const json_t *reply, int64_t mono_ms)
{
    struct grants_owner *from = &grants->owners[owner];
    int64_t clock_ms = json_integer_value(json_object_get(reply, "now"));
    from->heard_ms = mono_ms;
    grants_check_route(grants, owner);
    grants_set_up(grants, owner, true);
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        if (grants->shards[i].owner == owner) {
            sl_counters_confirm(grants->counters, i, clock_ms);
        }
    }
    grants_learn_missing(grants, owner, json_object_get(reply, "missing"));
    may_divide(grants, json_integer_value(json_object_get(reply, "divide")));
}

void
grants_reply(struct grants *grants, uint64_t token, const json_t *reply, int64_t mono_ms)
{
    struct grants_request *request = token != 0 ? grants_find_request(grants, token) : NULL;
    if (request == NULL) {
        return;
    }
    uint8_t owner = reply != NULL ? apply_message(grants, reply) : GRANTS_NO_OWNER;
    bool is_lost =
        owner == GRANTS_NO_OWNER || (request->owner != GRANTS_NO_OWNER && request->owner != owner);
    if (is_lost) {
        lose_request(grants, request); // nobody, or somebody else, took the report
    } else if (request->is_sweep) {
        finish_part(grants, request);
    }
    if (owner != GRANTS_NO_OWNER) {
        set_clock(grants, json_integer_value(json_object_get(reply, "now")), request->sent_ms,
                  mono_ms);
        hear_owner(grants, owner, reply, mono_ms);
    }
    if (!is_lost) {
        report_again(grants, request, mono_ms);
    }
    uint8_t asked = request->owner;
    grants_end_request(grants, request);
    send_urgent(grants, mono_ms);
    if (asked != GRANTS_NO_OWNER) {
        grants_report_deferred(grants, asked, mono_ms);
    } else if (owner != GRANTS_NO_OWNER) {
        look_on(grants, owner);
    }
}

// -- requests of workers, timers

static bool
is_due(struct grants *grants, uint32_t slot, int64_t mono_ms, uint8_t *ret_owner)
{
    struct sl_counter_state state;
    struct grants_slot *mine = grants_slot(grants, slot, &state);
    if (mine == NULL) {
        return false;
    }
    uint32_t wanted = sl_counters_wanted(grants->counters, slot);
    grants_want(mine, wanted);
    mine->wanted_ms = wanted > 0 ? (uint16_t)mono_ms : mine->wanted_ms;
    *ret_owner = grants->shards[state.shard].owner;
    if (mine->in_flight != 0) {
        mine->again = 1;
        return false;
    }
    if (*ret_owner == GRANTS_NO_OWNER || !grants->owners[*ret_owner].is_up) {
        grants_note(grants, slot);
        return false;
    }
    uint32_t current = sl_counter_window(
        sl_counters_clock(grants->counters, mono_ms) + state.lead_ms, state.window_s);
    const struct sl_counter_span *span = &state.spans[current % SL_COUNTER_WINDOWS];
    bool is_empty = span->window != current || span->allowed == span->used;
    if (grants->owners[*ret_owner].out >= GRANTS_OUT) {
        grants_defer(grants, *ret_owner, slot);
        return false;
    }
    bool is_pause = (uint16_t)(mono_ms - mine->sent_ms) < AGAIN_MS;
    bool is_patient = (uint16_t)(mono_ms - mine->wanted_ms) < PATIENCE_MS;
    if (mine->want == 0 && is_empty && !is_pause && is_patient) {
        mine->want = 1; // it still waits; what is only low leaves it to the owner's forecast
    }
    return mine->want > 0 || !is_empty || !is_pause;
}

void
grants_asked(struct grants *grants, int64_t mono_ms)
{
    uint32_t asked[ASKED_MAX];
    uint32_t slots[ASKED_MAX];
    uint8_t owners[ASKED_MAX];
    size_t count = sl_counters_asked(grants->counters, asked, ASKED_MAX);
    size_t due = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t owner = GRANTS_NO_OWNER;
        if (is_due(grants, asked[i], mono_ms, &owner)) {
            slots[due] = asked[i];
            owners[due++] = owner;
        }
    }
    for (uint8_t owner = 0; owner < GRANTS_OWNERS; owner++) {
        size_t mine = 0;
        for (size_t i = 0; i < due; i++) {
            if (owners[i] == owner) {
                asked[mine++] = slots[i];
            }
        }
        if (mine > 0) {
            grants_report_slots(grants, owner, asked, mine, mono_ms);
        }
    }
}

static void
probe_next(struct grants *grants, int64_t mono_ms)
{
    for (uint32_t i = 0; i < SL_SHARDS; i++) {
        uint32_t shard = (grants->probe_shard + 1 + i) % SL_SHARDS;
        uint8_t owner = grants->shards[shard].owner;
        if (owner == GRANTS_NO_OWNER || !grants->owners[owner].is_up) {
            grants->probe_shard = shard;
            grants->probe_ms = mono_ms;
            grants_probe(grants, shard, mono_ms);
            return;
        }
    }
}

void
grants_tick(struct grants *grants, int64_t mono_ms)
{
    sl_counters_beat(grants->counters, mono_ms);
    for (uint8_t i = 0; i < GRANTS_OWNERS; i++) {
        struct grants_owner *owner = &grants->owners[i];
        if (owner->shards == 0) {
            grants_end_sweep(owner);
            continue;
        }
        if (mono_ms - owner->heard_ms > SILENT_MS) {
            grants_set_up(grants, i, false);
        }
        if (mono_ms - owner->beat_ms >= BEAT_MS) {
            grants_sweep(grants, i, mono_ms);
        }
        grants_sweep_on(grants, i, mono_ms);
        grants_report_deferred(grants, i, mono_ms);
    }
    if (mono_ms - grants->probe_ms >= PROBE_MS) {
        probe_next(grants, mono_ms);
    }
    grants_asked(grants, mono_ms);
}

// -- members

void
grants_members(struct grants *grants, const char *const *node_ids, size_t count, int64_t membership)
{
    if (count > SL_COUNTER_MEMBERS) {
        count = 0; // nothing is divided among so many
    }
    uint64_t own = sl_counter_member(sl_str(grants->node_id));
    grants->self = count;
    for (size_t i = 0; i < count; i++) {
        grants->members[i] = sl_counter_member(sl_str(node_ids[i]));
        grants->self = grants->members[i] == own ? i : grants->self;
    }
    grants->member_count = count;
    grants->membership = membership;
    // A longer list makes this node's share smaller: it goes over at once. A shorter one makes it
    // larger: the counters keep the old list until accounting says that all have heard.
    grants->holds_back = grants->divides > (int64_t)count;
    if (grants->divides > 0 && !grants->holds_back) {
        grants->divides = (int64_t)count;
    }
    if (!grants->holds_back) {
        use_members(grants);
    }
}

bool
grants_is_up(const struct grants *grants)
{
    for (size_t i = 0; i < GRANTS_OWNERS; i++) {
        if (grants->owners[i].shards > 0 && grants->owners[i].is_up) {
            return true;
        }
    }
    return false;
}

int64_t
grants_divides(const struct grants *grants)
{
    return grants->divides;
}
