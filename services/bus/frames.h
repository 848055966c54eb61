// frames.h - one multipart message as it came, and how one is sent.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_BUS_FRAMES_H
#define SL_BUS_FRAMES_H

#include <zmq.h>

#include "common/base/str.h"

// A socket, and whether it may hold what its descriptor will not tell of: that tells of a change,
// once. A poll may sleep only while no socket is unread.
struct frames_socket {
    void *handle;   // ZeroMQ's; NULL: none
    int fd;         // readable when there is something to look at
    bool is_unread; // it is to be looked at whatever the descriptor says
};

// Takes a socket over, unread; without one (NULL) it stays empty, as after frames_close.
void frames_open(struct frames_socket *socket, void *handle);
void frames_close(struct frames_socket *socket);

#define FRAMES_MAX 8 // no message of ours has more

// A received message; what lies beyond FRAMES_MAX is dropped. The parts of a joined one (joined.h)
// stand as if each had come in a frame.
struct frames {
    zmq_msg_t frame[FRAMES_MAX];
    size_t held;                    // frames
    struct sl_str part[FRAMES_MAX]; // views of the frames
    size_t count;                   // of the parts
    bool is_cut;                    // there were more
    bool is_joined;                 // the sender takes joined messages too
};

// Receives a message without waiting; false when there is none, and then the socket is read.
bool frames_receive(struct frames_socket *socket, struct frames *ret_frames);
void frames_clear(struct frames *frames);

// Part `index`, or an empty view.
struct sl_str frames_get(const struct frames *frames, size_t index);

// A property that the handshake gave the connection ("User-Id"), or NULL. Borrowed from `frames`.
const char *frames_property(struct frames *frames, const char *name);

// Part `index` as a decimal number from 0; -1 when it is none.
int64_t frames_number(const struct frames *frames, size_t index);

// Sends parts without waiting; false when the peer is gone or its queue is full.
bool frames_send(struct frames_socket *socket, const struct sl_str *parts, size_t count);

// The same with all parts after the first, which is the routing id, joined.
bool frames_send_joined(struct frames_socket *socket, const struct sl_str *parts, size_t count);

#endif
