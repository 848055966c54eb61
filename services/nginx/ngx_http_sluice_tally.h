// ngx_http_sluice_tally.h - what the requests of a node add up to, per API, for /metrics.
//
// One tally lies in memory that all workers share and that outlives each of them; it begins as
// zeroes, and counting takes no lock. The first NGX_HTTP_SLUICE_TALLY_APIS APIs have a row each,
// those that come later one together ("other"), requests that reach no API another ("none"): the
// number of series is bounded whatever callers do. A row stays until nginx itself ends. Sums over
// the rows are the node's own figures. Needs no nginx.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_TALLY_H
#define NGX_HTTP_SLUICE_TALLY_H

#include "common/base/buf.h"
#include "common/base/limits.h"

#define NGX_HTTP_SLUICE_TALLY_APIS    1000 // APIs with a row of their own
#define NGX_HTTP_SLUICE_TALLY_PLACES  2048 // of their hash table; power of two
#define NGX_HTTP_SLUICE_TALLY_WORKERS 1024 // whose gauges are kept
#define NGX_HTTP_SLUICE_TALLY_CLASSES 6    // 1xx … 5xx; 0: nothing was sent
#define NGX_HTTP_SLUICE_TALLY_BOUNDS  10   // of request time
#define NGX_HTTP_SLUICE_TALLY_LAYOUT  "3"  // another word whenever structs or places change

// What is counted of one API. Words are atomics.
struct ngx_http_sluice_tally_row {
    char api_id[SL_ID_LEN]; // written once, before `state` says so
    uint64_t state;         // 0 free, 1 being taken, 2 taken
    uint64_t by_class[NGX_HTTP_SLUICE_TALLY_CLASSES];
    uint64_t throttled;      // refused by a limit
    uint64_t time_ms;        // of all requests together
    uint64_t received_bytes; // of requests
    uint64_t sent_bytes;     // of responses
    uint64_t slowest[2];     // of an even and an odd minute: minute << 32 | milliseconds
} __attribute__((aligned(64)));

struct ngx_http_sluice_tally {
    uint64_t taken;            // places of `apis`
    uint64_t refused;          // answered with an error of the gateway
    uint64_t backend_calls;    // retries included
    uint64_t backend_failures; // without an answer
    uint64_t by_bound[NGX_HTTP_SLUICE_TALLY_BOUNDS];
    uint64_t idle[NGX_HTTP_SLUICE_TALLY_WORKERS]; // backend connections, each worker its own
    struct ngx_http_sluice_tally_row none;        // requests that reached no API
    struct ngx_http_sluice_tally_row other;       // requests of APIs without a row
    struct ngx_http_sluice_tally_row apis[NGX_HTTP_SLUICE_TALLY_PLACES];
};

// One answered request.
struct ngx_http_sluice_tally_request {
    const char *api_id; // SL_ID_LEN characters; NULL: it reached none
    unsigned status;    // 0: nothing was sent
    bool refused;       // with an error of the gateway
    bool throttled;
    uint64_t time_ms;
    uint64_t received_bytes;
    uint64_t sent_bytes;
    uint64_t backend_calls;
    uint64_t backend_failures;
    int64_t at_s; // seconds since the epoch
};

// Adds a request. Any process.
void ngx_http_sluice_tally_count(struct ngx_http_sluice_tally *tally,
                                 const struct ngx_http_sluice_tally_request *request);

// Writes every figure in Prometheus' text form, as proto/metrics.yaml names them; `now_s` says
// which minute's slowest request still counts. Any process, while others count.
void ngx_http_sluice_tally_write(const struct ngx_http_sluice_tally *tally, int64_t now_s,
                                 struct sl_buf *text);

#endif
