// peers.h - the allow-list: a directory of <name>.peer files, watched.
//
// A file holds `key: <Z85>`, `role: <role>` and, for nodes, `gateway: <id>`. A malformed file is
// left out with a warning; the rest goes on. One thread owns the list.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_PEERS_H
#define SL_BUS_PEERS_H

#include "common/wire/peer.h"
#include "services/bus/role.h"

#define PEER_NAME_MAX 128 // bytes with terminator

struct peers;

struct peer_row {
    char name[PEER_NAME_MAX]; // the file's name without ".peer"
    char key[SL_Z85_SIZE];    // CURVE public key
    struct role role;         //
};

// Reads the directory and starts watching it. NULL with *err filled (CONFIG).
struct peers *peers_new(const char *dir, struct sl_error *err);
void peers_free(struct peers **peers);

// Readable when the directory changed; peers_refresh then reads it again. Rows found before are
// gone after it.
int peers_fd(const struct peers *peers);
void peers_refresh(struct peers *peers);

// The row of a key (handshake), or of a name whose key is still `key` (each message); NULL: none.
const struct peer_row *peers_find_key(const struct peers *peers, const char *key);
const struct peer_row *peers_find(const struct peers *peers, const char *name, const char *key);

// How many peers the list has.
size_t peers_count(const struct peers *peers);

#endif
