// compile.c - the kinds that are one or two rows: group, throttle, signature, app.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/identity.h"

#include <string.h>

#include "common/runtime/counter.h"

#define SECONDS_MINUTE 60
#define SECONDS_HOUR   (60 * SECONDS_MINUTE)
#define SECONDS_DAY    (24 * SECONDS_HOUR)

typedef int compile_fn(const struct compile *compile, const char *key, struct sl_entry *entry,
                       bool *ret_found, struct sl_error *err);

static const char group_sql[] = "SELECT id, name, is_default, sl_domain_access_enabled "
                                "FROM api_group WHERE instance_id = $1 AND id = $2";

static const char throttle_sql[] =
    "SELECT id, type = 2, time_interval, time_unit, api_call_limits, user_call_limits, "
    "app_call_limits, ip_call_limits FROM throttle WHERE instance_id = $1 AND id = $2";

static const char sign_sql[] =
    "SELECT id, sign_type, sign_key, sign_secret FROM sign WHERE instance_id = $1 AND id = $2";

static const char specials_sql[] =
    "SELECT object_id, call_limits, object_type = 'USER' FROM throttle_special "
    "WHERE instance_id = $1 AND throttle_id = $2 ORDER BY object_id COLLATE \"C\", object_type";

static const char app_sql[] = "SELECT id, name, app_key, app_secret, domain_id FROM app "
                              "WHERE instance_id = $1 AND id = $2 AND status = 1";

static const char app_acl_sql[] =
    "SELECT a.acl_type, x FROM app_acl a CROSS JOIN jsonb_array_elements_text(a.acl_values) x "
    "WHERE a.instance_id = $1 AND a.app_id = $2";

// Without a time of its own it begins with the app's first call; one that has not come is asked for
// by a number. Until then nodes count by nothing, and those of an earlier build of owners from when
// the app got it.
static const char app_quota_sql[] =
    "SELECT q.id, q.call_limits, q.time_interval, q.time_unit, "
    "CASE WHEN q.reset_time IS NULL AND b.began_of IS NOT DISTINCT FROM b.bound_time THEN "
    "b.began_s "
    "ELSE floor(extract(epoch FROM coalesce(q.reset_time AT TIME ZONE 'UTC', "
    "b.bound_time)))::bigint "
    "END, CASE WHEN q.reset_time IS NULL AND b.began_of IS DISTINCT FROM b.bound_time "
    "THEN app_quota_first(b.bound_time) ELSE 0 END "
    "FROM app_quota_app b JOIN app_quota q ON q.instance_id = b.instance_id "
    "AND q.id = b.app_quota_id WHERE b.instance_id = $1 AND b.app_id = $2";

static const char app_codes_sql[] = "SELECT id, app_code FROM app_code "
                                    "WHERE instance_id = $1 AND app_id = $2 ORDER BY id";

static const char app_publications_sql[] =
    "SELECT p.publish_id FROM app_auth a "
    "JOIN publication p ON p.instance_id = a.instance_id AND p.api_id = a.api_id "
    "AND p.env_id = a.env_id "
    "WHERE a.instance_id = $1 AND a.app_id = $2 ORDER BY p.publish_id COLLATE \"C\"";

// The groups of what the app may call, while calls are routed by their app: the first authorised
// first, which decides where two are equally near.
static const char app_groups_sql[] =
    "SELECT v.definition ->> 'group_id' FROM app_auth a "
    "JOIN publication p ON p.instance_id = a.instance_id AND p.api_id = a.api_id "
    "AND p.env_id = a.env_id "
    "JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id "
    "WHERE a.instance_id = $1 AND a.app_id = $2 AND EXISTS (SELECT FROM feature f "
    "WHERE f.instance_id = $1 AND f.name = 'app_route' AND f.enable AND f.config = 'on') "
    "GROUP BY 1 ORDER BY min(a.auth_time), 1";

static int
fetch(const struct compile *c, const char *sql, const char *key, struct sl_rows **ret_rows,
      struct sl_error *err)
{
    return sl_sql(c->tx, c->arena, sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)), ret_rows,
                  err);
}

const char *const *
compile_list(struct sl_arena *arena, const struct sl_rows *rows, size_t column)
{
    size_t count = sl_rows_count(rows);
    const char **list = sl_arena_array(arena, count + 1, sizeof(*list));
    for (size_t i = 0; list != NULL && i < count; i++) {
        list[i] = sl_arena_dup(arena, sl_rows_text(rows, i, column));
    }
    return list;
}

static int
compile_group(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
              struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, group_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (*ret_found) {
        entry->group = (struct sl_group){.id = sl_rows_text(rows, 0, 0),
                                         .name = sl_rows_text(rows, 0, 1),
                                         .is_default = sl_rows_bool(rows, 0, 2),
                                         .sl_domain_enabled = sl_rows_bool(rows, 0, 3)};
    }
    return 0;
}

// The API's unit → seconds and the word of refusal texts.
static const struct unit {
    const char *api;  // as stored
    const char *text; // as callers read it
    uint32_t seconds; //
} units[] = {
    {"DAY", "day", SECONDS_DAY},
    {"HOUR", "hour", SECONDS_HOUR},
    {"MINUTE", "minute", SECONDS_MINUTE},
    {"SECOND", "second", 1},
};

static const struct unit *
find_unit(const char *name)
{
    for (size_t i = 0; i < SL_COUNT(units); i++) {
        if (strcmp(units[i].api, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

// The window of a row whose third and fourth columns are interval and unit.
static int
read_window(const struct sl_rows *rows, const char *kind, const struct unit **ret_unit,
            uint32_t *ret_window_s, struct sl_error *err)
{
    uint32_t interval = (uint32_t)sl_rows_int(rows, 0, 2);
    *ret_unit = find_unit(sl_rows_text(rows, 0, 3));
    if (*ret_unit == NULL || interval == 0 ||
        __builtin_mul_overflow(interval, (*ret_unit)->seconds, ret_window_s)) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, kind, "time_unit");
    }
    return 0;
}

static int
read_specials(const struct compile *c, const char *key, struct sl_throttle *throttle,
              struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, specials_sql, key, &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    struct sl_special *specials = sl_arena_array(c->arena, count + 1, sizeof(*specials));
    for (size_t i = 0; specials != NULL && i < count; i++) {
        specials[i] = (struct sl_special){.object_id = sl_rows_text(rows, i, 0),
                                          .limit = sl_rows_int(rows, i, 1),
                                          .is_user = sl_rows_bool(rows, i, 2)};
    }
    throttle->specials = specials;
    throttle->special_count = count;
    return sl_arena_check(c->arena, err);
}

static int
compile_throttle(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
                 struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, throttle_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    const struct unit *unit = NULL;
    uint32_t window_s = 0;
    if (read_window(rows, "throttle", &unit, &window_s, err) != 0) {
        return -1;
    }
    entry->throttle = (struct sl_throttle){.id = sl_rows_text(rows, 0, 0),
                                           .shared = sl_rows_bool(rows, 0, 1),
                                           .window_s = window_s,
                                           .interval = (uint32_t)sl_rows_int(rows, 0, 2),
                                           .unit = unit->text,
                                           .api_limit = sl_rows_int(rows, 0, 4),
                                           .user_limit = sl_rows_int(rows, 0, 5),
                                           .app_limit = sl_rows_int(rows, 0, 6),
                                           .ip_limit = sl_rows_int(rows, 0, 7)};
    return read_specials(c, key, &entry->throttle, err);
}

const char *
compile_unseal(const struct compile *c, const char *context, struct sl_str sealed,
               struct sl_error *err)
{
    struct sl_str plain;
    if (sl_unseal(c->arena, &c->publisher->key, sl_str(context), sealed, &plain, err) != 0) {
        return NULL;
    }
    return sl_arena_dupn(c->arena, plain.ptr, plain.len);
}

static const char *
open_text(const struct compile *c, const char *what, const char *id, struct sl_str sealed,
          struct sl_error *err)
{
    return compile_unseal(c, sl_arena_printf(c->arena, "%s:%s", what, id), sealed, err);
}

static const char *const sign_types[] = {
    [SL_SIGN_HMAC] = "hmac",
    [SL_SIGN_BASIC] = "basic",
    [SL_SIGN_PUBLIC_KEY] = "public_key",
    [SL_SIGN_AES] = "aes",
};

static int
compile_sign(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_sign *sign = &entry->sign;
    if (fetch(c, sign_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    *sign = (struct sl_sign){.id = sl_rows_text(rows, 0, 0)};
    for (size_t i = 0; i < SL_COUNT(sign_types); i++) {
        if (strcmp(sign_types[i], sl_rows_text(rows, 0, 1)) == 0) {
            sign->type = (enum sl_sign_type)i;
        }
    }
    sign->key = open_text(c, "sign_key", sign->id, sl_rows_bytes(rows, 0, 2), err);
    if (sign->key == NULL) {
        return -1;
    }
    sign->secret = open_text(c, "sign_secret", sign->id, sl_rows_bytes(rows, 0, 3), err);
    return sign->secret == NULL ? -1 : 0;
}

static int
open_codes(const struct compile *c, const char *key, struct sl_app *app, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, app_codes_sql, key, &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    const char **codes = sl_arena_array(c->arena, count + 1, sizeof(*codes));
    for (size_t i = 0; codes != NULL && i < count; i++) {
        const char *id = sl_rows_text(rows, i, 0);
        codes[i] = open_text(c, "app_code", id, sl_rows_bytes(rows, i, 1), err);
        if (codes[i] == NULL) {
            return -1;
        }
    }
    app->codes = codes;
    app->code_count = count;
    return 0;
}

// From where the app may call; no row: from anywhere.
static int
read_acl(const struct compile *c, const char *key, struct sl_app *app, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (fetch(c, app_acl_sql, key, &rows, err) != 0) {
        return -1;
    }
    app->acl_count = sl_rows_count(rows);
    app->acl = compile_list(c->arena, rows, 1);
    if (app->acl_count > 0) {
        bool permits = strcmp(sl_rows_text(rows, 0, 0), "PERMIT") == 0;
        app->acl_mode = permits ? SL_ACL_PERMIT : SL_ACL_DENY;
    }
    return 0;
}

// How often the app may call; no row: as often as it likes.
static int
read_quota(const struct compile *c, const char *key, struct sl_app *app, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    const struct unit *unit = NULL;
    struct sl_app_quota quota = {.id = ""};
    if (fetch(c, app_quota_sql, key, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        app->quota = quota;
        return 0;
    }
    if (read_window(rows, "app", &unit, &quota.window_s, err) != 0) {
        return -1;
    }
    assert(quota.window_s > 0); // read_window()
    quota.id = sl_rows_text(rows, 0, 0);
    quota.limit = sl_rows_int(rows, 0, 1);
    quota.lead_s = sl_counter_lead_of(sl_rows_int(rows, 0, 4), quota.window_s);
    quota.first = (uint32_t)sl_rows_int(rows, 0, 5);
    app->quota = quota;
    return 0;
}

int
compile_app(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
            struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_rows *publications = NULL;
    struct sl_rows *groups = NULL;
    if (fetch(c, app_sql, key, &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    struct sl_app *app = &entry->app;
    *app = (struct sl_app){.id = sl_rows_text(rows, 0, 0),
                           .name = sl_rows_text(rows, 0, 1),
                           .key = sl_rows_text(rows, 0, 2),
                           .domain_id = sl_rows_text(rows, 0, 4)};
    app->secret = open_text(c, "app_secret", app->id, sl_rows_bytes(rows, 0, 3), err);
    if (app->secret == NULL || open_codes(c, key, app, err) != 0 ||
        read_acl(c, key, app, err) != 0 || read_quota(c, key, app, err) != 0 ||
        fetch(c, app_publications_sql, key, &publications, err) != 0 ||
        fetch(c, app_groups_sql, key, &groups, err) != 0) {
        return -1;
    }
    app->publish_ids = compile_list(c->arena, publications, 0);
    app->publish_id_count = sl_rows_count(publications);
    app->groups = compile_list(c->arena, groups, 0);
    app->group_count = sl_rows_count(groups);
    return sl_arena_check(c->arena, err);
}

static compile_fn *const by_kind[SL_KIND_COUNT] = {
    [SL_KIND_API] = compile_api,
    [SL_KIND_APP] = compile_app,
    [SL_KIND_CERTIFICATE] = compile_certificate,
    [SL_KIND_CHANNEL] = compile_channel,
    [SL_KIND_GATEWAY] = compile_gateway,
    [SL_KIND_GROUP] = compile_group,
    [SL_KIND_HOST] = compile_host,
    [SL_KIND_SIGN] = compile_sign,
    [SL_KIND_THROTTLE] = compile_throttle,
    [SL_KIND_USER] = compile_user,
    [SL_KIND_ACCESS_KEY] = compile_access_key,
    [SL_KIND_TOKEN_KEY] = compile_token_key,
};

static int
compile_entry(const struct compile *c, const char *kind, const char *key, struct compiled *compiled,
              struct sl_error *err)
{
    struct sl_entry entry = {.kind = sl_kind_find(kind)};
    bool found = false;
    if (entry.kind == SL_KIND_COUNT || by_kind[entry.kind] == NULL) {
        return sl_fail(err, SL_E_ENTRY_BROKEN, kind, "kind");
    }
    if (by_kind[entry.kind](c, key, &entry, &found, err) != 0) {
        return -1;
    }
    if (!found) {
        return 0;
    }
    compiled->min_reader = sl_entry_min_reader(&entry);
    return sl_entry_encode(c->arena, &entry, &compiled->plain, err);
}

int
compile_key(const struct compile *c, const char *kind, const char *key,
            struct compiled *ret_compiled, struct sl_error *err)
{
    struct compiled compiled = {.min_reader = 1};
    bool found = false;
    int rc = strcmp(c->gateway, CONTROL_GATEWAY) == 0
                 ? compile_control(c, kind, key, &compiled.plain, &found, err)
                 : compile_entry(c, kind, key, &compiled, err);
    if (rc == 0) {
        *ret_compiled = compiled;
    }
    return rc;
}
