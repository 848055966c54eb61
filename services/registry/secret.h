// secret.h - secrets on their way between clients and sealed columns.
//
// A column holds the sealed form under context "<column>:<id>"; `<column>_lookup` beside it holds
// the keyed hash under context "<column>", which is how a secret is kept unique or found.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_SECRET_H
#define SL_REGISTRY_SECRET_H

#include "services/registry/resource.h"

// Sets row[column] and row[column_lookup] from the plain text.
int secret_put(struct change *change, const char *column, const char *plain,
               struct sl_error *err) SL_MUST_CHECK;

// Adds the secrets of one result row to `body`: cell `first` and following hold the sealed columns
// of `resource`. SEAL_BROKEN when one does not open.
int secret_fill(const struct registry *registry, const struct resource *resource,
                const struct sl_rows *rows, size_t row, json_t *body,
                struct sl_error *err) SL_MUST_CHECK;

// A fresh secret: 32 random hex digits, from the arena.
const char *secret_random(struct sl_arena *arena);

#endif
