// status.c - the bus's own command: what it knows, for people and health checks.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/wire/message.h"
#include "services/bus/broker_state.h"

static void
add_worker(struct sl_buf *json, const struct fleet_worker *worker, int64_t now_ms)
{
    sl_buf_adds(json, "{\"peer\":\"");
    sl_buf_add_json(json, sl_str(worker->peer));
    sl_buf_addf(json, "\",\"age_ms\":%lld,\"credits\":%lld,\"outstanding\":%lld,\"services\":[",
                (long long)(now_ms - worker->seen_ms), (long long)worker->credits,
                (long long)worker->outstanding);
    for (size_t i = 0; i < worker->service_count; i++) {
        sl_buf_adds(json, i > 0 ? ",\"" : "\"");
        sl_buf_add_json(json, sl_str(fleet_service_name(worker, i)));
        sl_buf_addc(json, '"');
    }
    sl_buf_adds(json, "]}");
}

void
broker_status(const struct broker *broker, struct sl_buf *reply)
{
    SL_AUTO_BUF json;
    sl_buf_init(&json, SL_MESSAGE_MAX / 2);
    sl_buf_adds(&json, "{\"bus\":\"");
    sl_buf_add_json(&json, sl_str(broker->name));
    sl_buf_addf(&json,
                "\",\"peers\":%zu,\"in_flight\":%zu,\"passed\":%llu,\"refused\":%llu,"
                "\"published\":%llu,\"workers\":[",
                peers_count(broker->peers), flights_count(broker->flights),
                (unsigned long long)broker->passed, (unsigned long long)broker->refused,
                (unsigned long long)broker->published);
    const struct fleet_worker *first = fleet_next(broker->fleet, true);
    for (const struct fleet_worker *worker = first; worker != NULL;
         worker = fleet_next(broker->fleet, false)) {
        if (worker != first) {
            sl_buf_addc(&json, ',');
        }
        add_worker(&json, worker, broker->now_ms);
    }
    sl_buf_adds(&json, "]}");
    struct sl_error err;
    struct sl_reply status = {.status = 200, .body = {json.ptr, json.len}};
    if (json.failed || sl_reply_pack(reply, &status, &err) != 0) {
        sl_buf_reset(reply);
    }
}
