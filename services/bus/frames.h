// frames.h - one multipart message as it came, and how one is sent.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_FRAMES_H
#define SL_BUS_FRAMES_H

#include <zmq.h>

#include "common/base/str.h"

#define FRAMES_MAX 8 // no message of ours has more

// A received message; what lies beyond FRAMES_MAX is dropped.
struct frames {
    zmq_msg_t part[FRAMES_MAX];
    size_t count; //
    bool is_cut;  // there were more
};

// Receives a message without waiting; false when there is none.
bool frames_receive(void *socket, struct frames *ret_frames);
void frames_clear(struct frames *frames);

// Frame `index`, or an empty view.
struct sl_str frames_get(const struct frames *frames, size_t index);

// A property that the handshake gave the connection ("User-Id"), or NULL. Borrowed from `frames`.
const char *frames_property(struct frames *frames, const char *name);

// Frame `index` as a decimal number from 0; -1 when it is none.
int64_t frames_number(const struct frames *frames, size_t index);

// Sends parts without waiting; false when the peer is gone or its queue is full.
bool frames_send(void *socket, const struct sl_str *parts, size_t count);

#endif
