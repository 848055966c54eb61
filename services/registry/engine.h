// engine.h - create, read, list, update and delete for every resource that has a descriptor.
//
// One command, one transaction. Names no resource: what differs stands in resource_table, what is
// special in hooks.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_ENGINE_H
#define SL_REGISTRY_ENGINE_H

#include "services/registry/resource.h"

// Handles `<resource>.<verb>`; COMMAND_UNKNOWN for what no descriptor offers. Context of the call:
// struct registry.
sl_handler_fn engine_handle;

// Reads that wait at the same time share a round trip.
extern const struct sl_together engine_together;

// Marks the runtime entries that depend on a row.
int engine_touch(struct mutation *m, const struct resource *resource, const json_t *row,
                 struct sl_error *err) SL_MUST_CHECK;

// Takes (units > 0) or gives back the resource's quotas for a row.
int engine_quota(struct mutation *m, const struct resource *resource, const json_t *row,
                 int64_t units, struct sl_error *err) SL_MUST_CHECK;

// Writes columns of a row that exists, as an update does: lock, hooks, write, audit, touch, body.
// `row` is what to write, `body` what the client sent (for the hooks).
int engine_update(struct mutation *m, const struct resource *resource, const char *id, json_t *row,
                  struct sl_error *err) SL_MUST_CHECK;

// Reads the row's JSON as clients see it into the reply's body.
int engine_read(struct mutation *m, const struct resource *resource, const char *id,
                struct sl_error *err) SL_MUST_CHECK;

// Lists, in a transaction of one snapshot; commits it.
int engine_list(struct mutation *m, const struct resource *resource, struct sl_str *ret_body,
                struct sl_error *err) SL_MUST_CHECK;

// The page that the query asks for: `limit` 1..500 (20 when absent or not positive), `offset` 0...
int64_t engine_limit(const struct sl_command *command);
int64_t engine_offset(const struct sl_command *command);

// %text% with what LIKE takes specially escaped; NULL when the arena is full.
const char *engine_pattern(struct sl_arena *arena, const char *text);

// A JSON text of an arena's lifetime (SL_E_INTERNAL when memory is out).
int engine_dump(struct sl_arena *arena, const json_t *value, struct sl_str *ret_text,
                struct sl_error *err) SL_MUST_CHECK;

// The value of a path parameter, or "".
const char *command_path(const struct sl_command *command, const char *name);

#endif
