// binding.h - what bindings of policies to published APIs have in common (3.7.1, 3.8.1).
//
// A publication has one policy of a kind: binding another one replaces it, in the same record.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_BINDING_H
#define SL_REGISTRY_BINDING_H

#include "services/registry/mutation.h"

// A kind of policy.
struct binding {
    const char *field;    // of the body: the policy's id
    const char *held_sql; // ($1 gateway, $2 id) → a row when there is one; keeps it from deletion
    const char *bind_sql; // ($1, $2 publish_ids as a JSON array, $3 id) → publish_ids that changed
    enum sl_code no_holder; // row of errors.yaml when there is no such policy
};

// The statement that binds, in order of the publications, so that two commands lock them in the
// same order.
#define BINDING_SQL(table, column, time)                                                           \
    "INSERT INTO " table " AS b (instance_id, id, " column ", publish_id)"                         \
    " SELECT $1, replace(gen_random_uuid()::text, '-', ''), $3, x"                                 \
    " FROM (SELECT DISTINCT x FROM jsonb_array_elements_text($2::jsonb) x) y ORDER BY x"           \
    " ON CONFLICT ON CONSTRAINT " table "_publication_key DO UPDATE"                               \
    " SET " column " = excluded." column ", " time " = now()"                                      \
    " WHERE b." column " <> excluded." column " RETURNING publish_id"

// Binds the policy that the body names to its publish_ids, and marks their entries. Refuses an
// unknown policy, PUBLICATION_NOT_FOUND. *ret_ids: the publish_ids as a JSON array, from the arena.
int binding_make(struct mutation *m, const struct binding *kind, const char **ret_ids,
                 struct sl_error *err) SL_MUST_CHECK;

// Marks the entries of the publications in a column of rows.
int binding_touch(struct mutation *m, const struct sl_rows *rows, size_t column,
                  struct sl_error *err) SL_MUST_CHECK;

#endif
