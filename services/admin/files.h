// files.h - the files that sluice-admin writes: keys, peer files, allow-list files.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_ADMIN_FILES_H
#define SL_ADMIN_FILES_H

#include <jansson.h>

#include "common/wire/peer.h"

// Refuses (ADMIN) a path at which something is already.
int files_absent(const char *path, struct sl_error *err) SL_MUST_CHECK;

// Writes a new file of mode 0600. Refuses (ADMIN) one that exists or cannot be written; leaves
// nothing half-written behind.
int files_write(const char *path, const char *text, struct sl_error *err) SL_MUST_CHECK;

// Writes <dir>/<name>.peer in every directory of the list, so that the bus lets the peer in.
// `gateway` is "" but for nodes. An existing file is replaced whole.
int files_allow(const json_t *dirs, const struct sl_peer *peer, const char *role,
                const char *gateway, struct sl_error *err) SL_MUST_CHECK;

// Removes <dir>/<name>.peer from every directory of the list; absent ones do not matter.
int files_forbid(const json_t *dirs, const char *name, struct sl_error *err) SL_MUST_CHECK;

// Fills `peer` with a name, a fresh key and the buses of these peer files, each bus once and with
// one address a socket: the first whose transport is `over` ("tcp", "ipc"; "": any). Refuses
// (ADMIN) what is no name, a bus without such an address, more than SL_BUSES_MAX.
int files_new_peer(struct sl_arena *arena, const char *name, const json_t *bus_files,
                   const char *over, struct sl_peer *ret_peer, struct sl_error *err) SL_MUST_CHECK;

#endif
