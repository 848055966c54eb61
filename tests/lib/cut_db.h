// cut_db.h - a database connection that breaks at the n-th exchange, for every n in turn.
//
// A program of sl_unit_test(… PG CUT_DB) calls libpq through this file. While armed, the n-th
// statement finds its connection cut: before it was sent, or, for those that end a transaction,
// after the server did it and before its answer came. Answers are never made up: the socket is shut
// down and libpq says what it says then. One thread.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_TESTS_LIB_CUT_DB_H
#define SL_TESTS_LIB_CUT_DB_H

#include <stdbool.h>
#include <stddef.h>

enum cut_when {
    CUT_BEFORE, // the server never saw the statement
    CUT_AFTER,  // it did it (COMMIT, ROLLBACK, what makes a resource whole), and nobody heard
};

// Cuts at the n-th exchange of `when`'s kind, counted from here; cuts once.
void cut_db_arm(enum cut_when when, size_t n);

// Nothing is cut any more. Answers whether something was.
bool cut_db_disarm(void);

// Round trips since the program began.
size_t cut_db_trips(void);

// All rows of all tables of the test's database as one digest, read over a connection of its own:
// 32 hex digits in memory of this file, valid for three further calls.
const char *cut_db_contents(void);

#endif
