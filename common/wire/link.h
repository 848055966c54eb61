// link.h - one socket of a peer to one bus, and whether it is connected.
//
// Inside the room only: bus_client.c and worker.c. CURVE, limits and reconnecting are set here;
// a monitor tells at once when the connection breaks. One thread at a time uses a link.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_LINK_H
#define SL_WIRE_LINK_H

#include <poll.h>
#include <zmq.h>

#include "common/base/str.h"
#include "common/wire/peer.h"

#define SL_LINK_BEAT_MS  500  // heartbeats each way
#define SL_LINK_QUIET_MS 540  // a client asks after so long without a sign of life: no node does
#define SL_LINK_DEAD_MS  2000 // a bus silent for longer is dead

struct sl_link {
    void *socket;         // DEALER or SUB
    void *monitor;        // PAIR with the socket's events
    int fd;               // readable when `socket` has something to look at; its own
    int monitor_fd;       // the same of `monitor`
    const char *endpoint; // of the bus; the opener's
    int64_t heard_ms;     // last sign of life (sl_mono_ms); 0: not connected
    int64_t beat_at_ms;   // when the next heartbeat is due
    bool sends;           // a DEALER: what it sends must not wait for a later connection
    bool is_up;           // the handshake is done and the connection holds
    bool is_readable;     // there may be messages that no poll will tell of
    bool has_news;        // the same of the monitor's events
    bool takes_joined;    // the bus said: it reads joined messages (joined.h), brief commands
};

// Which of a bus's sockets.
enum sl_link_kind {
    SL_LINK_COMMANDS, // DEALER
    SL_LINK_WORKERS,  // DEALER
    SL_LINK_EVENTS,   // SUB
};

enum sl_link_change {
    SL_LINK_SAME,
    SL_LINK_UP,   // handshake done
    SL_LINK_DOWN, // connection broke
};

// Connects to one socket of a bus, in the background. -1 (CONFIG) when its endpoint is malformed.
// `bus` must outlive the link.
int sl_link_open(struct sl_link *link, void *context, enum sl_link_kind kind,
                 const struct sl_peer *peer, const struct sl_bus_address *bus,
                 struct sl_error *err) SL_MUST_CHECK;
void sl_link_close(struct sl_link *link);

#define SL_LINK_POLLS 2 // items that a link takes in a poll

// Fills a link's items of a poll(2), and notes what the poll saw. A descriptor of ZeroMQ tells of a
// change, once: what arrived while the link sent, or was left unread, it does not tell again. So a
// poll may sleep only while no link is unread; zmq_poll would ask each socket, twice, with a system
// call each time.
void sl_link_poll(const struct sl_link *link, struct pollfd items[SL_LINK_POLLS]);
void sl_link_polled(struct sl_link *link, const struct pollfd items[SL_LINK_POLLS]);
bool sl_link_is_unread(const struct sl_link *link);

// For a thread that sent while the one that polls may sleep, under a lock that both take: whether
// there are messages to read, of which the sleeper must be told.
bool sl_link_settle(struct sl_link *link);

// Reads what the monitor saw; the last change counts. What was sent and has not left, and answers
// that were not read, end with the connection.
enum sl_link_change sl_link_watch(struct sl_link *link, int64_t now_ms);

// Whether the bus was heard of lately.
bool sl_link_is_live(const struct sl_link *link, int64_t now_ms);

// Sends parts without waiting, joined where the bus takes that; false when there is no connection
// or its queue is full.
bool sl_link_send(struct sl_link *link, const struct sl_str *parts, size_t count);

#define SL_LINK_PARTS 4 // parts of the longest message that a bus sends

// A received message: whole frames, or the parts of a joined one.
struct sl_link_message {
    zmq_msg_t frame[SL_LINK_PARTS];
    size_t frames;
    struct sl_str part[SL_LINK_PARTS]; // views of the frames
    size_t count;                      // of the parts
};

// Receives a message without waiting; false when there is none, or nothing told of one. Longer ones
// are cut.
bool sl_link_receive(struct sl_link *link, struct sl_link_message *ret_message);
void sl_link_message_clear(struct sl_link_message *message);

// Part `index`, or an empty view.
struct sl_str sl_link_part(const struct sl_link_message *message, size_t index);

#endif
