// zap.h - answering ZAP (RFC 27): who may connect at all.
//
// The handshake's key is looked up in the allow-list; from then on each message of the connection
// carries "User-Id" (the peer's name) and "X-Key" (its key).
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_ZAP_H
#define SL_BUS_ZAP_H

#include "services/bus/frames.h"
#include "services/bus/peers.h"

#define ZAP_KEY_PROPERTY "X-Key"

// Binds the authenticator of `zmq_context`: before any other socket binds. NULL with *err filled.
void *zap_open(void *zmq_context, struct sl_error *err);

// Answers what waits on its socket.
void zap_answer(struct frames_socket *socket, const struct peers *peers);

#endif
