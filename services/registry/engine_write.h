// engine_write.h - what engine.c, engine_write.c and engine_list.c share.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_ENGINE_WRITE_H
#define SL_REGISTRY_ENGINE_WRITE_H

#include "services/registry/engine.h"

// The three verbs that write; a creation is run by mutation_run_optimistic alone, that of a
// resource which is made whole by mutation_run_whole.
mutation_work_fn engine_create_work;
mutation_work_fn engine_create_whole;
mutation_work_fn engine_update_work;
mutation_work_fn engine_delete_work;

// The descriptor that the command's name begins with, or NULL.
const struct resource *engine_resource(const struct sl_command *command);

// What a command names as the owner of its rows: the path's parent, or what a list is of.
struct owner {
    const char *id;          // NULL: it names none
    struct sl_later *exists; // whether there is one; NULL: likewise
    struct sl_later *owns;   // whether the row is its; NULL: not asked
};

// Queues the questions about the owner; `id`: the row that should be its (NULL: none).
int engine_owner_later(struct mutation *m, const struct resource *resource, const char *id,
                       struct owner *ret_owner, struct sl_error *err) SL_MUST_CHECK;

// Refuses an owner that does not exist; a row `id` that is not its is not found.
int engine_owner_check(const struct resource *resource, const char *id, const struct owner *owner,
                       struct sl_error *err) SL_MUST_CHECK;

// Queues the reading of a row as clients see it, …
int engine_read_later(struct mutation *m, const struct resource *resource, const char *id,
                      struct sl_later **ret_read, struct sl_error *err) SL_MUST_CHECK;

// … and makes it the reply's body; a row that is not there is not found.
int engine_read_body(struct mutation *m, const struct resource *resource, struct sl_later *read,
                     const char *id, struct sl_error *err) SL_MUST_CHECK;

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
