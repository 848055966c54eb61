// publication.c - see publication.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/publication.h"

#include "common/crypto/crypto.h"
#include "common/db/change.h"
#include "services/publisher/identity.h"

#include <stdio.h>
#include <string.h>

// The API is locked, so that what is snapshotted is what the reply says, and against deletion; not
// against those who only look whether it is there, such as who deletes its group.
static const char api_sql[] =
    "SELECT name, to_jsonb(a)::text FROM api a WHERE instance_id = $1 AND id = $2"
    " FOR NO KEY UPDATE";

static const char env_sql[] =
    "SELECT 1 FROM environment WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

// Publications of one group are ordered by its row, so that two that clash see each other.
static const char group_sql[] =
    "SELECT $2::jsonb ->> 'auth_type' = 'IAM' FROM api_group WHERE instance_id = $1 "
    "AND id = $2::jsonb ->> 'group_id' FOR NO KEY UPDATE";

// What is published may differ from what its API says today: the unique key of `api` alone does not
// keep two published definitions of one method and path apart.
static const char clash_sql[] =
    "SELECT 1 FROM api_version v "
    "JOIN publication p ON p.instance_id = v.instance_id AND p.api_id = v.api_id "
    "AND p.env_id = v.env_id AND p.version_id = v.version_id "
    "WHERE v.instance_id = $1 AND v.api_id <> $2 AND v.env_id = $3 "
    "AND v.definition ->> 'group_id' = $4::jsonb ->> 'group_id' "
    "AND v.definition ->> 'req_uri_shape' = $4::jsonb ->> 'req_uri_shape' "
    "AND v.definition ->> 'req_method' = $4::jsonb ->> 'req_method' "
    "AND v.definition ->> 'match_mode' = $4::jsonb ->> 'match_mode' LIMIT 1";

// A channel that an older version or the draft names stays while it is published.
static const char channels_sql[] =
    "SELECT x FROM channels_of($2::jsonb -> 'backend_api', $2::jsonb -> 'policy_https') x "
    "WHERE NOT EXISTS (SELECT FROM channel c WHERE c.instance_id = $1 AND c.id = x FOR KEY SHARE) "
    "LIMIT 1";

static const char find_version_sql[] =
    "SELECT api_id, env_id, definition::text, remark FROM api_version "
    "WHERE instance_id = $1 AND version_id = $2";

static const char offline_version_sql[] =
    "UPDATE publication SET version_id = NULL WHERE instance_id = $1 AND version_id = $2 "
    "RETURNING publish_id";

static const char version_sql[] =
    "INSERT INTO api_version (instance_id, api_id, env_id, version_id, definition, remark, "
    "version_no) VALUES ($1, $2, $3, $4, $5::jsonb, $6, "
    "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS'))";

// xmax is 0 on a row that was inserted: the pair is published for the first time. The last column
// says whether its group is another than it was; nothing online had none.
static const char online_sql[] =
    "WITH was AS (SELECT v.definition ->> 'group_id' AS group_id FROM publication p "
    "JOIN api_version v ON v.instance_id = p.instance_id AND v.version_id = p.version_id "
    "WHERE p.instance_id = $1 AND p.api_id = $2 AND p.env_id = $3) "
    "INSERT INTO publication (instance_id, api_id, env_id, version_id, remark, publish_id) "
    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (instance_id, api_id, env_id) DO UPDATE SET "
    "version_id = excluded.version_id, remark = excluded.remark, publish_time = now() "
    "RETURNING publish_id, api_time(publish_time), xmax = 0, (SELECT group_id FROM was) "
    "IS DISTINCT FROM (SELECT v.definition ->> 'group_id' FROM api_version v "
    "WHERE v.instance_id = $1 AND v.version_id = $4)";

static const char offline_sql[] =
    "UPDATE publication p SET version_id = NULL FROM publication old "
    "WHERE p.instance_id = $1 AND p.api_id = $2 AND p.env_id = $3 AND p.version_id IS NOT NULL "
    "AND old.instance_id = p.instance_id AND old.publish_id = p.publish_id "
    "RETURNING p.publish_id, api_time(now()), old.version_id";

// The newest ten of the pair stay: with a new one to come, what is older than nine goes.
static const char old_sql[] =
    "SELECT version_id FROM api_version WHERE instance_id = $1 AND api_id = $2 AND env_id = $3 "
    "ORDER BY publish_time DESC, version_no DESC OFFSET 9";

static const char prune_sql[] =
    "DELETE FROM api_version v WHERE instance_id = $1 AND version_id = $2 AND NOT EXISTS "
    "(SELECT FROM publication p WHERE p.instance_id = $1 AND p.api_id = v.api_id "
    "AND p.env_id = v.env_id AND p.version_id = v.version_id)";

// Apps that were authorised before the pair had a publish_id ($4); with app_route, apps know the
// groups of their APIs, too.
static const char authorised_sql[] =
    "INSERT INTO runtime_change (gateway_id, kind, key) SELECT instance_id, 'app', app_id "
    "FROM app_auth WHERE instance_id = $1 AND api_id = $2 AND env_id = $3 AND ($4::boolean OR "
    "EXISTS (SELECT FROM feature f WHERE f.instance_id = $1 AND f.name = 'app_route' AND f.enable "
    "AND f.config = 'on'))";

// What a change leaves behind, for the reply.
struct outcome {
    const char *api_name;
    const char *publish_id;
    const char *time;
    const char *version_id;
};

// The parameters that name an API in an environment: most statements begin with them.
#define PAIR(p) SL_P_TEXT((p)->instance), SL_P_TEXT((p)->api_id), SL_P_TEXT((p)->env_id)

int
publication_check_env(const struct publication *p, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(p->env_id));
    if (sl_sql(p->tx, p->arena, env_sql, params, &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_ENV_NOT_FOUND, p->env_id);
}

// Refuses (API_EXISTS) a definition that would shadow another API's in the environment, and one
// whose group is gone. One of IAM lets the gateway know who may call.
static int
check_clash(const struct publication *p, const char *definition, struct sl_error *err)
{
    struct sl_later *locked = NULL;
    struct sl_rows *group = NULL;
    struct sl_rows *rows = NULL;
    struct sl_params group_of = SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(definition));
    struct sl_params api = SL_PARAMS(PAIR(p), SL_P_TEXT(definition));
    if (sl_sql_later(p->tx, p->arena, group_sql, group_of, &locked, err) != 0 ||
        sl_sql(p->tx, p->arena, clash_sql, api, &rows, err) != 0 ||
        sl_sql_rows(locked, &group, err) != 0) {
        return -1;
    }
    if (sl_rows_count(group) == 0) {
        return sl_fail(err, SL_E_GROUP_NOT_FOUND, "of the version");
    }
    if (sl_rows_count(rows) > 0) {
        return sl_fail(err, SL_E_API_EXISTS);
    }
    // The callers are known on nodes before the API is there.
    return sl_rows_bool(group, 0, 0) ? identity_join(p->tx, p->arena, p->instance, err) : 0;
}

static int
check_channels(const struct publication *p, const char *definition, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (strstr(definition, "\"vpc_channel_info\"") == NULL) {
        return 0;
    }
    if (sl_sql(p->tx, p->arena, channels_sql,
               SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(definition)), &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 0
               ? 0
               : sl_fail(err, SL_E_CHANNEL_NOT_FOUND, sl_rows_text(rows, 0, 0));
}

// What must hold of a definition before the environment serves it.
static int
check_definition(const struct publication *p, const char *definition, struct sl_error *err)
{
    struct variables variables;
    struct variable_place place = {
        .gateway = p->instance, .env_id = p->env_id, .definition = definition, .hold = true};
    if (check_clash(p, definition, err) != 0 || check_channels(p, definition, err) != 0 ||
        variables_read(p->tx, p->arena, &place, &variables, err) != 0) {
        return -1;
    }
    return compile_check_addresses(p->arena, definition, &variables, err);
}

// Makes the version the one that the pair serves.
static int
serve_version(const struct publication *p, const char *version_id, struct outcome *outcome,
              struct sl_error *err)
{
    struct sl_param remark = p->remark == NULL ? SL_P_NULL : SL_P_TEXT(p->remark);
    struct sl_rows *rows = NULL;
    char publish_id[SL_ID_SIZE];
    sl_random_id(publish_id);
    struct sl_params publication =
        SL_PARAMS(PAIR(p), SL_P_TEXT(version_id), remark, SL_P_TEXT(publish_id));
    if (sl_sql(p->tx, p->arena, online_sql, publication, &rows, err) != 0) {
        return -1;
    }
    outcome->publish_id = sl_rows_text(rows, 0, 0);
    outcome->time = sl_rows_text(rows, 0, 1);
    outcome->version_id = sl_arena_dup(p->arena, version_id);
    if (!sl_rows_bool(rows, 0, 2) && !sl_rows_bool(rows, 0, 3)) {
        return 0;
    }
    const char *is_first = sl_rows_bool(rows, 0, 2) ? "true" : "false";
    return sl_sql_later(p->tx, p->arena, authorised_sql, SL_PARAMS(PAIR(p), SL_P_TEXT(is_first)),
                        NULL, err);
}

static int
prune(const struct publication *p, const struct sl_rows *old, struct sl_error *err)
{
    for (size_t i = 0; i < sl_rows_count(old); i++) {
        struct sl_params params =
            SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(sl_rows_text(old, i, 0)));
        if (sl_sql_later(p->tx, p->arena, prune_sql, params, NULL, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int
go_online(const struct publication *p, const char *definition, struct outcome *outcome,
          struct sl_error *err)
{
    struct sl_params pair = SL_PARAMS(PAIR(p));
    struct sl_param remark = p->remark == NULL ? SL_P_NULL : SL_P_TEXT(p->remark);
    struct sl_later *pruned = NULL;
    struct sl_rows *old = NULL;
    char version_id[SL_ID_SIZE];
    sl_random_id(version_id);
    struct sl_params version =
        SL_PARAMS(PAIR(p), SL_P_TEXT(version_id), SL_P_TEXT(definition), remark);
    if (sl_sql_later(p->tx, p->arena, old_sql, pair, &pruned, err) != 0 ||
        check_definition(p, definition, err) != 0 ||
        sl_sql_later(p->tx, p->arena, version_sql, version, NULL, err) != 0 ||
        serve_version(p, version_id, outcome, err) != 0 || sl_sql_rows(pruned, &old, err) != 0) {
        return -1;
    }
    return prune(p, old, err);
}

static int
go_offline(const struct publication *p, struct outcome *outcome, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(p->tx, p->arena, offline_sql, SL_PARAMS(PAIR(p)), &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_PUBLICATION_NOT_FOUND);
    }
    outcome->publish_id = sl_rows_text(rows, 0, 0);
    outcome->time = sl_rows_text(rows, 0, 1);
    outcome->version_id = sl_rows_text(rows, 0, 2);
    return 0;
}

static json_t *
object_of(const struct publication *p, const struct outcome *outcome)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "publish_id", outcome->publish_id, "api_id",
                  p->api_id, "api_name", outcome->api_name, "env_id", p->env_id, "publish_time",
                  outcome->time, "version_id", outcome->version_id);
    if (object != NULL && p->remark != NULL) {
        json_object_set_new(object, "remark", json_string(p->remark));
    }
    return object;
}

// Locks the API and reads its name and its definition.
static int
lock_api(const struct publication *p, struct sl_rows **ret_api, struct sl_error *err)
{
    struct sl_params params = SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(p->api_id));
    if (sl_sql(p->tx, p->arena, api_sql, params, ret_api, err) != 0) {
        return -1;
    }
    return sl_rows_count(*ret_api) == 1 ? 0 : sl_fail(err, SL_E_API_NOT_FOUND, p->api_id);
}

static int
finish(const struct publication *p, const struct outcome *outcome, json_t **ret_object,
       struct sl_error *err)
{
    if (sl_runtime_touch(p->tx, p->arena, p->instance, "api", outcome->publish_id, err) != 0) {
        return -1;
    }
    *ret_object = object_of(p, outcome);
    return *ret_object != NULL ? 0 : sl_fail(err, SL_E_INTERNAL);
}

int
publication_change(const struct publication *p, json_t **ret_object, struct sl_error *err)
{
    struct sl_rows *api = NULL;
    struct outcome outcome = {.api_name = NULL};
    if (lock_api(p, &api, err) != 0) {
        return -1;
    }
    outcome.api_name = sl_rows_text(api, 0, 0);
    if ((p->online ? go_online(p, sl_rows_text(api, 0, 1), &outcome, err)
                   : go_offline(p, &outcome, err)) != 0) {
        return -1;
    }
    return finish(p, &outcome, ret_object, err);
}

static int
find_version(const struct publication *p, const char *version_id, struct sl_rows **ret_version,
             struct sl_error *err)
{
    struct sl_params params = SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(version_id));
    if (sl_sql(p->tx, p->arena, find_version_sql, params, ret_version, err) != 0) {
        return -1;
    }
    bool found = sl_rows_count(*ret_version) == 1;
    return found ? 0 : sl_fail(err, SL_E_VERSION_NOT_FOUND, version_id);
}

int
publication_serve(const struct publication *p, const char *version_id, json_t **ret_object,
                  struct sl_error *err)
{
    struct sl_rows *api = NULL;
    struct sl_rows *version = NULL;
    struct outcome outcome = {.api_name = NULL};
    struct publication pair = *p;
    if (lock_api(p, &api, err) != 0 || find_version(p, version_id, &version, err) != 0) {
        return -1;
    }
    if (strcmp(sl_rows_text(version, 0, 0), p->api_id) != 0) {
        return sl_fail(err, SL_E_VERSION_NOT_FOUND, version_id);
    }
    outcome.api_name = sl_rows_text(api, 0, 0);
    pair.env_id = sl_rows_text(version, 0, 1);
    pair.remark = sl_rows_is_null(version, 0, 3) ? NULL : sl_rows_text(version, 0, 3);
    if (check_definition(&pair, sl_rows_text(version, 0, 2), err) != 0 ||
        serve_version(&pair, version_id, &outcome, err) != 0) {
        return -1;
    }
    return finish(&pair, &outcome, ret_object, err);
}

int
publication_end_version(const struct publication *p, const char *version_id, struct sl_error *err)
{
    struct sl_rows *version = NULL;
    struct sl_rows *api = NULL;
    struct sl_rows *rows = NULL;
    struct publication pair = *p;
    struct sl_params params = SL_PARAMS(SL_P_TEXT(p->instance), SL_P_TEXT(version_id));
    if (find_version(p, version_id, &version, err) != 0) {
        return -1;
    }
    pair.api_id = sl_rows_text(version, 0, 0);
    if (lock_api(&pair, &api, err) != 0 ||
        sl_sql(p->tx, p->arena, offline_version_sql, params, &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_PUBLICATION_NOT_FOUND);
    }
    return sl_runtime_touch(p->tx, p->arena, p->instance, "api", sl_rows_text(rows, 0, 0), err);
}
