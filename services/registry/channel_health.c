// channel_health.c - how nodes find out which servers of a channel can serve (3.17.12).
//
// SPDX-License-Identifier: Apache-2.0
#include "services/registry/channel.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "services/registry/api_policy.h"
#include "services/registry/commands.h"
#include "services/registry/engine_write.h"

#include <stdio.h>
#include <string.h>

static const char read_sql[] = "SELECT coalesce(health, 'null')::text FROM channel"
                               " WHERE instance_id = $1 AND id = $2";

static const char set_sql[] =
    "UPDATE channel SET health = $3::jsonb WHERE instance_id = $1 AND id = $2";

static int
refuse(const struct channel_health *health, const char *member, enum sl_code code,
       struct sl_error *err)
{
    char name[SL_ERROR_ARG_MAX];
    snprintf(name, sizeof(name), "%s%s", health->where, member);
    return sl_fail(err, code, name);
}

static bool
is_empty(const struct channel_health *health, const char *member)
{
    return json_string_length(json_object_get(health->given, member)) == 0;
}

// The contract has seen to the form: numbers of three digits, and ranges of them.
static bool
are_ranges(const char *codes)
{
    struct sl_str rest = sl_str(codes);
    while (rest.ptr != NULL) {
        struct sl_str to = sl_str_split(&rest, ',');
        struct sl_str from = sl_str_split(&to, '-');
        if (to.ptr != NULL && memcmp(from.ptr, to.ptr, from.len) > 0) {
            return false;
        }
    }
    return true;
}

static int
check_http(const struct channel_health *health, struct sl_error *err)
{
    bool is_https =
        strcmp(json_string_value(json_object_get(health->given, "protocol")), "HTTPS") == 0;
    if (is_empty(health, "path")) {
        return refuse(health, "path", SL_E_PARAM_MISSING, err);
    }
    if (is_empty(health, "http_code")) {
        return is_https ? 0 : refuse(health, "http_code", SL_E_PARAM_MISSING, err);
    }
    return are_ranges(json_string_value(json_object_get(health->given, "http_code")))
               ? 0
               : refuse(health, "http_code", SL_E_PARAM_INVALID, err);
}

static int
check(struct mutation *m, const struct channel_health *health, struct sl_error *err)
{
    const char *protocol = json_string_value(json_object_get(health->given, "protocol"));
    bool shows = json_is_true(json_object_get(health->given, "enable_client_ssl"));
    if (json_integer_value(json_object_get(health->given, "timeout")) >=
        json_integer_value(json_object_get(health->given, "time_interval"))) {
        return refuse(health, "time_interval", SL_E_PARAM_RANGE, err);
    }
    if (strcmp(protocol, "TCP") != 0 && check_http(health, err) != 0) {
        return -1;
    }
    if (shows && strcmp(protocol, "HTTPS") != 0) {
        return sl_fail(err, SL_E_BACKEND_TLS_UNFIT);
    }
    return shows ? api_check_certificate(m, err) : 0;
}

int
channel_health_prepare(struct mutation *m, const struct channel_health *health, json_t **ret_health,
                       struct sl_error *err)
{
    static const char *const kept[] = {"id", "create_time"};
    char id[SL_ID_SIZE];
    char now[SL_TIME_TEXT];
    if (check(m, health, err) != 0) {
        return -1;
    }
    sl_random_id(id);
    sl_time_format(sl_wall_ms(), now);
    json_t *made =
        json_pack("{s:s, s:i, s:b, s:i, s:s, s:s, s:s, s:s, s:s}", "method", "GET", "port", 0,
                  "enable_client_ssl", 0, "status", 1, "path", "", "http_code", "", "id", id,
                  "create_time", now, "vpc_channel_id", health->channel);
    if (engine_keep(m->arena, made, err) != 0) {
        return -1;
    }
    int rc = json_object_update(made, health->given);
    for (size_t i = 0; i < SL_COUNT(kept); i++) {
        json_t *old = json_object_get(health->stored, kept[i]);
        rc |= old != NULL ? json_object_set(made, kept[i], old) : 0;
    }
    *ret_health = made;
    return rc == 0 ? 0 : sl_fail(err, SL_E_INTERNAL);
}

static int
store(struct mutation *m, const struct channel *channel, const json_t *made, struct sl_error *err)
{
    const char *text = channel_text(m, made, err);
    if (text == NULL ||
        sl_sql(m->tx, m->arena, set_sql,
               SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel->id), SL_P_TEXT(text)), NULL,
               err) != 0) {
        return -1;
    }
    m->outcome.after = text;
    m->body = sl_str(text);
    return channel_changed(m, channel, err);
}

static int
set_work(struct mutation *m, struct sl_error *err)
{
    struct channel channel = {.id = NULL};
    struct sl_rows *rows = NULL;
    json_t *stored = NULL;
    json_t *made = NULL;
    if (channel_open(m, &channel, err) != 0 ||
        sl_sql(m->tx, m->arena, read_sql, SL_PARAMS(SL_P_TEXT(m->instance), SL_P_TEXT(channel.id)),
               &rows, err) != 0) {
        return -1;
    }
    const char *text = sl_rows_text(rows, 0, 0);
    if (strcmp(text, "null") != 0 && engine_parse(m->arena, text, &stored, err) != 0) {
        return -1;
    }
    struct channel_health health = {
        .given = m->command->body, .stored = stored, .channel = channel.id, .where = ""};
    return channel_health_prepare(m, &health, &made, err) != 0 ? -1 : store(m, &channel, made, err);
}

int
channel_health_set(struct sl_call *call, struct sl_reply *reply, struct sl_error *err)
{
    return mutation_run(call, reply, set_work, err);
}
