// entry.h - runtime entries ⇄ the msgpack that travels inside sealed bodies.
//
// Decoding checks everything (types, lengths, enums) and refuses (ENTRY_BROKEN, naming kind and
// field) what does not hold; unknown fields are ignored, so an older reader takes newer entries
// whose min_reader allows it. All memory from the arena.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_RUNTIME_ENTRY_H
#define SL_RUNTIME_ENTRY_H

#include "common/base/arena.h"
#include "common/runtime/model.h"

enum sl_kind {
    SL_KIND_API,
    SL_KIND_GROUP,
    SL_KIND_HOST,
    SL_KIND_APP,
    SL_KIND_THROTTLE,
    SL_KIND_SIGN,
    SL_KIND_GATEWAY,
    SL_KIND_USER,
    SL_KIND_ACCESS_KEY,
    SL_KIND_TOKEN_KEY,
    SL_KIND_CERTIFICATE,
    SL_KIND_CHANNEL,
    SL_KIND_COUNT, // a kind that this build does not know
};

struct sl_entry {
    enum sl_kind kind;
    union {
        struct sl_api api;
        struct sl_group group;
        struct sl_host host;
        struct sl_app app;
        struct sl_throttle throttle;
        struct sl_sign sign;
        struct sl_gateway gateway;
        struct sl_user user;
        struct sl_access_key access_key;
        struct sl_token_key token_key;
        struct sl_certificate certificate;
        struct sl_channel channel;
    };
};

// The kind's word on the wire, and back; SL_KIND_COUNT for a word this build does not know.
// The name of a kind on the wire ("api"), and the kind of a name or SL_KIND_COUNT.
const char *sl_kind_name(enum sl_kind kind);
enum sl_kind sl_kind_find(const char *name);

// The reader version that an entry needs: 7 for a channel and an API that calls one, a signature
// key and an API that has one, a certificate and a host that has one, redirects or is not reached
// by both schemes, 6 for an app whose quota waits for its first call and an API whose gRPC calls go
// to a function, 5 for a gateway with features, an app with a quota and an API of IAM, 4 for a
// backend without host, 3 for policies and checked parameters, 2 for an app with a list of
// addresses, else 1.
uint32_t sl_entry_min_reader(const struct sl_entry *entry);

// Writes an entry as msgpack into `arena`.
// An entry as msgpack, from the arena. NULL strings count as empty. Fails only when the arena is
// full.
int sl_entry_encode(struct sl_arena *arena, const struct sl_entry *entry, struct sl_str *ret_bytes,
                    struct sl_error *err) SL_MUST_CHECK;
// Reads one back; strings live in `arena`. Refuses (ENTRY_BROKEN) what the head of this file says.
// The entry that `bytes` hold; its strings and lists come from the arena.
int sl_entry_decode(struct sl_arena *arena, enum sl_kind kind, struct sl_str bytes,
                    struct sl_entry *ret_entry, struct sl_error *err) SL_MUST_CHECK;

// A copy in one block of memory that free() releases. NULL when memory is out.
struct sl_entry *sl_entry_copy(const struct sl_entry *entry);

#endif
