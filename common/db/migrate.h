// migrate.h - brings a database to the shape that this build expects.
//
// Migrations are files NNNN_what.sql in one directory, applied in order of their numbers, each in
// its own transaction, all under an advisory lock, so that several processes may start at once.
// What was applied is recorded with its checksum: a file that changed afterwards is refused.
// Forward only; a number that the directory lacks belongs to a newer build and is left alone.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_DB_MIGRATE_H
#define SL_DB_MIGRATE_H

#include "common/db/db.h"

// Applies what is missing; *ret_applied (may be NULL) counts the files. Refuses (CONFIG, naming the
// file) a directory that cannot be read, a name that is not NNNN_what.sql, a number used twice, an
// applied file whose contents changed, and a file that PostgreSQL refuses.
int sl_migrate(const char *conninfo, const char *directory, size_t *ret_applied,
               struct sl_error *err) SL_MUST_CHECK;

#endif
