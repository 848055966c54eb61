// node.c - letting nodes in and shutting them out.
//
// A node's private key is made here and stands in its peer file only; the publisher learns the
// public one (it seals content keys to it), the buses learn it by the allow-list.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "common/crypto/crypto.h"
#include "services/admin/admin.h"
#include "services/admin/files.h"

static const char *
text_of(json_t *fields, const char *field)
{
    const char *text = json_string_value(json_object_get(fields, field));
    return text != NULL ? text : "";
}

static int
register_node(struct admin *admin, json_t *fields, const struct sl_peer *peer, json_t **ret_answer,
              struct sl_error *err)
{
    const char *id = text_of(fields, "id");
    const char *gateway = text_of(fields, "gateway");
    char role[128];
    snprintf(role, sizeof(role), "node:%s", id);
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "id", id, "gateway", gateway, "public_key", peer->public_key);
    int rc = online_send(admin, body, ret_answer, err);
    json_decref(body);
    if (rc != 0) {
        return -1;
    }
    return files_allow(json_object_get(fields, "allow"), peer, role, gateway, err);
}

int
node_add(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    struct sl_peer peer;
    const char *out = text_of(fields, "out");
    if (files_absent(out, err) != 0 ||
        files_new_peer(admin->arena, text_of(fields, "id"), json_object_get(fields, "bus"),
                       text_of(fields, "over"), &peer, err) != 0 ||
        sl_peer_save(out, &peer, err) != 0) {
        return -1;
    }
    int rc = register_node(admin, fields, &peer, ret_answer, err);
    if (rc != 0) {
        unlink(out);
    } else {
        json_object_set_new(*ret_answer, "public_key", json_string(peer.public_key));
    }
    sl_wipe(peer.secret_key, sizeof(peer.secret_key));
    return rc;
}

int
node_remove(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    // Out of the buses first: from then on it gets nothing, whatever happens next.
    const char *id = text_of(fields, "id");
    if (files_forbid(json_object_get(fields, "allow"), id, err) != 0) {
        return -1;
    }
    json_t *body = json_pack("{s:s}", "id", id);
    int rc = online_send(admin, body, ret_answer, err);
    json_decref(body);
    return rc;
}
