// compile_gateway.c - the gateway's own entry: settings, features, nodes.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile.h"
#include "services/publisher/compile_json.h"

#include "common/runtime/feature.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char instance_sql[] = "SELECT i.id, r.membership, i.project_id FROM instance i JOIN "
                                   "gateway_revision r ON r.gateway_id = i.id "
                                   "WHERE i.id = $1";

// Its own, and those in front of it.
static const char addresses_sql[] =
    "SELECT unnest(addresses) FROM instance WHERE id = $1 UNION ALL"
    " SELECT h.host FROM gateway_setting e JOIN gateway_setting l ON l.instance_id = e.instance_id"
    " AND l.name = 'default_group_host_trustlist.hosts'"
    " CROSS JOIN LATERAL jsonb_array_elements_text(l.value::jsonb) h (host)"
    " WHERE e.instance_id = $1 AND e.name = 'default_group_host_trustlist.enable'"
    " AND e.value = 'on'";

static const char nodes_sql[] =
    "SELECT id, public_key FROM node WHERE instance_id = $1 ORDER BY id COLLATE \"C\"";

static const char restricted_sql[] =
    "SELECT unnest(string_to_array(replace(value, ' ', ''), ',')) FROM instance_setting "
    "WHERE instance_id = $1 AND name = 'restrict_cidrs' AND value <> ''";

static const char setting_sql[] =
    "SELECT name, value FROM gateway_setting WHERE instance_id = $1 ORDER BY name COLLATE \"C\"";

static const char secret_sql[] = "SELECT name, secret FROM feature WHERE instance_id = $1 AND "
                                 "enable AND secret IS NOT NULL ORDER BY name COLLATE \"C\"";

static int
fetch_all(const struct compile *c, const char *sql, struct sl_rows **ret_rows, struct sl_error *err)
{
    return sl_sql(c->tx, c->arena, sql, SL_PARAMS(SL_P_TEXT(c->gateway)), ret_rows, err);
}

// The settings that act, by name; features are among them.
struct settings {
    const struct sl_rows *rows;    // of setting_sql
    struct sl_feature_value *list; // what nodes know of them, and of the sealed members
    size_t count, room;
};

static int64_t
number(const struct settings *settings, const char *name, int64_t fallback)
{
    for (size_t i = 0; i < sl_rows_count(settings->rows); i++) {
        if (strcmp(sl_rows_text(settings->rows, i, 0), name) == 0) {
            return sl_rows_int(settings->rows, i, 1);
        }
    }
    return fallback;
}

// One item of a list as text; NULL leaves it out.
typedef const char *item_fn(struct sl_arena *arena, const json_t *item);

// The items of a JSON list as one text; "" when it is none. Nobody writes such a list but the
// registry, which checked it.
static const char *
join(const struct compile *c, const char *list, const char *between, item_fn *as_text)
{
    json_t *array = json_loads(list, 0, NULL);
    const char *joined = "";
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(array, i, item)
    {
        const char *text = as_text(c->arena, item);
        if (text != NULL) {
            joined =
                sl_arena_printf(c->arena, "%s%s%s", joined, joined[0] != '\0' ? between : "", text);
        }
    }
    json_decref(array);
    return joined;
}

// A pattern, alone or as `user_name` of an object, that others can stand beside.
static const char *
pattern_of(struct sl_arena *arena, const json_t *item)
{
    const char *text =
        json_string_value(json_is_object(item) ? json_object_get(item, "user_name") : item);
    return text != NULL ? sl_arena_printf(arena, "(?:%s)", text) : NULL;
}

static const char *
text_of(struct sl_arena *arena, const json_t *item)
{
    (void)arena; // the joined text is a copy
    return json_string_value(item);
}

// {location, name} as "header a1234".
static const char *
log_of(struct sl_arena *arena, const json_t *item)
{
    return sl_arena_printf(arena, "%s %s", compile_text(arena, item, "location"),
                           compile_text(arena, item, "name"));
}

// A part as nodes read it: a list becomes one text, a feature without a configuration a switch.
static const char *
as_nodes_read(const struct compile *c, enum sl_feature feature, const char *value)
{
    switch (feature) {
    case SL_FEATURE_RAW_PATH:
        return "on";
    case SL_FEATURE_TOKEN_ALLOW:
        return join(c, value, "|", pattern_of);
    case SL_FEATURE_SSL_CIPHERS:
        return join(c, value, ":", text_of);
    case SL_FEATURE_CUSTOM_LOG:
        return join(c, value, ",", log_of);
    default:
        return value;
    }
}

static void
add_feature(const struct compile *c, struct settings *settings, const char *name, const char *value)
{
    enum sl_feature feature = sl_feature_find(name);
    if (settings->count < settings->room && feature != SL_FEATURE_COUNT) {
        settings->list[settings->count++] = (struct sl_feature_value){
            sl_arena_dup(c->arena, name), sl_arena_dup(c->arena, as_nodes_read(c, feature, value))};
    }
}

// The sealed members of one feature: a JSON object of texts.
static int
add_secrets(const struct compile *c, struct settings *settings, const char *feature,
            struct sl_str sealed, struct sl_error *err)
{
    const char *context = sl_arena_printf(c->arena, "feature:%s/%s", c->gateway, feature);
    const char *text = compile_unseal(c, context, sealed, err);
    if (text == NULL) {
        return -1;
    }
    json_t *object = json_loads(text, 0, NULL);
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        if (json_is_string(value)) {
            add_feature(c, settings, sl_arena_printf(c->arena, "%s.%s", feature, name),
                        json_string_value(value));
        }
    }
    json_decref(object);
    return sl_arena_check(c->arena, err);
}

static bool
has_feature(const struct settings *settings, enum sl_feature feature)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (sl_feature_find(settings->list[i].name) == feature) {
            return true;
        }
    }
    return false;
}

// Tokens of an operator who gave no key for them are sealed under one that follows from ours: all
// publishers find the same, and nothing stores it.
static void
add_token_key(const struct compile *c, struct settings *settings)
{
    char key[65];
    if (has_feature(settings, SL_FEATURE_APP_TOKEN) &&
        !has_feature(settings, SL_FEATURE_APP_TOKEN_KEY)) {
        sl_seal_lookup(&c->publisher->key, SL_STR("app_token_key"), sl_str(c->gateway), key);
        add_feature(c, settings, sl_feature_name(SL_FEATURE_APP_TOKEN_KEY), key);
    }
}

// Every part of a feature that nodes know and that is set, once, sorted by enum sl_feature.
static int
read_features(const struct compile *c, struct settings *settings, struct sl_gateway *gateway,
              struct sl_error *err)
{
    struct sl_rows *secrets = NULL;
    if (fetch_all(c, secret_sql, &secrets, err) != 0) {
        return -1;
    }
    settings->room = SL_FEATURE_COUNT;
    settings->list = sl_arena_array(c->arena, settings->room, sizeof(*settings->list));
    if (settings->list == NULL) {
        return sl_arena_check(c->arena, err);
    }
    for (size_t i = 0; i < sl_rows_count(settings->rows); i++) {
        add_feature(c, settings, sl_rows_text(settings->rows, i, 0),
                    sl_rows_text(settings->rows, i, 1));
    }
    for (size_t i = 0; i < sl_rows_count(secrets); i++) {
        if (add_secrets(c, settings, sl_rows_text(secrets, i, 0), sl_rows_bytes(secrets, i, 1),
                        err) != 0) {
            return -1;
        }
    }
    add_token_key(c, settings);
    gateway->features = settings->list;
    gateway->feature_count = settings->count;
    return sl_arena_check(c->arena, err);
}

static int
read_settings(const struct compile *c, struct sl_gateway *gateway, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch_all(c, setting_sql, &rows, err) != 0) {
        return -1;
    }
    struct settings settings = {.rows = rows};
    // Documented defaults: runtime.md 2.1, 7.1, 17.
    gateway->domain_call_limit = number(&settings, "domain_call_limit", 1000);
    gateway->api_default_limit = number(&settings, "api_default_limit", 200);
    gateway->body_max_bytes = number(&settings, "request_body_size", INT64_C(12) * 1024 * 1024);
    gateway->timeout_max_ms = number(&settings, "backend_timeout", 60000);
    return read_features(c, &settings, gateway, err);
}

int
compile_gateway(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
                struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_rows *addresses = NULL;
    struct sl_rows *nodes = NULL;
    struct sl_rows *restricted = NULL;
    if (strcmp(key, c->gateway) != 0) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, "gateway", "key");
    }
    if (fetch_all(c, instance_sql, &rows, err) != 0 ||
        fetch_all(c, addresses_sql, &addresses, err) != 0 ||
        fetch_all(c, nodes_sql, &nodes, err) != 0 ||
        fetch_all(c, restricted_sql, &restricted, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    entry->gateway = (struct sl_gateway){.id = sl_rows_text(rows, 0, 0),
                                         .project_id = sl_rows_text(rows, 0, 2),
                                         .membership = (uint64_t)sl_rows_int(rows, 0, 1),
                                         .addresses = compile_list(c->arena, addresses, 0),
                                         .address_count = sl_rows_count(addresses),
                                         .restricted = compile_list(c->arena, restricted, 0),
                                         .restricted_count = sl_rows_count(restricted),
                                         .node_ids = compile_list(c->arena, nodes, 0),
                                         .node_count = sl_rows_count(nodes),
                                         .node_keys = compile_list(c->arena, nodes, 1),
                                         .node_key_count = sl_rows_count(nodes)};
    return read_settings(c, &entry->gateway, err);
}
