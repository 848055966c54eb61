// image_part.c - the shards of the image: apps, indexes, hosts, certificates, groups, policies,
// upstreams.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_write.h"

#include "common/runtime/range.h"

#include <stdlib.h>

struct shard {
    struct image_writer *writer;
    struct image_bucket *table;
    size_t places;
    uint64_t seed;
    uint32_t number; // of the shard
};

static void
add(struct shard *shard, struct sl_str key, const void *record)
{
    image_table_add(shard->table, shard->places, sl_hash(shard->seed, key.ptr, key.len), record);
}

static void
copy_id(char ret_id[SL_ID_LEN], const char *id)
{
    memcpy(ret_id, id, strnlen(id, SL_ID_LEN));
}

static int
compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SL_ID_LEN);
}

// Tells one secret from the next without showing it: caches keep what they made of a secret under
// this number.
static uint64_t
secret_version(uint64_t seed, const char *whose, const char *secret)
{
    return sl_hash(sl_hash(seed, whose, strlen(whose)), secret, strlen(secret));
}

// A list of ids in the order given.
static int
write_ids(struct image_writer *writer, struct sl_img_list *field, const char *const *list,
          size_t count)
{
    char(*ids)[SL_ID_LEN] = image_put_list(writer, field, count, SL_ID_LEN, 1);
    if (ids == NULL) {
        return count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < count; i++) {
        copy_id(ids[i], list[i]);
    }
    return 0;
}

static int
write_app(struct shard *shard, const struct sl_app *app)
{
    struct image_writer *writer = shard->writer;
    struct sl_img_app *record = image_place(writer, sizeof(*record), IMAGE_ALIGN);
    if (record == NULL) {
        return -1;
    }
    copy_id(record->id, app->id);
    record->secret_version = secret_version(shard->seed, app->id, app->secret);
    if (write_ids(writer, &record->publish_ids, app->publish_ids, app->publish_id_count) != 0 ||
        write_ids(writer, &record->groups, app->groups, app->group_count) != 0) {
        return -1;
    }
    if (app->publish_id_count > 0) {
        qsort((char *)&record->publish_ids + record->publish_ids.off, app->publish_id_count,
              SL_ID_LEN, compare_ids);
    }
    struct sl_range *ranges =
        image_put_list(writer, &record->acl, app->acl_count, sizeof(*ranges), 1);
    if (ranges == NULL && app->acl_count > 0) {
        return -1;
    }
    for (size_t i = 0; i < app->acl_count; i++) {
        (void)sl_range_parse(sl_str(app->acl[i]), &ranges[i]); // checked when it was decoded
    }
    record->acl_mode = (uint8_t)app->acl_mode;
    copy_id(record->quota_id, app->quota.id);
    record->quota_limit = app->quota.limit;
    record->quota_window_s = app->quota.window_s;
    record->quota_lead_s = app->quota.lead_s;
    record->quota_first = app->quota.first;
    if (image_put_text(writer, &record->name, app->name) != 0 ||
        image_put_text(writer, &record->key, app->key) != 0 ||
        image_put_text(writer, &record->secret, app->secret) != 0 ||
        image_put_text(writer, &record->domain_id, app->domain_id) != 0) {
        return -1;
    }
    add(shard, sl_str(app->id), record);
    return 0;
}

static int
write_index(struct shard *shard, const char *text, const char *id)
{
    uint64_t hash = sl_hash(shard->seed, text, strlen(text));
    if (image_shard_of(hash) != shard->number) {
        return 0;
    }
    struct image_index *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct image_index));
    if (record == NULL || image_put_text(shard->writer, &record->text, text) != 0) {
        return -1;
    }
    copy_id(record->id, id);
    image_table_add(shard->table, shard->places, hash, record);
    return 0;
}

static int
write_codes(struct shard *shard, const struct sl_app *app)
{
    for (size_t i = 0; i < app->code_count; i++) {
        if (write_index(shard, app->codes[i], app->id) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
write_host(struct shard *shard, const struct sl_host *host)
{
    struct sl_img_host *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_host));
    if (record == NULL || image_put_text(shard->writer, &record->name, host->name) != 0) {
        return -1;
    }
    copy_id(record->group_id, host->group_id);
    record->debugging = host->debugging;
    record->verify_client = host->verify_client;
    record->redirect_https = host->redirect_https;
    record->http_port = host->http_port;
    record->https_port = host->https_port;
    add(shard, image_host_key(sl_str(host->name)), record);
    return write_ids(shard->writer, &record->certificates, host->certificates,
                     host->certificate_count);
}

static int
write_ders(struct image_writer *writer, struct sl_img_list *field, const struct sl_str *list,
           size_t count)
{
    struct sl_img_str *ders =
        image_put_list(writer, field, count, sizeof(*ders), _Alignof(struct sl_img_str));
    if (ders == NULL) {
        return count == 0 ? 0 : -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (image_put_bytes(writer, &ders[i], list[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static uint64_t
hash_ders(uint64_t hash, const struct sl_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash = sl_hash(hash, list[i].ptr, list[i].len);
    }
    return sl_hash(hash, &count, sizeof(count));
}

static int
write_certificate(struct shard *shard, const struct sl_certificate *certificate)
{
    struct image_writer *writer = shard->writer;
    struct sl_img_certificate *record =
        image_place(writer, sizeof(*record), _Alignof(struct sl_img_certificate));
    if (record == NULL || image_put_text(writer, &record->name, certificate->name) != 0 ||
        image_put_bytes(writer, &record->key, certificate->key) != 0) {
        return -1;
    }
    copy_id(record->id, certificate->id);
    // Not by the seed: sessions, too, go by it, and a session outlives the agent.
    record->version = hash_ders(
        hash_ders(hash_ders(0, &certificate->key, 1), certificate->chain, certificate->chain_count),
        certificate->ca, certificate->ca_count);
    record->ca_version = hash_ders(0, certificate->ca, certificate->ca_count);
    add(shard, sl_str(certificate->id), record);
    return write_ders(writer, &record->chain, certificate->chain, certificate->chain_count) != 0 ||
                   write_ders(writer, &record->ca, certificate->ca, certificate->ca_count) != 0
               ? -1
               : 0;
}

static int
write_group(struct shard *shard, const struct sl_group *group)
{
    struct sl_img_group *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_group));
    if (record == NULL || image_put_text(shard->writer, &record->name, group->name) != 0) {
        return -1;
    }
    copy_id(record->id, group->id);
    record->is_default = group->is_default;
    record->sl_domain_enabled = group->sl_domain_enabled;
    add(shard, sl_str(group->id), record);
    return 0;
}

static int
compare_specials(const void *left, const void *right)
{
    const struct sl_special *const *a = left;
    const struct sl_special *const *b = right;
    return strcmp((*a)->object_id, (*b)->object_id);
}

static int
write_specials(struct image_writer *writer, struct sl_img_throttle *record,
               const struct sl_throttle *throttle)
{
    size_t count = throttle->special_count;
    struct sl_img_special *specials = image_put_list(
        writer, &record->specials, count, sizeof(*specials), _Alignof(struct sl_img_special));
    if (specials == NULL) {
        return count == 0 ? 0 : -1;
    }
    // Sorted here whatever the order they came in: the reader's search relies on it.
    const struct sl_special **sorted = calloc(count, sizeof(const struct sl_special *));
    if (sorted == NULL) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &throttle->specials[i];
    }
    qsort(sorted, count, sizeof(const struct sl_special *), compare_specials);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        specials[i].limit = sorted[i]->limit;
        specials[i].is_user = sorted[i]->is_user;
        status = image_put_text(writer, &specials[i].object_id, sorted[i]->object_id);
    }
    free(sorted);
    return status;
}

static int
write_throttle(struct shard *shard, const struct sl_throttle *throttle)
{
    struct sl_img_throttle *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_throttle));
    if (record == NULL || image_put_text(shard->writer, &record->unit, throttle->unit) != 0) {
        return -1;
    }
    copy_id(record->id, throttle->id);
    record->api_limit = throttle->api_limit;
    record->user_limit = throttle->user_limit;
    record->app_limit = throttle->app_limit;
    record->ip_limit = throttle->ip_limit;
    record->window_s = throttle->window_s;
    record->interval = throttle->interval;
    record->shared = throttle->shared;
    add(shard, sl_str(throttle->id), record);
    return write_specials(shard->writer, record, throttle);
}

static int
write_sign(struct shard *shard, const struct sl_sign *sign)
{
    struct sl_img_sign *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_sign));
    if (record == NULL || image_put_text(shard->writer, &record->key, sign->key) != 0 ||
        image_put_text(shard->writer, &record->secret, sign->secret) != 0) {
        return -1;
    }
    copy_id(record->id, sign->id);
    record->type = (uint8_t)sign->type;
    record->version = secret_version(secret_version(shard->seed, sign->id, sign->key) + sign->type,
                                     sign->id, sign->secret);
    add(shard, sl_str(sign->id), record);
    return 0;
}

static int
write_upstream(struct shard *shard, const struct image_upstream *upstream)
{
    struct image_writer *writer = shard->writer;
    struct sl_img_upstream *record =
        image_place(writer, sizeof(*record), _Alignof(struct sl_img_upstream));
    if (record == NULL || image_put_text(writer, &record->host, upstream->host) != 0) {
        return -1;
    }
    record->denied = upstream->denied;
    struct sl_img_address *addresses =
        image_put_list(writer, &record->addresses, upstream->count, sizeof(*addresses),
                       _Alignof(struct sl_img_address));
    if (addresses == NULL && upstream->count > 0) {
        return -1;
    }
    if (upstream->count > 0) {
        memcpy(addresses, upstream->addresses, upstream->count * sizeof(*addresses));
    }
    add(shard, sl_str(upstream->host), record);
    return 0;
}

static int
write_user(struct shard *shard, const struct sl_user *user)
{
    struct sl_img_user *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_user));
    if (record == NULL || image_put_text(shard->writer, &record->name, user->name) != 0 ||
        image_put_text(shard->writer, &record->domain_id, user->domain_id) != 0 ||
        image_put_text(shard->writer, &record->domain_name, user->domain_name) != 0) {
        return -1;
    }
    copy_id(record->id, user->id);
    record->enabled = user->enabled;
    record->not_before_s = user->not_before_s;
    add(shard, sl_str(user->id), record);
    return 0;
}

static int
write_access_key(struct shard *shard, const struct sl_access_key *key)
{
    struct sl_img_access_key *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_access_key));
    if (record == NULL || image_put_text(shard->writer, &record->access, key->access) != 0 ||
        image_put_text(shard->writer, &record->secret, key->secret) != 0 ||
        image_put_text(shard->writer, &record->security_token, key->security_token) != 0 ||
        image_put_text(shard->writer, &record->project_id, key->project_id) != 0) {
        return -1;
    }
    copy_id(record->user_id, key->user_id);
    record->secret_version = secret_version(shard->seed, key->access, key->secret);
    record->expires_s = key->expires_s;
    record->enabled = key->enabled;
    add(shard, sl_str(key->access), record);
    return 0;
}

static int
write_token_key(struct shard *shard, const struct sl_token_key *key)
{
    struct sl_img_token_key *record =
        image_place(shard->writer, sizeof(*record), _Alignof(struct sl_img_token_key));
    if (record == NULL) {
        return -1;
    }
    copy_id(record->id, key->id);
    // What is no key is not found, and so verifies nothing.
    if (sl_hex_decode(sl_str(key->public_key), record->public_key, sizeof(record->public_key))) {
        add(shard, sl_str(key->id), record);
    }
    return 0;
}

static int
write_channel(struct shard *shard, const struct sl_channel *channel)
{
    struct sl_img_channel *record = image_place(shard->writer, sizeof(*record), IMAGE_ALIGN);
    if (record == NULL || image_write_channel(shard->writer, record, channel) != 0) {
        return -1;
    }
    add(shard, sl_str(channel->id), record);
    return 0;
}

static int
write_item(struct shard *shard, enum image_part part, const void *item)
{
    switch (part) {
    case IMAGE_APP:
        return write_app(shard, item);
    case IMAGE_KEY:
        return write_index(shard, ((const struct sl_app *)item)->key,
                           ((const struct sl_app *)item)->id);
    case IMAGE_CODE:
        return write_codes(shard, item);
    case IMAGE_HOST:
        return write_host(shard, item);
    case IMAGE_GROUP:
        return write_group(shard, item);
    case IMAGE_THROTTLE:
        return write_throttle(shard, item);
    case IMAGE_SIGN:
        return write_sign(shard, item);
    case IMAGE_PAIR:
        return write_index(shard, ((const struct sl_sign *)item)->key,
                           ((const struct sl_sign *)item)->id);
    case IMAGE_UPSTREAM:
        return write_upstream(shard, item);
    case IMAGE_USER:
        return write_user(shard, item);
    case IMAGE_ACCESS:
        return write_access_key(shard, item);
    case IMAGE_TOKEN_KEY:
        return write_token_key(shard, item);
    case IMAGE_CHANNEL:
        return write_channel(shard, item);
    case IMAGE_CERTIFICATE:
        return write_certificate(shard, item);
    case IMAGE_ROUTES:
        break;
    }
    return -1;
}

// An app may have several codes in one shard.
static size_t
count_records(enum image_part part, const void *const *items, size_t count)
{
    size_t records = count;
    for (size_t i = 0; part == IMAGE_CODE && i < count; i++) {
        records += ((const struct sl_app *)items[i])->code_count;
    }
    return records;
}

int
image_write_part(struct image_writer *writer, uint32_t slot, uint64_t seed,
                 const void *const *items, size_t count, struct sl_error *err)
{
    enum image_part part = (enum image_part)(slot / IMAGE_SHARDS);
    struct image_segment *segment = image_segment_begin(writer, part, seed);
    if (segment == NULL) {
        return image_full(err);
    }
    struct shard out = {writer, NULL, image_table_places(count_records(part, items, count)), seed,
                        slot % IMAGE_SHARDS};
    out.table =
        image_put_list(writer, &segment->table, out.places, sizeof(*out.table), IMAGE_ALIGN);
    if (out.table == NULL && out.places > 0) {
        return image_full(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (write_item(&out, part, items[i]) != 0) {
            return image_full(err);
        }
    }
    return image_segment_end(writer, err);
}

static int
write_features(struct image_writer *writer, struct sl_img_gateway *record,
               const struct sl_gateway *gateway)
{
    for (size_t i = 0; i < gateway->feature_count; i++) {
        const struct sl_feature_value *from = &gateway->features[i];
        enum sl_feature feature = sl_feature_find(from->name);
        if (feature == SL_FEATURE_COUNT) {
            continue; // a newer publisher's
        }
        struct sl_img_feature *to = &record->features[feature];
        to->set = 1;
        to->on = strcmp(from->value, "on") == 0;
        (void)sl_str_int(sl_str(from->value), &to->number); // a text is no number
        if (image_put_text(writer, &to->text, from->value) != 0) {
            return -1;
        }
    }
    return 0;
}

int
image_write_gateway(struct image_writer *writer, struct sl_img_gateway *record,
                    const struct sl_gateway *gateway, const char *epoch, uint64_t revision)
{
    copy_id(record->id, gateway->id);
    record->domain_call_limit = gateway->domain_call_limit;
    record->api_default_limit = gateway->api_default_limit;
    record->body_max_bytes = gateway->body_max_bytes;
    record->timeout_max_ms = gateway->timeout_max_ms;
    if (image_put_text(writer, &record->project_id, gateway->project_id) != 0 ||
        write_features(writer, record, gateway) != 0) {
        return -1;
    }
    record->revision = revision;
    struct sl_img_str *addresses =
        image_put_list(writer, &record->addresses, gateway->address_count, sizeof(*addresses),
                       _Alignof(struct sl_img_str));
    if (addresses == NULL && gateway->address_count > 0) {
        return -1;
    }
    for (size_t i = 0; i < gateway->address_count; i++) {
        if (image_put_text(writer, &addresses[i], gateway->addresses[i]) != 0) {
            return -1;
        }
    }
    return image_put_text(writer, &record->epoch, epoch);
}
