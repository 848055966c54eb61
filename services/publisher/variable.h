// variable.h - `#name#` in backend addresses and paths becomes a variable's value.
//
// Variables belong to a group in an environment (proto/sql/0071_env_variable.sql); names are
// case-sensitive.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_PUBLISHER_VARIABLE_H
#define SL_PUBLISHER_VARIABLE_H

#include "services/publisher/publisher.h"

struct variable {
    const char *name;
    const char *value;
};

struct variables {
    const struct variable *list;
    size_t count;
    const char *functions; // URL of the gateway's function service; NULL: it has none
};

// Whose variables are read, and for what.
struct variable_place {
    const char *gateway;    //
    const char *env_id;     //
    const char *definition; // JSON text; its group_id says whose, and without a # there are none
    bool hold;              // against a change until the transaction ends
};

// Reads the variables of the definition's group in the environment, and for a definition with
// functions where the gateway calls those; memory from the arena.
int variables_read(struct sl_tx *tx, struct sl_arena *arena, const struct variable_place *place,
                   struct variables *ret_variables, struct sl_error *err) SL_MUST_CHECK;

// *ret_text is `text` with every #name# replaced, in the arena; values are not looked at again.
// Refuses VARIABLE_UNDEFINED, naming the first that is not in the list.
int variables_resolve(struct sl_arena *arena, const struct variables *variables, const char *text,
                      const char **ret_text, struct sl_error *err) SL_MUST_CHECK;

#endif
