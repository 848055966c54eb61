// joined.h - a message of several parts as one frame.
//
// Every frame on a CURVE connection is encrypted, queued and allocated for itself, at both ends. A
// message of short texts and a payload therefore travels as one, between peers that both know how:
// the texts with a blank between them, a newline, the payload as it is. Neither side copies more
// than it did before.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_JOINED_H
#define SL_WIRE_JOINED_H

#include <zmq.h>

#include "common/base/str.h"

#define SL_JOINED_WORD "1" // what a peer says that reads joined messages (proto/bus.md)

// Makes one message of two parts or more, of which the last is the payload; the caller sends or
// closes it. False, and no message, when a text holds what separates or memory is out.
bool sl_join(const struct sl_str *parts, size_t count, zmq_msg_t *ret_message) SL_MUST_CHECK;

// Finds the parts of a message, at most `max` of 2 and more; they are views of it. Answers how many
// there are: 0 when it is not joined, `max` + 1 when there are more.
size_t sl_split(struct sl_str message, struct sl_str *ret_parts, size_t max);

#endif
