// listen.h - "address:port" to a listening socket.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_LISTEN_H
#define SL_FRONT_LISTEN_H

#include "common/base/error.h"

// A listening, close-on-exec TCP socket, or -1 with *err filled (CONFIG). *ret_loopback says
// whether only this machine can reach it.
int listen_open(const char *address, bool *ret_loopback, struct sl_error *err);

#endif
