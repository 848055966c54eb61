// frames.c - see frames.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/frames.h"

#include "common/wire/joined.h"

#include <string.h>

void
frames_open(struct frames_socket *socket, void *handle)
{
    size_t size = sizeof(socket->fd);
    *socket = (struct frames_socket){.handle = handle, .fd = -1, .is_unread = handle != NULL};
    if (handle != NULL) {
        int rc = zmq_getsockopt(handle, ZMQ_FD, &socket->fd, &size);
        assert(rc == 0); // every socket has one
    }
}

void
frames_close(struct frames_socket *socket)
{
    if (socket->handle != NULL) {
        zmq_close(socket->handle);
    }
    *socket = (struct frames_socket){.fd = -1};
}

// Finds the parts of what was received: a joined message follows a routing id.
static void
find_parts(struct frames *frames)
{
    frames->count = frames->held;
    for (size_t i = 0; i < frames->held; i++) {
        frames->part[i] =
            (struct sl_str){zmq_msg_data(&frames->frame[i]), zmq_msg_size(&frames->frame[i])};
    }
    struct sl_str parts[FRAMES_MAX - 1];
    size_t count = frames->held == 2 ? sl_split(frames->part[1], parts, FRAMES_MAX - 1) : 0;
    if (count > 0 && count < FRAMES_MAX) {
        memcpy(&frames->part[1], parts, count * sizeof(parts[0]));
        frames->count = 1 + count;
        frames->is_joined = true;
    }
}

bool
frames_receive(struct frames_socket *socket, struct frames *ret_frames)
{
    ret_frames->held = 0;
    ret_frames->is_cut = false;
    ret_frames->is_joined = false;
    zmq_msg_t surplus = {{0}};
    bool has_more = true;
    while (has_more) {
        bool fits = ret_frames->held < FRAMES_MAX;
        zmq_msg_t *frame = fits ? &ret_frames->frame[ret_frames->held] : &surplus;
        zmq_msg_init(frame);
        if (zmq_msg_recv(frame, socket->handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(frame);
            frames_clear(ret_frames);
            socket->is_unread = false;
            return false;
        }
        has_more = zmq_msg_more(frame) != 0;
        if (fits) {
            ret_frames->held++;
        } else {
            ret_frames->is_cut = true;
            zmq_msg_close(frame);
        }
    }
    find_parts(ret_frames);
    return true;
}

void
frames_clear(struct frames *frames)
{
    for (size_t i = 0; i < frames->held; i++) {
        zmq_msg_close(&frames->frame[i]);
    }
    frames->held = 0;
    frames->count = 0;
}

struct sl_str
frames_get(const struct frames *frames, size_t index)
{
    return index < frames->count ? frames->part[index] : (struct sl_str){"", 0};
}

const char *
frames_property(struct frames *frames, const char *name)
{
    return zmq_msg_gets(&frames->frame[frames->held - 1], name);
}

int64_t
frames_number(const struct frames *frames, size_t index)
{
    int64_t number = 0;
    struct sl_str text = frames_get(frames, index);
    return text.len > 0 && sl_str_int(text, &number) && number >= 0 ? number : -1;
}

bool
frames_send(struct frames_socket *socket, const struct sl_str *parts, size_t count)
{
    // A socket that sends may find news of a message that came: its descriptor is silent then.
    socket->is_unread = true;
    for (size_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        if (zmq_send(socket->handle, parts[i].ptr, parts[i].len, flags) < 0) {
            return false;
        }
    }
    return true;
}

bool
frames_send_joined(struct frames_socket *socket, const struct sl_str *parts, size_t count)
{
    zmq_msg_t joined;
    if (!sl_join(parts + 1, count - 1, &joined)) {
        return frames_send(socket, parts, count);
    }
    socket->is_unread = true; // as in frames_send
    bool is_sent =
        zmq_send(socket->handle, parts[0].ptr, parts[0].len, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0 &&
        zmq_msg_send(&joined, socket->handle, ZMQ_DONTWAIT) >= 0;
    zmq_msg_close(&joined); // empty where it was sent
    return is_sent;
}
