// api_channel.c - see api_channel.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/api_channel.h"

#define STATUS_CHANNEL 1 // vpc_channel_status
#define STATUS_ADDRESS 2 //

static const char channel_sql[] =
    "SELECT 1 FROM channel WHERE instance_id = $1 AND id = $2 FOR KEY SHARE";

static int
refuse_missing(const struct change *change, const char *where, const char *member,
               struct sl_error *err)
{
    return sl_fail(err, SL_E_PARAM_MISSING,
                   sl_arena_printf(change->m->arena, "%s.%s", where, member));
}

static int
check_channel(const struct change *change, const char *id, struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    struct mutation *m = change->m;
    if (sl_sql(m->tx, m->arena, channel_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(id)),
               &rows, err) != 0) {
        return -1;
    }
    return sl_rows_count(rows) == 1 ? 0 : sl_fail(err, SL_E_CHANNEL_NOT_FOUND, id);
}

int
api_channel_prepare(struct change *change, json_t *backend, const char *where, struct sl_error *err)
{
    json_int_t status = json_integer_value(json_object_get(backend, "vpc_channel_status"));
    const json_t *info = json_object_get(backend, "vpc_channel_info");
    if (status == STATUS_CHANNEL) {
        const char *id = json_string_value(json_object_get(info, "vpc_channel_id"));
        json_object_del(backend, "url_domain");
        return id != NULL ? check_channel(change, id, err)
                          : refuse_missing(change, where, "vpc_channel_info", err);
    }
    json_object_del(backend, "vpc_channel_info");
    json_object_set_new(backend, "vpc_channel_status", json_integer(STATUS_ADDRESS));
    return json_object_get(backend, "url_domain") != NULL
               ? 0
               : refuse_missing(change, where, "url_domain", err);
}
