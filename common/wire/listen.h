// listen.h - "address:port" or "unix:path" to a listening socket.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_LISTEN_H
#define SL_WIRE_LISTEN_H

#include "common/base/error.h"

// A listening, close-on-exec socket, or -1 with *err filled (CONFIG). *ret_loopback says whether
// only this machine can reach it. What lies at a unix path already is replaced: it is the process's
// own place, and a socket that nobody listens at stays behind when a process is killed.
int sl_listen_open(const char *address, bool *ret_loopback, struct sl_error *err);

#endif
