// compile_channel.c - a load balance channel: the servers in use, and how they are probed.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/publisher/compile_json.h"

#define HEALTH_IDLE   2     // `status` of a health check that is switched off
#define CODES_DEFAULT "200" // that count, where nobody named any

static const char channel_sql[] =
    "SELECT id, name, balance_strategy, port, coalesce(health, 'null')::text FROM channel "
    "WHERE instance_id = $1 AND id = $2";

// A group's weight goes before its servers' own; one of weight 0 gets no calls.
static const char members_sql[] =
    "SELECT m.id, lower(m.host), coalesce(g.member_group_weight, m.weight), "
    "CASE m.port WHEN 0 THEN c.port ELSE m.port END, m.is_backup FROM channel_member m "
    "JOIN channel c ON c.instance_id = m.instance_id AND c.id = m.vpc_channel_id "
    "LEFT JOIN channel_group g ON g.instance_id = m.instance_id AND g.id = m.member_group_id "
    "WHERE m.instance_id = $1 AND m.vpc_channel_id = $2 AND m.status = 1 "
    "AND coalesce(g.member_group_weight, m.weight) > 0 ORDER BY m.create_time, m.id";

static const struct compile_word protocols[] = {
    {"HTTP", SL_PROBE_HTTP}, {"HTTPS", SL_PROBE_HTTPS}, {"TCP", SL_PROBE_TCP}, {NULL, 0}};

static uint32_t
number(const json_t *health, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(health, name));
}

static int
compile_health(struct sl_arena *arena, const json_t *from, struct sl_health *health,
               struct sl_error *err)
{
    *health = (struct sl_health){.protocol = SL_PROBE_NONE, .path = "", .codes = ""};
    if (!json_is_object(from) || number(from, "status") == HEALTH_IDLE) {
        return 0;
    }
    int protocol = compile_word(from, "protocol", protocols, err);
    int method = compile_word(from, "method", compile_methods, err);
    if (protocol < 0 || method < 0) {
        return -1;
    }
    *health = (struct sl_health){
        .protocol = (enum sl_probe_kind)protocol,
        .path = compile_text(arena, from, "path"),
        .method = (enum sl_method)method,
        .port = (uint16_t)number(from, "port"),
        .threshold_normal = number(from, "threshold_normal"),
        .threshold_abnormal = number(from, "threshold_abnormal"),
        .timeout_s = number(from, "timeout"),
        .interval_s = number(from, "time_interval"),
        .codes = compile_text(arena, from, "http_code"),
        .client_ssl =
            protocol == SL_PROBE_HTTPS && json_is_true(json_object_get(from, "enable_client_ssl")),
    };
    if (protocol != SL_PROBE_TCP && health->codes[0] == '\0') {
        health->codes = CODES_DEFAULT;
    }
    return sl_arena_check(arena, err);
}

static int
read_members(const struct compile *c, const char *key, struct sl_channel *channel,
             struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(c->tx, c->arena, members_sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)),
               &rows, err) != 0) {
        return -1;
    }
    size_t count = sl_rows_count(rows);
    struct sl_member *members = sl_arena_array(c->arena, count + 1, sizeof(*members));
    for (size_t i = 0; members != NULL && i < count; i++) {
        members[i] = (struct sl_member){.id = sl_rows_text(rows, i, 0),
                                        .host = sl_rows_text(rows, i, 1),
                                        .weight = (uint32_t)sl_rows_int(rows, i, 2),
                                        .port = (uint16_t)sl_rows_int(rows, i, 3),
                                        .backup = sl_rows_bool(rows, i, 4)};
    }
    channel->members = members;
    channel->member_count = count;
    return sl_arena_check(c->arena, err);
}

int
compile_channel(const struct compile *c, const char *key, struct sl_entry *entry, bool *ret_found,
                struct sl_error *err)
{
    struct sl_rows *rows = NULL;
    if (sl_sql(c->tx, c->arena, channel_sql, SL_PARAMS(SL_P_TEXT(c->gateway), SL_P_TEXT(key)),
               &rows, err) != 0) {
        return -1;
    }
    *ret_found = sl_rows_count(rows) == 1;
    if (!*ret_found) {
        return 0;
    }
    entry->channel = (struct sl_channel){.id = sl_rows_text(rows, 0, 0),
                                         .name = sl_rows_text(rows, 0, 1),
                                         .strategy = (enum sl_strategy)sl_rows_int(rows, 0, 2),
                                         .port = (uint32_t)sl_rows_int(rows, 0, 3)};
    json_t *health = json_loads(sl_rows_text(rows, 0, 4), JSON_DECODE_ANY, NULL);
    int rc = compile_health(c->arena, health, &entry->channel.health, err);
    json_decref(health);
    return rc != 0 ? -1 : read_members(c, key, &entry->channel, err);
}
