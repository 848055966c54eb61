// peer.h - who a process is on the bus: one file with its name, key pair and the buses.
//
//     name: front-1
//     public_key: <40 characters of Z85>
//     secret_key: <40 characters of Z85>
//     buses:
//       - {commands: "tcp://10.0.0.1:7001", workers: "tcp://10.0.0.1:7002",
//          events: "tcp://10.0.0.1:7003", public_key: "<Z85>"}
//
// Mode 0600. CURVE (RFC 26) is always on, over tcp and unix sockets alike. In a bus's own file an
// address may be several, separated by blanks: it listens at all of them, and sluice-admin gives
// each peer one.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_PEER_H
#define SL_WIRE_PEER_H

#include "common/base/arena.h"

#define SL_BUSES_MAX 8 // buses of one deployment
#define SL_Z85_SIZE  41

struct sl_bus_address {
    const char *commands; // where clients send commands
    const char *workers;  // where workers register and publish events
    const char *events;   // where subscribers listen
    char public_key[SL_Z85_SIZE];
};

struct sl_peer {
    const char *name; // as in the allow-list's file name
    char public_key[SL_Z85_SIZE];
    char secret_key[SL_Z85_SIZE];
    struct sl_bus_address buses[SL_BUSES_MAX];
    size_t bus_count; // at least 1
};

// Reads a peer file into `peer` (strings from the arena). Refuses (CONFIG) a file that others may
// read, unknown keys, malformed keys, no bus.
int sl_peer_load(const char *path, struct sl_arena *arena, struct sl_peer *peer,
                 struct sl_error *err) SL_MUST_CHECK;

// Writes one, mode 0600, by rename.
int sl_peer_save(const char *path, const struct sl_peer *peer, struct sl_error *err) SL_MUST_CHECK;

// Makes a fresh CURVE key pair.
void sl_peer_keys(char ret_public[SL_Z85_SIZE], char ret_secret[SL_Z85_SIZE]);

#endif
