// online.c - the commands that go over the bus.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/crypto/crypto.h"
#include "common/wire/bus_client.h"
#include "services/admin/admin.h"

// The reply's body, whichever form it has.
static json_t *
parse_body(struct admin *admin, struct sl_str body)
{
    if (body.len == 0) {
        return json_object();
    }
    json_t *value = json_loadb(body.ptr, body.len, JSON_DECODE_ANY, NULL);
    json_t *unpacked = NULL;
    if (value == NULL && sl_json_unpack(admin->arena, body, &unpacked, NULL) == 0) {
        value = json_incref(unpacked); // the arena releases its own reference
    }
    return value != NULL ? value : json_object();
}

static int
exchange(struct admin *admin, struct sl_bus_client *client, const struct online_question *question,
         json_t **ret_answer, struct sl_error *err)
{
    char id[SL_ID_SIZE];
    sl_random_id(id);
    struct sl_command command = {
        .id = id,
        .service = question->service,
        .name = question->command,
        .request_id = id,
        .body = question->body,
        .deadline_ms = question->deadline_ms,
    };
    struct sl_reply reply;
    if (sl_bus_request(client, &command, admin->arena, &reply, err) != 0) {
        return -1;
    }
    *ret_answer = parse_body(admin, reply.body);
    return 0;
}

int
online_ask(struct admin *admin, const struct online_question *question, json_t **ret_answer,
           struct sl_error *err)
{
    struct sl_peer peer;
    if (admin->peer_file == NULL) {
        return sl_fail(err, SL_E_ADMIN,
                       "who are we? --peer FILE or SLUICE_PEER_FILE must name our peer file");
    }
    if (sl_peer_load(admin->peer_file, admin->arena, &peer, err) != 0) {
        return -1;
    }
    struct sl_bus_client_options options = {.peer = &peer};
    struct sl_bus_client *client = sl_bus_client_new(&options, err);
    int rc = client != NULL ? exchange(admin, client, question, ret_answer, err) : -1;
    sl_bus_client_free(&client);
    sl_wipe(peer.secret_key, sizeof(peer.secret_key));
    return rc;
}

int
online_send(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    struct online_question question = {.service = admin->row->service,
                                       .command = admin->row->command,
                                       .body = fields,
                                       .deadline_ms = SL_DEADLINE_MS};
    return online_ask(admin, &question, ret_answer, err);
}
