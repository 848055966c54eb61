// ngx_http_sluice_line.h - the access log: what one line tells, and its two forms.
//
// A record holds what the worker knows of an answered request; the formatter turns it into the line
// of 54 fields (runtime.md 18.1) or into a JSON object with the same names. The fields stand once,
// in the table of _line.c. Nothing here needs nginx, allocates, or holds on to a record.
//
// The line: fields in their order, one space between them; an absent value is `-`; values that may
// hold spaces stand between quotes. What a client controls cannot end a field or a line: quotes,
// backslashes, control bytes and all that is not ASCII are `\xHH`, and so is a space in a field
// without quotes. JSON leaves absent fields out, keeps valid UTF-8, and shows each other byte as
// U+FFFD.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef NGX_HTTP_SLUICE_LINE_H
#define NGX_HTTP_SLUICE_LINE_H

#include "common/base/str.h"

#define NGX_HTTP_SLUICE_FIELDS     54                // of the line
#define NGX_HTTP_SLUICE_CUSTOMS    10                // of them are the operator's choice
#define NGX_HTTP_SLUICE_TEXT_MAX   4096              // bytes of one value that are shown
#define NGX_HTTP_SLUICE_TRIES_MAX  16                // calls of backends that are shown
#define NGX_HTTP_SLUICE_LINE_BYTES (2 * 1024 * 1024) // more than any record needs

// One call of a backend. Times in milliseconds, -1: it did not come to that.
struct ngx_http_sluice_try {
    struct sl_str addr;  // address:port
    int64_t status;      // -1: none
    int64_t connect_ms;  // until the connection stood
    int64_t header_ms;   // until the answer's headers were there
    int64_t response_ms; // until its last byte was there
};

// Texts are views, empty where absent; numbers are -1 where absent.
struct ngx_http_sluice_record {
    // Made by the gateway.
    struct sl_str remote_addr;     // of the TCP peer
    struct sl_str request_id;      // 32 hex digits
    struct sl_str api_id;          //
    struct sl_str app_id;          //
    struct sl_str user_id;         // project of a user of IAM
    struct sl_str group_id;        //
    struct sl_str publish_id;      // of the API in its environment
    struct sl_str node_id;         //
    struct sl_str trace_id;        // W3C, 32 hex digits
    struct sl_str time_local;      // as nginx writes it
    struct sl_str time_iso;        // ISO 8601
    struct sl_str scheme;          // http or https
    struct sl_str upstream_scheme; // the same towards the backend
    struct sl_str auth_type;       // what the API declares: NONE, APP, …
    struct sl_str access_model;    // what the caller proved itself with
    struct sl_str response_source; // local or remote
    struct sl_str error_code;      // APIG.xxxx
    struct sl_str gzip_ratio;      // by how much the answer shrank

    // From outside: clients, backends, operators.
    struct sl_str request_method;                   //
    struct sl_str host;                             // without its port
    struct sl_str router_uri;                       // the canonical path
    struct sl_str server_protocol;                  //
    struct sl_str user_agent;                       //
    struct sl_str forwarded_for;                    // all of them
    struct sl_str upstream_uri;                     // path of the backend, without its query
    struct sl_str api_name;                         //
    struct sl_str app_name;                         //
    struct sl_str env;                              // name of the environment
    struct sl_str function_urn;                     //
    struct sl_str customs[NGX_HTTP_SLUICE_CUSTOMS]; // what custom_log names

    int64_t status;          //
    int64_t bytes_sent;      // with headers
    int64_t body_bytes_sent; // without
    int64_t request_length;  // bytes, with headers
    int64_t error_type;      // 1: throttled
    int64_t request_ms;      // from the first byte to the last
    int64_t inner_ms;        // the gateway's own part of request_ms
    int64_t upstream_ms;     // of all tries together

    const struct ngx_http_sluice_try *tries; // in their order
    size_t try_count;                        // at most NGX_HTTP_SLUICE_TRIES_MAX
};

// Writes the line of 54 fields, without a line break, into `out` of NGX_HTTP_SLUICE_LINE_BYTES;
// answers its end.
unsigned char *ngx_http_sluice_line(unsigned char *out,
                                    const struct ngx_http_sluice_record *record);

// Writes the JSON object into the same room; answers its end. Beside the fields of the line: `time`
// (ISO 8601), `node_id`, `env`, `publish_id`, `trace_id`. Numbers are numbers, what each try has is
// a list.
unsigned char *ngx_http_sluice_json(unsigned char *out,
                                    const struct ngx_http_sluice_record *record);

// The name of field `index`, 0 to 53, in the line's order.
const char *ngx_http_sluice_field_name(size_t index);

// Writes decimal digits, at least `least` (1 to 19) of them; answers the new end. The number is
// below 10^19.
unsigned char *ngx_http_sluice_digits(unsigned char *out, uint64_t number, size_t least);

#endif
