// resource.h - what the engine knows of a resource: one row of gen/resource_table.c.
//
// Rows are made from the `x-resource` descriptors in proto/rest (README.md lists their words) and
// are constant. What is special about a resource is its hooks; the engine never asks for a name.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_RESOURCE_H
#define SL_REGISTRY_RESOURCE_H

#include "common/db/db.h"
#include "services/registry/mutation.h"

// A body field and the column that holds it.
struct resource_field {
    const char *field;  // in the body
    const char *column; // in the table
};

// A filter of the list: SQL with `{}` where the parameter's value goes.
struct resource_filter {
    const char *parameter; // query parameter
    const char *condition; // SQL over t
    const char *precise;   // condition when precise_search names it; NULL: never fuzzy
    const char *alias;     // how else precise_search may name it; NULL: not
};

// A unit that creating takes and deleting gives back.
struct resource_quota {
    const char *name;  // quota_usage.quota
    const char *scope; // column whose value is the scope; NULL: the gateway
    int64_t limit;     // documented default
};

// A column that must name another resource of the same gateway.
struct resource_reference {
    const char *column;  //
    const char *sql;     // ($1 gateway, $2 id) → a row when it exists; locks it against deletion
    enum sl_code refuse; // row when it does not
};

// A runtime entry that a changed row republishes.
struct resource_runtime {
    const char *kind;   // "throttle"
    const char *column; // whose value is the entry's key
};

// A row about to be written or deleted, as hooks see it. JSON objects are keyed by column.
struct change {
    struct mutation *m;              // transaction, arena, tenant
    const struct resource *resource; //
    const char *id;                  // of the row
    const json_t *body;              // what the client sent; never NULL
    json_t *row;                     // columns to write; hooks add and correct
    const json_t *before;            // the row as it was, secrets left out; NULL when creating
    const json_t *after;             // the row as it is, likewise; NULL until written
};

struct resource_hooks {
    // Before a row is created (before == NULL) or updated. May refuse, may change `row`.
    int (*before_write)(struct change *change, struct sl_error *err);
    // After it was written, and read for the reply; not for what was made whole.
    int (*after_write)(struct change *change, struct sl_error *err);
    // Answers a write by change->m->body, once all is written; NULL: by the row as it is read.
    int (*reply)(struct change *change, struct sl_error *err);
    // Before a row, locked, is deleted. May refuse.
    int (*before_delete)(struct change *change, struct sl_error *err);
    // After it was deleted: what counted for it alone. Whoever holds rows of its takes quotas last,
    // so who takes a quota first and then waits for such rows may wait for ever.
    int (*after_delete)(struct change *change, struct sl_error *err);
    // Which column of the list's view is the element; NULL: `body`.
    const char *(*list_column)(const json_t *query);
};

struct resource {
    const char *name;                            // first part of its commands
    const char *id_parameter;                    // path parameter with its id
    const char *parent;                          // path parameter that is also a column, or NULL
    const char *table;                           //
    const char *list_key;                        // key of the array in a list reply; NULL: no list
    const char *list_view;                       //
    const char *list_order;                      // SQL over t, total
    const char *list_columns;                    // "t.a, t.id": the id and what list_order names
    const char *sql_insert;                      // $1 gateway $2 project $3 id $4 row ($5 to $9
                                                 // command id, request, command, actor, status)
    const char *sql_update;                      // the same; all four answer the row as JSON
    bool is_made_whole;                          // sql_insert records and takes quotas too: $5 to
                                                 // $9; and answers the reply's body alone
    const char *sql_lock;                        // $1 gateway $2 project $3 id; to update
    const char *sql_claim;                       // the same, to delete: against references too
    const char *sql_delete;                      // the same; NULL: another resource's rows
    const char *sql_read;                        // the same; body, then the secrets
    struct resource_reference owner;             // parameter of path or query; NULL: no owner
    const char *sql_owned;                       // $1 gateway $2 id $3 parent → a row; NULL
    const char *secret_columns;                  // ", s.a, s.b" for lists; "" without secrets
    const char *secret_join;                     // " JOIN … s ON …" of a list's v; "" likewise
    const char *secret_id;                       // member of the body that they are sealed for
    const struct resource_field *writable;       // ends in NULL
    const struct resource_field *secrets;        // ends in NULL; field in the reply, sealed column
    const struct resource_filter *filters;       // ends in NULL
    const struct resource_quota *quotas;         // ends in NULL
    const struct resource_reference *references; // ends in NULL
    const struct resource_runtime *runtime;      // ends in NULL
    const struct resource_hooks *hooks;          // NULL: nothing is special
    enum sl_code not_found;                      // row when there is none
};

// The generated rows, sorted by name.
extern const struct resource resource_table[];
extern const size_t resource_count;

// The generated constraints → error rows, for struct sl_db_options.
extern const struct sl_fault resource_faults[];

// The row of this name (len bytes), or NULL.
const struct resource *resource_find(const char *name, size_t len);

#endif
