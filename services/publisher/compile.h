// compile.h - from rows as they are now to the body of a runtime entry.
//
// Reads inside the caller's transaction, writes nothing. A key whose row is gone (or offline)
// compiles to a tombstone. proto/runtime.md lists kinds and fields.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_COMPILE_H
#define SL_PUBLISHER_COMPILE_H

#include "common/runtime/entry.h"
#include "services/publisher/publisher.h"
#include "services/publisher/variable.h"

// What compiling needs; memory from `arena`.
struct compile {
    struct sl_tx *tx;
    struct sl_arena *arena;
    const struct publisher *publisher; // opens sealed columns
    const char *gateway;               // id, or CONTROL_GATEWAY
};

struct compiled {
    struct sl_str plain; // msgpack; ptr NULL: a tombstone
    uint32_t min_reader;
};

// Compiles one key. Refuses (ENTRY_BROKEN) an unknown kind and rows that make no entry.
int compile_key(const struct compile *compile, const char *kind, const char *key,
                struct compiled *ret_compiled, struct sl_error *err) SL_MUST_CHECK;

// One function a kind. *ret_found false: a tombstone.
int compile_api(const struct compile *compile, const char *key, struct sl_entry *entry,
                bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_app(const struct compile *compile, const char *key, struct sl_entry *entry,
                bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_certificate(const struct compile *compile, const char *key, struct sl_entry *entry,
                        bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_channel(const struct compile *compile, const char *key, struct sl_entry *entry,
                    bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_gateway(const struct compile *compile, const char *key, struct sl_entry *entry,
                    bool *ret_found, struct sl_error *err) SL_MUST_CHECK;
int compile_host(const struct compile *compile, const char *key, struct sl_entry *entry,
                 bool *ret_found, struct sl_error *err) SL_MUST_CHECK;

// The api entry of a published definition (the api row as to_jsonb gave it); pure, for golden
// tests. `api` already has publish_id, env_id, env_name, version_id, throttle_id and
// sign_id.
int compile_definition(struct sl_arena *arena, const json_t *definition,
                       const struct variables *variables, struct sl_api *api,
                       struct sl_error *err) SL_MUST_CHECK;

// Whether every backend of the definition has an address once its variables are resolved. Refuses
// VARIABLE_UNDEFINED, PARAM_INVALID (naming the member whose value makes no address or path).
int compile_check_addresses(struct sl_arena *arena, const char *definition,
                            const struct variables *variables, struct sl_error *err) SL_MUST_CHECK;

// Kinds of the pseudo-gateway `control`: *ret_plain is msgpack of the documented object.
int compile_control(const struct compile *compile, const char *kind, const char *key,
                    struct sl_str *ret_plain, bool *ret_found, struct sl_error *err) SL_MUST_CHECK;

// Opens a sealed column as a terminated string, from the arena; NULL (SEAL_BROKEN) when it was
// sealed under another key or context.
const char *compile_unseal(const struct compile *compile, const char *context, struct sl_str sealed,
                           struct sl_error *err) SL_MUST_CHECK;

// A column of several rows as a list of strings, in the arena; NULL when it is full.
const char *const *compile_list(struct sl_arena *arena, const struct sl_rows *rows, size_t column);

#endif
