// image_find.c - lookups by key in the live image.
//
// One hash gives the shard, the place in its table and the tag; only a record whose tag agrees is
// touched.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_read.h"

#include "common/runtime/range.h"

#include <stdlib.h>

#define HOST_MAX 253 // characters of a DNS name: longer ones are nobody's

static bool
record_has_key(enum image_part part, const void *record, struct sl_str key)
{
    switch (part) {
    case IMAGE_APP:
    case IMAGE_GROUP:
    case IMAGE_SIGN:
    case IMAGE_THROTTLE:
    case IMAGE_ROUTES:
    case IMAGE_USER:
    case IMAGE_TOKEN_KEY:
    case IMAGE_CHANNEL:
    case IMAGE_CERTIFICATE:
        return key.len == SL_ID_LEN && memcmp(record, key.ptr, SL_ID_LEN) == 0;
    case IMAGE_HOST:
        return sl_str_equal(image_host_key(sl_img_text(record)), key);
    default:
        return sl_str_equal(sl_img_text(record), key);
    }
}

const void *
image_record_find(const struct image_segment *segment, uint64_t hash, struct sl_str key)
{
    const struct image_bucket *buckets = sl_img_items(&segment->table);
    uint32_t mask = segment->table.count - 1;
    for (uint32_t i = 0; i < segment->table.count; i++) {
        const struct image_bucket *bucket = &buckets[(hash + i) & mask];
        if (bucket->off == 0) {
            return NULL;
        }
        const void *record = image_follow(&bucket->off);
        if (bucket->tag == image_tag_of(hash) && record_has_key(segment->part, record, key)) {
            return record;
        }
    }
    return NULL;
}

// The record of `key` in a part that lies in shards.
static const void *
part_find(struct sl_image *image, enum image_part part, struct sl_str key)
{
    if (!sl_image_ready(image)) {
        return NULL;
    }
    uint64_t hash = sl_hash(image_dir_of(image)->seed, key.ptr, key.len);
    uint32_t slot = part * IMAGE_SHARDS + image_shard_of(hash);
    bool moved = false;
    const struct image_segment *segment = image_segment_get(image, slot, &moved);
    if (moved) {
        // A restarted agent has another seed.
        hash = sl_hash(image_dir_of(image)->seed, key.ptr, key.len);
        segment = image_segment_get(image, part * IMAGE_SHARDS + image_shard_of(hash), NULL);
    }
    return segment == NULL ? NULL : image_record_find(segment, hash, key);
}

// The same where the key most often lies in a record of the image: what a record named the last
// time is likely what it names now. The key is compared, so that it may lie anywhere.
static const void *
linked_find(struct sl_image *image, enum image_part part, struct sl_str key)
{
    uint64_t at = (uint64_t)(uintptr_t)key.ptr * 0x9e3779b97f4a7c15U >> 32;
    struct image_link *link = &image->links[at % IMAGE_LINKS];
    if (link->epoch == image->epoch && link->part == part && link->record != NULL &&
        record_has_key(part, link->record, key)) {
        return link->record;
    }
    const void *record = part_find(image, part, key);
    *link = (struct image_link){image->epoch, record, part};
    return record;
}

static struct sl_str
id_view(const char id[SL_ID_LEN])
{
    return (struct sl_str){id, SL_ID_LEN};
}

const struct sl_img_gateway *
sl_image_gateway(const struct sl_image *image)
{
    const struct image_dir *dir = image_dir_of(image);
    return dir == NULL || dir->has_gateway == 0 ? NULL : &dir->gateway;
}

const struct sl_img_host *
sl_image_host(struct sl_image *image, struct sl_str host)
{
    if (host.len == 0 || host.len > HOST_MAX || host.ptr[0] == '.' || host.ptr[0] == '*') {
        return NULL;
    }
    const struct sl_img_host *found = part_find(image, IMAGE_HOST, host);
    // ".b.example.com", then ".example.com": the longest wildcard first.
    for (size_t i = 1; found == NULL && i < host.len; i++) {
        if (host.ptr[i] == '.') {
            found = part_find(image, IMAGE_HOST, (struct sl_str){host.ptr + i, host.len - i});
        }
    }
    return found;
}

const struct sl_img_group *
sl_image_group(struct sl_image *image, const char id[SL_ID_LEN])
{
    return linked_find(image, IMAGE_GROUP, id_view(id));
}

const struct sl_img_group *
sl_image_default_group(struct sl_image *image)
{
    const struct image_dir *dir = image_dir_of(image);
    if (dir == NULL || dir->default_group[0] == '\0') {
        return NULL;
    }
    return sl_image_group(image, dir->default_group);
}

const struct sl_img_app *
sl_image_app(struct sl_image *image, const char id[SL_ID_LEN])
{
    return linked_find(image, IMAGE_APP, id_view(id));
}

static const struct sl_img_app *
app_by(struct sl_image *image, enum image_part part, struct sl_str text)
{
    const struct image_index *index = part_find(image, part, text);
    return index == NULL ? NULL : sl_image_app(image, index->id);
}

const struct sl_img_app *
sl_image_app_by_key(struct sl_image *image, struct sl_str key)
{
    return app_by(image, IMAGE_KEY, key);
}

const struct sl_img_app *
sl_image_app_by_code(struct sl_image *image, struct sl_str code)
{
    return app_by(image, IMAGE_CODE, code);
}

const struct sl_img_throttle *
sl_image_throttle(struct sl_image *image, const char id[SL_ID_LEN])
{
    return linked_find(image, IMAGE_THROTTLE, id_view(id));
}

const struct sl_img_sign *
sl_image_sign(struct sl_image *image, const char id[SL_ID_LEN])
{
    return linked_find(image, IMAGE_SIGN, id_view(id));
}

const struct sl_img_sign *
sl_image_sign_by_key(struct sl_image *image, struct sl_str key)
{
    const struct image_index *index = part_find(image, IMAGE_PAIR, key);
    return index == NULL ? NULL : sl_image_sign(image, index->id);
}

const struct sl_img_upstream *
sl_image_upstream(struct sl_image *image, struct sl_str host)
{
    return linked_find(image, IMAGE_UPSTREAM, host);
}

const struct sl_img_channel *
sl_image_channel(struct sl_image *image, struct sl_str id)
{
    return linked_find(image, IMAGE_CHANNEL, id);
}

const struct sl_img_user *
sl_image_user(struct sl_image *image, const char id[SL_ID_LEN])
{
    return part_find(image, IMAGE_USER, id_view(id));
}

const struct sl_img_access_key *
sl_image_access_key(struct sl_image *image, struct sl_str access)
{
    return part_find(image, IMAGE_ACCESS, access);
}

const struct sl_img_token_key *
sl_image_token_key(struct sl_image *image, struct sl_str id)
{
    return part_find(image, IMAGE_TOKEN_KEY, id);
}

const struct sl_img_certificate *
sl_image_certificate(struct sl_image *image, const char id[SL_ID_LEN])
{
    return linked_find(image, IMAGE_CERTIFICATE, id_view(id));
}

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SL_ID_LEN);
}

bool
sl_img_app_may_call(const struct sl_img_app *app, const char publish_id[SL_ID_LEN])
{
    return app->publish_ids.count > 0 &&
           bsearch(publish_id, sl_img_items(&app->publish_ids), app->publish_ids.count, SL_ID_LEN,
                   compare_ids) != NULL;
}

bool
sl_img_app_admits(const struct sl_img_app *app, struct sl_str address)
{
    struct sl_range from;
    const struct sl_range *ranges = sl_img_items(&app->acl);
    if (app->acl_mode == SL_ACL_NONE) {
        return true;
    }
    if (!sl_range_parse(address, &from)) {
        return false;
    }
    bool held = sl_ranges_hold(ranges, app->acl.count, &from);
    return held == (app->acl_mode == SL_ACL_PERMIT);
}

static const struct image_env *
env_find(const struct image_dir *dir, const char group_id[SL_ID_LEN], struct sl_str name)
{
    uint64_t hash = image_env_hash(dir->seed, group_id, name);
    const struct image_bucket *buckets = sl_img_items(&dir->envs);
    uint32_t mask = dir->envs.count - 1;
    for (uint32_t i = 0; i < dir->envs.count; i++) {
        const struct image_bucket *bucket = &buckets[(hash + i) & mask];
        if (bucket->off == 0) {
            return NULL;
        }
        const struct image_env *env = image_follow(&bucket->off);
        if (bucket->tag == image_tag_of(hash) && env->name_len == name.len &&
            memcmp(env->group_id, group_id, SL_ID_LEN) == 0 &&
            memcmp(env->name, name.ptr, name.len) == 0) {
            return env;
        }
    }
    return NULL;
}

const struct image_segment *
image_routes_find(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name)
{
    if (!sl_image_ready(image) || env_name.len == 0 || env_name.len > IMAGE_ENV_MAX) {
        return NULL;
    }
    bool moved = true;
    // The second time in the newest directory; a third would need a switch within microseconds.
    for (int i = 0; i < 3 && moved; i++) {
        moved = false;
        const struct image_env *env = env_find(image_dir_of(image), group_id, env_name);
        if (env == NULL) {
            return NULL;
        }
        const struct image_segment *segment = image_segment_get(image, env->slot, &moved);
        if (segment != NULL) {
            return segment;
        }
    }
    return NULL;
}

const struct sl_img_api *
sl_image_api(struct sl_image *image, const char group_id[SL_ID_LEN], struct sl_str env_name,
             const char publish_id[SL_ID_LEN])
{
    const struct image_segment *segment = image_routes_find(image, group_id, env_name);
    if (segment == NULL) {
        return NULL;
    }
    return image_record_find(segment, sl_hash(segment->seed, publish_id, SL_ID_LEN),
                             id_view(publish_id));
}
