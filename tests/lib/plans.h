// plans.h - a gateway with 100,000 APIs, and what PostgreSQL's plans read of it.
//
// No plan may read a large table through, and none may read many more rows than match. A command
// is to run PLANS_RUNS times, so that PostgreSQL turns to its generic plan. Needs a scratch server
// (scratch_pg.sh) and an arena of cmocka's process; ends the test where something fails.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_LIB_PLANS_H
#define SL_TESTS_LIB_PLANS_H

#include "common/db/db.h"

#define PLANS_RUNS  6      // five custom plans, then what PostgreSQL holds for cheapest
#define PLANS_WHOLE 100000 // APIs; what may read as many rows is best read through

struct plans;

// Of a connection to a migrated database, which stays the caller's.
struct plans *plans_new(struct sl_db *db);
void plans_free(struct plans **plans);

// Runs a statement, to fill other tables.
void plans_run(struct plans *plans, const char *sql);

// Fills the gateway, which has the environment RELEASE: 100,000 APIs, all online, 2,000 apps, 1,000
// policies. Ids are md5 of a letter and a number.
void plans_fill(struct plans *plans, const char *gateway);

// From here on plans are looked at: those of this connection and of all that are opened later.
void plans_begin(struct plans *plans);

// Judges all plans since the last call, of commands that matched `matches` rows; complaints name
// `what`.
void plans_judge(struct plans *plans, const char *what, double matches);

// How many complaints there were since the last call.
size_t plans_faults(struct plans *plans);

#endif
