// front.h - one front process, and one request on its way through it.
//
// A request belongs to one thread, that of a bus client which serves HTTP, too; but for a look
// whether its refusal stands (auth_look), until the resume.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_FRONT_FRONT_H
#define SL_FRONT_FRONT_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/limits.h"
#include "common/wire/bus_client.h"
#include "services/front/auth.h"
#include "services/front/metrics.h"
#include "services/front/validate.h"

#define FRONT_THREADS_MAX 64

#define FRONT_MAGIC   0x66726f6eU
#define REQUEST_MAGIC 0x72657175U

// What all requests share.
struct front {
    SL_MAGIC;
    struct sl_bus_client *buses[FRONT_THREADS_MAX]; // a thread's each: its commands go out there
    size_t bus_count;                               // and HTTP threads
    struct auth *auth;                              // who may do what
    struct validator *validator;                    // the contract's schemas
    struct metrics *metrics;                        // counted by every request
    bool forwarded_for;                             // a balancer before us writes X-Forwarded-For
    atomic_bool draining;  // SIGTERM came: readiness is off, connections close
    atomic_long in_flight; // requests between their first line and their last byte
};

enum request_state {
    REQUEST_HEAD,     // the target is known, headers are read
    REQUEST_BODY,     // the body is read
    REQUEST_WAITING,  // suspended, its command is out, or a look whether its refusal stands
    REQUEST_ANSWERED, // `answer` is complete
};

struct document;

struct answer {
    int status;                      // HTTP status
    struct sl_str body;              // JSON, from the request's arena; empty: none
    const char *allow;               // value of Allow; NULL: none
    json_t *headers;                 // more headers, name → string; the arena's; NULL: none
    const struct document *document; // whose bytes the body is; NULL: a command's answer
};

struct request {
    SL_MAGIC;
    struct front *front;
    struct sl_bus_client *bus; // of the connection's thread
    struct MHD_Connection *connection;
    struct sl_arena *arena; // everything below that is not a constant
    enum request_state state;
    char id[SL_ID_SIZE];       // X-Request-Id
    char trace_id[SL_ID_SIZE]; // of `traceparent`, else the id in lower case
    const char *method;        // as received
    struct sl_str raw_path;    // undecoded, without the query
    struct sl_str raw_query;   // undecoded, after '?'
    size_t body_max;           // bytes that the operation takes
    struct sl_buf body;        // as received, at most body_max
    size_t head_bytes;         // of the request line and headers
    size_t body_seen;          // bytes that came, kept or not
    struct route_match match;  // row is NULL before it is found
    bool has_looked;           // whether the identity entries were behind; once is enough
    struct answer answer;      //
    int64_t start_us;          // sl_mono_us() of the first line
};

// A request header's value, or NULL.
const char *request_header(void *request, const char *name);

// Takes a complete request through route, auth, validate and dispatch. True: it is ANSWERED. False:
// its connection is suspended, and may be resumed from now on: hands off. Resumed with its BODY,
// not ANSWERED, it comes here again.
bool handle_request(struct request *request);

#endif
