// http.h - the management API's listener.
//
// The threads of the front's bus clients serve it, each its own connections: the one that hears a
// reply gives the answer. A connection is suspended while its command is out. All time
// limits are ours (deadline.h): headers within 10 s, a body within 30 s, an answer taken within
// 30 s, a connection idle for at most 75 s. A body may have SL_BODY_MAX bytes, or what its
// operation's row says.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_HTTP_H
#define SL_FRONT_HTTP_H

#include "services/front/front.h"

struct http;

struct http_options {
    const char *listen;          // "address:port", "[v6]:port"
    const char *tls_certificate; // PEM file; "" for plain HTTP
    const char *tls_key;         // PEM file
    bool plain;                  // plain HTTP is wanted; loopback only
};

// Starts listening. Refuses (CONFIG) a bad address, plain HTTP that was not asked for or is not on
// loopback, unreadable TLS files. NULL with *err filled.
struct http *http_new(struct front *front, const struct http_options *options,
                      struct sl_error *err);

// Stops accepting; what is in flight goes on.
void http_quiesce(struct http *http);

// Stops and frees. Nothing may be suspended: the bus client is freed before. Empties the pointer.
void http_free(struct http **http);

#endif
