// engine_write.h - what engine.c, engine_write.c and engine_list.c share.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_ENGINE_WRITE_H
#define SL_REGISTRY_ENGINE_WRITE_H

#include "services/registry/engine.h"

// The three verbs that write; run by mutation_run.
mutation_work_fn engine_create_work;
mutation_work_fn engine_update_work;
mutation_work_fn engine_delete_work;

// The descriptor that the command's name begins with, or NULL.
const struct resource *engine_resource(const struct sl_command *command);

// Refuses an owner (the path's parent, or what a list is of) that the command names and that does
// not exist; a row `id` (NULL: none) that is not the parent's is not found.
int engine_owner(struct mutation *m, const struct resource *resource, const char *id,
                 struct sl_error *err) SL_MUST_CHECK;

// The text of a scalar query value, or NULL when it is absent or empty: an empty filter filters
// nothing.
const char *engine_value(struct sl_arena *arena, const json_t *value);

// Gives a new reference (NULL: out of memory, INTERNAL) to the arena.
int engine_keep(struct sl_arena *arena, json_t *value, struct sl_error *err) SL_MUST_CHECK;

// Parses what PostgreSQL wrote; the arena owns the value.
int engine_parse(struct sl_arena *arena, const char *text, json_t **ret_value,
                 struct sl_error *err) SL_MUST_CHECK;

// One row (body, then sealed secrets) as JSON text with its secrets filled in.
int engine_element(struct mutation *m, const struct resource *resource, const struct sl_rows *rows,
                   size_t row, struct sl_str *ret_text, struct sl_error *err) SL_MUST_CHECK;

#endif
