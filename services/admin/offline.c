// offline.c - the commands that only write files: sealing key, buses, peers.
//
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto/crypto.h"
#include "common/crypto/seal.h"
#include "services/admin/admin.h"
#include "services/admin/files.h"

static const char *
text_of(json_t *fields, const char *field)
{
    const char *text = json_string_value(json_object_get(fields, field));
    return text != NULL ? text : "";
}

int
offline_seal_key(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    (void)admin;
    uint8_t key[SL_SEAL_KEY_LEN];
    char text[2 * SL_SEAL_KEY_LEN + 2];
    sl_random(key, sizeof(key));
    sl_hex_encode(key, sizeof(key), text);
    text[2 * SL_SEAL_KEY_LEN] = '\n';
    text[2 * SL_SEAL_KEY_LEN + 1] = '\0';
    int rc = files_write(text_of(fields, "out"), text, err);
    sl_wipe(text, sizeof(text));
    sl_wipe(key, sizeof(key));
    if (rc == 0) {
        *ret_answer = json_pack("{s:s}", "file", text_of(fields, "out"));
    }
    return rc;
}

static json_t *
describe(const struct sl_peer *peer, const char *file)
{
    return json_pack("{s:s, s:s, s:s}", "name", peer->name, "public_key", peer->public_key, "file",
                     file);
}

int
offline_bus(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    struct sl_peer peer;
    const char *out = text_of(fields, "out");
    if (files_absent(out, err) != 0 ||
        files_new_peer(admin->arena, text_of(fields, "name"), NULL, "", &peer, err) != 0) {
        return -1;
    }
    peer.buses[0] = (struct sl_bus_address){
        .commands = text_of(fields, "commands"),
        .workers = text_of(fields, "workers"),
        .events = text_of(fields, "events"),
    };
    memcpy(peer.buses[0].public_key, peer.public_key, sizeof(peer.public_key));
    peer.bus_count = 1;
    int rc = sl_peer_save(out, &peer, err);
    if (rc == 0) {
        *ret_answer = describe(&peer, out);
    }
    sl_wipe(peer.secret_key, sizeof(peer.secret_key));
    return rc;
}

int
offline_peer(struct admin *admin, json_t *fields, json_t **ret_answer, struct sl_error *err)
{
    struct sl_peer peer;
    const char *out = text_of(fields, "out");
    const char *role = text_of(fields, "role");
    bool known = strcmp(role, "front") == 0 || strcmp(role, "admin") == 0 ||
                 (strncmp(role, "worker:", 7) == 0 && role[7] != '\0');
    if (!known) {
        return sl_fail(err, SL_E_ADMIN,
                       "a role is front, admin or worker:SERVICE[,SERVICE...]; "
                       "nodes are made by 'node add'");
    }
    if (files_absent(out, err) != 0 ||
        files_new_peer(admin->arena, text_of(fields, "name"), json_object_get(fields, "bus"),
                       text_of(fields, "over"), &peer, err) != 0) {
        return -1;
    }
    int rc = sl_peer_save(out, &peer, err);
    if (rc == 0 && files_allow(json_object_get(fields, "allow"), &peer, role, "", err) != 0) {
        unlink(out);
        rc = -1;
    }
    if (rc == 0) {
        *ret_answer = describe(&peer, out);
    }
    sl_wipe(peer.secret_key, sizeof(peer.secret_key));
    return rc;
}
