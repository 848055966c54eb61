// ngx_http_sluice_balance.c - which member of a channel takes a call.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/nginx/ngx_http_sluice_balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"

#define NONE      NGX_HTTP_SLUICE_BALANCE_NONE
#define BUCKETS   256 // power of two
#define TEXT_SEED 0x5ea7U

// One member of a channel.
struct place {
    int64_t credit; // how long it has waited for its turn
    struct ngx_http_sluice_balance_seat *seat;
};

// What is known of one channel, as of one version of it.
struct memory {
    struct memory *next; // of the same bucket
    char id[SL_ID_LEN];
    uint64_t version;
    uint32_t count;
    struct place places[];
};

static struct {
    struct memory *buckets[BUCKETS];
    size_t count;
} memories;

void
ngx_http_sluice_balance_release(struct ngx_http_sluice_balance_seat *seat)
{
    if (seat != NULL && --seat->refs == 0) {
        free(seat);
    }
}

static void
forget(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        ngx_http_sluice_balance_release(memory->places[i].seat);
    }
    free(memory);
    memories.count--;
}

void
ngx_http_sluice_balance_exit(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (memories.buckets[i] != NULL) {
            struct memory *memory = memories.buckets[i];

            memories.buckets[i] = memory->next;
            forget(memory);
        }
    }
}

// The seat that a member had before its channel changed, taken from there, or a new one.
static struct ngx_http_sluice_balance_seat *
seat_of(struct memory *before, uint64_t key)
{
    struct ngx_http_sluice_balance_seat *seat;

    for (uint32_t i = 0; before != NULL && i < before->count; i++) {
        seat = before->places[i].seat;
        if (seat != NULL && seat->key == key) {
            before->places[i].seat = NULL;
            return seat;
        }
    }
    seat = calloc(1, sizeof(*seat));
    if (seat != NULL) {
        seat->key = key;
        seat->refs = 1;
    }
    return seat;
}

static struct memory *
learn(const struct sl_img_channel *channel, struct memory *before)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    struct memory *memory =
        calloc(1, sizeof(*memory) + channel->members.count * sizeof(memory->places[0]));

    if (memory == NULL) {
        return NULL;
    }
    memories.count++;
    memcpy(memory->id, channel->id, SL_ID_LEN);
    memory->version = channel->version;
    for (uint32_t i = 0; i < channel->members.count; i++) {
        memory->places[i].seat = seat_of(before, members[i].key);
        if (memory->places[i].seat == NULL) {
            forget(memory);
            return NULL;
        }
        memory->count++;
    }
    return memory;
}

// What is known of the channel; NULL when memory is out.
static struct memory *
recall(const struct sl_img_channel *channel)
{
    uint64_t hash = sl_hash(TEXT_SEED, channel->id, SL_ID_LEN);
    struct memory **link = &memories.buckets[hash & (BUCKETS - 1)];
    struct memory *before = NULL;
    struct memory *memory;

    while (*link != NULL && memcmp((*link)->id, channel->id, SL_ID_LEN) != 0) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        if ((*link)->version == channel->version && (*link)->count == channel->members.count) {
            return *link;
        }
        before = *link;
        *link = before->next;
    } else if (memories.count >= NGX_HTTP_SLUICE_BALANCE_CHANNELS) {
        ngx_http_sluice_balance_exit();
        link = &memories.buckets[hash & (BUCKETS - 1)];
    }
    memory = learn(channel, before);
    if (before != NULL) {
        forget(before);
    }
    if (memory != NULL) {
        memory->next = *link;
        *link = memory;
    }
    return memory;
}

// Backups are asked while nobody else can.
static bool
is_backup_turn(const struct sl_img_channel *channel)
{
    return channel->tiers[0].count == 0;
}

static bool
is_eligible(const struct sl_img_member *member, bool backup)
{
    return member->weight > 0 && member->faulty == 0 && (member->backup != 0) == backup;
}

static uint32_t
any(const struct sl_img_channel *channel)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    uint32_t i = 0;

    while (i < channel->members.count && !is_eligible(&members[i], is_backup_turn(channel))) {
        i++;
    }
    return i == channel->members.count ? NONE : i;
}

// Whether `a` has fewer calls open for its weight than `b`: -1, as many: 0, more: 1.
static int
compare_load(const struct sl_img_member *members, const struct memory *memory, uint32_t a,
             uint32_t b)
{
    uint64_t load_a = (uint64_t)memory->places[a].seat->open * members[b].weight;
    uint64_t load_b = (uint64_t)memory->places[b].seat->open * members[a].weight;

    return load_a < load_b ? -1 : load_a > load_b ? 1 : 0;
}

static uint32_t
least_loaded(const struct sl_img_channel *channel, const struct memory *memory)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    uint32_t best = NONE;

    for (uint32_t i = 0; i < channel->members.count; i++) {
        if (is_eligible(&members[i], is_backup_turn(channel)) &&
            (best == NONE || compare_load(members, memory, i, best) < 0)) {
            best = i;
        }
    }
    return best;
}

// Smooth weighted round robin among those that are loaded as `like` is; NONE: among all. Each gains
// its weight, the richest pays for all.
static uint32_t
by_turn(const struct sl_img_channel *channel, struct memory *memory, uint32_t like)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    uint32_t best = NONE;
    int64_t total = 0;

    for (uint32_t i = 0; i < channel->members.count; i++) {
        if (!is_eligible(&members[i], is_backup_turn(channel)) ||
            (like != NONE && compare_load(members, memory, i, like) != 0)) {
            continue;
        }
        memory->places[i].credit += members[i].weight;
        total += members[i].weight;
        if (best == NONE || memory->places[i].credit > memory->places[best].credit) {
            best = i;
        }
    }
    if (best != NONE) {
        memory->places[best].credit -= total;
    }
    return best;
}

// A number between 0 and 1, neither of them.
static double
fraction_of(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

// Where a member stands in an order of tries.
struct standing {
    uint32_t index; // NONE: nowhere
    double load;    // open calls for its weight; 0 where they do not count
    double score;
};

// Highest random weight. With equal weights the numbers are compared as they are, else each as the
// member's weight stretches it, by which a member wins as often as its share of the weights is.
static struct standing
standing_of(const struct sl_img_channel *channel, const struct memory *memory, uint64_t hash,
            uint32_t index)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    const struct sl_img_member *member = &members[index];
    bool uneven = channel->tiers[is_backup_turn(channel)].uneven != 0;
    double fraction = fraction_of(sl_hash(hash, &member->key, sizeof(member->key)));

    return (struct standing){
        .index = index,
        .load = memory == NULL ? 0 : (double)memory->places[index].seat->open / member->weight,
        .score = uneven ? -(double)member->weight / log(fraction) : fraction};
}

static bool
stands_before(const struct standing *a, const struct standing *b)
{
    if (a->load != b->load) {
        return a->load < b->load;
    }
    return a->score != b->score ? a->score > b->score : a->index < b->index;
}

// Who stands foremost of those behind `last`, without `first`; NONE: of all, without nobody.
static uint32_t
foremost(const struct sl_img_channel *channel, const struct memory *memory, uint64_t hash,
         uint32_t first, uint32_t last)
{
    const struct sl_img_member *members = sl_img_items(&channel->members);
    struct standing best = {.index = NONE};
    struct standing before = {.index = NONE};

    if (last != first) {
        before = standing_of(channel, memory, hash, last);
    }
    for (uint32_t i = 0; i < channel->members.count; i++) {
        struct standing one;

        if (i == first || !is_eligible(&members[i], is_backup_turn(channel))) {
            continue;
        }
        one = standing_of(channel, memory, hash, i);
        if ((before.index == NONE || stands_before(&before, &one)) &&
            (best.index == NONE || stands_before(&one, &best))) {
            best = one;
        }
    }
    return best.index;
}

uint32_t
ngx_http_sluice_balance_first(const struct sl_img_channel *channel, uint64_t hash)
{
    struct memory *memory;

    if (channel->tiers[is_backup_turn(channel)].count <= 1) {
        return any(channel);
    }
    if (channel->strategy == SL_STRATEGY_SOURCE || channel->strategy == SL_STRATEGY_URI) {
        return foremost(channel, NULL, hash, NONE, NONE);
    }
    memory = recall(channel);
    if (memory == NULL) {
        return any(channel);
    }
    return by_turn(channel, memory,
                   channel->strategy == SL_STRATEGY_LEAST ? least_loaded(channel, memory) : NONE);
}

uint32_t
ngx_http_sluice_balance_next(const struct sl_img_channel *channel, uint64_t hash, uint32_t first,
                             uint32_t last)
{
    if (channel->tiers[is_backup_turn(channel)].count <= 1) {
        return NONE;
    }
    return foremost(channel, channel->strategy == SL_STRATEGY_LEAST ? recall(channel) : NULL, hash,
                    first, last);
}

struct ngx_http_sluice_balance_seat *
ngx_http_sluice_balance_hold(const struct sl_img_channel *channel, uint32_t index)
{
    struct memory *memory = channel->strategy == SL_STRATEGY_LEAST ? recall(channel) : NULL;

    struct ngx_http_sluice_balance_seat *seat = memory == NULL ? NULL : memory->places[index].seat;

    if (seat != NULL) {
        seat->refs++;
    }
    return seat;
}

uint64_t
ngx_http_sluice_balance_hash(struct sl_str text)
{
    return sl_hash(TEXT_SEED, text.ptr, text.len);
}
