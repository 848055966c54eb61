// image_check.c - every offset of a segment, checked once so that readers may trust it.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_write.h"

#include "common/runtime/range.h"

#define DEPTH_MAX 1024 // levels of a trie: more than a declared path can have segments

struct bounds {
    const char *base;
    size_t size_bytes;
};

// Whether `len` bytes at `field + off` lie inside, aligned.
static bool
inside(const struct bounds *bounds, const int32_t *field, uint64_t len, size_t align)
{
    int64_t at = (const char *)field - bounds->base + *field;
    return at >= 0 && at % (int64_t)align == 0 && len <= bounds->size_bytes &&
           (uint64_t)at <= bounds->size_bytes - len;
}

static bool
text_valid(const struct bounds *bounds, const struct sl_img_str *text)
{
    return text->len == 0 || inside(bounds, &text->off, text->len, 1);
}

static bool
list_valid(const struct bounds *bounds, const struct sl_img_list *list, size_t size, size_t align)
{
    return list->count == 0 || inside(bounds, &list->off, (uint64_t)list->count * size, align);
}

static bool
texts_valid(const struct bounds *bounds, const struct sl_img_list *list)
{
    if (!list_valid(bounds, list, sizeof(struct sl_img_str), _Alignof(struct sl_img_str))) {
        return false;
    }
    const struct sl_img_str *texts = sl_img_items(list);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!text_valid(bounds, &texts[i])) {
            return false;
        }
    }
    return true;
}

// A table: a power of two of places, one of them empty unless there is only one.
static bool
table_valid(const struct bounds *bounds, const struct sl_img_list *table, size_t size, size_t align)
{
    if (!list_valid(bounds, table, sizeof(struct image_bucket), _Alignof(struct image_bucket)) ||
        (table->count & (table->count - 1)) != 0) {
        return false;
    }
    const struct image_bucket *buckets = sl_img_items(table);
    uint32_t empty = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        if (buckets[i].off == 0) {
            empty++;
        } else if (!inside(bounds, &buckets[i].off, size, align)) {
            return false;
        }
    }
    return table->count <= 1 || empty > 0;
}

// Whether an index names a declared parameter, or none.
static bool
req_param_valid(const struct sl_img_api *api, int16_t index)
{
    return index >= -1 && index < (int64_t)api->req_params.count;
}

static bool
headers_valid(const struct bounds *bounds, const struct sl_img_list *field)
{
    if (!list_valid(bounds, field, sizeof(struct sl_img_header), _Alignof(struct sl_img_header))) {
        return false;
    }
    const struct sl_img_header *headers = sl_img_items(field);
    for (uint32_t i = 0; i < field->count; i++) {
        if (!text_valid(bounds, &headers[i].name) || !text_valid(bounds, &headers[i].value)) {
            return false;
        }
    }
    return true;
}

static bool
target_valid(const struct bounds *bounds, const struct sl_img_api *api,
             const struct sl_img_target *target)
{
    if (!text_valid(bounds, &target->host) || !text_valid(bounds, &target->authority) ||
        !text_valid(bounds, &target->path) || !text_valid(bounds, &target->function) ||
        !text_valid(bounds, &target->channel) || !text_valid(bounds, &target->proxy_host) ||
        !text_valid(bounds, &target->mock_body) || !headers_valid(bounds, &target->mock_headers) ||
        !list_valid(bounds, &target->backend_params, sizeof(struct sl_img_backend_param),
                    _Alignof(struct sl_img_backend_param))) {
        return false;
    }
    const struct sl_img_backend_param *sent = sl_img_items(&target->backend_params);
    for (uint32_t i = 0; i < target->backend_params.count; i++) {
        if (!text_valid(bounds, &sent[i].name) || !text_valid(bounds, &sent[i].value) ||
            !req_param_valid(api, sent[i].req_param)) {
            return false;
        }
    }
    return true;
}

static bool
conditions_valid(const struct bounds *bounds, const struct sl_img_api *api,
                 const struct sl_img_policy *policy)
{
    if (!list_valid(bounds, &policy->conditions, sizeof(struct sl_img_condition),
                    _Alignof(struct sl_img_condition))) {
        return false;
    }
    const struct sl_img_condition *conditions = sl_img_items(&policy->conditions);
    for (uint32_t i = 0; i < policy->conditions.count; i++) {
        if (!text_valid(bounds, &conditions[i].name) || !text_valid(bounds, &conditions[i].value) ||
            !req_param_valid(api, conditions[i].req_param)) {
            return false;
        }
    }
    return true;
}

static bool
policies_valid(const struct bounds *bounds, const struct sl_img_api *api)
{
    if (!list_valid(bounds, &api->policies, sizeof(struct sl_img_policy),
                    _Alignof(struct sl_img_policy))) {
        return false;
    }
    const struct sl_img_policy *policies = sl_img_items(&api->policies);
    for (uint32_t i = 0; i < api->policies.count; i++) {
        if (!target_valid(bounds, api, &policies[i].target) ||
            !conditions_valid(bounds, api, &policies[i])) {
            return false;
        }
    }
    return true;
}

static bool
api_valid(const struct bounds *bounds, const struct sl_img_api *api)
{
    const struct sl_img_str *texts[] = {&api->env_id, &api->name, &api->env_name, &api->path};
    for (size_t i = 0; i < SL_COUNT(texts); i++) {
        if (!text_valid(bounds, texts[i])) {
            return false;
        }
    }
    if (!texts_valid(bounds, &api->captures) || api->captures.count > SL_PATH_PARAMS_MAX ||
        !list_valid(bounds, &api->req_params, sizeof(struct sl_img_req_param),
                    _Alignof(struct sl_img_req_param))) {
        return false;
    }
    const struct sl_img_req_param *wanted = sl_img_items(&api->req_params);
    for (uint32_t i = 0; i < api->req_params.count; i++) {
        if (!text_valid(bounds, &wanted[i].name) || !text_valid(bounds, &wanted[i].default_value) ||
            !text_valid(bounds, &wanted[i].enumerations)) {
            return false;
        }
    }
    return target_valid(bounds, api, &api->target) && policies_valid(bounds, api);
}

static bool
throttle_valid(const struct bounds *bounds, const struct sl_img_throttle *throttle)
{
    if (!text_valid(bounds, &throttle->unit) ||
        !list_valid(bounds, &throttle->specials, sizeof(struct sl_img_special), 8)) {
        return false;
    }
    const struct sl_img_special *specials = sl_img_items(&throttle->specials);
    for (uint32_t i = 0; i < throttle->specials.count; i++) {
        if (!text_valid(bounds, &specials[i].object_id)) {
            return false;
        }
    }
    return true;
}

static bool
app_valid(const struct bounds *bounds, const struct sl_img_app *app)
{
    return text_valid(bounds, &app->name) && text_valid(bounds, &app->key) &&
           text_valid(bounds, &app->secret) && text_valid(bounds, &app->domain_id) &&
           list_valid(bounds, &app->publish_ids, SL_ID_LEN, 1) &&
           list_valid(bounds, &app->groups, SL_ID_LEN, 1) &&
           list_valid(bounds, &app->acl, sizeof(struct sl_range), 1);
}

static bool
upstream_valid(const struct bounds *bounds, const struct sl_img_upstream *upstream)
{
    return text_valid(bounds, &upstream->host) &&
           list_valid(bounds, &upstream->addresses, sizeof(struct sl_img_address), 2);
}

static bool
user_valid(const struct bounds *bounds, const struct sl_img_user *user)
{
    return text_valid(bounds, &user->name) && text_valid(bounds, &user->domain_id) &&
           text_valid(bounds, &user->domain_name);
}

static bool
access_key_valid(const struct bounds *bounds, const struct sl_img_access_key *key)
{
    return text_valid(bounds, &key->access) && text_valid(bounds, &key->secret) &&
           text_valid(bounds, &key->security_token) && text_valid(bounds, &key->project_id);
}

static bool
channel_valid(const struct bounds *bounds, const struct sl_img_channel *channel)
{
    if (!list_valid(bounds, &channel->members, sizeof(struct sl_img_member),
                    _Alignof(struct sl_img_member))) {
        return false;
    }
    const struct sl_img_member *members = sl_img_items(&channel->members);
    uint64_t counts[SL_COUNT(channel->tiers)] = {0};
    for (uint32_t i = 0; i < channel->members.count; i++) {
        if (!text_valid(bounds, &members[i].host)) {
            return false;
        }
        counts[members[i].backup != 0] += members[i].weight > 0 && !members[i].faulty ? 1 : 0;
    }
    return counts[0] == channel->tiers[0].count && counts[1] == channel->tiers[1].count;
}

static bool
host_valid(const struct bounds *bounds, const struct sl_img_host *host)
{
    return text_valid(bounds, &host->name) && list_valid(bounds, &host->certificates, SL_ID_LEN, 1);
}

static bool
certificate_valid(const struct bounds *bounds, const struct sl_img_certificate *certificate)
{
    return text_valid(bounds, &certificate->name) && text_valid(bounds, &certificate->key) &&
           texts_valid(bounds, &certificate->chain) && texts_valid(bounds, &certificate->ca);
}

static bool
sign_valid(const struct bounds *bounds, const struct sl_img_sign *sign)
{
    return text_valid(bounds, &sign->key) && text_valid(bounds, &sign->secret);
}

static bool
record_valid(const struct bounds *bounds, enum image_part part, const void *record)
{
    switch (part) {
    case IMAGE_APP:
        return app_valid(bounds, record);
    case IMAGE_THROTTLE:
        return throttle_valid(bounds, record);
    case IMAGE_SIGN:
        return sign_valid(bounds, record);
    case IMAGE_UPSTREAM:
        return upstream_valid(bounds, record);
    case IMAGE_ROUTES:
        return api_valid(bounds, record);
    case IMAGE_GROUP:
        return text_valid(bounds, &((const struct sl_img_group *)record)->name);
    case IMAGE_USER:
        return user_valid(bounds, record);
    case IMAGE_ACCESS:
        return access_key_valid(bounds, record);
    case IMAGE_HOST:
        return host_valid(bounds, record);
    case IMAGE_CERTIFICATE:
        return certificate_valid(bounds, record);
    case IMAGE_TOKEN_KEY:
        return true;
    case IMAGE_CHANNEL:
        return channel_valid(bounds, record);
    default: // KEY, CODE and PAIR begin with their text
        return text_valid(bounds, record);
    }
}

// Bytes and alignment of a part's records.
static const struct {
    size_t size, align;
} shapes[] = {
    [IMAGE_APP] = {sizeof(struct sl_img_app), _Alignof(struct sl_img_app)},
    [IMAGE_KEY] = {sizeof(struct image_index), _Alignof(struct image_index)},
    [IMAGE_CODE] = {sizeof(struct image_index), _Alignof(struct image_index)},
    [IMAGE_HOST] = {sizeof(struct sl_img_host), _Alignof(struct sl_img_host)},
    [IMAGE_GROUP] = {sizeof(struct sl_img_group), _Alignof(struct sl_img_group)},
    [IMAGE_THROTTLE] = {sizeof(struct sl_img_throttle), _Alignof(struct sl_img_throttle)},
    [IMAGE_SIGN] = {sizeof(struct sl_img_sign), _Alignof(struct sl_img_sign)},
    [IMAGE_PAIR] = {sizeof(struct image_index), _Alignof(struct image_index)},
    [IMAGE_UPSTREAM] = {sizeof(struct sl_img_upstream), _Alignof(struct sl_img_upstream)},
    [IMAGE_USER] = {sizeof(struct sl_img_user), _Alignof(struct sl_img_user)},
    [IMAGE_ACCESS] = {sizeof(struct sl_img_access_key), _Alignof(struct sl_img_access_key)},
    [IMAGE_TOKEN_KEY] = {sizeof(struct sl_img_token_key), _Alignof(struct sl_img_token_key)},
    [IMAGE_CHANNEL] = {sizeof(struct sl_img_channel), _Alignof(struct sl_img_channel)},
    [IMAGE_CERTIFICATE] = {sizeof(struct sl_img_certificate), _Alignof(struct sl_img_certificate)},
    [IMAGE_ROUTES] = {sizeof(struct sl_img_api), _Alignof(struct sl_img_api)},
};

static bool
methods_valid(const struct bounds *bounds, const struct sl_img_list *list)
{
    if (!list_valid(bounds, list, sizeof(struct image_method), _Alignof(struct image_method))) {
        return false;
    }
    const struct image_method *methods = sl_img_items(list);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!inside(bounds, &methods[i].api, sizeof(struct sl_img_api),
                    _Alignof(struct sl_img_api))) {
            return false;
        }
    }
    return true;
}

static bool node_valid(const struct bounds *bounds, const int32_t *link, size_t depth);

// Children lie behind their parent, so a trie that passes has no cycle.
static bool
children_valid(const struct bounds *bounds, const struct image_node *node, size_t depth)
{
    if (!table_valid(bounds, &node->literals, sizeof(struct image_node),
                     _Alignof(struct image_node))) {
        return false;
    }
    const struct image_bucket *buckets = sl_img_items(&node->literals);
    for (uint32_t i = 0; i < node->literals.count; i++) {
        if (buckets[i].off != 0 && !node_valid(bounds, &buckets[i].off, depth + 1)) {
            return false;
        }
    }
    return (node->param == 0 || node_valid(bounds, &node->param, depth + 1)) &&
           (node->plus == 0 || node_valid(bounds, &node->plus, depth + 1));
}

static bool
node_valid(const struct bounds *bounds, const int32_t *link, size_t depth)
{
    if (depth > DEPTH_MAX || *link <= 0 ||
        !inside(bounds, link, sizeof(struct image_node), _Alignof(struct image_node))) {
        return false;
    }
    const struct image_node *node = image_follow(link);
    return text_valid(bounds, &node->label) && methods_valid(bounds, &node->exact) &&
           methods_valid(bounds, &node->prefix) && children_valid(bounds, node, depth);
}

bool
image_segment_valid(const void *base, size_t size_bytes)
{
    struct bounds bounds = {base, size_bytes};
    const struct image_segment *segment = base;
    if (size_bytes < sizeof(*segment) || segment->magic != IMAGE_MAGIC_SEGMENT ||
        segment->format != SL_IMAGE_FORMAT || segment->part > IMAGE_ROUTES ||
        segment->size_bytes != size_bytes) {
        return false;
    }
    enum image_part part = segment->part;
    if (!table_valid(&bounds, &segment->table, shapes[part].size, shapes[part].align)) {
        return false;
    }
    const struct image_bucket *buckets = sl_img_items(&segment->table);
    for (uint32_t i = 0; i < segment->table.count; i++) {
        if (buckets[i].off != 0 && !record_valid(&bounds, part, image_follow(&buckets[i].off))) {
            return false;
        }
    }
    return part != IMAGE_ROUTES || node_valid(&bounds, &segment->root, 0);
}
