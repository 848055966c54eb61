// deadline.h - connections that take too long are closed, whatever they drip.
//
// libmicrohttpd times silence, not slowness, and nothing at all while a connection is suspended.
// Every connection has one absolute due time here; a sweeper thread shuts down the sockets whose
// time has passed, and the HTTP thread then cleans up as after any hang-up.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_DEADLINE_H
#define SL_FRONT_DEADLINE_H

#include "common/base/error.h"

struct deadline_list;
struct deadline; // one connection's

// Starts the sweeper. NULL with *err filled.
struct deadline_list *deadline_list_new(struct sl_error *err);

// Stops the sweeper and frees; no deadline may be left. Empties the pointer.
void deadline_list_free(struct deadline_list **list);

// Watches socket `fd`, due `in_ms` from now. NULL when memory is out.
struct deadline *deadline_new(struct deadline_list *list, int fd, int64_t in_ms);

// Moves the due time to `in_ms` from now. Takes NULL.
void deadline_set(struct deadline *deadline, int64_t in_ms);

// Ends the watch, before the socket is closed. Empties the pointer; takes NULL in it.
void deadline_free(struct deadline **deadline);

#endif
