// cut_db.c - see cut_db.h. The linker's --wrap leads our calls of libpq here.
//
// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cut_db.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/unit/test.h"

#define DIGEST_SIZE 33
#define KEPT        4 // digests that callers may hold

PGresult *__real_PQexec(PGconn *conn, const char *sql);
PGresult *__real_PQprepare(PGconn *conn, const char *name, const char *sql, int count,
                           const Oid *types);
int __real_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int result_format);
int __real_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                               const int *lengths, const int *formats, int result_format);
PGresult *__wrap_PQexec(PGconn *conn, const char *sql);
PGresult *__wrap_PQprepare(PGconn *conn, const char *name, const char *sql, int count,
                           const Oid *types);
int __wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                             const char *const *values, const int *lengths, const int *formats,
                             int result_format);
int __wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                               const int *lengths, const int *formats, int result_format);

static enum cut_when kind;
static size_t left; // exchanges until the cut; 0: not armed
static bool happened;

// Counts one exchange; cuts the connection when it is the one.
static bool
cut_here(enum cut_when when, PGconn *conn)
{
    if (left == 0 || when != kind || --left > 0) {
        return false;
    }
    happened = true;
    shutdown(PQsocket(conn), SHUT_RDWR);
    return true;
}

PGresult *
__wrap_PQexec(PGconn *conn, const char *sql)
{
    cut_here(CUT_BEFORE, conn);
    PGresult *result = __real_PQexec(conn, sql);
    if (cut_here(CUT_AFTER, conn)) {
        PQclear(result);
        result = __real_PQexec(conn, "SELECT 1"); // nothing arrives: libpq says how that looks
    }
    return result;
}

PGresult *
__wrap_PQprepare(PGconn *conn, const char *name, const char *sql, int count, const Oid *types)
{
    cut_here(CUT_BEFORE, conn);
    return __real_PQprepare(conn, name, sql, count, types);
}

// long because libpq's function takes as many.
int
__wrap_PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                         const char *const *values, const int *lengths, const int *formats,
                         int result_format)
{
    cut_here(CUT_BEFORE, conn);
    return __real_PQsendQueryParams(conn, sql, count, types, values, lengths, formats,
                                    result_format);
}

// long because libpq's function takes as many.
int
__wrap_PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                           const int *lengths, const int *formats, int result_format)
{
    cut_here(CUT_BEFORE, conn);
    return __real_PQsendQueryPrepared(conn, name, count, values, lengths, formats, result_format);
}

void
cut_db_arm(enum cut_when when, size_t n)
{
    kind = when;
    left = n;
    happened = false;
}

bool
cut_db_disarm(void)
{
    left = 0;
    return happened;
}

const char *
cut_db_contents(void)
{
    static PGconn *conn;
    static char digests[KEPT][DIGEST_SIZE];
    static size_t turn;
    if (conn == NULL) {
        conn = PQconnectdb(getenv("SLUICE_TEST_DB"));
    }
    PGresult *result = __real_PQexec(
        conn, "SELECT md5(string_agg(query_to_xml(format('SELECT t::text FROM %I t ORDER BY 1',"
              " tablename), true, true, '')::text, ',' ORDER BY tablename))"
              " FROM pg_tables WHERE schemaname = 'public'");
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("contents: %s", PQerrorMessage(conn));
    }
    turn = (turn + 1) % KEPT;
    snprintf(digests[turn], DIGEST_SIZE, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return digests[turn];
}
