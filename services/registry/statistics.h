// statistics.h - keeps the planner's idea of our tables close to their size while they grow.
//
// A plan made while a table was empty, or had no statistics, may take an index that holds the whole
// gateway. PostgreSQL's own ANALYZE comes a minute later at best: until then each creation and each
// publication would read all earlier ones. A thread with a connection of its own looks every second
// and analyses what has doubled; new statistics make old plans void in every session.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_STATISTICS_H
#define SL_REGISTRY_STATISTICS_H

#include "common/db/db.h"

struct statistics;

// Analyses the columns that indexes are made of in each of our tables that holds more than twice
// the rows (and more than 500) that it was known to have; ret_count (may be NULL) is how many
// tables. One process at a time: where another is at it, none.
int statistics_refresh(struct sl_db *db, size_t *ret_count, struct sl_error *err) SL_MUST_CHECK;

// Starts the thread; `conninfo` is borrowed. NULL with *err filled when there is no memory or
// thread. A database that is away is tried again.
struct statistics *statistics_start(const char *conninfo, struct sl_error *err);

// Ends the thread, frees, empties the pointer. Takes NULL and a pointer to NULL.
void statistics_stop(struct statistics **statistics);

#endif
