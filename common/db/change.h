// change.h - marking a runtime key dirty, in the transaction that changed what it is made of.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_CHANGE_H
#define SL_DB_CHANGE_H

#include "common/db/db.h"

// Appends (gateway, kind, key) to runtime_change; kinds and keys are those of proto/runtime.md. The
// publishers see it after the commit; whoever commits wakes them (`wake/publisher`).
int sl_runtime_touch(struct sl_tx *tx, struct sl_arena *arena, const char *gateway,
                     const char *kind, const char *key, struct sl_error *err) SL_MUST_CHECK;

#endif
