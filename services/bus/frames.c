// frames.c - see frames.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/bus/frames.h"

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

bool
frames_receive(struct frames_socket *socket, struct frames *ret_frames)
{
    ret_frames->count = 0;
    ret_frames->is_cut = false;
    zmq_msg_t surplus = {{0}};
    bool has_more = true;
    while (has_more) {
        bool fits = ret_frames->count < FRAMES_MAX;
        zmq_msg_t *part = fits ? &ret_frames->part[ret_frames->count] : &surplus;
        zmq_msg_init(part);
        if (zmq_msg_recv(part, socket->handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(part);
            frames_clear(ret_frames);
            socket->is_unread = false;
            return false;
        }
        has_more = zmq_msg_more(part) != 0;
        if (fits) {
            ret_frames->count++;
        } else {
            ret_frames->is_cut = true;
            zmq_msg_close(part);
        }
    }
    return true;
}

void
frames_clear(struct frames *frames)
{
    for (size_t i = 0; i < frames->count; i++) {
        zmq_msg_close(&frames->part[i]);
    }
    frames->count = 0;
}

struct sl_str
frames_get(const struct frames *frames, size_t index)
{
    if (index >= frames->count) {
        return (struct sl_str){"", 0};
    }
    // zmq_msg_data takes a mutable message, yet leaves it alone.
    zmq_msg_t *part = (zmq_msg_t *)(uintptr_t)&frames->part[index];
    return (struct sl_str){zmq_msg_data(part), zmq_msg_size(part)};
}

const char *
frames_property(struct frames *frames, const char *name)
{
    return zmq_msg_gets(&frames->part[frames->count - 1], name);
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
