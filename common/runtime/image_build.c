// image_build.c - the entries that an image is made of, and which segments a change touches.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/runtime/image_builder.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/siphash.h"

#define BUILDER_MAGIC 0x534c4231U

static void
free_entry(void **entry)
{
    free(*entry);
    *entry = NULL;
}

static void
free_upstream(void **item)
{
    struct image_upstream *upstream = *item;
    free(upstream->host);
    free(upstream->addresses);
    free(upstream);
    *item = NULL;
}

static void
free_routes(void **item)
{
    struct image_routes *routes = *item;
    free(routes->list.items);
    free(routes);
    *item = NULL;
}

static zhashx_t *
new_table(void (*release)(void **))
{
    zhashx_t *table = zhashx_new();
    assert(table != NULL);
    zhashx_set_key_hasher(table, sl_siphash_text); // publishers choose hosts
    zhashx_set_destructor(table, release);
    return table;
}

struct sl_image_builder *
sl_image_builder_new(const char *name, struct sl_error *err)
{
    if (!image_name_valid(name)) {
        sl_fail(err, SL_E_CONFIG, "shm_name");
        return NULL;
    }
    SL_AUTO(sl_image_builder) builder = calloc(1, sizeof(*builder));
    if (builder == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    builder->magic = BUILDER_MAGIC;
    builder->control_fd = -1;
    snprintf(builder->name, sizeof(builder->name), "%s", name);
    for (size_t i = 0; i < SL_KIND_COUNT; i++) {
        builder->entries[i] = new_table(free_entry);
    }
    builder->routes = new_table(free_routes);
    builder->upstreams = new_table(free_upstream);
    if (getrandom(&builder->seed, sizeof(builder->seed), 0) != (ssize_t)sizeof(builder->seed)) {
        sl_fail(err, SL_E_INTERNAL);
        return NULL;
    }
    if (image_control_open(builder, err) != 0 || image_writer_init(&builder->writer, err) != 0) {
        return NULL;
    }
    return SL_TAKE(builder);
}

void
sl_image_builder_free(struct sl_image_builder **builder)
{
    if (builder == NULL || *builder == NULL) {
        return;
    }
    struct sl_image_builder *gone = *builder;
    *builder = NULL;
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        free(gone->parts[i].items);
    }
    zhashx_destroy(&gone->routes);
    zhashx_destroy(&gone->upstreams);
    for (size_t i = 0; i < SL_KIND_COUNT; i++) {
        zhashx_destroy(&gone->entries[i]);
    }
    free(gone->slots);
    image_writer_clear(&gone->writer);
    image_control_close(gone);
    free(gone);
}

// -- lists

struct image_list *
image_list_of(struct sl_image_builder *builder, enum image_part part, struct sl_str key)
{
    uint32_t shard = image_shard_of(sl_hash(builder->seed, key.ptr, key.len));
    return &builder->parts[part * IMAGE_SHARDS + shard];
}

int
image_list_add(struct image_list *list, const void *item)
{
    list->dirty = true;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 4 : 2 * list->capacity;
        const void **items = realloc(list->items, capacity * sizeof(*items));
        if (items == NULL) {
            return -1;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return 0;
}

void
image_list_remove(struct image_list *list, const void *item)
{
    list->dirty = true;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == item) {
            list->items[i] = list->items[--list->count];
            return;
        }
    }
}

static void
routes_key(const char *group_id, const char *env_name, char ret_key[SL_ID_SIZE + IMAGE_ENV_MAX + 1])
{
    snprintf(ret_key, SL_ID_SIZE + IMAGE_ENV_MAX + 1, "%s/%s", group_id, env_name);
}

// The first free slot; grows the table when there is none. SIZE_MAX when memory is out.
static size_t
take_slot(struct sl_image_builder *builder)
{
    size_t slot = 0;
    while (slot < builder->slot_count && builder->slots[slot] != NULL) {
        slot++;
    }
    if (slot == builder->slot_count) {
        size_t count = slot == 0 ? 16 : 2 * slot;
        struct image_routes **slots = realloc(builder->slots, count * sizeof(*slots));
        if (slots == NULL) {
            return SIZE_MAX;
        }
        memset(slots + slot, 0, (count - slot) * sizeof(*slots));
        builder->slots = slots;
        builder->slot_count = count;
    }
    return slot;
}

struct image_routes *
image_routes_of(struct sl_image_builder *builder, const char *group_id, const char *env_name)
{
    char key[SL_ID_SIZE + IMAGE_ENV_MAX + 1];
    routes_key(group_id, env_name, key);
    struct image_routes *routes = zhashx_lookup(builder->routes, key);
    if (routes != NULL) {
        return routes;
    }
    size_t slot = take_slot(builder);
    routes = calloc(1, sizeof(*routes));
    if (routes == NULL || slot == SIZE_MAX) {
        free(routes);
        return NULL;
    }
    snprintf(routes->group_id, sizeof(routes->group_id), "%s", group_id);
    snprintf(routes->env_name, sizeof(routes->env_name), "%s", env_name);
    routes->slot = (uint32_t)(IMAGE_FIXED_SLOTS + slot);
    builder->slots[slot] = routes;
    int inserted = zhashx_insert(builder->routes, key, routes);
    assert(inserted == 0);
    return routes;
}

void
image_routes_prune(struct sl_image_builder *builder)
{
    for (size_t i = 0; i < builder->slot_count; i++) {
        struct image_routes *routes = builder->slots[i];
        if (routes != NULL && routes->list.count == 0 && routes->list.live.id == 0) {
            char key[SL_ID_SIZE + IMAGE_ENV_MAX + 1];
            routes_key(routes->group_id, routes->env_name, key);
            builder->slots[i] = NULL;
            zhashx_delete(builder->routes, key);
        }
    }
}

// -- upstreams

static struct image_upstream *
upstream_of(struct sl_image_builder *builder, const char *host)
{
    struct image_upstream *upstream = zhashx_lookup(builder->upstreams, host);
    if (upstream != NULL) {
        return upstream;
    }
    upstream = calloc(1, sizeof(*upstream));
    if (upstream == NULL) {
        return NULL;
    }
    upstream->host = strdup(host);
    if (upstream->host == NULL) {
        free(upstream);
        return NULL;
    }
    int inserted = zhashx_insert(builder->upstreams, host, upstream);
    assert(inserted == 0);
    return upstream;
}

static struct image_list *
upstream_list(struct sl_image_builder *builder, const struct image_upstream *upstream)
{
    return image_list_of(builder, IMAGE_UPSTREAM, sl_str(upstream->host));
}

// The host of an HTTP API's own backend (0) or of a policy (from 1), or of a channel's member; NULL
// after the last, and for what has no backends.
static const char *
backend_host(const struct sl_entry *entry, size_t index)
{
    if (entry->kind == SL_KIND_CHANNEL) {
        return index < entry->channel.member_count ? entry->channel.members[index].host : NULL;
    }
    const struct sl_api *api = &entry->api;
    if (api->backend_type == SL_BACKEND_MOCK || index > api->policy_count) {
        return NULL;
    }
    return index == 0 ? api->http.host : api->policies[index - 1].http.host;
}

static int
use_host(struct sl_image_builder *builder, const char *host)
{
    struct image_upstream *upstream = upstream_of(builder, host);
    if (upstream == NULL) {
        return -1;
    }
    if (upstream->uses++ == 0 && upstream->known) {
        return image_list_add(upstream_list(builder, upstream), upstream);
    }
    return 0;
}

static void
drop_host(struct sl_image_builder *builder, const char *host)
{
    struct image_upstream *upstream = zhashx_lookup(builder->upstreams, host);
    if (upstream != NULL && upstream->uses > 0 && --upstream->uses == 0 && upstream->known) {
        // What it resolved to stays known: the host often comes back with the next entry.
        image_list_remove(upstream_list(builder, upstream), upstream);
    }
}

static void
drop_upstreams(struct sl_image_builder *builder, const struct sl_entry *entry)
{
    const char *host;
    for (size_t i = 0; (host = backend_host(entry, i)) != NULL; i++) {
        drop_host(builder, host);
    }
}

// Counts every host even when memory runs out: drop_upstreams() then takes all of them back.
static int
use_upstreams(struct sl_image_builder *builder, const struct sl_entry *entry)
{
    const char *host;
    int rc = 0;
    for (size_t i = 0; (host = backend_host(entry, i)) != NULL; i++) {
        rc |= use_host(builder, host);
    }
    return rc;
}

static bool
same_addresses(const struct image_upstream *upstream, const struct sl_img_address *addresses,
               size_t count, bool denied)
{
    return upstream->known && upstream->denied == denied && upstream->count == count &&
           (count == 0 || memcmp(upstream->addresses, addresses, count * sizeof(*addresses)) == 0);
}

int
sl_image_builder_upstream(struct sl_image_builder *builder, const char *host,
                          const struct sl_img_address *addresses, size_t count, bool denied,
                          struct sl_error *err)
{
    struct image_upstream *upstream = upstream_of(builder, host);
    if (upstream == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (same_addresses(upstream, addresses, count, denied)) {
        return 0;
    }
    struct sl_img_address *copy = calloc(count + 1, sizeof(*copy));
    if (copy == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (count > 0) {
        memcpy(copy, addresses, count * sizeof(*copy));
    }
    free(upstream->addresses);
    upstream->addresses = copy;
    upstream->count = count;
    upstream->denied = denied;
    struct image_list *list = upstream_list(builder, upstream);
    bool listed = upstream->known && upstream->uses > 0;
    upstream->known = true;
    list->dirty = list->dirty || listed;
    if (!listed && upstream->uses > 0 && image_list_add(list, upstream) != 0) {
        upstream->known = false;
        return sl_fail(err, SL_E_INTERNAL);
    }
    return 0;
}

void
sl_image_builder_forget(struct sl_image_builder *builder, const char *host)
{
    const struct image_upstream *upstream = zhashx_lookup(builder->upstreams, host);
    if (upstream != NULL && upstream->uses == 0) {
        zhashx_delete(builder->upstreams, host);
    }
}

void
sl_image_builder_hosts(const struct sl_image_builder *builder,
                       void (*fn)(void *arg, const char *host), void *arg)
{
    for (struct image_upstream *upstream = zhashx_first(builder->upstreams); upstream != NULL;
         upstream = zhashx_next(builder->upstreams)) {
        if (upstream->uses > 0) {
            fn(arg, upstream->host);
        }
    }
}

// -- entries

// The part of a kind whose items stand in one shard by their id or name; IMAGE_PARTS: none.
static enum image_part
part_of(enum sl_kind kind)
{
    switch (kind) {
    case SL_KIND_GROUP:
        return IMAGE_GROUP;
    case SL_KIND_HOST:
        return IMAGE_HOST;
    case SL_KIND_APP:
        return IMAGE_APP;
    case SL_KIND_THROTTLE:
        return IMAGE_THROTTLE;
    case SL_KIND_SIGN:
        return IMAGE_SIGN;
    case SL_KIND_USER:
        return IMAGE_USER;
    case SL_KIND_ACCESS_KEY:
        return IMAGE_ACCESS;
    case SL_KIND_TOKEN_KEY:
        return IMAGE_TOKEN_KEY;
    case SL_KIND_CHANNEL:
        return IMAGE_CHANNEL;
    case SL_KIND_CERTIFICATE:
        return IMAGE_CERTIFICATE;
    default:
        return IMAGE_PARTS;
    }
}

static struct sl_str
part_key(const struct sl_entry *entry)
{
    switch (entry->kind) {
    case SL_KIND_GROUP:
        return sl_str(entry->group.id);
    case SL_KIND_HOST:
        return image_host_key(sl_str(entry->host.name));
    case SL_KIND_APP:
        return sl_str(entry->app.id);
    case SL_KIND_SIGN:
        return sl_str(entry->sign.id);
    case SL_KIND_USER:
        return sl_str(entry->user.id);
    case SL_KIND_ACCESS_KEY:
        return sl_str(entry->access_key.access);
    case SL_KIND_TOKEN_KEY:
        return sl_str(entry->token_key.id);
    case SL_KIND_CHANNEL:
        return sl_str(entry->channel.id);
    case SL_KIND_CERTIFICATE:
        return sl_str(entry->certificate.id);
    default:
        return sl_str(entry->throttle.id);
    }
}

// Whether a code before number `i` stands in the same shard.
static bool
code_shard_taken(struct sl_image_builder *builder, const struct sl_app *app, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (image_list_of(builder, IMAGE_CODE, sl_str(app->codes[j])) ==
            image_list_of(builder, IMAGE_CODE, sl_str(app->codes[i]))) {
            return true;
        }
    }
    return false;
}

static int
index_app(struct sl_image_builder *builder, const struct sl_app *app)
{
    int status = image_list_add(image_list_of(builder, IMAGE_KEY, sl_str(app->key)), app);
    for (size_t i = 0; i < app->code_count && status == 0; i++) {
        if (!code_shard_taken(builder, app, i)) {
            status = image_list_add(image_list_of(builder, IMAGE_CODE, sl_str(app->codes[i])), app);
        }
    }
    return status;
}

static void
unindex_app(struct sl_image_builder *builder, const struct sl_app *app)
{
    image_list_remove(image_list_of(builder, IMAGE_KEY, sl_str(app->key)), app);
    for (size_t i = 0; i < app->code_count; i++) {
        image_list_remove(image_list_of(builder, IMAGE_CODE, sl_str(app->codes[i])), app);
    }
}

// Where a key pair is found by its key; NULL for other entries.
static struct image_list *
pair_list(struct sl_image_builder *builder, const struct sl_entry *entry)
{
    return entry->kind == SL_KIND_SIGN && entry->sign.type == SL_SIGN_PUBLIC_KEY
               ? image_list_of(builder, IMAGE_PAIR, sl_str(entry->sign.key))
               : NULL;
}

// Puts an entry into the lists of the segments that it goes into.
static int
attach(struct sl_image_builder *builder, const struct sl_entry *entry)
{
    if (entry->kind == SL_KIND_API) {
        struct image_routes *routes =
            image_routes_of(builder, entry->api.group_id, entry->api.env_name);
        if (routes == NULL || use_upstreams(builder, entry) != 0) {
            return -1;
        }
        return image_list_add(&routes->list, &entry->api);
    }
    enum image_part part = part_of(entry->kind);
    if (part == IMAGE_PARTS) {
        return 0; // the gateway's record lies in the directory
    }
    if (image_list_add(image_list_of(builder, part, part_key(entry)), &entry->api) != 0) {
        return -1;
    }
    if (entry->kind == SL_KIND_CHANNEL) {
        return use_upstreams(builder, entry);
    }
    struct image_list *pairs = pair_list(builder, entry);
    if (pairs != NULL) {
        return image_list_add(pairs, &entry->sign);
    }
    return entry->kind == SL_KIND_APP ? index_app(builder, &entry->app) : 0;
}

static void
detach(struct sl_image_builder *builder, const struct sl_entry *entry)
{
    if (entry->kind == SL_KIND_API) {
        struct image_routes *routes =
            image_routes_of(builder, entry->api.group_id, entry->api.env_name);
        if (routes != NULL) {
            image_list_remove(&routes->list, &entry->api);
            drop_upstreams(builder, entry);
        }
        return;
    }
    enum image_part part = part_of(entry->kind);
    if (part == IMAGE_PARTS) {
        return;
    }
    image_list_remove(image_list_of(builder, part, part_key(entry)), &entry->api);
    struct image_list *pairs = pair_list(builder, entry);
    if (pairs != NULL) {
        image_list_remove(pairs, &entry->sign);
    }
    if (entry->kind == SL_KIND_APP) {
        unindex_app(builder, &entry->app);
    } else if (entry->kind == SL_KIND_CHANNEL) {
        drop_upstreams(builder, entry);
    }
}

int
sl_image_builder_put(struct sl_image_builder *builder, const char *key,
                     const struct sl_entry *entry, struct sl_error *err)
{
    if (entry->kind == SL_KIND_API &&
        (!image_path_valid(entry->api.path) || strlen(entry->api.env_name) > IMAGE_ENV_MAX)) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, sl_kind_name(entry->kind), "path");
    }
    struct sl_entry *copy = sl_entry_copy(entry);
    if (copy == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    sl_image_builder_remove(builder, entry->kind, key);
    if (attach(builder, copy) != 0) {
        detach(builder, copy);
        free(copy);
        return sl_fail(err, SL_E_INTERNAL);
    }
    int inserted = zhashx_insert(builder->entries[entry->kind], key, copy);
    assert(inserted == 0);
    return 0;
}

void
sl_image_builder_remove(struct sl_image_builder *builder, enum sl_kind kind, const char *key)
{
    const struct sl_entry *entry = zhashx_lookup(builder->entries[kind], key);
    if (entry != NULL) {
        detach(builder, entry);
        zhashx_delete(builder->entries[kind], key);
    }
}

static void
empty_list(struct image_list *list)
{
    list->dirty = list->dirty || list->count > 0 || list->live.id != 0;
    list->count = 0;
}

void
sl_image_builder_reset(struct sl_image_builder *builder)
{
    for (size_t i = 0; i < IMAGE_FIXED_SLOTS; i++) {
        empty_list(&builder->parts[i]);
    }
    for (size_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i] != NULL) {
            empty_list(&builder->slots[i]->list);
        }
    }
    for (size_t i = 0; i < SL_KIND_COUNT; i++) {
        zhashx_purge(builder->entries[i]);
    }
    for (struct image_upstream *upstream = zhashx_first(builder->upstreams); upstream != NULL;
         upstream = zhashx_next(builder->upstreams)) {
        upstream->uses = 0;
    }
}

const struct sl_gateway *
sl_image_builder_gateway(const struct sl_image_builder *builder)
{
    const struct sl_entry *entry = zhashx_first(builder->entries[SL_KIND_GATEWAY]);
    return entry == NULL ? NULL : &entry->gateway;
}

const struct sl_throttle *
sl_image_builder_throttle(const struct sl_image_builder *builder, const char *id)
{
    const struct sl_entry *entry = zhashx_lookup(builder->entries[SL_KIND_THROTTLE], id);
    return entry == NULL ? NULL : &entry->throttle;
}
