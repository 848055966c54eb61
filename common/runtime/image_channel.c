// image_channel.c - the record of a channel, and which of its members are faulty.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_builder.h"

#define MEMBER_SEED 0x51c6e11eU // the same on all nodes: they choose alike

// What tells a member from the others, wherever it stands and whatever its weight.
static uint64_t
member_key(const struct sl_member *member)
{
    uint64_t hash = sl_hash(MEMBER_SEED, member->host, strlen(member->host));
    return sl_hash(hash, &member->port, sizeof(member->port));
}

// Strategy 4 knows no weights, but whether there is one.
static uint32_t
weight_of(const struct sl_channel *channel, const struct sl_member *member)
{
    return channel->strategy == SL_STRATEGY_URI && member->weight > 0 ? 1 : member->weight;
}

// Counts a member among those that calls may go to.
static void
count_member(struct sl_img_channel *record, const struct sl_img_member *member)
{
    struct sl_img_tier *tier = &record->tiers[member->backup != 0];
    if (member->weight == 0 || member->faulty) {
        return;
    }
    tier->uneven = tier->uneven || (tier->count > 0 && tier->weight != member->weight);
    tier->weight = member->weight;
    tier->count++;
}

int
image_write_channel(struct image_writer *writer, struct sl_img_channel *record,
                    const struct sl_channel *channel)
{
    size_t count = channel->member_count;
    memcpy(record->id, channel->id, SL_ID_LEN);
    record->strategy = (uint8_t)channel->strategy;
    record->version = sl_hash(MEMBER_SEED, &record->strategy, sizeof(record->strategy));
    struct sl_img_member *members = image_put_list(
        writer, &record->members, count, sizeof(*members), _Alignof(struct sl_img_member));
    if (members == NULL && count > 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sl_member *from = &channel->members[i];
        members[i].key = member_key(from);
        members[i].weight = weight_of(channel, from);
        members[i].port = from->port;
        members[i].backup = from->backup;
        members[i].faulty = from->faulty;
        uint64_t told[] = {members[i].key, members[i].weight, members[i].backup};
        record->version = sl_hash(record->version, told, sizeof(told));
        count_member(record, &members[i]);
        if (image_put_text(writer, &members[i].host, from->host) != 0) {
            return -1;
        }
    }
    return 0;
}

const struct sl_img_address *
sl_image_builder_addresses(const struct sl_image_builder *builder, const char *host,
                           size_t *ret_count)
{
    const struct image_upstream *upstream = zhashx_lookup(builder->upstreams, host);
    if (upstream == NULL || !upstream->known) {
        return NULL;
    }
    *ret_count = upstream->count;
    return upstream->addresses;
}

const struct sl_channel *
sl_image_builder_channel(const struct sl_image_builder *builder, const char *id)
{
    const struct sl_entry *entry = zhashx_lookup(builder->entries[SL_KIND_CHANNEL], id);
    return entry == NULL ? NULL : &entry->channel;
}

bool
sl_image_builder_faulty(struct sl_image_builder *builder, const char *id, const char *host,
                        uint16_t port, bool faulty)
{
    const struct sl_channel *channel = sl_image_builder_channel(builder, id);
    bool changed = false;
    for (size_t i = 0; channel != NULL && i < channel->member_count; i++) {
        // The entry is the builder's own copy: only borrowers may not write to it.
        struct sl_member *member = (struct sl_member *)(uintptr_t)&channel->members[i];
        if (member->port == port && member->faulty != faulty && strcmp(member->host, host) == 0) {
            member->faulty = faulty;
            changed = true;
        }
    }
    if (changed) {
        image_list_of(builder, IMAGE_CHANNEL, sl_str(id))->dirty = true;
    }
    return changed;
}
