// probe.h - one look whether a member of a channel is there: over TCP, HTTP or HTTPS.
//
// A probe never blocks: its socket stands in the caller's epoll, edge-triggered, and every event
// takes it as far as it goes. Good is a connection (TCP), or an answer whose code is listed. Of the
// answer no more than its first line is read; certificates are not verified. One thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_PROBE_H
#define SL_NODE_PROBE_H

#include <openssl/ssl.h>

#include "common/runtime/image.h"

struct probe;

// What is looked at; borrowed while the probe begins.
struct probe_plan {
    const struct sl_health *health; // how
    const struct sl_img_address *address;
    const char *host;    // the member's, for Host and SNI
    uint16_t port;       //
    SSL_CTX *ssl_ctx;    // HTTPS only
    int epoll_fd;        //
    void *epoll_data;    // what its events carry
    int64_t deadline_ms; // of the monotonic clock: later it is bad
};

enum probe_verdict {
    PROBE_RUNS,
    PROBE_GOOD,
    PROBE_BAD,
    PROBE_UNKNOWN // this host lacks descriptors, ports or memory: nothing is said about the member
};

// Begins to connect. Answers PROBE_RUNS with *ret_probe, the caller's; PROBE_BAD where the network
// refuses at once; PROBE_UNKNOWN. *ret_probe is NULL then.
enum probe_verdict probe_begin(const struct probe_plan *plan, struct probe **ret_probe);
// Closes it, whatever its state. Empties the pointer; takes NULL.
void probe_free(struct probe **probe);

// Goes on after an event, or when time has passed.
enum probe_verdict probe_step(struct probe *probe, int64_t now_ms);

// Whether a list of codes and ranges, "200,210-299", names `code`. An empty list names 200.
bool probe_code_listed(const char *codes, int code);

#endif
