// fault.c - from SQLSTATE and constraint name to an error row, by table.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/db/db_internal.h"

#include <string.h>

// How a class or a code of SQLSTATE that no constraint explains is answered; the longest prefix
// that matches counts, so codes stand before their class.
struct state_row {
    const char *prefix; // of SQLSTATE
    enum sl_code code;
};

static const struct state_row state_rows[] = {
    {"57014", SL_E_DEADLINE},    // statement_timeout
    {"40001", SL_E_UNAVAILABLE}, // serialization: the same command may be tried again
    {"40P01", SL_E_UNAVAILABLE}, // deadlock: likewise
    {"25006", SL_E_UNAVAILABLE}, // a standby answered
    {"25P03", SL_E_UNAVAILABLE}, // idle in transaction for too long
    {"55P03", SL_E_UNAVAILABLE}, // lock not available
    {"08", SL_E_UNAVAILABLE},    // connection
    {"53", SL_E_UNAVAILABLE},    // out of connections, memory, disk
    {"57", SL_E_UNAVAILABLE},    // shutdown, starting up
};

static enum sl_code
code_of_state(const char *state)
{
    for (size_t i = 0; i < SL_COUNT(state_rows); i++) {
        if (strncmp(state, state_rows[i].prefix, strlen(state_rows[i].prefix)) == 0) {
            return state_rows[i].code;
        }
    }
    return SL_E_INTERNAL;
}

#define STATE_OURS "SL" // class of what our functions raise: table and detail fill the template

static const struct sl_fault *
find_fault(const struct sl_db *db, const char *constraint)
{
    if (db->faults == NULL || constraint == NULL) {
        return NULL;
    }
    for (const struct sl_fault *fault = db->faults; fault->constraint != NULL; fault++) {
        if (strcmp(fault->constraint, constraint) == 0) {
            return fault;
        }
    }
    return NULL;
}

int
sl_fault_fill(const struct sl_db *db, const PGresult *result, struct sl_error *err)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (state == NULL) {
        sl_fail(err, SL_E_UNAVAILABLE);
        return sl_error_detail(err, "database connection: %s", PQerrorMessage(db->conn));
    }
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const struct sl_fault *fault = find_fault(db, constraint);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    const char *limit = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    if (fault != NULL && strncmp(state, STATE_OURS, strlen(STATE_OURS)) == 0) {
        sl_fail(err, fault->code, table != NULL ? table : "", limit != NULL ? limit : "");
    } else {
        sl_fail(err, fault != NULL ? fault->code : code_of_state(state));
    }
    return sl_error_detail(err, "sqlstate %s constraint %s: %s", state,
                           constraint != NULL ? constraint : "-", text != NULL ? text : "");
}
