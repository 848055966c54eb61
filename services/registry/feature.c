// feature.c - 3.21: features of a gateway.
//
// feature_table.c says what there is, feature_config.c what a configuration may be.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/commands.h"

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "services/registry/engine_write.h"
#include "services/registry/feature.h"

#include <string.h>

#define INTERVAL "feature_interval" // setting: seconds between two changes of one feature

// Nothing comes back when the feature was set less than $6 seconds ago.
static const char set_sql[] =
    "INSERT INTO feature AS f (instance_id, id, name, enable, config, secret)"
    " VALUES ($1, $2, $3, $4, $5, $7)"
    " ON CONFLICT ON CONSTRAINT feature_name_key DO UPDATE SET enable = excluded.enable,"
    " config = excluded.config, secret = excluded.secret, update_time = now()"
    " WHERE f.update_time <= now() - make_interval(secs => $6::bigint) RETURNING id";

static const char apps_sql[] = "INSERT INTO runtime_change (gateway_id, kind, key)"
                               " SELECT instance_id, 'app', id FROM app WHERE instance_id = $1";

// Seals the secret members, as the publisher opens them.
static int
seal(struct mutation *m, const char *name, const char *secret, struct sl_param *ret_param,
     struct sl_error *err)
{
    struct sl_str sealed = {NULL, 0};
    struct sl_str context = sl_str(sl_arena_printf(m->arena, "feature:%s/%s", m->instance, name));
    if (secret == NULL) {
        *ret_param = SL_P_NULL;
        return 0;
    }
    if (sl_seal(m->arena, m->registry->key, context, sl_str(secret), &sealed, err) != 0) {
        return -1;
    }
    *ret_param = SL_P_BYTES(sealed.ptr, sealed.len);
    return 0;
}

static int
set_work(struct mutation *m, struct sl_error *err)
{
    const json_t *body = m->command->body;
    const char *name = json_string_value(json_object_get(body, "name"));
    const char *config = json_string_value(json_object_get(body, "config"));
    bool enable = json_is_true(json_object_get(body, "enable"));
    const struct feature *feature = feature_find(name);
    struct feature_config kept;
    struct sl_param secret;
    struct sl_rows *rows = NULL;
    int64_t interval_s = 0;
    char id[SL_ID_SIZE];
    if (feature == NULL) {
        return feature_refuse(name, err);
    }
    sl_random_id(id);
    if (feature_check(m->arena, feature, config, enable, &kept, err) != 0 ||
        seal(m, name, kept.secret, &secret, err) != 0 ||
        instance_number(m, INTERVAL, &interval_s, err) != 0 ||
        sl_sql(m->tx, m->arena, set_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id), SL_P_TEXT(name),
                         SL_P_TEXT(enable ? "true" : "false"),
                         kept.text != NULL ? SL_P_TEXT(kept.text) : SL_P_NULL, SL_P_INT(interval_s),
                         secret),
               &rows, err) != 0) {
        return -1;
    }
    if (sl_rows_count(rows) == 0) {
        return sl_fail(err, SL_E_FEATURE_TOO_SOON, name);
    }
    m->outcome.object_id = sl_rows_text(rows, 0, 0);
    const struct resource *resource = resource_find("feature", strlen("feature"));
    if ((feature->is_of_apps &&
         sl_sql(m->tx, m->arena, apps_sql, SL_PARAMS(SL_P_TEXT(m->instance)), NULL, err) != 0) ||
        mutation_touch(m, "gateway", m->instance, err) != 0 ||
        engine_read(m, resource, m->outcome.object_id, err) != 0) {
        return -1;
    }
    m->outcome.after = sl_arena_dupn(m->arena, m->body.ptr, m->body.len);
    return sl_arena_check(m->arena, err);
}

int
feature_set(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, set_work, err);
}

static int
names_work(struct mutation *m, struct sl_error *err)
{
    int64_t offset = engine_offset(m->command);
    int64_t limit = engine_limit(m->command);
    json_t *names = json_array();
    if (engine_keep(m->arena, names, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < feature_count; i++) {
        if ((int64_t)i >= offset && (int64_t)i - offset < limit) {
            json_array_append_new(names, json_string(feature_table[i].name));
        }
    }
    json_t *page = json_pack("{s:i, s:i, s:O}", "total", (int)feature_count, "size",
                             (int)json_array_size(names), "features", names);
    return engine_keep(m->arena, page, err) == 0 ? engine_dump(m->arena, page, &m->body, err) : -1;
}

int
feature_names(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return query_run(call, reply, names_work, err);
}
