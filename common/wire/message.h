// message.h - commands, replies and events as C sees them; proto/bus.md is their wire form.
//
// Field values are borrowed from the arena (or message) that the struct was decoded into.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_WIRE_MESSAGE_H
#define SL_WIRE_MESSAGE_H

#include <jansson.h>

#include "common/base/arena.h"
#include "common/base/buf.h"

// Who asks, as front or sluice-admin established it. All "" when nobody did.
struct sl_actor {
    const char *user_id;    // user that authenticated
    const char *user_name;  // for the audit
    const char *domain_id;  // account the user belongs to
    const char *project_id; // project the credential is scoped to
    const char *address;    // where the request came from, as text: IPv4 or IPv6
};

// One command. `path`, `query` and `body` are JSON values; NULL where there is none.
struct sl_command {
    const char *id;         // 32 hex digits, chosen by front: the idempotency key of a mutation
    const char *service;    // "registry", "publisher", "identity", "throttle/17"
    const char *name;       // "throttle.create"
    const char *request_id; // X-Request-Id, for logs only
    struct sl_actor actor;  //
    const char *project;    // {project_id} of the path, or ""
    const char *instance;   // {instance_id} of the path, or ""
    json_t *path;           // object: path parameter → string
    json_t *query;          // object: query parameter → typed value; absent ones absent
    json_t *body;           // the validated body
    int64_t deadline_ms;    // time left when sent; not executed when 0 or less
    const char *peer;       // name of the sending peer, set by the bus; senders leave it NULL
    const char *peer_role;  // its role, "front", "node:<id>"…; set by the bus
    const char *peer_key;   // its CURVE public key, Z85; set by the bus
};

// The answer. Either finished (`status`, `body`) or an error row with its arguments.
struct sl_reply {
    int status;            // HTTP status when failed is false; 0: the operation's documented one
    struct sl_str body;    // finished JSON (or msgpack between our own processes); may be empty
    json_t *headers;       // object: response header → string; NULL where there is none
    bool failed;           // the rest is an error
    struct sl_error error; // row and arguments; detail stays with the worker
};

// JSON value ⇄ msgpack bytes. Integers stay integers; depth at most SL_JSON_DEPTH_MAX.
// sl_json_unpack gives a new reference that the arena releases.
int sl_json_pack(struct sl_arena *arena, const json_t *value, struct sl_str *ret_bytes,
                 struct sl_error *err) SL_MUST_CHECK;
int sl_json_unpack(struct sl_arena *arena, struct sl_str bytes, json_t **ret_value,
                   struct sl_error *err) SL_MUST_CHECK;

// Envelope ⇄ msgpack bytes (proto/bus.md). Decoding refuses (BUS_MESSAGE) what is not one.
int sl_command_encode(struct sl_arena *arena, const struct sl_command *command,
                      struct sl_str *ret_bytes, struct sl_error *err) SL_MUST_CHECK;
int sl_command_decode(struct sl_arena *arena, struct sl_str bytes, struct sl_command *ret_command,
                      struct sl_error *err) SL_MUST_CHECK;
int sl_reply_encode(struct sl_arena *arena, const struct sl_reply *reply, struct sl_str *ret_bytes,
                    struct sl_error *err) SL_MUST_CHECK;
int sl_reply_decode(struct sl_arena *arena, struct sl_str bytes, struct sl_reply *ret_reply,
                    struct sl_error *err) SL_MUST_CHECK;

// The same, appended to a buffer.
int sl_command_pack(struct sl_buf *buf, const struct sl_command *command,
                    struct sl_error *err) SL_MUST_CHECK;
int sl_reply_pack(struct sl_buf *buf, const struct sl_reply *reply,
                  struct sl_error *err) SL_MUST_CHECK;

// The name of a command, without reading the rest; a view of the envelope. False when it has none.
bool sl_command_name(struct sl_str bytes, struct sl_str *ret_name) SL_MUST_CHECK;

// An error as a reply.
struct sl_reply sl_reply_of_error(const struct sl_error *err);

// What the bus establishes about the sender of an envelope.
struct sl_sender {
    const char *peer; // name in the allow-list
    const char *role; // as in the allow-list
    const char *key;  // CURVE public key, Z85
    bool may_act;     // `actor` stays; otherwise it is dropped
};

#define SL_COMMAND_BRIEF "K" // the brief form of a command

// What the bus reads of an envelope; views of it.
struct sl_stamped {
    struct sl_str id;
    struct sl_str service;
    struct sl_str name;
};

// Appends an envelope to `buf` as the bus passes it on: sender filled in, whatever the sender wrote
// there dropped; bodies are copied unread. Refuses (BUS_MESSAGE) what is no envelope or names a
// field twice.
int sl_envelope_stamp(struct sl_buf *buf, struct sl_str bytes, const struct sl_sender *sender,
                      struct sl_stamped *ret_stamped, struct sl_error *err) SL_MUST_CHECK;

#endif
